//! One stored entry: header, key, value, tags; the same bytes in every local tier.
//!
//! ```text
//! 0   u64  clock word of the value
//! 8   u32  bits 0..7 flags | 8..11 value type | 12..19 key bytes - 1 | 20..31 value bytes
//! 12  by flag, in this order:
//!     LONG       u32 value bytes, u32 key bytes (the short fields above are then 0)
//!     EXPIRY     u32 milliseconds after the clock word's
//!     NAMESPACE  u32 namespace id
//!     RUN        u32 extents: the value lies in runs, its place here holds u64 extents
//!     EXT        u32 further flags, then by flag:
//!                EXPIRY_AT u64 ms since 1970 | EXPIRY_CLOCK u64 | IDLE u32 ms | TAGS u32 bytes |
//!                DEADLINE u64 ms since 1970 | GRACE u32 ms
//! ..  key, value (or extents), tags (each: u8 length, bytes), padding to 4
//! ```
//!
//! A record is written whole before it is published and never changed in place. Bytes in shared memory are hostile
//! to a reader: every length is checked against the segment before it is believed.

use crate::layout::{GRAIN_BYTES, KEY_BYTES_MAX, TAGS_BYTES_MAX, VALUE_BYTES_MAX};

pub const FLAG_LONG: u32 = 1;
pub const FLAG_EXPIRY: u32 = 2;
pub const FLAG_NAMESPACE: u32 = 4;
pub const FLAG_RUN: u32 = 8;
pub const FLAG_TOMBSTONE: u32 = 16;
pub const FLAG_EXT: u32 = 32;
/// Never evicted: what other records need in order to be decoded.
pub const FLAG_PINNED: u32 = 64;
/// Outlives no arena: the value log gets it only when RAM has no room, for as long as this arena is there.
pub const FLAG_VOLATILE: u32 = 128;

pub const EXT_EXPIRY_AT: u32 = 1;
pub const EXT_EXPIRY_CLOCK: u32 = 2;
pub const EXT_IDLE: u32 = 4;
pub const EXT_TAGS: u32 = 8;
pub const EXT_DEADLINE: u32 = 16;
pub const EXT_GRACE: u32 = 32;
const EXT_KNOWN: u32 = 63;

pub const HEADER_BYTES_MIN: usize = 12;
const SHORT_KEY_BYTES_MAX: usize = 256;
const SHORT_VALUE_BYTES_MAX: usize = 4095;
/// A value is cut into at most this many extents.
pub const EXTENTS_MAX: usize = 512;

/// Value types: what the bytes of a value are. Nothing is guessed from content.
pub mod value_type {
    pub const NONE: u8 = 0;
    /// Every byte below 128.
    pub const ASCII: u8 = 1;
    pub const UTF8: u8 = 2;
    /// A little-endian double.
    pub const NUMBER: u8 = 3;
    /// Bytes of a chunk of a blob whose namespace lets its entries be dropped when the last tier is full.
    pub const EXPENDABLE: u8 = 12;
}

/// A decoded header. Lengths have been checked against the limits, not against the segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Header {
    pub clock: u64,
    pub flags: u32,
    pub value_type: u8,
    pub key_bytes: u32,
    /// Bytes of the value, wherever it lies.
    pub value_bytes: u32,
    pub namespace: u32,
    /// Extents of the value when it lies in runs, else 0.
    pub extents: u32,
    /// Milliseconds since 1970; 0 = never.
    pub expires_at: u64,
    /// Clock word of the expiry when it was set apart from the value, else the value's.
    pub expiry_clock: u64,
    /// Sliding expiry in milliseconds; 0 = none.
    pub idle_ms: u32,
    pub tags_bytes: u32,
    /// When a sliding entry ends at the latest, in milliseconds since 1970; 0 = never.
    pub deadline: u64,
    /// How long the value is kept after its expiry, for who takes a stale one, in milliseconds.
    pub grace_ms: u32,
    /// Where the key begins, in bytes from the record's start.
    pub key_at: u32,
}

