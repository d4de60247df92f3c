//! Hot reads. A string or a number is returned as it is, a miss is `undefined`; of anything else the bytes are left
//! in the scratch buffer and their count is returned inside the control words' type, or a Buffer when they do not fit.

use crate::raw::{self, Value};
use crate::space::{closed, cold, control, space_of, Space, Target};
use napi::sys;
use ramcache_core::below::Tier;
use ramcache_core::clock;
use ramcache_core::layout::{counters, superblock};
use ramcache_core::ops::read::{Copied, Destination, Lookup, Nothing, Peeked, Seen};
use ramcache_core::ops::{read_group, ScanCursor};
use ramcache_core::record::{value_type, Header};
use ramcache_core::sync::Ordering;
use std::time::Instant;

/// Value types are below this; the count of scratch bytes is returned above it, so that one number says both.
const TYPE_BASE: f64 = 16.0;
/// Control word 0 of a result that is a plain number.
const PLAIN: f64 = 0.0;

/// The scratch buffer, or a Buffer for what does not fit.
struct IntoScratch<'a> {
    env: sys::napi_env,
    scratch: &'a mut [u8],
    large: Option<(Value, *mut u8, usize)>,
    /// V8 refused a Buffer of the size that is needed.
    is_refused: bool,
}

impl Destination for IntoScratch<'_> {
    #[inline]
    fn value(&mut self, header: &Header) -> Option<&mut [u8]> {
        let bytes = header.value_bytes as usize;
        if bytes <= self.scratch.len() {
            self.large = None;
            return Some(&mut self.scratch[..bytes]);
        }
        if self.large.is_none_or(|(_, _, room)| room != bytes) {
            let Some((value, data)) = raw::buffer(self.env, bytes) else {
                self.is_refused = true;
                return None;
            };
            self.large = Some((value, data, bytes));
        }
        let (_, data, _) = self.large?;
        // SAFETY: a Buffer of `bytes` bytes made above, reachable through the callback's handle scope.
        Some(unsafe { std::slice::from_raw_parts_mut(data, bytes) })
    }
}

pub unsafe extern "C" fn get(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    let ([key], data) = raw::arguments::<1>(env, info);
    // SAFETY: bound by `space::expose`.
    let space = unsafe { space_of(data) };
    raw::guard(env, || {
        let started = space.sampler.is_due().then(Instant::now);
        space.key.take(env, key)?;
        let scratch = space.scratch;
        let mut destination = IntoScratch { env, scratch: scratch.bytes(), large: None, is_refused: false };
        let mut seen = Seen::default();
        let found = lookup(space, &mut destination, &mut seen)?;
        if let (Some(started), Some(counters), Some(arena)) = (started, space.counters, space.arena()) {
            counters.record_ns(arena, counters::GET_HISTOGRAM, started.elapsed().as_nanos() as u64);
            if found {
                counters.note_sample(arena, seen.slot);
            }
        }
        if !found {
            return Ok(raw::undefined(env));
        }
        crate::view::note_slot(space, &seen);
        let bytes = seen.header.value_bytes as usize;
        if destination.is_refused {
            let message = format!("no memory for a value of {bytes} bytes");
            return Err(StoreErr::new(ramcache_core::error::Code::Unavailable, message));
        }
        Ok(match (seen.header.value_type, destination.large) {
            (value_type::ASCII, None) => raw::latin1(env, &destination.scratch[..bytes]),
            (value_type::UTF8, None) => raw::utf8(env, &destination.scratch[..bytes]),
            (value_type::NUMBER, None) if bytes == 8 => {
                scratch.set_control(control::TYPE, PLAIN);
                let number = destination.scratch[..8].try_into().expect("eight bytes");
                raw::double(env, f64::from_le_bytes(number))
            }
            (kind, None) => {
                scratch.set_control(control::TYPE, TYPE_BASE + kind as f64);
                raw::uint32(env, bytes as u32)
            }
            (kind, Some((value, _, _))) => {
                scratch.set_control(control::TYPE, TYPE_BASE + kind as f64);
                value
            }
        })
    })
}

