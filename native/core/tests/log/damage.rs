//! Every bit and every length of a small log: what comes back was written, in whole batches, and what is missing was
//! either never durable or is reported.

use crate::make::*;
use crate::support::Random;
use ramcache_core::error::Code;
use ramcache_core::log::{Position, Recovery};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;

const FILE_BYTES: u32 = 920;
const HEADER_BYTES: u64 = 64;

struct Batch {
    begin: Position,
    end: Position,
    /// What it says is durable.
    synced: Position,
    changes: Vec<Written>,
}

struct SmallLog {
    dir: Dir,
    batches: Vec<Batch>,
    files: Vec<(u32, Vec<u8>)>,
}

impl SmallLog {
    /// Two files; in the last one some batches are known to be synced and some are not.
    fn new() -> SmallLog {
        let mut random = Random(7);
        let dir = Dir::new();
        let (log, ..) = reopen(&dir.0, options(FILE_BYTES), Position::START);
        let mut batches = Vec::new();
        for sequence in (1..=15).step_by(2) {
            let synced = log.synced();
            let mut packed = batch(&mut random, sequence, 1, 60);
            match sequence % 4 {
                1 => pack_delete(sequence + 1, sequence << 16, 1, b"key:gone", &mut packed),
                _ => pack_set(sequence + 1, sequence << 16, 2, b"key:set", b"a value", &mut packed),
            }
            let changes = append(&log, sequence, 2, &packed);
            let begin = Position {
                file: changes[0].location.file,
                offset: changes[0].location.offset - HEADER_BYTES as u32,
            };
            // The one that begins a file says that the file before it is durable.
            let synced = if begin.offset == HEADER_BYTES as u32 { begin } else { synced };
            batches.push(Batch { begin, end: log.position(), synced, changes });
            if sequence == 11 {
                log.sync().expect("synced");
            }
        }
        let files: Vec<_> = log
            .files()
            .iter()
            .map(|file| (file.number, fs::read(dir.file(file.number)).expect("the file")))
            .collect();
        assert_eq!((files.len(), log.position().file), (2, 2));
        let last_synced = batches.iter().map(|batch| batch.synced).max().expect("batches");
        assert!(batches.iter().any(|batch| batch.begin.file == 2 && batch.begin < last_synced));
        assert!(batches.iter().any(|batch| batch.begin > last_synced));
        SmallLog { dir, batches, files }
    }

    fn restore(&self, number: u32) {
        let (_, bytes) = &self.files[number as usize - 1];
        fs::write(self.dir.file(number), bytes).expect("written");
    }

    fn written(&self) -> Vec<Written> {
        self.batches.iter().flat_map(|batch| batch.changes.clone()).collect()
    }

    fn recover(&self) -> (Recovery, Vec<Written>) {
        let (log, recovery, found) = reopen(&self.dir.0, options(FILE_BYTES), Position::START);
        // Read one by one: the value, or an error, never another value.
        for change in self.written() {
            match read(&log, change.location) {
                Ok(None) => assert_eq!(log.files().len(), 1, "a file was lost"),
                Ok(Some(found)) => {
                    let parts = |change: &Written| {
                        (change.namespace, change.key.clone(), change.value.clone(), change.clock)
                    };
                    assert_eq!(parts(&found), parts(&change));
                }
                Err(error) => assert_eq!(error.code, Code::Corrupt, "{error}"),
            }
        }
        (recovery, found)
    }

    /// What must come back when one batch is damaged, and whether that must be reported.
    fn without(&self, at: usize) -> (Vec<Written>, bool) {
        let hit = &self.batches[at];
        let is_durable =
            hit.begin.file == 1 || self.batches[at + 1..].iter().any(|later| later.synced > hit.begin);
        let stays = |(other, _): &(usize, &Batch)| if is_durable { *other != at } else { *other < at };
        let kept = self.batches.iter().enumerate().filter(stays);
        (kept.flat_map(|(_, batch)| batch.changes.clone()).collect(), is_durable)
    }
}

