//! Parts of strings.

use super::strings::string_of;
use crate::context::{error, integer, Context, Replacement, Run, Stop, Use};
use crate::frame::Args;
use crate::values::{text, type_for};
use ramcache_core::ops::read::Copied;

const TOO_LONG: &str = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";

/// The text of a key for reading; `None` for a miss.
fn read_text(context: &mut Context, key: &[u8]) -> Result<Option<Vec<u8>>, Stop> {
    let namespace = context.namespace();
    let mut copied = Copied::default();
    let Some((header, _)) = context.read(namespace, key, Use::Read, &mut copied)? else { return Ok(None) };
    match text(header.value_type, &copied.value) {
        Some(text) => Ok(Some(text.into_owned())),
        None => Err(Stop::Control),
    }
}

pub fn strlen(context: &mut Context, args: Args) -> Run {
    let bytes = read_text(context, args.get(1))?.map_or(0, |text| text.len());
    context.reply().integer(bytes as i64);
    Ok(())
}

pub fn getrange(context: &mut Context, args: Args) -> Run {
    let (start, end) = (integer(args.get(2))?, integer(args.get(3))?);
    let text = read_text(context, args.get(1))?.unwrap_or_default();
    let (start, end) = range_of(start, end, text.len());
    context.reply().bulk(&text[start..end]);
    Ok(())
}

/// Bytes from `start` up to and with `end`, both from the back when negative.
fn range_of(start: i64, end: i64, length: usize) -> (usize, usize) {
    let bytes = length as i64;
    if start < 0 && end < 0 && start > end {
        return (0, 0);
    }
    let from_back = |at: i64| if at < 0 { at.saturating_add(bytes) } else { at }.max(0);
    let (start, end) = (from_back(start), from_back(end).min(bytes - 1));
    if start > end || bytes == 0 {
        return (0, 0);
    }
    (start as usize, end as usize + 1)
}

pub fn append(context: &mut Context, args: Args) -> Run {
    let namespace = context.namespace();
    let suffix = args.get(2);
    let length = context.update(namespace, args.get(1), |context, current| {
        let mut value = current.map(string_of).transpose()?.unwrap_or_default();
        check_length(context, value.len() as u64 + suffix.len() as u64)?;
        value.extend_from_slice(suffix);
        let length = value.len();
        Ok((Some(changed(namespace.ttl_ms, value)), length))
    })?;
    context.reply().integer(length as i64);
    Ok(())
}

pub fn setrange(context: &mut Context, args: Args) -> Run {
    let namespace = context.namespace();
    let offset = integer(args.get(2))?;
    let part = args.get(3);
    if offset < 0 {
        return error("ERR offset is out of range");
    }
    let length = context.update(namespace, args.get(1), |context, current| {
        let mut value = current.map(string_of).transpose()?.unwrap_or_default();
        if part.is_empty() {
            return Ok((None, value.len()));
        }
        let end = (offset as u64).saturating_add(part.len() as u64);
        check_length(context, end)?;
        let end = end as usize;
        if value.len() < end {
            value.resize(end, 0);
        }
        value[offset as usize..end].copy_from_slice(part);
        let length = value.len();
        Ok((Some(changed(namespace.ttl_ms, value)), length))
    })?;
    context.reply().integer(length as i64);
    Ok(())
}

fn check_length(context: &Context, bytes: u64) -> Run {
    match bytes > context.worker.store.value_bytes_max() as u64 {
        true => error(TOO_LONG),
        false => Ok(()),
    }
}

fn changed(ttl_ms: u64, value: Vec<u8>) -> Replacement {
    Replacement { value_type: type_for(&value), value, keeps: true, ttl_ms, expires_at: 0 }
}
