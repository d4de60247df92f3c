//! Steps of several stores that were cut short: slots are put back to what they were before the step.

use super::copies::{put, Copies};
use super::plain::{dropped, get};
use super::support::{open_store, options, TestStore};
use ramcache_core::arena::Words;
use ramcache_core::layout::{superblock, SlotWord, BUCKET_SLOTS};
use ramcache_core::ops::WriteRequest;
use std::sync::atomic::Ordering;

const BUDGET: usize = 1 << 20;

/// The slot words of two states of one store, and copies of the later one.
struct Step {
    before: Vec<u64>,
    copies: Copies,
    first: usize,
}

impl Step {
    fn of(store: &TestStore, act: impl FnOnce(&TestStore)) -> Step {
        let before = Step::words(store);
        act(store);
        let first = store.store().arena().geometry().index_word();
        Step { before, copies: Copies::of(&store.dir), first }
    }

    /// The same, if the index has grown by a bucket.
    fn of_split(store: &TestStore, act: impl FnOnce(&TestStore)) -> Option<Step> {
        let before = Step::words(store);
        let count = store.store().arena().bucket_count();
        act(store);
        let first = store.store().arena().geometry().index_word();
        let has_grown = store.store().arena().bucket_count() > count;
        has_grown.then(|| Step { before, copies: Copies::of(&store.dir), first })
    }

    fn words(store: &TestStore) -> Vec<u64> {
        let arena = store.store().arena();
        let first = arena.geometry().index_word();
        let words = first..first + arena.bucket_count() as usize * BUCKET_SLOTS;
        words.map(|word| arena.data().word(word).load(Ordering::Relaxed)).collect()
    }

    /// Slots that the step has changed.
    fn changed(&self) -> Vec<usize> {
        let words = Words::attach(&self.copies.data, true).expect("the copy can be mapped");
        let is_changed = |at: &usize| words.word(self.first + at).load(Ordering::Relaxed) != self.before[*at];
        (0..self.before.len()).filter(is_changed).collect()
    }

    /// Slots that led to a record before and are empty now.
    fn cleared(&self) -> Vec<usize> {
        let words = Words::attach(&self.copies.data, true).expect("the copy can be mapped");
        let is_cleared = |at: &usize| {
            SlotWord(self.before[*at]).is_entry() && words.word(self.first + at).load(Ordering::Relaxed) == 0
        };
        (0..self.before.len()).filter(is_cleared).collect()
    }

    /// Whether the bucket that split into bucket `count` had chunks: their slots are not among ours.
    fn has_chain(&self, count: u64) -> bool {
        let old = (count - (1 << count.ilog2())) as usize * BUCKET_SLOTS;
        self.before[old..old + BUCKET_SLOTS].iter().any(|word| SlotWord(*word).linked_chunk().is_some())
    }

    fn undo(&self, slots: &[usize]) {
        for slot in slots {
            put(&self.copies, self.first + slot, self.before[*slot]);
        }
    }
}

#[test]
fn a_group_that_was_being_published_is_completed() {
    let names: Vec<String> = (0..12).map(|number| format!("member:{number}")).collect();
    for published in 0..=12 {
        for has_large in [false, true] {
            let value = |round: u8| vec![round; if has_large { 3000 } else { 30 }];
            let store = open_store(BUDGET);
            // Half of them are there before.
            for name in &names[..6] {
                store.set(name.as_bytes(), &value(1));
            }
            let (mut first, mut last) = (0, 0);
            let step = Step::of(&store, |store| {
                first = store.store().arena().superblock(superblock::CLOCK).load(Ordering::Relaxed) + 1;
                let new = value(2);
                let requests: Vec<_> = names
                    .iter()
                    .map(|name| WriteRequest { key: name.as_bytes(), value: &new, ..WriteRequest::default() })
                    .collect();
                store.store().set_many(&requests).expect("set");
                last = store.store().arena().superblock(superblock::CLOCK).load(Ordering::Relaxed);
            });
            let changed = step.changed();
            assert_eq!(changed.len(), 12);
            step.undo(&changed[published..]);
            let damaged = published % 4 == 3;
            for (word, value) in [
                (superblock::GROUP, 1),
                (superblock::GROUP_FIRST, first),
                (superblock::GROUP_LAST, last),
                // One more than there are: as if a record had been lost.
                (superblock::GROUP_RECORDS, 12 + damaged as u64),
            ] {
                put(&step.copies, word, value);
            }
            let owned = step.copies.open(&options(BUDGET));
            let lost = dropped(&owned);
            let found: Vec<_> =
                names.iter().filter_map(|name| Some(get(&owned, 0, name.as_bytes())?.0)).collect();
            if damaged {
                assert_eq!(lost, published as u64);
                assert!(found.iter().all(|found| *found == value(1)), "none of a group that is not whole");
            } else {
                assert_eq!((lost, found), (0, vec![value(2); 12]));
            }
            let group = owned.store().arena().superblock(superblock::GROUP).load(Ordering::Relaxed);
            assert_eq!(group % 2, 0);
        }
    }
}

#[test]
fn a_split_that_was_cut_short_loses_and_doubles_nothing() {
    let store = open_store(BUDGET);
    let (mut number, mut splits) = (0, 0);
    while splits < 12 {
        let key = format!("key:{number}");
        let count = store.store().arena().bucket_count();
        let step = Step::of_split(&store, |store| {
            store.set(key.as_bytes(), b"value");
        });
        number += 1;
        let Some(step) = step else { continue };
        splits += 1;
        // What the split has cleared in the old bucket, all of it or half.
        let cleared = step.cleared();
        step.undo(&cleared[..cleared.len() / (1 + splits % 2)]);
        // With all of it there, the count may not have been raised yet. The key that was set moved too.
        let is_early = splits % 2 == 0 && !step.has_chain(count);
        if is_early {
            put(&step.copies, superblock::BUCKET_COUNT, count);
        }
        let owned = step.copies.open(&options(BUDGET));
        assert_eq!(dropped(&owned), 0, "split {splits}");
        for number in 0..number - is_early as u64 {
            let key = format!("key:{number}");
            assert!(get(&owned, 0, key.as_bytes()).is_some(), "{key} after split {splits}");
        }
    }
}
