//! Locks of the process that owns the store, one holder for each thread that has it open. Rare enough for `#[napi]`.

use crate::below::ringing;
use crate::cold::{coded, Handle, Result};
use crate::space::Target;
use napi::bindgen_prelude::*;
use napi_derive::napi;
use ramcache_core::error::{Code, StoreError};
use ramcache_core::locks::Attempt;
use ramcache_core::store::Store;
use std::sync::{Arc, Mutex, PoisonError};

/// A thread among those who may hold locks. Closed, or with the end of its thread, it lets go of all of them.
pub struct LockHolder {
    /// It does not keep the store open: once closed, that refuses everything.
    store: Arc<Store>,
    number: u64,
    /// Tickets and tokens of locks that have come.
    come: Arc<Mutex<Vec<(u64, u64)>>>,
}

impl Drop for LockHolder {
    fn drop(&mut self) {
        // A broken store must not take the process along.
        let leave = || self.store.leave_locks(self.number, true);
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(leave));
    }
}

#[napi(object)]
pub struct NativeAttempt {
    /// Set when the lock was taken.
    pub token: Option<BigInt>,
    /// Who asked is in line now.
    pub is_queued: bool,
    pub pid: u32,
    pub left_ms: f64,
}

#[napi(object)]
pub struct NativeGrant {
    pub ticket: f64,
    pub token: BigInt,
}

/// `bell` is called when a lock has come that was waited for; it does not keep the event loop alive.
#[napi(js_name = "openLocks")]
pub fn open_locks(handle: &External<Handle>, bell: Function<(), ()>) -> Result<External<LockHolder>> {
    let Target::Owner(owned) = &handle.target else {
        return Err(coded(StoreError::new(Code::Unavailable, "this process does not own the store")));
    };
    let bell = ringing(bell)?;
    let come = Arc::new(Mutex::new(Vec::new()));
    let tell = {
        let come = Arc::clone(&come);
        move |ticket, token| {
            come.lock().unwrap_or_else(PoisonError::into_inner).push((ticket, token));
            bell();
        }
    };
    let store = owned.shared();
    let number = store.join_locks(std::process::id(), true, Box::new(tell));
    Ok(External::new(LockHolder { store, number, come }))
}

/// Lets go of all locks; the holder takes no others.
#[napi(js_name = "closeLocks")]
pub fn close_locks(holder: &External<LockHolder>) {
    holder.store.leave_locks(holder.number, true);
}

/// With a ticket, who asks gets in line when somebody else has the lock.
#[napi(js_name = "lockKey")]
pub fn lock_key(
    holder: &External<LockHolder>,
    namespace: u32,
    key: Uint8Array,
    ttl_ms: f64,
    ticket: Option<f64>,
) -> Result<NativeAttempt> {
    let ticket = ticket.map(|ticket| ticket as u64);
    let attempt = holder.store.lock_key(holder.number, namespace, &key, ttl_ms as u64, ticket);
    Ok(match attempt.map_err(coded)? {
        Attempt::Locked(token) => {
            NativeAttempt { token: Some(token.into()), is_queued: false, pid: 0, left_ms: 0.0 }
        }
        Attempt::Held { pid, left_ms } => {
            NativeAttempt { token: None, is_queued: false, pid, left_ms: left_ms as f64 }
        }
        Attempt::Queued { pid, left_ms } => {
            NativeAttempt { token: None, is_queued: true, pid, left_ms: left_ms as f64 }
        }
    })
}

/// Locks that have come since the last call.
#[napi(js_name = "takeGrants")]
pub fn take_grants(holder: &External<LockHolder>) -> Vec<NativeGrant> {
    let come = std::mem::take(&mut *holder.come.lock().unwrap_or_else(PoisonError::into_inner));
    come.into_iter()
        .map(|(ticket, token)| NativeGrant { ticket: ticket as f64, token: token.into() })
        .collect()
}

/// Leaves the line; false when it is not in one any more.
#[napi(js_name = "cancelLock")]
pub fn cancel_lock(holder: &External<LockHolder>, ticket: f64) -> bool {
    holder.store.cancel_lock(holder.number, ticket as u64)
}

/// False when it is not held with this token any more.
#[napi(js_name = "unlockKey")]
pub fn unlock_key(
    holder: &External<LockHolder>,
    namespace: u32,
    key: Uint8Array,
    token: BigInt,
) -> Result<bool> {
    holder.store.unlock_key(namespace, &key, token.get_u64().1).map_err(coded)
}

/// A new time to live from now on; false when it is not held with this token any more.
#[napi(js_name = "renewLock")]
pub fn renew_lock(
    holder: &External<LockHolder>,
    namespace: u32,
    key: Uint8Array,
    token: BigInt,
    ttl_ms: f64,
) -> Result<bool> {
    let token = token.get_u64().1;
    holder.store.renew_lock(holder.number, namespace, &key, token, ttl_ms as u64).map_err(coded)
}
