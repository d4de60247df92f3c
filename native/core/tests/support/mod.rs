//! A store in a directory of its own, without a background thread unless a test wants one.
#![allow(dead_code)]

use ramcache_core::open::{open, OwnedStore, SHARED_MEMORY_DIR};
use ramcache_core::ops::read::{Copied, Lookup, Seen};
use ramcache_core::ops::{Outcome, WriteRequest};
use ramcache_core::record::RecordBuffer;
use ramcache_core::store::{Counting, Store, StoreOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;

static NEXT: AtomicU32 = AtomicU32::new(0);

pub struct TestStore {
    pub owned: Arc<OwnedStore>,
    pub dir: PathBuf,
}

pub fn fresh_dir() -> PathBuf {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("ramcache-test-{}-{number}", std::process::id()))
}

pub fn options(budget_bytes: usize) -> StoreOptions {
    StoreOptions { budget_bytes, counting: Counting::Everything, background: false }
}

pub fn open_with(options: StoreOptions) -> TestStore {
    let dir = fresh_dir();
    let owned = open(&dir, &options, Path::new(SHARED_MEMORY_DIR)).expect("a fresh directory opens");
    TestStore { owned, dir }
}

pub fn open_store(budget_bytes: usize) -> TestStore {
    open_with(options(budget_bytes))
}

impl TestStore {
    pub fn store(&self) -> &Store {
        self.owned.store()
    }

    pub fn set(&self, key: &[u8], value: &[u8]) -> Outcome {
        let request = WriteRequest { key, value, value_type: 6, ..WriteRequest::default() };
        self.store().set(&request, &mut RecordBuffer::default()).expect("a good request is written")
    }

    pub fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.get_in(0, key)
    }

    pub fn get_in(&self, namespace: u32, key: &[u8]) -> Option<Vec<u8>> {
        let mut copied = Copied::default();
        let hash = self.store().hasher().hash(namespace, key);
        match self.store().reader().read(namespace, key, hash, &mut copied, &mut Seen::default()) {
            Lookup::Hit => Some(copied.value),
            Lookup::Miss | Lookup::Dead => None,
            other => panic!("unexpected answer {other:?}"),
        }
    }
}

impl Drop for TestStore {
    fn drop(&mut self) {
        if !std::thread::panicking() && !self.store().is_closed() {
            self.store().check().expect("the arena is whole at the end of the test");
        }
        self.owned.close();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The shared files of a store, by the file that leads to them.
pub fn announced(dir: &Path) -> (PathBuf, PathBuf) {
    let owner = std::fs::read_to_string(dir.join("owner")).expect("the owner has announced its files");
    let path = |name: &str| {
        let (_, rest) = owner.split_once(&format!("\"{name}\": \"")).expect("the file names both");
        PathBuf::from(rest.split('"').next().expect("a quoted path"))
    };
    (path("data"), path("touch"))
}

/// SplitMix64: Steele, Lea, Flood, OOPSLA 2014.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// The seed of a test, printed: `RAMCACHE_SEED`, or 1.
pub fn seed() -> u64 {
    let seed = match std::env::var("RAMCACHE_SEED") {
        Ok(seed) => seed.parse().expect("RAMCACHE_SEED is a number"),
        Err(_) => 1,
    };
    println!("seed {seed}");
    seed
}
