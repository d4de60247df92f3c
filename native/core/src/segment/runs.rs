//! Runs: places for values too large for the log, in units of a page or less.
//!
//! A run segment is cut into units; a value takes whole units, in one piece where there is one, in up to
//! [`EXTENTS_MAX`] pieces else. The record in the log names the extents and owns them. Units may be used again while
//! their segment lives: the reader's second look at the slot guards them, because the record's slot has changed
//! before they are given back.

use super::{release_fence, Kind, Segments};
use crate::arena::copy;
use crate::arena::Arena;
use crate::layout::{KEY_BYTES_MAX, TAGS_BYTES_MAX};
use crate::record::EXTENTS_MAX;
use crate::sync::{lock, Mutex};
use std::collections::{BTreeMap, BTreeSet};

#[cfg(not(loom))]
pub const UNIT_BYTES_MIN: usize = 256;
#[cfg(loom)]
pub const UNIT_BYTES_MIN: usize = 16;
pub const UNIT_BYTES_MAX: usize = 4096;

/// A piece of a value: units counted from the start of the segment area.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    pub unit: u64,
    pub units: u32,
}

const UNITS_BITS: u32 = 20;

impl Extent {
    pub fn bits(self) -> u64 {
        self.unit << UNITS_BITS | self.units as u64
    }

    pub fn from_bits(bits: u64) -> Extent {
        Extent { unit: bits >> UNITS_BITS, units: bits as u32 & ((1 << UNITS_BITS) - 1) }
    }
}

struct RunSegment {
    /// One bit a unit, set while it is free.
    free: Vec<u64>,
    free_units: usize,
    /// Hash of the key of each extent, by its first unit: how compaction finds the record.
    owners: BTreeMap<u32, u64>,
}

impl RunSegment {
    fn is_free(&self, unit: usize) -> bool {
        self.free[unit / 64] >> (unit % 64) & 1 != 0
    }

    /// The first hole of at least `wanted` units, else the longest hole: (first unit, units).
    fn hole(&self, units: usize, wanted: usize) -> (usize, usize) {
        let mut best = (0, 0);
        let mut unit = 0;
        while unit < units {
            if self.free[unit / 64] == 0 {
                unit = (unit / 64 + 1) * 64;
                continue;
            }
            let start = unit;
            while unit < units && self.is_free(unit) {
                unit += 1;
                if unit - start == wanted {
                    return (start, wanted);
                }
            }
            if unit - start > best.1 {
                best = (start, unit - start);
            }
            unit += 1;
        }
        best
    }

    fn set(&mut self, first: usize, units: usize, is_free: bool) {
        for unit in first..first + units {
            debug_assert!(self.is_free(unit) != is_free, "unit {unit} is given or taken twice");
            self.free[unit / 64] ^= 1 << (unit % 64);
        }
        if is_free {
            self.free_units += units;
        } else {
            self.free_units -= units;
        }
    }
}

#[derive(Default)]
struct State {
    segments: BTreeMap<u32, RunSegment>,
    /// Segments by free units, for best fit.
    by_free: BTreeSet<(usize, u32)>,
    used_units: u64,
    /// The segment that is being emptied: nothing new goes there.
    leaving: Option<u32>,
}

/// All run segments of a store.
pub struct Runs {
    /// LOCK: runs.
    state: Mutex<State>,
    unit_bytes: usize,
    units_per_segment: usize,
    /// Extents whose record fits a segment beside the longest key.
    extents_max: usize,
}

/// What an owner's hash costs in its tree.
const OWNER_BYTES: usize = 20;
/// Free units in pieces too small for whole values are tolerated up to one in this many used ones.
const FRAGMENTS_SHARE: u64 = 32;
/// Segments looked at for a hole of the whole size before a fresh one is taken.
const FITS_TRIED: usize = 4;

