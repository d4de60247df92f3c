//! Questions for the tiers below: keys that are not in RAM and may lie further down.
//!
//! Whoever asks gets a number at once and its answer later. Reader threads take questions in batches, wait for them
//! without spinning, and hand the answers in; the asker is told that there are some by its own bell.

use crate::error::{Code, Result, StoreError};
use crate::log::LogLocation;
use crate::sync::{lock, Mutex};
use std::collections::{HashMap, VecDeque};
use std::sync::Condvar;
use std::time::Duration;

/// Questions that may wait. More of them mean that the disks are hopelessly behind.
pub const WAITING_MAX: usize = 64 << 10;

/// What is asked of the tiers below.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    pub id: u64,
    pub namespace: u32,
    pub key: Vec<u8>,
    pub hash: u64,
    /// The key's move token, taken before its slot was looked at.
    pub token: u32,
    pub purpose: Purpose,
    /// Where the index said the record was, when that file was gone.
    pub gone: Option<LogLocation>,
}

/// A tier below RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    Ssd,
    Hdd,
}

/// What the answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The value is wanted; whether it moves up as well is for the policy to say.
    Read,
    /// A write depends on what is there: afterwards RAM knows.
    Resolve,
    /// Housekeeping wants to see it: not a use, so it stays where it is.
    Look,
    /// It moves up when RAM has room; nobody waits.
    Warm,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing, or nothing alive.
    Absent,
    /// A record, and behind it its value when that lies in runs.
    Found {
        record: Vec<u8>,
        record_bytes: usize,
        tier: Tier,
    },
    /// A change that somebody waits for is on disk.
    Reached,
    /// RAM knows it now, or something has changed meanwhile: ask RAM again.
    AskAgain,
    Failed(StoreError),
}

/// Rings when there are answers for an asker.
pub type Bell = Box<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct Asker {
    bell: Option<Bell>,
    answers: VecDeque<(u64, Answer)>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Miss>,
    /// Who asked what is taken and not answered yet.
    askers: HashMap<u32, Asker>,
    /// Questions that a reader has taken and looks up in an index elsewhere.
    awaiting_rows: HashMap<u64, Miss>,
    /// Questions that the SSD tier could not answer, for the tier below it.
    passed_down: VecDeque<Miss>,
    /// Those it has taken.
    awaiting_records: HashMap<u64, Miss>,
    /// Rings when there are such.
    lower_bell: Option<Bell>,
    /// Why nobody answers them any more.
    lower_failure: Option<StoreError>,
    asked_by: HashMap<u64, u32>,
    next_id: u64,
    next_asker: u32,
    /// Threads that answer.
    readers: usize,
    /// Why there are none any more.
    failure: Option<StoreError>,
    is_closed: bool,
}

/// The queue between askers and readers.
#[derive(Default)]
pub struct Misses {
    /// LOCK: misses. Alone: nothing else is taken while it is held.
    state: Mutex<State>,
    arrived: Condvar,
}

impl Misses {
    /// A new asker, whose bell rings after each batch of answers for it.
    pub fn register(&self, bell: Bell) -> u32 {
        let mut state = lock(&self.state);
        state.next_asker += 1;
        let asker = state.next_asker;
        state.askers.insert(asker, Asker { bell: Some(bell), answers: VecDeque::new() });
        asker
    }

    /// Forgets an asker; what it still waits for is answered to nobody.
    pub fn unregister(&self, asker: u32) {
        let forgotten = lock(&self.state).askers.remove(&asker);
        // A bell may do anything when it is dropped, so not under the lock.
        drop(forgotten);
    }

