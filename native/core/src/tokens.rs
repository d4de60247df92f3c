//! Move tokens: whether a key may have changed between a look at it and what is made of that look.
//!
//! A promotion reads below RAM without a lock. It takes the token of its key before it looks at the slot, and publishes
//! only if the token is unchanged, under the lock of the key's shard; conditions on cold keys and copies made by a
//! drain do the same. A cold miss counts only if the token is unchanged too, without a lock.
//!
//! A token counts the writes, deletes and evictions of all keys of its *stripe*, so a change of another key only costs
//! another attempt. Records that move within RAM change nothing; a cleared namespace is covered by its epoch.

use crate::sync::{fence, AtomicU32, Ordering};

#[cfg(not(loom))]
const STRIPES_MIN: usize = 256;
#[cfg(loom)]
const STRIPES_MIN: usize = 1;
const STRIPES_MAX: usize = 65_536;
/// Bytes of the budget for each stripe: a fifth of a percent of it goes here.
const STRIPE_SHARE: usize = 2 << 10;

/// The owner's stripes of counters, which wrap: 2^32 changes of a stripe during one disk read would pass as none.
pub struct Tokens {
    stripes: Box<[AtomicU32]>,
}

impl Tokens {
    pub fn for_budget(budget_bytes: usize) -> Tokens {
        let count = (budget_bytes / STRIPE_SHARE).next_power_of_two().clamp(STRIPES_MIN, STRIPES_MAX);
        Tokens { stripes: (0..count).map(|_| AtomicU32::new(0)).collect() }
    }

    fn stripe(&self, hash: u64) -> &AtomicU32 {
        &self.stripes[hash as usize & (self.stripes.len() - 1)]
    }

    /// The token of a key, before its slot is looked at.
    pub fn read(&self, hash: u64) -> u32 {
        // SYNC token: who sees a bump sees the slot that changed before it.
        self.stripe(hash).load(Ordering::Acquire)
    }

    /// Called under the lock of the key's shard, after the slot has changed and before anybody is told of it. A token
    /// taken between the two is bumped once too often. The other way round it would not be bumped again, while the
    /// look at the slot could still miss the change and the look below find what came of it: a false cold miss.
    pub fn bump(&self, hash: u64) {
        // SYNC token.
        self.stripe(hash).fetch_add(1, Ordering::Release);
    }

    /// Whether no key of the stripe has changed since the token was taken. Under the shard lock that stays so; without
    /// it, it says that nothing found below so far came of a change the slot did not show.
    pub fn is_unchanged(&self, hash: u64, token: u32) -> bool {
        // Not before any of the loads whose outcome is judged here.
        fence(Ordering::Acquire);
        self.stripe(hash).load(Ordering::Relaxed) == token
    }

    pub fn heap_bytes(&self) -> usize {
        self.stripes.len() * size_of::<AtomicU32>()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn stripes_follow_the_budget_within_their_limits() {
        let stripes = |budget_bytes| Tokens::for_budget(budget_bytes).stripes.len();
        assert_eq!(stripes(512 << 10), STRIPES_MIN);
        assert_eq!(stripes(8 << 20), 4096);
        assert_eq!(stripes(1 << 40), STRIPES_MAX);
    }

    #[test]
    fn a_bump_changes_the_token_of_its_stripe_alone() {
        let tokens = Tokens::for_budget(512 << 10);
        let (before, beside) = (tokens.read(5), tokens.read(6));
        assert!(tokens.is_unchanged(5, before));
        tokens.bump(5);
        assert!(!tokens.is_unchanged(5, before) && tokens.is_unchanged(6, beside));
        assert!(!tokens.is_unchanged(5 + 256, before), "a key of the same stripe changes with it");
        assert!(tokens.is_unchanged(5, tokens.read(5)));
    }

    #[test]
    fn a_token_wraps() {
        let tokens = Tokens::for_budget(512 << 10);
        tokens.stripe(5).store(u32::MAX, Ordering::Relaxed);
        tokens.bump(5);
        assert_eq!(tokens.read(5), 0);
    }
}
