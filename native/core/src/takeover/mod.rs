//! Takeover: a new owner adopts the arena that one which died has left.
//!
//! What the dead owner kept on its heap is found again from shared bytes, and these may have been left at any
//! instruction, or damaged since. Nothing is believed: what does not check is dropped, an arena whose frame does not
//! check is refused. The invariants of the crate hold when [`adopt`] returns.
//!
//! ```text
//! map        files, superblock, sizes; memory behind the tables
//! segments   the records of each segment -> logs, memory of segments, highest clock word
//! index      every slot -> a record of its bucket, once; chunks, units of runs, counts
//! group      one that was being published is completed
//! ```
//!
//! Each change to shared bytes is one that a live owner could have made, or clears what no lookup may believe. So an
//! adopter that dies leaves an arena that can be adopted, and readers attached since before may read on meanwhile.

mod group;
mod index;
mod segments;

use crate::arena::owner_files::LeftBehind;
use crate::arena::{Arena, Words};
use crate::clock::CLOCK_MAX;
use crate::layout::{self, counters, superblock, BUCKET_SLOTS, CHUNK_SLOTS, NAMESPACES_MAX, SHARDS};
use crate::namespaces;
use crate::open::geometry_of;
use crate::ops::BUDGET_BYTES_MIN;
use crate::segment::{Kind, Log, Segments, READY_LOW};
use crate::store::{Store, StoreOptions, Tables};
use crate::sync::Ordering;
use crate::tags;
use segments::Survey;
use std::time::{Duration, Instant};

/// What a takeover has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adoption {
    /// Live entries.
    pub entries: u64,
    /// Slots that led to nothing that could be kept. Without damage there are none, wherever the owner died.
    pub dropped: u64,
    /// How long each phase took.
    pub phases: Vec<(&'static str, Duration)>,
}

/// The store of an arena that was left behind, or why it cannot be had.
pub fn adopt(left: &LeftBehind, options: &StoreOptions) -> Result<(Store, Adoption), String> {
    let mut phases = Vec::new();
    let mut began = Instant::now();
    let mut end_phase = |name| {
        phases.push((name, began.elapsed()));
        began = Instant::now();
    };
    let arena = map(left)?;
    check_superblock(&arena, left.arena_id, options.budget_bytes)?;
    allocate_tables(&arena)?;
    end_phase("map");
    let survey = segments::survey(&arena);
    let kinds = segments::settle_memory(&arena, &survey, options.budget_bytes)?;
    let store = store_of(arena, options, &survey, &kinds);
    end_phase("segments");
    let mut dropped = index::rebuild(&store, &survey);
    end_phase("index");
    dropped += group::complete(&store, &survey);
    store.runs.retire_empty(&store.arena, &store.segments);
    go_on(&store, &survey, options.budget_bytes)?;
    end_phase("group");
    let entries = store.entries();
    Ok((store, Adoption { entries, dropped, phases }))
}

fn map(left: &LeftBehind) -> Result<Arena, String> {
    let open = |path| Words::attach(path, true).map_err(|error| error.message);
    let data = open(&left.data)?;
    let geometry = geometry_of(&data)?;
    let touch = open(&left.touch)?;
    if data.bytes() != geometry.data_bytes() || touch.bytes() != geometry.touch_bytes() {
        let found = (data.bytes(), touch.bytes());
        return Err(format!("files of {found:?} bytes, their sizes are not those of {geometry:?}"));
    }
    Ok(Arena::new(data, touch, geometry))
}

/// Words that everything else is found by.
fn check_superblock(arena: &Arena, arena_id: u64, budget_bytes: usize) -> Result<(), String> {
    let geometry = arena.geometry();
    let load = |word: usize| arena.superblock(word).load(Ordering::Acquire);
    let (buckets, allocated) = (load(superblock::BUCKET_COUNT), load(superblock::ALLOCATED_BUCKETS));
    let chunks = load(superblock::ALLOCATED_CHUNKS);
    let spaces = load(superblock::NAMESPACE_COUNT);
    if load(superblock::ARENA_ID) != arena_id {
        return Err(format!("arena {:016x} where {arena_id:016x} was announced", load(superblock::ARENA_ID)));
    }
    if buckets == 0 {
        return Err("its owner has closed it".into());
    }
    if buckets < SHARDS as u64 || buckets > allocated || allocated > geometry.buckets as u64 {
        return Err(format!("{buckets} buckets in use of {allocated} allocated, {}", geometry.buckets));
    }
    if chunks > geometry.chunks as u64 {
        return Err(format!("{chunks} chunks allocated of {}", geometry.chunks));
    }
    if spaces == 0 || spaces > NAMESPACES_MAX as u64 || namespaces::find(arena, "default") != Some(0) {
        return Err(format!("a table of {spaces} namespaces without the default one"));
    }
    if let Some(id) = (0..spaces as u32).find(|id| namespaces::epoch(arena, *id) >= CLOCK_MAX) {
        return Err(format!("the last clear of namespace {id} lies beyond all time"));
    }
    if let Some(id) = (0..spaces as u32).find(|id| tags::floor(arena, *id) >= CLOCK_MAX) {
        return Err(format!("the tags of namespace {id} were invalidated beyond all time"));
    }
    if tags::namespace_of(arena) != namespaces::find(arena, tags::NAMESPACE_NAME)
        && load(superblock::TAGS) != 0
    {
        return Err(format!("the namespace of tags is not number {}", load(superblock::TAGS)));
    }
    if load(superblock::CLOCK) >= CLOCK_MAX {
        return Err(format!("its clock word is {:#x}", load(superblock::CLOCK)));
    }
    // Less than this the store could not keep to, with segments of this size.
    let least = BUDGET_BYTES_MIN.max((READY_LOW + 4) * geometry.segment_bytes);
    let most = geometry.segments * geometry.segment_bytes;
    if !(least..=most).contains(&budget_bytes) {
        return Err(format!("its segments serve {least} to {most} bytes, not a budget of {budget_bytes}"));
    }
    Ok(())
}

