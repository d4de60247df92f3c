//! Looking for keys. A store without tiers is scanned here; with them the control plane walks the index.

use super::is_word;
use crate::context::{error, Context, Run, Stop, Use, SYNTAX};
use crate::frame::Args;
use crate::glob;
use crate::number::parse_i64;
use crate::values::type_name;
use ramcache_core::ops::read::Peeked;
use ramcache_core::ops::{scan_within, ScanCursor};

/// Buckets that one call looks at: a hundred microseconds or so.
const BUCKETS_MAX: u64 = 4096;
/// Entries of one reply, whatever COUNT says.
const COUNT_MAX: i64 = 10_000;

pub fn scan(context: &mut Context, args: Args) -> Run {
    let cursor = args.get(1);
    let is_number = !cursor.is_empty() && cursor.len() <= 20 && cursor.iter().all(u8::is_ascii_digit);
    let number: u64 = match std::str::from_utf8(cursor).ok().and_then(|text| text.parse().ok()) {
        Some(number) if is_number => number,
        _ => return error("ERR invalid cursor"),
    };
    let (mut pattern, mut wanted, mut kind): (&[u8], i64, Option<&[u8]>) = (b"*", 10, None);
    if !args.len().is_multiple_of(2) {
        return error(SYNTAX);
    }
    for at in (2..args.len()).step_by(2) {
        let value = args.get(at + 1);
        match args.get(at) {
            word if is_word(word, "match") => pattern = value,
            word if is_word(word, "type") => kind = Some(value),
            word if is_word(word, "count") => match parse_i64(value) {
                Some(count) if count >= 1 => wanted = count.min(COUNT_MAX),
                Some(_) => return error(SYNTAX),
                None => return error(crate::context::NOT_INTEGER),
            },
            _ => return error(SYNTAX),
        }
    }
    if context.worker.store.below().is_some() {
        return Err(Stop::Control);
    }
    let place =
        (number != 0).then_some(ScanCursor { bucket_count: number >> 32, bucket: number & 0xffff_ffff });
    let namespace = context.namespace();
    let reader = context.worker.store.reader();
    let begin = glob::prefix(pattern);
    let (entries, next) = scan_within(reader, namespace.id, place, &begin, wanted as usize, BUCKETS_MAX);
    let mut found = Vec::new();
    for entry in entries {
        let is_wanted = glob::matches(pattern, &entry.key)
            && kind.map_or(Ok(true), |kind| is_of_type(context, &entry.key, kind))?;
        if is_wanted {
            found.push(entry.key);
        }
    }
    let next = next.map_or(0, |next| next.bucket_count << 32 | next.bucket);
    let mut reply = context.reply();
    reply.array(2);
    reply.bulk(next.to_string().as_bytes());
    reply.array(found.len());
    for key in found {
        reply.bulk(&key);
    }
    Ok(())
}

fn is_of_type(context: &mut Context, key: &[u8], kind: &[u8]) -> Result<bool, Stop> {
    let namespace = context.namespace();
    let mut peeked = Peeked::default();
    let Some((header, _)) = context.read(namespace, key, Use::Look, &mut peeked)? else { return Ok(false) };
    let name = type_name(header.value_type, &peeked.0.value).unwrap_or("object");
    Ok(is_word(kind, name))
}

pub fn randomkey(context: &mut Context, _args: Args) -> Run {
    let namespace = context.namespace();
    let reader = context.worker.store.reader();
    let bucket_count = reader.arena.bucket_count().max(1);
    // Any bucket, then on from there: the next entry is as good as any.
    let bucket = context.worker.random() % bucket_count;
    for begin in [bucket, 0] {
        let place = Some(ScanCursor { bucket_count, bucket: begin });
        let (entries, _) =
            scan_within(context.worker.store.reader(), namespace.id, place, b"", 1, BUCKETS_MAX);
        if let Some(entry) = entries.first() {
            context.reply().bulk(&entry.key);
            return Ok(());
        }
    }
    // Too thin for that, or all of it below.
    Err(Stop::Control)
}

pub fn dbsize(context: &mut Context, _args: Args) -> Run {
    if context.worker.store.below().is_some() {
        return Err(Stop::Control);
    }
    let (entries, _) = context.worker.store.usage(context.namespace().id);
    context.reply().integer(entries as i64);
    Ok(())
}
