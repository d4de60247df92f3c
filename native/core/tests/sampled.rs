//! Slots that sampled reads leave in the counter slots: they lead to the key that was read, and since every process writes
//! them, whatever else stands there leads to a key that is there or to none.

mod support;

use ramcache_core::layout::{counters, BUCKET_SLOTS, CHUNK_SLOTS};
use ramcache_core::ops::read::{Lookup, Nothing, Seen};
use ramcache_core::ops::Sampled;
use ramcache_core::stats::{CounterSlot, Sampler, SAMPLE_EVERY};
use std::sync::atomic::Ordering;
use support::{open_store, seed, Random, TestStore};

const KEYS: u64 = 3000;

fn key_of(number: u64) -> Vec<u8> {
    format!("key:{number}").into_bytes()
}

fn filled() -> TestStore {
    let store = open_store(1 << 20);
    for number in 0..KEYS {
        store.set(&key_of(number), b"value");
    }
    store
}

#[test]
fn a_sampled_read_is_known_by_its_key() {
    let test = filled();
    let store = test.store();
    let slot = CounterSlot::claim(store.arena(), 0, std::process::id());
    let mut looked = Vec::new();
    assert_eq!(store.sampled(&mut looked), []);
    let mut hits = 0;
    for number in 0..KEYS {
        let key = key_of(number);
        let mut seen = Seen::default();
        let hash = store.hasher().hash(0, &key);
        if store.reader().read(0, &key, hash, &mut Nothing, &mut seen) != Lookup::Hit {
            continue;
        }
        hits += 1;
        let weight = 1 + (number % 3) as u32;
        for _ in 0..weight {
            slot.note_sample(store.arena(), seen.slot);
        }
        assert_eq!(store.sampled(&mut looked), [Sampled { namespace: 0, key, weight }]);
    }
    assert!(hits > KEYS / 2);
    // Nothing new: nothing to be seen.
    assert_eq!(store.sampled(&mut looked), []);
}

#[test]
fn what_others_have_written_there_does_no_harm() {
    let test = filled();
    let store = test.store();
    let arena = store.arena();
    let geometry = *arena.geometry();
    let slot = CounterSlot::claim(arena, 0, std::process::id());
    let mut looked = Vec::new();
    store.sampled(&mut looked);
    let (index, chunks) = (geometry.index_word(), geometry.chunks_word());
    let buckets = arena.bucket_count() as usize * BUCKET_SLOTS;
    let mut words: Vec<u64> = (index..index + buckets).map(|word| word as u64).collect();
    words.extend((chunks..chunks + 64 * CHUNK_SLOTS).map(|word| word as u64));
    let edges = [0, 1, index - 1, index + buckets, chunks - 1, geometry.segments_word(), usize::MAX];
    words.extend(edges.map(|word| word as u64));
    let mut random = Random(seed());
    words.extend((0..1000).map(|_| random.next() >> random.below(64)));
    let mut found = 0;
    for word in words {
        arena.counter(slot.number(), counters::SAMPLED_SLOT).store(word, Ordering::Relaxed);
        slot.add(arena, counters::SAMPLES, 1);
        for Sampled { namespace, key, weight } in store.sampled(&mut looked) {
            found += 1;
            assert_eq!((namespace, weight), (0, 1));
            assert_eq!(test.get(&key), Some(b"value".to_vec()), "word {word}");
        }
    }
    assert!(found > KEYS / 2, "{found} found");
}

/// Of calls that come in a fixed order, each has its turn.
#[test]
fn no_place_in_an_order_is_passed_over() {
    for period in [2, 8, 63, 64, 65, 128] {
        let mut sampler = Sampler::new(1);
        let mut taken = vec![0u32; period];
        let calls = period as u32 * SAMPLE_EVERY * 200;
        for call in 0..calls {
            taken[call as usize % period] += sampler.is_due() as u32;
        }
        // 200 each, give or take five standard deviations.
        let (least, most) = (taken.iter().min(), taken.iter().max());
        assert!(least >= Some(&130) && most <= Some(&270), "period {period}: {least:?} to {most:?}");
    }
}
