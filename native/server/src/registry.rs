//! The connections of all threads, as CLIENT LIST shows them.

use crate::commands;
use crate::listen::Address;
use crate::transport::Socket;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What is known of a connection outside its thread.
pub struct Client {
    pub id: u64,
    pub thread: usize,
    pub descriptor: i32,
    /// The process at the other end; 0 when it may be one of another machine.
    pub pid: u32,
    /// `None` for a Unix socket.
    pub address: Option<Address>,
    pub began: Instant,
    texts: Mutex<Texts>,
    /// Milliseconds after `began` of the last command.
    pub last_ms: AtomicU64,
    /// The last command: its number in the table, and one more.
    pub command: AtomicUsize,
    pub namespace: AtomicU32,
    pub resp: AtomicU32,
    pub input_bytes: AtomicUsize,
    pub output_bytes: AtomicUsize,
    /// Commands queued by MULTI, -1 outside of one.
    pub queued: AtomicI64,
    pub channels: AtomicUsize,
    pub patterns: AtomicUsize,
    pub is_monitor: AtomicBool,
    pub is_tracking: AtomicBool,
    /// Who gets its invalidations: 0 = itself, -1 = nobody, it does not track.
    pub redirect: AtomicI64,
    /// It would own the store, if nobody did.
    pub is_joined: AtomicBool,
}

#[derive(Clone, Default)]
pub struct Texts {
    pub name: String,
    pub lib_name: String,
    pub lib_version: String,
}

impl Client {
    pub fn new(id: u64, thread: usize, socket: &Socket) -> Client {
        Client {
            id,
            thread,
            descriptor: socket.descriptor(),
            pid: socket.peer_pid(),
            address: socket.address(),
            began: Instant::now(),
            texts: Mutex::default(),
            last_ms: AtomicU64::new(0),
            command: AtomicUsize::new(0),
            namespace: AtomicU32::new(0),
            resp: AtomicU32::new(2),
            input_bytes: AtomicUsize::new(0),
            output_bytes: AtomicUsize::new(0),
            queued: AtomicI64::new(-1),
            channels: AtomicUsize::new(0),
            patterns: AtomicUsize::new(0),
            is_monitor: AtomicBool::new(false),
            is_tracking: AtomicBool::new(false),
            redirect: AtomicI64::new(-1),
            is_joined: AtomicBool::new(false),
        }
    }

    pub fn texts(&self) -> MutexGuard<'_, Texts> {
        self.texts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The addresses of the other end and of this one, as Redis shows them.
    pub fn ends(&self, path: &str) -> (String, String) {
        match self.address {
            None => (format!("{path}:0"), format!("{path}:0")),
            Some(Address { peer, own }) => (peer.to_string(), own.to_string()),
        }
    }

    /// A line of CLIENT LIST.
    pub fn describe(&self, path: &str) -> String {
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let texts = self.texts().clone();
        let age = self.began.elapsed();
        let idle = age.as_millis().saturating_sub(load(&self.last_ms) as u128) / 1000;
        let mut flags = String::new();
        for (flag, is_on) in [
            ('O', self.is_monitor.load(Ordering::Relaxed)),
            ('P', self.channels.load(Ordering::Relaxed) + self.patterns.load(Ordering::Relaxed) > 0),
            ('x', self.queued.load(Ordering::Relaxed) >= 0),
            ('t', self.is_tracking.load(Ordering::Relaxed)),
        ] {
            if is_on {
                flags.push(flag);
            }
        }
        match self.address {
            None => flags.push('U'),
            Some(_) if flags.is_empty() => flags.push('N'),
            Some(_) => {}
        }
        let (peer, own) = self.ends(path);
        let output = self.output_bytes.load(Ordering::Relaxed);
        let input = self.input_bytes.load(Ordering::Relaxed);
        format!(
            "id={} addr={peer} laddr={own} fd={} name={} age={} idle={idle} flags={flags} db={} sub={} psub={} \
             ssub=0 multi={} qbuf={input} qbuf-free=0 argv-mem=0 multi-mem=0 rbs=16384 rbp=0 obl={output} oll=0 \
             omem={output} tot-mem={} events=r cmd={} user=default redir={} resp={} lib-name={} lib-ver={}",
            self.id,
            self.descriptor,
            texts.name,
            age.as_secs(),
            self.namespace.load(Ordering::Relaxed),
            self.channels.load(Ordering::Relaxed),
            self.patterns.load(Ordering::Relaxed),
            self.queued.load(Ordering::Relaxed),
            input + output,
            commands::name_of(self.command.load(Ordering::Relaxed)),
            self.redirect.load(Ordering::Relaxed),
            self.resp.load(Ordering::Relaxed),
            texts.lib_name,
            texts.lib_version,
        )
    }
}

#[derive(Default)]
pub struct Registry {
    /// LOCK: clients. Alone.
    clients: Mutex<BTreeMap<u64, Arc<Client>>>,
}

impl Registry {
    fn clients(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Client>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn add(&self, client: Arc<Client>) {
        self.clients().insert(client.id, client);
    }

    pub fn remove(&self, id: u64) {
        self.clients().remove(&id);
    }

    pub fn count(&self) -> usize {
        self.clients().len()
    }

    pub fn all(&self) -> Vec<Arc<Client>> {
        self.clients().values().cloned().collect()
    }

    pub fn find(&self, id: u64) -> Option<Arc<Client>> {
        self.clients().get(&id).cloned()
    }
}
