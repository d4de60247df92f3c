//! Our own commands that write.

use super::{is_word, own::version_text};
use crate::context::{error, Context, Run, Stop, SYNTAX};
use crate::frame::Args;
use crate::number::{parse_i64, parse_u64, SAFE_INTEGER_MAX};
use crate::reply::push_decimal;
use crate::values::{BLOB, TYPE_MAX};
use crate::worker::{Durability, Namespace, BLOBS, STRUCTURES};
use ramcache_core::error::{Code, StoreError};
use ramcache_core::ops::{Conditions, Number, Outcome, Version, WriteRequest};
use ramcache_core::tags::TAG_BYTES_MAX;

/// Options of a write, as `docs/PROTOCOL.md` lists them.
#[derive(Default)]
struct Options {
    ttl_ms: Option<u64>,
    idle_ms: u64,
    expires_at: u64,
    deadline: u64,
    grace_ms: u64,
    tags: Vec<u8>,
    conditions: Conditions,
    durability: Option<Durability>,
    is_pinned: bool,
    init: Option<f64>,
}

pub fn refuse<T>(code: Code, message: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Store(StoreError::new(code, message)))
}

pub fn shown(bytes: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(80)]))
}

fn push_tag(encoded: &mut Vec<u8>, tag: &[u8]) -> Result<(), Stop> {
    if tag.is_empty() || tag.len() > TAG_BYTES_MAX {
        let message = format!("tag {} has {} bytes, allowed are 1 to {TAG_BYTES_MAX}", shown(tag), tag.len());
        return refuse(Code::Config, message);
    }
    encoded.push(tag.len() as u8);
    encoded.extend_from_slice(tag);
    Ok(())
}

impl Options {
    fn parse(context: &Context, args: Args, from: usize) -> Result<Options, Stop> {
        let mut options = Options::default();
        let mut rest = args.from(from);
        while let Some(word) = rest.next() {
            let mut number = |name: &str| match rest.next().map(|text| (text, parse_u64(text))) {
                Some((_, Some(number))) => Ok(number),
                Some((text, None)) => {
                    refuse(Code::Config, format!("{name} must be a whole number, not {}", shown(text)))
                }
                None => error(SYNTAX),
            };
            match () {
                () if is_word(word, "ttl") => options.ttl_ms = Some(number("TTL")?),
                () if is_word(word, "idle") => options.idle_ms = number("IDLE")?,
                () if is_word(word, "expiresat") => options.expires_at = number("EXPIRESAT")?,
                () if is_word(word, "deadline") => options.deadline = number("DEADLINE")?,
                () if is_word(word, "grace") => options.grace_ms = number("GRACE")?,
                () if is_word(word, "lease") => {
                    let Some(text) = rest.next() else { return error(SYNTAX) };
                    options.conditions.lease = Some(super::leases::token(text)?);
                }
                () if is_word(word, "tags") => {
                    let count = number("TAGS")?;
                    for _ in 0..count {
                        let Some(tag) = rest.next() else { return error(SYNTAX) };
                        push_tag(&mut options.tags, tag)?;
                    }
                }
                () if is_word(word, "ifversion") => {
                    let Some(text) = rest.next() else { return error(SYNTAX) };
                    options.conditions.if_version = Some(version(text)?);
                }
                () if is_word(word, "nx") => options.conditions.if_absent = true,
                () if is_word(word, "xx") => options.conditions.if_present = true,
                () if is_word(word, "durability") => {
                    let Some(text) = rest.next() else { return error(SYNTAX) };
                    options.durability = Some(durability(context, text)?);
                }
                () if is_word(word, "pinned") => options.is_pinned = true,
                () if is_word(word, "ramdecides") => options.conditions.ram_decides = true,
                () if is_word(word, "init") => {
                    let Some(text) = rest.next() else { return error(SYNTAX) };
                    options.init = Some(safe_integer(text)? as f64);
                }
                () => return error(SYNTAX),
            }
        }
        Ok(options)
    }

    fn durability(&self, namespace: Namespace) -> Durability {
        self.durability.unwrap_or(namespace.durability)
    }

    fn request<'a>(
        &'a self,
        namespace: Namespace,
        key: &'a [u8],
        value_type: u8,
        value: &'a [u8],
    ) -> WriteRequest<'a> {
        WriteRequest {
            namespace: namespace.id,
            key,
            value_type,
            value,
            ttl_ms: self.ttl_ms.unwrap_or(if self.is_pinned { 0 } else { namespace.ttl_ms }),
            idle_ms: self.idle_ms,
            expires_at: self.expires_at,
            deadline: self.deadline,
            grace_ms: self.grace_ms,
            tags: &self.tags,
            is_pinned: self.is_pinned,
            is_volatile: self.durability(namespace) == Durability::None,
            conditions: self.conditions,
        }
    }
}

