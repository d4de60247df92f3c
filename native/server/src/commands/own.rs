//! Our own commands that read. They give values as they are stored: whoever asks knows the types.

use super::is_word;
use crate::context::{error, Context, Place, Run, Stop, Use, SYNTAX};
use crate::frame::Args;
use crate::values::read_many;
use crate::worker::Namespace;
use ramcache_core::clock;
use ramcache_core::layout::LAYOUT_VERSION;
use ramcache_core::ops::read::{Copied, Nothing, Peeked};
use ramcache_core::ops::Version;
use ramcache_core::record::Header;
use ramcache_core::tags;
use std::sync::atomic::Ordering;

/// What JavaScript answers.
pub fn to_control(_context: &mut Context, _args: Args) -> Run {
    Err(Stop::Control)
}

/// A version as text: clock and origin in hexadecimal digits, so that text order is version order.
pub fn version_text(version: Version) -> [u8; 33] {
    let mut text = [b'-'; 33];
    put_hex(&mut text[..16], version.clock);
    put_hex(&mut text[17..], version.origin);
    text
}

fn put_hex(digits: &mut [u8], number: u64) {
    let mut left = number;
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(left & 15) as usize];
        left >>= 4;
    }
}

pub fn open(context: &mut Context, args: Args) -> Run {
    let client = &context.session.client;
    match args.len() {
        1 => {}
        // Only a process of this machine can own the store.
        2 if is_word(args.get(1), "join") => {
            client.is_joined.store(client.address.is_none(), Ordering::Relaxed);
        }
        _ => return error(SYNTAX),
    }
    let shared = std::sync::Arc::clone(&context.worker.shared);
    let options = &shared.options;
    let flag = |is_so: bool| if is_so { "1" } else { "0" }.to_owned();
    let fields = [
        ("pid", std::process::id().to_string()),
        ("data", options.data.clone()),
        ("touch", options.touch.clone()),
        ("arenaId", format!("{:016x}", options.arena_id)),
        ("layout", LAYOUT_VERSION.to_string()),
        ("dir", options.dir.display().to_string()),
        ("budgetBytes", shared.store.budget_bytes().to_string()),
        ("hasTiers", flag(shared.store.below().is_some())),
        ("isAnonymous", flag(options.is_anonymous)),
        ("mode", if options.is_daemon { "daemon" } else { "embedded" }.to_owned()),
        ("version", options.version.clone()),
    ];
    let mut reply = context.reply();
    reply.array(fields.len() * 2);
    for (name, value) in fields {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    Ok(())
}

pub fn ns(context: &mut Context, args: Args) -> Run {
    let name = args.get(1);
    if name.starts_with(b" ") {
        return error("RC CONFIG this namespace is for the store itself");
    }
    select(context, name)?;
    context.reply().ok();
    Ok(())
}

/// Redis commands of this connection work in a namespace from now on.
pub fn select(context: &mut Context, name: &[u8]) -> Run {
    let namespace = context.worker.namespace(name)?;
    context.session.namespace = namespace;
    if context.session.tracks.is_some() {
        context.worker.shared.track_namespace(context.session.client.id, namespace.id);
    }
    context.session.namespace_name = String::from_utf8_lossy(name).into_owned();
    context.session.client.namespace.store(namespace.id, Ordering::Relaxed);
    Ok(())
}

/// `None` when nobody has made the namespace: then all is a miss.
fn namespace(context: &mut Context, args: Args) -> Result<Option<Namespace>, Stop> {
    Ok(context.worker.find_namespace(args.get(1))?)
}

pub fn get(context: &mut Context, args: Args) -> Run {
    let namespace = namespace(context, args)?;
    reply_value(context, namespace, args.get(2))
}

pub fn mget(context: &mut Context, args: Args) -> Run {
    let namespace = namespace(context, args)?;
    context.reply().array(args.len() - 2);
    read_many(context, args.from(2), |context, key| reply_value(context, namespace, key))
}

fn reply_value(context: &mut Context, namespace: Option<Namespace>, key: &[u8]) -> Run {
    let mut copied = Copied::default();
    let found = match namespace {
        Some(namespace) => context.read(namespace, key, Use::Read, &mut copied)?,
        None => None,
    };
    let Some((header, place)) = found else {
        context.reply().nil();
        return Ok(());
    };
    let mut reply = context.reply();
    reply.array(3);
    reply.integer(header.value_type as i64);
    reply.bulk(&copied.value);
    reply.bulk(place.name().as_bytes());
    Ok(())
}

pub fn has(context: &mut Context, args: Args) -> Run {
    let found = match namespace(context, args)? {
        Some(namespace) => context.read(namespace, args.get(2), Use::Read, &mut Nothing)?,
        None => None,
    };
    context.reply().integer(found.is_some() as i64);
    Ok(())
}

pub fn entry(context: &mut Context, args: Args) -> Run {
    let looks = match args.len() {
        3 => false,
        4 if is_word(args.get(3), "look") => true,
        _ => return error(SYNTAX),
    };
    let mut copied = Copied::default();
    let found = match (namespace(context, args)?, looks) {
        (None, _) => None,
        (Some(namespace), false) => context.read(namespace, args.get(2), Use::Read, &mut copied)?,
        (Some(namespace), true) => {
            let mut peeked = Peeked::default();
            let found = context.read(namespace, args.get(2), Use::Look, &mut peeked)?;
            copied = peeked.0;
            found
        }
    };
    match found {
        None => context.reply().nil(),
        Some((header, place)) => reply_entry(context, &header, &copied, place),
    }
    Ok(())
}

pub fn reply_entry(context: &mut Context, header: &Header, copied: &Copied, place: Place) {
    let origin = context.worker.store.origin();
    let tags: Vec<&[u8]> = tags::split(&copied.tags).collect();
    let mut reply = context.reply();
    reply.array(10);
    reply.integer(header.value_type as i64);
    reply.bulk(&copied.value);
    reply.bulk(&version_text(Version { clock: header.clock, origin }));
    reply.integer(clock::ms_of(header.clock) as i64);
    reply.integer(header.expires_at as i64);
    reply.integer(header.payload_bytes() as i64);
    reply.array(tags.len());
    for tag in tags {
        reply.bulk(tag);
    }
    reply.bulk(place.name().as_bytes());
    reply.integer(header.idle_ms as i64);
    reply.integer(header.deadline as i64);
}
