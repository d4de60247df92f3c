//! Who owns a directory: `lock`, an open-file-description lock held by a live process, and `owner`, which says where
//! the arena is.
//!
//! The lock alone decides. Time never does: an owner that is stopped or paused keeps its directory. The kernel gives
//! the lock up when the process ends, however it ends.

use crate::error::{Code, Result, StoreError};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A directory this process owns until the value is dropped.
#[derive(Debug)]
pub struct Ownership {
    dir: PathBuf,
    _lock: File,
    /// Removed at the end; `None` until the arena has been announced, and what an owner before has left stays.
    arena_files: Option<Vec<PathBuf>>,
    announced: Option<Announced>,
}

/// What the `owner` file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    pub data: String,
    pub touch: String,
    pub arena_id: u64,
    /// Where the owner listens, if it does.
    pub socket: Option<String>,
}

/// Where the arena of an owner that died lies.
#[derive(Clone, Debug)]
pub struct LeftBehind {
    pub data: PathBuf,
    pub touch: PathBuf,
    pub arena_id: u64,
}

/// Shared files of ours have names that begin so; nothing else is ever removed.
pub const SHARED_FILE_PREFIX: &str = "ramcache-";

impl Ownership {
    /// Takes a directory, which is made when it does not exist. `ERR_RAMCACHE_LOCKED` when another process owns it.
    pub fn take(dir: &Path) -> Result<Ownership> {
        let fail = |what: &str, error: std::io::Error| {
            StoreError::new(
                Code::Unavailable,
                format!("cannot {what} in directory {}: {error}", dir.display()),
            )
        };
        fs::create_dir_all(dir).map_err(|error| fail("work", error))?;
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(dir.join("lock"))
            .map_err(|error| fail("open the lock file", error))?;
        // SAFETY: `flock` is plain old data; zero is valid for every field.
        let mut range: libc::flock = unsafe { std::mem::zeroed() };
        range.l_type = libc::F_WRLCK as libc::c_short;
        range.l_whence = libc::SEEK_SET as libc::c_short;
        // SAFETY: a descriptor we own and a valid pointer.
        if unsafe { libc::fcntl(lock.as_raw_fd(), libc::F_OFD_SETLK, &range) } != 0 {
            let error = std::io::Error::last_os_error();
            return match error.raw_os_error() {
                Some(libc::EAGAIN | libc::EACCES) => {
                    let owner = fs::read_to_string(dir.join("owner")).unwrap_or_default();
                    let pid = field(&owner, "pid").unwrap_or_else(|| "unknown".into());
                    let message = format!("directory {} is owned by process {pid}", dir.display());
                    Err(StoreError::new(Code::Locked, message))
                }
                _ => Err(fail("lock", error)),
            };
        }
        Ok(Ownership { dir: dir.to_path_buf(), _lock: lock, arena_files: None, announced: None })
    }

    /// The arena of an owner that died, when its files are still there. Anonymous memory is not: it died too, and
    /// the process id in its path may be another process by now.
    pub fn left_behind(&self) -> Option<LeftBehind> {
        let owner = fs::read_to_string(self.dir.join("owner")).ok()?;
        let left = LeftBehind {
            data: ours(&owner, "data")?,
            touch: ours(&owner, "touch")?,
            arena_id: u64::from_str_radix(&field(&owner, "arenaId")?, 16).ok()?,
        };
        (left.data.exists() && left.touch.exists()).then_some(left)
    }

    /// Removes the shared files of an owner that died.
    pub fn remove_left_behind(&self) {
        let Ok(owner) = fs::read_to_string(self.dir.join("owner")) else { return };
        for path in ["data", "touch"].iter().filter_map(|name| ours(&owner, name)) {
            let _ = fs::remove_file(path);
        }
        let _ = fs::remove_file(self.dir.join("owner"));
    }

    /// Says where the arena is, for those who attach. `files` are removed when the ownership ends.
    pub fn announce(&mut self, data: &str, touch: &str, arena_id: u64, files: Vec<PathBuf>) -> Result<()> {
        self.write_owner(Announced { data: data.into(), touch: touch.into(), arena_id, socket: None })?;
        self.arena_files = Some(files);
        Ok(())
    }

    /// Says where the owner listens, or that it no longer does.
    pub fn announce_socket(&mut self, socket: Option<String>) -> Result<()> {
        match self.announced.clone() {
            Some(announced) => self.write_owner(Announced { socket, ..announced }),
            None => Ok(()),
        }
    }

    pub fn announced(&self) -> Option<&Announced> {
        self.announced.as_ref()
    }

    fn write_owner(&mut self, announced: Announced) -> Result<()> {
        let Announced { data, touch, arena_id, socket } = &announced;
        let socket =
            socket.as_ref().map_or_else(String::new, |socket| format!(",\n  \"socket\": {socket:?}"));
        let text = format!(
            "{{\n  \"pid\": {},\n  \"arenaId\": \"{arena_id:016x}\",\n  \"data\": {data:?},\n  \"touch\": {touch:?}{socket}\n}}\n",
            std::process::id()
        );
        let path = self.dir.join("owner");
        let temporary = self.dir.join("owner.new");
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .and_then(|()| fs::rename(&temporary, &path));
        written.map_err(|error| {
            StoreError::new(Code::Unavailable, format!("cannot write {}: {error}", path.display()))
        })?;
        self.announced = Some(announced);
        Ok(())
    }
}

impl Ownership {
    /// Leaves the arena and the word of it behind when the ownership ends.
    pub fn keep_files(&mut self) {
        self.arena_files = None;
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        let Some(files) = &self.arena_files else { return };
        for file in files {
            let _ = fs::remove_file(file);
        }
        let _ = fs::remove_file(self.dir.join("owner"));
    }
}

/// Whether a lock is about to go: this process holds it, or its holder has taken the `owner` file away already (or
/// not written it yet).
pub fn is_passing(dir: &Path) -> bool {
    let Ok(owner) = fs::read_to_string(dir.join("owner")) else { return true };
    field(&owner, "pid").is_some_and(|pid| pid == std::process::id().to_string())
}

/// Whether a live process holds the lock of a directory.
pub fn is_owned(dir: &Path) -> bool {
    let Ok(lock) = OpenOptions::new().read(true).write(true).open(dir.join("lock")) else {
        return false;
    };
    // SAFETY: `flock` is plain old data; zero is valid for every field.
    let mut range: libc::flock = unsafe { std::mem::zeroed() };
    range.l_type = libc::F_WRLCK as libc::c_short;
    range.l_whence = libc::SEEK_SET as libc::c_short;
    // SAFETY: a descriptor we own and a valid pointer.
    let asked = unsafe { libc::fcntl(lock.as_raw_fd(), libc::F_OFD_GETLK, &mut range) } == 0;
    asked && range.l_type != libc::F_UNLCK as libc::c_short
}

/// A path in the `owner` file, when it is one of a shared file of ours.
fn ours(owner: &str, name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(field(owner, name)?);
    let is_ours = path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(SHARED_FILE_PREFIX));
    is_ours.then_some(path)
}

/// A string or number out of the flat JSON object that `announce` writes.
fn field(text: &str, name: &str) -> Option<String> {
    let rest = text.split_once(&format!("\"{name}\":"))?.1.trim_start();
    let value = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => rest.split([',', '\n', '}']).next()?.trim(),
    };
    Some(value.to_string())
}