fn version(text: &[u8]) -> Result<Version, Stop> {
    let part = |from: usize| {
        let digits = text.get(from..from + 16)?;
        let is_hex = digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        is_hex.then(|| {
            u64::from_str_radix(std::str::from_utf8(digits).expect("digits"), 16).expect("16 digits")
        })
    };
    match (part(0), part(17)) {
        (Some(clock), Some(origin)) if text.len() == 33 && text[16] == b'-' => Ok(Version { clock, origin }),
        _ => refuse(Code::Config, format!("ifVersion {} is not a version of this store", shown(text))),
    }
}

fn durability(context: &Context, text: &[u8]) -> Result<Durability, Stop> {
    let durability = match () {
        () if is_word(text, "none") => return Ok(Durability::None),
        () if is_word(text, "async") => Durability::Async,
        () if is_word(text, "sync") => Durability::Sync,
        () => {
            let message = format!("durability must be 'none', 'async' or 'sync', not {}", shown(text));
            return refuse(Code::Config, message);
        }
    };
    if context.worker.store.below().is_none() {
        let name = String::from_utf8_lossy(text).to_lowercase();
        let message = format!(
            "durability '{name}' needs a disk, and this store has none: it was opened with tiers: {{ ssd: false }}, where only 'none' can be kept"
        );
        return refuse(Code::Config, message);
    }
    Ok(durability)
}

fn safe_integer(text: &[u8]) -> Result<i64, Stop> {
    match parse_i64(text).filter(|number| (-SAFE_INTEGER_MAX..=SAFE_INTEGER_MAX).contains(number)) {
        Some(number) => Ok(number),
        None => {
            let message = format!("{} is no whole number within ±(2^53 - 1)", shown(text));
            refuse(Code::NotInteger, message)
        }
    }
}

fn value_type(text: &[u8]) -> Result<u8, Stop> {
    match parse_u64(text) {
        // A manifest would promise chunks that nobody has written.
        Some(kind) if (1..=TYPE_MAX as u64).contains(&kind) && kind != BLOB as u64 => Ok(kind as u8),
        _ => refuse(Code::Value, format!("{} is no type of a value that can be written", shown(text))),
    }
}

pub fn namespace(context: &mut Context, args: Args) -> Result<Namespace, Stop> {
    if args.get(1) == BLOBS.as_bytes() {
        return refuse(Code::Config, "this namespace is for the store itself");
    }
    Ok(context.worker.namespace(args.get(1))?)
}

pub fn set(context: &mut Context, args: Args) -> Run {
    let options = Options::parse(context, args, 5)?;
    let is_structures = args.get(1) == STRUCTURES.as_bytes();
    if options.is_pinned != is_structures || (options.conditions.ram_decides && !is_structures) {
        return refuse(
            Code::Config,
            "PINNED and RAMDECIDES are for the structures of the store, and these are pinned",
        );
    }
    let namespace = namespace(context, args)?;
    let kind = value_type(args.get(3))?;
    let request = options.request(namespace, args.get(2), kind, args.get(4));
    let outcome = context.set(&request, options.durability(namespace))?;
    match outcome {
        Outcome::Written(version) => context.reply().bulk(&version_text(version)),
        Outcome::Refused => context.reply().nil(),
    }
    Ok(())
}

pub fn mset(context: &mut Context, args: Args) -> Run {
    let Some(count) = parse_u64(args.get(2)).map(|count| count as usize) else { return error(SYNTAX) };
    let Some(end) = count.checked_mul(3).map(|fields| fields + 3).filter(|end| *end <= args.len()) else {
        return error(SYNTAX);
    };
    let options = Options::parse(context, args, end)?;
    if options.conditions != Conditions::default()
        || options.is_pinned
        || args.get(1) == STRUCTURES.as_bytes()
    {
        return refuse(Code::Config, "RC.MSET takes no conditions and pins nothing");
    }
    let namespace = namespace(context, args)?;
    let mut requests = Vec::with_capacity(count);
    for at in (3..end).step_by(3) {
        let kind = value_type(args.get(at + 1))?;
        requests.push(options.request(namespace, args.get(at), kind, args.get(at + 2)));
    }
    context.worker.store.set_many(&requests)?;
    context.wrote(options.durability(namespace));
    context.reply().ok();
    Ok(())
}

