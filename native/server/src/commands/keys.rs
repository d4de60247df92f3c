//! Keys: whether they are there, for how long, and their end.

use super::is_word;
use super::write_options::Expiry;
use crate::context::{error, integer, Context, NotTouched, Run, Stop, Use};
use crate::frame::Args;
use crate::values::type_name;
use crate::worker::{Durability, Namespace};
use ramcache_core::ops::read::{Nothing, Peeked};
use ramcache_core::record::Header;

/// DEL and UNLINK: memory is given back in the background either way.
pub fn del(context: &mut Context, args: Args) -> Run {
    let namespace = context.namespace();
    let removed = delete_all(context, namespace, args.skip(1))?;
    context.reply().integer(removed);
    Ok(())
}

/// Removes keys one after the other; how many there were. What was done stays done when it has to wait in between.
pub fn delete_all(context: &mut Context, namespace: Namespace, keys: Args) -> Result<i64, Stop> {
    if context.progress.runs < 2 {
        context.resolve(namespace, keys.from(context.progress.steps))?;
    }
    for key in keys.from(context.progress.steps) {
        // There never is an entry without a key.
        let is_removed = !key.is_empty() && context.delete(namespace, key, None)?;
        context.progress.sum += is_removed as i64;
        context.progress.steps += 1;
    }
    if context.progress.sum > 0 {
        context.wrote(namespace.durability);
    }
    Ok(context.progress.sum)
}

pub fn exists(context: &mut Context, args: Args) -> Run {
    let namespace = context.namespace();
    let mut count = 0;
    let mut is_cold = false;
    for key in args.from(1).filter(|key| !key.is_empty()) {
        match context.read(namespace, key, Use::Read, &mut NotTouched) {
            Ok(found) => count += found.is_some() as i64,
            Err(Stop::Cold) => is_cold = true,
            Err(other) => return Err(other),
        }
    }
    if is_cold {
        return Err(Stop::Cold);
    }
    context.reply().integer(count);
    Ok(())
}

pub fn touch(context: &mut Context, args: Args) -> Run {
    let namespace = context.namespace();
    let mut count = 0;
    let mut is_cold = false;
    for key in args.from(1).filter(|key| !key.is_empty()) {
        match context.read(namespace, key, Use::Read, &mut Nothing) {
            Ok(found) => count += found.is_some() as i64,
            Err(Stop::Cold) => is_cold = true,
            Err(other) => return Err(other),
        }
    }
    if is_cold {
        return Err(Stop::Cold);
    }
    context.reply().integer(count);
    Ok(())
}

pub fn type_of(context: &mut Context, args: Args) -> Run {
    let namespace = context.namespace();
    let mut peeked = Peeked::default();
    match look(context, namespace, args.get(1), &mut peeked)? {
        None => context.reply().simple("none"),
        Some(header) => match type_name(header.value_type, &peeked.0.value) {
            Some(name) => context.reply().simple(name),
            None => return Err(Stop::Control),
        },
    }
    Ok(())
}

/// A look at an entry that is no use of it; an empty key is never there.
pub fn look<D: ramcache_core::ops::read::Destination>(
    context: &mut Context,
    namespace: Namespace,
    key: &[u8],
    destination: &mut D,
) -> Result<Option<Header>, Stop> {
    if key.is_empty() {
        return Ok(None);
    }
    Ok(context.read(namespace, key, Use::Look, destination)?.map(|(header, _)| header))
}

pub fn ttl(context: &mut Context, args: Args) -> Run {
    reply_expiry(context, args, |expires_at, now| (expires_at.saturating_sub(now) as i64 + 500) / 1000)
}

pub fn pttl(context: &mut Context, args: Args) -> Run {
    reply_expiry(context, args, |expires_at, now| expires_at.saturating_sub(now) as i64)
}

pub fn expiretime(context: &mut Context, args: Args) -> Run {
    reply_expiry(context, args, |expires_at, _| (expires_at as i64 + 500) / 1000)
}

pub fn pexpiretime(context: &mut Context, args: Args) -> Run {
    reply_expiry(context, args, |expires_at, _| expires_at as i64)
}

fn reply_expiry(context: &mut Context, args: Args, number: fn(u64, u64) -> i64) -> Run {
    let namespace = context.namespace();
    let answer = match look(context, namespace, args.get(1), &mut NotTouched)? {
        None => -2,
        Some(header) if header.expires_at == 0 => -1,
        Some(header) => number(header.expires_at, context.now_ms()),
    };
    context.reply().integer(answer);
    Ok(())
}

pub fn expire(context: &mut Context, args: Args) -> Run {
    expire_with(context, args, "expire", 1000, false)
}

pub fn pexpire(context: &mut Context, args: Args) -> Run {
    expire_with(context, args, "pexpire", 1, false)
}

pub fn expireat(context: &mut Context, args: Args) -> Run {
    expire_with(context, args, "expireat", 1000, true)
}

pub fn pexpireat(context: &mut Context, args: Args) -> Run {
    expire_with(context, args, "pexpireat", 1, true)
}

