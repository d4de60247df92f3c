//! Leases: who computes a missing value, so that one does and the others wait; and whether what was computed may still
//! be stored. The model is memcached's ("Scaling Memcache at Facebook", NSDI 2013, section 3.2.1).
//!
//! A lease is of a key, has a token, and lasts until it is filled, given up, revoked by another change of the key, or
//! over. Its token is a reading of the store's clock, taken under the lock of the key's shard: a clear that comes later
//! has a newer epoch, and any other change of the key takes the lease away under the same lock. So a value that was
//! computed from what was there before a change never comes to stand over it.
//!
//! The table is in the owner's heap. With the owner go its leases: a fill with a token that nobody knows is refused.
//! Keys are known by their hash: of two with one hash the second waits for the first.

use crate::clock;
use crate::error::{Code, Result, StoreError};
use crate::layout::{shard_of, SHARDS};
use crate::namespaces;
use crate::ops::read::Graced;
use crate::ops::read::{Lookup, Seen};
use crate::ops::{check_key, RecordAt};
use crate::record::Header;
use crate::store::Store;
use crate::sync::{lock, AtomicU64, Mutex, Ordering};
use std::collections::HashMap;

/// Leases at a time. Beyond it none are granted: values are then computed and not stored.
pub const LEASES_MAX: u64 = 1 << 20;
/// A lease lasts at most a day.
pub const LEASE_MS_MAX: u64 = 86_400_000;
/// Leases of one shard before those that are over are looked for.
const SWEEP_FROM: usize = 64;

/// The answer to a question for a lease.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leased {
    /// There is a value: read it.
    Fresh,
    /// The caller is to compute the value, and to fill or give up the lease with this token.
    Granted(u64),
    /// Somebody else computes it.
    Busy,
    /// There is a stale value, and computing another one failed a short while ago.
    Paused,
}

/// A value past its expiry, within its grace.
#[derive(Debug)]
pub struct Stale {
    pub header: Header,
    pub value: Vec<u8>,
    pub tags: Vec<u8>,
}

struct Lease {
    token: u64,
    holder: u64,
    until_ms: u64,
    /// Nobody computes until then.
    is_pause: bool,
}

#[derive(Default)]
struct Shard {
    leases: HashMap<u64, Lease>,
    sweep_at: usize,
}

/// The owner's table.
pub struct Leases {
    /// LOCK: leases. Taken under the lock of a key's shard, alone otherwise.
    shards: Vec<Mutex<Shard>>,
    count: AtomicU64,
}

impl Default for Leases {
    fn default() -> Leases {
        Leases {
            shards: (0..SHARDS).map(|_| Mutex::new(Shard::default())).collect(),
            count: AtomicU64::new(0),
        }
    }
}

impl Leases {
    /// Granted and not over, as far as anybody has looked.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Takes the lease of a key away, because the key has changed. Under the lock of its shard.
    #[inline]
    pub(crate) fn revoke(&self, hash: u64) {
        // A grant is made under the same lock, so a count of 0 is true of this key.
        if self.count.load(Ordering::Relaxed) != 0 {
            self.remove(hash, |_| true);
        }
    }

    /// Whether a value that was computed under a token may be stored. Under the lock of the key's shard.
    pub(crate) fn is_held(&self, hash: u64, token: u64) -> bool {
        let shard = lock(&self.shards[shard_of(hash)]);
        shard.leases.get(&hash).is_some_and(|lease| lease.token == token && !lease.is_pause)
    }