/// Whether the key in `space.key` is there. Counts, and extends a sliding expiry that is a quarter through.
#[inline(always)]
fn lookup<D: Destination>(space: &mut Space, destination: &mut D, seen: &mut Seen) -> Result<bool, StoreErr> {
    let key = space.key.bytes();
    let hash = space.hasher.hash(space.namespace, key);
    let reader = space.reader()?;
    let answer = reader.read(space.namespace, key, hash, destination, seen);
    if let Some(counters) = space.counters {
        let word = if answer == Lookup::Hit { counters::HITS } else { counters::MISSES };
        counters.add(reader.arena, word, 1);
        if seen.retries > 0 {
            counters.add(reader.arena, counters::RETRIES, seen.retries);
        }
        if answer == Lookup::Abandoned {
            counters.add(reader.arena, counters::ABANDONED, 1);
        }
    }
    match answer {
        Lookup::Hit => {
            if seen.header.idle_ms != 0 {
                slide(space, &seen.header);
            } else if let Target::Attached(_) = &space.target {
                space.scratch.set_control(control::COLD, 0.0);
            }
            Ok(true)
        }
        Lookup::Miss => {
            note_cold(space, hash);
            Ok(false)
        }
        Lookup::Dead | Lookup::Abandoned => {
            space.scratch.set_control(control::COLD, 0.0);
            Ok(false)
        }
        Lookup::Closed => Err(closed()),
    }
}

type StoreErr = ramcache_core::error::StoreError;

/// Says in the control words whether a key that RAM does not have may lie in a lower tier.
#[inline]
fn note_cold(space: &Space, hash: u64) {
    let state = match &space.target {
        Target::Owner(owned) => {
            let is_cold = owned.store().below().is_some() && owned.store().arena().may_be_below(hash);
            if is_cold {
                cold::MAYBE
            } else {
                cold::NO
            }
        }
        Target::Attached(attached) => {
            let arena = attached.arena();
            // Without tiers there is no filter; with them there may be none yet. Only the owner can tell.
            let has_filter = arena.superblock(superblock::FILTER).load(Ordering::Relaxed) != 0;
            match (arena.may_be_below(hash), has_filter) {
                (false, _) => cold::NO,
                (true, true) => cold::MAYBE,
                (true, false) => cold::NO_FILTER,
            }
        }
        Target::Closed => cold::NO,
    };
    space.scratch.set_control(control::COLD, state);
}

/// One write for each quarter of the idle time, whatever the rate of reads. Only the owner can: whoever is attached is
/// told to ask it.
#[cold]
fn slide(space: &mut Space, header: &Header) {
    let Some(arena) = space.arena() else { return };
    let left = header.expires_at.saturating_sub(arena.expiry_now_ms());
    let is_due = left * 4 <= header.idle_ms as u64 * 3;
    match &space.target {
        Target::Owner(owned) if is_due => {
            // A store without room for this keeps the expiry it has; the read has its value all the same.
            let _ = owned.store().touch(space.namespace, space.key.bytes(), 0, true, &mut space.buffer);
        }
        Target::Attached(_) => {
            space.scratch.set_control(control::COLD, if is_due { cold::SLIDES } else { cold::NO });
        }
        _ => {}
    }
}

pub unsafe extern "C" fn has(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    let ([key], data) = raw::arguments::<1>(env, info);
    // SAFETY: bound by `space::expose`.
    let space = unsafe { space_of(data) };
    raw::guard(env, || {
        space.key.take(env, key)?;
        let found = lookup(space, &mut Nothing, &mut Seen::default())?;
        Ok(raw::boolean(env, found))
    })
}

/// `[value bytes, type, version, created at, expires at, size, tag bytes, idle ms, deadline]`, or `undefined`.
pub unsafe extern "C" fn entry(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    let ([key], data) = raw::arguments::<1>(env, info);
    // SAFETY: bound by `space::expose`.
    let space = unsafe { space_of(data) };
    raw::guard(env, || {
        space.key.take(env, key)?;
        let mut copied = Copied::default();
        let mut seen = Seen::default();
        if !lookup(space, &mut copied, &mut seen)? {
            return Ok(raw::undefined(env));
        }
        Ok(entry_of(env, space, &seen.header, &copied))
    })
}

