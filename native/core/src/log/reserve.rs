//! The reserve file: space set aside so that deletes and drains still find room when the disk is full.

use super::files::{allocate, failed, is_no_space, Files};
use crate::error::Result;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// `<dir>/reserve`. Its bytes mean nothing.
pub(super) struct Reserve {
    path: PathBuf,
    bytes: u64,
}

impl Reserve {
    pub fn new(files: &Files, bytes: u64) -> Reserve {
        Reserve { path: files.dir().join("reserve"), bytes }
    }

    pub fn is_held(&self) -> bool {
        self.bytes > 0 && fs::metadata(&self.path).is_ok_and(|data| data.len() >= self.bytes)
    }

    /// Gives the space back. False when there was nothing to give.
    pub fn give_up(&self) -> Result<bool> {
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("remove", &self.path, &error)),
        }
    }

    /// Sets the space aside again, when that leaves as much free: taken too eagerly it would be what fills the disk.
    /// Whether the reserve is there now.
    pub fn restore(&self, files: &Files) -> Result<bool> {
        if self.is_held() {
            return Ok(true);
        }
        // One that was cut off by a crash counts as free.
        self.give_up()?;
        if self.bytes == 0 || files.free_bytes()? / 2 < self.bytes {
            return Ok(false);
        }
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.path)
            .and_then(|file| allocate(&file, self.bytes));
        match made {
            Ok(()) => Ok(true),
            Err(error) => {
                let _ = fs::remove_file(&self.path);
                match is_no_space(&error) {
                    true => Ok(false),
                    false => Err(failed("make", &self.path, &error)),
                }
            }
        }
    }
}