    fn remove(&self, hash: u64, is_meant: impl FnOnce(&Lease) -> bool) -> bool {
        let mut shard = lock(&self.shards[shard_of(hash)]);
        let is_found = shard.leases.get(&hash).is_some_and(is_meant);
        if is_found {
            shard.leases.remove(&hash);
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        is_found
    }

    fn put(&self, hash: u64, lease: Lease, now_ms: u64) -> Result<()> {
        let mut shard = lock(&self.shards[shard_of(hash)]);
        if shard.leases.len() >= shard.sweep_at.max(SWEEP_FROM) {
            let before = shard.leases.len();
            shard.leases.retain(|_, lease| lease.until_ms > now_ms);
            self.count.fetch_sub((before - shard.leases.len()) as u64, Ordering::Relaxed);
            shard.sweep_at = shard.leases.len() * 2;
        }
        if self.count() >= LEASES_MAX && !shard.leases.contains_key(&hash) {
            let message = format!("{LEASES_MAX} leases are out, which is the limit");
            return Err(StoreError::new(Code::Full, message));
        }
        if shard.leases.insert(hash, lease).is_none() {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Store {
    /// Asks for the lease of a key, for `lease_ms`. `holder` is a number by which all leases of one process or
    /// connection can be given up. `refreshes`: also when the value is fresh, in order to replace it before it expires.
    /// `Code::Cold` when only a lower tier knows whether there is a value.
    pub fn lease(
        &self,
        namespace: u32,
        key: &[u8],
        holder: u64,
        lease_ms: u64,
        refreshes: bool,
    ) -> Result<Leased> {
        check_key(key)?;
        if lease_ms == 0 || lease_ms > LEASE_MS_MAX {
            let message = format!("lease of {lease_ms} ms, allowed are 1 to {LEASE_MS_MAX}");
            return Err(StoreError::new(Code::Config, message));
        }
        let hash = self.hasher.hash(namespace, key);
        let _shard = lock(&self.shards[shard_of(hash)]);
        self.ensure_open()?;
        let current = self.find(namespace, key, hash);
        if current.is_none() && self.may_be_below(hash) {
            return Err(StoreError::new(Code::Cold, "the key may lie in a lower tier"));
        }
        if !refreshes && current.is_some_and(|current| self.is_live(&current.header, current.location)) {
            return Ok(Leased::Fresh);
        }
        let has_value =
            current.is_some_and(|current| !self.is_dead(&current.header, RecordAt::Ram(current.location)));
        let now_ms = self.arena.expiry_now_ms();
        {
            let shard = lock(&self.leases.shards[shard_of(hash)]);
            // What a clear has overtaken cannot be filled any more.
            let epoch = namespaces::epoch(&self.arena, namespace);
            match shard.leases.get(&hash).filter(|lease| lease.until_ms > now_ms && lease.token > epoch) {
                Some(lease) if !lease.is_pause => return Ok(Leased::Busy),
                Some(_) if has_value => return Ok(Leased::Paused),
                _ => {}
            }
        }
        let token = clock::tick(self.clock_word(), self.arena.wall_ms(), 0);
        let lease = Lease { token, holder, until_ms: now_ms + lease_ms, is_pause: false };
        self.leases.put(hash, lease, now_ms)?;
        Ok(Leased::Granted(token))
    }

    /// Gives a lease up without a value; with `pause_ms` nobody is granted another before that, as long as there is a
    /// stale value. Whether the lease was still out.
    pub fn abandon(&self, namespace: u32, key: &[u8], token: u64, pause_ms: u64) -> Result<bool> {
        check_key(key)?;
        let hash = self.hasher.hash(namespace, key);
        let _shard = lock(&self.shards[shard_of(hash)]);
        let was_out = self.leases.remove(hash, |lease| lease.token == token && !lease.is_pause);
        if was_out && pause_ms != 0 {
            let now_ms = self.arena.expiry_now_ms();
            let until_ms = now_ms + pause_ms.min(LEASE_MS_MAX);
            self.leases.put(hash, Lease { token, holder: 0, until_ms, is_pause: true }, now_ms)?;
        }
        Ok(was_out)
    }

    /// Gives up all leases of a holder that is no more.
    pub fn abandon_all(&self, holder: u64) {
        for shard in &self.leases.shards {
            let mut shard = lock(shard);
            let before = shard.leases.len();
            shard.leases.retain(|_, lease| lease.holder != holder || lease.is_pause);
            self.leases.count.fetch_sub((before - shard.leases.len()) as u64, Ordering::Relaxed);
        }
    }

    /// The value of a key in RAM, also when it is past its expiry and within its grace.
    pub fn stale(&self, namespace: u32, key: &[u8]) -> Option<Stale> {
        let hash = self.hasher.hash(namespace, key);
        let mut graced = Graced::default();
        let mut seen = Seen::default();
        match self.reader().read(namespace, key, hash, &mut graced, &mut seen) {
            Lookup::Hit => Some(Stale { header: seen.header, value: graced.0.value, tags: graced.0.tags }),
            _ => None,
        }
    }

    pub fn leases(&self) -> &Leases {
        &self.leases
    }
}
