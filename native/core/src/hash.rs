//! The hash of a key: rapidhash v3, seeded for each arena so that keys cannot be chosen to collide.
//! It addresses words that outlive a process, so it is a versioned function and part of the layout.

use rapidhash::v3::{rapidhash_v3_nano_inline, RapidSecrets};

/// Hashes keys of one arena.
#[derive(Clone, Copy)]
pub struct KeyHasher {
    secrets: RapidSecrets,
}

impl KeyHasher {
    pub fn new(seed: u64) -> KeyHasher {
        KeyHasher { secrets: RapidSecrets::seed(seed) }
    }

    #[inline]
    pub fn hash(&self, namespace: u32, key: &[u8]) -> u64 {
        let hash = rapidhash_v3_nano_inline::<true, false>(key, &self.secrets);
        if namespace == 0 {
            return hash;
        }
        // The same key in two namespaces must not meet in one bucket by rule.
        let mixed = (hash ^ (namespace as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)) as u128;
        let product = mixed * 0xd6e8_feb8_6659_fd93_u128;
        product as u64 ^ (product >> 64) as u64
    }
}
