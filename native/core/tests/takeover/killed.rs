//! Owners that are killed in the middle of whatever they do, one after the other, over one arena.

use super::copies::{announced, Copies};
use super::history::{act, apply, is_state, outcomes, read_all, step_of, State};
use super::support::{fresh_dir, options, seed, Random};
use ramcache_core::open::{attach, open, Attached, Start, SHARED_MEMORY_DIR};
use ramcache_core::ops::read::{Lookup, Nothing, Seen};
use ramcache_core::store::{Store, StoreOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

const WRITERS: u32 = 4;
const DIR: &str = "RAMCACHE_TAKEOVER_DIR";
const BUDGET: &str = "RAMCACHE_TAKEOVER_BUDGET";
/// The step each writer goes on with, by commas.
const NEXT: &str = "RAMCACHE_TAKEOVER_NEXT";
const ROUNDS: u64 = 12;

fn say(line: std::fmt::Arguments) {
    let mut out = std::io::stdout().lock();
    // One line is one write, and one this short goes through a pipe whole or not at all.
    writeln!(out, "{line}").expect("the parent listens");
}

fn namespaces(store: &Store) -> Vec<u32> {
    (0..WRITERS).map(|writer| store.namespace(&format!("writer {writer}")).expect("room")).collect()
}

/// Not a test by itself: the owner that the tests below start and kill.
#[test]
fn owner_process() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let variable = |name: &str| std::env::var(name).expect("set by the parent");
    let seed: u64 = variable("RAMCACHE_SEED").parse().expect("a number");
    let budget_bytes = variable(BUDGET).parse().expect("a number");
    let next: Vec<u64> = variable(NEXT).split(',').map(|number| number.parse().expect("a number")).collect();
    say(format_args!("\nopening"));
    let options = StoreOptions { background: true, ..options(budget_bytes) };
    let owned = open(Path::new(&dir), &options, Path::new(SHARED_MEMORY_DIR)).expect("the directory opens");
    let store = owned.store();
    let namespaces = namespaces(store);
    store.check().expect("what was adopted is whole");
    match owned.start() {
        Start::Fresh => say(format_args!("fresh")),
        Start::Adopted(adoption) => say(format_args!("adopted {}", adoption.dropped)),
        Start::Refused(why) => say(format_args!("refused {why}")),
    }
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (namespace, next) = (namespaces[writer as usize], next[writer as usize]);
            scope.spawn(move || {
                for number in next.. {
                    let sum = act(store, namespace, writer, number, &step_of(seed, writer, number));
                    say(format_args!("done {writer} {number} {sum}"));
                }
            });
        }
    });
}

/// What the parent knows.
struct Parent {
    seed: u64,
    budget_bytes: usize,
    dir: std::path::PathBuf,
    states: Vec<State>,
    /// First step of each writer that has not been acknowledged.
    next: Vec<u64>,
    evicts: bool,
}

impl Parent {
    /// Starts an owner and kills it after so many acknowledged steps, or on its way to the first one. Its start.
    fn round(&mut self, kill_after: Option<u64>) -> Option<String> {
        let next: Vec<String> = self.next.iter().map(u64::to_string).collect();
        let mut child = Command::new(std::env::current_exe().expect("a test knows its file"))
            .args(["killed::owner_process", "--exact", "--nocapture"])
            .env(DIR, &self.dir)
            .env(BUDGET, self.budget_bytes.to_string())
            .env(NEXT, next.join(","))
            .env("RAMCACHE_SEED", self.seed.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the test can start itself");
        let (mut start, mut done) = (None, 0);
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        for line in lines {
            let line = line.expect("text");
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["opening"] if kill_after.is_none() => child.kill().expect("killed"),
                ["fresh"] | ["adopted", _] | ["refused", ..] => start = Some(line),
                ["done", writer, number, sum] => {
                    let writer: u32 = writer.parse().expect("a number");
                    let number: u64 = number.parse().expect("a number");
                    let step = step_of(self.seed, writer, number);
                    let sum = sum.parse().expect("a number");
                    apply(&mut self.states[writer as usize], number, &step, sum);
                    self.next[writer as usize] = number + 1;
                    done += 1;
                    if kill_after == Some(done) {
                        child.kill().expect("killed");
                    }
                }
                _ => {}
            }
        }
        let status = child.wait().expect("ended");
        assert_eq!(status.code(), None, "the owner ended by itself: {status}");
        start
    }

