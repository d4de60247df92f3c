//! Leases of the owner: who computes a missing value.

use crate::raw::{self, Value};
use crate::read::entry_of;
use crate::space::space_of;
use napi::sys;
use ramcache_core::leases::Leased;
use ramcache_core::ops::read::Copied;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers of spaces; those of connections have the highest bit clear.
static HOLDERS: AtomicU64 = AtomicU64::new(1 << 63);

/// `lease(key, ms, 1 when also a fresh value is to be replaced)`: `[state, token or undefined, stale entry or undefined]`;
/// the states are 0 fresh, 1 granted, 2 busy, 3 paused, the token 16 hexadecimal digits.
pub unsafe extern "C" fn lease(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    let ([key, lease_ms, refreshes], data) = raw::arguments::<3>(env, info);
    // SAFETY: bound by `space::expose`.
    let space = unsafe { space_of(data) };
    raw::guard(env, || {
        space.key.take(env, key)?;
        let lease_ms = raw::as_double(env, lease_ms).unwrap_or(0.0) as u64;
        let refreshes = raw::as_double(env, refreshes) == Some(1.0);
        if space.holder == 0 {
            space.holder = HOLDERS.fetch_add(1, Ordering::Relaxed);
        }
        let store = space.store()?;
        let leased = store.lease(space.namespace, space.key.bytes(), space.holder, lease_ms, refreshes)?;
        let (state, token) = match leased {
            Leased::Fresh => (0, None),
            Leased::Granted(token) => (1, Some(token)),
            Leased::Busy => (2, None),
            Leased::Paused => (3, None),
        };
        let stale = match leased {
            Leased::Fresh => None,
            _ => store.stale(space.namespace, space.key.bytes()),
        };
        let token = match token {
            Some(token) => raw::latin1(env, format!("{token:016x}").as_bytes()),
            None => raw::undefined(env),
        };
        let entry = match stale {
            Some(stale) => {
                let copied = Copied { value: stale.value, tags: stale.tags };
                entry_of(env, space, &stale.header, &copied)
            }
            None => raw::undefined(env),
        };
        Ok(raw::array(env, &[raw::uint32(env, state), token, entry]))
    })
}

/// `abandon(key, high and low half of the token, ms to pause)`: whether the lease was still out.
pub unsafe extern "C" fn abandon(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    let ([key, high, low, pause_ms], data) = raw::arguments::<4>(env, info);
    // SAFETY: bound by `space::expose`.
    let space = unsafe { space_of(data) };
    raw::guard(env, || {
        space.key.take(env, key)?;
        let number = |value| raw::as_double(env, value).unwrap_or(0.0) as u64;
        let token = number(high) << 32 | number(low);
        let store = space.store()?;
        let was_out = store.abandon(space.namespace, space.key.bytes(), token, number(pause_ms))?;
        Ok(raw::boolean(env, was_out))
    })
}
