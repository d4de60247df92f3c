//! Move tokens as a promotion uses them: taken before the slot is looked at, compared before anything is made of it.

mod support;

use ramcache_core::ops::WriteRequest;
use ramcache_core::record::RecordBuffer;
use support::{open_store, TestStore};

const KEY: &[u8] = b"key";

/// Whether the token of `KEY`, taken before `change`, is still good after it.
fn survives(store: &TestStore, change: impl FnOnce()) -> bool {
    let hash = store.store().hasher().hash(0, KEY);
    let token = store.store().tokens().read(hash);
    change();
    store.store().tokens().is_unchanged(hash, token)
}

#[test]
fn a_promotion_beside_a_write_is_refused() {
    let store = open_store(512 << 10);
    assert!(survives(&store, || assert_eq!(store.get(KEY), None)), "a miss changes nothing");
    assert!(!survives(&store, || {
        store.set(KEY, b"new");
    }));
    assert!(survives(&store, || assert_eq!(store.get(KEY), Some(b"new".to_vec()))));
}

#[test]
fn every_way_to_change_an_entry_bumps_its_token() {
    let store = open_store(512 << 10);
    let mut buffer = RecordBuffer::default();
    let core = store.store();
    let number = 1f64.to_le_bytes();
    let request = WriteRequest { key: KEY, value: &number, value_type: 3, ..WriteRequest::default() };
    assert!(!survives(&store, || core.set_many(&[request]).expect("written")), "a group");
    assert!(
        !survives(&store, || {
            core.increment(0, KEY, 1.0, None, 0, false, &mut buffer).expect("a number");
        }),
        "an increment"
    );
    assert!(!survives(&store, || assert!(core.touch(0, KEY, 1000, false, &mut buffer).expect("touched"))));
    assert!(!survives(&store, || assert!(core.delete(0, KEY, None, &mut buffer).expect("deleted"))));
    assert!(
        survives(&store, || assert!(!core.delete(0, KEY, None, &mut buffer).expect("looked at"))),
        "a refused change is none"
    );
}

/// The token of a key must change when it leaves RAM, or what was read below before it was written would be promoted
/// over it.
#[test]
fn an_eviction_bumps_the_token() {
    let store = open_store(512 << 10);
    store.set(KEY, b"newer than what was read below");
    let is_good = survives(&store, || {
        for number in 0..40_000u32 {
            // Keys of other stripes, so that only what happens to `KEY` itself can change its token.
            let other = number.to_le_bytes();
            let hash = |key| store.store().hasher().hash(0, key);
            if hash(&other) % 256 != hash(KEY) % 256 {
                store.set(&other, &[7; 100]);
            }
        }
        assert_eq!(store.get(KEY), None, "it has been evicted");
    });
    assert!(!is_good);
}
