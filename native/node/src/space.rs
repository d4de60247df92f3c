//! One namespace of one store in one environment: what the hot callbacks are bound to.
//!
//! Control words (a Float64Array at the start of the scratch buffer), written by one side, read by the other:
//!
//! ```text
//! 0 type      value type of what lies in the scratch bytes
//! 1 flags     of the next write: see `flag`; reset to 0 by the call that used them
//! 2 ttl ms    3 idle ms    4 version clock high    5 version clock low    6 origin high    7 origin low
//! 8 tag bytes, at the end of the scratch bytes     9 init of an increment
//! 10 after a read that found nothing in RAM, and in an attached process after every read: see `cold`
//! 16 after a hit: the data word of its slot, 0 when only a lookup can say whether it still stands
//! 17 the bits that stood in the slot    18 the data word of its segment's generation    19 low half of that generation
//! 20 when it expires, 0 = never
//! ```

use crate::key::KeyBuffer;
use crate::raw::{self, Value};
use napi::sys;
use ramcache_core::arena::Arena;
use ramcache_core::error::{Code, StoreError};
use ramcache_core::hash::KeyHasher;
use ramcache_core::open::{Attached, OwnedStore};
use ramcache_core::ops::read::Reader;
use ramcache_core::record::RecordBuffer;
use ramcache_core::stats::{CounterSlot, Sampler};
use ramcache_core::store::Store;
use std::ffi::{c_void, CString};
use std::ptr;
use std::sync::Arc;

pub const CONTROL_WORDS: usize = 24;

pub mod control {
    pub const TYPE: usize = 0;
    pub const FLAGS: usize = 1;
    pub const TTL: usize = 2;
    pub const IDLE: usize = 3;
    pub const CLOCK_HIGH: usize = 4;
    pub const CLOCK_LOW: usize = 5;
    pub const ORIGIN_HIGH: usize = 6;
    pub const ORIGIN_LOW: usize = 7;
    pub const TAGS: usize = 8;
    pub const INIT: usize = 9;
    pub const COLD: usize = 10;
    pub const GRACE: usize = 11;
    pub const EXPIRES_AT: usize = 13;
    pub const DEADLINE: usize = 14;
    pub const NOW: usize = 15;
    pub const SLOT: usize = 16;
    pub const SLOT_BITS: usize = 17;
    pub const GENERATION_AT: usize = 18;
    pub const GENERATION: usize = 19;
    pub const SLOT_EXPIRES: usize = 20;
    pub const LEASE_HIGH: usize = 21;
    pub const LEASE_LOW: usize = 22;
}

/// Bits of the flags word.
pub mod flag {
    pub const TTL: u32 = 1;
    pub const IDLE: u32 = 2;
    pub const IF_ABSENT: u32 = 4;
    pub const IF_PRESENT: u32 = 8;
    pub const IF_VERSION: u32 = 16;
    pub const TAGS: u32 = 32;
    pub const PINNED: u32 = 64;
    pub const INIT: u32 = 128;
    pub const RAM_DECIDES: u32 = 256;
    pub const BLIND: u32 = 512;
    pub const VOLATILE: u32 = 1024;
    pub const EXPIRES_AT: u32 = 4096;
    pub const LEASE: u32 = 8192;
    pub const GRACE: u32 = 16384;
}

/// What there is to do after a read.
pub mod cold {
    pub const NO: f64 = 0.0;
    /// A lower tier may have the key.
    pub const MAYBE: f64 = 1.0;
    /// The same, if there is one: nobody has built a filter.
    pub const NO_FILTER: f64 = 2.0;
    /// The read was a hit, and the owner should know of it: a sliding expiry is a quarter through.
    pub const SLIDES: f64 = 3.0;
}

#[derive(Clone)]
pub enum Target {
    Owner(Arc<OwnedStore>),
    Attached(Arc<Attached>),
    Closed,
}

/// The scratch buffer: an ArrayBuffer of the environment, never detached because only `engine.ts` holds it.
#[derive(Clone, Copy)]
pub struct Scratch {
    base: *mut u8,
    bytes: usize,
}

impl Scratch {
    /// `base` must stay writable for `bytes` bytes, and aligned to 8, as long as the environment lives.
    pub unsafe fn new(base: *mut u8, bytes: usize) -> Scratch {
        Scratch { base, bytes }
    }

    pub fn control(&self, word: usize) -> f64 {
        debug_assert!(word < CONTROL_WORDS);
        // SAFETY: inside the control words; JavaScript does not run while a callback does.
        unsafe { *self.base.cast::<f64>().add(word) }
    }

    pub fn set_control(&self, word: usize, number: f64) {
        debug_assert!(word < CONTROL_WORDS);
        // SAFETY: see `control`.
        unsafe { *self.base.cast::<f64>().add(word) = number }
    }

