//! A turn of a connection: read, run commands, write. Bounded, so that others get theirs.

use crate::client::{Connection, Slot};
use crate::commands::{self, Command, ALONE, AT_ONCE, COMMANDS, LISTENING, READ, UNKNOWN};
use crate::context::{Context, Progress, Stop, Want};
use crate::event_loop::{Address, EventLoop};
use crate::frame::{Args, Decoded, OwnedArgs};
use crate::limits::count;
use crate::reply::{Reply, Resp};
use crate::server::THREADS_MAX;
use crate::session::Session;
use crate::transport::Received;
use crate::waiting::{For, Waiting};
use crate::worker::Durability;
use ramcache_core::below::Reached;
use ramcache_core::error::{Code, StoreError};
use ramcache_core::ops::read::{Lookup, Nothing, Seen};
use ramcache_core::sync::Ordering;
use std::io::ErrorKind;
use std::sync::PoisonError;
use std::time::Instant;

/// Commands and bytes of one turn.
const COMMANDS_PER_TURN: usize = 256;
const BYTES_PER_TURN: usize = 256 << 10;
/// Runs of a command that is still not decided: each means that what was brought up was gone again at once.
const RUNS_MAX: u32 = 1000;

/// What became of a command.
enum Ran {
    /// Its reply is at the end of the output.
    Done,
    Parked,
}

/// An error of the store as its reply.
pub fn error_line(error: &StoreError, resp: Resp) -> Vec<u8> {
    let mut out = Vec::new();
    let name = error.code.name().trim_start_matches("ERR_RAMCACHE_");
    Reply { out: &mut out, resp }.error(&format!("RC {name} {}", error.message));
    out
}

/// The same as a command says it.
pub fn failure_line(command: &str, error: &StoreError, resp: Resp) -> Vec<u8> {
    match command.starts_with("rc.") {
        true => error_line(error, resp),
        false => redis_error_line(error, resp),
    }
}

/// The same for a command of Redis, which has words of its own for some.
fn redis_error_line(error: &StoreError, resp: Resp) -> Vec<u8> {
    let mut out = Vec::new();
    let text = match error.code {
        Code::Full => "OOM command not allowed when used memory > 'maxmemory'.",
        Code::Value => "ERR string exceeds maximum allowed size (proto-max-bulk-len)",
        _ => return error_line(error, resp),
    };
    Reply { out: &mut out, resp }.error(text);
    out
}

impl EventLoop {
    /// Reads and runs; what there is to say waits for [`EventLoop::finish`]. Who is given several replies at once, on
    /// however many connections, is woken once, and has the next commands ready together.
    pub fn turn(&mut self, place: usize) {
        let Some(mut connection) = self.connections[place].take() else { return };
        connection.is_queued = false;
        connection.is_starved = self.serve(&mut connection, place);
        self.connections[place] = Some(connection);
        self.turned.push(place);
    }

    /// The end of a turn: writes, and closes what is over.
    pub fn finish(&mut self, place: usize) {
        let Some(mut connection) = self.connections[place].take() else { return };
        // What was held back may go on when all of it could be sent: no event will say so.
        let was_held_back = !self.can_go_on(&connection);
        self.send(&mut connection);
        self.account(&mut connection);
        self.note_admission(&mut connection);
        let is_more =
            (!connection.is_starved || was_held_back) && !connection.is_broken && self.can_go_on(&connection);
        let is_over = connection.is_broken
            || ((connection.session.is_closing || connection.is_ended || self.is_stopping())
                && connection.slots.is_empty()
                && connection.output.is_empty()
                && connection.transport.is_flushed()
                && !is_more);
        self.connections[place] = Some(connection);
        if is_over {
            self.close(place);
        } else if is_more {
            self.enqueue(place);
        }
    }

    /// Whether there is nothing more to do until something comes.
    fn serve(&mut self, connection: &mut Connection, place: usize) -> bool {
        let mut left = COMMANDS_PER_TURN;
        let mut received = 0;
        connection.release_replies();
        self.now = None;
        while left > 0 && !connection.is_broken {
            if !self.run_next(connection, place) {
                if received >= BYTES_PER_TURN || !self.receive(connection, &mut received) {
                    return received < BYTES_PER_TURN;
                }
                continue;
            }
            left -= 1;
            if connection.output.len() - connection.sent > SEND_BYTES {
                self.send(connection);
            }
        }
        false
    }

    fn can_go_on(&self, connection: &Connection) -> bool {
        !connection.session.is_closing
            && connection.output_bytes() < connection.output_high_bytes(&self.worker.limits)
    }

