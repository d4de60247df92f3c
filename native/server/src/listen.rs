//! Where connections come from: the Unix socket, which nobody but this user can connect to from the moment it is there, and
//! TCP, where whoever connects has to say who it is.

use crate::shared::TcpOptions;
use crate::transport::Socket;
use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use ramcache_core::error::{Code, Result, StoreError};
use std::fs;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Longest path of a socket: what `sun_path` takes.
pub const PATH_BYTES_MAX: usize = 107;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// The ends of a TCP connection.
#[derive(Clone, Copy, Debug)]
pub struct Address {
    pub peer: SocketAddr,
    pub own: SocketAddr,
}

pub enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Listener {
    pub fn accept(&self) -> io::Result<Socket> {
        match self {
            Listener::Unix(listener) => listener.accept().map(|(stream, _)| Socket::Unix(stream)),
            Listener::Tcp(listener) => listener.accept().map(|(stream, _)| Socket::of_tcp(stream)),
        }
    }

    pub fn source(&mut self) -> &mut dyn Source {
        match self {
            Listener::Unix(listener) => listener,
            Listener::Tcp(listener) => listener,
        }
    }
}

/// Listens at a port; also says which. `ERR_RAMCACHE_UNAVAILABLE` when the host has no address or the port is taken.
pub fn listen_tcp(options: &TcpOptions) -> Result<(TcpListener, SocketAddr)> {
    let TcpOptions { host, port, .. } = options;
    let fail = |error: io::Error| {
        StoreError::new(Code::Unavailable, format!("cannot listen at {host} port {port}: {error}"))
    };
    let addresses: Vec<SocketAddr> = (host.as_str(), *port).to_socket_addrs().map_err(fail)?.collect();
    let listener = std::net::TcpListener::bind(&addresses[..]).map_err(fail)?;
    listener.set_nonblocking(true).map_err(fail)?;
    // A second call only changes how many may wait.
    // SAFETY: a valid descriptor.
    unsafe { libc::listen(listener.as_raw_fd(), BACKLOG) };
    let address = listener.local_addr().map_err(fail)?;
    Ok((TcpListener::from_std(listener), address))
}

/// Listens at a path. A socket that nobody answers at is removed; so is any at a path of our own directory, which the
/// holder of its lock alone uses. `ERR_RAMCACHE_CONFIG` for a path that is too long or is something else,
/// `_UNAVAILABLE` when somebody answers there or the system refuses.
pub fn listen(path: &Path, dir: &Path) -> Result<UnixListener> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.len() > PATH_BYTES_MAX {
        let message = format!(
            "the path of the socket has {} bytes, the limit is {PATH_BYTES_MAX}: {}",
            bytes.len(),
            path.display()
        );
        return Err(StoreError::new(Code::Config, message));
    }
    clear_path(path, dir)?;
    let fail = |what: &str| StoreError::os(Code::Unavailable, format!("cannot {what} {}", path.display()));
    // SAFETY: no memory is passed.
    let descriptor = unsafe {
        libc::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0)
    };
    if descriptor < 0 {
        return Err(fail("make a socket for"));
    }
    // SAFETY: a descriptor that was just made, for nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
    // SAFETY: plain old data; zero is valid for every field.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    for (target, byte) in address.sun_path.iter_mut().zip(bytes) {
        *target = *byte as libc::c_char;
    }
    let length = size_of::<libc::sa_family_t>() + bytes.len() + 1;
    // The mode of the descriptor becomes that of the file: it is never open to others, not even for a moment.
    // SAFETY: a valid descriptor; the address is `length` bytes long and ends with a zero.
    let is_listening = unsafe {
        libc::fchmod(socket.as_raw_fd(), 0o600) == 0
            && libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length as libc::socklen_t) == 0
            && libc::listen(socket.as_raw_fd(), BACKLOG) == 0
    };
    if !is_listening {
        return Err(fail("listen at"));
    }
    let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o600));
    Ok(UnixListener::from_std(socket.into()))
}

fn clear_path(path: &Path, dir: &Path) -> Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        let message = format!("{} is there and is no socket", path.display());
        return Err(StoreError::new(Code::Config, message));
    }
    let is_ours = path.parent().is_some_and(|parent| parent == dir);
    if !is_ours && UnixStream::connect(path).is_ok() {
        let message = format!("another process listens at {}", path.display());
        return Err(StoreError::new(Code::Unavailable, message));
    }
    fs::remove_file(path).map_err(|error| {
        StoreError::new(Code::Unavailable, format!("cannot remove {}: {error}", path.display()))
    })
}
