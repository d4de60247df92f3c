//! Entries sorted by key in bounded memory: chunks are sorted one by one and, when there is more than one, written as
//! runs to one anonymous temporary file beside the log, then merged while they are taken.
//!
//! A run is a sequence of blocks, each with whole entries (`checkpoint.rs`), at least one:
//!
//! ```text
//! u32 bytes of the entries | u32 CRC-32 of them | entries
//! ```
//!
//! Nothing of it outlives the process. A disk without room is no failure: the entries stay in memory then.

use super::checkpoint::{entry_at, key_of};
use super::files::{failed, is_no_space, read_at};
use super::write::write_both;
use super::ValueLog;
use crate::error::{Code, Result, StoreError};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const BLOCK_HEADER_BYTES: usize = 8;
/// Entries of one block: as much is held of each run while runs are merged. A last entry may reach beyond.
const BLOCK_BYTES: usize = 16 << 10;
const BLOCK_BYTES_MAX: usize = BLOCK_BYTES + super::ENTRY_BYTES_MAX;

/// Takes entries in any order.
pub(super) struct Sorter<'a> {
    log: &'a ValueLog,
    chunk_bytes: usize,
    bytes: Vec<u8>,
    /// Where the entries of the chunk begin.
    order: Vec<usize>,
    file: Option<RunFile>,
    count: usize,
}

/// Entries in the order of their keys.
#[derive(Debug)]
pub(super) enum Sorted {
    Chunk { bytes: Vec<u8>, order: Vec<usize>, taken: usize },
    Runs(Merge),
}

#[derive(Debug)]
struct RunFile {
    path: PathBuf,
    file: File,
    /// Where each run ends; the first one begins at 0.
    ends: Vec<u64>,
}

/// The runs of a file, each at its next entry.
#[derive(Debug)]
pub(super) struct Merge {
    path: PathBuf,
    file: File,
    /// Those that are not at their end, the one with the least key last.
    cursors: Vec<Cursor>,
}

#[derive(Debug, Default)]
struct Cursor {
    block: Vec<u8>,
    /// Where the next entry begins in the block.
    at: usize,
    /// Where the next block begins, and the run ends.
    next: u64,
    end: u64,
}

