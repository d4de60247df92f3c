//! Writes of the owner. Options of a write stand in the control words; their flags are reset by the call.

use crate::raw::{self, Value};
use crate::read::version;
use crate::space::{control, flag, space_of, Scratch, Space};
use napi::sys;
use ramcache_core::error::{Code, StoreError};
use ramcache_core::layout::counters;
use ramcache_core::ops::{Conditions, Demotion, Number, Outcome, Version, WriteRequest};
use ramcache_core::record::value_type;
use std::time::Instant;

/// What the control words say about the next write.
struct Options {
    ttl_ms: u64,
    idle_ms: u64,
    expires_at: u64,
    deadline: u64,
    grace_ms: u64,
    tags: Vec<u8>,
    is_pinned: bool,
    is_volatile: bool,
    conditions: Conditions,
    is_blind: bool,
    init: Option<f64>,
}

fn take_options(scratch: &Scratch) -> Options {
    let flags = scratch.control(control::FLAGS) as u32;
    let has = |bit: u32| flags & bit != 0;
    let number = |bit: u32, word: usize| if has(bit) { scratch.control(word) as u64 } else { 0 };
    if flags != 0 {
        scratch.set_control(control::FLAGS, 0.0);
    }
    let tag_bytes = number(flag::TAGS, control::TAGS) as usize;
    let bytes = scratch.bytes();
    Options {
        ttl_ms: number(flag::TTL, control::TTL),
        idle_ms: number(flag::IDLE, control::IDLE),
        expires_at: number(flag::EXPIRES_AT, control::EXPIRES_AT),
        deadline: number(flag::EXPIRES_AT, control::DEADLINE),
        grace_ms: number(flag::GRACE, control::GRACE),
        tags: bytes[bytes.len() - tag_bytes.min(bytes.len())..].to_vec(),
        is_pinned: has(flag::PINNED),
        is_volatile: has(flag::VOLATILE),
        conditions: Conditions {
            if_version: has(flag::IF_VERSION).then(|| wanted_version(scratch)),
            if_absent: has(flag::IF_ABSENT),
            if_present: has(flag::IF_PRESENT),
            ram_decides: has(flag::RAM_DECIDES),
            lease: has(flag::LEASE).then(|| word(scratch, control::LEASE_HIGH, control::LEASE_LOW)),
        },
        is_blind: has(flag::BLIND),
        init: has(flag::INIT).then(|| scratch.control(control::INIT)),
    }
}

fn wanted_version(scratch: &Scratch) -> Version {
    Version {
        clock: word(scratch, control::CLOCK_HIGH, control::CLOCK_LOW),
        origin: word(scratch, control::ORIGIN_HIGH, control::ORIGIN_LOW),
    }
}

/// 64 bits out of two control words.
fn word(scratch: &Scratch, high: usize, low: usize) -> u64 {
    (scratch.control(high) as u64) << 32 | scratch.control(low) as u64
}

/// Where the bytes of a value argument are.
enum Source<'a> {
    /// The first bytes of the scratch buffer.
    Scratch(usize),
    Heap(Vec<u8>),
    Borrowed(&'a [u8]),
}

/// `set(key, value)`: a string, the count of scratch bytes, or a Uint8Array; the last two with a type in the control
/// words. The new version, or `undefined` when a condition did not hold.
pub unsafe extern "C" fn set(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    let ([key, value], data) = raw::arguments::<2>(env, info);
    // SAFETY: bound by `space::expose`.
    let space = unsafe { space_of(data) };
    let scratch = space.scratch;
    raw::guard(env, || {
        let started = space.sampler.is_due().then(Instant::now);
        let options = take_options(&scratch);
        space.key.take(env, key)?;
        let (value_type, source) = take_value(env, value, &scratch)?;
        let bytes = match &source {
            Source::Scratch(count) => &scratch.bytes()[..*count],
            Source::Heap(bytes) => bytes,
            Source::Borrowed(bytes) => bytes,
        };
        let Space { target, key, buffer, namespace, .. } = &mut *space;
        let store = match target {
            crate::space::Target::Owner(owned) => owned.store(),
            _ => return Err(space.store().err().unwrap_or_else(crate::space::closed)),
        };
        let request = WriteRequest {
            namespace: *namespace,
            key: key.bytes(),
            value_type,
            value: bytes,
            ttl_ms: options.ttl_ms,
            idle_ms: options.idle_ms,
            expires_at: options.expires_at,
            deadline: options.deadline,
            grace_ms: options.grace_ms,
            tags: &options.tags,
            is_pinned: options.is_pinned,
            is_volatile: options.is_volatile,
            conditions: options.conditions,
        };
        let outcome = store.set(&request, buffer)?;
        if let (Some(started), Some(counters)) = (started, space.counters) {
            let ns = started.elapsed().as_nanos() as u64;
            counters.record_ns(space.store()?.arena(), counters::SET_HISTOGRAM, ns);
        }
        Ok(match outcome {
            Outcome::Written(written) => version(env, written.clock, written.origin),
            Outcome::Refused => raw::undefined(env),
        })
    })
}

