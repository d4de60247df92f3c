//! Changes of what stands already: a new lifetime, a sum, the end of a whole namespace.

use super::write::{check_key, Current, Decision, Wish, SET};
use crate::arena::copy::copy_out;
use crate::clock;
use crate::error::Result;
use crate::feed::Change;
use crate::record::{value_type, Header, Parts, RecordBuffer};
use crate::store::Store;
use crate::sync::{lock, Ordering};

/// The answer of an increment.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Number {
    Is(f64),
    Absent,
    NotInteger,
}

/// What an expiry is replaced by; 0 = none.
struct Lifetime {
    expires_at: u64,
    idle_ms: u32,
    deadline: u64,
}

/// Largest whole number a double counts without gaps.
const INTEGER_MAX: f64 = 9_007_199_254_740_991.0;

impl Store {
    /// A new lifetime from now on, or none when `ttl_ms` is 0; the value and its version stay. `idle` keeps a
    /// sliding expiry as it is. Whether there was an entry.
    pub fn touch(
        &self,
        namespace: u32,
        key: &[u8],
        ttl_ms: u64,
        idle: bool,
        buffer: &mut RecordBuffer,
    ) -> Result<bool> {
        // That a sliding expiry slides is nothing that a reader sees.
        let wish = if idle { Wish::value(true).unseen() } else { Wish::value(true) };
        self.change_expiry(namespace, key, wish, buffer, |header, now_ms| match (idle, ttl_ms) {
            (false, 0) => Lifetime { expires_at: 0, idle_ms: 0, deadline: 0 },
            (false, ttl_ms) => Lifetime { expires_at: now_ms + ttl_ms, idle_ms: 0, deadline: 0 },
            (true, _) => {
                let latest = if header.deadline != 0 { header.deadline } else { u64::MAX };
                let idle_ms = header.idle_ms;
                let expires_at = if idle_ms == 0 { 0 } else { (now_ms + idle_ms as u64).min(latest) };
                Lifetime { expires_at, idle_ms, deadline: header.deadline }
            }
        })
    }

    /// A new time of expiry in milliseconds since 1970, 0 = none; the value and its version stay, a sliding expiry does
    /// not. Whether there was an entry.
    pub fn expire_at(
        &self,
        namespace: u32,
        key: &[u8],
        expires_at: u64,
        buffer: &mut RecordBuffer,
    ) -> Result<bool> {
        self.change_expiry(namespace, key, Wish::value(true), buffer, |_, _| Lifetime {
            expires_at,
            idle_ms: 0,
            deadline: 0,
        })
    }

    fn change_expiry(
        &self,
        namespace: u32,
        key: &[u8],
        wish: Wish,
        buffer: &mut RecordBuffer,
        lifetime: impl Fn(&Header, u64) -> Lifetime,
    ) -> Result<bool> {
        check_key(key)?;
        let hash = self.hasher.hash(namespace, key);
        let mut body = Vec::new();
        let written = self.commit(namespace, key, hash, wish, buffer, |current, buffer| {
            let Some(Current { header, location, .. }) = current else { return Decision::Refuse };
            body.resize(header.inline_bytes() + header.tags_bytes as usize, 0);
            let first = self.arena.record_byte(*location).expect("inside its segment");
            copy_out(self.arena.data(), first, header.value_at(), &mut body);
            let (value, tags) = body.split_at(header.inline_bytes());
            let expiry_clock = clock::tick(self.clock_word(), self.arena.wall_ms(), header.expiry_clock);
            let Lifetime { expires_at, idle_ms, deadline } = lifetime(header, clock::ms_of(expiry_clock));
            buffer.build(&Parts {
                namespace,
                key,
                value_type: header.value_type,
                value,
                run_bytes: header.is_run().then_some(header.value_bytes),
                is_pinned: header.flags & crate::record::FLAG_PINNED != 0,
                is_volatile: header.is_volatile(),
                expires_at,
                expiry_clock,
                idle_ms,
                deadline,
                grace_ms: if expires_at == 0 { 0 } else { header.grace_ms },
                tags,
                ..Parts::default()
            });
            Decision::Write { change: Change::Touch, keeps_clock: true, keeps_run: true }
        })?;
        Ok(written.is_some())
    }