/// `entry` that leaves no trace: not counted, not touched, no sliding expiry extended.
pub unsafe extern "C" fn peek(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    let ([key], data) = raw::arguments::<1>(env, info);
    // SAFETY: bound by `space::expose`.
    let space = unsafe { space_of(data) };
    raw::guard(env, || {
        space.key.take(env, key)?;
        let key = space.key.bytes();
        let hash = space.hasher.hash(space.namespace, key);
        let mut peeked = Peeked::default();
        let mut seen = Seen::default();
        match space.reader()?.read(space.namespace, key, hash, &mut peeked, &mut seen) {
            Lookup::Hit => Ok(entry_of(env, space, &seen.header, &peeked.0)),
            Lookup::Miss => {
                note_cold(space, hash);
                Ok(raw::undefined(env))
            }
            Lookup::Dead | Lookup::Abandoned => {
                space.scratch.set_control(control::COLD, 0.0);
                Ok(raw::undefined(env))
            }
            Lookup::Closed => Err(closed()),
        }
    })
}

/// What there is to say of an entry; the time by which its expiry is judged goes into the control words.
pub fn entry_of(env: sys::napi_env, space: &Space, header: &Header, copied: &Copied) -> Value {
    let now_ms = space.arena().map_or(0, |arena| arena.expiry_now_ms());
    space.scratch.set_control(control::NOW, now_ms as f64);
    let mut fields = vec![raw::buffer_of(env, &copied.value), raw::uint32(env, header.value_type as u32)];
    fields.extend(describe(env, space, header, &copied.tags));
    fields.extend([raw::double(env, header.idle_ms as f64), raw::double(env, header.deadline as f64)]);
    raw::array(env, &fields)
}

/// Version, times, size and tags of an entry.
fn describe(env: sys::napi_env, space: &Space, header: &Header, tags: &[u8]) -> [Value; 5] {
    let origin =
        space.arena().map_or(0, |arena| arena.superblock(superblock::ORIGIN).load(Ordering::Relaxed));
    [
        version(env, header.clock, origin),
        raw::double(env, clock::ms_of(header.clock) as f64),
        raw::double(env, header.expires_at as f64),
        raw::double(env, header.payload_bytes() as f64),
        raw::buffer_of(env, tags),
    ]
}

/// A version as text: clock and origin in fixed-width hex, so that text order is version order.
pub fn version(env: sys::napi_env, clock: u64, origin: u64) -> Value {
    let mut text = [b'-'; 33];
    for (part, number) in [(0, clock), (17, origin)] {
        for digit in 0..16 {
            text[part + digit] = b"0123456789abcdef"[(number >> (60 - digit * 4) & 15) as usize];
        }
    }
    raw::latin1(env, &text)
}

/// The group word, even: equal before and after some reads, those saw every group whole or not at all.
pub unsafe extern "C" fn group(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    let ([], data) = raw::arguments::<0>(env, info);
    // SAFETY: bound by `space::expose`.
    let space = unsafe { space_of(data) };
    raw::guard(env, || {
        let reader = space.reader()?;
        let word = reader.arena.superblock(superblock::GROUP);
        let (count, _) = read_group(reader.arena, || word.load(Ordering::Relaxed));
        Ok(raw::double(env, count as f64))
    })
}