impl<'a> Sorter<'a> {
    pub fn new(log: &'a ValueLog, chunk_bytes: usize) -> Sorter<'a> {
        Sorter { log, chunk_bytes, bytes: Vec::new(), order: Vec::new(), file: None, count: 0 }
    }

    /// Adds what `pack` appends: one entry.
    pub fn push(&mut self, pack: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let held = self.bytes.len() + self.order.len() * size_of::<usize>();
        if held >= self.chunk_bytes {
            self.write_run()?;
        }
        self.order.push(self.bytes.len());
        pack(&mut self.bytes);
        self.count += 1;
        Ok(())
    }

    pub fn count(&self) -> usize {
        self.count
    }

    pub fn finish(mut self) -> Result<Sorted> {
        if self.file.is_some() {
            self.write_run()?;
        }
        // What found no room on the disk is merged from memory: there is one chunk more than runs, or only that.
        self.sort();
        let Some(RunFile { path, file, ends }) = self.file else {
            return Ok(Sorted::Chunk { bytes: self.bytes, order: self.order, taken: 0 });
        };
        let mut merge = Merge { path, file, cursors: Vec::with_capacity(ends.len() + 1) };
        let mut begin = 0;
        for end in ends {
            let cursor = Cursor { next: begin, end, ..Cursor::default() };
            begin = end;
            merge.advance(cursor)?;
        }
        let mut block = Vec::with_capacity(self.bytes.len());
        for at in &self.order {
            block.extend_from_slice(&self.bytes[entry_at(&self.bytes, *at)]);
        }
        merge.advance(Cursor { block, ..Cursor::default() })?;
        Ok(Sorted::Runs(merge))
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.order.sort_unstable_by(|one, other| key_of(bytes, *one).cmp(key_of(bytes, *other)));
    }

    /// Writes the chunk as a run. Without room for it the chunk grows instead: a checkpoint is what makes room.
    fn write_run(&mut self) -> Result<()> {
        // The last space is for the log: it is refused here before an append would be.
        if self.log.free_bytes()? < 2 * (self.log.file_bytes() + self.bytes.len() as u64) {
            self.chunk_bytes *= 2;
            return Ok(());
        }
        self.sort();
        let path = self.log.files.dir().join("runs");
        let mut file = match self.file.take() {
            Some(file) => file,
            None => RunFile {
                file: anonymous(&path).map_err(|error| failed("make", &path, &error))?,
                path,
                ends: Vec::new(),
            },
        };
        let written = file.write(&self.bytes, &self.order);
        self.file = Some(file).filter(|file| !file.ends.is_empty());
        match written {
            Ok(()) => {
                self.bytes.clear();
                self.order.clear();
                Ok(())
            }
            Err(error) if is_no_space(&error) => {
                self.chunk_bytes *= 2;
                Ok(())
            }
            Err(error) => Err(failed("write", &self.log.files.dir().join("runs"), &error)),
        }
    }
}

impl RunFile {
    fn write(&mut self, bytes: &[u8], order: &[usize]) -> io::Result<()> {
        let begin = self.ends.last().copied().unwrap_or(0);
        let mut end = begin;
        let mut block = Vec::with_capacity(BLOCK_BYTES_MAX.min(bytes.len()));
        let mut rest = order.iter().peekable();
        while let Some(at) = rest.next() {
            block.extend_from_slice(&bytes[entry_at(bytes, *at)]);
            if block.len() < BLOCK_BYTES && rest.peek().is_some() {
                continue;
            }
            let mut header = [0; BLOCK_HEADER_BYTES];
            header[..4].copy_from_slice(&(block.len() as u32).to_le_bytes());
            header[4..].copy_from_slice(&crc32fast::hash(&block).to_le_bytes());
            write_both(&self.file, &header, &block, end)?;
            end += (BLOCK_HEADER_BYTES + block.len()) as u64;
            block.clear();
        }
        self.ends.push(end);
        Ok(())
    }
}

impl Sorted {
    /// Appends the next entry to `out`; false at the end.
    pub fn take(&mut self, out: &mut Vec<u8>) -> Result<bool> {
        match self {
            Sorted::Chunk { bytes, order, taken } => {
                let Some(at) = order.get(*taken) else {
                    // Whoever holds this may not drop it for long.
                    (*bytes, *order) = (Vec::new(), Vec::new());
                    return Ok(false);
                };
                out.extend_from_slice(&bytes[entry_at(bytes, *at)]);
                *taken += 1;
                Ok(true)
            }
            Sorted::Runs(merge) => {
                let Some(mut cursor) = merge.cursors.pop() else { return Ok(false) };
                let entry = entry_at(&cursor.block, cursor.at);
                out.extend_from_slice(&cursor.block[entry.clone()]);
                cursor.at = entry.end;
                merge.advance(cursor)?;
                Ok(true)
            }
        }
    }
}

impl Merge {
    /// Puts a cursor at its next entry, and among the others; at the end of its run it goes.
    fn advance(&mut self, mut cursor: Cursor) -> Result<()> {
        if cursor.at == cursor.block.len() {
            if cursor.next == cursor.end {
                return Ok(());
            }
            self.read_block(&mut cursor)?;
        }
        let place = self.cursors.partition_point(|other| other.key() > cursor.key());
        self.cursors.insert(place, cursor);
        Ok(())
    }

    fn read_block(&self, cursor: &mut Cursor) -> Result<()> {
        let mut header = [0; BLOCK_HEADER_BYTES];
        self.read(&mut header, cursor.next)?;
        let word = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
        let bytes = word(0) as usize;
        let begin = cursor.next + BLOCK_HEADER_BYTES as u64;
        cursor.next = begin + bytes as u64;
        if !(1..=BLOCK_BYTES_MAX).contains(&bytes) || cursor.next > cursor.end {
            return Err(self.corrupt("a block of an impossible length"));
        }
        cursor.block.resize(bytes, 0);
        self.read(&mut cursor.block, begin)?;
        if crc32fast::hash(&cursor.block) != word(4) {
            return Err(self.corrupt("the checksum of a block does not match"));
        }
        cursor.at = 0;
        Ok(())
    }

    fn read(&self, into: &mut [u8], at: u64) -> Result<()> {
        match read_at(&self.file, into, at) {
            Ok(read) if read == into.len() => Ok(()),
            Ok(_) => Err(self.corrupt("it ends too early")),
            Err(error) => Err(failed("read", &self.path, &error)),
        }
    }

    fn corrupt(&self, what: &str) -> StoreError {
        StoreError::new(Code::Corrupt, format!("the sorted runs in {}: {what}", self.path.display()))
    }
}

impl Cursor {
    fn key(&self) -> &[u8] {
        key_of(&self.block, self.at)
    }
}

/// A file without a name. `path` is what it has for a moment where the file system knows no others; one that a crash
/// has left there is used.
fn anonymous(path: &Path) -> io::Result<File> {
    let dir = path.parent().expect("in a directory");
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    match options.clone().custom_flags(libc::O_TMPFILE).open(dir) {
        Err(error)
            if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EISDIR | libc::EINVAL)) => {}
        made => return made,
    }
    let file = options.create(true).truncate(true).open(path)?;
    fs::remove_file(path)?;
    Ok(file)
}
