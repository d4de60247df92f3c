//! S3-FIFO as decisions: which log a new record goes to, which log is drained next, and what becomes of a drained
//! record. It touches no memory and keeps no record, so the simulator, the tests and the arena run this very code.
//!
//! Yang, Zhang, Qiu, Yue, Rashmi, "FIFO queues are all you need for cache eviction", SOSP 2023. Two departures, both
//! because records are immutable and logs keep dead ones until they are drained: an overwrite goes to the small log
//! (it will most likely be overwritten again before it is drained), and while most of a full log is dead, drained
//! records are kept instead of evicted.

/// Access counters saturate here.
pub const ACCESS_MAX: u8 = 3;
/// A record leaves the small log for the main one when it was read this often.
const PROMOTE_AT: u8 = 2;

/// The small log holds one in this many live bytes.
const SMALL_SHARE: u64 = 10;

/// The two logs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Queue {
    Small,
    Main,
}

/// What becomes of a live record that is drained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Append it to the main log with this access count.
    Keep { access: u8 },
    /// It leaves RAM; `ghost` = remember its hash.
    Evict { ghost: bool },
}

/// The policy's whole state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct S3Fifo {
    /// Bytes the store may hold, in whatever unit the caller charges.
    pub capacity: u64,
}

impl S3Fifo {
    /// Where a record of a key goes that the store does not hold.
    pub fn queue_for_new(&self, is_ghost: bool) -> Queue {
        if is_ghost {
            Queue::Main
        } else {
            Queue::Small
        }
    }

    /// Where a record goes that replaces a live one, and its access count there.
    pub fn queue_for_overwrite(&self, was_in: Queue, access: u8) -> (Queue, u8) {
        let earned = if was_in == Queue::Main { PROMOTE_AT } else { 0 };
        (Queue::Small, (access + 1).max(earned).min(ACCESS_MAX))
    }

    /// Which log to drain when room is needed: the small one gets a tenth of what lives. (Of what lives, and not of
    /// the capacity, because a store that counts all its memory is full before its live records reach that.)
    pub fn next_to_drain(&self, small_charge: u64, main_charge: u64) -> Queue {
        if main_charge == 0 || small_charge * SMALL_SHARE >= small_charge + main_charge {
            Queue::Small
        } else {
            Queue::Main
        }
    }

    /// `is_full`: live records fill the store; false when it is mostly dead ones that do.
    pub fn verdict(&self, queue: Queue, access: u8, is_full: bool) -> Verdict {
        match (queue, is_full) {
            (Queue::Small, true) if access < PROMOTE_AT => Verdict::Evict { ghost: true },
            (Queue::Small, true) => Verdict::Keep { access: 0 },
            (Queue::Main, true) if access == 0 => Verdict::Evict { ghost: false },
            (Queue::Main, true) => Verdict::Keep { access: access.min(ACCESS_MAX) - 1 },
            (_, false) => Verdict::Keep { access: access.min(ACCESS_MAX) },
        }
    }
}
