//! What a call costs by itself: the same nothing as a `#[napi]` function and as a raw callback, for `bench/`.

use crate::raw::{self, Value};
use napi::sys;
use napi_derive::napi;
use std::ptr;

#[napi(js_name = "costNapiNothing")]
pub fn cost_napi_nothing() {}

#[napi(js_name = "costNapiString")]
pub fn cost_napi_string(text: String) -> u32 {
    text.len() as u32
}

unsafe extern "C" fn nothing(_env: sys::napi_env, _info: sys::napi_callback_info) -> Value {
    ptr::null_mut()
}

unsafe extern "C" fn utf8_key(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    let ([text], _) = raw::arguments::<1>(env, info);
    let mut bytes = [0; 256];
    raw::uint32(env, raw::string_into(env, text, &mut bytes).unwrap_or(0) as u32)
}

unsafe extern "C" fn utf16_key(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    let ([text], _) = raw::arguments::<1>(env, info);
    let mut units = [0; 256];
    raw::uint32(env, raw::utf16_into(env, text, &mut units).unwrap_or(0) as u32)
}

unsafe extern "C" fn latin1_key(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    let ([text], _) = raw::arguments::<1>(env, info);
    let (mut bytes, mut length) = ([0u8; 256], 0);
    // SAFETY: room for 255 bytes and a terminator.
    unsafe {
        sys::napi_get_value_string_latin1(env, text, bytes.as_mut_ptr().cast(), bytes.len(), &mut length)
    };
    raw::uint32(env, length as u32)
}

unsafe extern "C" fn string_out(env: sys::napi_env, _info: sys::napi_callback_info) -> Value {
    raw::latin1(env, &[b'v'; 64])
}

unsafe extern "C" fn buffer_out(env: sys::napi_env, _info: sys::napi_callback_info) -> Value {
    raw::buffer_of(env, &[0; 64])
}

/// An object of raw callbacks that do next to nothing.
pub fn callbacks(env: sys::napi_env) -> Value {
    type Callback = unsafe extern "C" fn(sys::napi_env, sys::napi_callback_info) -> Value;
    let callbacks: [(&std::ffi::CStr, Callback); 6] = [
        (c"nothing", nothing),
        (c"utf8Key", utf8_key),
        (c"utf16Key", utf16_key),
        (c"latin1Key", latin1_key),
        (c"stringOut", string_out),
        (c"bufferOut", buffer_out),
    ];
    let mut object = ptr::null_mut();
    // SAFETY: a live environment and C strings.
    unsafe {
        sys::napi_create_object(env, &mut object);
        for (name, callback) in callbacks {
            let mut function = ptr::null_mut();
            sys::napi_create_function(env, name.as_ptr(), -1, Some(callback), ptr::null_mut(), &mut function);
            sys::napi_set_named_property(env, object, name.as_ptr(), function);
        }
    }
    object
}
