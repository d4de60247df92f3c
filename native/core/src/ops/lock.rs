//! The record of a lock: taken, prolonged, let go. Decided by RAM alone: pinned, it never leaves that, and volatile, it is
//! nowhere else.
//!
//! ```text
//! 0  u32  process of the holder
//! 4  u32  0
//! 8  u64  run of the owner that holds it itself, 0 for a connection
//! ```
//!
//! A lock that was let go is a record without a value that has expired: nothing of it goes to the log.

use super::write::{Current, Decision, Wish, SET};
use crate::arena::copy::copy_out;
use crate::clock;
use crate::error::{Code, Result, StoreError};
use crate::feed::Change;
use crate::layout::shard_of;
use crate::locks::{Holder, NAMESPACE};
use crate::record::{Parts, RecordBuffer};
use crate::store::Store;
use crate::sync::lock;

const VALUE_BYTES: usize = 16;
/// The type of bytes; see `src/codec/bytes.ts`.
const BYTES: u8 = 6;
/// A time that is past.
const LONG_AGO_MS: u64 = 1;

impl Store {
    /// Takes a lock and gives its token; or says who has it, and until when.
    pub(crate) fn take(
        &self,
        name: &[u8],
        ttl_ms: u64,
        by: Holder,
    ) -> Result<std::result::Result<u64, (Holder, u64)>> {
        let namespace = self.lock_namespace()?;
        let hash = self.hasher.hash(namespace, name);
        let mut value = [0; VALUE_BYTES];
        value[..4].copy_from_slice(&by.pid.to_le_bytes());
        value[8..].copy_from_slice(&by.run.to_le_bytes());
        let (mut held, mut excess) = (None, None);
        let mut buffer = RecordBuffer::default();
        let token = self.commit(namespace, name, hash, lock_wish(), &mut buffer, |current, buffer| {
            held = current.and_then(|current| Some((self.holder_at(current)?, current.header.expires_at)));
            buffer.build(&Parts {
                namespace,
                key: name,
                value_type: BYTES,
                value: &value,
                is_pinned: true,
                is_volatile: true,
                expires_at: self.absolute(ttl_ms),
                ..Parts::default()
            });
            excess = match held {
                Some(_) => None,
                None => self.own_excess(&buffer.header(), current.map(|current| &current.header)),
            };
            match held.is_some() || excess.is_some() {
                true => Decision::Refuse,
                false => SET,
            }
        })?;
        match (token, held, excess) {
            (Some(token), ..) => Ok(Ok(token)),
            (None, Some(held), _) => Ok(Err(held)),
            (None, None, excess) => Err(excess.expect("why it was refused")),
        }
    }

    /// Whether it was held with this token until now.
    pub(crate) fn let_go(&self, name: &[u8], token: u64) -> Result<bool> {
        let namespace = self.lock_namespace()?;
        let hash = self.hasher.hash(namespace, name);
        let mut buffer = RecordBuffer::default();
        let gone = self.commit(namespace, name, hash, lock_wish(), &mut buffer, |current, buffer| {
            if !self.is_held_with(current, token) {
                return Decision::Refuse;
            }
            buffer.build(&Parts {
                namespace,
                key: name,
                value_type: BYTES,
                is_volatile: true,
                expires_at: LONG_AGO_MS,
                ..Parts::default()
            });
            SET
        })?;
        Ok(gone.is_some())
    }

