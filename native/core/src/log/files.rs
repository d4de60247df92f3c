//! The files of the value log: `<dir>/<number as 8 hex digits>.log`, allocated whole before anything is written.
//!
//! A number is never used twice, so a location in a file that is gone can be told from every other. Space that cannot
//! be had is an error when a file is made, not in the middle of a batch.

use super::format::{FileHeader, Opening, FILE_HEADER_BYTES};
use super::location::Position;
use crate::error::{Code, Result, StoreError};
use crate::sync::{lock, Mutex};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files kept open for reading; a tier of a terabyte has more files than a process may have descriptors.
const OPEN_FILES_MAX: usize = 256;
const ZEROS_BYTES: usize = 1 << 20;

/// One file of the log.
#[derive(Clone, Copy, Debug)]
pub struct FileInfo {
    pub number: u32,
    /// Bytes of the file; of the newest one, what is allocated for it.
    pub bytes: u64,
    /// Where its batches end, once a later file says so.
    pub end: Option<u32>,
    pub(super) opening: Opening,
}

#[derive(Default)]
struct Table {
    files: BTreeMap<u32, FileInfo>,
    open: HashMap<u32, (Arc<File>, u64)>,
    uses: u64,
}

pub(super) struct Files {
    dir: PathBuf,
    dir_handle: File,
    /// LOCK: log files. Nothing is taken while it is held.
    table: Mutex<Table>,
}

/// The error of a system call, with the path it was made for.
pub(super) fn failed(what: &str, path: &Path, error: &io::Error) -> StoreError {
    let code = if is_no_space(error) { Code::Full } else { Code::Unavailable };
    StoreError::new(code, format!("cannot {what} {}: {error}", path.display()))
}

pub(super) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT))
}

/// Allocates the first bytes of a file, really: a hole could not be filled when the disk is full.
pub(super) fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    loop {
        // SAFETY: a descriptor we own; the call touches no memory.
        if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, bytes as libc::off_t) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => continue,
            Some(libc::EOPNOTSUPP | libc::ENOSYS) => break,
            _ => return Err(error),
        }
    }
    let zeros = vec![0; ZEROS_BYTES];
    let mut at = 0;
    while at < bytes {
        let piece = (bytes - at).min(ZEROS_BYTES as u64);
        file.write_all_at(&zeros[..piece as usize], at)?;
        at += piece;
    }
    Ok(())
}

