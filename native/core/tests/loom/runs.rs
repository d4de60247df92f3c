//! Run units that are used again, and groups.

use crate::world::*;

fn run_record(world: &World, key: u8, version: u64) -> (RecordBuffer, Vec<Extent>) {
    let stored = world.runs.store(&world.arena, &world.segments, &value(key, version), hash(key), true);
    let extents = stored.expect("units are free");
    let bits: Vec<u8> = extents.iter().flat_map(|extent| extent.bits().to_le_bytes()).collect();
    let run_bytes = Some(value(key, version).len() as u32);
    let mut buffer = RecordBuffer::default();
    buffer.build(&Parts { key: &[key], value: &bits, run_bytes, value_type: 6, ..Parts::default() });
    buffer.stamp(version);
    (buffer, extents)
}

/// A value in runs is overwritten, and its units are taken by another value.
fn runs_used_again(fault: Fault) {
    let world = World::new(1);
    let slot = world.index.vacancy(&world.arena, 0).expect("the bucket is empty");
    let (record, extents) = run_record(&world, STAYS, 1);
    let location = world.append(&world.log, &record);
    world.publish(slot, STAYS, location, Ordering::Release);
    race(Oracle::new(STAYS, &[]), 1, fault, world, move |world, oracle| {
        oracle.begin(2);
        let (record, _) = run_record(world, STAYS, 2);
        let give = || world.runs.give(&world.arena, &world.segments, &extents);
        if fault == Fault::UnitsGivenEarly {
            give();
            run_record(world, STAYS_TOO, 1);
        }
        let location = world.append(&world.log, &record);
        world.publish(slot, STAYS, location, Ordering::Release);
        match fault {
            Fault::UnitsGivenEarly => {}
            Fault::NoReleaseFence => {
                let byte = extents[0].unit as usize * world.runs.unit_bytes();
                let at = world.arena.segment_area_byte(byte);
                copy_in(world.arena.data(), at, &value(STAYS_TOO, 1));
            }
            _ => {
                give();
                let (_, taken) = run_record(world, STAYS_TOO, 1);
                assert_eq!(taken, extents, "it is the same place");
            }
        }
        oracle.acknowledge(2);
    });
}

#[test]
fn a_read_beside_run_units_that_are_used_again_is_never_torn() {
    prove(2, runs_used_again, &[Fault::UnitsGivenEarly, Fault::NoReleaseFence]);
}

// (g) groups

fn group(fault: Fault) {
    let world = World::new(1);
    let slots = [world.insert(STAYS), world.insert(STAYS_TOO)];
    let world = Arc::new(world);
    let writer = {
        let world = Arc::clone(&world);
        thread::spawn(move || {
            let group = world.arena.superblock(superblock::GROUP);
            if fault != Fault::GroupNotRaised {
                group.store(1, Ordering::Relaxed);
            }
            fence(Ordering::Release);
            for (slot, key) in slots.into_iter().zip([STAYS, STAYS_TOO]) {
                let location = world.append(&world.log, &World::record(key, 2));
                if fault == Fault::GroupEndsEarly && key == STAYS_TOO {
                    group.store(2, Ordering::Release);
                }
                world.publish(slot, key, location, Ordering::Release);
            }
            group.store(2, Ordering::Release);
        })
    };
    let read = || [STAYS, STAYS_TOO].map(|key| world.read(key).expect("always there")[0] & 15);
    let (versions, is_whole) =
        if fault == Fault::NoGroupLook { (read(), true) } else { read_group(&world.arena, read) };
    assert!(is_whole, "{VIOLATION}one group cannot keep a reader from a whole view");
    assert_eq!(versions[0], versions[1], "{VIOLATION}half a group was seen");
    writer.join().expect("the writer ends");
}

#[test]
fn a_group_is_seen_whole_or_not_at_all() {
    prove(2, group, &[Fault::NoGroupLook, Fault::GroupNotRaised, Fault::GroupEndsEarly]);
}
