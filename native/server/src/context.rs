//! One run of one command: reads and writes of the store with everything around them.
//!
//! A command that needs what RAM does not have stops with [`Stop::Cold`]; what it needs is in `wants`. When the tiers
//! below have answered it runs again from its beginning, with `found`. So until it has changed something a command may run
//! any number of times; what a run that stopped has counted or written to the reply is forgotten.

use crate::number::parse_i64;
use crate::reply::Reply;
use crate::session::Session;
use crate::worker::{Durability, Namespace, Worker};
use ramcache_core::below::{Answer, Purpose, Tier};
use ramcache_core::error::{Code, StoreError};
use ramcache_core::layout::counters;
use ramcache_core::ops::read::{Destination, Lookup, Nothing, Seen};
use ramcache_core::ops::{Conditions, Outcome, Version, WriteRequest};
use ramcache_core::record::Header;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Why a command does not just answer.
#[derive(Debug)]
pub enum Stop {
    /// An error reply, with its code.
    Error(Cow<'static, str>),
    /// An error of the store.
    Store(StoreError),
    /// RAM does not know: ask the tiers below and run again.
    Cold,
    /// JavaScript must answer.
    Control,
}

pub type Run = Result<(), Stop>;

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Stop {
        Stop::Store(error)
    }
}

/// An error reply.
pub fn error<T>(text: impl Into<Cow<'static, str>>) -> Result<T, Stop> {
    Err(Stop::Error(text.into()))
}

pub const SYNTAX: &str = "ERR syntax error";
pub const NOT_INTEGER: &str = "ERR value is not an integer or out of range";
pub const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

/// A question for the tiers below.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Want {
    pub namespace: u32,
    pub key: Vec<u8>,
    pub purpose: Purpose,
}

/// What the tiers below have said.
#[derive(Debug)]
pub enum Kept {
    Absent,
    Found { record: Vec<u8>, record_bytes: usize, tier: Tier },
    Failed(StoreError),
}

/// Answers for one command, and what it keeps between its runs.
#[derive(Default, Debug)]
pub struct Progress {
    pub found: HashMap<(u32, Vec<u8>), Kept>,
    /// For commands of several steps that each change something: steps done, and what to answer of them.
    pub steps: usize,
    pub sum: i64,
    /// The group word before the first read, for what must see groups whole.
    pub group: Option<u64>,
    /// Runs so far.
    pub runs: u32,
    /// Keys that it reads are put down for CLIENT TRACKING, if it is such a command.
    pub tracks: bool,
}

impl Progress {
    /// What the tiers below have said of a key.
    pub fn keep(&mut self, key: (u32, Vec<u8>), answer: Answer) {
        let kept = match answer {
            Answer::Absent => Kept::Absent,
            Answer::Found { record, record_bytes, tier } => Kept::Found { record, record_bytes, tier },
            Answer::Failed(failure) => Kept::Failed(failure),
            // RAM knows more now.
            Answer::AskAgain | Answer::Reached => return,
        };
        self.found.insert(key, kept);
    }
}

pub struct Context<'a> {
    pub worker: &'a mut Worker,
    pub session: &'a mut Session,
    pub progress: &'a mut Progress,
    pub out: &'a mut Vec<u8>,
    pub wants: Vec<Want>,
    /// What this run has written is to be as safe as this before it is answered.
    pub settle: Option<Durability>,
    /// Keys that are read are put down for CLIENT TRACKING.
    tracks: bool,
    hits: u64,
    misses: u64,
    tier_hits: [u64; 2],
    counted: u32,
}

/// Where a read found something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    Ram,
    Below(Tier),
}

impl Place {
    pub fn name(self) -> &'static str {
        match self {
            Place::Ram => "ram",
            Place::Below(Tier::Ssd) => "ssd",
            Place::Below(Tier::Hdd) => "hdd",
        }
    }
}

/// How a read is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// A use of the key: counted, and what it finds below may move up.
    Read,
    /// Not a use; nothing moves and nothing is counted.
    Look,
    /// For a write that depends on it: RAM must know.
    Decide,
}

