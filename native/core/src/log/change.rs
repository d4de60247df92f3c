//! One change as it lies in the log: the bytes the feed packed, verified before anything is made of them.

use super::location::{LogLocation, Position};
use crate::feed::{Change, CHANGE_HEADER_BYTES, FEED_COPY, FEED_GROUP_MORE, FEED_VALUE_GONE};
use crate::record::{Header, Parts, RecordBuffer};

const CLEAR_BYTES: usize = 16;

/// A change and where it lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LoggedChange<'a> {
    pub location: LogLocation,
    pub sequence: u64,
    pub change: Change,
    /// `FEED_GROUP_MORE`, `FEED_VALUE_GONE`, `FEED_COPY`.
    pub flags: u8,
    pub namespace: u32,
    /// Clock word of the value; the epoch of a clear.
    pub clock: u64,
    /// Header of the record; all zeros for a clear.
    pub header: Header,
    pub record: &'a [u8],
    /// The value when it lay in runs.
    pub run: &'a [u8],
}

impl<'a> LoggedChange<'a> {
    /// Empty for a clear.
    pub fn key(&self) -> &'a [u8] {
        &self.record[self.header.key_at as usize..self.header.value_at()]
    }

    /// `None` for deletes and clears, and when the value had been overwritten before the feed was read.
    pub fn value(&self) -> Option<&'a [u8]> {
        match self.change {
            Change::Delete | Change::Clear => None,
            _ if self.is_value_gone() => None,
            _ if self.header.is_run() => Some(self.run),
            _ => Some(&self.record[self.header.value_at()..][..self.header.value_bytes as usize]),
        }
    }

    pub fn is_value_gone(&self) -> bool {
        self.flags & FEED_VALUE_GONE != 0
    }

    /// A drain has put it here: whoever has an index up to here knows it already.
    pub fn is_copy(&self) -> bool {
        self.flags & FEED_COPY != 0
    }

    /// Appends the change as a copy, for a batch of its own.
    pub fn pack_copy(&self, out: &mut Vec<u8>) {
        pack_copy(self.change, self.record, self.run, out);
    }

    /// Appends a copy that says that the record of this change is dead, whatever is older.
    pub fn pack_death(&self, buffer: &mut RecordBuffer, out: &mut Vec<u8>) {
        let (namespace, key) = (self.namespace, self.key());
        buffer.build(&Parts { namespace, key, is_tombstone: true, ..Parts::default() });
        // Above the value's version too, when a touch gave it the expiry it died of.
        buffer.stamp(self.clock.max(self.header.expiry_clock));
        pack_copy(Change::Delete, buffer.bytes(), &[], out);
    }

    /// The change whose header begins `bytes`; `Err` says what is wrong with it. Sequence and flags are as sure as the
    /// batch they came in: the change's own CRC covers record and value.
    pub fn parse(bytes: &'a [u8], at: Position) -> Result<LoggedChange<'a>, &'static str> {
        let head = bytes.get(..CHANGE_HEADER_BYTES).ok_or("too short for a change header")?;
        let u32_at = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"));
        let (record_bytes, run_bytes) = (u32_at(12) as usize, u32_at(16) as usize);
        let body = bytes
            .get(CHANGE_HEADER_BYTES..)
            .and_then(|body| body.get(..record_bytes.checked_add(run_bytes)?))
            .ok_or("a change reaches past the end of its bytes")?;
        if crc32fast::hash(body) != u32_at(20) {
            return Err("the checksum of a change does not match");
        }
        let flags = head[9];
        if flags & !(FEED_GROUP_MORE | FEED_VALUE_GONE | FEED_COPY) != 0 || head[10..12] != [0; 2] {
            return Err("unknown flags of a change");
        }
        let change = match head[8] {
            1 => Change::Set,
            2 => Change::Delete,
            3 => Change::Touch,
            4 => Change::Clear,
            _ => return Err("unknown kind of change"),
        };
        let (record, run) = body.split_at(record_bytes);
        let mut parsed = LoggedChange {
            location: LogLocation {
                file: at.file,
                offset: at.offset,
                bytes: (CHANGE_HEADER_BYTES + body.len()) as u32,
            },
            sequence: u64::from_le_bytes(head[..8].try_into().expect("eight bytes")),
            change,
            flags,
            namespace: 0,
            clock: 0,
            header: Header::default(),
            record,
            run,
        };
        if change == Change::Clear {
            if (record.len(), run.len(), parsed.is_value_gone()) != (CLEAR_BYTES, 0, false) {
                return Err("a clear of the wrong length");
            }
            parsed.namespace = u32::from_le_bytes(record[..4].try_into().expect("four bytes"));
            parsed.clock = u64::from_le_bytes(record[8..].try_into().expect("eight bytes"));
            return Ok(parsed);
        }
        parsed.header = Header::of_bytes(record).ok_or("the bytes of a change are no record")?;
        parsed.namespace = parsed.header.namespace;
        parsed.clock = parsed.header.clock;
        let header = &parsed.header;
        let run_wanted = match header.is_run() && !parsed.is_value_gone() {
            true => header.value_bytes as usize,
            false => 0,
        };
        let is_sound = header.record_bytes() == record.len()
            && run.len() == run_wanted
            && (header.is_run() || !parsed.is_value_gone())
            && header.is_tombstone() == (change == Change::Delete);
        is_sound.then_some(parsed).ok_or("the parts of a change contradict each other")
    }
}

fn pack_copy(change: Change, record: &[u8], run: &[u8], out: &mut Vec<u8>) {
    let mut crc = crc32fast::Hasher::new();
    crc.update(record);
    crc.update(run);
    // The sequence was of an arena that may be gone: 0.
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&[change as u8, FEED_COPY, 0, 0]);
    out.extend_from_slice(&(record.len() as u32).to_le_bytes());
    out.extend_from_slice(&(run.len() as u32).to_le_bytes());
    out.extend_from_slice(&crc.finalize().to_le_bytes());
    out.extend_from_slice(record);
    out.extend_from_slice(run);
    out.resize(out.len().next_multiple_of(8), 0);
}

/// The changes of a batch, for whoever has just appended it or read it. `at` is where the first one lies, as
/// `ValueLog::append` returns it.
pub fn changes_in(
    bytes: &[u8],
    at: Position,
) -> impl Iterator<Item = Result<LoggedChange<'_>, &'static str>> {
    let mut offset = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(offset..).filter(|rest| !rest.is_empty())?;
        let change = LoggedChange::parse(rest, Position { file: at.file, offset: at.offset + offset as u32 });
        offset = match &change {
            Ok(change) => offset + (change.location.bytes as usize).next_multiple_of(8),
            Err(_) => bytes.len(),
        };
        Some(change)
    })
}
