//! SUBSCRIBE and its kin, PUBLISH, PUBSUB.

use super::{is_word, unknown_subcommand, wrong_arity};
use crate::context::{error, Context, Run};
use crate::frame::Args;
use crate::shared::Mail;
use std::sync::atomic::Ordering;
use std::sync::Arc;

/// Channels and patterns of one connection.
const SUBSCRIPTIONS_MAX: usize = 10_000;
/// Of a name that is kept.
const NAME_BYTES_MAX: usize = 4096;

pub fn subscribe(context: &mut Context, args: Args) -> Run {
    subscribe_with(context, args, false)
}

pub fn psubscribe(context: &mut Context, args: Args) -> Run {
    subscribe_with(context, args, true)
}

fn subscribe_with(context: &mut Context, args: Args, is_pattern: bool) -> Run {
    if args.from(1).any(|name| name.len() > NAME_BYTES_MAX) {
        return error(format!("ERR a name of more than {NAME_BYTES_MAX} bytes, which is the limit"));
    }
    if context.session.subscriptions() + args.len() - 1 > SUBSCRIPTIONS_MAX {
        return error(format!("ERR more than {SUBSCRIPTIONS_MAX} subscriptions, which is the limit"));
    }
    let shared = Arc::clone(&context.worker.shared);
    let (id, thread) = (context.session.client.id, context.session.client.thread);
    for name in args.from(1) {
        shared.pubsub.subscribe(name, is_pattern, id, thread);
        context.session.names(is_pattern).insert(name.to_vec());
        confirm(context, if is_pattern { "psubscribe" } else { "subscribe" }, Some(name));
    }
    Ok(())
}

pub fn unsubscribe(context: &mut Context, args: Args) -> Run {
    unsubscribe_with(context, args, false)
}

pub fn punsubscribe(context: &mut Context, args: Args) -> Run {
    unsubscribe_with(context, args, true)
}

fn unsubscribe_with(context: &mut Context, args: Args, is_pattern: bool) -> Run {
    let word = if is_pattern { "punsubscribe" } else { "unsubscribe" };
    let names: Vec<Vec<u8>> = match args.len() {
        1 => context.session.names(is_pattern).iter().cloned().collect(),
        _ => args.from(1).map(<[u8]>::to_vec).collect(),
    };
    if names.is_empty() {
        confirm(context, word, None);
    }
    let shared = Arc::clone(&context.worker.shared);
    for name in names {
        shared.pubsub.unsubscribe(&name, is_pattern, context.session.client.id);
        context.session.names(is_pattern).remove(&name);
        confirm(context, word, Some(&name));
    }
    Ok(())
}

fn confirm(context: &mut Context, word: &str, name: Option<&[u8]>) {
    let session = &context.session;
    session.client.channels.store(session.channels.len(), Ordering::Relaxed);
    session.client.patterns.store(session.patterns.len(), Ordering::Relaxed);
    let count = session.subscriptions() as i64;
    let mut reply = context.reply();
    reply.push(3);
    reply.bulk(word.as_bytes());
    match name {
        Some(name) => reply.bulk(name),
        None => reply.nil(),
    }
    reply.integer(count);
}

/// Ends all subscriptions of a connection, without a word.
pub fn end_all(session: &mut crate::session::Session, pubsub: &crate::pubsub::PubSub) {
    for is_pattern in [false, true] {
        for name in std::mem::take(session.names(is_pattern)) {
            pubsub.unsubscribe(&name, is_pattern, session.client.id);
        }
    }
    session.client.channels.store(0, Ordering::Relaxed);
    session.client.patterns.store(0, Ordering::Relaxed);
}

pub fn publish(context: &mut Context, args: Args) -> Run {
    let shared = Arc::clone(&context.worker.shared);
    let receivers = shared.pubsub.receivers(args.get(1), args.get(2));
    let count = receivers.len() as i64;
    for (connection, thread, message) in receivers {
        shared.mailboxes[thread].send(Mail::Message { connection, message });
    }
    context.reply().integer(count);
    Ok(())
}

pub fn pubsub(context: &mut Context, args: Args) -> Run {
    let shared = Arc::clone(&context.worker.shared);
    match args.get(1) {
        name if is_word(name, "channels") && args.len() <= 3 => {
            let pattern = if args.len() == 3 { args.get(2) } else { b"*" };
            let channels = shared.pubsub.channels(pattern);
            let mut reply = context.reply();
            reply.array(channels.len());
            for channel in channels {
                reply.bulk(&channel);
            }
        }
        name if is_word(name, "numsub") => {
            let mut reply = context.reply();
            reply.array((args.len() - 2) * 2);
            for channel in args.from(2) {
                reply.bulk(channel);
                reply.integer(shared.pubsub.listeners(channel) as i64);
            }
        }
        name if is_word(name, "numpat") && args.len() == 2 => {
            context.reply().integer(shared.pubsub.counts().1 as i64);
        }
        name if is_word(name, "channels") || is_word(name, "numpat") => {
            let name = String::from_utf8_lossy(name).to_lowercase();
            return error(wrong_arity(&format!("pubsub|{name}")));
        }
        name => return error(unknown_subcommand("pubsub", name)),
    }
    Ok(())
}
