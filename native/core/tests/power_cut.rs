//! Power cuts: the files of a store as they would be, where nothing that was not synced can be relied upon. What lies
//! behind the last sync of the log is there, or zeros, or something else, sector by sector.

#[path = "support/mod.rs"]
mod support;
#[allow(dead_code)]
#[path = "support/tiered.rs"]
mod tiered;

use ramcache_core::below::Reached;
use ramcache_core::log::Position;
use ramcache_core::ops::{Conditions, WriteRequest};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use support::Random;
use tiered::{fresh_dir, key_of, value_of, Tiered};

const SECTOR_BYTES: usize = 512;
const KEYS: u64 = 400;

/// What was written under a key, in order: the sequence after it, and its version; `None` for a delete.
type History = Vec<Vec<(u64, Option<u64>)>>;

/// The files of the SSD tier, and the position up to which the log was synced when they were read.
fn files_of(dir: &Path, synced: impl Fn() -> Position) -> (Vec<(PathBuf, Vec<u8>)>, Position) {
    loop {
        let before = synced();
        let folders = [dir.join("ssd"), dir.join("ssd/log")];
        let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).expect("there"));
        let paths = entries.map(|entry| entry.expect("read").path()).filter(|path| !path.is_dir());
        let files = paths
            .map(|path| {
                let bytes = fs::read(&path).expect("read");
                (path.strip_prefix(dir).expect("inside").to_path_buf(), bytes)
            })
            .collect();
        // A sync meanwhile may vouch for what is going to be spoiled.
        if synced() == before {
            return (files, before);
        }
    }
}

/// Writes them elsewhere; of the log only what lies before `synced` is sure to be there.
fn cut(random: &mut Random, files: Vec<(PathBuf, Vec<u8>)>, to: &Path, synced: Position) {
    fs::create_dir_all(to.join("ssd/log")).expect("made");
    for (path, mut bytes) in files {
        let number = path
            .extension()
            .filter(|end| *end == "log")
            .and_then(|_| u32::from_str_radix(path.file_stem()?.to_str()?, 16).ok());
        if let Some(number) = number {
            // A file is synced with its header when it is made.
            let sure = match number.cmp(&synced.file) {
                std::cmp::Ordering::Less => bytes.len(),
                std::cmp::Ordering::Equal => synced.offset as usize,
                std::cmp::Ordering::Greater => HEADER_SECTOR,
            };
            spoil(random, &mut bytes, sure);
        }
        fs::write(to.join(path), bytes).expect("written");
    }
}

/// The header of a file of the log lies in it.
const HEADER_SECTOR: usize = SECTOR_BYTES;

fn spoil(random: &mut Random, bytes: &mut [u8], sure: usize) {
    // Everything is lost, or nothing, or each sector for itself.
    let kind = random.below(4);
    for start in (0..bytes.len()).step_by(SECTOR_BYTES) {
        let end = (start + SECTOR_BYTES).min(bytes.len());
        let lost = &mut bytes[start.max(sure).min(end)..end];
        match (kind, random.below(3)) {
            (0, _) => lost.fill(0),
            (1, _) | (_, 0) => {}
            (_, 1) => lost.fill(0),
            _ => lost.iter_mut().for_each(|byte| *byte = random.next() as u8),
        }
    }
}

#[test]
fn what_was_durable_is_there_and_nothing_is_wrong() {
    let seed = support::seed();
    println!("seed {seed}");
    let mut random = Random(seed);
    let dir = fresh_dir("power");
    let mut tiered = Tiered::open(&dir, 1 << 20, Arc::default());
    let mut history: History = vec![Vec::new(); KEYS as usize];
    let (mut version, mut lost, mut kept) = (0, 0, 0);
    for round in 0..20 {
        for _ in 0..random.below(1500) {
            write(&mut random, &mut tiered, &mut history, &mut version);
        }
        let store = tiered.owned.store();
        let below = store.below().expect("started");
        // In half of the rounds everything was acknowledged as durable a moment before.
        if random.below(2) == 0 {
            below.progress.wait_durable(store.sequence()).expect("synced");
            assert!(below.await_reached(0, store.sequence(), Reached::Durable).is_none());
        }
        for _ in 0..random.below(30) {
            write(&mut random, &mut tiered, &mut history, &mut version);
        }
        let below = tiered.owned.store().below().expect("started");
        // In this order: what is durable was synced before.
        let durable = below.progress.durable();
        let (files, synced) = files_of(&dir, || below.log_synced());
        let copy = fresh_dir(&format!("power-{round}"));
        cut(&mut random, files, &copy, synced);
        // Without the arena, and with an index made from nothing.
        let mut after = Tiered::open(&copy, 1 << 20, Arc::default());
        for (number, writes) in history.iter().enumerate() {
            let found = after.get(&key_of(number as u64));
            let sure = writes.iter().rposition(|(sequence, _)| *sequence <= durable);
            let mut allowed = writes[sure.unwrap_or(0)..].iter().map(|(_, version)| *version);
            let is_known = match sure {
                // Nothing of it was durable.
                None if found.is_none() => true,
                _ => allowed.any(|version| found == version.map(|version| value_of(number as u64, version))),
            };
            assert!(
                is_known,
                "round {round} key {number}: {:?}, durable {durable}",
                found.map(|value| value.len())
            );
            let newest = writes.last().and_then(|(_, version)| *version);
            match found == newest.map(|version| value_of(number as u64, version)) {
                true => kept += 1,
                false => lost += 1,
            }
        }
        after.owned.store().check().expect("the arena is whole");
        after.close();
        let _ = fs::remove_dir_all(&copy);
    }
    println!("{kept} newest versions were there, {lost} were not");
    assert!(kept > 1000 && lost > 0, "{kept} kept, {lost} lost: a cut that loses nothing shows nothing");
    tiered.close();
    let _ = fs::remove_dir_all(&dir);
}

fn write(random: &mut Random, tiered: &mut Tiered, history: &mut History, version: &mut u64) {
    let number = random.below(KEYS);
    *version += 1;
    let mut note = |number: u64, version: Option<u64>, tiered: &Tiered| {
        history[number as usize].push((tiered.owned.store().sequence(), version));
    };
    match random.below(10) {
        0 => {
            tiered.delete(&key_of(number));
            note(number, None, tiered);
        }
        1 => {
            // A group; its entries have the sequences before the last.
            let members: Vec<u64> = (0..5).map(|member| (number + member) % KEYS).collect();
            let keys: Vec<Vec<u8>> = members.iter().map(|member| key_of(*member)).collect();
            let values: Vec<Vec<u8>> = members.iter().map(|member| value_of(*member, *version)).collect();
            let requests: Vec<WriteRequest> = keys
                .iter()
                .zip(&values)
                .map(|(key, value)| WriteRequest { key, value, value_type: 6, ..WriteRequest::default() })
                .collect();
            tiered.owned.store().set_many(&requests).expect("stored");
            for member in members {
                note(member, Some(*version), tiered);
            }
        }
        _ => {
            tiered.set(&key_of(number), &value_of(number, *version), Conditions::default(), 0);
            note(number, Some(*version), tiered);
        }
    }
}
