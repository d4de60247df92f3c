//! The race of `tests/support/race.rs` at any length:
//! `cargo run --release --example race -- --reads 100000000 --readers 2`. Ends with 1 after a violation.

#[path = "../tests/support/race.rs"]
mod race;

use race::{Process, Race};
use std::process::{exit, Command};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        Some(arguments.get(at + 1).unwrap_or_else(|| panic!("{name} wants a value")).clone())
    };
    let number = |name: &str, usual: u64| {
        value(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} wants a number")))
    };
    let reads = number("--reads", 10_000_000);
    let seed = number("--seed", 1);
    if let Some(dir) = value("--reader") {
        let tally = race::read_all(dir.as_ref(), reads, seed);
        println!("{}", tally.line());
        exit((tally.violations != 0) as i32);
    }
    let race = Race { reads, readers: number("--readers", 2), rounds: number("--rounds", 8), seed };
    println!("seed {seed}");
    let result = race::run(&race, |dir, reads, seed| {
        let mut command = Command::new(std::env::current_exe().expect("a process knows its file"));
        command
            .arg("--reader")
            .arg(dir)
            .args(["--reads", &reads.to_string()])
            .args(["--seed", &seed.to_string()]);
        Process::start(&mut command)
    });
    println!("{}", result.report());
    exit((result.tally.violations != 0) as i32);
}
