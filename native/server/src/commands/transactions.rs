//! MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//!
//! Commands between MULTI and EXEC are queued by `turn.rs`. EXEC brings every key of theirs into RAM first, waiting as any
//! command does; then all of them run while no other command of the server does.

use super::COMMANDS;
use crate::context::{error, Context, NotTouched, Progress, Run, Stop, Use};
use crate::frame::{Args, OwnedArgs};
use crate::reply::Reply;
use crate::session::{Transaction, Watched};
use crate::worker::Namespace;
use std::sync::atomic::Ordering;

pub fn multi(context: &mut Context, _args: Args) -> Run {
    if context.session.transaction.is_some() {
        return error("ERR MULTI calls can not be nested");
    }
    context.session.transaction = Some(Transaction::default());
    context.session.client.queued.store(0, Ordering::Relaxed);
    context.reply().ok();
    Ok(())
}

fn end(context: &mut Context) -> Option<Transaction> {
    context.session.watched.clear();
    context.session.client.queued.store(-1, Ordering::Relaxed);
    context.session.transaction.take()
}

pub fn discard(context: &mut Context, _args: Args) -> Run {
    // Otherwise what is watched stays watched.
    if context.session.transaction.is_none() {
        return error("ERR DISCARD without MULTI");
    }
    end(context);
    context.reply().ok();
    Ok(())
}

pub fn watch(context: &mut Context, args: Args) -> Run {
    if context.session.transaction.is_some() {
        return error("ERR WATCH inside MULTI is not allowed");
    }
    let namespace = context.namespace();
    context.resolve(namespace, args.from(1))?;
    for key in args.from(1).filter(|key| !key.is_empty()) {
        let version = version_of(context, namespace, key)?;
        let hash = context.worker.hasher.hash(namespace.id, key);
        let token = context.worker.store.tokens().read(hash);
        let watched = Watched { namespace, key: key.to_vec(), version, token };
        if !context.session.watched.iter().any(|other| other.namespace == namespace && other.key == key) {
            context.session.watched.push(watched);
        }
    }
    context.reply().ok();
    Ok(())
}

pub fn unwatch(context: &mut Context, _args: Args) -> Run {
    context.session.watched.clear();
    context.reply().ok();
    Ok(())
}

/// Of the value and of its expiry; `None` when there is nothing.
fn version_of(context: &mut Context, namespace: Namespace, key: &[u8]) -> Result<Option<(u64, u64)>, Stop> {
    let found = context.read(namespace, key, Use::Decide, &mut NotTouched)?;
    Ok(found.map(|(header, _)| (header.clock, header.expiry_clock)))
}

pub fn exec(context: &mut Context, args: Args) -> Run {
    let Some(transaction) = &context.session.transaction else { return error("ERR EXEC without MULTI") };
    if transaction.is_broken {
        end(context);
        return error("EXECABORT Transaction discarded because of previous errors.");
    }
    if is_changed(context)? {
        end(context);
        context.reply().nil_array();
        return Ok(());
    }
    if context.progress.runs <= RESOLVING_RUNS {
        resolve_keys(context)?;
    }
    let Some(transaction) = end(context) else { return Ok(()) };
    context.reply().array(transaction.commands.len());
    for (number, args) in &transaction.commands {
        run_one(context, *number, args);
        show(context, *number, args.args());
    }
    show(context, super::find(b"exec").expect("a command"), args);
    Ok(())
}

/// When so many runs have not had all keys in RAM at a time, the rest is waited for in the middle.
const RESOLVING_RUNS: u32 = 4;

/// Whether a watched key is not what it was.
fn is_changed(context: &mut Context) -> Result<bool, Stop> {
    let watched = std::mem::take(&mut context.session.watched);
    let mut answer = Ok(false);
    for Watched { namespace, key, version, token } in &watched {
        answer = version_of(context, *namespace, key).map(|now| {
            let hash = context.worker.hasher.hash(namespace.id, key);
            // What came and went in between leaves no version. With tiers the stripe also moves when nothing has changed.
            let has_moved = version.is_none()
                && context.worker.asker.is_none()
                && !context.worker.store.tokens().is_unchanged(hash, *token);
            now != *version || has_moved
        });
        if !matches!(answer, Ok(false)) {
            break;
        }
    }
    context.session.watched = watched;
    answer
}

/// Brings the keys of all queued commands into RAM.
fn resolve_keys(context: &mut Context) -> Run {
    let Some(transaction) = context.session.transaction.take() else { return Ok(()) };
    let mut namespace = context.namespace();
    let mut is_cold = false;
    for (number, args) in &transaction.commands {
        let command = &COMMANDS[*number];
        let args = args.args();
        if command.name == "select" || command.name == "rc.ns" {
            namespace = named(context, command.name, args).unwrap_or(namespace);
        }
        let (in_namespace, places) = super::keys_of(command, args);
        if places.is_empty() {
            continue;
        }
        let of = match in_namespace {
            true => context.worker.find_namespace(args.get(1)).ok().flatten(),
            false => Some(namespace),
        };
        if let Some(of) = of {
            is_cold |= context.resolve(of, places.into_iter().map(|at| args.get(at))).is_err();
        }
    }
    context.session.transaction = Some(transaction);
    if is_cold {
        Err(Stop::Cold)
    } else {
        Ok(())
    }
}

/// The namespace that a queued command will choose.
fn named(context: &mut Context, command: &str, args: Args) -> Option<Namespace> {
    let name = match command {
        "select" => super::connection::database_name(crate::number::parse_i64(args.get(1))?),
        _ => String::from_utf8_lossy(args.get(1)).into_owned(),
    };
    context.worker.find_namespace(name.as_bytes()).ok().flatten()
}

/// To those who see every command.
fn show(context: &Context, number: usize, args: Args) {
    let shared = &context.worker.shared;
    if shared.monitors.are_there() {
        crate::monitor::show(shared, context.session, &COMMANDS[number], args);
    }
}

fn run_one(context: &mut Context, number: usize, args: &OwnedArgs) {
    let command = &COMMANDS[number];
    let start = context.out.len();
    let mut progress = Progress::default();
    loop {
        let (ended, settle, wants) = {
            let tracks = command.is_tracked() && (context.progress.tracks || context.session.tracks_reads());
            let mut inner = Context::new(context.worker, context.session, &mut progress, context.out, tracks);
            let ended = (command.run)(&mut inner, args.args());
            if !matches!(ended, Err(Stop::Cold)) {
                inner.commit_counts();
            }
            (ended, inner.settle, std::mem::take(&mut inner.wants))
        };
        if let Some(durability) = settle {
            context.wrote(durability);
        }
        if ended.is_err() {
            context.out.truncate(start);
        }
        let resp = context.session.resp;
        match ended {
            Ok(()) => return,
            // Gone from RAM since it was brought up: nobody else can run meanwhile, so it is waited for here.
            Err(Stop::Cold) => {
                progress.runs += 1;
                context.worker.wait_for(wants, &mut progress);
            }
            Err(Stop::Control) => {
                let text = "RC UNAVAILABLE what takes the control plane cannot run inside EXEC";
                return Reply { out: context.out, resp }.error(text);
            }
            Err(Stop::Error(text)) => return Reply { out: context.out, resp }.error(&text),
            Err(Stop::Store(failure)) => {
                let line = crate::turn::failure_line(command.name, &failure, resp);
                return context.out.extend_from_slice(&line);
            }
        }
    }
}