#[test]
fn every_bit() {
    let log = SmallLog::new();
    for (number, bytes) in &log.files {
        let file = OpenOptions::new().write(true).open(log.dir.file(*number)).expect("the file");
        for offset in 0..bytes.len() as u32 {
            for bit in 0..8 {
                let place = Position { file: *number, offset };
                file.write_all_at(&[bytes[offset as usize] ^ 1 << bit], offset as u64).expect("flipped");
                let (recovery, found) = log.recover();
                file.write_all_at(&bytes[offset as usize..][..1], offset as u64).expect("flipped back");
                let hit = log.batches.iter().position(|batch| (batch.begin..batch.end).contains(&place));
                let (expected, is_reported) = match hit {
                    Some(at) => log.without(at),
                    None => (log.written(), offset < HEADER_BYTES as u32),
                };
                assert_eq!(found, expected, "bit {bit} at {place}: {recovery:?}");
                assert_eq!(!recovery.damage.is_empty(), is_reported, "bit {bit} at {place}: {recovery:?}");
                if hit.is_some() && !is_reported {
                    assert!(recovery.torn.is_some(), "bit {bit} at {place}: {recovery:?}");
                }
            }
        }
    }
}

/// Each header zeroed as a whole: the batches are there, so the file was begun.
#[test]
fn a_header_that_is_gone() {
    for number in [1, 2] {
        let log = SmallLog::new();
        let file = OpenOptions::new().write(true).open(log.dir.file(number)).expect("the file");
        file.write_all_at(&[0; HEADER_BYTES as usize], 0).expect("zeroed");
        if number == 2 {
            // The space behind the end of the first file was not given back, and nobody says where that is.
            let first = OpenOptions::new().write(true).open(log.dir.file(1)).expect("the file");
            first.set_len(2 * FILE_BYTES as u64).expect("longer");
        }
        let (recovery, found) = log.recover();
        assert_eq!(found, log.written(), "{recovery:?}");
        let damage: Vec<Position> = recovery.damage.iter().map(|damage| damage.at).collect();
        assert_eq!(damage, [Position { file: number, offset: 0 }], "{recovery:?}");
    }
}

/// An empty batch says that everything before it is durable; then damage in the last batch is known as such.
#[test]
fn an_empty_batch_vouches_for_what_is_synced() {
    for is_vouched in [false, true] {
        let dir = Dir::new();
        let (log, ..) = reopen(&dir.0, options(FILE_BYTES), Position::START);
        let written = append(&log, 1, 1, &batch(&mut Random(3), 1, 1, 60));
        log.sync().expect("synced");
        if is_vouched {
            assert!(append(&log, 2, 0, &[]).is_empty());
        }
        drop(log);
        let file = OpenOptions::new().write(true).open(dir.file(1)).expect("the file");
        file.write_all_at(&[0xff; 4], written[0].location.offset as u64).expect("damaged");
        let (_, recovery, found) = reopen(&dir.0, options(FILE_BYTES), Position::START);
        assert!(found.is_empty());
        assert_eq!((recovery.damage.len() == 1, recovery.torn.is_none()), (is_vouched, is_vouched));
    }
}

#[test]
fn every_length() {
    let log = SmallLog::new();
    for (number, bytes) in &log.files {
        for length in 0..=bytes.len() as u64 {
            log.restore(*number);
            let file = OpenOptions::new().write(true).open(log.dir.file(*number)).expect("the file");
            file.set_len(length).expect("cut");
            let (recovery, found) = log.recover();
            let is_there = |batch: &&Batch| batch.begin.file != *number || batch.end.offset as u64 <= length;
            let expected: Vec<Written> =
                log.batches.iter().filter(is_there).flat_map(|batch| batch.changes.clone()).collect();
            assert_eq!(found, expected, "file {number} cut to {length}: {recovery:?}");
            // Nothing can tell a last file that is cut off from one that never was longer.
            let is_reported = *number == 1 && length < bytes.len() as u64;
            assert_eq!(
                !recovery.damage.is_empty(),
                is_reported,
                "file {number} cut to {length}: {recovery:?}"
            );
        }
        log.restore(*number);
    }
}