    /// Adds to a stored whole number; a missing one is created as `init + by` when `init` is given. Its expiry stays.
    #[allow(clippy::too_many_arguments)]
    pub fn increment(
        &self,
        namespace: u32,
        key: &[u8],
        by: f64,
        init: Option<f64>,
        ttl_ms: u64,
        is_volatile: bool,
        buffer: &mut RecordBuffer,
    ) -> Result<Number> {
        check_key(key)?;
        let hash = self.hasher.hash(namespace, key);
        let mut answer = Number::Absent;
        let mut excess = None;
        let mut tags = Vec::new();
        self.commit(namespace, key, hash, Wish::value(true), buffer, |current, buffer| {
            let (old, kept) = match (current, init) {
                (None, None) => {
                    answer = Number::Absent;
                    return Decision::Refuse;
                }
                (None, Some(init)) => (init, Parts { expires_at: self.absolute(ttl_ms), ..Parts::default() }),
                (Some(current), _) => (self.number_at(current), self.kept_parts(current, &mut tags)),
            };
            let sum = old + by;
            let is_whole = old.fract() == 0.0 && sum.abs() <= INTEGER_MAX;
            if !is_whole {
                answer = Number::NotInteger;
                return Decision::Refuse;
            }
            answer = Number::Is(sum);
            let is_pinned = kept.is_pinned || self.pins(namespace);
            buffer.build(&Parts {
                namespace,
                key,
                value_type: value_type::NUMBER,
                value: &sum.to_le_bytes(),
                is_pinned,
                is_volatile: is_volatile && !is_pinned,
                ..kept
            });
            excess = self.pinned_excess(&buffer.header(), current.map(|current| &current.header));
            match excess {
                None => SET,
                Some(_) => Decision::Refuse,
            }
        })?;
        if let Some(excess) = excess {
            return Err(excess);
        }
        if matches!(answer, Number::Is(_)) {
            self.totals.sets.fetch_add(1, Ordering::Relaxed);
        }
        Ok(answer)
    }

    /// Removes every entry of a namespace at once: what is older than its new epoch is dead. That covers what is being
    /// promoted too: it keeps its clock word, so it is dead on arrival, and no token needs a bump.
    pub fn clear(&self, namespace: u32) -> Result<()> {
        self.await_log(1, true)?;
        // Every writer is between two writes, so the counts can start again from nothing.
        let _shards: Vec<_> = self.shards.iter().map(lock).collect();
        self.ensure_open()?;
        let epoch = clock::tick(self.clock_word(), self.arena.wall_ms(), 0);
        let changes = self.arena.namespace_word(namespace, crate::layout::NAMESPACE_CHANGES);
        changes.store(changes.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
        // SYNC epoch.
        self.arena.namespace_word(namespace, crate::layout::NAMESPACE_EPOCH).store(epoch, Ordering::Release);
        let usage = &self.usage[namespace as usize];
        self.pinned_bytes.fetch_sub(usage.pinned_bytes.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        self.entries.fetch_sub(usage.entries.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        self.payload_bytes.fetch_sub(usage.payload_bytes.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        for (total, part) in self.charges.iter().zip(&usage.charges) {
            total.fetch_sub(part.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        }
        self.feed.push_clear(namespace, epoch);
        let is_watched = self.watch.is_on();
        drop(_shards);
        if is_watched {
            self.watch.cleared(namespace);
        }
        Ok(())
    }

    /// What an increment leaves as it was: expiry, sliding or not, tags, pinning.
    fn kept_parts<'a>(&self, current: &Current, tags: &'a mut Vec<u8>) -> Parts<'a> {
        let header = &current.header;
        tags.resize(header.tags_bytes as usize, 0);
        let first = self.arena.record_byte(current.location).expect("inside its segment");
        copy_out(self.arena.data(), first, header.tags_at(), tags);
        Parts {
            is_pinned: header.flags & crate::record::FLAG_PINNED != 0,
            expires_at: header.expires_at,
            expiry_clock: if header.expires_at == 0 { 0 } else { header.expiry_clock },
            idle_ms: header.idle_ms,
            deadline: header.deadline,
            grace_ms: header.grace_ms,
            tags,
            ..Parts::default()
        }
    }

    fn number_at(&self, current: &Current) -> f64 {
        if current.header.value_type != value_type::NUMBER || current.header.value_bytes != 8 {
            return f64::NAN;
        }
        let mut bytes = [0; 8];
        let first = self.arena.record_byte(current.location).expect("inside its segment");
        copy_out(self.arena.data(), first, current.header.value_at(), &mut bytes);
        f64::from_le_bytes(bytes)
    }
}
