//! The absent filter beside a mover and a rebuild: a key that lies somewhere is never said to lie nowhere.

use crate::world::*;

/// A world with a tier below it.
struct Tiered {
    world: World,
    filter: Filter,
    below: Mutex<Vec<u8>>,
    /// Held by a mover from add to commit, and to begin a rebuild.
    moving: Mutex<()>,
}

impl Tiered {
    /// The filter answers, and knows nothing.
    fn new() -> Tiered {
        let world = World::new(1);
        let filter = Filter::default();
        let rebuild = filter.begin_rebuild(&world.arena, 0).expect("memory is for free");
        assert!(filter.finish_rebuild(&world.arena, rebuild));
        Tiered { world, filter, below: Mutex::new(Vec::new()), moving: Mutex::new(()) }
    }

    fn commit(&self, key: u8) {
        lock(&self.below).push(key);
    }

    fn scan(&self) {
        let found = lock(&self.below).clone();
        found.into_iter().for_each(|key| self.filter.add_to_next(&self.world.arena, hash(key)));
    }

    /// Looks in RAM, asks the filter, looks below. The key is always somewhere.
    fn look(&self, key: u8, fault: Fault) {
        let asked_early = (fault == Fault::QueryBeforeSlot).then(|| self.ask(key, fault));
        let is_in_ram = match fault {
            Fault::SlotLoadedRelaxed => self.is_in_ram_relaxed(key),
            _ => self.world.read(key).is_some(),
        };
        if !is_in_ram {
            let may_be_below = asked_early.unwrap_or_else(|| self.ask(key, fault));
            assert!(may_be_below, "{VIOLATION}key {} is said to be absent", key as char);
            assert!(lock(&self.below).contains(&key), "{VIOLATION}key {} is nowhere", key as char);
        }
    }

    fn is_in_ram_relaxed(&self, key: u8) -> bool {
        let arena = &self.world.arena;
        (0..2)
            .map(|position| SlotWord(arena.slot(arena.bucket_slot(0, position)).load(Ordering::Relaxed)))
            .any(|word| word.tag() == tag_of(hash(key)))
    }

    /// The real question, or for faults of a reader one that has them.
    fn ask(&self, key: u8, fault: Fault) -> bool {
        let arena = &self.world.arena;
        let order = match fault {
            Fault::WordLoadedRelaxed => Ordering::Relaxed,
            Fault::NoSecondLook | Fault::NoAcquireFence => Ordering::Acquire,
            _ => return arena.may_be_below(hash(key)),
        };
        let word = arena.superblock(superblock::FILTER);
        let named = word.load(order);
        let copy = FilterWord(named).copy(arena.filter_blocks_log2_max()).expect("there is a filter");
        let has_all = probes(arena, copy, hash(key))
            .all(|(at, bit)| arena.data().word(at).load(Ordering::Relaxed) & bit != 0);
        if fault != Fault::NoAcquireFence {
            fence(Ordering::Acquire);
        }
        has_all || (fault != Fault::NoSecondLook && word.load(Ordering::Relaxed) != named)
    }
}

// (h) a move down

fn move_down(fault: Fault) {
    let tiered = Arc::new(Tiered::new());
    let slot = tiered.world.insert(STAYS);
    let mover = {
        let tiered = Arc::clone(&tiered);
        thread::spawn(move || {
            let arena = &tiered.world.arena;
            let add = || tiered.filter.add(arena, hash(STAYS));
            let commit = || tiered.commit(STAYS);
            let unpublish = || match fault {
                Fault::UnpublishedRelaxed => arena.slot(slot).store(0, Ordering::Relaxed),
                _ => tiered.world.index.remove(arena, 0, slot),
            };
            let steps: [&dyn Fn(); 3] = match fault {
                Fault::UnpublishBeforeAdd => [&commit, &unpublish, &add],
                _ => [&add, &commit, &unpublish],
            };
            steps.iter().for_each(|step| step());
        })
    };
    tiered.look(STAYS, fault);
    mover.join().expect("the mover ends");
    tiered.look(STAYS, Fault::None);
}

