//! A log: segments in the order they were filled, one appender at the head, one drain at the tail.

use super::{release_fence, Kind, Segments};
use crate::arena::copy;
use crate::arena::Arena;
use crate::layout::{Location, SegmentState, GRAIN_BYTES};
use crate::sync::{lock, Mutex, Ordering};
use std::collections::VecDeque;

struct State {
    /// Segment and the grains used in it, oldest first; the last one is open.
    segments: VecDeque<(u32, u32)>,
    /// Grains of the oldest segment that have been drained.
    drained: u32,
    /// Grains between the drain and the head.
    grains: u64,
    /// Whether the last segment takes more records; after a takeover that found it damaged it does not.
    is_open: bool,
}

/// One of the two logs of the store.
pub struct Log {
    /// LOCK: log.
    state: Mutex<State>,
    kind: Kind,
}

/// What lies at the tail of a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Front {
    Record(Location),
    /// A sealed segment with nothing left in it, taken out of the log: to be retired.
    Drained(u32),
    Empty,
}

impl Log {
    pub fn new(kind: Kind) -> Log {
        Log {
            state: Mutex::new(State { segments: VecDeque::new(), drained: 0, grains: 0, is_open: true }),
            kind,
        }
    }

    /// The log of an arena that is taken over: segments with their used grains, oldest first.
    #[cfg(not(loom))]
    pub fn adopt(kind: Kind, segments: Vec<(u32, u32)>, is_open: bool) -> Log {
        let grains = segments.iter().map(|(_, used)| *used as u64).sum();
        Log { state: Mutex::new(State { segments: segments.into(), drained: 0, grains, is_open }), kind }
    }

    /// Writes a record at the head. `None` when a segment is needed and none is ready.
    /// The record is reachable only once its slot is published.
    pub fn append(
        &self,
        arena: &Arena,
        segments: &Segments,
        bytes: &[u8],
        for_drain: bool,
    ) -> Option<Location> {
        let grains = bytes.len().div_ceil(GRAIN_BYTES) as u32;
        assert!(
            grains as usize <= arena.segment_grains(),
            "a record of {grains} grains does not fit a segment"
        );
        let mut state = lock(&self.state);
        let has_room = match state.segments.back() {
            Some((_, used)) => state.is_open && *used + grains <= arena.segment_grains() as u32,
            None => false,
        };
        if !has_room {
            let segment = segments.take(arena, self.kind, for_drain)?;
            state.segments.push_back((segment, 0));
            state.is_open = true;
        }
        let (segment, offset) = {
            let open = state.segments.back_mut().expect("a segment was just opened");
            let offset = open.1;
            open.1 += grains;
            (open.0, offset)
        };
        state.grains += grains as u64;
        let location = Location::new(segment, arena.generation(segment).load(Ordering::Relaxed), offset);
        release_fence();
        let first = arena.record_byte(location).expect("inside its segment");
        copy::copy_in(arena.data(), first, bytes);
        // What a takeover walks: no slot leads beyond it. Only the holder of this lock writes it.
        let state_word = arena.segment_state(segment);
        let taken = SegmentState::from_bits(state_word.load(Ordering::Relaxed));
        state_word.store(SegmentState { used: offset + grains, ..taken }.bits(), Ordering::Release);
        Some(location)
    }

    /// What the drain meets next.
    pub fn front(&self, arena: &Arena) -> Front {
        let mut state = lock(&self.state);
        let Some((segment, used)) = state.segments.front().copied() else { return Front::Empty };
        if state.drained < used {
            let location =
                Location::new(segment, arena.generation(segment).load(Ordering::Relaxed), state.drained);
            return Front::Record(location);
        }
        // The open segment stays: its free rest is where the next record goes.
        if state.segments.len() == 1 && state.is_open {
            return Front::Empty;
        }
        state.segments.pop_front();
        state.drained = 0;
        Front::Drained(segment)
    }

    /// Steps over the record at the front.
    pub fn advance(&self, grains: u32) {
        let mut state = lock(&self.state);
        state.drained += grains;
        state.grains -= grains as u64;
        let used = state.segments.front().expect("a record was at the front").1;
        assert!(state.drained <= used, "the drain has left its segment");
    }

    /// Segments with their used grains, oldest first, and the drained grains of the oldest.
    pub fn segments(&self) -> (Vec<(u32, u32)>, u32) {
        let state = lock(&self.state);
        (state.segments.iter().copied().collect(), state.drained)
    }

    /// Bytes not drained yet, dead records included.
    pub fn bytes(&self) -> u64 {
        lock(&self.state).grains * GRAIN_BYTES as u64
    }
}
