//! CLIENT TRACKING: who may have kept what it has read, and is told when that is no longer so.
//!
//! Two kinds of clients. One is told of every key with certain prefixes (BCAST). The other one is told, once, of each key
//! that it has read: the key is put down here before the read, so that a change the read does not see finds it. What is
//! put down is bounded: beyond the limit keys are invalidated to make room. Nothing here is looked at while nobody tracks.
//!
//! The store tells of changes ([`Observer`]) as they become visible, whoever makes them. Of an entry that expires nobody
//! is told: for keys put down here their time of expiry is kept, and the first thread looks when it has come.

mod tables;

pub use tables::Tracker;

use crate::limits::count;
use crate::reply::{Reply, Resp};
use crate::shared::{Mail, Shared};
use ramcache_core::ops::read::{Lookup, Seen};
use ramcache_core::watch::Observer;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tables::{Tables, Told, KEY_AT};

/// Keys whose expiry is looked at in one go.
const DUE_AT_ONCE: usize = 1024;
/// The channel of a RESP2 connection that gets the messages for another one.
pub const CHANNEL: &[u8] = b"__redis__:invalidate";

pub struct Tracking {
    /// LOCK: tracking. Before the shards of the store, behind `exec` and `building`; no other lock is taken inside.
    tables: Mutex<Tables>,
    is_on: AtomicBool,
    /// Milliseconds since 1970 of the first expiry; `u64::MAX` = none.
    next_expiry: AtomicU64,
    bytes_max: usize,
    pub keys: AtomicUsize,
    pub items: AtomicUsize,
    pub prefixes: AtomicUsize,
    pub clients: AtomicUsize,
}

/// What somebody is to be told.
pub struct Invalidation {
    /// `None` = all.
    pub keys: Option<Vec<Arc<[u8]>>>,
    /// For another connection, which may speak RESP2.
    pub is_redirected: bool,
}

impl Invalidation {
    /// The message; `None` when this connection cannot be told.
    pub fn encode(&self, resp: Resp, is_subscribed: bool) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let mut reply = Reply { out: &mut out, resp };
        match resp {
            Resp::Three => {
                reply.push(2);
                reply.bulk(b"invalidate");
            }
            Resp::Two if self.is_redirected && is_subscribed => {
                reply.array(3);
                reply.bulk(b"message");
                reply.bulk(CHANNEL);
            }
            Resp::Two => return None,
        }
        match &self.keys {
            None => reply.nil(),
            Some(keys) => {
                reply.array(keys.len());
                keys.iter().for_each(|key| reply.bulk(key));
            }
        }
        Some(out)
    }
}

thread_local! {
    /// The connection whose command this thread runs; 0 = none.
    static WRITER: Cell<u64> = const { Cell::new(0) };
}

/// Says whose command runs in this thread from now on.
pub fn set_writer(connection: u64) {
    WRITER.set(connection);
}

impl Tracking {
    pub fn new(bytes_max: usize) -> Tracking {
        Tracking {
            tables: Mutex::new(Tables { chance: ramcache_core::clock::wall_ms() | 1, ..Tables::default() }),
            is_on: AtomicBool::new(false),
            next_expiry: AtomicU64::new(u64::MAX),
            bytes_max,
            keys: AtomicUsize::new(0),
            items: AtomicUsize::new(0),
            prefixes: AtomicUsize::new(0),
            clients: AtomicUsize::new(0),
        }
    }

    #[inline]
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// When the first key that somebody has read expires; `u64::MAX` = never.
    pub fn next_expiry_ms(&self) -> u64 {
        self.next_expiry.load(Ordering::Relaxed)
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whenever something has changed.
    fn publish(&self, tables: &Tables) {
        self.keys.store(tables.kept.len(), Ordering::Relaxed);
        self.items.store(tables.readers, Ordering::Relaxed);
        self.prefixes.store(tables.prefixes.len(), Ordering::Relaxed);
        self.clients.store(tables.clients.len(), Ordering::Relaxed);
        let next = tables.expiries.first().map_or(u64::MAX, |(at, _)| *at);
        self.next_expiry.store(next, Ordering::Relaxed);
    }
}

impl Shared {
    /// From now on a client is told; or in another way than before. False when there is no room for its prefixes.
    pub fn track(self: &Arc<Self>, client: u64, tracker: Tracker) -> bool {
        let mut tables = self.tracking.tables();
        if tables.bytes + Tables::bytes_of(&tracker.prefixes) > self.tracking.bytes_max {
            count(&self.totals.tracking_hits);
            return false;
        }
        tables.add_prefixes(client, &tracker.prefixes);
        let is_first = tables.clients.is_empty();
        let known = tables.clients.entry(client).or_default();
        let mut prefixes = known.prefixes.take();
        if let Some(added) = tracker.prefixes {
            prefixes.get_or_insert_default().extend(added);
        }
        let namespaces = known.namespaces.union(&tracker.namespaces).copied().collect();
        *known = Tracker { prefixes, namespaces, ..tracker };
        if is_first {
            self.tracking.is_on.store(true, Ordering::Relaxed);
            // Under the lock, so that it does not meet the end of the last one.
            self.store.observe(Some(Arc::new(Messenger(Arc::downgrade(self)))));
        }
        self.tracking.publish(&tables);
        true
    }