#[test]
fn a_key_that_moves_down_is_never_absent() {
    let faults = [
        Fault::UnpublishBeforeAdd,
        Fault::QueryBeforeSlot,
        Fault::SlotLoadedRelaxed,
        Fault::UnpublishedRelaxed,
    ];
    prove(3, move_down, &faults);
}

// (i) rebuilds: the copy a reader is in becomes the next one and is zeroed

fn rebuild_twice(fault: Fault) {
    let tiered = Arc::new(Tiered::new());
    tiered.filter.add(&tiered.world.arena, hash(STAYS));
    tiered.commit(STAYS);
    let rebuilding = {
        let tiered = Arc::clone(&tiered);
        thread::spawn(move || {
            rebuild(&tiered, fault);
            match fault {
                Fault::NoReleaseFence => {
                    let arena = &tiered.world.arena;
                    arena.data().word(arena.filter_word(0)).store(0, Ordering::Relaxed);
                }
                _ => rebuild(&tiered, fault),
            }
        })
    };
    assert!(tiered.ask(STAYS, fault), "{VIOLATION}a key below is said to be absent");
    rebuilding.join().expect("the rebuild ends");
    assert!(tiered.ask(STAYS, Fault::None), "{VIOLATION}a key below is absent in the end");
}

fn rebuild(tiered: &Tiered, fault: Fault) {
    let arena = &tiered.world.arena;
    let number = tiered.filter.begin_rebuild(arena, 0).expect("memory is for free");
    if fault == Fault::FinishBeforeScan {
        assert!(tiered.filter.finish_rebuild(arena, number));
        tiered.filter.add(arena, hash(STAYS));
        return;
    }
    tiered.scan();
    if fault == Fault::WordStoredRelaxed {
        let next = FilterWord::new(FilterCopy { number: 1, blocks_log2: 0 }, 2);
        arena.superblock(superblock::FILTER).store(next.0, Ordering::Relaxed);
        return;
    }
    assert!(tiered.filter.finish_rebuild(arena, number));
}

#[test]
fn a_key_below_is_never_absent_while_the_filter_is_rebuilt() {
    let faults = [
        Fault::NoSecondLook,
        Fault::NoAcquireFence,
        Fault::NoReleaseFence,
        Fault::WordLoadedRelaxed,
        Fault::WordStoredRelaxed,
        Fault::FinishBeforeScan,
    ];
    prove(2, rebuild_twice, &faults);
}

// (j) a move down beside a rebuild

fn move_beside_rebuild(fault: Fault) {
    let tiered = Arc::new(Tiered::new());
    let slot = tiered.world.insert(STAYS);
    let mover = {
        let tiered = Arc::clone(&tiered);
        thread::spawn(move || {
            let arena = &tiered.world.arena;
            let moving = (fault != Fault::RebuildInsideMove).then(|| lock(&tiered.moving));
            match fault {
                Fault::AddMissesNext => {
                    let current = FilterCopy { number: 0, blocks_log2: 0 };
                    for (at, bit) in probes(arena, current, hash(STAYS)) {
                        arena.data().word(at).fetch_or(bit, Ordering::Relaxed);
                    }
                }
                _ => tiered.filter.add(arena, hash(STAYS)),
            }
            tiered.commit(STAYS);
            drop(moving);
            tiered.world.index.remove(arena, 0, slot);
        })
    };
    let rebuilding = {
        let tiered = Arc::clone(&tiered);
        thread::spawn(move || {
            let arena = &tiered.world.arena;
            let number = {
                let _moving = (fault != Fault::RebuildInsideMove).then(|| lock(&tiered.moving));
                tiered.filter.begin_rebuild(arena, 0).expect("memory is for free")
            };
            tiered.scan();
            assert!(tiered.filter.finish_rebuild(arena, number));
        })
    };
    tiered.look(STAYS, fault);
    mover.join().expect("the mover ends");
    rebuilding.join().expect("the rebuild ends");
    tiered.look(STAYS, Fault::None);
}

#[test]
fn a_key_that_moves_down_beside_a_rebuild_is_never_absent() {
    prove(2, move_beside_rebuild, &[Fault::RebuildInsideMove, Fault::AddMissesNext]);
}