/// `scan(bucketCount or -1, bucket, prefix)`: `[next bucketCount or -1, next bucket, key, version, created, expires,
/// size, tags, key, ...]`. A key that is not UTF-8 is a Buffer. With 1 behind it only volatile entries, the bytes of its
/// key in front of each.
pub unsafe extern "C" fn scan(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    let ([count, bucket, prefix, wants_volatile], data) = raw::arguments::<4>(env, info);
    // SAFETY: bound by `space::expose`.
    let space = unsafe { space_of(data) };
    raw::guard(env, || {
        let wants_volatile = raw::as_double(env, wants_volatile) == Some(1.0);
        if wants_volatile && !space.store()?.may_have_volatile(space.namespace) {
            return Ok(raw::array(env, &[raw::double(env, -1.0), raw::double(env, 0.0)]));
        }
        let count = raw::as_double(env, count).unwrap_or(-1.0);
        let bucket = raw::as_double(env, bucket).unwrap_or(0.0);
        let cursor =
            (count >= 1.0).then_some(ScanCursor { bucket_count: count as u64, bucket: bucket as u64 });
        let prefix = raw::string_vec(env, prefix).unwrap_or_default();
        let reader = space.reader()?;
        if reader.arena.bucket_count() == 0 {
            return Err(closed());
        }
        let (entries, next) =
            ramcache_core::ops::scan(reader, space.namespace, cursor, &prefix, SCAN_PAGE_ENTRIES);
        let mut fields = Vec::with_capacity(2 + entries.len() * 6);
        fields.push(raw::double(env, next.map_or(-1.0, |cursor| cursor.bucket_count as f64)));
        fields.push(raw::double(env, next.map_or(0.0, |cursor| cursor.bucket as f64)));
        for entry in entries {
            if wants_volatile {
                if !entry.header.is_volatile() {
                    continue;
                }
                fields.push(raw::buffer_of(env, &entry.key));
            }
            fields.push(match std::str::from_utf8(&entry.key) {
                Ok(_) => raw::utf8(env, &entry.key),
                Err(_) => raw::buffer_of(env, &entry.key),
            });
            fields.extend(describe(env, space, &entry.header, &entry.tags));
        }
        Ok(raw::array(env, &fields))
    })
}

/// Entries of a scan page.
const SCAN_PAGE_ENTRIES: usize = 256;

/// `settle(tier)`: takes back the miss of a read that RAM could not answer; when a lower tier could, 1 the SSD tier or 2
/// the HDD tier, it was a hit. Whoever is attached only takes back, because the owner counts what it is asked: with 3 the
/// hit of a read that slides.
pub unsafe extern "C" fn settle(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    let ([tier], data) = raw::arguments::<1>(env, info);
    // SAFETY: bound by `space::expose`.
    let space = unsafe { space_of(data) };
    raw::guard(env, || {
        let Some(counters) = space.counters else { return Ok(raw::undefined(env)) };
        let tier = raw::as_double(env, tier);
        if let Target::Attached(attached) = &space.target {
            let word = if tier == Some(3.0) { counters::HITS } else { counters::MISSES };
            counters.take_back(attached.arena(), word);
            return Ok(raw::undefined(env));
        }
        let Ok(store) = space.store() else { return Ok(raw::undefined(env)) };
        counters.take_back(store.arena(), counters::MISSES);
        let tier = match tier {
            Some(1.0) => Tier::Ssd,
            Some(2.0) => Tier::Hdd,
            _ => return Ok(raw::undefined(env)),
        };
        counters.add(store.arena(), counters::HITS, 1);
        if let Some(below) = store.below() {
            below.counts.of(tier).hits.fetch_add(1, Ordering::Relaxed);
        }
        Ok(raw::undefined(env))
    })
}

fn counter(env: sys::napi_env, info: sys::napi_callback_info, word: usize) -> Value {
    let ([], data) = raw::arguments::<0>(env, info);
    // SAFETY: bound by `space::expose`.
    let space = unsafe { space_of(data) };
    let count = match (space.counters, space.arena()) {
        (Some(counters), Some(arena)) => counters.add(arena, word, 0),
        _ => 0,
    };
    raw::double(env, count as f64)
}

/// Counts of this namespace and thread.
pub unsafe extern "C" fn hits(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    counter(env, info, counters::HITS)
}

pub unsafe extern "C" fn misses(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    counter(env, info, counters::MISSES)
}

pub unsafe extern "C" fn retries(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    counter(env, info, counters::RETRIES)
}
