//! The move token: a cold miss is believed only if it is one.

use crate::world::*;

/// A key lies below. A write puts a newer value into RAM, and a delete below it, which a cold read may find before the
/// value: a `none` value does that.
fn cold_miss(fault: Fault) {
    let world = World::new(1);
    let shared = Arc::new((world, Tokens::for_budget(0), Mutex::new(true)));
    let writer = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            let (world, tokens, below) = &*shared;
            let publish = || {
                let _shard = lock(&world.shard);
                if fault == Fault::BumpBeforePublish {
                    tokens.bump(hash(STAYS));
                }
                world.insert(STAYS);
                if !matches!(fault, Fault::BumpBeforePublish | Fault::NotBumped | Fault::BumpAfterOutcome) {
                    tokens.bump(hash(STAYS));
                }
            };
            publish();
            *lock(below) = false;
            if fault == Fault::BumpAfterOutcome {
                tokens.bump(hash(STAYS));
            }
        })
    };
    let (world, tokens, below) = &*shared;
    loop {
        let early = tokens.read(hash(STAYS));
        if world.read(STAYS).is_some() {
            break;
        }
        let token = if fault == Fault::TokenAfterProbe { tokens.read(hash(STAYS)) } else { early };
        if *lock(below) {
            break;
        }
        assert!(!tokens.is_unchanged(hash(STAYS), token), "{VIOLATION}a key that is there is missed");
        thread::yield_now();
    }
    writer.join().expect("the writer ends");
}

#[test]
fn a_cold_miss_beside_a_write_is_looked_at_again() {
    let faults =
        [Fault::BumpBeforePublish, Fault::BumpAfterOutcome, Fault::NotBumped, Fault::TokenAfterProbe];
    prove(3, cold_miss, &faults);
}
