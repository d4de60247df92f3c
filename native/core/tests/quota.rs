//! Two tenants of one store: the noisy one with a quota takes next to nothing from the other.

mod support;

use ramcache_core::ops::WriteRequest;
use ramcache_core::record::RecordBuffer;
use support::{open_store, Random, TestStore};

const BUDGET: usize = 4 << 20;
const QUOTA: u64 = 1 << 20;
/// With them and the quota the store is full.
const QUIET_KEYS: u64 = 7000;
const STEPS: u64 = 150_000;
/// Reads of the noisy one for each of the other.
const NOISE: u64 = 8;

struct Tenant {
    namespace: u32,
    hits: u64,
    reads: u64,
}

impl Tenant {
    fn new(namespace: u32) -> Tenant {
        Tenant { namespace, hits: 0, reads: 0 }
    }

    /// Reads through: what is missing is stored.
    fn read(&mut self, store: &TestStore, number: u64, is_counted: bool) {
        let key = number.to_le_bytes();
        let is_hit = store.get_in(self.namespace, &key).is_some();
        if is_counted {
            self.reads += 1;
            self.hits += is_hit as u64;
        }
        if !is_hit {
            let request = WriteRequest {
                namespace: self.namespace,
                key: &key,
                value: &[7; 300],
                value_type: 6,
                ..WriteRequest::default()
            };
            store.store().set(&request, &mut RecordBuffer::default()).expect("there is always room");
        }
    }

    fn hit_rate(&self) -> f64 {
        self.hits as f64 / self.reads as f64
    }
}

/// The hit rate of the quiet tenant once both have been there for a while.
fn replay(is_noisy: bool, quota: u64) -> f64 {
    let store = open_store(BUDGET);
    let mut quiet = Tenant::new(store.store().namespace("quiet").expect("room"));
    let mut noisy = Tenant::new(store.store().namespace("noisy").expect("room"));
    store.store().set_quota(noisy.namespace, quota);
    let mut random = Random(support::seed());
    // Popular ones in a half of its reads, and all of its keys alike in the others.
    let skewed = |random: &mut Random, keys: u64| match random.below(2) {
        0 => random.below(keys / 20),
        _ => random.below(keys),
    };
    let mut next = 0;
    for step in 0..STEPS {
        let number = skewed(&mut random, QUIET_KEYS);
        quiet.read(&store, number, step > STEPS / 3);
        for _ in 0..if is_noisy { NOISE } else { 0 } {
            // A scan beside a large set of its own, read twice each so that it counts as proven.
            next += 1;
            let number = if next % 2 == 0 { 1_000_000 + next / 4 } else { skewed(&mut random, 40_000) };
            noisy.read(&store, number, true);
        }
    }
    if is_noisy && quota > 0 {
        let taken = store.store().ram_bytes(noisy.namespace);
        assert!(taken > QUOTA / 2, "{taken} bytes of RAM are less than it may have");
    }
    quiet.hit_rate()
}

#[test]
fn a_noisy_tenant_with_a_quota_takes_less_than_a_point_of_anothers_hits() {
    let (alone, beside, without) = (replay(false, 0), replay(true, QUOTA), replay(true, 0));
    println!("alone {alone:.4}, beside a noisy one {beside:.4}, and without a quota {without:.4}");
    assert!(alone - beside < 0.01, "{alone:.4} alone, {beside:.4} beside a noisy tenant");
    assert!(alone - without > 0.05, "{alone:.4} alone, {without:.4} without a quota: no noise to speak of");
}

#[test]
fn a_quota_is_no_limit_while_there_is_room() {
    let store = open_store(BUDGET);
    let only = store.store().namespace("only").expect("room");
    store.store().set_quota(only, 64 << 10);
    let mut tenant = Tenant::new(only);
    for number in 0..2000 {
        tenant.read(&store, number, true);
    }
    for number in 0..2000 {
        tenant.read(&store, number, true);
    }
    assert_eq!(tenant.hits, 2000);
    assert!(store.store().ram_bytes(only) > 64 << 10);
    assert_eq!(store.store().quota(only), 64 << 10);
}