fn take_value<'a>(
    env: sys::napi_env,
    value: Value,
    scratch: &Scratch,
) -> Result<(u8, Source<'a>), StoreError> {
    let out = scratch.bytes();
    if let Some(length) = raw::string_into(env, value, out) {
        // One byte is the terminator's, and a character that does not fit is left out whole.
        let source = if length + 4 < out.len() {
            Source::Scratch(length)
        } else {
            Source::Heap(raw::string_vec(env, value).expect("a string a moment ago"))
        };
        let bytes = match &source {
            Source::Heap(bytes) => bytes.as_slice(),
            _ => &out[..length],
        };
        if bytes.is_ascii() {
            return Ok((value_type::ASCII, source));
        }
        if raw::holds_replacement(bytes) && !raw::is_well_formed(env, value) {
            return Err(StoreError::new(Code::Value, "string with a lone surrogate: it has no UTF-8 form"));
        }
        return Ok((value_type::UTF8, source));
    }
    let value_type = scratch.control(control::TYPE) as u8;
    if let Some(count) = raw::as_double(env, value) {
        return Ok((value_type, Source::Scratch((count as usize).min(out.len()))));
    }
    let bytes = raw::bytes_of(env, value)
        .ok_or_else(|| StoreError::new(Code::Value, "value is neither a string nor encoded bytes"))?;
    Ok((value_type, Source::Borrowed(bytes)))
}

/// `setMany(packed)`: for each entry `u16 key bytes, u8 type, u8 0, u32 value bytes, key, value`.
pub unsafe extern "C" fn set_many(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    let ([packed], data) = raw::arguments::<1>(env, info);
    // SAFETY: bound by `space::expose`.
    let space = unsafe { space_of(data) };
    raw::guard(env, || {
        let options = take_options(&space.scratch);
        let malformed = || StoreError::new(Code::Value, "malformed group of entries");
        let mut rest = raw::bytes_of(env, packed).ok_or_else(malformed)?;
        let mut requests = Vec::new();
        while !rest.is_empty() {
            let (head, body) = rest.split_at_checked(8).ok_or_else(malformed)?;
            let key_bytes = u16::from_le_bytes([head[0], head[1]]) as usize;
            let value_bytes = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
            let (key, body) = body.split_at_checked(key_bytes).ok_or_else(malformed)?;
            let (value, body) = body.split_at_checked(value_bytes).ok_or_else(malformed)?;
            rest = body;
            requests.push(WriteRequest {
                namespace: space.namespace,
                key,
                value_type: head[2],
                value,
                ttl_ms: options.ttl_ms,
                idle_ms: options.idle_ms,
                expires_at: options.expires_at,
                deadline: options.deadline,
                grace_ms: options.grace_ms,
                tags: &options.tags,
                is_pinned: false,
                is_volatile: options.is_volatile,
                conditions: Conditions::default(),
            });
        }
        space.store()?.set_many(&requests)?;
        Ok(raw::undefined(env))
    })
}

/// `delete(key)`: whether an entry was removed. Honours the version in the control words. A blind one asks for nothing
/// and says nothing.
pub unsafe extern "C" fn delete(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    let ([key], data) = raw::arguments::<1>(env, info);
    // SAFETY: bound by `space::expose`.
    let space = unsafe { space_of(data) };
    raw::guard(env, || {
        let options = take_options(&space.scratch);
        space.key.take(env, key)?;
        let mut buffer = std::mem::take(&mut space.buffer);
        let store = space.store()?;
        let if_version = options.conditions.if_version;
        let removed = match options.is_blind {
            true => store.discard(space.namespace, space.key.bytes(), &mut buffer).map(|()| false),
            false => store.delete(space.namespace, space.key.bytes(), if_version, &mut buffer),
        };
        space.buffer = buffer;
        Ok(raw::boolean(env, removed?))
    })
}

