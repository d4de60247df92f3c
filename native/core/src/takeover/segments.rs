//! The segment table and the records behind it: how far each segment is really filled, and in which order.

use crate::arena::Arena;
use crate::clock::CLOCK_MAX;
use crate::feed::read_header;
use crate::layout::{superblock, Location, SegmentState, WORD_BYTES};
use crate::namespaces;
use crate::record::Header;
use crate::segment::{Kind, READY_LOW};
use crate::sync::Ordering;

/// A log segment as its records show it.
struct Filled {
    segment: u32,
    sequence: u64,
    /// Grains up to which records lie end to end, and those its line states.
    end: u32,
    used: u32,
    /// A bit for each grain, set where a record begins that a slot may lead to.
    starts: Vec<u64>,
}

/// What all segments hold.
pub struct Survey {
    kinds: Vec<Kind>,
    /// In the order they were taken.
    filled: Vec<Filled>,
    /// Where each segment is in `filled`.
    filled_at: Vec<Option<u32>>,
    pub highest_sequence: u64,
    /// Highest clock word of a record.
    pub clock: u64,
    /// Records of the group that was being published, with their clock words. Oldest first.
    pub group: Vec<(u64, Location)>,
}

impl Survey {
    /// A log's segments with their filled grains, oldest first, and whether the last one takes more records.
    pub fn log(&self, kind: Kind) -> (Vec<(u32, u32)>, bool) {
        let of_log = || self.filled.iter().filter(|filled| self.kinds[filled.segment as usize] == kind);
        // Behind what does not parse there may be records that readers still look at.
        let is_open = of_log().next_back().is_none_or(|last| last.end == last.used);
        (of_log().map(|filled| (filled.segment, filled.end)).collect(), is_open)
    }

    /// Whether a record that a slot may lead to begins at a location.
    pub fn is_record(&self, arena: &Arena, location: Location) -> bool {
        let Some(Some(at)) = self.filled_at.get(location.segment as usize) else { return false };
        let generation = arena.generation(location.segment).load(Ordering::Relaxed);
        let offset = location.offset as usize;
        location.is_of_generation(generation as u32)
            && self.filled[*at as usize]
                .starts
                .get(offset / 64)
                .is_some_and(|bits| bits >> (offset % 64) & 1 != 0)
    }
}

/// Walks the records of every log segment.
pub fn survey(arena: &Arena) -> Survey {
    let segments = arena.geometry().segments;
    let mut survey = Survey {
        kinds: Vec::with_capacity(segments),
        filled: Vec::new(),
        filled_at: vec![None; segments],
        highest_sequence: 0,
        clock: 0,
        group: Vec::new(),
    };
    let group = group_clocks(arena);
    for segment in 0..segments as u32 {
        let state = SegmentState::from_bits(arena.segment_state(segment).load(Ordering::Acquire));
        let kind = Kind::of(state);
        survey.kinds.push(kind);
        // Only damage makes it longer; a reader compares all 64 bits.
        if arena.generation(segment).load(Ordering::Relaxed) > u32::MAX as u64 {
            arena.generation(segment).fetch_and(u32::MAX as u64, Ordering::Relaxed);
        }
        survey.highest_sequence = survey.highest_sequence.max(state.sequence);
        if matches!(kind, Kind::Small | Kind::Main) {
            let filled = walk(arena, segment, state, |header, location| {
                survey.clock = survey.clock.max(header.clock);
                if kind == Kind::Small && group.as_ref().is_some_and(|clocks| clocks.contains(&header.clock))
                {
                    survey.group.push((header.clock, location));
                }
            });
            survey.filled.push(filled);
        }
    }
    survey.filled.sort_by_key(|filled| (filled.sequence, filled.segment));
    for (at, filled) in survey.filled.iter().enumerate() {
        survey.filled_at[filled.segment as usize] = Some(at as u32);
    }
    survey.group.sort_unstable_by_key(|(clock, _)| *clock);
    survey
}

/// First to last clock word of the group that was being published, if there was one.
fn group_clocks(arena: &Arena) -> Option<std::ops::RangeInclusive<u64>> {
    let load = |word: usize| arena.superblock(word).load(Ordering::Acquire);
    let is_open = load(superblock::GROUP) & 1 != 0 && load(superblock::GROUP_RECORDS) != 0;
    is_open.then(|| load(superblock::GROUP_FIRST)..=load(superblock::GROUP_LAST))
}

/// Records lie end to end; the first that does not parse, or leaves what is stated as used, ends the segment.
fn walk(arena: &Arena, segment: u32, state: SegmentState, mut see: impl FnMut(&Header, Location)) -> Filled {
    let generation = arena.generation(segment).load(Ordering::Relaxed);
    let used = state.used.min(arena.segment_grains() as u32);
    let spaces = namespaces::count(arena);
    let mut starts = vec![0; arena.segment_grains().div_ceil(64)];
    let mut end = 0;
    while end < used {
        let location = Location::new(segment, generation, end);
        let Some(header) = read_header(arena, location) else { break };
        let grains = header.record_grains() as u32;
        if grains > used - end {
            break;
        }
        // A record whose fields make no sense is still as long as it says: those behind it are reached.
        let is_sound = header.clock != 0
            && header.clock < CLOCK_MAX
            && header.expiry_clock < CLOCK_MAX
            && header.namespace < spaces
            && !(header.is_tombstone() && header.is_run());
        if is_sound {
            starts[end as usize / 64] |= 1 << (end % 64);
            see(&header, location);
        }
        end += grains;
    }
    Filled { segment, sequence: state.sequence, end, used: state.used, starts }
}

/// Memory behind what is in use or ready, and none behind the rest. The kinds afterwards: ready segments beyond the
/// budget are given back at once. A segment that holds nothing begins another life: no slot word leads there again.
pub fn settle_memory(arena: &Arena, survey: &Survey, budget_bytes: usize) -> Result<Vec<Kind>, String> {
    let mut kinds = survey.kinds.clone();
    let segment_bytes = arena.geometry().segment_bytes;
    let in_use = kinds.iter().filter(|kind| !matches!(kind, Kind::Free | Kind::Ready)).count();
    let mut ready_left = (budget_bytes / segment_bytes).saturating_sub(in_use).max(READY_LOW);
    for (segment, kind) in kinds.iter_mut().enumerate() {
        if *kind == Kind::Ready && ready_left == 0 {
            *kind = Kind::Free;
        }
        match *kind {
            Kind::Ready => ready_left -= 1,
            Kind::Free => {}
            _ => continue,
        }
        let state = SegmentState { sequence: 0, kind: *kind as u8, used: 0 };
        arena.segment_state(segment as u32).store(state.bits(), Ordering::Relaxed);
        let generation = arena.generation(segment as u32);
        let life = generation.load(Ordering::Relaxed);
        if *kind == Kind::Ready || life != 0 {
            generation.store((life + 1) & u32::MAX as u64, Ordering::Relaxed);
        }
    }
    let mut first = 0;
    for same in kinds.chunk_by(|one, other| (*one == Kind::Free) == (*other == Kind::Free)) {
        let byte = arena.geometry().segment_word(first) * WORD_BYTES;
        first += same.len() as u32;
        if same[0] == Kind::Free {
            // Also what was allocated a moment before its owner died, and nobody knows of.
            arena.data().punch(byte, same.len() * segment_bytes);
        } else if !arena.data().allocate(byte, same.len() * segment_bytes) {
            return Err("no shared memory for its segments".into());
        }
    }
    Ok(kinds)
}
