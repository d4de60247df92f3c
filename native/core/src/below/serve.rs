//! Answering for the tiers below: from the log's own index where that knows the key, else from the row that the
//! index of the tier gave, else from what the tier below that one has.

use super::{Answer, Below, Miss, Purpose, Tier};
use crate::error::{Code, StoreError};
use crate::log::{LogLocation, LogRead};
use crate::namespaces;
use crate::ops::RecordAt;
use crate::record::Header;
use crate::store::Store;
use crate::sync::Ordering;

/// What the index below knows of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Row {
    /// Nothing: a lower tier may know more.
    None,
    /// A delete: whatever a lower tier has is out of date.
    Dead,
    At(LogLocation),
}

/// A value that was read: its record, and the value behind it when that lay in runs.
struct Found {
    record: Vec<u8>,
    record_bytes: usize,
    header: Header,
    tier: Tier,
}

/// What reading a place in the log came to.
enum Read {
    Found(Found),
    /// Deleted, expired, cleared, invalidated, or another key's.
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
    pub fn serve_rows(&self, rows: Vec<(u64, Row)>) {
        let Some(below) = self.below() else { return };
        let mut answers = Vec::new();
        let mut passed = Vec::new();
        for (id, row) in rows {
            let Some(miss) = below.misses.take_awaited(id) else { continue };
            let place = match row {
                Row::None if below.has_lower => {
                    passed.push(miss);
                    continue;
                }
                Row::None | Row::Dead => None,
                Row::At(place) => Some(place),
            };
            match self.answer_at(below, &miss, place) {
                Some(answer) => answers.push((id, answer)),
                // A drain removes a file after the index has the new places: the same place again is damage.
                None if miss.gone == place => answers.push((id, Answer::Failed(lost(place)))),
                None => below.misses.ask_again(Miss { gone: place, ..miss }),
            }
        }
        below.misses.answer(answers);
        below.misses.pass_down(passed);
    }

    /// Answers a question by the record that the tier below the SSD tier has for its key, with the value behind it when
    /// that lay in runs; `None` when it has none.
    pub fn serve_record(&self, id: u64, record: Option<&[u8]>) {
        let Some(below) = self.below() else { return };
        let Some(miss) = below.misses.take_awaited(id) else { return };
        let read = match record {
            None => Read::Nothing,
            Some(bytes) => self.judge_stored(&miss, bytes),
        };
        let answer = match read {
            Read::Failed(error) => Answer::Failed(error),
            Read::Nothing | Read::Moved => self.answer_absent(&miss),
            Read::Found(found) => self.answer_found(below, &miss, found),
        };
        below.misses.answer(vec![(id, answer)]);
    }

    fn judge_stored(&self, miss: &Miss, bytes: &[u8]) -> Read {
        let Some(header) = stored_header(bytes) else {
            let message = "the HDD tier has bytes that are no record".to_owned();
            return Read::Failed(StoreError::new(Code::Corrupt, message));
        };
        let record_bytes = header.record_bytes();
        let key = &bytes[header.key_at as usize..header.value_at()];
        if header.namespace != miss.namespace
            || key != miss.key
            || self.is_dead(&header, RecordAt::Bytes(bytes))
        {
            return Read::Nothing;
        }
        Read::Found(Found { record: bytes.to_vec(), record_bytes, header, tier: Tier::Hdd })
    }

    /// Whether a record that a lower tier has in a version of a namespace is cleared, expired or invalidated.
    pub fn is_dead_below(&self, namespace: u32, version: u64, expires_at: u64, record: &[u8]) -> bool {
        let is_expired = expires_at != 0 && expires_at <= self.arena.expiry_now_ms();
        let is_invalidated = || {
            stored_header(record).is_some_and(|header| self.is_invalidated(&header, RecordAt::Bytes(record)))
        };
        is_expired || version <= namespaces::epoch(&self.arena, namespace) || is_invalidated()
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
        let is_gone = change.is_value_gone() || below.is_of_the_past(&change);
        if !is_same || is_gone || self.is_dead(&header, RecordAt::Bytes(change.record)) {
            return Read::Nothing;
        }
        let record_bytes = change.record.len();
        let record = [change.record, change.run].concat();
        Read::Found(Found { record, record_bytes, header, tier: Tier::Ssd })
    }

    fn answer_absent(&self, miss: &Miss) -> Answer {
        match miss.purpose {
            // Nothing was found, but something may have moved up or come new meanwhile.
            Purpose::Read | Purpose::Look if !self.tokens.is_unchanged(miss.hash, miss.token) => {
                Answer::AskAgain
            }
            Purpose::Read | Purpose::Look | Purpose::Warm => Answer::Absent,
            Purpose::Resolve => match self.promote_absence(miss.namespace, &miss.key, miss.token) {
                Ok(_) => Answer::AskAgain,
                Err(error) => Answer::Failed(error),
            },
        }
    }

    fn answer_found(&self, below: &Below, miss: &Miss, found: Found) -> Answer {
        // Within its grace it is there for who asks RAM for a stale value, and for nobody else.
        if matches!(miss.purpose, Purpose::Read | Purpose::Look) && self.is_stale(&found.header) {
            return self.answer_absent(miss);
        }
        let Found { record, record_bytes, tier, .. } = &found;
        if miss.purpose == Purpose::Read {
            below.recency.touch(miss.hash);
        }
        // A read extends a sliding expiry, which RAM alone can; also after another try.
        let is_sliding =
            found.header.idle_ms != 0 && found.header.value_bytes as usize <= self.value_bytes_max();
        let is_wanted = match miss.purpose {
            Purpose::Resolve => true,
            Purpose::Read => is_sliding || below.is_second_touch(miss.hash, self.arena.expiry_now_ms()),
            Purpose::Look => false,
            Purpose::Warm => self.is_worth_warming(miss),
        };
        let promoted = match is_wanted {
            true => self.promote(record, *record_bytes, miss.token, *tier == Tier::Hdd),
            false => Ok(false),
        };
        if promoted == Ok(true) {
            below.counts.of(*tier).promoted.fetch_add(1, Ordering::Relaxed);
        }
        match (miss.purpose, promoted) {
            (Purpose::Warm, _) => Answer::Absent,
            (Purpose::Read, Ok(_)) if is_sliding => Answer::AskAgain,
            // The value is good all the same.
            (Purpose::Read | Purpose::Look, _) => {
                Answer::Found { record: found.record, record_bytes: found.record_bytes, tier: found.tier }
            }
            (Purpose::Resolve, Ok(_)) => Answer::AskAgain,
            (Purpose::Resolve, Err(error)) => Answer::Failed(error),
        }
    }
}

/// The header of a record as a lower tier keeps it, when all of it is there.
pub fn stored_header(bytes: &[u8]) -> Option<Header> {
    let header = Header::of_bytes(bytes)?;
    let run_bytes = if header.is_run() { header.value_bytes as usize } else { 0 };
    (header.record_bytes() + run_bytes == bytes.len()).then_some(header)
}

fn lost(row: Option<LogLocation>) -> StoreError {
    let place =
        row.map_or_else(String::new, |row| format!(" file {:08x} at offset {}", row.file, row.offset));
    StoreError::new(Code::Corrupt, format!("the index leads to{place} of the log, and there is no such file"))
}