    /// What was found of a writer is a state with or without its last step; that one then counts.
    fn settle(&mut self, store: &Store, namespaces: &[u32]) {
        for writer in 0..WRITERS {
            let number = self.next[writer as usize];
            let namespace = namespaces[writer as usize];
            let found = read_all(store.reader(), |id, key| store.hasher().hash(id, key), namespace);
            let step = step_of(self.seed, writer, number);
            let mut errors = Vec::new();
            let settled = outcomes(&self.states[writer as usize], number, &step).into_iter().find(|state| {
                is_state(&found, state, writer, self.evicts).map_err(|error| errors.push(error)).is_ok()
            });
            self.states[writer as usize] = settled.unwrap_or_else(|| {
                panic!("seed {}, step {number} {step:?} was under way: {errors:?}", self.seed)
            });
            self.next[writer as usize] = number + 1;
        }
    }

    /// Adopts a copy of what the killed owner has left, looks at all of it, and goes on in it.
    fn look(&mut self, round: u64) {
        let copies = Copies::of(&self.dir);
        let owned = copies.open(&options(self.budget_bytes));
        let Start::Adopted(adoption) = owned.start() else { panic!("not adopted: {:?}", owned.start()) };
        assert_eq!(adoption.dropped, 0, "seed {}, round {round}: entries were dropped", self.seed);
        let store = owned.store();
        store.check().expect("what was adopted is whole");
        let namespaces = namespaces(store);
        self.settle(store, &namespaces);
        for writer in 0..WRITERS {
            let namespace = namespaces[writer as usize];
            let mut state = self.states[writer as usize].clone();
            for number in self.next[writer as usize]..self.next[writer as usize] + 1500 {
                let step = step_of(!self.seed, writer, number);
                let sum = act(store, namespace, writer, number, &step);
                apply(&mut state, number, &step, sum);
            }
            let found = read_all(store.reader(), |id, key| store.hasher().hash(id, key), namespace);
            is_state(&found, &state, writer, self.evicts).expect("the adopted store goes on");
        }
        store.check().expect("the adopted store stays whole");
    }

    /// A reader attached before everything finds each key as it was left.
    fn look_through(&self, attached: &Attached) {
        for writer in 0..WRITERS {
            let hash = |id, key: &[u8]| attached.hasher().hash(id, key);
            let found = read_all(attached.reader(), hash, 1 + writer);
            let state = &self.states[writer as usize];
            is_state(&found, state, writer, self.evicts).expect("an old reader reads on");
            assert!(self.evicts || state.is_empty() || !found.is_empty());
        }
    }
}

fn play(budget_bytes: usize, evicts: bool) {
    let seed = seed();
    let mut random = Random(seed ^ budget_bytes as u64);
    let mut parent = Parent {
        seed,
        budget_bytes,
        dir: fresh_dir(),
        states: vec![State::new(); WRITERS as usize],
        next: vec![0; WRITERS as usize],
        evicts,
    };
    assert_eq!(parent.round(Some(1)).as_deref(), Some("fresh"));
    let (data, touch, _) = announced(&parent.dir);
    let attached = attach(&data, &touch).expect("the arena is there");
    for round in 0..ROUNDS {
        parent.look(round);
        if round % 4 == 3 {
            // On its way: mostly in the middle of the takeover.
            parent.round(None);
        } else {
            let start = parent.round(Some(1 + random.below(6000)));
            assert_eq!(start.as_deref(), Some("adopted 0"), "seed {seed}, round {round}");
        }
    }
    parent.look(ROUNDS);
    let owned = open(&parent.dir, &options(budget_bytes), Path::new(SHARED_MEMORY_DIR)).expect("it opens");
    assert!(matches!(owned.start(), Start::Adopted(_)), "{:?}", owned.start());
    assert_eq!(announced(&parent.dir).0, data, "the files are the same");
    parent.look_through(&attached);
    owned.close();
    let hash = attached.hasher().hash(0, b"key");
    let answer = attached.reader().read(0, b"key", hash, &mut Nothing, &mut Seen::default());
    assert_eq!(answer, Lookup::Closed);
    assert!(!data.exists() && !touch.exists());
    std::fs::remove_dir_all(&parent.dir).expect("removed");
}

#[test]
fn nothing_acknowledged_is_lost_or_old() {
    play(8 << 20, false);
}

#[test]
fn nothing_is_old_while_entries_are_evicted() {
    play(512 << 10, true);
}
