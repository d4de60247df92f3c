//! The value log: what was appended comes back, whole batches or nothing, and damage is told from a torn tail.

#[path = "../support/mod.rs"]
mod support;

mod checkpoint;
mod damage;
mod disk;
mod faults;
mod make;
mod round_trip;
mod runs;
mod tail;
