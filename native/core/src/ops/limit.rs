//! Limiters: how many points were admitted in the last window, in one record for each key. Decided by RAM alone, under the
//! shard lock, by the clock of the store.
//!
//! The window is cut into [`PARTS`] parts, and points are counted by part. A window of any position overlaps the parts of
//! its length and one more; all of these count. So no window ever has more than the limit, and at worst one part of a
//! window more than necessary is looked back at.
//!
//! ```text
//! 0   u64  denied until, milliseconds since 1970, 0 = not
//! 8   u64  milliseconds of a part
//! 16  u64  number of the newest part: milliseconds since 1970 / those of a part
//! 24       for each part with points, the newest first: u16 parts before the newest, u32 points
//! ```

use super::write::{Current, Decision, Wish, SET};
use crate::arena::copy::copy_out;
use crate::error::{Code, Result, StoreError};
use crate::layout;
use crate::record::{Parts, RecordBuffer};
use crate::store::Store;

/// Where the records are.
pub const NAMESPACE: &str = " limits";
/// Parts of a window.
const PARTS: u64 = 32;
/// The number of the namespace, and the length of the name, stand in front of name and key.
const PREFIX_BYTES: usize = 3;
pub const NAME_BYTES_MAX: usize = 64;
pub const KEY_BYTES_MAX: usize = layout::KEY_BYTES_MAX - PREFIX_BYTES - NAME_BYTES_MAX;
/// Points of a limit; those of a part are counted in 32 bits.
pub const LIMIT_MAX: u64 = 1_000_000_000;
/// Ten years.
pub const WINDOW_MS_MAX: u64 = 10 * 365 * 86_400_000;

const HEAD_BYTES: usize = 24;
const PART_BYTES: usize = 6;
/// The type of bytes; see `src/codec/bytes.ts`.
const BYTES: u8 = 6;
/// A time that is past.
const LONG_AGO_MS: u64 = 1;

/// Whom a limiter counts.
#[derive(Clone, Copy, Debug)]
pub struct LimitKey<'a> {
    pub namespace: u32,
    pub name: &'a [u8],
    pub key: &'a [u8],
}

/// What a limiter allows.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    pub points: u64,
    pub window_ms: u64,
    /// Points from which on it warns, 0 = never.
    pub warn: u64,
    /// How long all is denied once something was, 0 = as long as the window is full.
    pub penalty_ms: u64,
}

/// What is wanted of a limiter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Demand {
    /// Points that are counted if they are admitted; 0 only looks.
    Points(u64),
    /// Points that are counted in any case, or taken back.
    Count(i64),
}

/// The answer, with what was asked for counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitAnswer {
    pub is_allowed: bool,
    pub consumed: u64,
    pub is_warned: bool,
    /// When as many points can be had; 0 = now.
    pub retry_after_ms: u64,
    /// When nothing of what was counted counts any more.
    pub reset_ms: u64,
}

/// The parts of one window, the newest first: number and points.
#[derive(Default)]
struct Window {
    denied_until: u64,
    part_ms: u64,
    parts: Vec<(u64, u32)>,
}

impl Store {
    /// Asks a limiter, which counts if it admits.
    pub fn limit(&self, key: &LimitKey, limit: &Limit, demand: Demand) -> Result<LimitAnswer> {
        check(limit, demand)?;
        let name = name_of(key)?;
        let namespace = self.limits_namespace()?;
        let hash = self.hasher.hash(namespace, &name);
        let mut answer = None;
        let mut buffer = RecordBuffer::default();
        let wish = Wish::removal(false).unseen();
        self.commit(namespace, &name, hash, wish, &mut buffer, |current, buffer| {
            let now = self.arena.expiry_now_ms();
            let mut window = Window::of(&self.limit_value(current), limit.window_ms, now);
            let (given, is_changed) = window.ask(limit, demand, now);
            answer = Some(given);
            if !is_changed {
                return Decision::Refuse;
            }
            let value = window.pack();
            let expires_at = window.ends_at(limit.window_ms).max(now + 1);
            let mut build = |is_pinned| {
                buffer.build(&Parts {
                    namespace,
                    key: &name,
                    value_type: BYTES,
                    value: &value,
                    is_pinned,
                    is_volatile: true,
                    expires_at,
                    ..Parts::default()
                });
                buffer.header()
            };
            // Too many to be kept in any case: then they are entries like others.
            let header = build(true);
            if self.own_excess(&header, current.map(|current| &current.header)).is_some() {
                build(false);
            }
            SET
        })?;
        Ok(answer.expect("asked at least once"))
    }

