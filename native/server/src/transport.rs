//! The way of bytes to and from a client: a Unix socket or TCP, and TLS over it.

use crate::listen::Address;
use crate::tls::Tls;
use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use rustls::ServerConfig;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

pub enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// Bytes of one read.
pub struct Received {
    pub bytes: usize,
    /// There may be more without the system having to ring again.
    pub is_more: bool,
}

/// How long a TCP connection is silent before the system asks whether the other side is still there, how often it asks,
/// and at what interval: as Redis has it.
const KEEPALIVE_S: [(i32, i32); 3] =
    [(libc::TCP_KEEPIDLE, 300), (libc::TCP_KEEPINTVL, 100), (libc::TCP_KEEPCNT, 3)];

impl Socket {
    /// Without a wait for more to send, and with a look at whether the other side is still there. What the system refuses
    /// of that costs time, not correctness.
    pub fn of_tcp(stream: TcpStream) -> Socket {
        let _ = stream.set_nodelay(true);
        let set = |level: i32, option: i32, value: i32| {
            let bytes = size_of::<i32>() as libc::socklen_t;
            // SAFETY: a valid descriptor, and as many bytes as are said.
            unsafe { libc::setsockopt(stream.as_raw_fd(), level, option, (&raw const value).cast(), bytes) };
        };
        set(libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1);
        for (option, value) in KEEPALIVE_S {
            set(libc::IPPROTO_TCP, option, value);
        }
        Socket::Tcp(stream)
    }

    pub fn descriptor(&self) -> RawFd {
        match self {
            Socket::Unix(stream) => stream.as_raw_fd(),
            Socket::Tcp(stream) => stream.as_raw_fd(),
        }
    }

    /// Who is at which end; `None` for a Unix socket, or when the other side is gone already.
    pub fn address(&self) -> Option<Address> {
        match self {
            Socket::Unix(_) => None,
            Socket::Tcp(stream) => {
                Some(Address { peer: stream.peer_addr().ok()?, own: stream.local_addr().ok()? })
            }
        }
    }

    /// The process at the other end; 0 when the system does not say.
    pub fn peer_pid(&self) -> u32 {
        let Socket::Unix(stream) = self else { return 0 };
        let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
        let mut bytes = size_of::<libc::ucred>() as libc::socklen_t;
        // SAFETY: a valid descriptor, and as many bytes as are said.
        let failed = unsafe {
            libc::getsockopt(
                stream.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERCRED,
                (&raw mut peer).cast(),
                &mut bytes,
            )
        } != 0;
        if failed {
            0
        } else {
            peer.pid as u32
        }
    }

    fn source(&mut self) -> &mut dyn Source {
        match self {
            Socket::Unix(stream) => stream,
            Socket::Tcp(stream) => stream,
        }
    }
}

impl Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Unix(stream) => stream.read(bytes),
            Socket::Tcp(stream) => stream.read(bytes),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Unix(stream) => stream.write(bytes),
            Socket::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A socket, and what lies over it.
pub struct Transport {
    socket: Socket,
    tls: Option<Box<Tls>>,
}

impl Transport {
    pub fn plain(socket: Socket) -> Transport {
        Transport { socket, tls: None }
    }

    pub fn secured(socket: Socket, config: Arc<ServerConfig>) -> io::Result<Transport> {
        Ok(Transport { socket, tls: Some(Box::new(Tls::new(config)?)) })
    }

    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(self.socket.source(), token, Interest::READABLE | Interest::WRITABLE)
    }

    pub fn deregister(&mut self, registry: &Registry) {
        let _ = registry.deregister(self.socket.source());
    }

    /// Both sides have not agreed on keys yet.
    pub fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Nothing that was taken over has still to be sent.
    pub fn is_flushed(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| tls.is_flushed())
    }

    /// Reads some bytes; none is the end of what the other side sends.
    pub fn read(&mut self, bytes: &mut [u8]) -> io::Result<Received> {
        match &mut self.tls {
            None => {
                let count = self.socket.read(bytes)?;
                // A short read has emptied the socket; what comes later rings again.
                Ok(Received { bytes: count, is_more: count == bytes.len() })
            }
            Some(tls) => Ok(Received { bytes: tls.read(&mut self.socket, bytes)?, is_more: true }),
        }
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.socket.write(bytes),
            Some(tls) => tls.write(&mut self.socket, bytes),
        }
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.tls.as_mut().map_or(Ok(()), |tls| tls.flush(&mut self.socket))
    }

    /// Says that nothing more will come, where there is a way to say so.
    pub fn end(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.end(&mut self.socket);
        }
    }
}
