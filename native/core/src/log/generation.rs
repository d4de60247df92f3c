//! A table of the tail index: what changed of each key of a shard. Keys come, none goes: the whole goes at once.
//!
//! Open addressing with linear probing, in the order of the low 32 bits of the hashes: a place begins at the share of
//! the table that these bits are of their range, so a look ends at the first larger ones. A full table grows by an
//! eighth, where one that doubles would be little more than half full on average; the last places are beyond the range,
//! so nothing wraps around.

use super::location::LogLocation;
use super::tail::{TailEntry, TailKey};
use std::collections::HashMap;

const EXPIRY_BYTES: usize = 6;
const EXPIRY_MAX: u64 = (1 << (8 * EXPIRY_BYTES)) - 1;

/// Packed, a key and its entry; `state` 0 = an empty place.
#[derive(Clone, Copy)]
#[repr(Rust, packed)]
struct Place {
    hash: u64,
    check: u32,
    clock: u64,
    location: LogLocation,
    expires_at: [u8; EXPIRY_BYTES],
    state: u8,
}

pub(super) const PLACE_BYTES: usize = size_of::<Place>();

const _: () = assert!(PLACE_BYTES == 39);

const STATE_USED: u8 = 1;
const STATE_DELETED: u8 = 2;
/// The expiry has a clock word of its own.
const STATE_TOUCHED: u8 = 4;
const STATE_PINNED: u8 = 8;

const EMPTY: Place = Place {
    hash: 0,
    check: 0,
    clock: 0,
    location: LogLocation { file: 0, offset: 0, bytes: 0 },
    expires_at: [0; EXPIRY_BYTES],
    state: 0,
};

/// A table is full when this share of it is used.
const FULL: (usize, usize) = (7, 8);
/// By how much it grows.
const GROWTH_SHARE: usize = 8;
const GROWTH_LEAST: usize = 32;
/// Places beyond the range, for those that the last ones push on.
const BEYOND: usize = 16;
const BEYOND_SHARE: usize = 128;

#[derive(Default)]
pub(super) struct Generation {
    places: Vec<Place>,
    len: usize,
    /// Clock words of expiries that have their own.
    touched: HashMap<TailKey, u64>,
}

/// Places of a table that a place can begin at.
fn range_of(places: usize) -> usize {
    places.saturating_sub(BEYOND + places / BEYOND_SHARE)
}

impl Place {
    fn of(key: &TailKey, entry: &TailEntry) -> Place {
        let expires_at = entry.expires_at.min(EXPIRY_MAX).to_le_bytes();
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let is_touched = entry.expiry_clock != entry.clock;
        Place {
            hash: key.hash,
            check: key.check,
            clock: entry.clock,
            location: entry.location,
            expires_at: std::array::from_fn(|at| expires_at[at]),
            state: STATE_USED
                | flag(entry.is_deleted, STATE_DELETED)
                | flag(is_touched, STATE_TOUCHED)
                | flag(entry.is_pinned, STATE_PINNED),
        }
    }

    fn key(&self) -> TailKey {
        TailKey { hash: self.hash, check: self.check }
    }

    fn is_empty(&self) -> bool {
        self.state == 0
    }

    fn order(&self) -> u32 {
        self.hash as u32
    }
}

impl Generation {
    /// An empty one that so many keys do not make grow, unless too many of them belong into its last places.
    pub fn with_room(keys: usize) -> Generation {
        let full = keys * FULL.1 / FULL.0;
        let places = if keys == 0 { 0 } else { full + full / BEYOND_SHARE + BEYOND + GROWTH_LEAST };
        Generation { places: vec![EMPTY; places], ..Generation::default() }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn heap_bytes(&self) -> usize {
        // The standard table keeps a byte beside each place and fills 7 of 8 places.
        let touched = self.touched.capacity() * 8 / 7 * (size_of::<(TailKey, u64)>() + 1);
        self.places.capacity() * PLACE_BYTES + touched
    }

    pub fn find(&self, key: &TailKey) -> Option<TailEntry> {
        let at = self.search(key).ok()?;
        Some(self.entry(&self.places[at]))
    }

    fn entry(&self, place: &Place) -> TailEntry {
        let mut expires_at = [0; 8];
        expires_at[..EXPIRY_BYTES].copy_from_slice(&place.expires_at);
        let expiry_clock = match place.state & STATE_TOUCHED {
            0 => place.clock,
            _ => self.touched[&place.key()],
        };
        TailEntry {
            location: place.location,
            clock: place.clock,
            expiry_clock,
            expires_at: u64::from_le_bytes(expires_at),
            is_deleted: place.state & STATE_DELETED != 0,
            is_pinned: place.state & STATE_PINNED != 0,
        }
    }

    /// Where a key is, or the place before which it belongs.
    fn search(&self, key: &TailKey) -> Result<usize, usize> {
        let order = key.hash as u32;
        let begin = (order as u64 * range_of(self.places.len()) as u64) >> 32;
        for (at, place) in self.places.iter().enumerate().skip(begin as usize) {
            if place.is_empty() || place.order() > order {
                return Err(at);
            }
            if place.key() == *key {
                return Ok(at);
            }
        }
        Err(self.places.len())
    }

    /// Sets the entry of a key.
    pub fn insert(&mut self, key: TailKey, entry: &TailEntry) {
        if entry.expiry_clock != entry.clock {
            self.touched.insert(key, entry.expiry_clock);
        } else if !self.touched.is_empty() {
            self.touched.remove(&key);
        }
        let place = Place::of(&key, entry);
        while !self.put(place) {
            self.grow();
        }
    }

    /// False when the table is too small.
    fn put(&mut self, place: Place) -> bool {
        let at = match self.search(&place.key()) {
            Ok(at) => {
                self.places[at] = place;
                return true;
            }
            Err(at) => at,
        };
        let is_full = self.len * FULL.1 >= self.places.len() * FULL.0;
        let free = self.places[at..].iter().position(Place::is_empty);
        let (false, Some(free)) = (is_full, free) else { return false };
        self.places.copy_within(at..at + free, at + 1);
        self.places[at] = place;
        self.len += 1;
        true
    }

    fn grow(&mut self) {
        let mut places = self.places.len();
        loop {
            places += (places / GROWTH_SHARE).max(GROWTH_LEAST);
            let mut grown = Generation { places: vec![EMPTY; places], ..Generation::default() };
            // Few keys in the last places are too many of them: then there must be more.
            if self.used().all(|place| grown.put(*place)) {
                (self.places, self.len) = (grown.places, grown.len);
                return;
            }
        }
    }

    fn used(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|place| !place.is_empty())
    }

    pub fn keys(&self) -> impl Iterator<Item = TailKey> + '_ {
        self.used().map(Place::key)
    }

    pub fn entries(&self) -> impl Iterator<Item = (TailKey, TailEntry)> + '_ {
        self.used().map(|place| (place.key(), self.entry(place)))
    }

    /// Sets all entries of another one.
    pub fn extend(&mut self, other: &Generation) {
        for place in other.used() {
            self.insert(place.key(), &other.entry(place));
        }
    }
}
