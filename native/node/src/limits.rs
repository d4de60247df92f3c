//! Limiters, for the process that owns the store.

use crate::cold::{coded, owner, Handle, Result};
use napi::bindgen_prelude::*;
use napi_derive::napi;
use ramcache_core::ops::{Demand, Limit, LimitKey};

#[napi(object)]
pub struct NativeLimit {
    pub points: f64,
    pub window_ms: f64,
    pub warn: f64,
    pub penalty_ms: f64,
}

#[napi(object)]
pub struct NativeLimitAnswer {
    pub is_allowed: bool,
    pub consumed: f64,
    pub is_warned: bool,
    pub retry_after_ms: f64,
    pub reset_ms: f64,
}

/// Asks a limiter of a namespace; with `counts_all` the points are counted in any case, or taken back.
#[napi(js_name = "askLimit")]
pub fn ask_limit(
    handle: &External<Handle>,
    namespace: u32,
    name: String,
    key: Uint8Array,
    limit: NativeLimit,
    points: f64,
    counts_all: bool,
) -> Result<NativeLimitAnswer> {
    let demand = match counts_all {
        true => Demand::Count(points as i64),
        false => Demand::Points(points as u64),
    };
    let limit = Limit {
        points: limit.points as u64,
        window_ms: limit.window_ms as u64,
        warn: limit.warn as u64,
        penalty_ms: limit.penalty_ms as u64,
    };
    let key = LimitKey { namespace, name: name.as_bytes(), key: &key };
    let answer = owner(handle)?.limit(&key, &limit, demand).map_err(coded)?;
    Ok(NativeLimitAnswer {
        is_allowed: answer.is_allowed,
        consumed: answer.consumed as f64,
        is_warned: answer.is_warned,
        retry_after_ms: answer.retry_after_ms as f64,
        reset_ms: answer.reset_ms as f64,
    })
}

/// Forgets what a limiter has counted for a key; whether there was anything.
#[napi(js_name = "resetLimit")]
pub fn reset_limit(handle: &External<Handle>, namespace: u32, name: String, key: Uint8Array) -> Result<bool> {
    let key = LimitKey { namespace, name: name.as_bytes(), key: &key };
    owner(handle)?.reset_limit(&key).map_err(coded)
}
