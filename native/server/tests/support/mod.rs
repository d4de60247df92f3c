//! A server over a store of its own, for one test.

// Not every file of tests needs all of it.
#![allow(dead_code)]

use ramcache_core::open::{open, OwnedStore};
use ramcache_core::store::{Counting, StoreOptions};
use ramcache_server::limits::Limits;
use ramcache_server::{Server, ServerOptions, TcpOptions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub struct World {
    pub server: Server,
    pub owned: Arc<OwnedStore>,
    dir: PathBuf,
}

impl World {
    pub fn new(name: &str, limits: Limits, threads: usize) -> World {
        World::with_tcp(name, limits, threads, None)
    }

    /// One that listens over TCP too.
    pub fn with_tcp(name: &str, limits: Limits, threads: usize, tcp: Option<TcpOptions>) -> World {
        let dir = std::env::temp_dir().join(format!("ramcache-server-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let options =
            StoreOptions { budget_bytes: 64 << 20, counting: Counting::Everything, background: true };
        let owned = open(&dir, &options, Path::new("/dev/shm")).expect("a store");
        let announced = owned.announced().expect("an arena");
        let server = Server::start(
            owned.shared(),
            ServerOptions {
                path: dir.join("s.sock"),
                tcp,
                dir: dir.clone(),
                data: announced.data,
                touch: announced.touch,
                arena_id: announced.arena_id,
                is_anonymous: false,
                is_daemon: false,
                version: "test".into(),
                threads,
                spin: Duration::ZERO,
                namespaces: Vec::new(),
                limits,
            },
        )
        .expect("a server");
        World { server, owned, dir }
    }

    pub fn connect(&self) -> UnixStream {
        UnixStream::connect(self.dir.join("s.sock")).expect("a connection")
    }

    pub fn connect_tcp(&self) -> TcpStream {
        TcpStream::connect(self.server.tcp_address().expect("an address")).expect("a connection")
    }

    pub fn total(&self, name: &str) -> u64 {
        let totals = self.server.totals().list();
        totals.into_iter().find(|(other, _)| *other == name).expect("a counter").1
    }

    /// Somebody else is served.
    pub fn check_others(&self) {
        let mut other = self.connect();
        assert_eq!(ask(&mut other, b"PING\r\n", 7), b"+PONG\r\n");
    }

    /// Waits until something is so; a test that hangs here has failed.
    pub fn until(&self, what: impl Fn(&World) -> bool) {
        while !what(self) {
            std::thread::yield_now();
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.server.stop(Duration::from_secs(5));
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

pub fn ask(stream: &mut (impl Read + Write), bytes: &[u8], reply_bytes: usize) -> Vec<u8> {
    stream.write_all(bytes).expect("written");
    let mut reply = vec![0; reply_bytes];
    stream.read_exact(&mut reply).expect("a reply");
    reply
}

pub fn command(args: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// What is still to come, until the connection ends.
pub fn rest(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A connection that was broken off may end with an error.
    let _ = stream.read_to_end(&mut bytes);
    bytes
}
