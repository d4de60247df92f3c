//! RC.GETORLEASE, RC.ABANDON: who computes a missing value. A lease ends with the connection that got it.

use super::own::reply_entry;
use super::{is_word, own_writes};
use crate::context::{error, Context, Place, Run, Stop, SYNTAX};
use crate::frame::Args;
use crate::number::parse_u64;
use ramcache_core::error::{Code, StoreError};
use ramcache_core::leases::Leased;
use ramcache_core::ops::read::Copied;

fn milliseconds(text: &[u8], what: &str) -> Result<u64, Stop> {
    parse_u64(text).ok_or_else(|| {
        let shown = String::from_utf8_lossy(&text[..text.len().min(80)]);
        Stop::Store(StoreError::new(Code::Config, format!("{what} must be a whole number, not {shown:?}")))
    })
}

/// A token is written as 16 hexadecimal digits.
pub fn token(text: &[u8]) -> Result<u64, Stop> {
    let digits = std::str::from_utf8(text).ok().filter(|digits| digits.len() == 16);
    let is_hex = |digits: &&str| digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    digits.filter(is_hex).and_then(|digits| u64::from_str_radix(digits, 16).ok()).ok_or_else(|| {
        let shown = String::from_utf8_lossy(&text[..text.len().min(80)]);
        Stop::Store(StoreError::new(Code::Config, format!("{shown:?} is not the token of a lease")))
    })
}

pub fn get_or_lease(context: &mut Context, args: Args) -> Run {
    let refreshes = match args.len() {
        4 => false,
        5 if is_word(args.get(4), "refresh") => true,
        _ => return error(SYNTAX),
    };
    let lease_ms = milliseconds(args.get(3), "the length of a lease")?;
    let namespace = own_writes::namespace(context, args)?;
    let key = args.get(2);
    let holder = context.session.client.id;
    context.session.has_leases = true;
    let leased = match context.worker.store.lease(namespace.id, key, holder, lease_ms, refreshes) {
        Ok(leased) => leased,
        Err(error) => return Err(context.cold_or(error, namespace.id, key)),
    };
    let (state, token) = match leased {
        Leased::Fresh => ("fresh", None),
        Leased::Granted(token) => ("granted", Some(token)),
        Leased::Busy => ("busy", None),
        Leased::Paused => ("paused", None),
    };
    let stale = match leased {
        Leased::Fresh => None,
        _ => context.worker.store.stale(namespace.id, key),
    };
    let mut reply = context.reply();
    reply.array(3);
    reply.bulk(state.as_bytes());
    match token {
        Some(token) => reply.bulk(format!("{token:016x}").as_bytes()),
        None => reply.nil(),
    }
    match stale {
        Some(stale) => {
            let copied = Copied { value: stale.value, tags: stale.tags };
            reply_entry(context, &stale.header, &copied, Place::Ram);
        }
        None => reply.nil(),
    }
    Ok(())
}

pub fn abandon(context: &mut Context, args: Args) -> Run {
    let pause_ms = match args.len() {
        4 => 0,
        6 if is_word(args.get(4), "pause") => milliseconds(args.get(5), "PAUSE")?,
        _ => return error(SYNTAX),
    };
    let token = token(args.get(3))?;
    let Some(namespace) = context.worker.find_namespace(args.get(1))? else {
        context.reply().integer(0);
        return Ok(());
    };
    let was_out =
        context.worker.store.abandon(namespace.id, args.get(2), token, pause_ms).map_err(Stop::Store)?;
    context.reply().integer(was_out as i64);
    Ok(())
}