    /// Reads some bytes; whether there were any.
    fn receive(&mut self, connection: &mut Connection, received: &mut usize) -> bool {
        let limits = &self.worker.limits;
        let is_held_back = connection.session.is_closing
            || self.is_stopping()
            || connection.decoder.wanted_bytes() == 0
                && connection.decoder.held_bytes() >= limits.pending_bytes
            || connection.output_bytes() >= connection.output_high_bytes(limits);
        if !connection.is_readable || is_held_back || connection.is_ended {
            return false;
        }
        self.now = None;
        match connection.transport.read(&mut self.received) {
            Ok(Received { bytes: 0, .. }) => {
                connection.is_ended = true;
                false
            }
            Ok(Received { bytes, is_more }) => {
                *received += bytes;
                connection.is_readable = is_more || connection.is_hung_up;
                connection.decoder.push(&self.received[..bytes]);
                self.shared.totals.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
                if connection.decoder.held_bytes() > limits.pending_bytes {
                    self.account(connection);
                }
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                connection.is_readable = false;
                false
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => true,
            Err(error) => {
                if error.kind() == ErrorKind::InvalidData {
                    count(&self.shared.totals.tls_failures);
                    // The other side is told why.
                    let _ = connection.transport.flush();
                }
                connection.is_broken = true;
                false
            }
        }
    }

    fn send(&mut self, connection: &mut Connection) {
        connection.release_replies();
        while connection.is_writable && connection.sent < connection.output.len() && !connection.is_broken {
            match connection.transport.write(&connection.output[connection.sent..]) {
                Ok(bytes) => {
                    connection.sent += bytes;
                    self.shared.totals.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => connection.is_writable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => connection.is_broken = true,
            }
        }
        if connection.is_writable && !connection.is_broken {
            match connection.transport.flush() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => connection.is_writable = false,
                Err(error) if error.kind() != ErrorKind::Interrupted => connection.is_broken = true,
                _ => {}
            }
        }
        if connection.sent == connection.output.len() {
            connection.output.clear();
            connection.sent = 0;
            if connection.output.capacity() > KEPT_BYTES {
                connection.output = Vec::new();
            }
        } else if connection.sent > SEND_BYTES {
            connection.output.drain(..connection.sent);
            connection.sent = 0;
        }
    }

    /// Keeps the sums over all connections, and ends those that hold too much.
    fn account(&mut self, connection: &mut Connection) {
        connection.decoder.tidy();
        let limits = &self.worker.limits;
        let (input, output) = (connection.decoder.capacity(), connection.output_bytes());
        let totals = &self.shared.totals;
        let change = |sum: &std::sync::atomic::AtomicUsize, counted: &mut usize, now: usize| {
            let before = std::mem::replace(counted, now);
            match now >= before {
                true => sum.fetch_add(now - before, Ordering::Relaxed) + (now - before),
                false => sum.fetch_sub(before - now, Ordering::Relaxed) - (before - now),
            }
        };
        let all_input = change(&self.shared.input_bytes, &mut connection.counted_input, input);
        let all_output = change(&self.shared.output_bytes, &mut connection.counted_output, output);
        let client = &connection.session.client;
        client.input_bytes.store(input, Ordering::Relaxed);
        client.output_bytes.store(output, Ordering::Relaxed);
        if all_input > limits.input_total_bytes && input > limits.pending_bytes {
            count(&totals.input_total_hits);
            connection.is_broken = true;
        }
        if output >= connection.output_high_bytes(limits) {
            count(&totals.output_high_hits);
            if output > limits.output_hard_bytes || all_output > limits.output_total_bytes {
                count(&totals.output_hard_hits);
                connection.is_broken = true;
            }
        }
    }

    /// Runs the next command that has come; whether there was one that may begin.
    fn run_next(&mut self, connection: &mut Connection, place: usize) -> bool {
        let limits = &self.worker.limits;
        if connection.session.is_closing || connection.output_bytes() >= connection.output_high_bytes(limits)
        {
            return false;
        }
        if connection.slots.len() >= limits.waiting {
            count(&self.shared.totals.waiting_hits);
            return false;
        }
        connection.decoder.is_newcomer = !connection.is_admitted();
        match connection.decoder.next(limits) {
            Decoded::More => return false,
            Decoded::Broken(text) => {
                count(&self.shared.totals.protocol_errors);
                if !text.contains("expected") && !text.contains("unbalanced") {
                    count(&self.shared.totals.frames_refused);
                }
                connection.session.is_closing = true;
                let mut line = Vec::new();
                Reply { out: &mut line, resp: connection.session.resp }.error(&text);
                self.place_reply(connection, line);
                return true;
            }
            Decoded::Command => {}
        }
        let number = commands::find(connection.decoder.args().get(0));
        let is_read = number.is_some_and(|number| COMMANDS[number].has(READ));
        if connection.open_others > 0 || (connection.open_reads > 0 && !is_read) {
            return false;
        }
        count(&self.shared.totals.commands_processed);
        let mut decoder = std::mem::take(&mut connection.decoder);
        self.begin(connection, place, number, decoder.args());
        decoder.consume();
        connection.decoder = decoder;
        true
    }

    /// A command's first run.
    fn begin(&mut self, connection: &mut Connection, place: usize, number: Option<usize>, args: Args) {
        let Some(number) = number else {
            return self.refuse(connection, &commands::unknown(args));
        };
        let command = &COMMANDS[number];
        if !command.takes(args.len()) {
            return self.refuse(connection, &commands::wrong_arity(command.name));
        }
        let session = &connection.session;
        if !session.is_authenticated && !command.has(UNKNOWN) {
            return self.refuse(connection, crate::auth::REQUIRED);
        }
        if session.resp == Resp::Two && session.subscriptions() > 0 && !command.has(LISTENING) {
            let text = format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
                command.name
            );
            return self.refuse(connection, &text);
        }
        if connection.session.transaction.is_some() && !command.has(AT_ONCE) {
            if let Some(text) = commands::refused_subcommand(command, args) {
                return self.refuse(connection, &text);
            }
            return self.queue(connection, number, args);
        }
        let client = &connection.session.client;
        client.command.store(number + 1, Ordering::Relaxed);
        if self.now.is_none() {
            let now = Instant::now();
            client.last_ms.store(now.duration_since(client.began).as_millis() as u64, Ordering::Relaxed);
            self.now = Some(now);
        }
        let start = connection.output.len();
        let slot = connection.first_slot + connection.slots.len() as u64;
        let address = Address { place, connection: connection.id, slot };
        let mut progress = Progress { tracks: connection.session.tracks_reads(), ..Progress::default() };
        if let Ran::Done = self.execute(connection, address, number, args, &mut progress, None) {
            // Behind commands that wait, its reply waits too.
            if !connection.slots.is_empty() {
                let reply = connection.output.split_off(start);
                connection.slots.push_back(Slot::Ready(reply));
            }
        }
        // EXEC shows itself behind what it has run.
        if self.shared.monitors.are_there() && command.name != "exec" {
            crate::monitor::show(&self.shared, &connection.session, command, args);
        }
        let Session { tracks, transaction, .. } = &mut connection.session;
        if let (Some(tracks), None, false) = (tracks, transaction, command.name == "client") {
            tracks.caching = None;
        }
    }

