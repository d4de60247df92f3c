//! Reading a log without being the one who writes it: for checks. Nothing in the directory is changed, and what a start
//! would cut off or remove is only reported.

use super::checkpoint::pack as pack_entry;
use super::files::{read_at, FileInfo, Files};
use super::format::{BatchHeader, Opening, BATCH_HEADER_BYTES};
use super::location::{LogLocation, Position};
use super::recovery::Changes;
use super::walk::{has_batches, Damage};
use super::{read_change, LogRead};
use crate::error::Result;
use std::path::Path;

pub struct LogReader {
    files: Files,
    store_id: u64,
}

/// A stretch of the log, batch by batch.
#[derive(Debug)]
pub struct LogPart {
    /// Its changes as entries (`log/checkpoint.rs`), in the order of the log; without those whose value is gone.
    pub entries: Vec<u8>,
    pub batches: u64,
    pub changes: u64,
    /// Bytes of changes.
    pub bytes: u64,
    pub damage: Vec<Damage>,
    /// Where a crash had cut the log off.
    pub torn: Option<Position>,
    /// Where the next part begins, or the log ends.
    pub next: Position,
    pub is_end: bool,
}

impl LogReader {
    /// `ERR_RAMCACHE_CORRUPT` when a newer version has written any of the files.
    pub fn open(dir: &Path) -> Result<LogReader> {
        let files = Files::open(dir)?;
        let store_id = ids(&files).next_back().map_or(0, |(_, id)| id);
        // What was made last may have been stopped before it was ready: a start removes it.
        while let Some(blank) = files.last().filter(|last| last.opening == Opening::Blank) {
            if has_batches(&files, store_id, &blank) {
                break;
            }
            files.forget(blank.number);
        }
        Ok(LogReader { files, store_id })
    }

    pub fn store_id(&self) -> u64 {
        self.store_id
    }

    /// All files, the oldest first.
    pub fn files(&self) -> Vec<FileInfo> {
        self.files.list()
    }

    /// Files that say they belong to another store: a log that has one is refused at the start.
    pub fn strangers(&self) -> Vec<u32> {
        ids(&self.files).filter(|(_, id)| *id != self.store_id).map(|(number, _)| number).collect()
    }

    /// Batches from a position on until `bytes_max` is reached. Up to `to` everything was durable; without it the log is
    /// read to its end, and what a crash may have cut off is told from damage.
    pub fn read_part(&self, from: Position, to: Option<Position>, bytes_max: usize) -> LogPart {
        let mut part = LogPart {
            entries: Vec::new(),
            batches: 0,
            changes: 0,
            bytes: 0,
            damage: Vec::new(),
            torn: None,
            next: from,
            is_end: true,
        };
        let mut changes = Changes::of(&self.files, self.store_id, from, to);
        while let Some((_, batch)) = changes.next_batch() {
            part.batches += 1;
            for change in batch {
                part.changes += 1;
                part.bytes += change.location.bytes as u64;
                if !change.is_value_gone() {
                    pack_entry(&change, &mut part.entries);
                }
            }
            if part.bytes >= bytes_max as u64 {
                part.is_end = false;
                break;
            }
        }
        part.damage = changes.damage().to_vec();
        part.torn = changes.torn();
        part.damage.extend(part.torn.and_then(|torn| self.cut_at(torn)));
        part.next = changes.end();
        part
    }

    /// A crash leaves a file as long as it was made: one that ends inside a batch was cut by something else.
    fn cut_at(&self, torn: Position) -> Option<Damage> {
        let (file, bytes) = self.files.handle(torn.file).ok()??;
        let mut head = [0; BATCH_HEADER_BYTES];
        let read = read_at(&file, &mut head, torn.offset as u64).ok()?;
        let is_cut = match BatchHeader::decode(&head[..read], self.store_id, torn) {
            Some(header) => header.end() > bytes,
            None => read < BATCH_HEADER_BYTES && head.iter().any(|byte| *byte != 0),
        };
        let message =
            format!("{} ends inside a batch, at {bytes} bytes", self.files.path(torn.file).display());
        is_cut.then_some(Damage { at: torn, message })
    }

    /// The change at a location, as `ValueLog::read`.
    pub fn read<'b>(&self, location: LogLocation, buffer: &'b mut Vec<u8>) -> Result<LogRead<'b>> {
        read_change(&self.files, location, buffer)
    }
}

fn ids(files: &Files) -> impl DoubleEndedIterator<Item = (u32, u64)> {
    files.list().into_iter().filter_map(|file| match file.opening {
        Opening::Whole(header) => Some((file.number, header.store_id)),
        _ => None,
    })
}