/// The torn batch is dropped, and one behind it that is whole; neither ever comes back, even when the file that says
/// where the log ended is gone.
#[test]
fn a_torn_tail_stays_dropped() {
    let mut random = Random(11);
    let dir = Dir::new();
    let (log, ..) = reopen(&dir.0, options(FILE_BYTES), Position::START);
    let kept = append(&log, 1, 1, &batch(&mut random, 1, 1, 60));
    let torn = append(&log, 2, 1, &batch(&mut random, 2, 1, 60));
    append(&log, 3, 1, &batch(&mut random, 3, 1, 60));
    drop(log);
    let file = OpenOptions::new().write(true).open(dir.file(1)).expect("the file");
    file.write_all_at(&[0xff; 4], torn[0].location.offset as u64).expect("torn");
    let before = fs::read(dir.file(1)).expect("the file");

    let (log, recovery, found) = reopen(&dir.0, options(FILE_BYTES), Position::START);
    assert_eq!((&found, recovery.damage.len()), (&kept, 0));
    assert_eq!(recovery.torn.map(|at| at.offset), Some(torn[0].location.offset - HEADER_BYTES as u32));
    let mut written = kept;
    written.extend(append(&log, 4, 1, &batch(&mut random, 4, 1, 60)));
    assert_eq!(written[1].location.file, 2);
    assert_eq!(fs::read(dir.file(1)).expect("the file"), before, "what was written stays as it was");
    drop(log);

    let (log, recovery, found) = reopen(&dir.0, options(FILE_BYTES), Position::START);
    assert_eq!((&found, recovery.damage.len(), recovery.torn), (&written, 0, None));
    written.extend(append(&log, 5, 1, &batch(&mut random, 5, 1, 60)));
    assert_eq!(written[2].location.file, 3);
    log.remove(2).expect("removed");
    written.remove(1);
    drop(log);
    let (_, recovery, found) = reopen(&dir.0, options(FILE_BYTES), Position::START);
    assert_eq!((found, recovery.damage.len()), (written, 0));
}

/// A file that was made but not begun is nothing: not the file before it is judged as if it were not the last one.
#[test]
fn a_crash_while_a_file_is_made() {
    for length in [0, 10, 64, FILE_BYTES as u64] {
        let log = SmallLog::new();
        let last = log.batches.last().expect("batches");
        let file = OpenOptions::new().write(true).open(log.dir.file(2)).expect("the file");
        file.write_all_at(&[0x55; 2], last.end.offset as u64 - 9).expect("torn");
        let blank = fs::File::create(log.dir.file(3)).expect("made");
        blank.set_len(length).expect("as long as that");
        let (recovery, found) = log.recover();
        let (expected, _) = log.without(log.batches.len() - 1);
        assert_eq!((found, recovery.damage.len()), (expected, 0), "{recovery:?}");
        assert_eq!(recovery.torn, Some(last.begin));
    }
}

/// A value that holds the bytes of a log is a value, also when what is before it is damaged.
#[test]
fn a_log_inside_a_value_is_no_log() {
    let other = SmallLog::new();
    let dir = Dir::new();
    let (log, ..) = reopen(&dir.0, options(8192), Position::START);
    let mut packed = Vec::new();
    // With every distance to 8, and with the same store id.
    for (at, pad) in (0..8).enumerate() {
        let value = [&vec![0; pad][..], &other.files[0].1].concat();
        pack_set(at as u64 + 1, 1, 0, b"backup", &value, &mut packed);
    }
    let first = append(&log, 1, 8, &packed);
    let second = append(&log, 9, 1, &batch(&mut Random(3), 9, 1, 60));
    log.sync().expect("synced");
    let third = append(&log, 10, 1, &batch(&mut Random(3), 10, 1, 60));
    drop(log);
    let file = OpenOptions::new().write(true).open(dir.file(1)).expect("the file");
    let header = first[0].location.offset as u64 - HEADER_BYTES;
    file.write_all_at(&[0; 8], header).expect("damaged");
    let (_, recovery, found) = reopen(&dir.0, options(8192), Position::START);
    assert_eq!(found, [second, third].concat());
    assert_eq!(recovery.damage.len(), 1, "{recovery:?}");
    assert_eq!(recovery.damage[0].at.offset as u64, header);
}

#[test]
fn a_checkpoint_beyond_the_end_is_reported() {
    let log = SmallLog::new();
    let beyond = Position { file: 9, offset: 64 };
    let (reopened, recovery, found) = reopen(&log.dir.0, options(FILE_BYTES), beyond);
    assert!(found.is_empty() && recovery.damage.len() == 1, "{recovery:?}");
    let next = append(&reopened, 20, 1, &batch(&mut Random(3), 20, 1, 60));
    assert_eq!(next[0].location.file, 10, "no place in the lost file is used again");
}