    /// Keeps a command for EXEC.
    fn queue(&mut self, connection: &mut Connection, number: usize, args: Args) {
        let limits = &self.worker.limits;
        let Some(transaction) = &mut connection.session.transaction else { return };
        let args = OwnedArgs::of(args);
        let bytes = transaction.bytes + args.byte_count();
        if transaction.commands.len() >= limits.queued_commands || bytes > limits.queued_bytes {
            count(&self.shared.totals.queued_hits);
            return self.refuse(connection, "ERR too much queued for a transaction");
        }
        transaction.bytes = bytes;
        transaction.commands.push((number, args));
        let queued = transaction.commands.len() as i64;
        connection.session.client.queued.store(queued, Ordering::Relaxed);
        self.place_reply(connection, b"+QUEUED\r\n".to_vec());
    }

    fn refuse(&mut self, connection: &mut Connection, text: &str) {
        count(&self.shared.totals.error_replies);
        if let Some(transaction) = &mut connection.session.transaction {
            transaction.is_broken = true;
        }
        let mut line = Vec::new();
        Reply { out: &mut line, resp: connection.session.resp }.error(text);
        self.place_reply(connection, line);
    }

    fn place_reply(&mut self, connection: &mut Connection, reply: Vec<u8>) {
        match connection.slots.is_empty() {
            true => connection.output.extend_from_slice(&reply),
            false => connection.slots.push_back(Slot::Ready(reply)),
        }
    }

