//! The socket: nobody but this user can connect, from the moment it is there.

use mio::net::UnixListener;
use ramcache_core::error::{Code, Result, StoreError};
use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Longest path of a socket: what `sun_path` takes.
pub const PATH_BYTES_MAX: usize = 107;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

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