    /// Asks. The number comes back with the answer. `ERR_RAMCACHE_UNAVAILABLE` when too many wait.
    pub fn ask(
        &self,
        asker: u32,
        namespace: u32,
        key: &[u8],
        hash: u64,
        token: u32,
        purpose: Purpose,
    ) -> Result<u64> {
        let mut state = lock(&self.state);
        if state.is_closed {
            return Err(StoreError::new(Code::Closed, "the store is closed"));
        }
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        if state.waiting.len() >= WAITING_MAX {
            let message = format!("{WAITING_MAX} reads wait for the tiers below, which is the limit");
            return Err(StoreError::new(Code::Unavailable, message));
        }
        state.next_id += 1;
        let id = state.next_id;
        state.asked_by.insert(id, asker);
        state.waiting.push_back(Miss { id, namespace, key: key.to_vec(), hash, token, purpose, gone: None });
        drop(state);
        self.arrived.notify_one();
        Ok(id)
    }

    /// Whether any question waits for a reader.
    pub fn is_busy(&self) -> bool {
        !lock(&self.state).waiting.is_empty()
    }

    /// Counts a thread in that is going to answer.
    pub fn add_reader(&self) {
        let mut state = lock(&self.state);
        state.readers += 1;
        state.failure = None;
    }

    /// Counts one out. Nobody waits for answers that cannot come: without a reader all questions, those of the tier below
    /// too, are answered with `failure`, and so are those that come. After [`Misses::close`] that is as it should be.
    pub fn remove_reader(&self, failure: StoreError) {
        let ids: Vec<u64> = {
            let mut state = lock(&self.state);
            state.readers -= 1;
            if state.readers > 0 || state.is_closed {
                return;
            }
            state.failure = Some(failure.clone());
            let waiting: Vec<Miss> = state.waiting.drain(..).collect();
            let taken: Vec<u64> = state.awaiting_rows.drain().map(|(id, _)| id).collect();
            waiting.into_iter().map(|miss| miss.id).chain(taken).collect()
        };
        self.answer(ids.into_iter().map(|id| (id, Answer::Failed(failure.clone()))).collect());
        self.fail_lower(failure);
    }

    /// Takes up to `most` questions, waiting for the first one for at most `patience`. `None` when closed.
    pub fn take(&self, most: usize, patience: Duration) -> Option<Vec<Miss>> {
        let mut state = lock(&self.state);
        if state.waiting.is_empty() && !state.is_closed {
            state = self
                .arrived
                .wait_timeout(state, patience)
                .expect("a thread panicked while it held a lock of the store")
                .0;
        }
        if state.is_closed {
            return None;
        }
        let count = state.waiting.len().min(most);
        Some(state.waiting.drain(..count).collect())
    }

    /// Keeps questions whose rows somebody is looking up.
    pub fn await_rows(&self, misses: &[Miss]) {
        let mut state = lock(&self.state);
        state.awaiting_rows.extend(misses.iter().map(|miss| (miss.id, miss.clone())));
    }

    /// The question whose row or record has been found.
    pub fn take_awaited(&self, id: u64) -> Option<Miss> {
        let mut state = lock(&self.state);
        state.awaiting_rows.remove(&id).or_else(|| state.awaiting_records.remove(&id))
    }

    /// Sets the bell of the thread that answers what the SSD tier could not.
    pub fn set_lower_bell(&self, bell: Option<Bell>) {
        let old = std::mem::replace(&mut lock(&self.state).lower_bell, bell);
        drop(old);
    }

    /// Hands questions to the tier below the SSD tier.
    pub fn pass_down(&self, misses: Vec<Miss>) {
        if misses.is_empty() {
            return;
        }
        let mut state = lock(&self.state);
        if let Some(failure) = state.lower_failure.clone() {
            drop(state);
            return self
                .answer(misses.iter().map(|miss| (miss.id, Answer::Failed(failure.clone()))).collect());
        }
        if !state.is_closed {
            state.passed_down.extend(misses);
        }
        if let Some(bell) = &state.lower_bell {
            bell();
        }
    }

