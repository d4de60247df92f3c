//! Strings: reading and writing whole values.

use super::write_options::{expiry, Expiry, SetOptions};
use crate::context::{error, Context, Current, Fetched, NotTouched, Replacement, Run, Stop, Use, WRONG_TYPE};
use crate::frame::Args;
use crate::values::{read_many, reply_value, text, type_for};
use crate::worker::{Durability, Namespace};
use ramcache_core::ops::{Conditions, Outcome, WriteRequest};

pub fn get(context: &mut Context, args: Args) -> Run {
    let namespace = context.namespace();
    reply_value(context, namespace, args.get(1)).map(|_| ())
}

pub fn mget(context: &mut Context, args: Args) -> Run {
    let namespace = context.namespace();
    context.reply().array(args.len() - 1);
    read_many(context, args.from(1), |context, key| match key.is_empty() {
        true => {
            context.reply().nil();
            Ok(())
        }
        false => reply_value(context, namespace, key).map(|_| ()),
    })
}

pub fn set(context: &mut Context, args: Args) -> Run {
    let options = SetOptions::parse(context, args)?;
    let (key, value) = (args.get(1), args.get(2));
    let namespace = context.namespace();
    if options.gets || options.keeps_ttl {
        return set_by_update(context, namespace, key, value, options);
    }
    let conditions =
        Conditions { if_absent: options.if_absent, if_present: options.if_present, ..Conditions::default() };
    match put(context, namespace, key, value, options.expiry, conditions)? {
        Outcome::Written(_) => context.reply().ok(),
        Outcome::Refused => context.reply().nil(),
    }
    Ok(())
}

/// What needs the entry that is there.
fn set_by_update(
    context: &mut Context,
    namespace: Namespace,
    key: &[u8],
    value: &[u8],
    options: SetOptions,
) -> Run {
    let (is_written, old) = context.update(namespace, key, |_, current| {
        let old = match (options.gets, current) {
            (true, Some(current)) => Some(string_of(current)?),
            _ => None,
        };
        if (options.if_absent && current.is_some()) || (options.if_present && current.is_none()) {
            return Ok((None, (false, old)));
        }
        Ok((Some(replacement(namespace, value, options.expiry, options.keeps_ttl, current)), (true, old)))
    })?;
    match (options.gets, old) {
        (true, Some(old)) => context.reply().bulk(&old),
        (false, _) if is_written => context.reply().ok(),
        _ => context.reply().nil(),
    }
    Ok(())
}

fn replacement(
    namespace: Namespace,
    value: &[u8],
    expiry: Expiry,
    keeps_ttl: bool,
    current: Option<&Current>,
) -> Replacement {
    let (ttl_ms, expires_at) = match (keeps_ttl, current) {
        (true, Some(current)) => (0, current.header.expires_at),
        (true, None) => (0, 0),
        (false, _) => expiry.times(namespace),
    };
    Replacement { value_type: type_for(value), value: value.to_vec(), keeps: false, ttl_ms, expires_at }
}

/// The text of an entry; an error when it is no string to Redis.
pub fn string_of(current: &Current) -> Result<Vec<u8>, Stop> {
    match text(current.header.value_type, &current.value) {
        Some(text) => Ok(text.into_owned()),
        None => error(WRONG_TYPE),
    }
}

fn put(
    context: &mut Context,
    namespace: Namespace,
    key: &[u8],
    value: &[u8],
    expiry: Expiry,
    conditions: Conditions,
) -> Result<Outcome, Stop> {
    let (ttl_ms, expires_at) = expiry.times(namespace);
    let request = WriteRequest {
        namespace: namespace.id,
        key,
        value_type: type_for(value),
        value,
        ttl_ms,
        expires_at,
        is_volatile: namespace.durability == Durability::None,
        conditions,
        ..WriteRequest::default()
    };
    context.set(&request, namespace.durability)
}

pub fn setex(context: &mut Context, args: Args) -> Run {
    set_with(context, args, "setex", 1000)
}

pub fn psetex(context: &mut Context, args: Args) -> Run {
    set_with(context, args, "psetex", 1)
}

