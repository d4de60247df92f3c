//! Requests for the control plane: what a server thread cannot answer, because it takes JavaScript.
//!
//! A request goes out with everything that is needed to answer it and comes back as the bytes of its reply. Nobody waits
//! for it here: the thread that sent it goes on with other connections.

use crate::frame::Args;
use crate::limits::{count, Totals};
use crate::reply::Resp;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Rings when there are requests.
pub type Bell = Box<dyn Fn() + Send + Sync>;

/// The answer when there is nobody to give one.
pub const GONE: &[u8] = b"-RC UNAVAILABLE the control plane of this store is gone\r\n";

/// What the control plane is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Command = 1,
    /// A connection that has sent commands is gone; nobody waits for an answer.
    Closed = 2,
}

/// Requests that wait, packed as they are taken:
///
/// ```text
/// u64 request | u64 connection | u8 kind | u8 2 or 3 (RESP) | u16 bytes of the namespace | u32 arguments |
/// namespace, then for each argument: u32 bytes, bytes
/// ```
#[derive(Default)]
struct Queue {
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    bell: Option<Bell>,
    is_closed: bool,
}

pub struct Control {
    queue: Mutex<Queue>,
    bytes_max: usize,
    totals: Arc<Totals>,
}

impl Control {
    pub fn new(bytes_max: usize, totals: Arc<Totals>) -> Control {
        Control { queue: Mutex::default(), bytes_max, totals }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who is told of requests; the bell rings at once when some wait. With `None` there is nobody.
    pub fn listen(&self, bell: Option<Bell>) {
        let mut queue = self.queue();
        let old = std::mem::replace(&mut queue.bell, bell);
        if let (Some(bell), false) = (&queue.bell, queue.waiting.is_empty()) {
            bell();
        }
        drop(queue);
        // A bell may do anything when it is dropped, so not under the lock.
        drop(old);
    }

    /// Forgets what waits.
    pub fn clear(&self) {
        let mut queue = self.queue();
        queue.waiting.clear();
        queue.bytes = 0;
    }

    /// Sends a command off. The error says why not.
    pub fn send(
        &self,
        id: u64,
        connection: u64,
        resp: Resp,
        namespace: &str,
        args: Args,
    ) -> std::result::Result<(), &'static str> {
        self.push(pack(id, connection, Kind::Command, resp, namespace, args))
    }

    /// Tells of a connection that is gone.
    pub fn send_closed(&self, connection: u64) {
        let nothing = Args { bytes: &[], places: &[] };
        let _ = self.push(pack(0, connection, Kind::Closed, Resp::Two, "", nothing));
    }

    fn push(&self, packed: Vec<u8>) -> std::result::Result<(), &'static str> {
        let mut queue = self.queue();
        if queue.bell.is_none() || queue.is_closed {
            return Err("RC UNAVAILABLE the control plane of this store is gone");
        }
        if queue.bytes + packed.len() > self.bytes_max {
            count(&self.totals.control_hits);
            return Err("RC UNAVAILABLE too much waits for the control plane of this store");
        }
        queue.bytes += packed.len();
        queue.waiting.push_back(packed);
        if let Some(bell) = &queue.bell {
            bell();
        }
        Ok(())
    }

    /// Takes requests, back to back: about `bytes_max` of them, one at least when there is one.
    pub fn take(&self, bytes_max: usize) -> Vec<u8> {
        let mut queue = self.queue();
        let mut taken = Vec::new();
        while let Some(next) = queue.waiting.front() {
            if !taken.is_empty() && taken.len() + next.len() > bytes_max {
                break;
            }
            let next = queue.waiting.pop_front().expect("just seen");
            queue.bytes -= next.len();
            taken.extend_from_slice(&next);
        }
        taken
    }

    /// Takes no more requests.
    pub fn close(&self) {
        let mut queue = self.queue();
        queue.is_closed = true;
        let bell = queue.bell.take();
        drop(queue);
        drop(bell);
    }
}

fn pack(id: u64, connection: u64, kind: Kind, resp: Resp, namespace: &str, args: Args) -> Vec<u8> {
    let mut packed =
        Vec::with_capacity(32 + namespace.len() + args.from(0).map(|arg| arg.len() + 4).sum::<usize>());
    packed.extend_from_slice(&id.to_le_bytes());
    packed.extend_from_slice(&connection.to_le_bytes());
    packed.push(kind as u8);
    packed.push(if resp == Resp::Three { 3 } else { 2 });
    packed.extend_from_slice(&(namespace.len() as u16).to_le_bytes());
    packed.extend_from_slice(&(args.len() as u32).to_le_bytes());
    packed.extend_from_slice(namespace.as_bytes());
    for arg in args.from(0) {
        packed.extend_from_slice(&(arg.len() as u32).to_le_bytes());
        packed.extend_from_slice(arg);
    }
    packed
}
