//! The value log: every persistent change, appended once to preallocated files. Journal and SSD tier in one.
//!
//! It takes packed feed batches and gives back records; it knows neither the arena nor the store. The invariants:
//!
//! - a batch is recovered whole or not at all, and a group is never split over batches;
//! - bytes that were part of a batch are never written again, and a file's number is never used twice;
//! - a file is synced before the next one is begun, so only the last file can have a torn tail;
//! - after a flush that failed nothing more is written: what is on the disk then is unknown.
//!
//! Lock order: appending, syncing, state, log files.

mod change;
mod checkpoint;
mod files;
pub mod format;
mod generation;
mod location;
mod reader;
mod recovery;
mod reserve;
mod saved;
mod sorting;
mod tail;
mod walk;
mod write;

pub use change::{changes_in, LoggedChange};
pub use checkpoint::pack as pack_entry;
pub use checkpoint::{
    Checkpoint, ENTRY_BYTES_MAX, ENTRY_CLEAR, ENTRY_DELETE, ENTRY_HEADER_BYTES, ENTRY_SET, ENTRY_TOUCHED,
};
pub use files::FileInfo;
pub use location::{LogLocation, Position};
pub use reader::{LogPart, LogReader};
pub use recovery::{Changes, Recovery};
pub use saved::{seed_of, Saved};
pub use tail::{TailEntry, TailIndex, TailKey};
pub use walk::Damage;

use crate::error::{Code, Result, StoreError};
use crate::feed::CHANGE_HEADER_BYTES;
use crate::sync::{lock, AtomicU64, Mutex, Ordering};
use files::{failed, read_at, Files};
use format::{Opening, BATCH_HEADER_BYTES, FILE_HEADER_BYTES, PAYLOAD_BYTES_MAX};
use reserve::Reserve;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

pub const FILE_BYTES: u32 = 64 << 20;

/// How a log is opened.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// Of files that are made; a directory with files of another store is refused.
    pub store_id: u64,
    /// Bytes of a file. A batch that does not fit gets a file of its own.
    pub file_bytes: u32,
    /// Bytes of the reserve file; 0 = none.
    pub reserve_bytes: u64,
}

impl LogOptions {
    pub fn new(store_id: u64) -> LogOptions {
        LogOptions { store_id, file_bytes: FILE_BYTES, reserve_bytes: 2 * FILE_BYTES as u64 }
    }
}

/// What a read by location finds.
#[derive(Debug)]
pub enum LogRead<'a> {
    Change(LoggedChange<'a>),
    /// The file has been removed: what was live in it lies elsewhere now, ask the index again.
    Gone,
}

/// Since the log was opened, but for `files`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LogTotals {
    /// Headers of batches included.
    pub bytes_appended: u64,
    pub bytes_synced: u64,
    pub files: u64,
    pub batches: u64,
    pub syncs: u64,
}

#[derive(Clone)]
struct Head {
    file: Arc<File>,
    bytes: u64,
}

struct State {
    /// The file that is appended to. `None` until the first append: every opening begins a file of its own.
    head: Option<Head>,
    position: Position,
    synced: Position,
    poison: Option<String>,
    is_recovered: bool,
    /// What a crash had cut off lies behind the position, kept for whoever wants to look at it.
    is_torn: bool,
}

#[derive(Default)]
struct Counters {
    bytes_appended: AtomicU64,
    bytes_synced: AtomicU64,
    batches: AtomicU64,
    syncs: AtomicU64,
}

pub struct ValueLog {
    files: Files,
    reserve: Reserve,
    options: LogOptions,
    /// LOCK: appending. Held over writes, and by recovery.
    appending: Mutex<()>,
    /// LOCK: syncing. Held over flushes: a failed one is told to one caller only, and the others must hear of it first.
    syncing: Mutex<()>,
    /// LOCK: log state. Never held over a system call.
    state: Mutex<State>,
    counters: Counters,
}

/// The store whose log lies in a directory; `None` when no file says so.
pub fn store_id_of(dir: &Path) -> Result<Option<u64>> {
    let files = Files::open(dir)?;
    let mut ids = files.list().into_iter().filter_map(|file| match file.opening {
        Opening::Whole(header) => Some(header.store_id),
        _ => None,
    });
    Ok(ids.next_back())
}