impl Runs {
    pub fn new(segment_bytes: usize) -> Runs {
        let unit_bytes = (segment_bytes / 64).clamp(UNIT_BYTES_MIN, UNIT_BYTES_MAX);
        let around = KEY_BYTES_MAX + TAGS_BYTES_MAX + 256;
        let extents_max = (segment_bytes.saturating_sub(around) / 8).clamp(1, EXTENTS_MAX);
        let units_per_segment = segment_bytes / unit_bytes;
        Runs { state: Mutex::new(State::default()), unit_bytes, units_per_segment, extents_max }
    }

    pub fn unit_bytes(&self) -> usize {
        self.unit_bytes
    }

    /// Bytes of the units a value of this length takes.
    pub fn footprint(&self, value_bytes: usize) -> u64 {
        (value_bytes.div_ceil(self.unit_bytes) * self.unit_bytes) as u64
    }

    /// Takes units for a value and writes it into them. `None` when there is not enough room. `may_open` allows a
    /// fresh segment.
    pub fn store(
        &self,
        arena: &Arena,
        segments: &Segments,
        value: &[u8],
        hash: u64,
        may_open: bool,
    ) -> Option<Vec<Extent>> {
        let units = value.len().div_ceil(self.unit_bytes);
        let extents = self.take(arena, segments, units, hash, may_open)?;
        release_fence();
        let mut rest = value;
        for extent in &extents {
            let bytes = (extent.units as usize * self.unit_bytes).min(rest.len());
            let at = arena.segment_area_byte(extent.unit as usize * self.unit_bytes);
            copy::copy_in(arena.data(), at, &rest[..bytes]);
            rest = &rest[bytes..];
        }
        Some(extents)
    }

    fn take(
        &self,
        arena: &Arena,
        segments: &Segments,
        units: usize,
        hash: u64,
        may_open: bool,
    ) -> Option<Vec<Extent>> {
        let mut state = lock(&self.state);
        let mut extents = Vec::new();
        let mut wanted = units;
        while wanted > 0 {
            let Some(extent) = self.take_piece(arena, segments, &mut state, wanted, may_open) else {
                self.give_locked(arena, segments, &mut state, &extents);
                return None;
            };
            wanted -= extent.units as usize;
            let (segment, first) = self.place(extent);
            state.segments.get_mut(&segment).expect("just taken from").owners.insert(first as u32, hash);
            extents.push(extent);
            if extents.len() == self.extents_max && wanted > 0 {
                self.give_locked(arena, segments, &mut state, &extents);
                return None;
            }
        }
        Some(extents)
    }

    /// Segment of an extent and its first unit there.
    fn place(&self, extent: Extent) -> (u32, usize) {
        let unit = extent.unit as usize;
        ((unit / self.units_per_segment) as u32, unit % self.units_per_segment)
    }

    fn take_piece(
        &self,
        arena: &Arena,
        segments: &Segments,
        state: &mut State,
        wanted: usize,
        may_open: bool,
    ) -> Option<Extent> {
        let piece = wanted.min(self.units_per_segment);
        let fits = state.by_free.range((piece, 0)..).take(FITS_TRIED).map(|(_, segment)| *segment);
        let fit = fits
            .map(|segment| (segment, state.segments[&segment].hole(self.units_per_segment, piece)))
            .find(|(_, (_, units))| *units == piece);
        let (segment, (first, units)) = match fit {
            Some(found) => found,
            None => self.fresh_or_longest(arena, segments, state, piece, may_open)?,
        };
        self.update(state, segment, first, units, false);
        Some(Extent { unit: (segment as usize * self.units_per_segment + first) as u64, units: units as u32 })
    }

