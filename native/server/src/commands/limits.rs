//! RC.LIMIT, and CL.THROTTLE as redis-cell answers it.

use super::is_word;
use super::own_writes::{refuse, shown};
use crate::context::{error, integer, Context, Replacement, Run, Stop, NOT_INTEGER, SYNTAX};
use crate::frame::Args;
use crate::number::{parse_i64, parse_u64};
use crate::values::{text, type_for};
use ramcache_core::error::Code;
use ramcache_core::ops::{Demand, Limit, LimitKey};

pub fn limit(context: &mut Context, args: Args) -> Run {
    let is_reset = args.len() == 5 && is_word(args.get(4), "reset");
    if !is_reset && args.len() < 7 {
        return error(SYNTAX);
    }
    if args.get(1).starts_with(b" ") {
        return refuse(Code::Config, "this namespace is for the store itself");
    }
    let namespace = context.worker.namespace(args.get(1))?.id;
    let key = LimitKey { namespace, name: args.get(2), key: args.get(3) };
    if is_reset {
        let was_there = context.worker.store.reset_limit(&key)?;
        context.reply().integer(was_there as i64);
        return Ok(());
    }
    let number = |text: &[u8], what: &str| match parse_u64(text) {
        Some(number) => Ok(number),
        None => refuse(Code::Config, format!("{what} must be a whole number, not {}", shown(text))),
    };
    let mut limit = Limit {
        points: number(args.get(4), "the limit")?,
        window_ms: number(args.get(5), "the window")?,
        warn: 0,
        penalty_ms: 0,
    };
    let mut counts_all = false;
    let mut rest = args.from(7);
    while let Some(word) = rest.next() {
        match () {
            () if is_word(word, "all") => counts_all = true,
            () if is_word(word, "warn") => {
                let Some(text) = rest.next() else { return error(SYNTAX) };
                limit.warn = number(text, "WARN")?;
            }
            () if is_word(word, "penalty") => {
                let Some(text) = rest.next() else { return error(SYNTAX) };
                limit.penalty_ms = number(text, "PENALTY")?;
            }
            () => return error(SYNTAX),
        }
    }
    let demand = match (counts_all, parse_i64(args.get(6))) {
        (true, Some(points)) => Demand::Count(points),
        _ => Demand::Points(number(args.get(6), "POINTS")?),
    };
    let answer = context.worker.store.limit(&key, &limit, demand)?;
    let mut reply = context.reply();
    reply.array(6);
    for number in [
        answer.is_allowed as u64,
        answer.consumed,
        limit.points.saturating_sub(answer.consumed),
        answer.retry_after_ms,
        answer.reset_ms,
        answer.is_warned as u64,
    ] {
        reply.integer(number as i64);
    }
    Ok(())
}

const NS_PER_MS: i128 = 1_000_000;
const NS_PER_S: i128 = 1_000_000_000;

/// `CL.THROTTLE key max_burst count period [quantity]`: the generic cell rate algorithm. Under the key is the time at which
/// it would be as if nothing had been asked for, in nanoseconds since 1970.
pub fn throttle(context: &mut Context, args: Args) -> Run {
    if args.len() > 6 {
        return error(SYNTAX);
    }
    let at_least = |text: &[u8], least: i64, what: &str| -> Result<i128, Stop> {
        match integer(text)? {
            number if number >= least => Ok(number as i128),
            _ => error(format!("ERR {what} must be at least {least}")),
        }
    };
    let burst = at_least(args.get(2), 0, "max_burst")?;
    let count = at_least(args.get(3), 1, "count per period")?;
    let period = at_least(args.get(4), 1, "period")?;
    let quantity = if args.len() == 6 { at_least(args.get(5), 0, "quantity")? } else { 1 };
    let interval = (period * NS_PER_S / count).max(1);
    let (limit, increment) = (burst + 1, interval * quantity);
    let tolerance = interval * limit;
    if tolerance.max(increment) > i64::MAX as i128 / 2 {
        return error("ERR the rate is too low, or the burst too large, to be counted in nanoseconds");
    }
    let namespace = context.namespace();
    let (is_limited, left, retry_after) = context.update(namespace, args.get(1), |context, current| {
        let now = context.now_ms() as i128 * NS_PER_MS;
        let stored = match current {
            None => now,
            Some(current) => {
                let stored =
                    text(current.header.value_type, &current.value).and_then(|text| parse_i64(&text));
                stored.ok_or(Stop::Error(NOT_INTEGER.into()))? as i128
            }
        };
        let next = stored.max(now) + increment;
        let late = next - tolerance - now;
        if late > 0 {
            let retry_after = if increment <= tolerance { late } else { -NS_PER_S };
            return Ok((None, (true, (stored - now).max(0), retry_after)));
        }
        let left = next - now;
        let value = (next as i64).to_string().into_bytes();
        let ttl_ms = (left + NS_PER_MS - 1) / NS_PER_MS;
        let replacement = Replacement {
            value_type: type_for(&value),
            value,
            keeps: false,
            ttl_ms: ttl_ms as u64,
            expires_at: 0,
        };
        Ok(((ttl_ms > 0).then_some(replacement), (false, left, -NS_PER_S)))
    })?;
    let remaining = ((tolerance - left) / interval).max(0);
    // Up to the next second: who comes a fraction too early is limited again.
    let seconds = |ns: i128| if ns < 0 { -1 } else { (ns + NS_PER_S - 1) / NS_PER_S };
    let mut reply = context.reply();
    reply.array(5);
    for number in [is_limited as i128, limit, remaining, seconds(retry_after), seconds(left)] {
        reply.integer(number as i64);
    }
    Ok(())
}