    /// Runs a command. Its reply is at the end of the output, or a slot waits for it: a new one, or the one at `address`
    /// when `parked` is the arguments it was parked with.
    fn execute(
        &mut self,
        connection: &mut Connection,
        address: Address,
        number: usize,
        args: Args,
        progress: &mut Progress,
        parked: Option<()>,
    ) -> Ran {
        let command = &COMMANDS[number];
        let start = connection.output.len();
        progress.runs += 1;
        let (mut ended, settle, wants) = {
            let shared = std::sync::Arc::clone(&self.shared);
            let (_ordinary, _alone);
            if command.has(ALONE) {
                _alone = shared.running.write().unwrap_or_else(PoisonError::into_inner);
            } else {
                _ordinary = shared.running.read().unwrap_or_else(PoisonError::into_inner);
            }
            if shared.tracking.is_on() {
                crate::tracking::set_writer(connection.id);
            }
            let Connection { session, output, .. } = connection;
            let tracks = progress.tracks && command.is_tracked();
            let mut context = Context::new(&mut self.worker, session, progress, output, tracks);
            let began = self.now.take().unwrap_or_else(Instant::now);
            let ended = (command.run)(&mut context, args);
            let now = Instant::now();
            let took = now - began;
            self.now = Some(now);
            shared.latencies.note(self.number, number, took);
            let client = &context.session.client;
            shared.slowlog.note(took, command, args, client, &shared.options.path);
            if !matches!(ended, Err(Stop::Cold | Stop::Control)) {
                context.commit_counts();
            }
            (ended, context.settle, std::mem::take(&mut context.wants))
        };
        let reply_bytes = connection.output.len() - start;
        if ended.is_ok() && reply_bytes > self.worker.limits.output_hard_bytes {
            count(&self.shared.totals.replies_refused);
            ended = Err(Stop::Store(crate::values::too_large(self.worker.limits.output_hard_bytes)));
        }
        if matches!(ended, Err(Stop::Cold)) && progress.runs > RUNS_MAX {
            let message = format!("{RUNS_MAX} times what a tier gave was gone from RAM again at once");
            ended = Err(Stop::Store(StoreError::new(Code::Unavailable, message)));
        }
        if ended.is_err() {
            connection.output.truncate(start);
        }
        match ended {
            Ok(()) => self.settle(connection, address, start, settle, parked),
            Err(Stop::Cold) => self.ask(connection, address, number, args, progress, wants, parked),
            Err(Stop::Control) => self.pass_on(connection, address, command, args, parked),
            Err(Stop::Error(text)) => {
                count(&self.shared.totals.error_replies);
                Reply { out: &mut connection.output, resp: connection.session.resp }.error(&text);
                Ran::Done
            }
            Err(Stop::Store(error)) => {
                self.reply_error(connection, command, &error);
                Ran::Done
            }
        }
    }

    fn reply_error(&mut self, connection: &mut Connection, command: &Command, error: &StoreError) {
        count(&self.shared.totals.error_replies);
        let resp = connection.session.resp;
        let line = failure_line(command.name, error, resp);
        connection.output.extend_from_slice(&line);
    }

    /// Puts a command that waits into a slot: the one it has, or the next.
    fn park(&mut self, connection: &mut Connection, address: Address, waiting: Waiting, parked: Option<()>) {
        match (&waiting.what, waiting.is_read) {
            (For::Log { .. }, _) => {}
            (_, true) => connection.open_reads += 1,
            (_, false) => connection.open_others += 1,
        }
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        let slot = Slot::Waiting(Box::new(waiting));
        match (parked, connection.slot(address.slot)) {
            (Some(()), Some(own)) => *own = slot,
            _ => connection.slots.push_back(slot),
        }
    }

    /// Holds the reply back until what was written is as safe as it is to be.
    fn settle(
        &mut self,
        connection: &mut Connection,
        address: Address,
        start: usize,
        durability: Option<Durability>,
        parked: Option<()>,
    ) -> Ran {
        let (Some(durability), Some(asker)) = (durability, self.worker.asker) else { return Ran::Done };
        let store = &self.worker.store;
        let Some(below) = store.below() else { return Ran::Done };
        let question = match durability {
            // What nearly every write is: in shared memory that outlives this process.
            Durability::Async if !self.shared.options.is_anonymous => None,
            Durability::Async => below.await_reached(asker, store.sequence(), Reached::Logged),
            Durability::Sync => below.await_reached(asker, store.sequence(), Reached::Durable),
            Durability::None => below.await_reached(asker, below.covered(), Reached::Durable),
        };
        let Some(question) = question else { return Ran::Done };
        count(&self.shared.totals.waited_log);
        let reply = connection.output.split_off(start);
        self.park(connection, address, Waiting { what: For::Log { reply }, is_read: false }, parked);
        self.questions.insert(question, (address, None));
        Ran::Parked
    }