/// `touch(key, ttl ms; 0 = none)`: whether there was an entry.
pub unsafe extern "C" fn touch(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    let ([key, ttl], data) = raw::arguments::<2>(env, info);
    // SAFETY: bound by `space::expose`.
    let space = unsafe { space_of(data) };
    raw::guard(env, || {
        space.key.take(env, key)?;
        let ttl_ms = raw::as_double(env, ttl).unwrap_or(0.0) as u64;
        let mut buffer = std::mem::take(&mut space.buffer);
        let store = space.store()?;
        let touched = store.touch(space.namespace, space.key.bytes(), ttl_ms, false, &mut buffer);
        space.buffer = buffer;
        Ok(raw::boolean(env, touched?))
    })
}

/// `pin(key, whether)`: whether there was an entry.
pub unsafe extern "C" fn pin(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    let ([key, is_pinned], data) = raw::arguments::<2>(env, info);
    // SAFETY: bound by `space::expose`.
    let space = unsafe { space_of(data) };
    raw::guard(env, || {
        space.key.take(env, key)?;
        let is_pinned = raw::as_double(env, is_pinned) == Some(1.0);
        let mut buffer = std::mem::take(&mut space.buffer);
        let pinned = space.store()?.pin(space.namespace, space.key.bytes(), is_pinned, &mut buffer);
        space.buffer = buffer;
        Ok(raw::boolean(env, pinned?))
    })
}

/// `demote(key)`: 0 when RAM does not have it, 1 when it is pinned, 2 when it has to wait for the log, 3 when it has left.
pub unsafe extern "C" fn demote(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    let ([key], data) = raw::arguments::<1>(env, info);
    // SAFETY: bound by `space::expose`.
    let space = unsafe { space_of(data) };
    raw::guard(env, || {
        space.key.take(env, key)?;
        let number = match space.store()?.demote(space.namespace, space.key.bytes())? {
            Demotion::Absent => 0,
            Demotion::Pinned => 1,
            Demotion::Waits => 2,
            Demotion::Done => 3,
        };
        Ok(raw::uint32(env, number))
    })
}

/// `incr(key, by)`: the new number, `undefined` when there is no entry and no init in the control words.
pub unsafe extern "C" fn increment(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    let ([key, by], data) = raw::arguments::<2>(env, info);
    // SAFETY: bound by `space::expose`.
    let space = unsafe { space_of(data) };
    raw::guard(env, || {
        let options = take_options(&space.scratch);
        space.key.take(env, key)?;
        let by = raw::as_double(env, by).unwrap_or(f64::NAN);
        let mut buffer = std::mem::take(&mut space.buffer);
        let store = space.store()?;
        let key = space.key.bytes();
        let (init, ttl_ms, is_volatile) = (options.init, options.ttl_ms, options.is_volatile);
        let answer = store.increment(space.namespace, key, by, init, ttl_ms, is_volatile, &mut buffer);
        space.buffer = buffer;
        match answer? {
            Number::Is(sum) => Ok(raw::double(env, sum)),
            Number::Absent => Ok(raw::undefined(env)),
            Number::NotInteger => {
                let message = "the entry is not a whole number that a double can count by this step";
                Err(StoreError::new(Code::NotInteger, message))
            }
        }
    })
}

/// `invalidate(tags)`: tags in their encoded form.
pub unsafe extern "C" fn invalidate(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    let ([tags], data) = raw::arguments::<1>(env, info);
    // SAFETY: bound by `space::expose`.
    let space = unsafe { space_of(data) };
    raw::guard(env, || {
        let tags = raw::bytes_of(env, tags)
            .ok_or_else(|| StoreError::new(Code::Config, "tags are neither encoded nor bytes"))?;
        let namespace = space.namespace;
        let mut buffer = std::mem::take(&mut space.buffer);
        let done = space.store().and_then(|store| store.invalidate_tags(namespace, tags, &mut buffer));
        space.buffer = buffer;
        done?;
        Ok(raw::undefined(env))
    })
}

pub unsafe extern "C" fn clear(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    let ([], data) = raw::arguments::<0>(env, info);
    // SAFETY: bound by `space::expose`.
    let space = unsafe { space_of(data) };
    raw::guard(env, || {
        space.store()?.clear(space.namespace)?;
        Ok(raw::undefined(env))
    })
}