    /// A new time to live from now on, if it is held with this token. The token stays.
    pub(crate) fn prolong(&self, name: &[u8], token: u64, ttl_ms: u64) -> Result<bool> {
        let namespace = self.lock_namespace()?;
        let hash = self.hasher.hash(namespace, name);
        let mut buffer = RecordBuffer::default();
        let renewed = self.commit(namespace, name, hash, lock_wish(), &mut buffer, |current, buffer| {
            let Some(current) = current.filter(|current| self.is_held_with(Some(current), token)) else {
                return Decision::Refuse;
            };
            let value = self.lock_value(current).expect("a lock that is held has a holder");
            buffer.build(&Parts {
                namespace,
                key: name,
                value_type: BYTES,
                value: &value,
                is_pinned: true,
                is_volatile: true,
                expires_at: self.absolute(ttl_ms),
                expiry_clock: clock::tick(
                    self.clock_word(),
                    self.arena.wall_ms(),
                    current.header.expiry_clock,
                ),
                ..Parts::default()
            });
            Decision::Write { change: Change::Touch, keeps_clock: true, keeps_run: false }
        })?;
        Ok(renewed.is_some())
    }

    /// Who has a lock, and until when.
    pub(crate) fn holder_of(&self, name: &[u8]) -> Result<Option<(Holder, u64)>> {
        let namespace = self.lock_namespace()?;
        let hash = self.hasher.hash(namespace, name);
        let _shard = lock(&self.shards[shard_of(hash)]);
        self.ensure_open()?;
        let current = self
            .find(namespace, name, hash)
            .filter(|current| self.is_live(&current.header, current.location));
        Ok(current.and_then(|current| Some((self.holder_at(&current)?, current.header.expires_at))))
    }

    pub(crate) fn is_held(&self, name: &[u8], token: u64) -> bool {
        let Ok(namespace) = self.lock_namespace() else { return false };
        let hash = self.hasher.hash(namespace, name);
        let _shard = lock(&self.shards[shard_of(hash)]);
        let is_open = self.ensure_open().is_ok();
        let current = self
            .find(namespace, name, hash)
            .filter(|current| self.is_live(&current.header, current.location));
        is_open && self.is_held_with(current.as_ref(), token)
    }

    /// Of a live record.
    fn is_held_with(&self, current: Option<&Current>, token: u64) -> bool {
        current.is_some_and(|current| current.header.clock == token && self.holder_at(current).is_some())
    }

    /// Who a live record says it is; `None` for an owner that is gone.
    fn holder_at(&self, current: &Current) -> Option<Holder> {
        let value = self.lock_value(current)?;
        let holder = Holder {
            pid: u32::from_le_bytes(value[..4].try_into().expect("four bytes")),
            run: u64::from_le_bytes(value[8..].try_into().expect("eight bytes")),
        };
        (holder.run == 0 || holder.run == self.locks.run).then_some(holder)
    }

    fn lock_value(&self, current: &Current) -> Option<[u8; VALUE_BYTES]> {
        let header = &current.header;
        if header.value_bytes as usize != VALUE_BYTES || header.is_run() {
            return None;
        }
        let mut value = [0; VALUE_BYTES];
        let first = self.arena.record_byte(current.location).expect("inside its segment");
        copy_out(self.arena.data(), first, header.value_at(), &mut value);
        Some(value)
    }

    fn lock_namespace(&self) -> Result<u32> {
        match self.locks.namespace.get() {
            Some(namespace) => Ok(*namespace),
            None => {
                let namespace = self.namespace(NAMESPACE)?;
                Ok(*self.locks.namespace.get_or_init(|| namespace))
            }
        }
    }

    /// What the store keeps for itself on behalf of others is limited like what others pin.
    pub(crate) fn own_excess(
        &self,
        header: &crate::record::Header,
        current: Option<&crate::record::Header>,
    ) -> Option<StoreError> {
        let replaced = current.filter(|header| header.is_pinned()).map_or(0, |header| self.charge_of(header));
        let total = (self.pinned_bytes() + self.charge_of(header)).saturating_sub(replaced);
        let limit = self.pinned_bytes_max();
        (total > limit).then(|| {
            let message = format!("locks and other pinned entries would take {total} bytes, the limit is {limit} bytes: half of the memory for entries");
            StoreError::new(Code::Full, message)
        })
    }
}

/// It brings nothing that a full disk would have to take, and readers do not see it.
fn lock_wish() -> Wish {
    Wish::removal(false).unseen()
}