    /// Asks the tiers below for what a command needs.
    #[allow(clippy::too_many_arguments)]
    fn ask(
        &mut self,
        connection: &mut Connection,
        address: Address,
        number: usize,
        args: Args,
        progress: &mut Progress,
        wants: Vec<Want>,
        parked: Option<()>,
    ) -> Ran {
        count(&self.shared.totals.waited_below);
        let mut outstanding = 0;
        for want in wants {
            match self.ask_one(address, &want) {
                Ok(is_asked) => outstanding += is_asked as usize,
                Err(error) => {
                    // Those that were asked already are answered to nobody.
                    self.reply_error(connection, &COMMANDS[number], &error);
                    return Ran::Done;
                }
            }
        }
        if outstanding == 0 {
            // RAM has learned of all of them meanwhile.
            return self.execute(connection, address, number, args, progress, parked);
        }
        let what = For::Below {
            args: OwnedArgs::of(args),
            command: number,
            progress: std::mem::take(progress),
            outstanding,
        };
        self.park(connection, address, Waiting { what, is_read: COMMANDS[number].has(READ) }, parked);
        Ran::Parked
    }

    /// Asks for a key, unless RAM knows it after all.
    fn ask_one(&mut self, address: Address, want: &Want) -> Result<bool, StoreError> {
        let store = &self.worker.store;
        let (Some(below), Some(asker)) = (store.below(), self.worker.asker) else { return Ok(false) };
        let hash = self.worker.hasher.hash(want.namespace, &want.key);
        // Before the slot is looked at: what changes from here on is noticed.
        let token = store.tokens().read(hash);
        let seen = store.reader().read(want.namespace, &want.key, hash, &mut Nothing, &mut Seen::default());
        if seen != Lookup::Miss {
            return Ok(false);
        }
        let question = below.misses.ask(asker, want.namespace, &want.key, hash, token, want.purpose)?;
        self.questions.insert(question, (address, Some((want.namespace, want.key.clone()))));
        Ok(true)
    }

    /// Sends a command to the control plane.
    fn pass_on(
        &mut self,
        connection: &mut Connection,
        address: Address,
        command: &Command,
        args: Args,
        parked: Option<()>,
    ) -> Ran {
        count(&self.shared.totals.waited_control);
        self.next_request += 1;
        let request = self.next_request * THREADS_MAX as u64 + self.number as u64;
        let Connection { id, session, .. } = connection;
        session.uses_control = true;
        let sent = self.shared.control.send(request, *id, session.resp, &session.namespace_name, args);
        if let Err(text) = sent {
            count(&self.shared.totals.error_replies);
            Reply { out: &mut connection.output, resp: connection.session.resp }.error(text);
            return Ran::Done;
        }
        self.requests.insert(request, address);
        self.park(connection, address, Waiting { what: For::Control, is_read: command.has(READ) }, parked);
        Ran::Parked
    }

    /// Runs a parked command whose answers are all in.
    pub fn run_again(&mut self, address: Address) {
        self.now = None;
        let Some(mut connection) = self.connections[address.place].take() else { return };
        if let Some(slot) = connection.slot(address.slot) {
            if let Slot::Waiting(waiting) = std::mem::replace(slot, Slot::Ready(Vec::new())) {
                self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
                match waiting.is_read {
                    true => connection.open_reads -= 1,
                    false => connection.open_others -= 1,
                }
                if let For::Below { args, command, mut progress, .. } = waiting.what {
                    // The output may hold what was not sent yet: its reply is made behind that and taken out again.
                    let start = connection.output.len();
                    let ran =
                        self.execute(&mut connection, address, command, args.args(), &mut progress, Some(()));
                    if let Ran::Done = ran {
                        let reply = connection.output.split_off(start);
                        if let Some(slot) = connection.slot(address.slot) {
                            *slot = Slot::Ready(reply);
                        }
                    }
                }
            }
        }
        self.connections[address.place] = Some(connection);
        self.enqueue(address.place);
    }
}

/// Replies are sent when there are so many bytes of them, and at the end of a turn.
const SEND_BYTES: usize = 64 << 10;
/// An output buffer that grew beyond this is given back when it is empty.
const KEPT_BYTES: usize = 256 << 10;
