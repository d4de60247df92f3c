//! Quotas: bytes of RAM from which on a namespace gives way before any other does. Not a limit: while there is room it may
//! have more. When room is made, its entries leave and those of others stay until it is within its quota again.

use crate::store::Store;
use crate::sync::{lock, Ordering};

impl Store {
    /// Sets the quota of a namespace; 0 = none.
    pub fn set_quota(&self, namespace: u32, bytes: u64) {
        let mut quotas = lock(&self.quotas);
        self.usage[namespace as usize].quota_bytes.store(bytes, Ordering::Relaxed);
        quotas.retain(|with| *with != namespace);
        if bytes > 0 {
            quotas.push(namespace);
        }
    }

    /// 0 = none.
    pub fn quota(&self, namespace: u32) -> u64 {
        self.usage[namespace as usize].quota_bytes.load(Ordering::Relaxed)
    }

    /// What the records of a namespace take of RAM, in the unit of the budget.
    pub fn ram_bytes(&self, namespace: u32) -> u64 {
        self.usage[namespace as usize].charges.iter().map(|charge| charge.load(Ordering::Relaxed)).sum()
    }

    /// Pinned entries are not counted: they never leave, and others would have to for good.
    pub(crate) fn is_over_quota(&self, namespace: u32) -> bool {
        let quota = self.quota(namespace);
        let pinned = || self.usage[namespace as usize].pinned_bytes.load(Ordering::Relaxed);
        quota > 0 && self.ram_bytes(namespace).saturating_sub(pinned()) > quota
    }

    pub(crate) fn is_any_over_quota(&self) -> bool {
        lock(&self.quotas).iter().any(|namespace| self.is_over_quota(*namespace))
    }
}
