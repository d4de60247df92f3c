//! Numbers that count: exact over all whole numbers of 64 bits, and decimal fractions.

use crate::context::{error, integer, Context, Current, Replacement, Run, Stop, NOT_INTEGER, WRONG_TYPE};
use crate::frame::Args;
use crate::number::parse_i64;
use crate::values::{number, stored_integer, text, type_for};
use ramcache_core::record::value_type;

pub fn incr(context: &mut Context, args: Args) -> Run {
    add(context, args.get(1), 1)
}

pub fn decr(context: &mut Context, args: Args) -> Run {
    add(context, args.get(1), -1)
}

pub fn incrby(context: &mut Context, args: Args) -> Run {
    let by = integer(args.get(2))?;
    add(context, args.get(1), by)
}

pub fn decrby(context: &mut Context, args: Args) -> Run {
    let by = integer(args.get(2))?;
    match by.checked_neg() {
        Some(by) => add(context, args.get(1), by),
        None => error("ERR decrement would overflow"),
    }
}

fn add(context: &mut Context, key: &[u8], by: i64) -> Run {
    let namespace = context.namespace();
    let sum = context.update(namespace, key, |_, current| {
        let old = current.map_or(Ok(0), integer_of)?;
        let Some(sum) = old.checked_add(by) else {
            return error("ERR increment or decrement would overflow");
        };
        let (value_type, value) = stored_integer(sum);
        let ttl_ms = namespace.ttl_ms;
        Ok((Some(Replacement { value_type, value, keeps: true, ttl_ms, expires_at: 0 }), sum))
    })?;
    context.reply().integer(sum);
    Ok(())
}

fn integer_of(current: &Current) -> Result<i64, Stop> {
    let kind = current.header.value_type;
    if kind == value_type::NUMBER {
        let whole =
            number(&current.value).filter(|number| number.fract() == 0.0 && number.abs() < 2f64.powi(63));
        return whole.map(|number| number as i64).ok_or(Stop::Error(NOT_INTEGER.into()));
    }
    match text(kind, &current.value) {
        Some(text) => parse_i64(&text).ok_or(Stop::Error(NOT_INTEGER.into())),
        None => error(WRONG_TYPE),
    }
}

pub fn incrbyfloat(context: &mut Context, args: Args) -> Run {
    const NO_FLOAT: &str = "ERR value is not a valid float";
    let namespace = context.namespace();
    let by = args.get(2);
    let sum = context.update(namespace, args.get(1), |_, current| {
        let old = match current {
            None => b"0".to_vec(),
            Some(current) => match text(current.header.value_type, &current.value) {
                Some(text) => text.into_owned(),
                None => return error(WRONG_TYPE),
            },
        };
        let (Some(first), Some(second)) = (float(&old), float(by)) else { return error(NO_FLOAT) };
        if !(first + second).is_finite() {
            return error("ERR increment would produce NaN or Infinity");
        }
        let sum = match (decimal(&old), decimal(by)) {
            (Some(first), Some(second)) => decimal_text(first + second),
            _ => plain_text(first + second),
        };
        let value = sum.clone().into_bytes();
        let value_type = type_for(&value);
        Ok((
            Some(Replacement { value_type, value, keeps: true, ttl_ms: namespace.ttl_ms, expires_at: 0 }),
            sum,
        ))
    })?;
    context.reply().bulk(sum.as_bytes());
    Ok(())
}

fn float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let is_plain = !text.is_empty()
        && !text.starts_with(char::is_whitespace)
        && !text.to_ascii_lowercase().contains("nan");
    let number: f64 = text.parse().ok().filter(|_| is_plain)?;
    Some(number)
}

/// Digits behind the point, as Redis writes them at most.
const FRACTION_DIGITS: usize = 17;
const SCALE: i128 = 10i128.pow(FRACTION_DIGITS as u32);

/// A decimal fraction of no more digits than fit, in units of the last of them: sums of these are exact, as the longer
/// floats of Redis make them appear.
fn decimal(text: &[u8]) -> Option<i128> {
    let text = std::str::from_utf8(text).ok()?;
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_short =
        whole.len() <= 20 && fraction.len() <= FRACTION_DIGITS && !(whole.is_empty() && fraction.is_empty());
    if !is_short || !whole.bytes().chain(fraction.bytes()).all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction: i128 = format!("{fraction:0<FRACTION_DIGITS$}").parse().ok()?;
    Some(sign * (whole * SCALE + fraction))
}

fn decimal_text(number: i128) -> String {
    let sign = if number < 0 { "-" } else { "" };
    let number = number.unsigned_abs();
    let (whole, fraction) = (number / SCALE as u128, number % SCALE as u128);
    let fraction = format!("{fraction:0>FRACTION_DIGITS$}");
    match fraction.trim_end_matches('0') {
        "" => format!("{sign}{whole}"),
        fraction => format!("{sign}{whole}.{fraction}"),
    }
}

/// Without an exponent.
fn plain_text(number: f64) -> String {
    let text = format!("{number:.FRACTION_DIGITS$}");
    let shortest = format!("{number}");
    // More digits than tell the number apart only show how it is stored.
    if shortest.len() < text.len() {
        return shortest;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