impl<'a> Context<'a> {
    pub fn new(
        worker: &'a mut Worker,
        session: &'a mut Session,
        progress: &'a mut Progress,
        out: &'a mut Vec<u8>,
        tracks: bool,
    ) -> Context<'a> {
        let counted = session.namespace.id;
        Context {
            worker,
            session,
            progress,
            out,
            wants: Vec::new(),
            settle: None,
            tracks,
            hits: 0,
            misses: 0,
            tier_hits: [0; 2],
            counted,
        }
    }

    pub fn reply(&mut self) -> Reply<'_> {
        Reply { out: self.out, resp: self.session.resp }
    }

    pub fn namespace(&self) -> Namespace {
        self.session.namespace
    }

    /// What this run has counted, once it is known that there is no other.
    pub fn commit_counts(&mut self) {
        self.worker.count_reads(self.counted, self.hits, self.misses);
        if let (true, Some(below)) = (self.tier_hits != [0; 2], self.worker.store.below()) {
            for (tier, hits) in [Tier::Ssd, Tier::Hdd].into_iter().zip(self.tier_hits) {
                below.counts.of(tier).hits.fetch_add(hits, Ordering::Relaxed);
            }
        }
        (self.hits, self.misses, self.tier_hits) = (0, 0, [0; 2]);
    }

    fn want(&mut self, namespace: u32, key: &[u8], purpose: Purpose) -> Stop {
        let want = Want { namespace, key: key.to_vec(), purpose };
        if !self.wants.contains(&want) {
            self.wants.push(want);
        }
        Stop::Cold
    }

    /// Looks a key up and copies what `destination` asks for. `None` is a miss in all tiers.
    pub fn read<D: Destination>(
        &mut self,
        namespace: Namespace,
        key: &[u8],
        how: Use,
        destination: &mut D,
    ) -> Result<Option<(Header, Place)>, Stop> {
        ramcache_core::ops::check_key(key)?;
        let hash = self.worker.hasher.hash(namespace.id, key);
        let started = self.worker.sampler.is_due().then(Instant::now);
        if self.tracks {
            self.worker.shared.keep_reader(self.session.client.id, namespace.id, key);
        }
        let mut seen = Seen::default();
        let answer = self.worker.store.reader().read(namespace.id, key, hash, destination, &mut seen);
        if how == Use::Read {
            self.counted = namespace.id;
            self.note_read(namespace.id, started, &seen, answer == Lookup::Hit);
        }
        match answer {
            Lookup::Hit => {
                self.hits += (how == Use::Read) as u64;
                if D::TOUCHES && seen.header.idle_ms != 0 {
                    self.slide(namespace, key, &seen.header);
                }
                if self.tracks && seen.header.expires_at != 0 {
                    self.worker.shared.keep_expiry(namespace.id, key, seen.header.expires_at);
                }
                let place = self.place_of(namespace, key, how, &seen.header);
                Ok(Some((seen.header, place)))
            }
            Lookup::Closed => Err(Stop::Store(StoreError::new(Code::Closed, "the store is closed"))),
            Lookup::Miss if self.is_below(hash) => self.read_below(namespace, key, how, destination),
            Lookup::Dead | Lookup::Miss | Lookup::Abandoned => {
                self.misses += (how == Use::Read) as u64;
                Ok(None)
            }
        }
    }

    /// Where a hit in RAM was found: in a lower tier when that has just brought it up for this command.
    fn place_of(&mut self, namespace: Namespace, key: &[u8], how: Use, header: &Header) -> Place {
        if self.progress.found.is_empty() {
            return Place::Ram;
        }
        match self.progress.found.get(&(namespace.id, key.to_vec())) {
            Some(Kept::Found { record, record_bytes, tier })
                if Header::of_bytes(&record[..*record_bytes])
                    .is_some_and(|found| found.clock == header.clock) =>
            {
                self.tier_hits[*tier as usize] += (how == Use::Read) as u64;
                Place::Below(*tier)
            }
            _ => Place::Ram,
        }
    }

    fn note_read(&mut self, namespace: u32, started: Option<Instant>, seen: &Seen, is_hit: bool) {
        if started.is_none() && seen.retries == 0 {
            return;
        }
        let slot = self.worker.counters(namespace);
        let arena = self.worker.store.arena();
        if let Some(started) = started {
            slot.record_ns(arena, counters::GET_HISTOGRAM, started.elapsed().as_nanos() as u64);
            if is_hit {
                slot.note_sample(arena, seen.slot);
            }
        }
        slot.add(arena, counters::RETRIES, seen.retries);
    }

    /// Whether a key that RAM does not have may lie in a lower tier.
    fn is_below(&self, hash: u64) -> bool {
        self.worker.asker.is_some() && self.worker.store.arena().may_be_below(hash)
    }

    fn read_below<D: Destination>(
        &mut self,
        namespace: Namespace,
        key: &[u8],
        how: Use,
        destination: &mut D,
    ) -> Result<Option<(Header, Place)>, Stop> {
        let purpose = match how {
            Use::Read => Purpose::Read,
            Use::Look => Purpose::Look,
            Use::Decide => Purpose::Resolve,
        };
        let kept = match how {
            // Only RAM decides; what was found before may have been replaced since.
            Use::Decide => match self.progress.found.get(&(namespace.id, key.to_vec())) {
                Some(Kept::Failed(failure)) => return Err(Stop::Store(failure.clone())),
                _ => None,
            },
            _ if self.progress.found.is_empty() => None,
            _ => self.progress.found.get(&(namespace.id, key.to_vec())),
        };
        match kept {
            None => Err(self.want(namespace.id, key, purpose)),
            Some(Kept::Failed(failure)) => Err(Stop::Store(failure.clone())),
            Some(Kept::Absent) => {
                self.misses += (how == Use::Read) as u64;
                Ok(None)
            }
            Some(Kept::Found { record, record_bytes, tier }) => {
                let header = Header::of_bytes(&record[..*record_bytes]).expect("checked when it was read");
                let value = match header.is_run() {
                    true => &record[*record_bytes..],
                    false => &record[header.value_at()..][..header.value_bytes as usize],
                };
                if let Some(out) = destination.value(&header) {
                    out.copy_from_slice(value);
                }
                if let Some(out) = destination.tags(&header) {
                    out.copy_from_slice(&record[header.tags_at()..][..header.tags_bytes as usize]);
                }
                let tier = *tier;
                if self.tracks && header.expires_at != 0 {
                    self.worker.shared.keep_expiry(namespace.id, key, header.expires_at);
                }
                if how == Use::Read {
                    self.hits += 1;
                    self.tier_hits[tier as usize] += 1;
                }
                Ok(Some((header, Place::Below(tier))))
            }
        }
    }

    /// One write for each quarter of the idle time, whatever the rate of reads.
    #[cold]
    fn slide(&mut self, namespace: Namespace, key: &[u8], header: &Header) {
        let left = header.expires_at.saturating_sub(self.now_ms());
        if left * 4 <= header.idle_ms as u64 * 3 {
            // A store without room for this keeps the expiry it has; the read has its value all the same.
            let _ = self.worker.store.touch(namespace.id, key, 0, true, &mut self.worker.buffer);
        }
    }

    /// The time that expiry is judged by.
    pub fn now_ms(&self) -> u64 {
        self.worker.store.arena().expiry_now_ms()
    }

    /// Asks for every one of these keys that RAM does not know, so that a command of several keys waits once.
    pub fn resolve<'k>(&mut self, namespace: Namespace, keys: impl Iterator<Item = &'k [u8]>) -> Run {
        if self.worker.asker.is_none() {
            return Ok(());
        }
        for key in keys {
            if key.is_empty() || self.wants.len() >= WANTS_MAX {
                continue;
            }
            let _ = self.read(namespace, key, Use::Decide, &mut NotTouched);
        }
        if self.wants.is_empty() {
            Ok(())
        } else {
            Err(Stop::Cold)
        }
    }

    /// Stores a value. The outcome of a condition that depends on a key RAM does not know is [`Stop::Cold`].
    pub fn set(&mut self, request: &WriteRequest, durability: Durability) -> Result<Outcome, Stop> {
        let started = self.worker.sampler.is_due().then(Instant::now);
        let written = self.worker.store.set(request, &mut self.worker.buffer);
        if let Some(started) = started {
            let slot = self.worker.counters(request.namespace);
            let ns = started.elapsed().as_nanos() as u64;
            slot.record_ns(self.worker.store.arena(), counters::SET_HISTOGRAM, ns);
        }
        match written {
            Ok(outcome) => {
                if outcome != Outcome::Refused {
                    self.wrote(durability);
                }
                Ok(outcome)
            }
            Err(error) => Err(self.cold_or(error, request.namespace, request.key)),
        }
    }

    /// What a failed write means: that RAM has to be told first, or an error.
    pub fn cold_or(&mut self, error: StoreError, namespace: u32, key: &[u8]) -> Stop {
        match error.code {
            Code::Cold => match self.progress.found.get(&(namespace, key.to_vec())) {
                Some(Kept::Failed(failure)) => Stop::Store(failure.clone()),
                _ => self.want(namespace, key, Purpose::Resolve),
            },
            _ => Stop::Store(error),
        }
    }

    /// Removes an entry; whether there was one.
    pub fn delete(
        &mut self,
        namespace: Namespace,
        key: &[u8],
        if_version: Option<Version>,
    ) -> Result<bool, Stop> {
        match self.worker.store.delete(namespace.id, key, if_version, &mut self.worker.buffer) {
            Ok(is_removed) => {
                if is_removed {
                    self.wrote(namespace.durability);
                }
                Ok(is_removed)
            }
            Err(error) => Err(self.cold_or(error, namespace.id, key)),
        }
    }

    pub fn wrote(&mut self, durability: Durability) {
        self.settle = match (self.settle, durability) {
            (Some(Durability::Sync), _) | (_, Durability::Sync) => Some(Durability::Sync),
            // Of two that differ the one with more to wait for.
            (Some(Durability::None), _) | (_, Durability::None) => Some(Durability::None),
            _ => Some(Durability::Async),
        };
    }

    /// Reads an entry, lets `change` say what replaces it, and writes that if nobody else was faster; again otherwise.
    /// `None` from `change` leaves everything as it is.
    pub fn update<T>(
        &mut self,
        namespace: Namespace,
        key: &[u8],
        mut change: impl FnMut(&mut Context, Option<&Current>) -> Result<(Option<Replacement>, T), Stop>,
    ) -> Result<T, Stop> {
        for _ in 0..UPDATES_MAX {
            let mut copied = Fetched::default();
            let found = self.read(namespace, key, Use::Decide, &mut copied)?;
            let current = found.map(|(header, _)| Current { header, value: copied.value, tags: copied.tags });
            let (replacement, answer) = change(self, current.as_ref())?;
            let Some(replacement) = replacement else { return Ok(answer) };
            let origin = self.worker.store.origin();
            let conditions = match &current {
                None => Conditions { if_absent: true, ..Conditions::default() },
                Some(current) => Conditions {
                    if_version: Some(Version { clock: current.header.clock, origin }),
                    ..Conditions::default()
                },
            };
            let (kept, tags): (Option<&Header>, &[u8]) = match (&current, replacement.keeps) {
                (Some(current), true) => (Some(&current.header), &current.tags),
                _ => (None, &[]),
            };
            let request = WriteRequest {
                namespace: namespace.id,
                key,
                value_type: replacement.value_type,
                value: &replacement.value,
                ttl_ms: if kept.is_some() { 0 } else { replacement.ttl_ms },
                expires_at: kept.map_or(replacement.expires_at, |header| header.expires_at),
                idle_ms: kept.map_or(0, |header| header.idle_ms as u64),
                deadline: kept.map_or(0, |header| header.deadline),
                grace_ms: kept.map_or(0, |header| header.grace_ms as u64),
                tags,
                is_pinned: false,
                is_volatile: namespace.durability == Durability::None,
                conditions,
            };
            if self.set(&request, namespace.durability)? != Outcome::Refused {
                return Ok(answer);
            }
        }
        error(format!("RC CONFLICT lost the race for a key {UPDATES_MAX} times, which is the limit"))
    }
}

