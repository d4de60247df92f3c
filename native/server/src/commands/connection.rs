//! Commands about the connection itself.

use super::{is_word, tracking, unknown_subcommand, wrong_arity};
use crate::auth;
use crate::context::{error, integer, Context, Run, SYNTAX};
use crate::frame::Args;
use crate::reply::Resp;
use std::sync::atomic::Ordering;

pub fn ping(context: &mut Context, args: Args) -> Run {
    let is_listening = context.session.resp == Resp::Two && context.session.subscriptions() > 0;
    match args.len() {
        1 | 2 if is_listening => {
            let mut reply = context.reply();
            reply.array(2);
            reply.bulk(b"pong");
            reply.bulk(if args.len() == 2 { args.get(1) } else { b"" });
        }
        1 => context.reply().simple("PONG"),
        2 => context.reply().bulk(args.get(1)),
        _ => return error(wrong_arity("ping")),
    }
    Ok(())
}

pub fn echo(context: &mut Context, args: Args) -> Run {
    context.reply().bulk(args.get(1));
    Ok(())
}

pub fn quit(context: &mut Context, _args: Args) -> Run {
    context.session.is_closing = true;
    context.reply().ok();
    Ok(())
}

pub fn auth(context: &mut Context, args: Args) -> Run {
    match args.len() {
        2 if !context.worker.shared.password.is_set() => return error("ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"),
        2 => authenticate(context, auth::USER, args.get(1))?,
        3 => authenticate(context, args.get(1), args.get(2))?,
        _ => return error(SYNTAX),
    }
    context.reply().ok();
    Ok(())
}

/// Who was known stays so when it is wrong.
fn authenticate(context: &mut Context, user: &[u8], password: &[u8]) -> Run {
    let shared = &context.worker.shared;
    if !shared.password.admits(user, password) {
        crate::limits::count(&shared.totals.wrong_passwords);
        return error(auth::WRONG);
    }
    context.session.is_authenticated = true;
    Ok(())
}

/// Databases that SELECT knows: number 0 is the namespace `default`, the others `db<n>`.
pub const DATABASES: i64 = 16;

pub fn database_name(number: i64) -> String {
    match number {
        0 => "default".into(),
        number => format!("db{number}"),
    }
}

pub fn select(context: &mut Context, args: Args) -> Run {
    let number = integer(args.get(1))?;
    if !(0..DATABASES).contains(&number) {
        return error("ERR DB index is out of range");
    }
    super::own::select(context, database_name(number).as_bytes())?;
    context.reply().ok();
    Ok(())
}