    /// Forgets what was counted for a key. Whether there was anything.
    pub fn reset_limit(&self, key: &LimitKey) -> Result<bool> {
        let name = name_of(key)?;
        let namespace = self.limits_namespace()?;
        let hash = self.hasher.hash(namespace, &name);
        let mut buffer = RecordBuffer::default();
        let wish = Wish::removal(false).unseen();
        let gone = self.commit(namespace, &name, hash, wish, &mut buffer, |current, buffer| {
            if current.is_none() {
                return Decision::Refuse;
            }
            buffer.build(&Parts {
                namespace,
                key: &name,
                value_type: BYTES,
                is_volatile: true,
                expires_at: LONG_AGO_MS,
                ..Parts::default()
            });
            SET
        })?;
        Ok(gone.is_some())
    }

    fn limit_value(&self, current: Option<&Current>) -> Vec<u8> {
        let Some(current) = current.filter(|current| !current.header.is_run()) else { return Vec::new() };
        let mut value = vec![0; current.header.value_bytes as usize];
        let first = self.arena.record_byte(current.location).expect("inside its segment");
        copy_out(self.arena.data(), first, current.header.value_at(), &mut value);
        value
    }

    fn limits_namespace(&self) -> Result<u32> {
        match self.limits_namespace.get() {
            Some(namespace) => Ok(*namespace),
            None => {
                let namespace = self.namespace(NAMESPACE)?;
                Ok(*self.limits_namespace.get_or_init(|| namespace))
            }
        }
    }
}

impl Window {
    /// What a record says, without what no longer counts. Parts of another length than asked for, because the limiter has
    /// been given another window, count as late as they may have been.
    fn of(value: &[u8], window_ms: u64, now: u64) -> Window {
        let part_ms = window_ms.div_ceil(PARTS).max(1);
        let mut window = Window { denied_until: 0, part_ms, parts: Vec::new() };
        if value.len() < HEAD_BYTES {
            return window;
        }
        let u64_at = |at: usize| u64::from_le_bytes(value[at..at + 8].try_into().expect("eight bytes"));
        window.denied_until = Some(u64_at(0)).filter(|until| *until > now).unwrap_or(0);
        let (old_part_ms, newest) = (u64_at(8).max(1), u64_at(16));
        for part in value[HEAD_BYTES..].chunks_exact(PART_BYTES) {
            let number = newest.saturating_sub(u16::from_le_bytes([part[0], part[1]]) as u64);
            let points = u32::from_le_bytes(part[2..].try_into().expect("four bytes"));
            let number = match old_part_ms == part_ms {
                true => number,
                false => ((number + 1) * old_part_ms - 1).min(now) / part_ms,
            };
            match window.parts.last_mut() {
                Some((last, sum)) if *last == number => *sum = sum.saturating_add(points),
                _ => window.parts.push((number, points)),
            }
        }
        let oldest = (now / part_ms).saturating_sub(window.length(window_ms));
        window.parts.retain(|(number, points)| *number >= oldest && *points > 0);
        window
    }

    /// Parts of a whole window.
    fn length(&self, window_ms: u64) -> u64 {
        window_ms.div_ceil(self.part_ms)
    }

    fn sum(&self) -> u64 {
        self.parts.iter().map(|(_, points)| *points as u64).sum()
    }

    /// When a part counts no more.
    fn gone_at(&self, number: u64, window_ms: u64) -> u64 {
        (number + self.length(window_ms) + 1) * self.part_ms
    }

    /// When nothing counts any more; 0 when that is so.
    fn ends_at(&self, window_ms: u64) -> u64 {
        let last = self.parts.first().map_or(0, |(number, _)| self.gone_at(*number, window_ms));
        last.max(self.denied_until)
    }

