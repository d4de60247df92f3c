//! Scans over all tiers. With tiers every change is in the log and, after a checkpoint, in the index below: whoever walks
//! that in key order meets each entry that lives from then on once, wherever it moves meanwhile. What an entry is at that
//! moment, the newest place says: RAM, then the log's own index, then the row.

use super::serve::stored_header;
use super::Tier;
use crate::error::{Code, Result, StoreError};
use crate::log::{LogLocation, LogRead, LoggedChange};
use crate::ops::read::{Lookup, Peeked, Seen};
use crate::ops::RecordAt;
use crate::record::Header;
use crate::store::Store;

/// A live entry, without its value unless that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned {
    pub key: Vec<u8>,
    pub header: Header,
    /// Encoded tags.
    pub tags: Vec<u8>,
    /// Of a value of the type that was asked for.
    pub value: Option<Vec<u8>>,
    /// `None` for RAM.
    pub tier: Option<Tier>,
}

/// Where the walker has met an entry.
#[derive(Clone, Copy, Debug)]
pub enum ScanSource<'a> {
    /// A row of the index below.
    Row(LogLocation),
    /// A record of the tier below that one.
    Record(&'a [u8]),
}

impl Store {
    /// Waits until the log has every change made so far: what a checkpoint brings to the index below from then on.
    pub fn await_all_logged(&self) -> Result<()> {
        let Some(below) = self.below() else { return Ok(()) };
        below.progress.wait_logged(self.sequence())
    }

    /// What lives under a key that was met below; without `key`, which is then too long for an index, that of the record
    /// is taken. Values of type `with_value` are brought along. `ERR_RAMCACHE_UNAVAILABLE` when a row is out of date: its
    /// file is gone.
    pub fn scan_found(
        &self,
        namespace: u32,
        key: Option<&[u8]>,
        source: ScanSource,
        with_value: u8,
    ) -> Result<Option<Scanned>> {
        let Some(below) = self.below() else { return Ok(None) };
        let mut bytes = Vec::new();
        let key = match (key, source) {
            (Some(key), _) => key.to_vec(),
            (None, ScanSource::Row(row)) => change_at(below.log.read(row, &mut bytes)?)?.key().to_vec(),
            (None, ScanSource::Record(record)) => {
                let header = stored_header(record).ok_or_else(no_record)?;
                record[header.key_at as usize..header.value_at()].to_vec()
            }
        };
        let hash = self.hasher.hash(namespace, &key);
        let mut peeked = Peeked::default();
        let mut seen = Seen::default();
        match self.reader().read(namespace, &key, hash, &mut peeked, &mut seen) {
            Lookup::Hit => {
                let header = seen.header;
                let value = (header.value_type == with_value).then_some(peeked.0.value);
                return Ok(Some(Scanned { key, header, tags: peeked.0.tags, value, tier: None }));
            }
            Lookup::Dead => return Ok(None),
            Lookup::Closed => return Err(StoreError::new(Code::Closed, "the cache is closed")),
            Lookup::Miss | Lookup::Abandoned => {}
        }
        // Not before: what has left RAM is in there since.
        let place = match below.tail.find(below.tail.key(namespace, &key)) {
            Some(newest) if newest.is_deleted => return Ok(None),
            Some(newest) => ScanSource::Row(newest.location),
            None => source,
        };
        let (header, record, run, tier) = match place {
            ScanSource::Row(place) => {
                let change = change_at(below.log.read(place, &mut bytes)?)?;
                if change.is_value_gone() || below.is_of_the_past(&change) {
                    return Ok(None);
                }
                (change.header, change.record, change.run, Tier::Ssd)
            }
            ScanSource::Record(bytes) => {
                let header = stored_header(bytes).ok_or_else(no_record)?;
                let (record, run) = bytes.split_at(header.record_bytes());
                (header, record, run, Tier::Hdd)
            }
        };
        let is_same =
            header.namespace == namespace && record[header.key_at as usize..header.value_at()] == key;
        if !is_same || self.is_dead(&header, RecordAt::Bytes(record)) || self.is_stale(&header) {
            return Ok(None);
        }
        let value = (header.value_type == with_value).then(|| match header.is_run() {
            true => run.to_vec(),
            false => record[header.value_at()..][..header.value_bytes as usize].to_vec(),
        });
        let tags = record[header.tags_at()..][..header.tags_bytes as usize].to_vec();
        Ok(Some(Scanned { key, header, tags, value, tier: Some(tier) }))
    }
}

fn no_record() -> StoreError {
    StoreError::new(Code::Corrupt, "the HDD tier has bytes that are no record")
}

fn change_at(read: LogRead<'_>) -> Result<LoggedChange<'_>> {
    match read {
        LogRead::Change(change) => Ok(change),
        LogRead::Gone => Err(StoreError::new(Code::Unavailable, "a row of the index is out of date")),
    }
}
