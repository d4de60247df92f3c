//! Keys as they come from JavaScript: strings, or the bytes of a Uint8Array.
//!
//! A string is fetched as UTF-16 and turned into UTF-8 here: Node-API copies UTF-16 as fast as Latin-1, at half the
//! cost of its own UTF-8 conversion, and unlike both it loses nothing, so a lone surrogate is seen.

use crate::raw::{self, Value};
use napi::sys;
use ramcache_core::error::{Code, StoreError};
use ramcache_core::layout::KEY_BYTES_MAX;

/// Room for the longest key, one code unit that shows it is too long, and the terminator Node-API writes.
const UNITS: usize = KEY_BYTES_MAX + 2;

/// The key of the call that runs.
pub struct KeyBuffer {
    units: [u16; UNITS],
    bytes: [u8; KEY_BYTES_MAX],
    length: usize,
}

impl KeyBuffer {
    pub fn new() -> Box<KeyBuffer> {
        Box::new(KeyBuffer { units: [0; UNITS], bytes: [0; KEY_BYTES_MAX], length: 0 })
    }

    #[inline(always)]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Takes a key argument.
    #[inline(always)]
    pub fn take(&mut self, env: sys::napi_env, value: Value) -> Result<(), StoreError> {
        if let Some(count) = raw::utf16_into(env, value, &mut self.units) {
            if (1..=KEY_BYTES_MAX).contains(&count) && narrow(&self.units[..count], &mut self.bytes[..count])
            {
                self.length = count;
                return Ok(());
            }
            return self.take_wide(env, value, count);
        }
        self.take_bytes(env, value)
    }

    /// A string that is not plain ASCII, or of no length a key may have.
    #[cold]
    fn take_wide(&mut self, env: sys::napi_env, value: Value, count: usize) -> Result<(), StoreError> {
        let mut length = 0;
        for character in char::decode_utf16(self.units[..count].iter().copied()) {
            let character = character
                .map_err(|_| StoreError::new(Code::Key, "key with a lone surrogate: it has no UTF-8 form"))?;
            let Some(room) = self.bytes.get_mut(length..length + character.len_utf8()) else {
                length = KEY_BYTES_MAX + 1;
                break;
            };
            length += character.encode_utf8(room).len();
        }
        self.finish(length, || raw::string_vec(env, value).map_or(0, |key| key.len()))
    }

    #[cold]
    fn take_bytes(&mut self, env: sys::napi_env, value: Value) -> Result<(), StoreError> {
        let bytes = raw::bytes_of(env, value)
            .ok_or_else(|| StoreError::new(Code::Key, "key is neither a string nor a Uint8Array"))?;
        if let Some(room) = self.bytes.get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
        }
        self.finish(bytes.len(), || bytes.len())
    }

    fn finish(&mut self, length: usize, full_length: impl FnOnce() -> usize) -> Result<(), StoreError> {
        self.length = length.min(KEY_BYTES_MAX);
        match length {
            0 => Err(StoreError::new(Code::Key, "key of 0 bytes, the shortest has 1")),
            1..=KEY_BYTES_MAX => Ok(()),
            _ => {
                let length = full_length();
                let message = format!("key of {length} bytes, the limit is {KEY_BYTES_MAX} bytes");
                Err(StoreError::new(Code::Key, message))
            }
        }
    }
}

/// Copies ASCII; false when there is anything else.
#[inline(always)]
fn narrow(units: &[u16], bytes: &mut [u8]) -> bool {
    let mut bits = 0;
    for (byte, unit) in bytes.iter_mut().zip(units) {
        bits |= unit;
        *byte = *unit as u8;
    }
    bits < 128
}
