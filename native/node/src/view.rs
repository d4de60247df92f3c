//! A view of the arena for JavaScript: the tables and the index, so that a value that was read before can be told to be
//! current by a few loads. Values are never read through it.
//!
//! A view keeps its mapping, not the store: it may be there after the store is closed, until it is dropped or collected.

use crate::cold::{coded, Handle, Result};
use crate::raw::{self, Value};
use crate::space::{closed, control, space_of, Space, Target};
use napi::bindgen_prelude::{External, JsValue, Object, Unknown};
use napi::{sys, Env};
use napi_derive::napi;
use ramcache_core::arena::{Arena, Mapping, Words};
use ramcache_core::error::{Code, StoreError};
use ramcache_core::layout::{
    counters, superblock, BUCKET_SLOTS, CHUNK_SLOTS, SEGMENT_GENERATION, SEGMENT_LINE, WORD_BYTES,
};
use ramcache_core::ops::read::Seen;
use ramcache_core::sync::Ordering;
use std::ffi::{c_void, CStr};
use std::ptr;
use std::sync::Arc;

/// A view is made for this many times the buckets and chunks there are: it is made anew when they are more.
const AHEAD: usize = 2;
/// And for this many chunks at least.
const CHUNKS_LEAST: usize = 1024;

/// Where things are in a view, in words of `data`.
#[napi(object)]
pub struct ArenaPlaces {
    pub namespaces_word: u32,
    pub bucket_count_word: u32,
    pub clock_word: u32,
    pub manual_clock_word: u32,
    /// First word of the overflow chunks, which have an array of their own: a slot from there on is looked for in that.
    pub chunks_word: f64,
}

/// Fills `into`, an empty object, with `data` and `chunks` (read only: a write is a fault) and `counters`, ArrayBuffers.
#[napi(js_name = "viewArena")]
pub fn view_arena(env: Env, handle: &External<Handle>, into: Object) -> Result<ArenaPlaces> {
    let arena = match &handle.target {
        Target::Owner(owned) => owned.store().arena(),
        Target::Attached(attached) => attached.arena(),
        Target::Closed => return Err(coded(closed())),
    };
    let geometry = arena.geometry();
    let buckets = ((arena.bucket_count() as usize).max(1) * AHEAD).min(geometry.buckets);
    let allocated = arena.superblock(superblock::ALLOCATED_CHUNKS).load(Ordering::Relaxed) as usize;
    let chunks = (allocated * AHEAD).max(CHUNKS_LEAST).min(geometry.chunks);
    let index_end = geometry.index_word() + buckets * BUCKET_SLOTS;
    let parts: [(&CStr, &Words, usize, usize); 3] = [
        (c"data", arena.data(), 0, index_end),
        (c"chunks", arena.data(), geometry.chunks_word(), chunks * CHUNK_SLOTS),
        (
            c"counters",
            arena.touch(),
            geometry.counters_byte() / WORD_BYTES,
            counters::SLOTS * counters::WORDS,
        ),
    ];
    for (name, words, first, count) in parts {
        // SAFETY: a live environment and object; the range lies in the mapping, which the buffer keeps.
        unsafe {
            let base = words.as_ptr(first * WORD_BYTES);
            let buffer = array_buffer(env.raw(), words.mapping(), base, count * WORD_BYTES)?;
            sys::napi_set_named_property(env.raw(), into.raw(), name.as_ptr(), buffer);
        }
    }
    Ok(ArenaPlaces {
        namespaces_word: geometry.namespaces_word() as u32,
        bucket_count_word: superblock::BUCKET_COUNT as u32,
        clock_word: superblock::CLOCK as u32,
        manual_clock_word: superblock::MANUAL_CLOCK as u32,
        chunks_word: geometry.chunks_word() as f64,
    })
}

/// Takes the memory away from an ArrayBuffer of a view: its length is 0 from now on.
#[napi(js_name = "dropView")]
pub fn drop_view(env: Env, buffer: Unknown) {
    // SAFETY: a live environment and value; what is no ArrayBuffer is refused with a status.
    unsafe { sys::napi_detach_arraybuffer(env.raw(), buffer.raw()) };
}

/// # Safety
/// `base` must lie in `mapping`, with `bytes` bytes behind it.
unsafe fn array_buffer(
    env: sys::napi_env,
    mapping: Arc<Mapping>,
    base: *const u8,
    bytes: usize,
) -> Result<sys::napi_value> {
    let hint: *mut c_void = Arc::into_raw(mapping).cast_mut().cast();
    let mut value = ptr::null_mut();
    let data: *mut c_void = base.cast_mut().cast();
    // SAFETY: by contract; the finalizer takes the mapping that was given away above.
    let status =
        unsafe { sys::napi_create_external_arraybuffer(env, data, bytes, Some(release), hint, &mut value) };
    if status != sys::Status::napi_ok {
        // SAFETY: nobody else has it.
        drop(unsafe { Arc::from_raw(hint.cast::<Mapping>()) });
        let message = "the JavaScript engine takes no external memory";
        return Err(coded(StoreError::new(Code::Unavailable, message)));
    }
    Ok(value)
}

unsafe extern "C" fn release(_env: sys::napi_env, _data: *mut c_void, hint: *mut c_void) {
    // SAFETY: the pointer `array_buffer` made, once.
    drop(unsafe { Arc::from_raw(hint.cast::<Mapping>()) });
}

/// `place()`: number of the namespace and of the counter slot.
pub unsafe extern "C" fn place(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    let ([], data) = raw::arguments::<0>(env, info);
    // SAFETY: bound by `space::expose`.
    let space = unsafe { space_of(data) };
    raw::guard(env, || {
        let Some(counters) = space.counters else { return Err(closed()) };
        Ok(raw::array(env, &[raw::uint32(env, space.namespace), raw::uint32(env, counters.number() as u32)]))
    })
}

/// Says in the control words where a hit was found.
#[inline]
pub fn note_slot(space: &Space, seen: &Seen) {
    let scratch = space.scratch;
    let Some(arena) = space.arena() else { return };
    if seen.word.is_special() {
        scratch.set_control(control::SLOT, 0.0);
        return;
    }
    scratch.set_control(control::SLOT, seen.slot.word as f64);
    scratch.set_control(control::SLOT_BITS, f64::from_bits(seen.word.0));
    scratch.set_control(control::GENERATION_AT, generation_word(arena, seen) as f64);
    scratch.set_control(control::GENERATION, seen.generation as u32 as f64);
    scratch.set_control(control::SLOT_EXPIRES, seen.header.expires_at as f64);
}

fn generation_word(arena: &Arena, seen: &Seen) -> usize {
    let segment = seen.word.location().segment as usize;
    arena.geometry().segment_table_word() + SEGMENT_LINE * segment + SEGMENT_GENERATION
}