    /// The answer, and whether anything has changed.
    fn ask(&mut self, limit: &Limit, demand: Demand, now: u64) -> (LimitAnswer, bool) {
        let is_denied = self.denied_until > now;
        let (wanted, is_allowed, is_changed) = match demand {
            Demand::Points(points) => {
                let fits = self.sum() + points.max(1) <= limit.points;
                if fits && !is_denied {
                    self.add(points, now);
                } else if !is_denied && points > 0 && limit.penalty_ms > 0 {
                    self.denied_until = now + limit.penalty_ms;
                }
                let is_written = points > 0 && !is_denied && (fits || limit.penalty_ms > 0);
                (points.max(1), fits && !is_denied, is_written)
            }
            Demand::Count(points) => {
                match points {
                    0.. => self.add(points as u64, now),
                    _ => self.take_back(points.unsigned_abs()),
                }
                (1, !is_denied && self.sum() <= limit.points, true)
            }
        };
        let consumed = self.sum();
        let retry_after_ms = match is_allowed {
            true => 0,
            false => self.free_at(wanted, limit).max(self.denied_until).saturating_sub(now),
        };
        let answer = LimitAnswer {
            is_allowed,
            consumed,
            is_warned: limit.warn > 0 && consumed >= limit.warn,
            retry_after_ms,
            reset_ms: self.ends_at(limit.window_ms).saturating_sub(now),
        };
        (answer, is_changed)
    }

    fn add(&mut self, points: u64, now: u64) {
        if points == 0 {
            return;
        }
        let number = now / self.part_ms;
        let points = points.min(u32::MAX as u64) as u32;
        match self.parts.first_mut() {
            // The clock never goes back behind a part that has been counted.
            Some((newest, sum)) if *newest >= number => *sum = sum.saturating_add(points),
            _ => self.parts.insert(0, (number, points)),
        }
    }

    /// The newest first: so nothing is counted for a shorter time than it was.
    fn take_back(&mut self, mut points: u64) {
        for (_, sum) in &mut self.parts {
            let taken = points.min(*sum as u64);
            *sum -= taken as u32;
            points -= taken;
        }
        self.parts.retain(|(_, points)| *points > 0);
    }

    /// When so many points fit, if nothing else is counted; 0 = now.
    fn free_at(&self, wanted: u64, limit: &Limit) -> u64 {
        let mut sum = self.sum();
        let mut at = 0;
        for (number, points) in self.parts.iter().rev() {
            if sum + wanted <= limit.points {
                break;
            }
            sum -= *points as u64;
            at = self.gone_at(*number, limit.window_ms);
        }
        at
    }

    fn pack(&self) -> Vec<u8> {
        let newest = self.parts.first().map_or(0, |(number, _)| *number);
        let mut value = Vec::with_capacity(HEAD_BYTES + self.parts.len() * PART_BYTES);
        value.extend_from_slice(&self.denied_until.to_le_bytes());
        value.extend_from_slice(&self.part_ms.to_le_bytes());
        value.extend_from_slice(&newest.to_le_bytes());
        for (number, points) in &self.parts {
            value.extend_from_slice(&((newest - number) as u16).to_le_bytes());
            value.extend_from_slice(&points.to_le_bytes());
        }
        value
    }
}

fn check(limit: &Limit, demand: Demand) -> Result<()> {
    let refuse = |message: String| Err(StoreError::new(Code::Config, message));
    if !(1..=LIMIT_MAX).contains(&limit.points) {
        return refuse(format!("a limit of {} points, allowed are 1 to {LIMIT_MAX}", limit.points));
    }
    for (what, ms, least) in [("window", limit.window_ms, 1), ("penalty", limit.penalty_ms, 0)] {
        if !(least..=WINDOW_MS_MAX).contains(&ms) {
            return refuse(format!("a {what} of {ms} ms, allowed are {least} to {WINDOW_MS_MAX}"));
        }
    }
    match demand {
        Demand::Points(points) if points > limit.points => {
            refuse(format!("{points} points, of which a limit of {} never admits so many", limit.points))
        }
        Demand::Count(points) if points.unsigned_abs() > LIMIT_MAX => {
            refuse(format!("{points} points to count, the limit is {LIMIT_MAX}"))
        }
        _ => Ok(()),
    }
}

/// The key of a record.
fn name_of(LimitKey { namespace, name, key }: &LimitKey) -> Result<Vec<u8>> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        let message = format!("name of {} bytes, that of a limiter has 1 to {NAME_BYTES_MAX}", name.len());
        return Err(StoreError::new(Code::Config, message));
    }
    if key.len() > KEY_BYTES_MAX {
        let message = format!("key of {} bytes, the limit of a limiter's is {KEY_BYTES_MAX}", key.len());
        return Err(StoreError::new(Code::Key, message));
    }
    let mut whole = Vec::with_capacity(PREFIX_BYTES + name.len() + key.len());
    whole.extend_from_slice(&(*namespace as u16).to_be_bytes());
    whole.push(name.len() as u8);
    whole.extend_from_slice(name);
    whole.extend_from_slice(key);
    Ok(whole)
}
