//! A disk that is full, and one that fails.

use crate::faults::{FLUSH_ERROR, WRITE_ERROR};
use crate::make::*;
use crate::support::{fresh_dir, Random};
use ramcache_core::error::Code;
use ramcache_core::log::{LogOptions, Position};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

pub struct SmallDisk(pub PathBuf);

impl SmallDisk {
    /// `None` when this process may not mount.
    pub fn mount(bytes: u64) -> Option<SmallDisk> {
        let dir = fresh_dir();
        std::fs::create_dir_all(&dir).expect("a directory");
        let path = CString::new(dir.as_os_str().as_bytes()).expect("a path");
        let size = CString::new(format!("size={bytes}")).expect("an option");
        // SAFETY: all pointers are strings that live until the call is over.
        let failed = unsafe {
            libc::mount(c"tmpfs".as_ptr(), path.as_ptr(), c"tmpfs".as_ptr(), 0, size.as_ptr().cast())
        };
        if failed != 0 {
            println!("NOT TESTED: a tmpfs cannot be mounted: {}", std::io::Error::last_os_error());
            let _ = std::fs::remove_dir(&dir);
            return None;
        }
        Some(SmallDisk(dir))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let path = CString::new(self.0.as_os_str().as_bytes()).expect("a path");
        // SAFETY: a string that lives until the call is over.
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn a_full_disk() {
    let Some(disk) = SmallDisk::mount(8 << 20) else { return };
    let options = LogOptions { file_bytes: 1 << 20, reserve_bytes: 2 << 20, ..LogOptions::new(STORE_ID) };
    let (log, ..) = reopen(&disk.0, options.clone(), Position::START);
    assert!(log.has_reserve());
    let mut random = Random(5);
    let mut written = Vec::new();
    let mut sequence = 1;
    let mut add = |value_bytes: u64, written: &mut Vec<Written>| {
        let bytes = batch(&mut random, sequence, 1, value_bytes);
        let at = log.append(ARENA_ID, sequence, sequence + 1, &bytes)?;
        written
            .extend(ramcache_core::log::changes_in(&bytes, at).map(|c| owned(ARENA_ID, &c.expect("good"))));
        sequence += 1;
        Ok(())
    };
    let mut fill = |written: &mut Vec<Written>| {
        for value_bytes in [200_000, 1000, 0] {
            let error: ramcache_core::error::StoreError = loop {
                match add(value_bytes, written) {
                    Ok(()) => {}
                    Err(error) => break error,
                }
            };
            assert_eq!(error.code, Code::Full, "{error}");
        }
    };
    fill(&mut written);
    let end = log.position();
    assert!(!log.is_poisoned() && log.files().len() >= 4);
    assert_eq!(log.sync().expect("what is there is synced"), end);
    assert!(log.has_reserve(), "the reserve is not taken without being asked for");

    // The reserve lets deletes through.
    assert!(log.give_up_reserve().expect("given up") && !log.give_up_reserve().expect("gone"));
    let mut bytes = Vec::new();
    pack_delete(1 << 40, 1 << 60, 0, b"key:1", &mut bytes);
    written.extend(append(&log, 1 << 40, 1, &bytes));
    assert!(!log.restore_reserve().expect("asked"), "there is no room for it");

    // Room is made, and taken again: first for the reserve, then to the last byte.
    for file in 1..=4 {
        assert!(log.remove(file).expect("removed"));
        written.retain(|change| change.location.file != file);
    }
    assert!(log.restore_reserve().expect("asked") && log.has_reserve());
    fill(&mut written);
    drop(log);
    let (log, recovery, found) = reopen(&disk.0, options, Position::START);
    assert_eq!((found == written, recovery.damage), (true, Vec::new()));
    assert_eq!(recovery.torn, None);
    assert!(log.free_bytes().expect("a number") < 1 << 20);
}

/// A file system may run full in the middle of a write. What was written of the batch is nothing.
#[test]
fn a_batch_that_was_half_written() {
    let mut random = Random(9);
    for taken in [0, 1, 63, 64, 100, 5000] {
        let dir = Dir::new();
        let (log, ..) = reopen(&dir.0, options(64 << 10), Position::START);
        let mut written = append(&log, 1, 3, &batch(&mut random, 1, 3, 100));
        let end = log.position();
        let mut refused = Vec::new();
        // Zeros at its end would check if the rest were there: the file is zeros where nothing was written.
        pack_set(4, 4, 0, b"refused", &[0; 4000], &mut refused);
        WRITE_ERROR.set((libc::ENOSPC, taken.min(refused.len() + 64)));
        let error = log.append(ARENA_ID, 4, 5, &refused).expect_err("no room");
        WRITE_ERROR.set((0, 0));
        assert_eq!((error.code, log.position()), (Code::Full, end), "{error}");

        let copy = Dir::new();
        std::fs::copy(dir.file(1), copy.file(1)).expect("copied");
        let (_, recovery, found) = reopen(&copy.0, options(64 << 10), Position::START);
        assert_eq!((&found, recovery.damage.len()), (&written, 0));

        written.extend(append(&log, 4, 1, &batch(&mut random, 4, 1, 100)));
        written.extend(append(&log, 5, 1, &batch(&mut random, 5, 1, 100)));
        drop(log);
        let (_, recovery, found) = reopen(&dir.0, options(64 << 10), Position::START);
        assert_eq!((found, recovery.damage.len()), (written, 0));
    }
}

#[test]
fn a_failed_write_or_flush_poisons() {
    for is_flush in [false, true] {
        for rolls in [false, true] {
            let mut random = Random(9);
            let dir = Dir::new();
            let (log, ..) = reopen(&dir.0, options(4096), Position::START);
            let written = append(&log, 1, 1, &batch(&mut random, 1, 1, 100));
            let synced = log.synced();
            let bytes = match rolls {
                true => batch(&mut random, 2, 100, 100),
                false => batch(&mut random, 2, 1, 100),
            };
            match is_flush {
                true => FLUSH_ERROR.set(libc::EIO),
                false => WRITE_ERROR.set((libc::EIO, 10)),
            }
            let error = match is_flush && !rolls {
                true => log.sync().expect_err("the flush fails"),
                false => log.append(ARENA_ID, 2, 3, &bytes).expect_err("the append fails"),
            };
            FLUSH_ERROR.set(0);
            WRITE_ERROR.set((0, 0));
            assert_eq!(error.code, Code::Poisoned, "{error}");
            // The system would take it now, but what it has forgotten is forgotten.
            assert_eq!(log.append(ARENA_ID, 2, 3, &bytes).expect_err("poisoned").code, Code::Poisoned);
            assert_eq!(log.sync().expect_err("poisoned").code, Code::Poisoned);
            assert!(log.is_poisoned());
            assert!(!is_flush || log.synced() == synced, "nothing more is durable");
            assert_eq!(read(&log, written[0].location).expect("reads go on").as_ref(), Some(&written[0]));
        }
    }
}
