//! The few Node-API calls the hot paths use, with their unsafety named once.

use napi::sys;
use ramcache_core::error::{Code, StoreError};
use std::ffi::{c_void, CString};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;

pub type Value = sys::napi_value;

/// Runs a callback's body. A panic must not unwind into C: it becomes a thrown error, and so does an `Err`.
pub fn guard(env: sys::napi_env, body: impl FnOnce() -> Result<Value, StoreError>) -> Value {
    let error = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => return value,
        Ok(Err(error)) => error,
        Err(_) => StoreError::new(Code::Corrupt, "the native store panicked; see stderr"),
    };
    throw(env, &error);
    ptr::null_mut()
}

pub fn throw(env: sys::napi_env, error: &StoreError) {
    let text = |text: &str| CString::new(text.replace('\0', "\\0")).expect("no NUL is left");
    let (code, message) = (text(error.code.name()), text(&error.message));
    // SAFETY: a live environment and two C strings. When an exception is already pending, that one is kept.
    unsafe { sys::napi_throw_error(env, code.as_ptr(), message.as_ptr()) };
}

/// Arguments and the data pointer of a callback; missing arguments are `undefined`.
pub fn arguments<const N: usize>(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> ([Value; N], *mut c_void) {
    let mut count = N;
    let mut values = [ptr::null_mut(); N];
    let mut data = ptr::null_mut();
    // SAFETY: called with the pair a callback was given; `values` has room for `count`.
    unsafe { sys::napi_get_cb_info(env, info, &mut count, values.as_mut_ptr(), ptr::null_mut(), &mut data) };
    (values, data)
}

pub fn undefined(env: sys::napi_env) -> Value {
    let mut value = ptr::null_mut();
    // SAFETY: a live environment and a valid out pointer, as in the functions below.
    unsafe { sys::napi_get_undefined(env, &mut value) };
    value
}

pub fn boolean(env: sys::napi_env, is_true: bool) -> Value {
    let mut value = ptr::null_mut();
    // SAFETY: see `undefined`.
    unsafe { sys::napi_get_boolean(env, is_true, &mut value) };
    value
}

pub fn double(env: sys::napi_env, number: f64) -> Value {
    let mut value = ptr::null_mut();
    // SAFETY: see `undefined`.
    unsafe { sys::napi_create_double(env, number, &mut value) };
    value
}

pub fn uint32(env: sys::napi_env, number: u32) -> Value {
    let mut value = ptr::null_mut();
    // SAFETY: see `undefined`.
    unsafe { sys::napi_create_uint32(env, number, &mut value) };
    value
}

pub fn latin1(env: sys::napi_env, bytes: &[u8]) -> Value {
    let mut value = ptr::null_mut();
    // SAFETY: see `undefined`; the bytes are copied.
    unsafe { sys::napi_create_string_latin1(env, bytes.as_ptr().cast(), bytes.len() as isize, &mut value) };
    value
}

pub fn utf8(env: sys::napi_env, bytes: &[u8]) -> Value {
    let mut value = ptr::null_mut();
    // SAFETY: see `undefined`; the bytes are copied.
    unsafe { sys::napi_create_string_utf8(env, bytes.as_ptr().cast(), bytes.len() as isize, &mut value) };
    value
}

/// A new Buffer and its bytes, or `None` when V8 refuses one of that size.
pub fn buffer(env: sys::napi_env, bytes: usize) -> Option<(Value, *mut u8)> {
    let mut value = ptr::null_mut();
    let mut data = ptr::null_mut();
    // SAFETY: see `undefined`; `data` stays valid while the value is reachable, which the handle scope of the
    // running callback guarantees.
    let status = unsafe { sys::napi_create_buffer(env, bytes, &mut data, &mut value) };
    (status == sys::Status::napi_ok).then_some((value, data.cast()))
}

pub fn buffer_of(env: sys::napi_env, bytes: &[u8]) -> Value {
    let mut value = ptr::null_mut();
    // SAFETY: see `undefined`; the bytes are copied.
    unsafe {
        sys::napi_create_buffer_copy(env, bytes.len(), bytes.as_ptr().cast(), ptr::null_mut(), &mut value)
    };
    value
}

pub fn array(env: sys::napi_env, items: &[Value]) -> Value {
    let mut value = ptr::null_mut();
    // SAFETY: see `undefined`; the elements are live handles of this callback.
    unsafe {
        sys::napi_create_array_with_length(env, items.len(), &mut value);
        for (index, item) in items.iter().enumerate() {
            sys::napi_set_element(env, value, index as u32, *item);
        }
    }
    value
}

/// The number in a value, or `None` when it is not one.
pub fn as_double(env: sys::napi_env, value: Value) -> Option<f64> {
    let mut number = 0.0;
    // SAFETY: a live handle or null, which Node-API refuses with a status.
    let status = unsafe { sys::napi_get_value_double(env, value, &mut number) };
    (status == sys::Status::napi_ok).then_some(number)
}

/// Writes a string as UTF-8 into `out`, which must have one byte to spare; the bytes written.
/// A string that does not fit is cut. `None` when the value is not a string.
#[inline]
pub fn string_into(env: sys::napi_env, value: Value, out: &mut [u8]) -> Option<usize> {
    let mut length = 0;
    // SAFETY: `out` is writable for its length.
    let status = unsafe {
        sys::napi_get_value_string_utf8(env, value, out.as_mut_ptr().cast(), out.len(), &mut length)
    };
    (status == sys::Status::napi_ok).then_some(length)
}

/// Writes a string's code units into `out`, which must have one to spare; how many were written.
/// A string that does not fit is cut. `None` when the value is not a string.
#[inline]
pub fn utf16_into(env: sys::napi_env, value: Value, out: &mut [u16]) -> Option<usize> {
    let mut length = 0;
    // SAFETY: `out` is writable for its length.
    let status =
        unsafe { sys::napi_get_value_string_utf16(env, value, out.as_mut_ptr(), out.len(), &mut length) };
    (status == sys::Status::napi_ok).then_some(length)
}

/// A string of any length as UTF-8.
pub fn string_vec(env: sys::napi_env, value: Value) -> Option<Vec<u8>> {
    let mut length = 0;
    // SAFETY: a null buffer asks for the length only.
    let status = unsafe { sys::napi_get_value_string_utf8(env, value, ptr::null_mut(), 0, &mut length) };
    if status != sys::Status::napi_ok {
        return None;
    }
    let mut bytes = vec![0; length + 1];
    string_into(env, value, &mut bytes)?;
    bytes.truncate(length);
    Some(bytes)
}

/// Whether a string has a lone surrogate. Conversion to UTF-8 replaces those, so two strings would become one; only
/// strings that hold the replacement character afterwards need this look.
pub fn is_well_formed(env: sys::napi_env, value: Value) -> bool {
    let mut length = 0;
    // SAFETY: a null buffer asks for the length only.
    unsafe { sys::napi_get_value_string_utf16(env, value, ptr::null_mut(), 0, &mut length) };
    let mut units = vec![0u16; length + 1];
    // SAFETY: room for the string and its terminator.
    unsafe { sys::napi_get_value_string_utf16(env, value, units.as_mut_ptr(), units.len(), &mut length) };
    char::decode_utf16(units[..length].iter().copied()).all(|unit| unit.is_ok())
}

pub fn holds_replacement(bytes: &[u8]) -> bool {
    bytes.windows(3).any(|window| window == [0xef, 0xbf, 0xbd])
}

/// The bytes of a Buffer or other Uint8Array. They are JavaScript's: use them before anything else can run.
pub fn bytes_of<'a>(env: sys::napi_env, value: Value) -> Option<&'a [u8]> {
    let mut is_typed_array = false;
    // SAFETY: a live handle or null, which Node-API refuses with a status.
    let status = unsafe { sys::napi_is_typedarray(env, value, &mut is_typed_array) };
    if status != sys::Status::napi_ok || !is_typed_array {
        return None;
    }
    let (mut kind, mut length, mut data) = (0, 0, ptr::null_mut());
    // SAFETY: a typed array; out pointers that are not wanted may be null.
    let status = unsafe {
        sys::napi_get_typedarray_info(
            env,
            value,
            &mut kind,
            &mut length,
            &mut data,
            ptr::null_mut(),
            ptr::null_mut(),
        )
    };
    if status != sys::Status::napi_ok || kind != sys::TypedarrayType::uint8_array {
        return None;
    }
    if length == 0 {
        return Some(&[]);
    }
    // SAFETY: Node-API's pointer and length of a live typed array. No JavaScript runs while the callback holds it.
    Some(unsafe { std::slice::from_raw_parts(data.cast(), length) })
}
