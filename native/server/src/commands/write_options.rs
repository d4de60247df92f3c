//! Options of SET and GETEX, and times to live as Redis judges them.

use super::is_word;
use crate::context::{error, integer, Context, Stop, SYNTAX};
use crate::frame::Args;
use crate::worker::Namespace;

/// When something expires.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expiry {
    /// As its namespace has it.
    Usual,
    Never,
    /// Milliseconds from now.
    In(u64),
    /// Milliseconds since 1970.
    At(u64),
}

impl Expiry {
    /// Time to live and time of expiry for a write, 0 = none.
    pub fn times(self, namespace: Namespace) -> (u64, u64) {
        match self {
            Expiry::Usual => (namespace.ttl_ms, 0),
            Expiry::Never => (0, 0),
            Expiry::In(ms) => (ms, 0),
            Expiry::At(ms) => (0, ms),
        }
    }
}

/// A time given to a write; `name` is that of the command.
pub fn expiry(text: &[u8], unit_ms: i64, is_absolute: bool, name: &str, now_ms: u64) -> Result<Expiry, Stop> {
    let number = integer(text)?;
    let invalid = || Stop::Error(format!("ERR invalid expire time in '{name}' command").into());
    let ms = number.checked_mul(unit_ms).filter(|ms| *ms > 0).ok_or_else(invalid)?;
    match is_absolute {
        true => Ok(Expiry::At(ms as u64)),
        false => match ms.checked_add(now_ms as i64) {
            Some(_) => Ok(Expiry::In(ms as u64)),
            None => Err(invalid()),
        },
    }
}

#[derive(Clone, Copy)]
pub struct SetOptions {
    pub expiry: Expiry,
    pub keeps_ttl: bool,
    pub if_absent: bool,
    pub if_present: bool,
    pub gets: bool,
}

/// Unit in milliseconds and whether it is a point in time, by the word of an option.
fn unit_of(word: &[u8]) -> Option<(i64, bool)> {
    match () {
        () if is_word(word, "ex") => Some((1000, false)),
        () if is_word(word, "px") => Some((1, false)),
        () if is_word(word, "exat") => Some((1000, true)),
        () if is_word(word, "pxat") => Some((1, true)),
        () => None,
    }
}

impl SetOptions {
    /// `SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]`
    pub fn parse(context: &Context, args: Args) -> Result<SetOptions, Stop> {
        let mut options = SetOptions {
            expiry: Expiry::Usual,
            keeps_ttl: false,
            if_absent: false,
            if_present: false,
            gets: false,
        };
        let mut time = None;
        let mut at = 3;
        while at < args.len() {
            let word = args.get(at);
            match () {
                () if is_word(word, "nx") && !options.if_present => options.if_absent = true,
                () if is_word(word, "xx") && !options.if_absent => options.if_present = true,
                () if is_word(word, "get") => options.gets = true,
                () if is_word(word, "keepttl") && time.is_none() => options.keeps_ttl = true,
                () => match unit_of(word) {
                    // The same twice counts as the second one.
                    Some(unit)
                        if !options.keeps_ttl
                            && time.is_none_or(|(_, other)| other == unit)
                            && at + 1 < args.len() =>
                    {
                        at += 1;
                        time = Some((args.get(at), unit));
                    }
                    _ => return error(SYNTAX),
                },
            }
            at += 1;
        }
        if let Some((text, (unit_ms, is_absolute))) = time {
            options.expiry = expiry(text, unit_ms, is_absolute, "set", context.now_ms())?;
        }
        Ok(options)
    }

    /// Whether the words of GETEX make sense: its time is only looked at when there is something to read.
    pub fn check_getex(args: Args) -> Result<(), Stop> {
        match args.len() {
            2 => Ok(()),
            3 if is_word(args.get(2), "persist") => Ok(()),
            4 if unit_of(args.get(2)).is_some() => Ok(()),
            _ => error(SYNTAX),
        }
    }

    /// `GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]`; `None` when nothing is to change.
    pub fn parse_getex(context: &Context, args: Args) -> Result<Option<Expiry>, Stop> {
        match args.len() {
            2 => Ok(None),
            3 if is_word(args.get(2), "persist") => Ok(Some(Expiry::Never)),
            4 => match unit_of(args.get(2)) {
                Some((unit_ms, is_absolute)) => {
                    expiry(args.get(3), unit_ms, is_absolute, "getex", context.now_ms()).map(Some)
                }
                None => error(SYNTAX),
            },
            _ => error(SYNTAX),
        }
    }
}
