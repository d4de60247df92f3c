//! Reading the log from a position on: after a start to its end, later over a stretch of it.

use super::change::{changes_in, LoggedChange};
use super::files::{failed, read_at, Files};
use super::format::{BATCH_HEADER_BYTES, FILE_HEADER_BYTES};
use super::location::Position;
use super::walk::{Damage, Walk};
use super::ValueLog;
use crate::error::{Code, Result, StoreError};
use crate::sync::lock;

/// What a recovery has found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Recovery {
    pub batches: u64,
    pub changes: u64,
    pub bytes: u64,
    /// Batches that were durable and are lost.
    pub damage: Vec<Damage>,
    /// Where a crash had cut the log off; what lies behind was never durable and is dropped.
    pub torn: Option<Position>,
    /// The end of the log.
    pub end: Position,
}

/// Bytes before the end of the log that must be the same for it to be the same end.
const PRINT_BYTES: usize = 4096;

/// An end of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ending {
    pub at: Position,
    /// CRC-32 of what stands before it.
    pub print: u32,
}

/// The changes of a stretch of the log, batch by batch.
pub struct Changes<'a> {
    walk: Walk<'a>,
    arena_id: u64,
}

impl<'a> Changes<'a> {
    pub(super) fn of(files: &'a Files, store_id: u64, from: Position, to: Option<Position>) -> Changes<'a> {
        Changes { walk: Walk::new(files, store_id, from, to), arena_id: 0 }
    }
}

impl Changes<'_> {
    /// The next batch that checks, as its arena and its changes. An iterator cannot lend its buffer; this can.
    pub fn next_batch(&mut self) -> Option<(u64, impl Iterator<Item = LoggedChange<'_>>)> {
        let at = loop {
            let header = self.walk.next()?;
            self.arena_id = header.arena_id;
            let at = Position { offset: header.at.offset + BATCH_HEADER_BYTES as u32, ..header.at };
            match changes_in(&self.walk.payload, at).find_map(|change| change.err()) {
                // The checksum of the batch holds, so it was written like this.
                Some(message) => self.walk.damage.push(Damage { at, message: message.into() }),
                None => break at,
            }
        };
        Some((self.arena_id, changes_in(&self.walk.payload, at).flatten()))
    }

    /// Behind the last batch.
    pub fn end(&self) -> Position {
        self.walk.end
    }

    /// Where a crash had cut the log off, once the walk has got there.
    pub(super) fn torn(&self) -> Option<Position> {
        self.walk.torn
    }

    /// What was passed over until now.
    pub fn damage(&self) -> &[Damage] {
        &self.walk.damage
    }
}

impl ValueLog {
    /// Gives every change from a position on (of a committed checkpoint, or [`Position::START`]), with the arena it
    /// comes from, and finds the end of the log. Once, before anything is appended.
    pub fn recover(&self, from: Position, mut each: impl FnMut(u64, &LoggedChange)) -> Result<Recovery> {
        let _appending = lock(&self.appending);
        let _syncing = lock(&self.syncing);
        if lock(&self.state).is_recovered {
            return Err(StoreError::new(Code::Unavailable, "the value log has been recovered already"));
        }
        let mut found = Recovery::default();
        let mut changes = Changes::of(&self.files, self.options.store_id, from, None);
        while let Some((arena_id, batch)) = changes.next_batch() {
            found.batches += 1;
            for change in batch {
                found.changes += 1;
                found.bytes += change.location.bytes as u64;
                each(arena_id, &change);
            }
        }
        let walk = changes.walk;
        found.damage = walk.damage;
        found.torn = walk.torn;
        found.end = walk.end;
        self.settle(from, &mut found)?;
        let mut state = lock(&self.state);
        state.position = found.end;
        state.synced = found.end;
        state.is_torn = found.torn.is_some();
        state.is_recovered = true;
        Ok(found)
    }

    /// Where the log ends, and what stands there, for [`ValueLog::resume`]. Everything before is durable when it returns.
    /// `None` when the end cannot be told by what stands there: behind it lies what a crash had cut off.
    pub(super) fn ending(&self) -> Result<Option<Ending>> {
        self.sync()?;
        let at = self.position();
        if lock(&self.state).is_torn {
            return Ok(None);
        }
        Ok(self.print_before(at).map(|print| Ending { at, print }))
    }

    /// Takes over where [`ValueLog::ending`] was, without reading what lies before: in place of [`ValueLog::recover`].
    /// False, and nothing is done, when the log does not end exactly there.
    pub(super) fn resume(&self, ending: Ending) -> Result<bool> {
        let _appending = lock(&self.appending);
        let _syncing = lock(&self.syncing);
        if lock(&self.state).is_recovered || self.print_before(ending.at) != Some(ending.print) {
            return Ok(false);
        }
        self.settle(ending.at, &mut Recovery { end: ending.at, ..Recovery::default() })?;
        let mut state = lock(&self.state);
        state.position = ending.at;
        state.synced = ending.at;
        state.is_recovered = true;
        Ok(true)
    }

    /// What stands before the end of the log; `None` when that is not the end.
    fn print_before(&self, end: Position) -> Option<u32> {
        let last = self.files.last();
        if last.as_ref().map_or(0, |last| last.number) != end.file {
            return None;
        }
        let Some(last) = last else { return (end == Position::START).then_some(0) };
        let (file, length) = self.files.handle(last.number).ok()??;
        let begin = (end.offset as usize).saturating_sub(PRINT_BYTES);
        let mut bytes = [0; PRINT_BYTES + BATCH_HEADER_BYTES];
        let read = read_at(&file, &mut bytes, begin as u64).ok()?;
        let printed = end.offset as usize - begin;
        // A file that is shorter does not end here; bytes behind are of a batch that came later, or of a crash.
        let is_end = end.offset as u64 <= length
            && (FILE_HEADER_BYTES..=read).contains(&printed)
            && bytes[printed..read].iter().all(|byte| *byte == 0);
        is_end.then(|| crc32fast::hash(&bytes[..printed]))
    }

    /// Makes durable what was found: it may be in the page cache only, and the next file will say that it is safe.
    fn settle(&self, from: Position, found: &mut Recovery) -> Result<()> {
        let last = self.files.last();
        if from.file > last.map_or(0, |last| last.number)
            || last.is_some_and(|last| from.file == last.number && from.offset as u64 > last.bytes)
        {
            let message = format!("the log ends before {from}, where a checkpoint says it was");
            found.damage.push(Damage { at: from, message });
        }
        let Some(last) = last else { return Ok(()) };
        let path = self.files.path(last.number);
        let file = self.files.handle(last.number).map_err(|error| failed("open", &path, &error))?;
        if let Some((file, _)) = file {
            file.sync_data()
                .map_err(|error| self.poison(&format!("syncing {} failed", path.display()), &error))?;
        }
        self.files.set_end(found.end);
        Ok(())
    }

    /// The changes between two positions that were ends of batches: a stretch that has been recovered or synced.
    pub fn changes(&self, from: Position, to: Position) -> Changes<'_> {
        Changes::of(&self.files, self.options.store_id, from, Some(to))
    }
}