pub fn del(context: &mut Context, args: Args) -> Run {
    let mut is_blind = false;
    let mut if_version = None;
    let mut rest = args.from(3);
    while let Some(word) = rest.next() {
        match () {
            () if is_word(word, "blind") => is_blind = true,
            () if is_word(word, "ifversion") => match rest.next() {
                Some(text) => if_version = Some(version(text)?),
                None => return error(SYNTAX),
            },
            () => return error(SYNTAX),
        }
    }
    let key = args.get(2);
    let Some(namespace) = context.worker.find_namespace(args.get(1))? else {
        context.reply().integer(0);
        return Ok(());
    };
    if is_blind {
        context.worker.store.discard(namespace.id, key, &mut context.worker.buffer)?;
        context.wrote(namespace.durability);
        context.reply().integer(0);
        return Ok(());
    }
    let is_removed = context.delete(namespace, key, if_version)?;
    context.reply().integer(is_removed as i64);
    Ok(())
}

pub fn mdel(context: &mut Context, args: Args) -> Run {
    let removed = match context.worker.find_namespace(args.get(1))? {
        Some(namespace) => super::keys::delete_all(context, namespace, args.skip(2))?,
        None => 0,
    };
    context.reply().integer(removed);
    Ok(())
}

pub fn touch(context: &mut Context, args: Args) -> Run {
    let ttl_ms = match args.from(3).next().map(|text| (text, parse_u64(text))) {
        _ if args.len() > 4 => return error(SYNTAX),
        None => None,
        Some((b"-1", _)) => Some(0),
        Some((_, Some(ms))) if ms > 0 => Some(ms),
        Some((text, _)) => {
            let message = format!(
                "a time to live is a whole number of milliseconds above 0, or -1, not {}",
                shown(text)
            );
            return refuse(Code::Config, message);
        }
    };
    let key = args.get(2);
    let Some(namespace) = context.worker.find_namespace(args.get(1))? else {
        context.reply().integer(0);
        return Ok(());
    };
    let ttl_ms = ttl_ms.unwrap_or(namespace.ttl_ms);
    match context.worker.store.touch(namespace.id, key, ttl_ms, false, &mut context.worker.buffer) {
        Ok(is_there) => {
            if is_there {
                context.wrote(namespace.durability);
            }
            context.reply().integer(is_there as i64);
            Ok(())
        }
        Err(failure) => Err(context.cold_or(failure, namespace.id, key)),
    }
}

pub fn incr(context: &mut Context, args: Args) -> Run {
    let by = safe_integer(args.get(3))?;
    let options = Options::parse(context, args, 4)?;
    let namespace = namespace(context, args)?;
    let key = args.get(2);
    let durability = options.durability(namespace);
    let ttl_ms = options.ttl_ms.unwrap_or(namespace.ttl_ms);
    let counted = context.worker.store.increment(
        namespace.id,
        key,
        by as f64,
        options.init,
        ttl_ms,
        durability == Durability::None,
        &mut context.worker.buffer,
    );
    match counted {
        Ok(Number::Is(sum)) => {
            context.wrote(durability);
            let mut text = Vec::new();
            push_decimal(&mut text, sum as i64);
            context.reply().bulk(&text);
            Ok(())
        }
        Ok(Number::Absent) => {
            let message = format!("{} is missing; give {{ init }} to create it", shown(key));
            refuse(Code::NotInteger, message)
        }
        Ok(Number::NotInteger) => {
            refuse(Code::NotInteger, "the entry is not a whole number that a double can count by this step")
        }
        Err(failure) => Err(context.cold_or(failure, namespace.id, key)),
    }
}

pub fn clear(context: &mut Context, args: Args) -> Run {
    let waits = match args.len() {
        2 => false,
        3 if is_word(args.get(2), "sync") => true,
        _ => return error(SYNTAX),
    };
    if args.get(1).starts_with(b" ") {
        return refuse(Code::Config, "this namespace is for the store itself");
    }
    if let Some(namespace) = context.worker.find_namespace(args.get(1))? {
        super::keys::clear(context, namespace)?;
        if waits {
            context.wrote(Durability::Sync);
        }
    }
    context.reply().ok();
    Ok(())
}

/// Entries of a namespace nobody has made have no tags.
pub fn invalidate(context: &mut Context, args: Args) -> Run {
    let name = args.get(1);
    if name.starts_with(b" ") {
        return refuse(Code::Config, "this namespace is for the store itself");
    }
    let mut tags = Vec::new();
    for tag in args.from(2) {
        push_tag(&mut tags, tag)?;
    }
    if let Some(namespace) = context.worker.find_namespace(name)? {
        context.worker.store.invalidate_tags(namespace.id, &tags, &mut context.worker.buffer)?;
        context.wrote(super::keys::durability_of_epoch(namespace));
    }
    context.reply().ok();
    Ok(())
}

pub fn flush(context: &mut Context, _args: Args) -> Run {
    context.wrote(Durability::Sync);
    context.reply().ok();
    Ok(())
}
