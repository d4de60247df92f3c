//! What each writer does, step by step from a seed, and what must be there after any number of its steps.

use super::support::Random;
use ramcache_core::ops::read::{Copied, Lookup, Reader, Seen};
use ramcache_core::ops::{Number, WriteRequest};
use ramcache_core::record::{value_type, RecordBuffer};
use ramcache_core::store::Store;
use std::collections::BTreeMap;

const KEYS: u64 = 160;
const COUNTERS: u64 = 8;
const GROUP_KEYS: u64 = 7;
const CLEAR_EVERY: u64 = 700;
/// What a single set writes has one of these tags, by its key.
const TAGS: u64 = 7;
const HOUR_MS: u64 = 3_600_000;

/// One step of a writer, all of it in the writer's own namespace.
#[derive(Clone, Debug)]
pub enum Step {
    Set { key: u64, ttl_ms: u64 },
    Delete { key: u64 },
    Touch { key: u64 },
    Group { keys: Vec<u64> },
    Increment { key: u64 },
    Invalidate { tag: u64 },
    Clear,
}

/// What a key holds: the step that wrote it, or a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Held {
    Step(u64),
    /// With a tag.
    Tagged(u64),
    Number(f64),
}

pub type State = BTreeMap<u64, Held>;

pub fn step_of(seed: u64, writer: u32, number: u64) -> Step {
    let mut random = Random(seed ^ (writer as u64) << 48 ^ number << 8);
    if number % CLEAR_EVERY == CLEAR_EVERY - 1 {
        return Step::Clear;
    }
    let key = random.below(KEYS);
    match random.below(100) {
        0..50 => Step::Set { key, ttl_ms: 0 },
        50..58 => Step::Set { key, ttl_ms: HOUR_MS },
        58..68 => Step::Delete { key },
        68..74 => Step::Touch { key },
        // Now and then a key twice: the later one counts, and both carry the same step.
        74..76 => Step::Invalidate { tag: random.below(TAGS) },
        76..88 => Step::Group { keys: (0..GROUP_KEYS).map(|_| random.below(KEYS)).collect() },
        _ => Step::Increment { key: KEYS + key % COUNTERS },
    }
}

pub fn name_of(key: u64) -> Vec<u8> {
    format!("key:{key}").into_bytes()
}

fn tag_of(tag: u64) -> Vec<u8> {
    vec![1, tag as u8]
}

/// Says whose it is all over; every ninth lies in runs.
fn value_of(writer: u32, number: u64, key: u64) -> Vec<u8> {
    let mut random = Random((writer as u64) << 32 ^ number << 12 ^ key);
    let bytes = if random.below(9) == 0 { 600 + random.below(6000) } else { random.below(200) };
    (0..bytes).map(|_| random.next() as u8).collect()
}

/// Does a step. What an increment came to, else 0.
pub fn act(store: &Store, namespace: u32, writer: u32, number: u64, step: &Step) -> f64 {
    let mut buffer = RecordBuffer::default();
    let buffer = &mut buffer;
    let names: BTreeMap<u64, Vec<u8>> = (0..KEYS + COUNTERS).map(|key| (key, name_of(key))).collect();
    match step {
        Step::Set { key, ttl_ms } => {
            let value = value_of(writer, number, *key);
            let request = WriteRequest {
                namespace,
                key: &names[key],
                value: &value,
                value_type: 6,
                ttl_ms: *ttl_ms,
                tags: &tag_of(key % TAGS),
                ..WriteRequest::default()
            };
            store.set(&request, buffer).expect("set");
        }
        Step::Delete { key } => {
            store.delete(namespace, &names[key], None, buffer).expect("deleted");
        }
        Step::Touch { key } => {
            store.touch(namespace, &names[key], HOUR_MS, false, buffer).expect("touched");
        }
        Step::Group { keys } => {
            let values: Vec<_> = keys.iter().map(|key| value_of(writer, number, *key)).collect();
            let requests: Vec<_> = keys
                .iter()
                .zip(&values)
                .map(|(key, value)| WriteRequest {
                    namespace,
                    key: &names[key],
                    value,
                    value_type: 6,
                    ..WriteRequest::default()
                })
                .collect();
            store.set_many(&requests).expect("set together");
        }
        Step::Increment { key } => {
            let sum = store.increment(namespace, &names[key], 1.0, Some(0.0), 0, false, buffer);
            let Number::Is(sum) = sum.expect("counted") else { panic!("a counter is no number") };
            return sum;
        }
        Step::Invalidate { tag } => {
            store.invalidate_tags(namespace, &tag_of(*tag), buffer).expect("invalidated");
        }
        Step::Clear => store.clear(namespace).expect("cleared"),
    }
    0.0
}

/// The state after a step; `sum` is what an increment came to.
pub fn apply(state: &mut State, number: u64, step: &Step, sum: f64) {
    match step {
        Step::Set { key, .. } => {
            state.insert(*key, Held::Tagged(number));
        }
        Step::Invalidate { tag } => {
            state.retain(|key, held| !matches!(held, Held::Tagged(_)) || key % TAGS != *tag);
        }
        Step::Delete { key } => {
            state.remove(key);
        }
        Step::Touch { .. } => {}
        Step::Group { keys } => state.extend(keys.iter().map(|key| (*key, Held::Step(number)))),
        Step::Increment { key } => {
            state.insert(*key, Held::Number(sum));
        }
        Step::Clear => state.clear(),
    }
}

/// States that may be found when the last step of a writer was not acknowledged: without it, or with it.
pub fn outcomes(state: &State, number: u64, step: &Step) -> Vec<State> {
    let mut sums = vec![1.0];
    if let Step::Increment { key } = step {
        if let Some(Held::Number(old)) = state.get(key) {
            sums.push(old + 1.0);
        }
    }
    let mut outcomes = vec![state.clone()];
    for sum in sums {
        let mut after = state.clone();
        apply(&mut after, number, step, sum);
        outcomes.push(after);
    }
    outcomes
}

/// All a reader finds of a writer.
pub fn read_all(
    reader: Reader<'_>,
    hash: impl Fn(u32, &[u8]) -> u64,
    namespace: u32,
) -> BTreeMap<u64, (u8, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for key in 0..KEYS + COUNTERS {
        let name = name_of(key);
        let (mut copied, mut seen) = (Copied::default(), Seen::default());
        match reader.read(namespace, &name, hash(namespace, &name), &mut copied, &mut seen) {
            Lookup::Hit => drop(found.insert(key, (seen.header.value_type, copied.value))),
            Lookup::Miss | Lookup::Dead => {}
            other => panic!("{other:?}"),
        }
    }
    found
}

/// Whether what was found is a state: all of it, or, with `may_lack`, nothing else.
pub fn is_state(
    found: &BTreeMap<u64, (u8, Vec<u8>)>,
    state: &State,
    writer: u32,
    may_lack: bool,
) -> Result<(), String> {
    for key in 0..KEYS + COUNTERS {
        let wanted = state.get(&key).map(|held| match held {
            Held::Step(number) | Held::Tagged(number) => (6, value_of(writer, *number, key)),
            Held::Number(number) => (value_type::NUMBER, number.to_le_bytes().to_vec()),
        });
        let here = found.get(&key);
        if here != wanted.as_ref() && !(may_lack && here.is_none()) {
            let lengths = (here.map(|(_, bytes)| bytes.len()), wanted.map(|(_, bytes)| bytes.len()));
            return Err(format!("key {key} of writer {writer}: {lengths:?} bytes, {:?}", state.get(&key)));
        }
    }
    Ok(())
}
