//! Who may do something over TCP: those who know the password. Over the Unix socket its file decides, and a password may be
//! given but need not be.
//!
//! A connection that has not said who it is holds little memory (`frame.rs`, `limits.rs`), for a short time, and of many such
//! connections the oldest has to go: whoever connects and says nothing keeps nobody out.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// The only user there is, by the name that Redis gives it; then what Redis says, word for word.
pub const USER: &[u8] = b"default";

pub const WRONG: &str = "WRONGPASS invalid username-password pair or user is disabled.";
pub const REQUIRED: &str = "NOAUTH Authentication required.";
pub const HELLO_REQUIRED: &str = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time";

/// The password, which may change while the server runs.
#[derive(Default)]
pub struct Password {
    /// LOCK: password. Alone.
    value: RwLock<Option<Arc<[u8]>>>,
}

impl Password {
    pub fn new(value: Option<Vec<u8>>) -> Password {
        Password { value: RwLock::new(value.map(Into::into)) }
    }

    /// Whoever is connected stays so.
    pub fn set(&self, value: Option<Vec<u8>>) {
        *self.value.write().unwrap_or_else(PoisonError::into_inner) = value.map(Into::into);
    }

    fn get(&self) -> Option<Arc<[u8]>> {
        self.value.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn is_set(&self) -> bool {
        self.get().is_some()
    }

    /// As in Redis, any password is right where there is none.
    pub fn admits(&self, user: &[u8], given: &[u8]) -> bool {
        let is_right = self.get().is_none_or(|password| is_same(given, &password));
        user == USER && is_right
    }
}

/// Takes as long for any password of the same length as the given one, whatever is right of it.
fn is_same(given: &[u8], password: &[u8]) -> bool {
    let mut difference = u8::from(given.len() != password.len());
    for (index, byte) in given.iter().enumerate() {
        let other = password.get(index % password.len().max(1)).copied().unwrap_or(!byte);
        difference = std::hint::black_box(difference | (byte ^ other));
    }
    difference == 0
}

/// Connections of a thread that have not said who they are, the oldest first.
#[derive(Default)]
pub struct Newcomers {
    by_id: BTreeMap<u64, (Instant, usize)>,
}

impl Newcomers {
    pub fn add(&mut self, id: u64, place: usize, within: Duration) {
        self.by_id.insert(id, (Instant::now() + within, place));
    }

    pub fn remove(&mut self, id: u64) {
        self.by_id.remove(&id);
    }

    pub fn count(&self) -> usize {
        self.by_id.len()
    }

    /// The place of the oldest, which is no newcomer any more.
    pub fn take_oldest(&mut self) -> Option<usize> {
        self.by_id.pop_first().map(|(_, (_, place))| place)
    }

    /// How long the oldest still has.
    pub fn left(&self) -> Option<Duration> {
        let (_, (deadline, _)) = self.by_id.first_key_value()?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_of_the_user_is_right() {
        let password = Password::new(Some(b"open sesame".to_vec()));
        assert!(password.admits(USER, b"open sesame"));
        let wrong: [&[u8]; 6] =
            [b"", b"open sesam", b"open sesame ", b"open sesameopen sesame", b"Open sesame", b"default"];
        for given in wrong {
            assert!(!password.admits(USER, given), "{given:?}");
        }
        assert!(!password.admits(b"admin", b"open sesame"));
        password.set(Some(b"changed".to_vec()));
        assert!(!password.admits(USER, b"open sesame"));
        assert!(password.admits(USER, b"changed"));
    }

    #[test]
    fn without_a_password_any_is_right_for_the_user() {
        let password = Password::default();
        assert!(!password.is_set());
        assert!(password.admits(USER, b"whatever"));
        assert!(!password.admits(b"admin", b"whatever"));
    }
}
