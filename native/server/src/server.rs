//! A server: its threads, from start to stop.

use crate::auth::Password;
use crate::control::{Bell, Control};
use crate::event_loop::EventLoop;
use crate::latency::Latencies;
use crate::limits::Totals;
use crate::listen::{listen, listen_tcp, Listener};
use crate::registry::Registry;
use crate::shared::{Mail, Mailbox, ServerOptions, Shared};
use crate::tls::{config_of, Certificate, TlsOptions};
use crate::tracking::Tracking;
use mio::{Poll, Waker};
use ramcache_core::error::{Code, Result, StoreError};
use ramcache_core::store::Store;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Request numbers carry the thread they come from in their low bits.
pub const THREADS_MAX: usize = 64;

pub struct Server {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Server {
    /// Listens and starts the threads. Errors are those of `listen`, and `ERR_RAMCACHE_UNAVAILABLE`.
    pub fn start(store: Arc<Store>, options: ServerOptions) -> Result<Server> {
        let fail = |what: &str, error: std::io::Error| {
            StoreError::new(Code::Unavailable, format!("cannot {what} of the server: {error}"))
        };
        let tls = options.tcp.as_ref().and_then(|tcp| tcp.tls.as_ref()).map(config_of).transpose()?;
        // First what may be taken: a socket file is only replaced by who serves all it is asked to.
        let tcp = options.tcp.as_ref().map(listen_tcp).transpose()?;
        let tcp_address = tcp.as_ref().map(|(_, address)| *address);
        let mut listeners = vec![Listener::Unix(listen(&options.path, &options.dir)?)];
        listeners.extend(tcp.map(|(listener, _)| Listener::Tcp(listener)));
        let count = options.threads.clamp(1, THREADS_MAX);
        let mut polls = Vec::new();
        let mut mailboxes = Vec::new();
        for _ in 0..count {
            let poll = Poll::new().map_err(|error| fail("make an event queue", error))?;
            let waker = Waker::new(poll.registry(), crate::event_loop::WAKER)
                .map_err(|error| fail("make a waker", error))?;
            polls.push(poll);
            mailboxes.push(Mailbox::new(waker));
        }
        let totals = Arc::new(Totals::default());
        let began_ms = ramcache_core::clock::wall_ms();
        let password = options.tcp.as_ref().and_then(|tcp| tcp.password.clone());
        let shared = Arc::new(Shared {
            password: Password::new(password),
            certificate: Certificate::new(tls),
            tcp_address,
            control: Control::new(options.limits.control_bytes, Arc::clone(&totals)),
            totals,
            mailboxes,
            registry: Registry::default(),
            slowlog: Default::default(),
            latencies: Latencies::new(count, crate::commands::COMMANDS.len()),
            pubsub: Default::default(),
            monitors: Default::default(),
            tracking: Tracking::new(options.limits.tracking_bytes),
            running: RwLock::new(()),
            began: Instant::now(),
            began_ms,
            input_bytes: AtomicUsize::new(0),
            output_bytes: AtomicUsize::new(0),
            waiting: AtomicU64::new(0),
            next_connection: AtomicU64::new(1),
            is_stopping: AtomicBool::new(false),
            run_id: format!("{:016x}{:016x}{:08x}", options.arena_id, began_ms, std::process::id()),
            store,
            options,
        });
        let mut threads = Vec::new();
        for (number, poll) in polls.into_iter().enumerate() {
            let mut event_loop =
                EventLoop::new(Arc::clone(&shared), number, poll, std::mem::take(&mut listeners));
            let thread = thread::Builder::new()
                .name(format!("ramcache {number}"))
                .spawn(move || event_loop.run())
                .map_err(|error| fail("start a thread", error))?;
            threads.push(thread);
        }
        Ok(Server { shared, threads: Mutex::new(threads) })
    }

    pub fn path(&self) -> &Path {
        &self.shared.options.path
    }

    /// Where it listens over TCP, if it does.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.shared.tcp_address
    }

    /// From now on these are password and certificate; whoever is connected stays so. `ERR_RAMCACHE_CONFIG`, and nothing
    /// changes, for a certificate that is of no use.
    pub fn set_credentials(&self, password: Option<Vec<u8>>, tls: Option<&TlsOptions>) -> Result<()> {
        let tls = tls.map(config_of).transpose()?;
        self.shared.password.set(password);
        self.shared.certificate.set(tls);
        Ok(())
    }

    pub fn totals(&self) -> &Totals {
        &self.shared.totals
    }

    /// Processes of this machine that are connected.
    pub fn pids(&self) -> Vec<u32> {
        let mut pids: Vec<u32> = self.shared.registry.all().iter().map(|client| client.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        pids.retain(|pid| *pid != 0);
        pids
    }

    /// Whether another process is connected that would own the store, if nobody did.
    pub fn has_heirs(&self) -> bool {
        let own = std::process::id();
        let clients = self.shared.registry.all();
        clients.iter().any(|client| client.is_joined.load(Ordering::Relaxed) && client.pid != own)
    }

    pub fn connections(&self) -> usize {
        self.shared.registry.count()
    }

    /// Bytes that all connections hold of unfinished commands, and of replies that were not taken.
    pub fn input_bytes(&self) -> usize {
        self.shared.input_bytes.load(Ordering::Relaxed)
    }

    pub fn output_bytes(&self) -> usize {
        self.shared.output_bytes.load(Ordering::Relaxed)
    }

    /// Who answers what takes JavaScript: rings when there are requests, for [`Server::take_requests`]. `None`: nobody.
    pub fn listen_control(&self, bell: Option<Bell>) {
        self.shared.control.listen(bell);
    }

    /// Whoever was to answer is gone: all requests, taken or not, are answered with an error.
    pub fn fail_requests(&self) {
        self.shared.control.clear();
        for mailbox in &self.shared.mailboxes {
            mailbox.send(Mail::ControlGone);
        }
    }

    /// Requests for the control plane, back to back as `control.rs` draws them.
    pub fn take_requests(&self, bytes_max: usize) -> Vec<u8> {
        self.shared.control.take(bytes_max)
    }

    /// The reply to a request, ready to be sent.
    pub fn answer(&self, request: u64, reply: Vec<u8>) {
        let thread = request as usize % THREADS_MAX;
        if let Some(mailbox) = self.shared.mailboxes.get(thread) {
            mailbox.send(Mail::Answered { request, reply });
        }
    }

    /// Takes the socket's file away, once: from then on another server may listen there.
    pub fn hide(&self) {
        if !self.shared.is_stopping.swap(true, Ordering::AcqRel) {
            let _ = fs::remove_file(&self.shared.options.path);
        }
    }

    pub fn is_stopping(&self) -> bool {
        self.shared.is_stopping.load(Ordering::Acquire)
    }

    /// Takes no more connections and no more commands, answers what is under way within `grace`, and ends the threads.
    /// Blocks until then. Again it does nothing.
    pub fn stop(&self, grace: Duration) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        if threads.is_empty() {
            return;
        }
        self.hide();
        let deadline = Instant::now() + grace;
        for mailbox in &self.shared.mailboxes {
            mailbox.send(Mail::Stop { deadline });
        }
        for thread in threads {
            // A panic of a thread has already been printed; there is nothing to add to it here.
            let _ = thread.join();
        }
        self.shared.control.close();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}
