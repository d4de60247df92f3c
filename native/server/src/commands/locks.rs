//! RC.LOCK, RC.UNLOCK, RC.RENEW. A connection holds what it has locked, and lets go of it when it ends.
//!
//! Waiting never holds up a connection: with TICKET the answer comes at once, and when the lock has come a push that names
//! the ticket, between replies: the form of RESP3 whatever the connection speaks.

use super::is_word;
use super::own_writes::{refuse, shown};
use crate::context::{error, Context, Run, Stop, SYNTAX};
use crate::frame::Args;
use crate::number::{parse_u64, SAFE_INTEGER_MAX};
use crate::reply::Reply;
use crate::session::Session;
use crate::shared::{Mail, Shared};
use ramcache_core::error::Code;
use ramcache_core::locks::Attempt;
use std::sync::atomic::Ordering;
use std::sync::Arc;

/// A connection as one that may hold locks; dropped, it has ended, whatever the reason. The end of the server is not the end
/// of its clients: what they hold then stands until it expires.
pub struct LockHolder {
    number: u64,
    shared: Arc<Shared>,
}

impl Drop for LockHolder {
    fn drop(&mut self) {
        let lets_go = !self.shared.is_stopping.load(Ordering::Acquire);
        // A store that a fault has broken must not take the process along.
        let leave = || self.shared.store.leave_locks(self.number, lets_go);
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(leave));
    }
}

/// Ten years, as everywhere.
const TTL_MS_MAX: u64 = 10 * 365 * 86_400_000;
/// A token has so many decimal digits, so that text order is number order.
const TOKEN_DIGITS: usize = 18;

pub fn token_text(token: u64) -> String {
    format!("{token:0TOKEN_DIGITS$}")
}

fn ttl(text: &[u8]) -> Result<u64, Stop> {
    match parse_u64(text).filter(|ms| (1..=TTL_MS_MAX).contains(ms)) {
        Some(ms) => Ok(ms),
        None => {
            let message =
                format!("the time to live of a lock is 1 to {TTL_MS_MAX} milliseconds, not {}", shown(text));
            refuse(Code::Config, message)
        }
    }
}

/// What is no token is the token of nobody.
fn token(text: &[u8]) -> u64 {
    parse_u64(text).unwrap_or(0)
}

fn ticket(text: &[u8]) -> Result<u64, Stop> {
    match parse_u64(text).filter(|number| *number <= SAFE_INTEGER_MAX as u64) {
        Some(number) => Ok(number),
        None => refuse(
            Code::Config,
            format!("a ticket is a whole number of at most 2^53 - 1, not {}", shown(text)),
        ),
    }
}

/// The number of a user's namespace, which is made when it is new.
fn namespace(context: &mut Context, args: Args) -> Result<u32, Stop> {
    let name = args.get(1);
    if name.starts_with(b" ") {
        return refuse(Code::Config, "this namespace is for the store itself");
    }
    Ok(context.worker.namespace(name)?.id)
}

/// The connection among those who may hold locks.
fn holder(context: &mut Context) -> u64 {
    if let Some(holder) = &context.session.lock_holder {
        return holder.number;
    }
    let shared = Arc::clone(&context.worker.shared);
    let client = &context.session.client;
    let (connection, thread) = (client.id, client.thread);
    let tell = {
        let shared = Arc::clone(&shared);
        move |ticket, token| shared.mailboxes[thread].send(Mail::Locked { connection, ticket, token })
    };
    let number = shared.store.join_locks(client.pid, false, Box::new(tell));
    context.session.lock_holder = Some(LockHolder { number, shared });
    number
}

pub fn lock(context: &mut Context, args: Args) -> Run {
    let ticket = match args.len() {
        4 => None,
        6 if is_word(args.get(4), "ticket") => Some(ticket(args.get(5))?),
        _ => return error(SYNTAX),
    };
    let ttl_ms = ttl(args.get(3))?;
    let namespace = namespace(context, args)?;
    let holder = holder(context);
    let attempt = context.worker.store.lock_key(holder, namespace, args.get(2), ttl_ms, ticket)?;
    let mut reply = context.reply();
    let mut held = |word: &str, pid: u32, left_ms: u64| {
        reply.array(3);
        reply.bulk(word.as_bytes());
        reply.integer(pid as i64);
        reply.integer(left_ms as i64);
    };
    match attempt {
        Attempt::Held { pid, left_ms } => held("held", pid, left_ms),
        Attempt::Queued { pid, left_ms } => held("queued", pid, left_ms),
        Attempt::Locked(token) => {
            reply.array(2);
            reply.bulk(b"locked");
            reply.bulk(token_text(token).as_bytes());
        }
    }
    Ok(())
}

pub fn unlock(context: &mut Context, args: Args) -> Run {
    let was_so = match args.len() {
        4 => {
            let namespace = namespace(context, args)?;
            context.worker.store.unlock_key(namespace, args.get(2), token(args.get(3)))?
        }
        5 if is_word(args.get(3), "ticket") => {
            let ticket = ticket(args.get(4))?;
            let holder = &context.session.lock_holder;
            holder.as_ref().is_some_and(|holder| holder.shared.store.cancel_lock(holder.number, ticket))
        }
        _ => return error(SYNTAX),
    };
    context.reply().integer(was_so as i64);
    Ok(())
}

pub fn renew(context: &mut Context, args: Args) -> Run {
    let ttl_ms = ttl(args.get(4))?;
    let namespace = namespace(context, args)?;
    let (holder, token) = (holder(context), token(args.get(3)));
    let is_renewed = context.worker.store.renew_lock(holder, namespace, args.get(2), token, ttl_ms)?;
    context.reply().integer(is_renewed as i64);
    Ok(())
}

/// What a connection is told when a lock has come that it waited for.
pub fn push(session: &Session, ticket: u64, token: u64) -> Vec<u8> {
    let mut out = b">3\r\n".to_vec();
    let mut reply = Reply { out: &mut out, resp: session.resp };
    reply.bulk(b"rc.lock");
    reply.integer(ticket as i64);
    reply.bulk(token_text(token).as_bytes());
    out
}
