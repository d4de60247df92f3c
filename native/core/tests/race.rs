//! A bounded share of the race in `support/race.rs`; `examples/race.rs` runs it at any length.

#[path = "support/race.rs"]
mod race;

use race::{Process, Race, Thread};
use std::process::Command;

const READER_DIR: &str = "RAMCACHE_RACE_DIR";

fn seed() -> u64 {
    let seed = match std::env::var("RAMCACHE_SEED") {
        Ok(seed) => seed.parse().expect("RAMCACHE_SEED is a number"),
        Err(_) => 1,
    };
    println!("seed {seed}");
    seed
}

fn judge(result: race::Result) {
    println!("{}", result.report());
    assert_eq!(result.tally.violations, 0, "{}", result.report());
    assert!(result.tally.hits > result.tally.reads / 20, "hardly anything was found");
    assert!(result.recycles > 1000, "hardly any segment was recycled");
    assert!(result.evictions > 1000, "hardly anything was evicted");
}

/// Not a test by itself: the process that the race below starts.
#[test]
fn reader_process() {
    let Ok(dir) = std::env::var(READER_DIR) else { return };
    let number = |name: &str| std::env::var(name).expect("set by the race").parse().expect("a number");
    let tally = race::read_all(dir.as_ref(), number("RAMCACHE_RACE_READS"), number("RAMCACHE_SEED"));
    println!("{}", tally.line());
}

#[test]
fn readers_of_other_processes_see_nothing_but_what_was_written() {
    let race = Race { reads: 1_600_000, readers: 2, rounds: 4, seed: seed() };
    let result = race::run(&race, |dir, reads, seed| {
        let mut command = Command::new(std::env::current_exe().expect("a test knows its file"));
        command
            .args(["reader_process", "--exact", "--nocapture"])
            .env(READER_DIR, dir)
            .env("RAMCACHE_RACE_READS", reads.to_string())
            .env("RAMCACHE_SEED", seed.to_string());
        Process::start(&mut command)
    });
    judge(result);
}

#[test]
fn readers_of_other_threads_see_nothing_but_what_was_written() {
    let race = Race { reads: 400_000, readers: 2, rounds: 2, seed: seed() };
    judge(race::run(&race, Thread::start));
}
