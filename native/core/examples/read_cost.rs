//! `cargo run --release --example read_cost`: nanoseconds of a lookup with a copy, without Node.
use ramcache_core::open::{open, SHARED_MEMORY_DIR};
use ramcache_core::ops::read::{Copied, Lookup, Seen};
use ramcache_core::ops::WriteRequest;
use ramcache_core::record::RecordBuffer;
use ramcache_core::store::{Counting, StoreOptions};
use std::path::Path;
use std::time::Instant;

fn main() {
    let dir = std::env::temp_dir().join(format!("ramcache-read-cost-{}", std::process::id()));
    let options = StoreOptions { budget_bytes: 1 << 30, counting: Counting::Everything, background: true };
    let owned = open(&dir, &options, Path::new(SHARED_MEMORY_DIR)).expect("a fresh directory opens");
    let store = owned.store();
    let mut buffer = RecordBuffer::default();
    let key = |index: u64| format!("key:{index:012}");
    let total = 1_000_000;
    let begun = Instant::now();
    for index in 0..total {
        let name = key(index);
        let request =
            WriteRequest { key: name.as_bytes(), value: &[b'v'; 100], value_type: 1, ..Default::default() };
        store.set(&request, &mut buffer).expect("there is room");
    }
    println!("set: {} ns", begun.elapsed().as_nanos() as u64 / total);
    for range in [1000, total] {
        let mut state = 12345u64;
        let keys: Vec<String> = (0..total)
            .map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                key((state >> 33) % range)
            })
            .collect();
        for _ in 0..3 {
            let (mut copied, mut seen) = (Copied::default(), Seen::default());
            let mut hits = 0;
            let begun = Instant::now();
            for key in &keys {
                let hash = store.hasher().hash(0, key.as_bytes());
                let found = store.reader().read(0, key.as_bytes(), hash, &mut copied, &mut seen);
                hits += (found == Lookup::Hit) as u64;
            }
            println!("get of {range} keys: {} ns, {hits} hits", begun.elapsed().as_nanos() as u64 / total);
        }
    }
    owned.close();
    let _ = std::fs::remove_dir_all(dir);
}
