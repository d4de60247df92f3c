//! What all threads of a server share.

use crate::auth::Password;
use crate::control::Control;
use crate::latency::Latencies;
use crate::limits::{Limits, Totals};
use crate::monitor::Monitors;
use crate::pubsub::{Message, PubSub};
use crate::registry::{Client, Registry};
use crate::slowlog::Slowlog;
use crate::tls::{Certificate, TlsOptions};
use crate::tracking::{Invalidation, Tracking};
use crate::transport::Socket;
use crate::worker::Durability;
use mio::Waker;
use ramcache_core::store::Store;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// What the owner says of a namespace.
#[derive(Clone, Debug)]
pub struct NamespaceSettings {
    pub name: String,
    /// 0 = none.
    pub ttl_ms: u64,
    /// Default: `async` with tiers, `none` without.
    pub durability: Option<Durability>,
}

/// Where a server listens beside its Unix socket, and who may say something there.
#[derive(Clone, Default)]
pub struct TcpOptions {
    /// A name or an address of this machine.
    pub host: String,
    /// 0 takes a free one.
    pub port: u16,
    pub password: Option<Vec<u8>>,
    pub tls: Option<TlsOptions>,
}

/// How a server is started.
#[derive(Clone)]
pub struct ServerOptions {
    /// Of the socket; at most [`crate::listen::PATH_BYTES_MAX`] bytes.
    pub path: PathBuf,
    /// `None`: nobody but processes of this machine can connect.
    pub tcp: Option<TcpOptions>,
    /// Directory of the store.
    pub dir: PathBuf,
    /// Arena files, for those who read them.
    pub data: String,
    pub touch: String,
    pub arena_id: u64,
    pub is_anonymous: bool,
    pub is_daemon: bool,
    pub version: String,
    pub threads: usize,
    /// How long a thread looks for more work before it sleeps.
    pub spin: Duration,
    pub namespaces: Vec<NamespaceSettings>,
    pub limits: Limits,
}

/// What one thread is told by others.
pub enum Mail {
    Accepted {
        socket: Socket,
        client: Arc<Client>,
    },
    /// The control plane has answered a request.
    Answered {
        request: u64,
        reply: Vec<u8>,
    },
    /// Something was published that a connection listens to.
    Message {
        connection: u64,
        message: Message,
    },
    /// A command that a connection sees by MONITOR, as it is sent.
    Line {
        connection: u64,
        line: Arc<[u8]>,
    },
    /// A lock has come that a connection waited for.
    Locked {
        connection: u64,
        ticket: u64,
        token: u64,
    },
    /// What a connection that tracks may have kept is no longer so.
    Invalidate {
        connection: u64,
        invalidation: Invalidation,
    },
    /// Who was to be told in place of a connection is gone.
    RedirectGone {
        connection: u64,
    },
    /// A connection is to be closed.
    Kill {
        connection: u64,
    },
    /// Nobody is going to answer what was sent to the control plane.
    ControlGone,
    /// No new commands; what waits is answered, then the thread ends.
    Stop {
        deadline: Instant,
    },
}

/// How others reach a thread.
pub struct Mailbox {
    mails: Mutex<Vec<Mail>>,
    waker: Waker,
}

impl Mailbox {
    pub fn new(waker: Waker) -> Mailbox {
        Mailbox { mails: Mutex::default(), waker }
    }

    pub fn send(&self, mail: Mail) {
        self.mails.lock().unwrap_or_else(PoisonError::into_inner).push(mail);
        self.wake();
    }

    pub fn wake(&self) {
        // It only fails when the thread's descriptors are gone, and the thread with them.
        let _ = self.waker.wake();
    }

    pub fn take(&self) -> Vec<Mail> {
        std::mem::take(&mut *self.mails.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub struct Shared {
    pub store: Arc<Store>,
    pub options: ServerOptions,
    pub password: Password,
    pub certificate: Certificate,
    /// Where it listens over TCP.
    pub tcp_address: Option<SocketAddr>,
    pub totals: Arc<Totals>,
    pub control: Control,
    pub mailboxes: Vec<Mailbox>,
    pub registry: Registry,
    pub slowlog: Slowlog,
    pub latencies: Latencies,
    pub pubsub: PubSub,
    pub tracking: Tracking,
    pub monitors: Monitors,
    /// LOCK: exec. Read by every command, written by EXEC, which no other command may come between. Before all locks of
    /// the store.
    pub running: RwLock<()>,
    pub began: Instant,
    pub began_ms: u64,
    /// Bytes that connections hold of unfinished input, and of replies that were not taken.
    pub input_bytes: AtomicUsize,
    pub output_bytes: AtomicUsize,
    /// Commands that wait for something.
    pub waiting: AtomicU64,
    pub next_connection: AtomicU64,
    pub is_stopping: AtomicBool,
    pub run_id: String,
}
