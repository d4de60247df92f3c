//! The loop of a server thread: events in, turns of connections, sleep.
//!
//! Readiness is edge-triggered: a connection stays marked readable or writable until the system has said otherwise. A
//! connection that has something to do gets turns of bounded length, in rounds, so that none starves another.

use crate::auth::Newcomers;
use crate::client::{Connection, Slot};
use crate::frame::Decoder;
use crate::limits::count;
use crate::listen::Listener;
use crate::registry::Client;
use crate::reply::Resp;
use crate::session::Session;
use crate::shared::{Mail, Shared};
use crate::transport::{Socket, Transport};
use crate::waiting::For;
use crate::worker::Worker;
use mio::{Events, Interest, Poll, Token};
use ramcache_core::below::Answer;
use ramcache_core::sync::Ordering;
use std::collections::{HashMap, VecDeque};
use std::io::{ErrorKind, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub const WAKER: Token = Token(0);
/// Of the first of those that listen, of which there are two at most.
const FIRST_LISTENER: usize = 1;
const FIRST_CONNECTION: usize = 3;
const EVENTS: usize = 256;
/// Connections accepted between two looks at the others.
const ACCEPTS_PER_TURN: usize = 64;

/// A handshake takes as long as a thousand commands: those that come together are spread over rounds.
const HANDSHAKES_PER_ROUND: usize = 4;
/// How long replies wait for those of other connections, at most, beside the turn of one of them.
const REPLIES_WAIT: Duration = Duration::from_micros(50);

/// Where an answer goes: a slot of a connection.
#[derive(Clone, Copy)]
pub struct Address {
    pub place: usize,
    pub connection: u64,
    pub slot: u64,
}

/// Whose a question is, and the namespace and key that it asks for; none when it is for the log.
pub type Question = (Address, Option<(u32, Vec<u8>)>);

pub struct EventLoop {
    pub shared: Arc<Shared>,
    pub number: usize,
    poll: Poll,
    /// With whether more connections wait to be accepted.
    listeners: Vec<(Listener, bool)>,
    next_thread: usize,
    pub connections: Vec<Option<Box<Connection>>>,
    vacant: Vec<usize>,
    by_id: HashMap<u64, usize>,
    newcomers: Newcomers,
    /// Places of connections that have something to do.
    pub busy: VecDeque<usize>,
    /// Of those that had a turn in this round.
    pub turned: Vec<usize>,
    pub worker: Worker,
    /// Who waits for what: questions to the tiers below, and requests to the control plane.
    pub questions: HashMap<u64, Question>,
    pub requests: HashMap<u64, Address>,
    pub next_request: u64,
    pub received: Vec<u8>,
    /// The time, while this thread does nothing but run the commands that it has read: each looks at the clock once.
    pub now: Option<Instant>,
    stopping: Option<Instant>,
}

impl EventLoop {
    pub fn new(shared: Arc<Shared>, number: usize, poll: Poll, listeners: Vec<Listener>) -> EventLoop {
        EventLoop {
            worker: Worker::new(Arc::clone(&shared)),
            number,
            poll,
            listeners: listeners.into_iter().map(|listener| (listener, false)).collect(),
            next_thread: 0,
            connections: Vec::new(),
            vacant: Vec::new(),
            by_id: HashMap::new(),
            newcomers: Newcomers::default(),
            busy: VecDeque::new(),
            turned: Vec::new(),
            questions: HashMap::new(),
            requests: HashMap::new(),
            next_request: 0,
            received: vec![0; RECEIVE_BYTES],
            now: None,
            stopping: None,
            shared,
        }
    }

    pub fn run(&mut self) {
        if let Some(below) = self.worker.store.clone().below() {
            let (shared, number) = (Arc::clone(&self.shared), self.number);
            self.worker.asker =
                Some(below.misses.register(Box::new(move || shared.mailboxes[number].wake())));
        }
        for (number, (listener, _)) in self.listeners.iter_mut().enumerate() {
            let token = Token(FIRST_LISTENER + number);
            let registered = self.poll.registry().register(listener.source(), token, Interest::READABLE);
            registered.expect("a listener can be registered");
        }
        let mut events = Events::with_capacity(EVENTS);
        let mut awake_until = Instant::now();
        while !self.is_done() {
            let is_spinning = Instant::now() < awake_until;
            let has_work = !self.busy.is_empty() || self.listeners.iter().any(|(_, is_ready)| *is_ready);
            let timeout = match has_work || is_spinning {
                true => Some(Duration::ZERO),
                false => self.sleep_at_most(),
            };
            count(match timeout {
                Some(Duration::ZERO) => &self.shared.totals.spins,
                _ => &self.shared.totals.sleeps,
            });
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != ErrorKind::Interrupted => {
                    panic!("cannot wait for events: {error}")
                }
                _ => {}
            }
            let is_idle = events.is_empty() && !has_work;
            for event in &events {
                match event.token() {
                    WAKER => self.collect(),
                    Token(token) if token < FIRST_CONNECTION => {
                        // A stop may have taken it away.
                        if let Some((_, is_ready)) = self.listeners.get_mut(token - FIRST_LISTENER) {
                            *is_ready = true;
                        }
                    }
                    Token(token) => self.note(token - FIRST_CONNECTION, event),
                }
            }
            if self.number == 0 && self.next_expiry().is_some_and(|left| left.is_zero()) {
                self.shared.tell_expired();
            }
            for number in 0..self.listeners.len() {
                self.accept(number);
            }
            self.end_late_newcomers();
            self.round();
            if !is_idle && !self.shared.options.spin.is_zero() {
                awake_until = Instant::now() + self.shared.options.spin;
            }
        }
        self.end();
    }

    /// A turn for each connection that has something to do. Replies go out at its end, or before when it takes long.
    fn round(&mut self) {
        let mut since = Instant::now();
        let mut handshakes = 0;
        for _ in 0..self.busy.len() {
            let Some(place) = self.busy.pop_front() else { break };
            if self.is_handshaking(place) {
                if handshakes == HANDSHAKES_PER_ROUND {
                    self.busy.push_back(place);
                    continue;
                }
                handshakes += 1;
            }
            self.guarded(place, EventLoop::turn);
            if let Some(now) = self.now.filter(|now| *now - since > REPLIES_WAIT) {
                self.finish_all();
                since = now;
            }
        }
        self.finish_all();
    }

    fn is_handshaking(&self, place: usize) -> bool {
        let connection = self.connections.get(place).and_then(Option::as_ref);
        connection.is_some_and(|connection| connection.transport.is_handshaking())
    }

    fn finish_all(&mut self) {
        for place in std::mem::take(&mut self.turned) {
            self.guarded(place, EventLoop::finish);
        }
    }

    /// A fault of ours ends the connection that it came up with, not the thread.
    fn guarded(&mut self, place: usize, work: fn(&mut EventLoop, usize)) {
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(self, place)));
        if done.is_err() {
            self.forget(place);
        }
    }

    /// How long this thread may sleep; `None` = until something comes.
    fn sleep_at_most(&self) -> Option<Duration> {
        let stop = self.stopping.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let expiry = if self.number == 0 { self.next_expiry() } else { None };
        stop.into_iter().chain(expiry).chain(self.newcomers.left()).min()
    }

    /// How long it is until something expires that a client has read and tracks.
    fn next_expiry(&self) -> Option<Duration> {
        let at_ms = self.shared.tracking.next_expiry_ms();
        let left_ms = || at_ms.saturating_sub(self.shared.store.arena().expiry_now_ms());
        (at_ms != u64::MAX).then(|| Duration::from_millis(left_ms()))
    }

    fn note(&mut self, place: usize, event: &mio::event::Event) {
        let Some(Some(connection)) = self.connections.get_mut(place) else { return };
        connection.is_hung_up |= event.is_read_closed();
        connection.is_readable |= event.is_readable() || event.is_read_closed();
        connection.is_writable |= event.is_writable();
        self.enqueue(place);
    }

    /// Gives a connection a turn.
    pub fn enqueue(&mut self, place: usize) {
        if let Some(Some(connection)) = self.connections.get_mut(place) {
            if !connection.is_queued {
                connection.is_queued = true;
                self.busy.push_back(place);
            }
        }
    }

    fn accept(&mut self, number: usize) {
        for _ in 0..ACCEPTS_PER_TURN {
            let (listener, is_ready) = &mut self.listeners[number];
            if !*is_ready {
                break;
            }
            match listener.accept() {
                Ok(socket) => {
                    count(&self.shared.totals.connections_received);
                    self.welcome(socket);
                }
                // Of one that is gone again.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                // There is none; and when descriptors run out, the next attempt is the next event's.
                Err(_) => *is_ready = false,
            }
        }
    }

    /// Hands a connection to the next thread, unless there are too many.
    fn welcome(&mut self, mut socket: Socket) {
        if self.shared.registry.count() >= self.shared.options.limits.connections {
            count(&self.shared.totals.connections_refused);
            // To whom expects TLS it would be noise.
            if matches!(socket, Socket::Unix(_)) || self.shared.certificate.get().is_none() {
                let _ = socket.write(b"-ERR max number of clients reached\r\n");
            }
            return;
        }
        let thread = self.next_thread % self.shared.mailboxes.len();
        self.next_thread = thread + 1;
        let id = self.shared.next_connection.fetch_add(1, Ordering::Relaxed);
        let client = Arc::new(Client::new(id, thread, &socket));
        // Counted from here on, whatever thread it is on its way to.
        self.shared.registry.add(Arc::clone(&client));
        match thread == self.number {
            true => self.admit(socket, client),
            false => self.shared.mailboxes[thread].send(Mail::Accepted { socket, client }),
        }
    }

    fn admit(&mut self, socket: Socket, client: Arc<Client>) {
        let place = self.vacant.pop().unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        let needs_password = matches!(socket, Socket::Tcp(_)) && self.shared.password.is_set();
        let certificate = self.shared.certificate.get().filter(|_| matches!(socket, Socket::Tcp(_)));
        let transport = match certificate {
            None => Ok(Transport::plain(socket)),
            Some(config) => Transport::secured(socket, config),
        };
        let namespace = self.worker.namespace(b"default");
        let transport = transport.and_then(|mut transport| {
            transport.register(self.poll.registry(), Token(place + FIRST_CONNECTION))?;
            Ok(transport)
        });
        let (Ok(namespace), Ok(transport)) = (namespace, transport) else {
            self.vacant.push(place);
            self.shared.registry.remove(client.id);
            return;
        };
        let id = client.id;
        self.by_id.insert(id, place);
        self.connections[place] = Some(Box::new(Connection {
            id,
            transport,
            session: Session {
                resp: Resp::Two,
                namespace,
                namespace_name: "default".into(),
                client,
                needs_password,
                is_authenticated: !needs_password,
                is_closing: false,
                is_no_touch: false,
                transaction: None,
                watched: Vec::new(),
                channels: Default::default(),
                patterns: Default::default(),
                tracks: None,
                uses_control: false,
                has_leases: false,
                lock_holder: None,
            },
            decoder: Decoder::default(),
            output: Vec::new(),
            sent: 0,
            slots: VecDeque::new(),
            first_slot: 0,
            open_reads: 0,
            open_others: 0,
            is_readable: true,
            is_writable: true,
            is_hung_up: false,
            is_ended: false,
            is_broken: false,
            is_queued: false,
            is_starved: false,
            is_newcomer: false,
            counted_input: 0,
            counted_output: 0,
        }));
        self.watch_newcomer(place);
        self.enqueue(place);
    }

    /// Gives a connection that has to say who it is the time for it. Of too many the oldest has to go.
    fn watch_newcomer(&mut self, place: usize) {
        let limits = &self.worker.limits;
        let within = Duration::from_millis(limits.newcomer_ms as u64);
        let most = limits.newcomers.div_ceil(self.shared.mailboxes.len());
        let Some(Some(connection)) = self.connections.get_mut(place) else { return };
        if connection.is_admitted() {
            return;
        }
        connection.is_newcomer = true;
        self.newcomers.add(connection.id, place, within);
        if self.newcomers.count() > most {
            count(&self.shared.totals.newcomers_displaced);
            let oldest = self.newcomers.take_oldest();
            oldest.into_iter().for_each(|place| self.break_off(place));
        }
    }

    /// Whoever has said who it is may stay.
    pub fn note_admission(&mut self, connection: &mut Connection) {
        if connection.is_newcomer && connection.is_admitted() {
            connection.is_newcomer = false;
            self.newcomers.remove(connection.id);
        }
    }

    fn end_late_newcomers(&mut self) {
        while self.newcomers.left().is_some_and(|left| left.is_zero()) {
            count(&self.shared.totals.newcomers_late);
            let oldest = self.newcomers.take_oldest();
            oldest.into_iter().for_each(|place| self.break_off(place));
        }
    }

    /// What others have sent this thread.
    fn collect(&mut self) {
        for mail in self.shared.mailboxes[self.number].take() {
            match mail {
                Mail::Accepted { socket, client } => self.admit(socket, client),
                Mail::Answered { request, reply } => {
                    if let Some(address) = self.requests.remove(&request) {
                        self.answer(address, reply);
                    }
                }
                Mail::Message { connection, message } => {
                    if let Some(place) = self.by_id.get(&connection).copied() {
                        self.push(place, |session| Some(message.encode(session.resp)));
                    }
                }
                Mail::Line { connection, line } => {
                    if let Some(place) = self.by_id.get(&connection).copied() {
                        self.push(place, |_| Some(line.to_vec()));
                    }
                }
                Mail::Locked { connection, ticket, token } => {
                    // Of one that is gone, the lock has gone with it.
                    if let Some(place) = self.by_id.get(&connection).copied() {
                        self.push(place, |session| Some(crate::commands::lock_push(session, ticket, token)));
                    }
                }
                Mail::Invalidate { connection, invalidation } => {
                    if let Some(place) = self.by_id.get(&connection).copied() {
                        self.push(place, |session| {
                            invalidation.encode(session.resp, session.subscriptions() > 0)
                        });
                    }
                }
                Mail::RedirectGone { connection } => {
                    if let Some(place) = self.by_id.get(&connection).copied() {
                        self.push(place, Session::note_redirect_gone);
                    }
                }
                Mail::Kill { connection } => {
                    if let Some(place) = self.by_id.get(&connection).copied() {
                        self.break_off(place);
                    }
                }
                Mail::ControlGone => {
                    for (_, address) in std::mem::take(&mut self.requests) {
                        self.answer(address, crate::control::GONE.to_vec());
                    }
                }
                Mail::Stop { deadline } => self.begin_stop(deadline),
            }
        }
        let Some(asker) = self.worker.asker else { return };
        let answers = match self.worker.store.below() {
            Some(below) => below.misses.collect(asker),
            None => return,
        };
        for (question, answer) in answers {
            self.take_answer(question, answer);
        }
    }

    /// Gives a connection what it did not ask for.
    fn push(&mut self, place: usize, message: impl FnOnce(&mut Session) -> Option<Vec<u8>>) {
        let Some(Some(connection)) = self.connections.get_mut(place) else { return };
        let Some(bytes) = message(&mut connection.session) else { return };
        match connection.slots.is_empty() {
            true => connection.output.extend_from_slice(&bytes),
            false => connection.slots.push_back(Slot::Ready(bytes)),
        }
        self.enqueue(place);
    }

    /// The connection is closed with its next turn.
    fn break_off(&mut self, place: usize) {
        if let Some(Some(connection)) = self.connections.get_mut(place) {
            connection.is_broken = true;
        }
        self.enqueue(place);
    }

    /// Puts a reply into its place. The connection may be gone, and its place somebody else's.
    pub fn answer(&mut self, address: Address, reply: Vec<u8>) {
        let Some(Some(connection)) = self.connections.get_mut(address.place) else { return };
        if connection.id != address.connection {
            return;
        }
        let Some(slot) = connection.slot(address.slot) else { return };
        if let Slot::Waiting(waiting) = std::mem::replace(slot, Slot::Ready(reply)) {
            match (&waiting.what, waiting.is_read) {
                (For::Log { .. }, _) => {}
                (_, true) => connection.open_reads -= 1,
                (_, false) => connection.open_others -= 1,
            }
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        self.enqueue(address.place);
    }

    fn take_answer(&mut self, question: u64, answer: Answer) {
        let Some((address, asked)) = self.questions.remove(&question) else { return };
        let Some(Some(connection)) = self.connections.get_mut(address.place) else { return };
        if connection.id != address.connection {
            return;
        }
        let resp = connection.session.resp;
        let Some(Slot::Waiting(waiting)) = connection.slot(address.slot) else { return };
        match &mut waiting.what {
            For::Log { reply } => {
                let reply = match answer {
                    Answer::Failed(failure) => crate::turn::error_line(&failure, resp),
                    _ => std::mem::take(reply),
                };
                self.answer(address, reply);
            }
            For::Below { progress, outstanding, .. } => {
                if let Some(key) = asked {
                    progress.keep(key, answer);
                }
                *outstanding -= 1;
                if *outstanding == 0 {
                    self.run_again(address);
                }
            }
            For::Control => {}
        }
    }

    fn begin_stop(&mut self, deadline: Instant) {
        self.stopping = Some(deadline);
        self.listeners.clear();
        for place in 0..self.connections.len() {
            self.enqueue(place);
        }
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    fn is_done(&self) -> bool {
        match self.stopping {
            None => false,
            Some(deadline) => self.by_id.is_empty() || Instant::now() >= deadline,
        }
    }

    /// After a fault of ours in its turn, which has taken the connection along: everybody else is served on.
    fn forget(&mut self, place: usize) {
        if self.connections[place].is_some() {
            return self.close(place);
        }
        let Some(id) = self.by_id.iter().find(|(_, other)| **other == place).map(|(id, _)| *id) else {
            return;
        };
        self.by_id.remove(&id);
        self.newcomers.remove(id);
        self.vacant.push(place);
        self.shared.registry.remove(id);
        // What else knows it by its number has nobody to tell any more.
        self.shared.untrack(id);
        self.shared.monitors.remove(id);
        self.shared.store.abandon_all(id);
    }

    /// Closes a connection at its place.
    pub fn close(&mut self, place: usize) {
        let Some(mut connection) = self.connections[place].take() else { return };
        if !connection.is_broken {
            connection.transport.end();
        }
        connection.transport.deregister(self.poll.registry());
        self.newcomers.remove(connection.id);
        self.by_id.remove(&connection.id);
        self.vacant.push(place);
        self.shared.registry.remove(connection.id);
        crate::commands::end_subscriptions(&mut connection.session, &self.shared.pubsub);
        crate::commands::end_tracking(&mut connection.session, &self.shared);
        crate::commands::end_monitor(&connection.session, &self.shared);
        if connection.session.has_leases {
            self.shared.store.abandon_all(connection.id);
        }
        let open = connection.slots.iter().filter(|slot| matches!(slot, Slot::Waiting(_))).count();
        self.shared.waiting.fetch_sub(open as u64, Ordering::Relaxed);
        self.shared.input_bytes.fetch_sub(connection.counted_input, Ordering::Relaxed);
        self.shared.output_bytes.fetch_sub(connection.counted_output, Ordering::Relaxed);
        if connection.session.uses_control {
            self.shared.control.send_closed(connection.id);
        }
    }

    fn end(&mut self) {
        let stopped =
            ramcache_core::error::StoreError::new(ramcache_core::error::Code::Closed, "the store is closing");
        for place in 0..self.connections.len() {
            if let Some(connection) = &mut self.connections[place] {
                // What did not come in time is answered with an error, as far as the socket takes it.
                let line = crate::turn::error_line(&stopped, connection.session.resp);
                for slot in &mut connection.slots {
                    if matches!(slot, Slot::Waiting(_)) {
                        *slot = Slot::Ready(line.clone());
                        self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
                    }
                }
                connection.release_replies();
                let _ = connection.transport.write(&connection.output[connection.sent..]);
            }
            self.close(place);
        }
        if let (Some(asker), Some(below)) = (self.worker.asker, self.worker.store.below()) {
            below.misses.unregister(asker);
        }
        self.worker.release();
    }
}

/// Bytes that are read at a time.
pub const RECEIVE_BYTES: usize = 64 << 10;
