//! What a server thread needs of the store: namespaces it has met, counters, buffers. One for each thread.

use crate::context::{Kept, Progress, Want};
use crate::limits::Limits;
use crate::shared::Shared;
use ramcache_core::error::{Code, Result, StoreError};
use ramcache_core::hash::KeyHasher;
use ramcache_core::layout::counters;
use ramcache_core::namespaces;
use ramcache_core::ops::read::{Lookup, Nothing, Seen};
use ramcache_core::record::RecordBuffer;
use ramcache_core::stats::{CounterSlot, Sampler};
use ramcache_core::store::Store;
use std::collections::HashMap;
use std::sync::{mpsc, Arc, Mutex, PoisonError};

/// What a write waits for before it is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Durability {
    None,
    Async,
    Sync,
}

/// A namespace and what its owner wants of writes that do not say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Namespace {
    pub id: u32,
    /// 0 = none.
    pub ttl_ms: u64,
    pub durability: Durability,
}

/// The store keeps what it needs to read objects here; our client writes it.
pub const STRUCTURES: &str = " structures";
/// Chunks of blobs.
pub const BLOBS: &str = " blobs";

pub struct Worker {
    pub shared: Arc<Shared>,
    pub store: Arc<Store>,
    pub hasher: KeyHasher,
    pub buffer: RecordBuffer,
    pub limits: Limits,
    names: HashMap<Vec<u8>, Namespace>,
    counters: HashMap<u32, CounterSlot>,
    /// The last ones that were asked for; most commands want the same ones again.
    last_name: (Vec<u8>, Option<Namespace>),
    last_counters: Option<(u32, CounterSlot)>,
    pub sampler: Sampler,
    chance: u64,
    /// Wakes this thread when the tiers below have answered; `None` without tiers.
    pub asker: Option<u32>,
}

impl Worker {
    pub fn new(shared: Arc<Shared>) -> Worker {
        let store = Arc::clone(&shared.store);
        Worker {
            hasher: *store.hasher(),
            buffer: RecordBuffer::default(),
            limits: shared.options.limits.clone(),
            names: HashMap::new(),
            counters: HashMap::new(),
            last_name: (Vec::new(), None),
            last_counters: None,
            sampler: Sampler::new(ramcache_core::clock::wall_ms()),
            chance: ramcache_core::clock::wall_ms() | 1,
            asker: None,
            store,
            shared,
        }
    }

    /// A namespace by its full name, made when it is new.
    pub fn namespace(&mut self, name: &[u8]) -> Result<Namespace> {
        match self.find_namespace(name)? {
            Some(found) => Ok(found),
            None => {
                let name = std::str::from_utf8(name).expect("checked");
                let id = self.store.namespace(name)?;
                Ok(self.remember(name, id))
            }
        }
    }

    /// A namespace by its full name; `None` when nobody has made it.
    pub fn find_namespace(&mut self, name: &[u8]) -> Result<Option<Namespace>> {
        if let (last, Some(found)) = &self.last_name {
            if last == name {
                return Ok(Some(*found));
            }
        }
        if let Some(found) = self.names.get(name) {
            self.last_name = (name.to_vec(), Some(*found));
            return Ok(Some(*found));
        }
        let name = check_name(name)?;
        let found = namespaces::find(self.store.arena(), name);
        Ok(found.map(|id| self.remember(name, id)))
    }

    fn remember(&mut self, name: &str, id: u32) -> Namespace {
        let settings = self.shared.options.namespaces.iter().find(|settings| settings.name == name);
        let usual = match self.store.below().is_some() {
            true => Durability::Async,
            false => Durability::None,
        };
        let namespace = Namespace {
            id,
            ttl_ms: settings.map_or(0, |settings| settings.ttl_ms),
            durability: settings.and_then(|settings| settings.durability).unwrap_or(usual),
        };
        self.names.insert(name.as_bytes().to_vec(), namespace);
        namespace
    }

    /// Where reads of a namespace by this thread are counted.
    pub fn counters(&mut self, namespace: u32) -> CounterSlot {
        if let Some((_, slot)) = self.last_counters.filter(|(last, _)| *last == namespace) {
            return slot;
        }
        let arena = self.store.arena();
        let claim = || CounterSlot::claim(arena, namespace, std::process::id());
        let slot = *self.counters.entry(namespace).or_insert_with(claim);
        self.last_counters = Some((namespace, slot));
        slot
    }

    /// Some number, for choices that nobody depends on.
    pub fn random(&mut self) -> u64 {
        // xorshift64*, Vigna 2016.
        self.chance ^= self.chance >> 12;
        self.chance ^= self.chance << 25;
        self.chance ^= self.chance >> 27;
        self.chance.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    /// Asks the tiers below and waits for their answers, which holds up this thread. For the middle of EXEC, where nobody
    /// else may run and what was in RAM a moment ago has just left it.
    pub fn wait_for(&mut self, wants: Vec<Want>, progress: &mut Progress) {
        let Some(below) = self.store.below() else { return };
        let (ring, rung) = mpsc::channel();
        let ring = Mutex::new(ring);
        let asker = below.misses.register(Box::new(move || {
            // Nobody listens any more when the wait has been given up.
            let _ = ring.lock().unwrap_or_else(PoisonError::into_inner).send(());
        }));
        let mut asked = HashMap::new();
        for Want { namespace, key, purpose } in wants {
            let hash = self.hasher.hash(namespace, &key);
            let token = self.store.tokens().read(hash);
            let seen = self.store.reader().read(namespace, &key, hash, &mut Nothing, &mut Seen::default());
            if seen != Lookup::Miss {
                continue;
            }
            match below.misses.ask(asker, namespace, &key, hash, token, purpose) {
                Ok(question) => {
                    asked.insert(question, (namespace, key));
                }
                Err(failure) => {
                    progress.found.insert((namespace, key), Kept::Failed(failure));
                }
            }
        }
        while !asked.is_empty() && rung.recv().is_ok() {
            for (question, answer) in below.misses.collect(asker) {
                if let Some(key) = asked.remove(&question) {
                    progress.keep(key, answer);
                }
            }
        }
        below.misses.unregister(asker);
    }

    pub fn count_reads(&mut self, namespace: u32, hits: u64, misses: u64) {
        if hits + misses == 0 {
            return;
        }
        let slot = self.counters(namespace);
        slot.add(self.store.arena(), counters::HITS, hits);
        slot.add(self.store.arena(), counters::MISSES, misses);
    }

    /// Counts of this thread stay; its slots can be used by others.
    pub fn release(&mut self) {
        self.last_counters = None;
        for (_, slot) in self.counters.drain() {
            slot.release(self.store.arena());
        }
    }
}

/// The same rule as `checkNamespaceName` in `src/config`, and the two namespaces of the store itself.
fn check_name(name: &[u8]) -> Result<&str> {
    let refuse = || {
        let shown = String::from_utf8_lossy(&name[..name.len().min(80)]).into_owned();
        let message = format!(
            "a namespace name is 1 to 64 visible ASCII characters, with '/' only between parts, not {shown:?}"
        );
        StoreError::new(Code::Config, message)
    };
    let text = std::str::from_utf8(name).map_err(|_| refuse())?;
    if text == STRUCTURES || text == BLOBS {
        return Ok(text);
    }
    let is_visible = name.iter().all(|byte| (0x21..=0x7e).contains(byte));
    let has_empty_part = text.split('/').any(str::is_empty);
    match (1..=64).contains(&name.len()) && is_visible && !has_empty_part {
        true => Ok(text),
        false => Err(refuse()),
    }
}