impl Header {
    pub fn is_tombstone(&self) -> bool {
        self.flags & FLAG_TOMBSTONE != 0
    }
    pub fn is_volatile(&self) -> bool {
        self.flags & FLAG_VOLATILE != 0
    }
    pub fn is_pinned(&self) -> bool {
        self.flags & FLAG_PINNED != 0
    }
    pub fn is_run(&self) -> bool {
        self.flags & FLAG_RUN != 0
    }
    /// Whether a slot of this record carries the special bit.
    pub fn is_special(&self) -> bool {
        self.flags & (FLAG_TOMBSTONE | FLAG_RUN) != 0 || (self.idle_ms | self.tags_bytes | self.grace_ms) != 0
    }
    /// Whether it is no answer any more; within its grace the value is still there.
    #[inline]
    pub fn is_stale(&self, now_ms: u64) -> bool {
        self.expires_at != 0 && self.expires_at <= now_ms
    }
    /// Whether nothing may be had of it any more, its grace being over too.
    #[inline]
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_at != 0 && self.gone_at() <= now_ms
    }
    /// The end of its grace, in milliseconds since 1970; 0 = never.
    #[inline]
    pub fn gone_at(&self) -> u64 {
        match self.expires_at {
            0 => 0,
            expires_at => expires_at.saturating_add(self.grace_ms as u64),
        }
    }
    /// Where the value or its extents begin, in bytes from the record's start.
    #[inline]
    pub fn value_at(&self) -> usize {
        (self.key_at + self.key_bytes) as usize
    }
    /// Bytes the value takes in the record itself.
    #[inline]
    pub fn inline_bytes(&self) -> usize {
        if self.is_run() {
            self.extents as usize * 8
        } else {
            self.value_bytes as usize
        }
    }
    pub fn tags_at(&self) -> usize {
        self.value_at() + self.inline_bytes()
    }
    #[inline]
    pub fn record_grains(&self) -> usize {
        (self.tags_at() + self.tags_bytes as usize).div_ceil(GRAIN_BYTES)
    }
    pub fn record_bytes(&self) -> usize {
        self.record_grains() * GRAIN_BYTES
    }
    /// Key and value: what a user would call the size.
    #[inline]
    pub fn payload_bytes(&self) -> u64 {
        self.key_bytes as u64 + self.value_bytes as u64
    }

    /// The header at the start of `grains` grains, read through `load`. `None` when they are not those of a record.
    pub fn parse(grains: usize, load: impl Fn(usize) -> u32) -> Option<Header> {
        let mut header = Header::default();
        header.parse_into(grains, load).then_some(header)
    }

    /// The header at the start of some bytes.
    pub fn of_bytes(bytes: &[u8]) -> Option<Header> {
        Self::parse(bytes.len() / GRAIN_BYTES, |grain| {
            let at = grain * GRAIN_BYTES;
            u32::from_le_bytes(bytes[at..at + GRAIN_BYTES].try_into().expect("four bytes"))
        })
    }

    /// The same in place. Afterwards, when it says false, the header is of no use.
    #[inline(always)]
    pub fn parse_into(&mut self, grains: usize, load: impl Fn(usize) -> u32) -> bool {
        if grains < HEADER_BYTES_MIN / GRAIN_BYTES {
            return false;
        }
        let clock = load(0) as u64 | (load(1) as u64) << 32;
        let meta = load(2);
        *self = Header {
            clock,
            flags: meta & 0xff,
            value_type: (meta >> 8 & 15) as u8,
            key_bytes: (meta >> 12 & 0xff) + 1,
            value_bytes: meta >> 20,
            expiry_clock: clock,
            key_at: HEADER_BYTES_MIN as u32,
            ..Header::default()
        };
        self.flags == 0 || self.parse_optional(|grain| (grain < grains).then(|| load(grain))).is_some()
    }

    #[inline(never)]
    fn parse_optional(&mut self, load: impl Fn(usize) -> Option<u32>) -> Option<()> {
        let flags = self.flags;
        let mut at = HEADER_BYTES_MIN / GRAIN_BYTES;
        let mut take = |bytes: usize| -> Option<u64> {
            let low = load(at)? as u64;
            at += 1;
            if bytes == 4 {
                return Some(low);
            }
            let high = load(at)? as u64;
            at += 1;
            Some(high << 32 | low)
        };
        if flags & FLAG_LONG != 0 {
            self.value_bytes = take(4)? as u32;
            self.key_bytes = take(4)? as u32;
        }
        if flags & FLAG_EXPIRY != 0 {
            self.expires_at = crate::clock::ms_of(self.clock) + take(4)?;
        }
        if flags & FLAG_NAMESPACE != 0 {
            self.namespace = take(4)? as u32;
        }
        if flags & FLAG_RUN != 0 {
            self.extents = take(4)? as u32;
        }
        if flags & FLAG_EXT != 0 {
            let ext = take(4)? as u32;
            if ext & !EXT_KNOWN != 0 {
                return None;
            }
            if ext & EXT_EXPIRY_AT != 0 {
                self.expires_at = take(8)?;
            }
            if ext & EXT_EXPIRY_CLOCK != 0 {
                self.expiry_clock = take(8)?;
            }
            if ext & EXT_IDLE != 0 {
                self.idle_ms = take(4)? as u32;
            }
            if ext & EXT_TAGS != 0 {
                self.tags_bytes = take(4)? as u32;
            }
            if ext & EXT_DEADLINE != 0 {
                self.deadline = take(8)?;
            }
            if ext & EXT_GRACE != 0 {
                self.grace_ms = take(4)? as u32;
            }
        }
        self.key_at = (at * GRAIN_BYTES) as u32;
        let is_sane = (1..=KEY_BYTES_MAX as u32).contains(&self.key_bytes)
            && self.value_bytes as usize <= VALUE_BYTES_MAX
            && self.extents as usize <= EXTENTS_MAX
            && self.tags_bytes as usize <= TAGS_BYTES_MAX
            && (self.namespace as usize) < crate::layout::NAMESPACES_MAX;
        is_sane.then_some(())
    }
}

