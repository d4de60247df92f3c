//! COPY, RENAME, MOVE: entries as they are, under another key.

use super::connection::{database_name, DATABASES};
use super::is_word;
use crate::context::{error, Context, Fetched, NotTouched, Run, Stop, Use, SYNTAX};
use crate::frame::Args;
use crate::values::BLOB;
use crate::worker::{Durability, Namespace};
use ramcache_core::ops::{Conditions, Outcome, Version, WriteRequest};

/// Writes an entry as it is under another key; `None` when there is none, false when the other one is there.
fn copy_entry(
    context: &mut Context,
    (from, key): (Namespace, &[u8]),
    (to, new): (Namespace, &[u8]),
    replaces: bool,
) -> Result<Option<(bool, Version)>, Stop> {
    let mut fetched = Fetched::default();
    let Some((header, _)) = context.read(from, key, Use::Decide, &mut fetched)? else { return Ok(None) };
    if header.value_type == BLOB {
        // Two manifests would lead to the same chunks, and the first to go would take them along.
        return error("RC VALUE a blob cannot be copied or renamed");
    }
    if from.id != to.id && header.value_type == crate::values::SHARED_OBJECT {
        return error(
            "RC VALUE an object cannot be moved to another namespace, whose structures it does not share",
        );
    }
    let request = WriteRequest {
        namespace: to.id,
        key: new,
        value_type: header.value_type,
        value: &fetched.value,
        idle_ms: header.idle_ms as u64,
        expires_at: header.expires_at,
        deadline: header.deadline,
        grace_ms: header.grace_ms as u64,
        tags: &fetched.tags,
        is_volatile: to.durability == Durability::None,
        conditions: Conditions { if_absent: !replaces, ..Conditions::default() },
        ..WriteRequest::default()
    };
    let is_written = context.set(&request, to.durability)? != Outcome::Refused;
    Ok(Some((is_written, Version { clock: header.clock, origin: context.worker.store.origin() })))
}

fn database(context: &mut Context, text: &[u8]) -> Result<Namespace, Stop> {
    let number = crate::context::integer(text)?;
    if !(0..DATABASES).contains(&number) {
        return error("ERR DB index is out of range");
    }
    Ok(context.worker.namespace(database_name(number).as_bytes())?)
}

/// `COPY source destination [DB n] [REPLACE]`
pub fn copy(context: &mut Context, args: Args) -> Run {
    let from = context.namespace();
    let (mut to, mut replaces) = (from, false);
    let mut at = 3;
    while at < args.len() {
        match args.get(at) {
            word if is_word(word, "replace") => replaces = true,
            word if is_word(word, "db") && at + 1 < args.len() => {
                at += 1;
                to = database(context, args.get(at))?;
            }
            _ => return error(SYNTAX),
        }
        at += 1;
    }
    let (key, new) = (args.get(1), args.get(2));
    if from.id == to.id && key == new {
        return error("ERR source and destination objects are the same");
    }
    let copied = copy_entry(context, (from, key), (to, new), replaces)?;
    context.reply().integer(matches!(copied, Some((true, _))) as i64);
    Ok(())
}

pub fn rename(context: &mut Context, args: Args) -> Run {
    rename_with(context, args, true)?;
    context.reply().ok();
    Ok(())
}

pub fn renamenx(context: &mut Context, args: Args) -> Run {
    let is_renamed = rename_with(context, args, false)?;
    context.reply().integer(is_renamed as i64);
    Ok(())
}

fn rename_with(context: &mut Context, args: Args, replaces: bool) -> Result<bool, Stop> {
    const NO_KEY: &str = "ERR no such key";
    let namespace = context.namespace();
    let (key, new) = (args.get(1), args.get(2));
    context.resolve(namespace, [key, new].into_iter())?;
    if key == new {
        return match context.read(namespace, key, Use::Decide, &mut NotTouched)? {
            Some(_) => Ok(false),
            None => error(NO_KEY),
        };
    }
    match copy_entry(context, (namespace, key), (namespace, new), replaces)? {
        None => error(NO_KEY),
        Some((false, _)) => Ok(false),
        Some((true, version)) => {
            // A version that somebody else has written meanwhile is no part of this.
            context.delete(namespace, key, Some(version))?;
            Ok(true)
        }
    }
}

/// `MOVE key db`
pub fn move_to(context: &mut Context, args: Args) -> Run {
    let from = context.namespace();
    let to = database(context, args.get(2))?;
    if from.id == to.id {
        return error("ERR source and destination objects are the same");
    }
    let key = args.get(1);
    context.resolve(from, [key].into_iter())?;
    context.resolve(to, [key].into_iter())?;
    let is_moved = match copy_entry(context, (from, key), (to, key), false)? {
        Some((true, version)) => context.delete(from, key, Some(version))?,
        _ => false,
    };
    context.reply().integer(is_moved as i64);
    Ok(())
}
