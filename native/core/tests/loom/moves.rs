//! Splits, chains and two writers: an entry that is there throughout is never missed.

use crate::world::*;

fn split_moved(fault: Fault) {
    split(MOVES, &[STAYS, MOVES], fault);
}

fn split_left(fault: Fault) {
    split(STAYS, &[MOVES, STAYS], fault);
}

/// The bucket has a chunk, which the split empties: entries move in both ways.
fn split_chain(fault: Fault) {
    split(STAYS_TOO, &[MOVES, STAYS, STAYS_TOO], fault);
}

fn split(read: u8, keys: &[u8], fault: Fault) {
    let world = World::new(1);
    for key in keys {
        world.insert(*key);
    }
    race(Oracle::new(read, &[]), 1, fault, world, move |world, _| match fault {
        Fault::None | Fault::NoMovesLook | Fault::CountBeforeMoves => {
            let hash_of = |word: SlotWord| hash(word.tag() as u8);
            let grew = world.index.grow(&world.arena, 2, |_| lock(&world.shard), hash_of);
            assert!(grew, "there was a bucket to split");
        }
        _ => split_faulty(world, fault),
    });
}

fn split_faulty(world: &World, fault: Fault) {
    let arena = &world.arena;
    let (slot, word) = world.slot_of(MOVES);
    let copy = || arena.slot(arena.bucket_slot(1, 0)).store(word.0, Ordering::Release);
    let count = || arena.superblock(superblock::BUCKET_COUNT).store(2, Ordering::Release);
    let moves = || arena.moves(0).store(1, Ordering::Release);
    let clear = || arena.slot(slot).store(0, Ordering::Release);
    let steps: &[&dyn Fn()] = match fault {
        Fault::MovesNotRaised => &[&copy, &count, &clear],
        Fault::MovesBeforeCopy => &[&moves, &copy, &count, &clear],
        Fault::CountBeforeCopy => &[&count, &copy, &moves, &clear],
        Fault::CountAfterClear => &[&copy, &moves, &clear, &count],
        Fault::ClearBeforeCopy => &[&clear, &copy, &count, &moves],
        other => unreachable!("{other:?} is no fault of a split"),
    };
    steps.iter().for_each(|step| step());
}

#[test]
fn an_entry_is_never_missed_while_it_moves_to_a_new_bucket() {
    let faults = [
        Fault::NoMovesLook,
        Fault::CountBeforeMoves,
        Fault::MovesNotRaised,
        Fault::MovesBeforeCopy,
        Fault::CountBeforeCopy,
        Fault::CountAfterClear,
        Fault::ClearBeforeCopy,
    ];
    prove(3, split_moved, &faults);
}

#[test]
fn an_entry_is_never_missed_while_its_neighbour_moves_to_a_new_bucket() {
    prove(3, split_left, &[]);
    prove(2, split_chain, &[Fault::NoMovesLook]);
}

// (d) moves in a chain

/// `[STAYS, link] -> [STAYS_TOO, STAYS_LAST]`, and STAYS is removed: the last one takes its place, the other one
/// that of the link. Then the chunk is used again.
fn chain(read: u8, fault: Fault) {
    let world = World::new(1);
    let slot = world.insert(STAYS);
    world.insert(STAYS_TOO);
    world.insert(STAYS_LAST);
    race(Oracle::new(read, &[]), 1, fault, world, move |world, _| match fault {
        Fault::None | Fault::NoMovesLook | Fault::LinkLoadedAgain => {
            let _shard = lock(&world.shard);
            world.index.remove(&world.arena, 0, slot);
            world.index.vacancy(&world.arena, 0).expect("the chunk is free again");
        }
        _ => relocate_faulty(world, slot, fault),
    });
}

fn chain_last(fault: Fault) {
    chain(STAYS_LAST, fault);
}

fn chain_first(fault: Fault) {
    chain(STAYS_TOO, fault);
}

fn relocate_faulty(world: &World, to: Slot, fault: Fault) {
    let arena = &world.arena;
    let (from, word) = world.slot_of(STAYS_LAST);
    let copy = || arena.slot(to).store(word.0, Ordering::Release);
    let moves = || arena.moves(0).store(1, Ordering::Release);
    let clear = || arena.slot(from).store(0, Ordering::Release);
    let steps: &[&dyn Fn()] = match fault {
        Fault::MovesNotRaised => &[&copy, &clear],
        Fault::MovesBeforeCopy => &[&moves, &copy, &clear],
        Fault::ClearBeforeCopy => &[&clear, &copy, &moves],
        other => unreachable!("{other:?} is no fault of a move"),
    };
    steps.iter().for_each(|step| step());
}

#[test]
fn an_entry_is_never_missed_while_its_chain_shrinks() {
    let faults = [Fault::NoMovesLook, Fault::MovesNotRaised, Fault::MovesBeforeCopy, Fault::ClearBeforeCopy];
    prove(2, chain_last, &faults);
    prove(2, chain_first, &[Fault::LinkLoadedAgain]);
}

// (e) two writers of one bucket

fn two_writers(fault: Fault) {
    let world = World::new(1);
    world.insert(STAYS);
    world.insert(STAYS_TOO);
    let shared = Arc::new((world, Oracle::new(STAYS_TOO, &[])));
    let overwriting = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            let (world, oracle) = (&shared.0, &shared.1);
            let _shard = (fault != Fault::NoShardLock).then(|| lock(&world.shard));
            oracle.begin(2);
            let (slot, _) = world.slot_of(STAYS_TOO);
            let location = world.append(&world.log, &World::record(STAYS_TOO, 2));
            world.publish(slot, STAYS_TOO, location, Ordering::Release);
            oracle.acknowledge(2);
        })
    };
    let inserting = {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            let world = &shared.0;
            let _shard = (fault != Fault::NoShardLock).then(|| lock(&world.shard));
            // The bucket is full: the last entry makes way for a link.
            world.insert(STAYS_LAST);
        })
    };
    let (world, oracle) = (&shared.0, &shared.1);
    oracle.check(|| world.read(STAYS_TOO));
    overwriting.join().expect("the writer ends");
    inserting.join().expect("the writer ends");
    let last = oracle.check(|| world.read(STAYS_TOO));
    assert_eq!(last, 2, "{VIOLATION}an overwrite was lost");
    assert_eq!(world.read(STAYS_LAST), Some(value(STAYS_LAST, 1)), "{VIOLATION}an insert was lost");
}

#[test]
fn two_writers_of_a_bucket_and_a_reader() {
    prove(2, two_writers, &[Fault::NoShardLock]);
}

// (f) values in runs