/// Memory for all tables in use: allocated already unless the words that say so are damaged.
fn allocate_tables(arena: &Arena) -> Result<(), String> {
    let geometry = arena.geometry();
    let load = |word: usize| arena.superblock(word).load(Ordering::Relaxed) as usize;
    let slots = load(superblock::ALLOCATED_BUCKETS) * BUCKET_SLOTS;
    let chunk_slots = load(superblock::ALLOCATED_CHUNKS) * CHUNK_SLOTS;
    let namespace_words = layout::NAMESPACE_LINE * load(superblock::NAMESPACE_COUNT);
    let table_words = geometry.index_word() - geometry.segment_table_word();
    let tag_words = tags::namespace_of(arena).map_or(0, |_| geometry.tag_words());
    let data = [
        (geometry.tags_word(), tag_words),
        (0, superblock::WORDS + namespace_words),
        (geometry.segment_table_word(), table_words),
        (geometry.index_word(), slots),
        (geometry.chunks_word(), chunk_slots),
    ];
    let touch = [
        (0, geometry.counters_byte() + 2 * counters::WORDS * 8),
        (geometry.index_touch_byte(), slots),
        (geometry.chunk_touch_byte(), chunk_slots),
    ];
    let has_memory =
        data.iter().all(|(word, words)| *words == 0 || arena.data().allocate(word * 8, words * 8))
            && touch.iter().all(|(byte, bytes)| *bytes == 0 || arena.touch().allocate(*byte, *bytes));
    has_memory.then_some(()).ok_or_else(|| "no shared memory for its tables".into())
}

fn store_of(arena: Arena, options: &StoreOptions, survey: &Survey, kinds: &[Kind]) -> Store {
    let log = |kind| {
        let (segments, is_open) = survey.log(kind);
        Log::adopt(kind, segments, is_open)
    };
    let tables = Tables {
        allocated_buckets: arena.superblock(superblock::ALLOCATED_BUCKETS).load(Ordering::Relaxed),
        segments: Segments::adopt(kinds, survey.highest_sequence),
        small: log(Kind::Small),
        main: log(Kind::Main),
    };
    let hash_seed = arena.superblock(superblock::HASH_SEED).load(Ordering::Relaxed);
    let store = Store::with_tables(arena, options, hash_seed, tables);
    for segment in (0..kinds.len()).filter(|segment| kinds[*segment] == Kind::Runs) {
        store.runs.adopt_segment(segment as u32);
    }
    store
}

/// Makes the new owner known, with a clock that is ahead of everything written before.
fn go_on(store: &Store, survey: &Survey, budget_bytes: usize) -> Result<(), String> {
    let arena = &store.arena;
    let load = |word: usize| arena.superblock(word).load(Ordering::Relaxed);
    let epochs = (0..namespaces::count(arena)).map(|id| namespaces::epoch(arena, id));
    let clock = epochs.fold(survey.clock.max(load(superblock::CLOCK)), u64::max);
    arena.superblock(superblock::CLOCK).store(clock, Ordering::Relaxed);
    arena.superblock(superblock::MANUAL_CLOCK).store(0, Ordering::Relaxed);
    for (total, word) in [
        (&store.totals.sets, superblock::SETS),
        (&store.totals.deletes, superblock::DELETES),
        (&store.totals.expired, superblock::EXPIRED),
        (&store.totals.back_pressure, superblock::BACK_PRESSURE),
    ] {
        total.store(load(word), Ordering::Relaxed);
    }
    store.spill.adopt_totals(load(superblock::EVICTIONS), load(superblock::SPILLED_BYTES));
    store.resize(budget_bytes).map_err(|error| error.message)?;
    if !store.segments.grow_ready(arena) {
        return Err("no shared memory for a segment".into());
    }
    store.sign();
    Ok(())
}