    /// With no hole of the whole size: a fresh segment, unless much of the old ones is free in small pieces; those
    /// are used up first, and when there is no fresh one. (segment, (first unit, units))
    fn fresh_or_longest(
        &self,
        arena: &Arena,
        segments: &Segments,
        state: &mut State,
        piece: usize,
        may_open: bool,
    ) -> Option<(u32, (usize, usize))> {
        let free_units = (state.segments.len() * self.units_per_segment) as u64 - state.used_units;
        let is_fragmented = free_units > (piece as u64 * 2).max(state.used_units / FRAGMENTS_SHARE);
        if may_open && !is_fragmented {
            if let Some(segment) = segments.take(arena, Kind::Runs, false) {
                self.open(state, segment);
                return Some((segment, (0, piece)));
            }
        }
        let longest = state.by_free.last().map(|(_, segment)| *segment);
        let hole =
            longest.map(|segment| (segment, state.segments[&segment].hole(self.units_per_segment, piece)));
        match hole {
            Some((segment, hole)) if hole.1 > 0 => Some((segment, hole)),
            _ if !may_open => None,
            _ => {
                let segment = segments.take(arena, Kind::Runs, false)?;
                self.open(state, segment);
                Some((segment, (0, piece)))
            }
        }
    }

    fn open(&self, state: &mut State, segment: u32) {
        let mut free = vec![u64::MAX; self.units_per_segment.div_ceil(64)];
        if !self.units_per_segment.is_multiple_of(64) {
            *free.last_mut().expect("at least one word") = (1 << (self.units_per_segment % 64)) - 1;
        }
        state.segments.insert(
            segment,
            RunSegment { free, free_units: self.units_per_segment, owners: BTreeMap::new() },
        );
        state.by_free.insert((self.units_per_segment, segment));
    }

    fn update(&self, state: &mut State, segment: u32, first: usize, units: usize, is_free: bool) {
        let run_segment = state.segments.get_mut(&segment).expect("a run segment");
        state.by_free.remove(&(run_segment.free_units, segment));
        run_segment.set(first, units, is_free);
        if state.leaving != Some(segment) {
            state.by_free.insert((run_segment.free_units, segment));
        }
        if is_free {
            state.used_units -= units as u64;
        } else {
            state.used_units += units as u64;
        }
    }

    /// Gives the units of a value back. Its record has been unpublished.
    pub fn give(&self, arena: &Arena, segments: &Segments, extents: &[Extent]) {
        self.give_locked(arena, segments, &mut lock(&self.state), extents);
    }

    fn give_locked(&self, arena: &Arena, segments: &Segments, state: &mut State, extents: &[Extent]) {
        for extent in extents {
            let (segment, first) = self.place(*extent);
            self.update(state, segment, first, extent.units as usize, true);
            state.segments.get_mut(&segment).expect("a run segment").owners.remove(&(first as u32));
            if state.segments[&segment].free_units == self.units_per_segment {
                state.by_free.remove(&(self.units_per_segment, segment));
                state.segments.remove(&segment);
                segments.retire(arena, segment);
            }
        }
    }

    /// Whether so much is free inside run segments that emptying one of them is cheaper than evicting.
    pub fn is_sparse(&self) -> bool {
        let state = lock(&self.state);
        let free_units = (state.segments.len() * self.units_per_segment) as u64 - state.used_units;
        // A quarter more than a segment: the rest may be in pieces nobody can use.
        free_units * 4 >= self.units_per_segment as u64 * 5
    }

    /// Chooses the emptiest segment to be emptied: its extents and the hashes of their keys.
    pub fn begin_leaving(&self) -> Vec<(Extent, u64)> {
        let mut state = lock(&self.state);
        let Some((free_units, segment)) = state.by_free.pop_last() else { return Vec::new() };
        debug_assert!(state.leaving.is_none() && free_units <= self.units_per_segment);
        state.leaving = Some(segment);
        let first_of_segment = segment as u64 * self.units_per_segment as u64;
        let owners = &state.segments[&segment].owners;
        owners
            .iter()
            .map(|(first, hash)| (Extent { unit: first_of_segment + *first as u64, units: 0 }, *hash))
            .collect()
    }

    /// Ends what `begin_leaving` began; a segment that could not be emptied is used again. Whether it was emptied.
    pub fn end_leaving(&self) -> bool {
        let mut state = lock(&self.state);
        let Some(segment) = state.leaving.take() else { return false };
        let Some(run_segment) = state.segments.get(&segment) else { return true };
        let free_units = run_segment.free_units;
        state.by_free.insert((free_units, segment));
        false
    }

