//! Datagrams to a socket in the file system, which Node does not have: the service manager's notifications.

use crate::cold::{coded, Result};
use napi_derive::napi;
use ramcache_core::error::{Code, StoreError};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends `text` as one datagram to the socket at `path`; `@` begins a name in the abstract space.
#[napi(js_name = "sendDatagram")]
pub fn send_datagram(path: String, text: String) -> Result<()> {
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name.as_bytes()),
        None => SocketAddr::from_pathname(&path),
    };
    let sent = address
        .and_then(|address| UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &address))
        .map_err(|error| StoreError::new(Code::Unavailable, format!("cannot notify {path}: {error}")));
    sent.map(|_| ()).map_err(coded)
}