    /// For whoever sees that the thread of the tier below has ended: its questions are answered with the reason, and so are
    /// those that come.
    pub fn fail_lower(&self, failure: StoreError) {
        let ids: Vec<u64> = {
            let mut state = lock(&self.state);
            state.lower_failure = Some(failure.clone());
            let passed: Vec<Miss> = state.passed_down.drain(..).collect();
            let taken = state.awaiting_records.drain().map(|(id, _)| id).collect::<Vec<u64>>();
            passed.into_iter().map(|miss| miss.id).chain(taken).collect()
        };
        self.answer(ids.into_iter().map(|id| (id, Answer::Failed(failure.clone()))).collect());
    }

    /// Takes up to `most` questions that were passed down; their answers come in by [`Misses::take_awaited`]. Does not wait.
    pub fn take_passed(&self, most: usize) -> Vec<Miss> {
        let mut state = lock(&self.state);
        let count = state.passed_down.len().min(most);
        let taken: Vec<Miss> = state.passed_down.drain(..count).collect();
        state.awaiting_records.extend(taken.iter().map(|miss| (miss.id, miss.clone())));
        taken
    }

    /// Puts a question back whose answer went stale on the way.
    pub fn ask_again(&self, miss: Miss) {
        lock(&self.state).waiting.push_front(miss);
        self.arrived.notify_one();
    }

    /// A question that no reader is asked: it is answered by whoever knows.
    pub fn reserve(&self, asker: u32) -> u64 {
        let mut state = lock(&self.state);
        state.next_id += 1;
        let id = state.next_id;
        state.asked_by.insert(id, asker);
        id
    }

    /// Hands answers in and rings.
    pub fn answer(&self, answers: Vec<(u64, Answer)>) {
        let mut state = lock(&self.state);
        let mut rung = Vec::new();
        for (id, answer) in answers {
            let Some(asker) = state.asked_by.remove(&id) else { continue };
            let Some(waiting) = state.askers.get_mut(&asker) else { continue };
            waiting.answers.push_back((id, answer));
            if !rung.contains(&asker) {
                rung.push(asker);
            }
        }
        for asker in rung {
            if let Some(bell) = state.askers.get(&asker).and_then(|asker| asker.bell.as_ref()) {
                bell();
            }
        }
    }

    /// The answers that have come in for an asker.
    pub fn collect(&self, asker: u32) -> Vec<(u64, Answer)> {
        let mut state = lock(&self.state);
        let answers = state.askers.get_mut(&asker).map(|asker| std::mem::take(&mut asker.answers));
        answers.unwrap_or_default().into()
    }

    /// The oldest of them, as many as take `bytes_max` together; when the first one alone takes more, how many bytes.
    pub fn collect_within(
        &self,
        asker: u32,
        bytes_max: usize,
        bytes_of: impl Fn(&Answer) -> usize,
    ) -> std::result::Result<Vec<(u64, Answer)>, usize> {
        let mut state = lock(&self.state);
        let Some(asker) = state.askers.get_mut(&asker) else { return Ok(Vec::new()) };
        let mut bytes = 0;
        let mut count = 0;
        for (_, answer) in &asker.answers {
            bytes += bytes_of(answer);
            if bytes > bytes_max {
                break;
            }
            count += 1;
        }
        match count {
            0 if bytes > 0 => Err(bytes),
            _ => Ok(asker.answers.drain(..count).collect()),
        }
    }

    /// Answers everything that waits with `ERR_RAMCACHE_CLOSED` and sends the readers home.
    pub fn close(&self) {
        let ids: Vec<u64> = {
            let mut state = lock(&self.state);
            state.is_closed = true;
            state.waiting.clear();
            state.awaiting_rows.clear();
            state.awaiting_records.clear();
            state.passed_down.clear();
            state.asked_by.keys().copied().collect()
        };
        self.arrived.notify_all();
        let closed = || Answer::Failed(StoreError::new(Code::Closed, "the store is closed"));
        self.answer(ids.into_iter().map(|id| (id, closed())).collect());
    }
}