/// Reads until the buffer is full or the file ends; the bytes read.
pub(super) fn read_at(file: &File, mut buffer: &mut [u8], mut at: u64) -> io::Result<usize> {
    let wanted = buffer.len();
    while !buffer.is_empty() {
        match file.read_at(buffer, at) {
            Ok(0) => break,
            Ok(bytes) => {
                buffer = &mut buffer[bytes..];
                at += bytes as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(wanted - buffer.len())
}

impl Files {
    /// Opens a directory, which is made when it does not exist, and looks at the first bytes of each file.
    pub fn open(dir: &Path) -> Result<Files> {
        fs::create_dir_all(dir).map_err(|error| failed("make directory", dir, &error))?;
        let dir_handle = File::open(dir).map_err(|error| failed("open directory", dir, &error))?;
        let files = Files { dir: dir.to_path_buf(), dir_handle, table: Mutex::new(Table::default()) };
        let entries = fs::read_dir(dir).map_err(|error| failed("list directory", dir, &error))?;
        let mut table = lock(&files.table);
        for entry in entries {
            let entry = entry.map_err(|error| failed("list directory", dir, &error))?;
            let Some(number) = number_of(&entry.file_name().to_string_lossy()) else { continue };
            let path = entry.path();
            let file = File::open(&path).map_err(|error| failed("open", &path, &error))?;
            let bytes = file.metadata().map_err(|error| failed("look at", &path, &error))?.len();
            let mut head = [0; FILE_HEADER_BYTES];
            // What cannot be read is damage, found and reported by the walk.
            let opening = match read_at(&file, &mut head, 0) {
                Ok(read) => FileHeader::decode(&head[..read], number)?,
                Err(_) => Opening::Damaged,
            };
            table.files.insert(number, FileInfo { number, bytes, end: None, opening });
        }
        let ends: Vec<Position> = table.files.values().filter_map(FileInfo::previous).collect();
        for end in ends {
            if let Some(file) = table.files.get_mut(&end.file) {
                file.end = Some(end.offset);
            }
        }
        drop(table);
        Ok(files)
    }

    pub fn path(&self, number: u32) -> PathBuf {
        self.dir.join(format!("{number:08x}.log"))
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn list(&self) -> Vec<FileInfo> {
        lock(&self.table).files.values().copied().collect()
    }

    pub fn last(&self) -> Option<FileInfo> {
        lock(&self.table).files.values().next_back().copied()
    }

    /// A file for reading, and its length; `None` when it is gone.
    pub fn handle(&self, number: u32) -> io::Result<Option<(Arc<File>, u64)>> {
        let mut table = lock(&self.table);
        let Some(bytes) = table.files.get(&number).map(|file| file.bytes) else { return Ok(None) };
        table.uses += 1;
        let now = table.uses;
        if let Some((file, used)) = table.open.get_mut(&number) {
            *used = now;
            return Ok(Some((Arc::clone(file), bytes)));
        }
        let file = match File::open(self.path(number)) {
            Ok(file) => Arc::new(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if table.open.len() >= OPEN_FILES_MAX {
            let oldest = table.open.iter().min_by_key(|(_, (_, used))| *used).map(|(number, _)| *number);
            oldest.and_then(|number| table.open.remove(&number));
        }
        table.open.insert(number, (Arc::clone(&file), now));
        Ok(Some((file, bytes)))
    }

    /// Makes and allocates a file; on failure nothing is left of it.
    pub fn create(&self, header: FileHeader, bytes: u64) -> io::Result<Arc<File>> {
        let path = self.path(header.file);
        let file = self.write_new(&path, header, bytes).inspect_err(|_| {
            let _ = fs::remove_file(&path);
        })?;
        let mut table = lock(&self.table);
        let opening = Opening::Whole(header);
        table.files.insert(header.file, FileInfo { number: header.file, bytes, end: None, opening });
        Ok(Arc::new(file))
    }

    fn write_new(&self, path: &Path, header: FileHeader, bytes: u64) -> io::Result<File> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
        allocate(&file, bytes)?;
        file.write_all_at(&header.encode(), 0)?;
        // Later files and batches say that this one is there, so it must not be lost when they are not.
        file.sync_all()?;
        self.dir_handle.sync_all()?;
        Ok(file)
    }

    /// Notes where the batches of a file end.
    pub fn set_end(&self, end: Position) {
        if let Some(file) = lock(&self.table).files.get_mut(&end.file) {
            file.end = Some(end.offset);
        }
    }

    /// Gives back what lies behind the end of a file: space that was never written, or a torn tail.
    pub fn cut(&self, end: Position) {
        let path = self.path(end.file);
        // A file that stays too long only costs space, and its end is known all the same.
        let Ok(file) = OpenOptions::new().write(true).open(&path) else { return };
        if file.metadata().is_ok_and(|data| data.len() > end.offset as u64)
            && file.set_len(end.offset as u64).is_ok()
        {
            if let Some(info) = lock(&self.table).files.get_mut(&end.file) {
                info.bytes = end.offset as u64;
            }
        }
    }

    /// Removes a file. False when there is none. Whoever reads it at the moment reads on.
    pub fn remove(&self, number: u32) -> Result<bool> {
        let Some(info) = lock(&self.table).files.get(&number).copied() else { return Ok(false) };
        // Only this file says where the previous one ends; a torn tail behind that must not come back.
        if let Some(previous) = info.previous() {
            self.cut(previous);
        }
        let path = self.path(number);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove", &path, &error))
            }
            _ => {}
        }
        let mut table = lock(&self.table);
        table.files.remove(&number);
        table.open.remove(&number);
        drop(table);
        self.dir_handle.sync_all().map_err(|error| failed("sync directory", &self.dir, &error))?;
        Ok(true)
    }

    /// Takes a file for one that is not there. The file stays.
    pub fn forget(&self, number: u32) {
        lock(&self.table).files.remove(&number);
    }

    /// Bytes this process may still allocate in the file system of the log.
    pub fn free_bytes(&self) -> Result<u64> {
        // SAFETY: `statvfs` is plain old data; zero is valid for every field.
        let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
        // SAFETY: a descriptor we own and a valid pointer.
        if unsafe { libc::fstatvfs(self.dir_handle.as_raw_fd(), &mut found) } != 0 {
            return Err(failed("ask for the free space of", &self.dir, &io::Error::last_os_error()));
        }
        Ok(found.f_bavail as u64 * found.f_frsize as u64)
    }
}

impl FileInfo {
    /// Where the log ended when this file was begun.
    pub(super) fn previous(&self) -> Option<Position> {
        match self.opening {
            Opening::Whole(header) if header.previous.file != 0 => Some(header.previous),
            _ => None,
        }
    }
}

fn number_of(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".log")?;
    let is_ours = digits.len() == 8 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    is_ours.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}