/// Each lost race means that another writer succeeded in between.
const UPDATES_MAX: usize = 10_000;
/// Questions of one command at a time.
pub const WANTS_MAX: usize = 1024;

/// What an update finds.
pub struct Current {
    pub header: Header,
    pub value: Vec<u8>,
    pub tags: Vec<u8>,
}

/// What an update leaves.
pub struct Replacement {
    pub value_type: u8,
    pub value: Vec<u8>,
    /// Expiry and tags stay as they are where there is something.
    pub keeps: bool,
    pub ttl_ms: u64,
    pub expires_at: u64,
}

/// A lookup that leaves no trace and wants only the header.
pub struct NotTouched;

impl Destination for NotTouched {
    const TOUCHES: bool = false;
    fn value(&mut self, header: &Header) -> Option<&mut [u8]> {
        Nothing.value(header).and(None)
    }
}

/// A value and its tags, looked at without being used.
#[derive(Default)]
pub struct Fetched {
    pub value: Vec<u8>,
    pub tags: Vec<u8>,
}

impl Destination for Fetched {
    const TOUCHES: bool = false;
    fn value(&mut self, header: &Header) -> Option<&mut [u8]> {
        self.value.resize(header.value_bytes as usize, 0);
        Some(&mut self.value)
    }
    fn tags(&mut self, header: &Header) -> Option<&mut [u8]> {
        self.tags.resize(header.tags_bytes as usize, 0);
        Some(&mut self.tags)
    }
}

/// A whole number out of an argument.
pub fn integer(text: &[u8]) -> Result<i64, Stop> {
    parse_i64(text).ok_or(Stop::Error(NOT_INTEGER.into()))
}

impl Context<'_> {
    /// What was counted by an attempt that is made again.
    pub fn forget_counts(&mut self) {
        (self.hits, self.misses, self.tier_hits) = (0, 0, [0; 2]);
    }
}

impl Kept {
    pub fn byte_count(&self) -> usize {
        match self {
            Kept::Found { record, .. } => record.len(),
            Kept::Absent | Kept::Failed(_) => 0,
        }
    }
}