    /// Bytes of these tables.
    pub fn heap_bytes(&self) -> usize {
        let state = lock(&self.state);
        let extents: usize = state.segments.values().map(|segment| segment.owners.len()).sum();
        extents * OWNER_BYTES + state.segments.len() * (self.units_per_segment / 8 + 64)
    }

    /// Units in use, and segments that hold them.
    pub fn usage(&self) -> (u64, usize) {
        let state = lock(&self.state);
        (state.used_units, state.segments.len())
    }

    /// Takes a segment into the table again, all of it free.
    #[cfg(not(loom))]
    pub fn adopt_segment(&self, segment: u32) {
        self.open(&mut lock(&self.state), segment);
    }

    /// Takes the units of a value that a takeover has found. False, and nothing taken, when they are not as many as
    /// the value has, leave their segment or belong to another value already.
    #[cfg(not(loom))]
    pub fn adopt(&self, extents: &[Extent], value_bytes: usize, hash: u64) -> bool {
        let mut state = lock(&self.state);
        let units: u64 = extents.iter().map(|extent| extent.units as u64).sum();
        if value_bytes == 0 || units != value_bytes.div_ceil(self.unit_bytes) as u64 {
            return false;
        }
        for (index, extent) in extents.iter().enumerate() {
            if !self.is_within(&state, *extent, true) {
                for taken in &extents[..index] {
                    let (segment, first) = self.place(*taken);
                    self.update(&mut state, segment, first, taken.units as usize, true);
                    state.segments.get_mut(&segment).expect("taken").owners.remove(&(first as u32));
                }
                return false;
            }
            let (segment, first) = self.place(*extent);
            self.update(&mut state, segment, first, extent.units as usize, false);
            state.segments.get_mut(&segment).expect("a run segment").owners.insert(first as u32, hash);
        }
        true
    }

    /// Gives back the segments in which a takeover has found nothing.
    #[cfg(not(loom))]
    pub fn retire_empty(&self, arena: &Arena, segments: &Segments) {
        let mut state = lock(&self.state);
        let all = self.units_per_segment;
        let is_empty =
            |(id, run_segment): (&u32, &RunSegment)| (run_segment.free_units == all).then_some(*id);
        let empty: Vec<u32> = state.segments.iter().filter_map(is_empty).collect();
        for segment in empty {
            state.by_free.remove(&(all, segment));
            state.segments.remove(&segment);
            segments.retire(arena, segment);
        }
    }

    /// Whether an extent lies in a run segment and all its units are free, or taken.
    fn is_within(&self, state: &State, extent: Extent, is_free: bool) -> bool {
        let unit = extent.unit as usize;
        let Ok(segment) = u32::try_from(unit / self.units_per_segment) else { return false };
        let first = unit % self.units_per_segment;
        let end = first + extent.units as usize;
        state.segments.get(&segment).is_some_and(|run_segment| {
            extent.units > 0
                && end <= self.units_per_segment
                && (first..end).all(|unit| run_segment.is_free(unit) == is_free)
        })
    }

    /// Whether every unit of an extent is taken, for `check`.
    pub fn is_taken(&self, extent: Extent) -> bool {
        self.is_within(&lock(&self.state), extent, false)
    }
}

/// Copies a value that lies in runs. What it reads may be torn: the caller validates afterwards. False when an
/// extent leaves the segment area or the extents do not hold `out.len()` bytes.
pub fn copy_run(
    arena: &Arena,
    unit_bytes: usize,
    extents: impl Iterator<Item = Extent>,
    out: &mut [u8],
) -> bool {
    let area_bytes = arena.segments_bytes();
    let mut filled = 0;
    for extent in extents {
        let bytes = (extent.units as usize * unit_bytes).min(out.len() - filled);
        let first = extent.unit as usize * unit_bytes;
        if first + bytes > area_bytes {
            return false;
        }
        copy::copy_out(arena.data(), arena.segment_area_byte(first), 0, &mut out[filled..filled + bytes]);
        filled += bytes;
    }
    filled == out.len()
}