/// Only when the expiry there is fits.
#[derive(Clone, Copy, Default)]
struct Wanted {
    none: bool,
    some: bool,
    later: bool,
    earlier: bool,
}

fn expire_with(context: &mut Context, args: Args, name: &str, unit_ms: i64, is_absolute: bool) -> Run {
    let mut wanted = Wanted::default();
    for option in args.from(3) {
        match () {
            () if is_word(option, "nx") => wanted.none = true,
            () if is_word(option, "xx") => wanted.some = true,
            () if is_word(option, "gt") => wanted.later = true,
            () if is_word(option, "lt") => wanted.earlier = true,
            () => {
                let option = String::from_utf8_lossy(option);
                return error(format!("ERR Unsupported option {option}"));
            }
        }
    }
    if wanted.none && (wanted.some || wanted.later || wanted.earlier) {
        return error("ERR NX and XX, GT or LT options at the same time are not compatible");
    }
    if wanted.later && wanted.earlier {
        return error("ERR GT and LT options at the same time are not compatible");
    }
    let number = integer(args.get(2))?;
    let now = context.now_ms();
    let base = if is_absolute { 0 } else { now as i64 };
    let when = number.checked_mul(unit_ms).and_then(|ms| ms.checked_add(base));
    let Some(when) = when else {
        return error(format!("ERR invalid expire time in '{name}' command"));
    };
    let namespace = context.namespace();
    let key = args.get(1);
    let mut is_held = true;
    if wanted.none || wanted.some || wanted.later || wanted.earlier {
        let Some((header, _)) = context.read(namespace, key, Use::Decide, &mut NotTouched)? else {
            context.reply().integer(0);
            return Ok(());
        };
        let has_expiry = header.expires_at != 0;
        let current = header.expires_at as i64;
        is_held = (!wanted.none || !has_expiry)
            && (!wanted.some || has_expiry)
            && (!wanted.later || (has_expiry && when > current))
            && (!wanted.earlier || !has_expiry || when < current);
    }
    let is_set = is_held
        && match when <= now as i64 {
            true => context.delete(namespace, key, None)?,
            false => touch_until(context, namespace, key, when as u64)?,
        };
    context.reply().integer(is_set as i64);
    Ok(())
}

/// A new time of expiry, 0 = none; whether there was an entry.
fn touch_until(context: &mut Context, namespace: Namespace, key: &[u8], when: u64) -> Result<bool, Stop> {
    match context.worker.store.expire_at(namespace.id, key, when, &mut context.worker.buffer) {
        Ok(is_there) => {
            if is_there {
                context.wrote(namespace.durability);
            }
            Ok(is_there)
        }
        Err(failure) => Err(context.cold_or(failure, namespace.id, key)),
    }
}

pub fn persist(context: &mut Context, args: Args) -> Run {
    let namespace = context.namespace();
    let key = args.get(1);
    let found = context.read(namespace, key, Use::Decide, &mut NotTouched)?;
    let has_expiry = found.is_some_and(|(header, _)| header.expires_at != 0);
    let is_removed = has_expiry && touch_until(context, namespace, key, 0)?;
    context.reply().integer(is_removed as i64);
    Ok(())
}

/// For GETEX, which has read the entry before.
pub fn set_expiry(context: &mut Context, namespace: Namespace, key: &[u8], expiry: Expiry) -> Run {
    let now = context.now_ms();
    let when = match expiry {
        Expiry::Usual | Expiry::Never => 0,
        Expiry::In(ms) => now + ms,
        Expiry::At(ms) => ms,
    };
    match when != 0 && when <= now {
        true => context.delete(namespace, key, None)?,
        false => touch_until(context, namespace, key, when)?,
    };
    Ok(())
}

pub fn flushdb(context: &mut Context, args: Args) -> Run {
    check_flush(args)?;
    let namespace = context.namespace();
    clear(context, namespace)?;
    context.reply().ok();
    Ok(())
}

/// Whatever SELECT reaches.
pub fn flushall(context: &mut Context, args: Args) -> Run {
    check_flush(args)?;
    for number in 0..super::connection::DATABASES {
        let name = super::connection::database_name(number);
        if let Some(namespace) = context.worker.find_namespace(name.as_bytes())? {
            clear(context, namespace)?;
        }
    }
    context.reply().ok();
    Ok(())
}

fn check_flush(args: Args) -> Run {
    match args.len() {
        1 => Ok(()),
        2 if is_word(args.get(1), "async") || is_word(args.get(1), "sync") => Ok(()),
        _ => error(crate::context::SYNTAX),
    }
}

pub fn clear(context: &mut Context, namespace: Namespace) -> Run {
    context.worker.store.clear(namespace.id)?;
    context.wrote(durability_of_epoch(namespace));
    Ok(())
}

/// Of a clear or an invalidated tag: what lies below is hidden by the log's epoch alone, so it has to be there.
pub fn durability_of_epoch(namespace: Namespace) -> Durability {
    match namespace.durability {
        Durability::None => Durability::Sync,
        _ => Durability::Async,
    }
}