pub fn hello(context: &mut Context, args: Args) -> Run {
    let mut resp = context.session.resp;
    let mut name = None;
    if args.len() > 1 {
        resp = match crate::number::parse_i64(args.get(1)) {
            Some(2) => Resp::Two,
            Some(3) => Resp::Three,
            Some(_) => return error("NOPROTO unsupported protocol version"),
            None => return error("ERR Protocol version is not an integer or out of range"),
        };
        let mut at = 2;
        while at < args.len() {
            let left = args.len() - at - 1;
            match args.get(at) {
                option if is_word(option, "auth") && left >= 2 => {
                    authenticate(context, args.get(at + 1), args.get(at + 2))?;
                    at += 3;
                }
                option if is_word(option, "setname") && left >= 1 => {
                    name = Some(client_text(args.get(at + 1), "Client names")?);
                    at += 2;
                }
                option => {
                    let option = String::from_utf8_lossy(option);
                    return error(format!("ERR Syntax error in HELLO option '{option}'"));
                }
            }
        }
    }
    if !context.session.is_authenticated {
        return error(auth::HELLO_REQUIRED);
    }
    context.session.resp = resp;
    let number = if resp == Resp::Three { 3 } else { 2 };
    context.session.client.resp.store(number, Ordering::Relaxed);
    if let Some(name) = name {
        context.session.client.texts().name = name;
    }
    let id = context.session.client.id as i64;
    let mut reply = context.reply();
    reply.map(7);
    for (field, value) in [("server", "redis"), ("version", super::info::REDIS_VERSION)] {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    for (field, value) in [("proto", number as i64), ("id", id)] {
        reply.bulk(field.as_bytes());
        reply.integer(value);
    }
    for (field, value) in [("mode", "standalone"), ("role", "master")] {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
    Ok(())
}

/// Back to what a new connection is.
pub fn reset(context: &mut Context, _args: Args) -> Run {
    super::own::select(context, b"default")?;
    context.session.resp = Resp::Two;
    context.session.is_no_touch = false;
    context.session.is_authenticated = !context.session.needs_password;
    let shared = std::sync::Arc::clone(&context.worker.shared);
    super::end_subscriptions(context.session, &shared.pubsub);
    super::end_tracking(context.session, &shared);
    end_monitor(context.session, &shared);
    context.session.lock_holder = None;
    context.session.transaction = None;
    context.session.watched.clear();
    context.session.client.queued.store(-1, Ordering::Relaxed);
    let client = &context.session.client;
    client.resp.store(2, Ordering::Relaxed);
    client.texts().name.clear();
    context.reply().simple("RESET");
    Ok(())
}

/// What may stand in a line of CLIENT LIST.
fn client_text(text: &[u8], what: &str) -> Result<String, crate::context::Stop> {
    if text.iter().any(|byte| !(b'!'..=b'~').contains(byte)) {
        return error(format!("ERR {what} cannot contain spaces, newlines or special characters."));
    }
    Ok(String::from_utf8_lossy(text).into_owned())
}

pub fn client(context: &mut Context, args: Args) -> Run {
    let name = args.get(1);
    let wrong = |subcommand: &str| error(wrong_arity(&format!("client|{subcommand}")));
    match () {
        () if is_word(name, "id") && args.len() == 2 => {
            let id = context.session.client.id as i64;
            context.reply().integer(id);
        }
        () if is_word(name, "id") => return wrong("id"),
        () if is_word(name, "setname") && args.len() == 3 => {
            let text = client_text(args.get(2), "Client names")?;
            context.session.client.texts().name = text;
            context.reply().ok();
        }
        () if is_word(name, "setname") => return wrong("setname"),
        () if is_word(name, "getname") && args.len() == 2 => {
            let text = context.session.client.texts().name.clone();
            match text.is_empty() {
                true => context.reply().nil(),
                false => context.reply().bulk(text.as_bytes()),
            }
        }
        () if is_word(name, "getname") => return wrong("getname"),
        () if is_word(name, "setinfo") && args.len() == 4 => set_info(context, args)?,
        () if is_word(name, "setinfo") => return wrong("setinfo"),
        () if is_word(name, "info") && args.len() == 2 => {
            let path = context.worker.shared.options.path.display().to_string();
            let line = context.session.client.describe(&path) + "\n";
            context.reply().verbatim(&line);
        }
        () if is_word(name, "info") => return wrong("info"),
        () if is_word(name, "tracking") && args.len() >= 3 => return tracking::tracking(context, args),
        () if is_word(name, "tracking") => return wrong("tracking"),
        () if is_word(name, "caching") && args.len() == 3 => return tracking::caching(context, args),
        () if is_word(name, "caching") => return wrong("caching"),
        () if is_word(name, "getredir") && args.len() == 2 => return tracking::get_redirect(context),
        () if is_word(name, "getredir") => return wrong("getredir"),
        () if is_word(name, "trackinginfo") && args.len() == 2 => return tracking::tracking_info(context),
        () if is_word(name, "trackinginfo") => return wrong("trackinginfo"),
        () if is_word(name, "list") => list(context, args)?,
        () if is_word(name, "kill") => kill(context, args)?,
        () if is_word(name, "no-evict") || is_word(name, "no-touch") => {
            let is_on = match args.len() {
                3 if is_word(args.get(2), "on") => true,
                3 if is_word(args.get(2), "off") => false,
                3 => return error(SYNTAX),
                _ => return wrong(&String::from_utf8_lossy(name).to_lowercase()),
            };
            context.session.is_no_touch = is_on && is_word(name, "no-touch");
            context.reply().ok();
        }
        () => return error(unknown_subcommand("client", name)),
    }
    Ok(())
}

fn set_info(context: &mut Context, args: Args) -> Run {
    let option = args.get(2);
    let is_name = is_word(option, "lib-name");
    if !is_name && !is_word(option, "lib-ver") {
        let option = String::from_utf8_lossy(option);
        return error(format!("ERR Unrecognized option '{option}'"));
    }
    let text = client_text(args.get(3), if is_name { "lib-name" } else { "lib-ver" })?;
    let mut texts = context.session.client.texts();
    match is_name {
        true => texts.lib_name = text,
        false => texts.lib_version = text,
    }
    drop(texts);
    context.reply().ok();
    Ok(())
}

fn list(context: &mut Context, args: Args) -> Run {
    let shared = std::sync::Arc::clone(&context.worker.shared);
    let path = shared.options.path.display().to_string();
    let clients = match args.len() {
        2 => shared.registry.all(),
        4 if is_word(args.get(2), "type") => match args.get(3) {
            kind if is_word(kind, "normal") => shared.registry.all(),
            kind if ["master", "replica", "slave", "pubsub"].iter().any(|name| is_word(kind, name)) => {
                Vec::new()
            }
            kind => {
                let kind = String::from_utf8_lossy(kind);
                return error(format!("ERR Unknown client type '{kind}'"));
            }
        },
        count if count > 3 && is_word(args.get(2), "id") => {
            let mut found = Vec::new();
            for id in args.from(3) {
                match crate::number::parse_u64(id) {
                    Some(id) => found.extend(shared.registry.find(id)),
                    None => return error("ERR Invalid client ID"),
                }
            }
            found
        }
        _ => return error(SYNTAX),
    };
    let lines: String = clients.iter().map(|client| client.describe(&path) + "\n").collect();
    context.reply().verbatim(&lines);
    Ok(())
}

/// `CLIENT KILL ID id [SKIPME yes | no]`: addresses tell nobody apart on a Unix socket.
fn kill(context: &mut Context, args: Args) -> Run {
    let own = context.session.client.id;
    let mut skips_me = true;
    let mut wanted = None;
    if args.len() < 4 || !args.len().is_multiple_of(2) {
        return error(SYNTAX);
    }
    for at in (2..args.len()).step_by(2) {
        match (args.get(at), args.get(at + 1)) {
            (name, id) if is_word(name, "id") => match crate::number::parse_u64(id).filter(|id| *id > 0) {
                Some(id) => wanted = Some(id),
                None => return error("ERR client-id should be greater than 0"),
            },
            (name, answer) if is_word(name, "skipme") && is_word(answer, "yes") => skips_me = true,
            (name, answer) if is_word(name, "skipme") && is_word(answer, "no") => skips_me = false,
            _ => return error(SYNTAX),
        }
    }
    let shared = std::sync::Arc::clone(&context.worker.shared);
    let mut killed = 0;
    for client in shared.registry.all() {
        let is_wanted = wanted.is_none_or(|id| id == client.id) && !(skips_me && client.id == own);
        if is_wanted {
            killed += 1;
            match client.id == own {
                true => context.session.is_closing = true,
                false => {
                    shared.mailboxes[client.thread].send(crate::shared::Mail::Kill { connection: client.id })
                }
            }
        }
    }
    context.reply().integer(killed);
    Ok(())
}

/// From now on this connection sees every command, its own included.
pub fn monitor(context: &mut Context, _args: Args) -> Run {
    let client = &context.session.client;
    client.is_monitor.store(true, Ordering::Relaxed);
    context.worker.shared.monitors.add(client.id, client.thread);
    context.reply().ok();
    Ok(())
}

/// Ends that, if it was so.
pub fn end_monitor(session: &crate::session::Session, shared: &crate::shared::Shared) {
    if session.client.is_monitor.swap(false, Ordering::Relaxed) {
        shared.monitors.remove(session.client.id);
    }
}
