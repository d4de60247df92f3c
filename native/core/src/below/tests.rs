//! Moments between the log and RAM that no caller can bring about from outside.

use super::*;
use crate::evict::Queue;
use crate::open::{open_tiered, SHARED_MEMORY_DIR};
use crate::ops::WriteRequest;
use crate::record::RecordBuffer;
use crate::store::{Counting, StoreOptions};
use std::path::Path;

/// The drain steps over dead records at once, but what was written there the log is still to read.
#[test]
fn a_segment_is_used_again_only_when_the_log_has_what_was_in_it() {
    let dir = std::env::temp_dir().join(format!("ramcache-unit-followed-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let options = StoreOptions { budget_bytes: 1 << 20, counting: Counting::Everything, background: false };
    let below_dir = dir.join("ssd");
    let owned = open_tiered(&dir, &options, Path::new(SHARED_MEMORY_DIR), &below_dir).expect("opens");
    let below_options =
        BelowOptions { file_bytes: 1 << 20, reserve_bytes: 0, ..BelowOptions::new(&below_dir) };
    owned.start_below(&below_options).expect("the log opens");
    let store = owned.store();
    let below = store.below().expect("started");
    // The log gets no further meanwhile.
    let held = lock(&below.appending);
    let logged = below.progress.logged();
    // One key again and again: more than a segment, less than the log may be behind.
    let value = vec![7; store.arena.geometry().segment_bytes / 16 - 64];
    let mut buffer = RecordBuffer::default();
    for _ in 0..30 {
        let request = WriteRequest { key: b"key", value: &value, value_type: 6, ..WriteRequest::default() };
        store.set(&request, &mut buffer).expect("written");
    }
    let ready = store.segments.ready_count();
    let drained = store.drain_slice(Queue::Small, 1000, false);
    assert!(drained.bytes > 0 && drained.waits_for.is_some(), "{drained:?}");
    assert_eq!(below.progress.logged(), logged);
    assert_eq!(store.segments.ready_count(), ready, "used again before the log has read it");
    drop(held);
    below.progress.wait_logged(store.sequence()).expect("all of it can be read");
    store.drain_slice(Queue::Small, 0, false);
    assert_eq!(store.segments.ready_count(), ready + 1);
    owned.close();
    let _ = std::fs::remove_dir_all(&dir);
}
