//! What values are to Redis clients: bytes, numbers as their text, and everything else through the control plane.

use crate::context::{Context, Place, Run, Stop, Use};
use crate::number::{text_of, SAFE_INTEGER_MAX};
use crate::reply::{push_decimal, Reply, Resp};
use crate::worker::Namespace;
use ramcache_core::ops::read::Destination;
use ramcache_core::record::{value_type, Header};
use std::borrow::Cow;

/// Types that only JavaScript makes; `src/codec/bytes.ts` has them all.
pub const BYTES: u8 = 6;
pub const SHARED_OBJECT: u8 = 8;
pub const SELF_CONTAINED_OBJECT: u8 = 9;
pub const CLONED_OBJECT: u8 = 10;
pub const BLOB: u8 = 11;
pub const TYPE_MAX: u8 = 11;

/// The type that bytes of a client are stored as.
pub fn type_for(bytes: &[u8]) -> u8 {
    if bytes.is_ascii() {
        return value_type::ASCII;
    }
    match std::str::from_utf8(bytes) {
        Ok(_) => value_type::UTF8,
        Err(_) => BYTES,
    }
}

/// Whether a value is a string to Redis.
pub fn is_string(kind: u8) -> bool {
    matches!(kind, value_type::ASCII | value_type::UTF8 | value_type::NUMBER | BYTES)
}

/// The bytes that a Redis client sees; `None` when only the control plane can say.
pub fn text(kind: u8, bytes: &[u8]) -> Option<Cow<'_, [u8]>> {
    match kind {
        value_type::ASCII | value_type::UTF8 | BYTES => Some(Cow::Borrowed(bytes)),
        value_type::NUMBER => Some(Cow::Owned(text_of(number(bytes)?).into_bytes())),
        _ => None,
    }
}

pub fn number(bytes: &[u8]) -> Option<f64> {
    Some(f64::from_le_bytes(bytes.try_into().ok()?))
}

/// A whole number as it is stored: type and bytes.
pub fn stored_integer(number: i64) -> (u8, Vec<u8>) {
    if (-SAFE_INTEGER_MAX..=SAFE_INTEGER_MAX).contains(&number) {
        return (value_type::NUMBER, (number as f64).to_le_bytes().to_vec());
    }
    let mut text = Vec::new();
    push_decimal(&mut text, number);
    (value_type::ASCII, text)
}

/// What TYPE says; `None` when only the control plane can.
pub fn type_name(kind: u8, bytes: &[u8]) -> Option<&'static str> {
    match kind {
        kind if is_string(kind) => Some("string"),
        BLOB => Some("blob"),
        // MessagePack says in its first byte what it is.
        SHARED_OBJECT | SELF_CONTAINED_OBJECT => match bytes.first() {
            Some(0x90..=0x9f | 0xdc | 0xdd) => Some("array"),
            _ => Some("object"),
        },
        CLONED_OBJECT => None,
        _ => Some("object"),
    }
}

/// A value straight into the reply. Types that are no string to Redis are left where they are.
struct IntoReply<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    number: [u8; 8],
    kind: u8,
}

impl Destination for IntoReply<'_> {
    #[inline]
    fn value(&mut self, header: &Header) -> Option<&mut [u8]> {
        self.kind = header.value_type;
        self.out.truncate(self.start);
        match header.value_type {
            value_type::NUMBER if header.value_bytes == 8 => Some(&mut self.number),
            value_type::ASCII | value_type::UTF8 | BYTES => {
                let bytes = header.value_bytes as usize;
                Reply { out: self.out, resp: Resp::Two }.bulk_head(bytes);
                let from = self.out.len();
                self.out.resize(from + bytes, 0);
                Some(&mut self.out[from..])
            }
            _ => None,
        }
    }
}

/// Answers with the value of a key as GET does: nil for a miss.
pub fn reply_value(context: &mut Context, namespace: Namespace, key: &[u8]) -> Result<Option<Place>, Stop> {
    let mut out = std::mem::take(context.out);
    let start = out.len();
    let mut destination = IntoReply { out: &mut out, start, number: [0; 8], kind: 0 };
    let found = context.read(namespace, key, Use::Read, &mut destination);
    let (number, kind) = (destination.number, destination.kind);
    *context.out = out;
    let Some((_, place)) = found? else {
        context.out.truncate(start);
        context.reply().nil();
        return Ok(None);
    };
    match kind {
        value_type::NUMBER => context.reply().bulk(text_of(f64::from_le_bytes(number)).as_bytes()),
        kind if is_string(kind) => context.out.extend_from_slice(b"\r\n"),
        _ => return Err(Stop::Control),
    }
    Ok(Some(place))
}

/// Reads several keys so that groups are seen whole or not at all; all that RAM does not know is asked for at once.
pub fn read_many<'k>(
    context: &mut Context,
    keys: impl ExactSizeIterator<Item = &'k [u8]> + Clone,
    mut one: impl FnMut(&mut Context, &'k [u8]) -> Run,
) -> Run {
    let start = context.out.len();
    let hard = context.worker.limits.output_hard_bytes;
    for attempt in 1.. {
        let before = group_word(context);
        context.out.truncate(start);
        context.forget_counts();
        let mut is_cold = false;
        for key in keys.clone() {
            match one(context, key) {
                Err(Stop::Cold) if context.wants.len() < crate::context::WANTS_MAX => is_cold = true,
                Err(Stop::Cold) => {
                    is_cold = true;
                    break;
                }
                other => other?,
            }
            if context.out.len() - start > hard {
                return Err(Stop::Store(too_large(hard)));
            }
        }
        if is_cold {
            context.progress.group.get_or_insert(before);
            return Err(Stop::Cold);
        }
        if attempt >= GROUP_RETRIES_MAX || context.progress.runs >= GROUP_RETRIES_MAX {
            return Ok(());
        }
        // What was found below before a group was published may be half of what was there before it.
        if context.progress.group.is_some_and(|group| group != before) {
            context.progress.group = None;
            context.progress.found.clear();
            continue;
        }
        if group_word(context) == before {
            return Ok(());
        }
    }
    Ok(())
}

/// Attempts to see every group whole before what there is is taken.
const GROUP_RETRIES_MAX: u32 = 64;

pub fn too_large(bytes_max: usize) -> ramcache_core::error::StoreError {
    let message = format!("the reply would be larger than {bytes_max} bytes, which is the limit");
    ramcache_core::error::StoreError::new(ramcache_core::error::Code::Value, message)
}

fn group_word(context: &Context) -> u64 {
    let arena = context.worker.store.arena();
    let word = arena.superblock(ramcache_core::layout::superblock::GROUP);
    ramcache_core::ops::read_group(arena, || word.load(ramcache_core::sync::Ordering::Relaxed)).0
}