fn set_with(context: &mut Context, args: Args, name: &str, unit_ms: i64) -> Run {
    let now = context.now_ms();
    let expiry = expiry(args.get(2), unit_ms, false, name, now)?;
    let namespace = context.namespace();
    put(context, namespace, args.get(1), args.get(3), expiry, Conditions::default())?;
    context.reply().ok();
    Ok(())
}

pub fn setnx(context: &mut Context, args: Args) -> Run {
    let namespace = context.namespace();
    let conditions = Conditions { if_absent: true, ..Conditions::default() };
    let outcome = put(context, namespace, args.get(1), args.get(2), Expiry::Usual, conditions)?;
    context.reply().integer((outcome != Outcome::Refused) as i64);
    Ok(())
}

pub fn getset(context: &mut Context, args: Args) -> Run {
    let namespace = context.namespace();
    let (key, value) = (args.get(1), args.get(2));
    let old = context.update(namespace, key, |_, current| {
        let old = current.map(string_of).transpose()?;
        Ok((Some(replacement(namespace, value, Expiry::Usual, false, current)), old))
    })?;
    match old {
        Some(old) => context.reply().bulk(&old),
        None => context.reply().nil(),
    }
    Ok(())
}

pub fn getdel(context: &mut Context, args: Args) -> Run {
    let namespace = context.namespace();
    let key = args.get(1);
    for _ in 0..1000 {
        let mut fetched = Fetched::default();
        let Some((header, _)) = context.read(namespace, key, Use::Decide, &mut fetched)? else {
            context.reply().nil();
            return Ok(());
        };
        let Some(old) = text(header.value_type, &fetched.value).map(|text| text.into_owned()) else {
            return error(WRONG_TYPE);
        };
        let origin = context.worker.store.origin();
        let version = ramcache_core::ops::Version { clock: header.clock, origin };
        if context.delete(namespace, key, Some(version))? {
            context.reply().bulk(&old);
            return Ok(());
        }
    }
    error("RC CONFLICT lost the race for a key 1000 times, which is the limit")
}

pub fn getex(context: &mut Context, args: Args) -> Run {
    let namespace = context.namespace();
    let key = args.get(1);
    SetOptions::check_getex(args)?;
    let mut fetched = Fetched::default();
    let Some((header, _)) = context.read(namespace, key, Use::Decide, &mut fetched)? else {
        context.reply().nil();
        return Ok(());
    };
    let Some(value) = text(header.value_type, &fetched.value).map(|text| text.into_owned()) else {
        return error(WRONG_TYPE);
    };
    if let Some(expiry) = SetOptions::parse_getex(context, args)? {
        // PERSIST of what never expires is no change, for who watches it either.
        if !matches!(expiry, Expiry::Never) || header.expires_at != 0 {
            super::keys::set_expiry(context, namespace, key, expiry)?;
        }
    }
    context.reply().bulk(&value);
    Ok(())
}

pub fn mset(context: &mut Context, args: Args) -> Run {
    if args.len().is_multiple_of(2) {
        return error(super::wrong_arity("mset"));
    }
    put_all(context, args)?;
    context.reply().ok();
    Ok(())
}

pub fn msetnx(context: &mut Context, args: Args) -> Run {
    if args.len().is_multiple_of(2) {
        return error(super::wrong_arity("msetnx"));
    }
    let namespace = context.namespace();
    context.resolve(namespace, args.from(1).step_by(2))?;
    for key in args.from(1).step_by(2) {
        if context.read(namespace, key, Use::Decide, &mut NotTouched)?.is_some() {
            context.reply().integer(0);
            return Ok(());
        }
    }
    put_all(context, args)?;
    context.reply().integer(1);
    Ok(())
}

fn put_all(context: &mut Context, args: Args) -> Run {
    let namespace = context.namespace();
    let requests: Vec<WriteRequest> = (1..args.len())
        .step_by(2)
        .map(|at| WriteRequest {
            namespace: namespace.id,
            key: args.get(at),
            value_type: type_for(args.get(at + 1)),
            value: args.get(at + 1),
            ttl_ms: namespace.ttl_ms,
            is_volatile: namespace.durability == Durability::None,
            ..WriteRequest::default()
        })
        .collect();
    context.worker.store.set_many(&requests)?;
    context.wrote(namespace.durability);
    Ok(())
}
