//! What a clean end saves of the log's own index, and a start takes up again: `log/saved.rs`.

use super::{Below, PinnedKey};
use crate::error::Result;
use crate::layout::superblock;
use crate::log::Saved;
use crate::namespaces;
use crate::store::Store;
use crate::sync::{lock, Ordering};

impl Below {
    /// For a log whose thread has ended.
    pub(super) fn save_tail(&self, store: &Store) -> Result<()> {
        let epoch = |id: u32| (id, namespaces::epoch(&store.arena, id));
        let saved = Saved {
            bytes: self.uncommitted_bytes(),
            clock: store.clock_word().load(Ordering::Relaxed),
            epochs: (0..namespaces::count(&store.arena)).map(epoch).filter(|(_, epoch)| *epoch > 0).collect(),
            pinned: Vec::new(),
        };
        self.tail.save(&self.dir, &self.log, hash_seed(store), &saved)
    }

    /// The keys of pinned records in what was saved; `None` when the log must be read.
    pub(super) fn load_tail(&self, store: &Store) -> Result<Option<Vec<PinnedKey>>> {
        let Some(saved) = self.tail.load(&self.dir, &self.log, hash_seed(store))? else { return Ok(None) };
        for (namespace, epoch) in saved.epochs {
            store.raise_epoch(namespace, epoch);
        }
        store.clock_word().fetch_max(saved.clock, Ordering::Relaxed);
        lock(&self.uncommitted).earlier = saved.bytes;
        Ok(Some(saved.pinned))
    }
}

fn hash_seed(store: &Store) -> u64 {
    store.arena.superblock(superblock::HASH_SEED).load(Ordering::Relaxed)
}
