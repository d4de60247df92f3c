//! Appending and making durable.

use super::files::{failed, is_no_space};
use super::format::{BatchHeader, FileHeader, BATCH_HEADER_BYTES, FILE_HEADER_BYTES, PAYLOAD_BYTES_MAX};
use super::{Head, Position, ValueLog};
use crate::error::{Code, Result, StoreError};
use crate::sync::{lock, Ordering};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

impl ValueLog {
    /// Appends a feed batch, changes `first..next` of an arena; where its payload lies now. Not durable before the next
    /// [`ValueLog::sync`]. An empty batch only notes what is synced. `ERR_RAMCACHE_FULL` leaves the log as it was; every other failure of a write poisons it.
    pub fn append(&self, arena_id: u64, first: u64, next: u64, bytes: &[u8]) -> Result<Position> {
        assert!(bytes.len().is_multiple_of(8), "feed batches are padded to 8");
        if bytes.len() > PAYLOAD_BYTES_MAX {
            let message = format!("a batch of {} bytes, the limit is {PAYLOAD_BYTES_MAX}", bytes.len());
            return Err(StoreError::new(Code::Value, message));
        }
        let _appending = lock(&self.appending);
        self.ensure_writable()?;
        let total = (BATCH_HEADER_BYTES + bytes.len()) as u64;
        let (head, at, synced) = self.head_for(total)?;
        let header = BatchHeader {
            payload_bytes: bytes.len() as u32,
            at,
            arena_id,
            first,
            next,
            synced,
            payload_crc: crc32fast::hash(bytes),
        };
        let packed = header.encode(self.options.store_id);
        write_both(&head.file, &packed, bytes, at.offset as u64)
            .map_err(|error| self.take_back(&head.file, at, &error))?;
        lock(&self.state).position = Position { file: at.file, offset: header.end() as u32 };
        self.counters.bytes_appended.fetch_add(total, Ordering::Relaxed);
        self.counters.batches.fetch_add(1, Ordering::Relaxed);
        Ok(Position { file: at.file, offset: at.offset + BATCH_HEADER_BYTES as u32 })
    }

    /// After a write that failed: without its header, what there is of the batch is nothing, whatever follows.
    fn take_back(&self, file: &File, at: Position, error: &io::Error) -> StoreError {
        let path = self.files.path(at.file);
        if is_no_space(error) && file.write_all_at(&[0; BATCH_HEADER_BYTES], at.offset as u64).is_ok() {
            return self.no_room(&path, BATCH_HEADER_BYTES as u64, error);
        }
        self.poison(&format!("writing {} failed", path.display()), error)
    }

    /// The file that has room for some more bytes, where they go, and what is durable.
    fn head_for(&self, bytes: u64) -> Result<(Head, Position, Position)> {
        loop {
            {
                let state = lock(&self.state);
                if let Some(head) = &state.head {
                    if state.position.offset as u64 + bytes <= head.bytes {
                        return Ok((head.clone(), state.position, state.synced));
                    }
                }
            }
            self.begin_file(bytes)?;
        }
    }

    /// Begins a file that has room for a batch. What is in the last one is durable first, so that the torn tail of a
    /// crash is always in the last file.
    fn begin_file(&self, batch_bytes: u64) -> Result<()> {
        let _syncing = lock(&self.syncing);
        self.ensure_writable()?;
        self.sync_head()?;
        let previous = lock(&self.state).position;
        let last = self.files.last().map_or(0, |file| file.number).max(previous.file);
        let header = FileHeader { file: last + 1, store_id: self.options.store_id, previous };
        let bytes = (FILE_HEADER_BYTES as u64 + batch_bytes).max(self.options.file_bytes as u64);
        let path = self.files.path(header.file);
        let file = self.files.create(header, bytes).map_err(|error| match error.raw_os_error() {
            _ if is_no_space(&error) => self.no_room(&path, bytes, &error),
            // Of the process or the machine: they pass.
            Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM) => failed("make", &path, &error),
            _ => self.poison(&format!("making {} failed", path.display()), &error),
        })?;
        self.files.set_end(previous);
        if !lock(&self.state).is_torn {
            self.files.cut(previous);
        }
        let begin = Position { file: header.file, offset: FILE_HEADER_BYTES as u32 };
        let mut state = lock(&self.state);
        state.head = Some(Head { file, bytes });
        state.position = begin;
        state.synced = begin;
        state.is_torn = false;
        Ok(())
    }

    /// Makes everything appended so far durable; up to where that is now.
    pub fn sync(&self) -> Result<Position> {
        let _syncing = lock(&self.syncing);
        self.ensure_writable()?;
        self.sync_head()
    }

    /// Only the head can have bytes that are not durable. Called with syncing locked.
    fn sync_head(&self) -> Result<Position> {
        let appended = self.counters.bytes_appended.load(Ordering::Relaxed);
        let (head, position) = {
            let state = lock(&self.state);
            match &state.head {
                Some(head) if state.synced < state.position => (head.clone(), state.position),
                _ => return Ok(state.synced),
            }
        };
        head.file.sync_data().map_err(|error| {
            self.poison(&format!("syncing {} failed", self.files.path(position.file).display()), &error)
        })?;
        lock(&self.state).synced = position;
        self.counters.bytes_synced.fetch_max(appended, Ordering::Relaxed);
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        Ok(position)
    }

    fn no_room(&self, path: &Path, bytes: u64, error: &io::Error) -> StoreError {
        let free = self.files.free_bytes().map_or_else(|_| "?".into(), |bytes| bytes.to_string());
        let path = path.display();
        let message = format!(
            "the disk of the SSD tier is full: no {bytes} bytes for {path}: {error}; {free} bytes are free. Nothing \
             acknowledged is lost; deletes go on as long as the reserve lasts, other writes when there is room again"
        );
        StoreError::new(Code::Full, message)
    }

    pub(super) fn poison(&self, what: &str, error: &io::Error) -> StoreError {
        let message = format!(
            "the value log refuses writes: {what}: {error}; what is on the disk is unknown. Reads go on. When the disk \
             is sound, close the store and open it again; `ramcache doctor` says what it finds then"
        );
        lock(&self.state).poison.get_or_insert(message.clone());
        StoreError::new(Code::Poisoned, message)
    }

    fn ensure_writable(&self) -> Result<()> {
        let state = lock(&self.state);
        match &state.poison {
            Some(message) => Err(StoreError::new(Code::Poisoned, message.clone())),
            None if !state.is_recovered => {
                Err(StoreError::new(Code::Unavailable, "the value log has not been recovered yet"))
            }
            None => Ok(()),
        }
    }
}

/// Writes header and payload, in one call unless the system takes less.
pub(super) fn write_both(file: &File, header: &[u8], payload: &[u8], at: u64) -> io::Result<()> {
    let parts = [header, payload]
        .map(|part| libc::iovec { iov_base: part.as_ptr() as *mut libc::c_void, iov_len: part.len() });
    let written = loop {
        // SAFETY: a descriptor we own; both parts are borrowed until the call is over and only read by it.
        let written = unsafe { libc::pwritev(file.as_raw_fd(), parts.as_ptr(), 2, at as libc::off_t) };
        match io::Error::last_os_error() {
            error if written < 0 && error.kind() == io::ErrorKind::Interrupted => {}
            error if written < 0 => return Err(error),
            _ => break written as usize,
        }
    };
    let header_left = &header[written.min(header.len())..];
    let payload_at = written.max(header.len());
    file.write_all_at(header_left, at + (header.len() - header_left.len()) as u64)?;
    file.write_all_at(&payload[payload_at - header.len()..], at + payload_at as u64)
}
