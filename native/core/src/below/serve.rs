//! Answering for the tiers below: from the log's own index where that knows the key, else from the row that the
//! index of the tier gave.

use super::{Answer, Below, Miss, Purpose};
use crate::error::{Code, StoreError};
use crate::log::{LogLocation, LogRead};
use crate::namespaces;
use crate::record::Header;
use crate::store::Store;
use crate::sync::{AtomicU64, Ordering};

/// A value that was read: its record, and the value behind it when that lay in runs.
struct Found {
    record: Vec<u8>,
    record_bytes: usize,
    header: Header,
}

/// What reading a place in the log came to.
enum Read {
    Found(Found),
    /// Deleted, expired, cleared, or another key's.
    Nothing,
    /// The file has been drained away: the index knows the new place.
    Moved,
    Failed(StoreError),
}

impl Store {
    /// Answers the questions that the log's own index can; gives back the others, which are for the index below.
    pub fn serve_from_tail(&self, misses: Vec<Miss>) -> Vec<Miss> {
        let Some(below) = self.below() else { return misses };
        let mut rest = Vec::new();
        let mut answers = Vec::new();
        for miss in misses {
            match below.find_in_tail(&miss) {
                None => rest.push(miss),
                Some(place) => match self.answer_at(below, &miss, place) {
                    Some(answer) => answers.push((miss.id, answer)),
                    // Only a file that the index has let go of is removed, so it has the place it moved to.
                    None => rest.push(miss),
                },
            }
        }
        below.misses.await_rows(&rest);
        below.misses.answer(answers);
        rest
    }

    /// Answers questions by the rows the index has for them; `None` for a key it does not have.
    pub fn serve_rows(&self, rows: Vec<(u64, Option<LogLocation>)>) {
        let Some(below) = self.below() else { return };
        let mut answers = Vec::new();
        for (id, row) in rows {
            let Some(miss) = below.misses.take_awaited(id) else { continue };
            match self.answer_at(below, &miss, row) {
                Some(answer) => answers.push((id, answer)),
                // A drain removes a file after the index has the new places: the same place again is damage.
                None if miss.gone == row => answers.push((id, Answer::Failed(lost(row)))),
                None => below.misses.ask_again(Miss { gone: row, ..miss }),
            }
        }
        below.misses.answer(answers);
    }

    /// `None` when the place is no more.
    fn answer_at(&self, below: &Below, miss: &Miss, place: Option<LogLocation>) -> Option<Answer> {
        let read = match place {
            None => Read::Nothing,
            Some(place) => self.read_below(below, miss, place),
        };
        Some(match read {
            Read::Moved => return None,
            Read::Failed(error) => Answer::Failed(error),
            Read::Nothing => self.answer_absent(miss),
            Read::Found(found) => self.answer_found(below, miss, found),
        })
    }

    fn read_below(&self, below: &Below, miss: &Miss, place: LogLocation) -> Read {
        let mut bytes = Vec::new();
        let change = match below.log.read(place, &mut bytes) {
            Ok(LogRead::Change(change)) => change,
            Ok(LogRead::Gone) => return Read::Moved,
            Err(error) => return Read::Failed(error),
        };
        let header = change.header;
        let is_same = header.namespace == miss.namespace && change.key() == miss.key;
        let is_dead = header.is_tombstone()
            || change.is_value_gone()
            || header.clock <= namespaces::epoch(&self.arena, header.namespace)
            || header.is_expired(self.arena.expiry_now_ms());
        if !is_same || is_dead {
            return Read::Nothing;
        }
        let record_bytes = change.record.len();
        let record = [change.record, change.run].concat();
        Read::Found(Found { record, record_bytes, header })
    }

    fn answer_absent(&self, miss: &Miss) -> Answer {
        match miss.purpose {
            // Nothing was found, but something may have moved up or come new meanwhile.
            Purpose::Read | Purpose::Look if !self.tokens.is_unchanged(miss.hash, miss.token) => {
                Answer::AskAgain
            }
            Purpose::Read | Purpose::Look => Answer::Absent,
            Purpose::Resolve => match self.promote_absence(miss.namespace, &miss.key, miss.token) {
                Ok(_) => Answer::AskAgain,
                Err(error) => Answer::Failed(error),
            },
        }
    }

    fn answer_found(&self, below: &Below, miss: &Miss, found: Found) -> Answer {
        let Found { record, record_bytes, .. } = &found;
        // A read extends a sliding expiry, which RAM alone can; also after another try.
        let is_sliding =
            found.header.idle_ms != 0 && found.header.value_bytes as usize <= self.value_bytes_max();
        let is_wanted = match miss.purpose {
            Purpose::Resolve => true,
            Purpose::Read => is_sliding || below.is_second_touch(miss.hash, self.arena.expiry_now_ms()),
            Purpose::Look => false,
        };
        let promoted = match is_wanted {
            true => self.promote(record, *record_bytes, miss.token),
            false => Ok(false),
        };
        if promoted == Ok(true) {
            below.counts.promoted.fetch_add(1, Ordering::Relaxed);
        }
        match (miss.purpose, promoted) {
            (Purpose::Read, Ok(_)) if is_sliding => Answer::AskAgain,
            // The value is good all the same.
            (Purpose::Read | Purpose::Look, _) => {
                Answer::Found { record: found.record, record_bytes: found.record_bytes }
            }
            (Purpose::Resolve, Ok(_)) => Answer::AskAgain,
            (Purpose::Resolve, Err(error)) => Answer::Failed(error),
        }
    }
}

fn lost(row: Option<LogLocation>) -> StoreError {
    let place =
        row.map_or_else(String::new, |row| format!(" file {:08x} at offset {}", row.file, row.offset));
    StoreError::new(Code::Corrupt, format!("the index leads to{place} of the log, and there is no such file"))
}

/// Remembers which cold keys were read lately, a few bits of each, in a table that forgets by overwriting.
pub struct Touches {
    marks: Vec<AtomicU64>,
}

/// Reads of a cold key this close together are a second touch.
const WINDOW_MS: u64 = 60_000;

impl Touches {
    /// `slots`: a power of two.
    pub fn new(slots: usize) -> Touches {
        Touches { marks: (0..slots).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Whether the key was touched within the window before; it has been now. A mark is 24 bits of the hash above 40
    /// bits of milliseconds.
    pub fn touch(&self, hash: u64, now_ms: u64) -> bool {
        const TIME: u64 = (1 << 40) - 1;
        let mark = &self.marks[hash as usize & (self.marks.len() - 1)];
        let before = mark.swap(hash & !TIME | now_ms & TIME, Ordering::Relaxed);
        before & !TIME == hash & !TIME && (now_ms & TIME).wrapping_sub(before & TIME) & TIME <= WINDOW_MS
    }

    pub fn heap_bytes(&self) -> usize {
        self.marks.len() * size_of::<AtomicU64>()
    }
}