impl ValueLog {
    /// Opens a directory. [`ValueLog::recover`] comes next; nothing can be appended before.
    pub fn open(dir: &Path, options: LogOptions) -> Result<ValueLog> {
        let least = (FILE_HEADER_BYTES + BATCH_HEADER_BYTES) as u32;
        if options.file_bytes < least {
            let message = format!("files of {} bytes, the least is {least}", options.file_bytes);
            return Err(StoreError::new(Code::Config, message));
        }
        let files = Files::open(dir)?;
        // What was made last may have been stopped before it was ready; the file before it is the last one then.
        while let Some(blank) = files.last().filter(|last| last.opening == Opening::Blank) {
            if walk::has_batches(&files, options.store_id, &blank) || !files.remove(blank.number)? {
                break;
            }
        }
        for file in files.list() {
            match file.opening {
                Opening::Whole(header) if header.store_id != options.store_id => {
                    let path = files.path(file.number);
                    let message = format!(
                        "{} belongs to store {:016x}, not to {:016x}",
                        path.display(),
                        header.store_id,
                        options.store_id
                    );
                    return Err(StoreError::new(Code::Corrupt, message));
                }
                _ => {}
            }
        }
        let state = State {
            head: None,
            position: Position::START,
            synced: Position::START,
            poison: None,
            is_recovered: false,
            is_torn: false,
        };
        let log = ValueLog {
            reserve: Reserve::new(&files, options.reserve_bytes),
            files,
            options,
            appending: Mutex::new(()),
            syncing: Mutex::new(()),
            state: Mutex::new(state),
            counters: Counters::default(),
        };
        log.restore_reserve()?;
        Ok(log)
    }

    /// Where the next batch goes, at the earliest.
    pub fn position(&self) -> Position {
        lock(&self.state).position
    }

    /// Everything before this is durable.
    pub fn synced(&self) -> Position {
        lock(&self.state).synced
    }

    pub fn is_poisoned(&self) -> bool {
        lock(&self.state).poison.is_some()
    }

    /// The change at a location, verified; its bytes stay in `buffer`.
    pub fn read<'b>(&self, location: LogLocation, buffer: &'b mut Vec<u8>) -> Result<LogRead<'b>> {
        read_change(&self.files, location, buffer)
    }

    /// Bytes of a file, unless a batch is larger.
    pub fn file_bytes(&self) -> u64 {
        self.options.file_bytes as u64
    }

    /// All files, the oldest first.
    pub fn files(&self) -> Vec<FileInfo> {
        self.files.list()
    }

    /// Removes a file whose live changes lie elsewhere, durably and in a synced index. False when there is no such file.
    /// The newest one stays, or its number would be used again.
    pub fn remove(&self, file: u32) -> Result<bool> {
        if self.files.last().is_some_and(|last| last.number == file) {
            let message = format!("{} is the newest file of the log", self.files.path(file).display());
            return Err(StoreError::new(Code::Config, message));
        }
        self.files.remove(file)
    }

    /// Bytes that may still be allocated in the file system.
    pub fn free_bytes(&self) -> Result<u64> {
        self.files.free_bytes()
    }

    /// Whether the reserve file is there.
    pub fn has_reserve(&self) -> bool {
        self.reserve.is_held()
    }

    /// Gives up the reserve file so that a delete or a drain finds room on a full disk. False when it was given up before.
    pub fn give_up_reserve(&self) -> Result<bool> {
        self.reserve.give_up()
    }

    /// Makes the reserve file again when that leaves as much space free. Whether it is there now.
    pub fn restore_reserve(&self) -> Result<bool> {
        self.reserve.restore(&self.files)
    }

    pub fn totals(&self) -> LogTotals {
        LogTotals {
            bytes_appended: self.counters.bytes_appended.load(Ordering::Relaxed),
            bytes_synced: self.counters.bytes_synced.load(Ordering::Relaxed),
            files: self.files.list().len() as u64,
            batches: self.counters.batches.load(Ordering::Relaxed),
            syncs: self.counters.syncs.load(Ordering::Relaxed),
        }
    }
}

fn read_change<'b>(files: &Files, location: LogLocation, buffer: &'b mut Vec<u8>) -> Result<LogRead<'b>> {
    let corrupt = |what: &str| {
        let path = files.path(location.file);
        StoreError::new(Code::Corrupt, format!("{} at offset {}: {what}", path.display(), location.offset))
    };
    let (file, length) = match files.handle(location.file) {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(LogRead::Gone),
        Err(error) => return Err(failed("open", &files.path(location.file), &error)),
    };
    if (location.bytes as usize) < CHANGE_HEADER_BYTES || location.bytes as usize > PAYLOAD_BYTES_MAX {
        return Err(corrupt("a location of an impossible length"));
    }
    if location.offset as u64 + location.bytes as u64 > length {
        return Err(corrupt("a location past the end of the file"));
    }
    buffer.resize(location.bytes as usize, 0);
    let read = read_at(&file, buffer, location.offset as u64)
        .map_err(|error| failed("read", &files.path(location.file), &error))?;
    let change = LoggedChange::parse(&buffer[..read], location.position()).map_err(corrupt)?;
    if change.location != location {
        return Err(corrupt("a change of another length"));
    }
    Ok(LogRead::Change(change))
}
