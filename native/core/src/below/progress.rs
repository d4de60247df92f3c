//! How far the value log has followed the feed, for those who must not get ahead of it: writers that would overrun
//! the feed, drains that would evict what is written nowhere yet, callers that wait until a write is durable.

use crate::error::{Code, Result, StoreError};
use crate::sync::{lock, AtomicBool, AtomicU64, Mutex, MutexGuard, Ordering};
use std::sync::Condvar;
use std::time::{Duration, Instant};

#[derive(Default)]
struct Marks {
    /// Sequences somebody waits for, as logged and as durable.
    wanted_logged: u64,
    wanted_durable: u64,
    /// Why the log takes nothing at the moment, or never again.
    failure: Option<StoreError>,
    /// Why only what makes room is let in: the log lives on its reserve.
    shortage: Option<StoreError>,
    is_closing: bool,
    is_ended: bool,
}

/// What the thread of the log is to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Orders {
    pub wants_sync: bool,
    pub is_closing: bool,
}

#[derive(Default)]
pub struct Progress {
    /// LOCK: progress. The innermost of all.
    marks: Mutex<Marks>,
    /// The log got further, failed, or recovered.
    moved: Condvar,
    /// There is something for the log to do.
    wanted: Condvar,
    logged: AtomicU64,
    durable: AtomicU64,
    has_failed: AtomicBool,
    is_short: AtomicBool,
    /// When the oldest change was made that is not durable yet, in microseconds since `began`; 0 = there is none.
    dirty_since: AtomicU64,
    began: Began,
}

struct Began(Instant);

impl Default for Began {
    fn default() -> Began {
        Began(Instant::now())
    }
}

impl Progress {
    /// Every change up to this sequence can be read from the log.
    #[inline]
    pub fn logged(&self) -> u64 {
        // SYNC logged: what the log and its index hold of those changes is seen by who sees the number.
        self.logged.load(Ordering::Acquire)
    }

    /// Every change up to this sequence survives a power cut.
    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Waits until a change is logged. The error of a log that cannot.
    pub fn wait_logged(&self, sequence: u64) -> Result<()> {
        self.wait(sequence, |progress| progress.logged(), |marks| &mut marks.wanted_logged)
    }

    /// Waits until a change is durable. The error of a log that cannot.
    pub fn wait_durable(&self, sequence: u64) -> Result<()> {
        self.wait(sequence, |progress| progress.durable(), |marks| &mut marks.wanted_durable)
    }

    fn wait(
        &self,
        sequence: u64,
        reached: impl Fn(&Progress) -> u64,
        wanted: impl Fn(&mut Marks) -> &mut u64,
    ) -> Result<()> {
        if reached(self) >= sequence {
            return Ok(());
        }
        let mut marks = lock(&self.marks);
        loop {
            if reached(self) >= sequence {
                return Ok(());
            }
            if let Some(failure) = &marks.failure {
                return Err(failure.clone());
            }
            if marks.is_ended {
                return Err(StoreError::new(Code::Closed, "the store is closed"));
            }
            let mark = wanted(&mut marks);
            *mark = (*mark).max(sequence);
            self.wanted.notify_one();
            marks = self.moved.wait(marks).expect("a thread panicked while it held a lock of the store");
        }
    }

    /// Asks for durability without waiting for it.
    pub fn want_durable(&self, sequence: u64) {
        let mut marks = lock(&self.marks);
        marks.wanted_durable = marks.wanted_durable.max(sequence);
        self.wanted.notify_one();
    }

    /// Sends the log after the feed now.
    pub fn hurry(&self, sequence: u64) {
        let mut marks = lock(&self.marks);
        marks.wanted_logged = marks.wanted_logged.max(sequence);
        self.wanted.notify_one();
    }

    /// Why the log takes nothing, if it does not.
    #[inline]
    pub fn failure(&self) -> Option<StoreError> {
        match self.has_failed.load(Ordering::Relaxed) {
            false => None,
            true => lock(&self.marks).failure.clone(),
        }
    }

    pub fn set_failure(&self, failure: Option<StoreError>) {
        let mut marks = lock(&self.marks);
        self.has_failed.store(failure.is_some(), Ordering::Relaxed);
        marks.failure = failure;
        drop(marks);
        self.moved.notify_all();
    }

    /// Why a value is not let in although the log works.
    #[inline]
    pub fn shortage(&self) -> Option<StoreError> {
        match self.is_short.load(Ordering::Relaxed) {
            false => None,
            true => lock(&self.marks).shortage.clone(),
        }
    }

    pub fn set_shortage(&self, shortage: Option<StoreError>) {
        let mut marks = lock(&self.marks);
        self.is_short.store(shortage.is_some(), Ordering::Relaxed);
        marks.shortage = shortage;
    }

    /// For the thread of the log, which looks every few milliseconds: there is something since `then` that is not durable.
    pub fn note_dirty(&self, then: Option<Instant>) {
        let since = then.map_or(0, |then| then.duration_since(self.began.0).as_micros().max(1) as u64);
        self.dirty_since.store(since, Ordering::Relaxed);
    }

    pub fn is_noted_dirty(&self) -> bool {
        self.dirty_since.load(Ordering::Relaxed) != 0
    }

    /// Age of the oldest change that is not durable yet; within some milliseconds.
    pub fn lag(&self) -> Duration {
        match self.dirty_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => self.began.0.elapsed().saturating_sub(Duration::from_micros(since)),
        }
    }

    pub fn advance_logged(&self, sequence: u64) {
        let _marks = lock(&self.marks);
        self.logged.store(sequence, Ordering::Release);
        self.moved.notify_all();
    }

    pub fn advance_durable(&self, sequence: u64) {
        let _marks = lock(&self.marks);
        self.durable.store(sequence, Ordering::Release);
        self.moved.notify_all();
    }

    /// For the thread of the log: waits for something to do, at most `patience`.
    pub fn await_orders(&self, patience: Duration) -> Orders {
        let marks = lock(&self.marks);
        let is_idle = |marks: &Marks| {
            !marks.is_closing
                && marks.wanted_logged <= self.logged.load(Ordering::Relaxed)
                && marks.wanted_durable <= self.durable.load(Ordering::Relaxed)
        };
        let marks: MutexGuard<Marks> = match is_idle(&marks) {
            true => {
                self.wanted
                    .wait_timeout(marks, patience)
                    .expect("a thread panicked while it held a lock of the store")
                    .0
            }
            false => marks,
        };
        Orders {
            wants_sync: marks.wanted_durable > self.durable.load(Ordering::Relaxed),
            is_closing: marks.is_closing,
        }
    }

    /// Tells the thread of the log to finish what there is and end.
    pub fn begin_closing(&self) {
        lock(&self.marks).is_closing = true;
        self.wanted.notify_all();
    }

    pub fn end(&self) {
        lock(&self.marks).is_ended = true;
        self.moved.notify_all();
    }
}