/// What a record is made of, before its clock word is known.
#[derive(Clone, Copy, Default, Debug)]
pub struct Parts<'a> {
    pub namespace: u32,
    pub key: &'a [u8],
    pub value_type: u8,
    /// The value, or its extents when `run_bytes` is set.
    pub value: &'a [u8],
    /// Length of a value that lies in runs.
    pub run_bytes: Option<u32>,
    pub is_tombstone: bool,
    pub is_pinned: bool,
    pub is_volatile: bool,
    /// Lifetime from the clock word on; 0 = none.
    pub ttl_ms: u64,
    /// Absolute expiry, set apart from the value at `expiry_clock`; both 0 = none.
    pub expires_at: u64,
    pub expiry_clock: u64,
    pub idle_ms: u32,
    /// Latest end of a sliding entry; 0 = none.
    pub deadline: u64,
    /// How long the value is kept after its expiry; 0 = not at all.
    pub grace_ms: u32,
    /// Encoded tags.
    pub tags: &'a [u8],
}

/// A record under construction, padded to whole grains. Reused between writes.
#[derive(Default)]
pub struct RecordBuffer {
    bytes: Vec<u8>,
}

impl RecordBuffer {
    /// Builds the record with a clock word of 0; [`Self::stamp`] sets it under the lock.
    pub fn build(&mut self, parts: &Parts) {
        let is_run = parts.run_bytes.is_some();
        let value_bytes = parts.run_bytes.map_or(parts.value.len(), |bytes| bytes as usize);
        let is_long = parts.key.len() > SHORT_KEY_BYTES_MAX || value_bytes > SHORT_VALUE_BYTES_MAX;
        let is_ttl_short = parts.ttl_ms != 0 && parts.ttl_ms <= u32::MAX as u64;
        let mut ext = 0;
        ext |= EXT_EXPIRY_AT * (parts.expires_at != 0) as u32;
        ext |= EXT_EXPIRY_CLOCK * (parts.expiry_clock != 0) as u32;
        ext |= EXT_IDLE * (parts.idle_ms != 0) as u32;
        ext |= EXT_TAGS * !parts.tags.is_empty() as u32;
        ext |= EXT_DEADLINE * (parts.deadline != 0) as u32;
        ext |= EXT_GRACE * (parts.grace_ms != 0) as u32;
        let mut flags = 0;
        flags |= FLAG_LONG * is_long as u32;
        flags |= FLAG_EXPIRY * is_ttl_short as u32;
        flags |= FLAG_NAMESPACE * (parts.namespace != 0) as u32;
        flags |= FLAG_RUN * is_run as u32;
        flags |= FLAG_TOMBSTONE * parts.is_tombstone as u32;
        flags |= FLAG_EXT * (ext != 0) as u32;
        flags |= FLAG_PINNED * parts.is_pinned as u32;
        flags |= FLAG_VOLATILE * parts.is_volatile as u32;
        let mut meta = flags | (parts.value_type as u32) << 8;
        if !is_long {
            meta |= (parts.key.len() as u32 - 1) << 12 | (value_bytes as u32) << 20;
        }

        let out = &mut self.bytes;
        out.clear();
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&meta.to_le_bytes());
        if is_long {
            out.extend_from_slice(&(value_bytes as u32).to_le_bytes());
            out.extend_from_slice(&(parts.key.len() as u32).to_le_bytes());
        }
        if is_ttl_short {
            out.extend_from_slice(&(parts.ttl_ms as u32).to_le_bytes());
        }
        if parts.namespace != 0 {
            out.extend_from_slice(&parts.namespace.to_le_bytes());
        }
        if is_run {
            out.extend_from_slice(&(parts.value.len() as u32 / 8).to_le_bytes());
        }
        if ext != 0 {
            out.extend_from_slice(&ext.to_le_bytes());
            if parts.expires_at != 0 {
                out.extend_from_slice(&parts.expires_at.to_le_bytes());
            }
            if parts.expiry_clock != 0 {
                out.extend_from_slice(&parts.expiry_clock.to_le_bytes());
            }
            if parts.idle_ms != 0 {
                out.extend_from_slice(&parts.idle_ms.to_le_bytes());
            }
            if !parts.tags.is_empty() {
                out.extend_from_slice(&(parts.tags.len() as u32).to_le_bytes());
            }
            if parts.deadline != 0 {
                out.extend_from_slice(&parts.deadline.to_le_bytes());
            }
            if parts.grace_ms != 0 {
                out.extend_from_slice(&parts.grace_ms.to_le_bytes());
            }
        }
        out.extend_from_slice(parts.key);
        out.extend_from_slice(parts.value);
        out.extend_from_slice(parts.tags);
        out.resize(out.len().next_multiple_of(GRAIN_BYTES), 0);
    }

    pub fn stamp(&mut self, clock: u64) {
        self.bytes[..8].copy_from_slice(&clock.to_le_bytes());
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn header(&self) -> Header {
        Header::of_bytes(&self.bytes).expect("a record just built is a record")
    }
}