    /// It is not told any more.
    pub fn untrack(&self, client: u64) {
        let mut tables = self.tracking.tables();
        let Some(tracker) = tables.clients.remove(&client) else { return };
        tables.remove_prefixes(client, &tracker.prefixes);
        if tables.clients.is_empty() {
            *tables = Tables { chance: tables.chance, ..Tables::default() };
            self.tracking.is_on.store(false, Ordering::Relaxed);
            self.store.observe(None);
        }
        self.tracking.publish(&tables);
    }

    /// A client that tracks works in a namespace from now on.
    pub fn track_namespace(&self, client: u64, namespace: u32) {
        if let Some(tracker) = self.tracking.tables().clients.get_mut(&client) {
            tracker.namespaces.insert(namespace);
        }
    }

    /// A client is about to read a key.
    pub fn keep_reader(&self, client: u64, namespace: u32, key: &[u8]) {
        let mut told = Vec::new();
        {
            let mut tables = self.tracking.tables();
            tables.add(client, namespace, key);
            while tables.bytes > self.tracking.bytes_max && !tables.kept.is_empty() {
                count(&self.totals.tracking_hits);
                let number = tables.any();
                let gone = tables.take(number);
                tables.tell_readers(&gone, 0, &mut told);
            }
            self.tracking.publish(&tables);
        }
        self.send_told(told);
    }

    /// What it has read will expire.
    pub fn keep_expiry(&self, namespace: u32, key: &[u8], expires_at: u64) {
        let before = self.tracking.next_expiry_ms();
        {
            let mut tables = self.tracking.tables();
            let Some(number) = tables.find(namespace, key) else { return };
            tables.set_expiry(number, expires_at);
            self.tracking.publish(&tables);
        }
        if expires_at < before {
            self.mailboxes[0].wake();
        }
    }

    /// Tells of keys that have expired.
    pub fn tell_expired(&self) {
        let now_ms = self.store.arena().expiry_now_ms();
        let mut told = Vec::new();
        {
            let mut tables = self.tracking.tables();
            for _ in 0..DUE_AT_ONCE {
                let Some((_, place)) = tables.expiries.first().filter(|(at, _)| *at <= now_ms).cloned()
                else {
                    break;
                };
                let number = tables.number_of(&place);
                match self.expiry_of(&place) {
                    // It slides: it has been read since.
                    Some(later) if later == 0 || later > now_ms => tables.set_expiry(number, later),
                    _ => {
                        let gone = tables.take(number);
                        tables.tell_readers(&gone, 0, &mut told);
                    }
                }
            }
            self.tracking.publish(&tables);
        }
        self.send_told(told);
    }

    /// When a live entry expires.
    fn expiry_of(&self, place: &[u8]) -> Option<u64> {
        let (namespace, key) = place.split_at(KEY_AT);
        let namespace = u32::from_le_bytes(namespace.try_into().expect("four bytes"));
        let hash = self.store.hasher().hash(namespace, key);
        let mut seen = Seen::default();
        let answer =
            self.store.reader().read(namespace, key, hash, &mut crate::context::NotTouched, &mut seen);
        (answer == Lookup::Hit).then_some(seen.header.expires_at)
    }

    fn tell_changed(&self, namespace: u32, key: &[u8], writer: u64) {
        let mut told = Vec::new();
        {
            let mut tables = self.tracking.tables();
            if let Some(number) = tables.find(namespace, key) {
                let gone = tables.take(number);
                tables.tell_readers(&gone, writer, &mut told);
                self.tracking.publish(&tables);
            }
            tables.tell_prefixes(namespace, key, writer, &mut told);
        }
        self.send_told(told);
    }

    fn send_told(&self, told: Vec<Told>) {
        for Told { client, thread, redirect, key } in told {
            let keys = key.map(|key| vec![key]);
            let (connection, thread) = match redirect {
                None => (client, thread),
                Some(other) => match self.registry.find(other) {
                    Some(other) => (other.id, other.thread),
                    None => {
                        self.mailboxes[thread].send(Mail::RedirectGone { connection: client });
                        continue;
                    }
                },
            };
            let invalidation = Invalidation { keys, is_redirected: redirect.is_some() };
            self.mailboxes[thread].send(Mail::Invalidate { connection, invalidation });
        }
    }
}

/// Between the store and the server, which may be gone.
struct Messenger(Weak<Shared>);

impl Observer for Messenger {
    fn changed(&self, namespace: u32, key: &[u8]) {
        if let Some(shared) = self.0.upgrade() {
            shared.tell_changed(namespace, key, WRITER.get());
        }
    }

    fn evicted(&self, namespace: u32, key: &[u8]) {
        if let Some(shared) = self.0.upgrade() {
            shared.tell_changed(namespace, key, 0);
        }
    }

    fn cleared(&self, namespace: u32) {
        let Some(shared) = self.0.upgrade() else { return };
        let told = shared.tracking.tables().tell_all(namespace);
        shared.send_told(told);
    }
}
