//! Who is told of changes as they happen: at most one observer of a store, and nothing is done while there is none.
//!
//! It hears of a change after the change is visible and its locks are free, from the thread that has made it, before that
//! thread goes on. The other way to follow changes is the feed, which keeps their order and their values.

use crate::store::Store;
use crate::sync::{lock, AtomicBool, Mutex, Ordering};
use std::sync::Arc;

/// Called by any thread that writes, one at a time or several.
pub trait Observer: Send + Sync {
    /// What a read of the key gives may be another thing from now on.
    fn changed(&self, namespace: u32, key: &[u8]);
    /// The same of every key of a namespace.
    fn cleared(&self, namespace: u32);
    /// A key has left a store without tiers, and whoever writes just now has not asked for that.
    fn evicted(&self, namespace: u32, key: &[u8]);
}

#[derive(Default)]
pub(crate) struct Watch {
    is_on: AtomicBool,
    observer: std::sync::RwLock<Option<Arc<dyn Observer>>>,
    /// LOCK: evicted. Innermost. Keys that a drain has evicted and nobody has been told of.
    evicted: Mutex<Vec<(u32, Vec<u8>)>>,
}

impl Watch {
    /// Whether there is anybody to tell. Asked after the shard lock of the change has been taken: see [`Store::observe`].
    #[inline]
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    fn tell(&self, what: impl Fn(&dyn Observer)) {
        let observer = self.observer.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        if let Some(observer) = observer {
            what(&*observer);
        }
    }

    #[cold]
    pub fn changed(&self, namespace: u32, key: &[u8]) {
        self.tell(|observer| observer.changed(namespace, key));
    }

    #[cold]
    pub fn cleared(&self, namespace: u32) {
        self.tell(|observer| observer.cleared(namespace));
    }

    /// Keeps a key for [`Watch::tell_evicted`]: under a shard lock nobody is told of anything.
    #[cold]
    pub fn note_evicted(&self, namespace: u32, key: Vec<u8>) {
        lock(&self.evicted).push((namespace, key));
    }

    #[cold]
    pub fn tell_evicted(&self) {
        let evicted = std::mem::take(&mut *lock(&self.evicted));
        self.tell(|observer| evicted.iter().for_each(|(namespace, key)| observer.evicted(*namespace, key)));
    }
}

impl Store {
    /// Sets who is told of changes, in place of whoever was. From when this returns it hears of every change that a read
    /// begun from then on may not see. Not to be called from within an observer.
    pub fn observe(&self, observer: Option<Arc<dyn Observer>>) {
        let is_on = observer.is_some();
        let old = {
            let mut place = self.watch.observer.write().unwrap_or_else(std::sync::PoisonError::into_inner);
            std::mem::replace(&mut *place, observer)
        };
        drop(old);
        self.watch.is_on.store(is_on, Ordering::Relaxed);
        // Whoever holds a shard lock may not have seen it; what that one writes is visible once the lock is free, and
        // whoever takes the lock later has seen it.
        for shard in &self.shards {
            drop(shard.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        }
    }
}