    /// The bytes behind the control words.
    #[allow(clippy::mut_from_ref)]
    pub fn bytes(&self) -> &mut [u8] {
        // SAFETY: see `control`. A callback takes this slice once at a time.
        unsafe {
            std::slice::from_raw_parts_mut(self.base.add(CONTROL_WORDS * 8), self.bytes - CONTROL_WORDS * 8)
        }
    }
}

pub struct Space {
    pub target: Target,
    pub namespace: u32,
    pub hasher: KeyHasher,
    pub counters: Option<CounterSlot>,
    pub scratch: Scratch,
    pub buffer: RecordBuffer,
    pub key: Box<KeyBuffer>,
    pub sampler: Sampler,
    /// By which the leases of this space are given up when it closes; 0 before the first one.
    pub holder: u64,
}

impl Space {
    #[inline]
    pub fn reader(&self) -> Result<Reader<'_>, StoreError> {
        match &self.target {
            Target::Owner(owned) => Ok(owned.store().reader()),
            Target::Attached(attached) => Ok(attached.reader()),
            Target::Closed => Err(closed()),
        }
    }

    pub fn arena(&self) -> Option<&Arena> {
        match &self.target {
            Target::Owner(owned) => Some(owned.store().arena()),
            Target::Attached(attached) => Some(attached.arena()),
            Target::Closed => None,
        }
    }

    pub fn store(&self) -> Result<&Store, StoreError> {
        match &self.target {
            Target::Owner(owned) => Ok(owned.store()),
            Target::Attached(_) => {
                Err(StoreError::new(Code::Unavailable, "this process only reads the store"))
            }
            Target::Closed => Err(closed()),
        }
    }

    pub fn close(&mut self) {
        if let (Some(counters), Some(arena)) = (self.counters, self.arena()) {
            counters.release(arena);
        }
        self.counters = None;
        if let (true, Target::Owner(owned)) = (self.holder != 0, &self.target) {
            owned.store().abandon_all(self.holder);
        }
        self.target = Target::Closed;
    }
}

pub fn closed() -> StoreError {
    StoreError::new(Code::Closed, "the cache is closed")
}

/// The space a callback is bound to.
///
/// # Safety
/// `data` must be the pointer `expose` bound the callback to. One environment runs one callback at a time, and
/// nothing a callback does runs JavaScript, so the reference is the only one.
pub unsafe fn space_of<'a>(data: *mut c_void) -> &'a mut Space {
    // SAFETY: see above.
    unsafe { &mut *data.cast::<Space>() }
}

type Callback = unsafe extern "C" fn(sys::napi_env, sys::napi_callback_info) -> Value;

/// An object of callbacks bound to a space. The space lives until its environment ends; `close` empties it before.
pub fn expose(env: sys::napi_env, space: Space) -> Value {
    let data: *mut c_void = Box::into_raw(Box::new(space)).cast();
    let callbacks: [(&str, Callback); 24] = [
        ("get", crate::read::get),
        ("has", crate::read::has),
        ("entry", crate::read::entry),
        ("peek", crate::read::peek),
        ("settle", crate::read::settle),
        ("group", crate::read::group),
        ("scan", crate::read::scan),
        ("ask", crate::below::ask),
        ("set", crate::write::set),
        ("setMany", crate::write::set_many),
        ("delete", crate::write::delete),
        ("touch", crate::write::touch),
        ("incr", crate::write::increment),
        ("pin", crate::write::pin),
        ("demote", crate::write::demote),
        ("clear", crate::write::clear),
        ("lease", crate::lease::lease),
        ("abandon", crate::lease::abandon),
        ("invalidate", crate::write::invalidate),
        ("close", close),
        ("hits", crate::read::hits),
        ("misses", crate::read::misses),
        ("retries", crate::read::retries),
        ("place", crate::view::place),
    ];
    let mut object = ptr::null_mut();
    // SAFETY: a live environment; the callbacks get `data`, which is freed by the hook when no callback can run.
    unsafe {
        sys::napi_create_object(env, &mut object);
        for (name, callback) in callbacks {
            let name = CString::new(name).expect("names have no NUL");
            let mut function = ptr::null_mut();
            sys::napi_create_function(env, name.as_ptr(), -1, Some(callback), data, &mut function);
            sys::napi_set_named_property(env, object, name.as_ptr(), function);
        }
        sys::napi_add_env_cleanup_hook(env, Some(drop_space), data);
    }
    object
}

unsafe extern "C" fn drop_space(data: *mut c_void) {
    // SAFETY: the pointer `expose` made, once: the environment is ending.
    let mut space = unsafe { Box::from_raw(data.cast::<Space>()) };
    // Whatever goes wrong in the last close of a broken store, it must not take the process with it.
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || space.close()));
}

unsafe extern "C" fn close(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    let ([], data) = raw::arguments::<0>(env, info);
    raw::guard(env, || {
        // SAFETY: bound by `expose`.
        unsafe { space_of(data) }.close();
        Ok(raw::undefined(env))
    })
}
