//! The thread of the log: follows the feed, writes what it reads, syncs within the interval.

use super::volatile::loggable;
use super::Below;
use crate::error::{Code, Result, StoreError};
use crate::feed::FeedRead;
use crate::layout::superblock;
use crate::log::changes_in;
use crate::store::Store;
use crate::sync::{lock, Ordering};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long changes gather when nobody waits for them: what is overwritten meanwhile is one write less.
const GATHER: Duration = Duration::from_millis(10);
/// Bytes of one batch, unless a single change or group is larger: a share of the budget, at most so many.
const BATCH_SHARE: usize = 64;
const BATCH_BYTES_LEAST: usize = 64 << 10;
const BATCH_BYTES_MOST: usize = 1 << 20;
/// How often somebody looks whether a reserve that a drain has given up can be had again.
const LOOK_FOR_ROOM: Duration = Duration::from_secs(1);

/// Starts the thread that follows the feed of a store from `next` on.
pub(super) fn start(store: Arc<Store>, next: u64) -> JoinHandle<()> {
    let body = move || {
        let below = store.below().expect("set before the thread is started");
        let mut follower =
            Follower { store: &store, below, next, synced: Instant::now(), looked: Instant::now() };
        while follower.round() {}
        below.progress.end();
        below.answer_waits();
    };
    thread::Builder::new().name("ramcache log".into()).spawn(body).expect("a thread can be started")
}

struct Follower<'a> {
    store: &'a Store,
    below: &'a Below,
    /// Sequence of the next change to log.
    next: u64,
    synced: Instant,
    /// When the reserve was looked for.
    looked: Instant,
}

impl Follower<'_> {
    /// False when everything is logged and synced and nothing more will come, or nothing more can be logged.
    fn round(&mut self) -> bool {
        let progress = &self.below.progress;
        let orders = progress.await_orders(GATHER);
        let looked = Instant::now();
        if !progress.is_noted_dirty() && self.store.sequence() > progress.durable() {
            progress.note_dirty(Some(looked));
        }
        self.look_for_room();
        let followed = self.follow();
        if let Err(failure) = followed.and_then(|()| self.below.keep_ceiling(self.store, orders.is_closing)) {
            let is_passing = matches!(failure.code, Code::Full | Code::Unavailable);
            progress.set_failure(Some(failure));
            self.below.answer_waits();
            if is_passing && !orders.is_closing {
                // Somebody may make room; until then nobody is let in.
                thread::sleep(GATHER);
                return true;
            }
            return !orders.is_closing && is_passing;
        }
        let is_due = self.synced.elapsed() >= self.below.sync_interval;
        let has_unsynced = progress.durable() < progress.logged();
        if has_unsynced && (orders.wants_sync || orders.is_closing || is_due) {
            let logged = progress.logged();
            if let Err(failure) = self.below.log.sync() {
                progress.set_failure(Some(failure));
                self.below.answer_waits();
                return false;
            }
            self.synced = Instant::now();
            progress.advance_durable(logged);
            // What came since was not there at the look before.
            progress.note_dirty((self.store.sequence() > logged).then_some(looked));
            self.below.answer_waits();
        }
        !(orders.is_closing && progress.durable() >= self.store.sequence())
    }

    /// The reserve comes back, and writes with it, when there is room for both.
    fn look_for_room(&mut self) {
        let is_short = self.below.progress.shortage().is_some();
        if !is_short && self.looked.elapsed() < LOOK_FOR_ROOM {
            return;
        }
        self.looked = Instant::now();
        // A look that fails is made again.
        let has_reserve = matches!(self.below.log.restore_reserve(), Ok(true));
        if is_short && has_reserve && self.below.wants_room(self.store).is_none() {
            self.below.progress.set_shortage(None);
        }
    }

    /// Logs what the feed has by now: what keeps coming must not keep those waiting who want a sync.
    fn follow(&mut self) -> Result<()> {
        let head = self.store.sequence();
        let batch_bytes =
            (self.store.budget_bytes() as usize / BATCH_SHARE).clamp(BATCH_BYTES_LEAST, BATCH_BYTES_MOST);
        while self.next <= head {
            match self.store.read_feed(self.next, batch_bytes) {
                FeedRead::Batch { first, next, bytes } if next > first => {
                    self.log(first, next, &loggable(bytes))?;
                    self.next = next;
                    if self.below.progress.failure().is_some() {
                        self.below.progress.set_failure(None);
                    }
                    self.below.progress.advance_logged(next - 1);
                    self.below.answer_waits();
                    let pause = self.below.slow_down(self.store.budget_bytes());
                    if !pause.is_zero() {
                        thread::sleep(pause);
                    }
                }
                FeedRead::Batch { .. } => return Ok(()),
                // Writers wait for the log before they overrun the feed, and segments before they are used again.
                FeedRead::Behind { head } => {
                    let message = format!("the log lost the feed between {} and {head}", self.next);
                    return Err(StoreError::new(Code::Poisoned, message));
                }
            }
        }
        Ok(())
    }

    fn log(&self, first: u64, next: u64, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let arena_id = self.store.arena.superblock(superblock::ARENA_ID).load(Ordering::Relaxed);
        let _appending = lock(&self.below.appending);
        let at = match self.below.log.append(arena_id, first, next, bytes) {
            // What has been acknowledged, and what makes room, goes where the reserve was.
            Err(full) if full.code == Code::Full && self.below.log.give_up_reserve()? => {
                self.below.progress.set_shortage(Some(full));
                self.below.log.append(arena_id, first, next, bytes)?
            }
            appended => appended?,
        };
        let mut newest = 0;
        for change in changes_in(bytes, at) {
            let change = change.map_err(|what| StoreError::new(Code::Corrupt, what))?;
            newest = newest.max(change.clock);
            self.below.note(self.store, &change);
        }
        if self.below.progress.shortage().is_none() {
            // Before it is full: what makes room needs some itself.
            self.below.progress.set_shortage(self.below.wants_room(self.store));
        }
        let word = self.store.arena.superblock(superblock::LOGGED_CLOCK);
        word.store(newest.max(word.load(Ordering::Relaxed)), Ordering::Relaxed);
        Ok(())
    }
}
