//! Publishing, overwriting and recycling beside a reader.

use crate::world::*;

// (a) publish

fn overwrite(fault: Fault) {
    let world = World::new(1);
    let slot = world.insert(STAYS);
    race(Oracle::new(STAYS, &[]), 2, fault, world, move |world, oracle| {
        oracle.begin(2);
        publish_faulty(world, slot, 2, fault);
        oracle.acknowledge(2);
    });
}

fn insert(fault: Fault) {
    let world = World::new(1);
    race(Oracle::new(STAYS, &[1]), 2, fault, world, move |world, oracle| {
        let slot = world.index.vacancy(&world.arena, 0).expect("the bucket is empty");
        oracle.begin(2);
        publish_faulty(world, slot, 2, fault);
        oracle.acknowledge(2);
    });
}

fn publish_faulty(world: &World, slot: Slot, version: u64, fault: Fault) {
    let record = World::record(STAYS, version);
    if fault == Fault::SlotBeforeBytes {
        // The next log takes the segment that is ready last, and begins it.
        let segment = world.segments.take(&world.arena, Kind::Main, true).expect("a segment is ready");
        world.publish(slot, STAYS, Location::new(segment, 0, 0), Ordering::Release);
        let first = world.arena.record_byte(Location::new(segment, 0, 0)).expect("inside");
        copy_in(world.arena.data(), first, record.bytes());
        return;
    }
    if fault == Fault::NeighbourCleared {
        let end = world.arena.record_byte(world.slot_of(STAYS).1.location()).expect("inside") + 16;
        world.arena.data().word(end / 8).store(0, Ordering::Relaxed);
    }
    let location = world.append(&world.log, &record);
    let order = if fault == Fault::SlotStoredRelaxed { Ordering::Relaxed } else { Ordering::Release };
    world.publish(slot, STAYS, location, order);
}

#[test]
fn a_read_beside_an_overwrite_sees_the_old_or_the_new_version() {
    let faults = [Fault::SlotStoredRelaxed, Fault::SlotBeforeBytes, Fault::NeighbourCleared];
    prove(3, overwrite, &faults);
}

#[test]
fn a_read_beside_an_insert_sees_nothing_or_all_of_it() {
    prove(3, insert, &[Fault::SlotStoredRelaxed]);
}

// (b) recycle

/// Evicted, its segment retired, filled again at the same place, published in the same slot.
fn recycle(fault: Fault) {
    let world = World::new(1);
    let slot = world.insert(STAYS);
    let old = world.slot_of(STAYS).1.location();
    race(Oracle::new(STAYS, &[2]), 1, fault, world, move |world, oracle| {
        oracle.begin(2);
        world.index.remove(&world.arena, 0, slot);
        oracle.acknowledge(2);
        let record = World::record(STAYS, 3);
        oracle.begin(3);
        let location = refill(world, old, &record, fault);
        world.publish(slot, STAYS, location, Ordering::Release);
        oracle.acknowledge(3);
        if fault == Fault::GenerationAfterBytes {
            world.arena.generation(old.segment).store(1, Ordering::Relaxed);
            world.publish(slot, STAYS, Location::new(old.segment, 1, 0), Ordering::Release);
        }
    });
}

/// Retires the segment of a location and writes a record to its beginning.
fn refill(world: &World, old: Location, record: &RecordBuffer, fault: Fault) -> Location {
    let first = world.arena.record_byte(old).expect("inside");
    match fault {
        Fault::NoReleaseFence => {
            world.arena.generation(old.segment).store(1, Ordering::Relaxed);
            copy_in(world.arena.data(), first, record.bytes());
            Location::new(old.segment, 1, 0)
        }
        Fault::GenerationNotRaised | Fault::GenerationAfterBytes => {
            release_fence();
            copy_in(world.arena.data(), first, record.bytes());
            old
        }
        _ => {
            world.segments.retire(&world.arena, old.segment);
            let location = world.append(&world.next_log, record);
            assert_eq!(
                (location.segment, location.offset),
                (old.segment, old.offset),
                "it is the same place"
            );
            location
        }
    }
}

/// The record stays, in another segment; its old place is filled by another key.
fn recycle_after_keep(fault: Fault) {
    let world = World::new(1);
    let slot = world.insert(STAYS);
    let word = world.slot_of(STAYS).1;
    race(Oracle::new(STAYS, &[]), 1, fault, world, move |world, _| {
        let kept = Log::new(Kind::Main);
        let target = world.append(&kept, &World::record(STAYS, 1));
        world.arena.slot(slot).store(word.moved_to(target).0, Ordering::Release);
        refill(world, word.location(), &World::record(STAYS_TOO, 1), fault);
    });
}

/// As `recycle`, but so many lives later that the slot word is the same again.
fn recycle_until_the_slot_word_returns(fault: Fault) {
    let world = World::new(1);
    let slot = world.insert(STAYS);
    let word = world.slot_of(STAYS).1;
    race(Oracle::new(STAYS, &[2]), 1, fault, world, move |world, oracle| {
        oracle.begin(2);
        world.index.remove(&world.arena, 0, slot);
        // The lives in between write bytes, each behind the fence of its own.
        let segment = word.location().segment;
        world.arena.generation(segment).store(511, Ordering::Relaxed);
        release_fence();
        oracle.begin(3);
        let location = refill(world, word.location(), &World::record(STAYS, 3), fault);
        world.publish(slot, STAYS, location, Ordering::Release);
        assert_eq!(world.slot_of(STAYS).1, word, "the word is the same again");
        oracle.acknowledge(3);
    });
}

#[test]
fn a_read_beside_a_recycled_segment_is_never_torn() {
    let faults = [
        Fault::NoSecondLook,
        Fault::NoAcquireFence,
        Fault::NoReleaseFence,
        Fault::GenerationNotRaised,
        Fault::GenerationAfterBytes,
    ];
    prove(2, recycle, &faults);
}

#[test]
fn a_record_that_is_kept_is_never_missed_while_its_segment_is_recycled() {
    prove(2, recycle_after_keep, &[Fault::NoSecondLook, Fault::NoAcquireFence, Fault::NoReleaseFence]);
}

#[test]
fn the_generation_guards_a_slot_word_that_returns() {
    prove(2, recycle_until_the_slot_word_returns, &[Fault::NoGeneration, Fault::NoSecondLook]);
}

// (c) split
