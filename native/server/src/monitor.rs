//! MONITOR: connections that see every command of every connection.

use crate::commands::Command;
use crate::frame::Args;
use crate::session::Session;
use crate::shared::{Mail, Shared};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Default)]
pub struct Monitors {
    count: AtomicUsize,
    /// LOCK: monitors. Alone. Connections and their threads.
    who: Mutex<BTreeMap<u64, usize>>,
}

impl Monitors {
    fn who(&self) -> MutexGuard<'_, BTreeMap<u64, usize>> {
        self.who.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody sees commands.
    #[inline]
    pub fn are_there(&self) -> bool {
        self.count.load(Ordering::Relaxed) != 0
    }

    pub fn add(&self, connection: u64, thread: usize) {
        let mut who = self.who();
        who.insert(connection, thread);
        self.count.store(who.len(), Ordering::Relaxed);
    }

    pub fn remove(&self, connection: u64) {
        let mut who = self.who();
        who.remove(&connection);
        self.count.store(who.len(), Ordering::Relaxed);
    }
}

/// Shows a command that has begun. As Redis has it, what only operators send is not shown, nor is a password.
#[cold]
pub fn show(shared: &Shared, session: &Session, command: &Command, args: Args) {
    if !command.is_shown(args) {
        return;
    }
    let line: Arc<[u8]> = line(shared, session, command, args).into();
    let who = shared.monitors.who().clone();
    for (connection, thread) in who {
        shared.mailboxes[thread].send(Mail::Line { connection, line: Arc::clone(&line) });
    }
}

fn line(shared: &Shared, session: &Session, command: &Command, args: Args) -> Vec<u8> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let place = match session.namespace_name.as_str() {
        "default" => "0",
        // A database by its number, another namespace by its name.
        name => name.strip_prefix("db").filter(|number| number.parse::<u8>().is_ok()).unwrap_or(name),
    };
    let from = match session.client.address {
        None => format!("unix:{}", shared.options.path.display()),
        Some(address) => address.peer.to_string(),
    };
    let mut line = format!("+{}.{:06} [{place} {from}]", now.as_secs(), now.subsec_micros()).into_bytes();
    let secrets = command.secrets(args);
    for (number, arg) in args.from(0).enumerate() {
        line.push(b' ');
        match secrets.contains(&number) {
            true => line.extend_from_slice(b"\"(redacted)\""),
            false => quote(arg, &mut line),
        }
    }
    line.extend_from_slice(b"\r\n");
    line
}

/// As Redis writes what may be any bytes.
fn quote(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in bytes {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            7 => out.extend_from_slice(b"\\a"),
            8 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(*byte),
            byte => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
    out.push(b'"');
}
