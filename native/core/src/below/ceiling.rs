//! The clock ceiling: a clock word on disk that is ahead of every version given out, so that versions go on growing when
//! the machine comes back with an earlier clock, those of writes too that were lost or never logged.
//!
//! `clock`: two slots, at 0 and 4096, written in turn: `8 bytes magic | u32 version | u32 sequence | u64 clock word | u32 crc
//! of all before`. The one with the higher sequence counts; one that a crash has torn is the newer one, and the other stands. What a write between two looks of the log's thread (10 ms) after a long
//! rest says is on disk a sync later; until then the ceiling is behind it.

use crate::clock::COUNTER_BITS;
use crate::error::{Code, Result, StoreError};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"RAMCCLCK";
const VERSION: u32 = 1;
const SLOT_BYTES: usize = 28;
const SLOT_AT: [u64; 2] = [0, 4096];
const FILE_BYTES: u64 = SLOT_AT[1] + SLOT_BYTES as u64;
/// How far ahead it is; less than peers may be ahead of each other.
const AHEAD_MS: u64 = 1000;
/// It is raised when less than this is left.
const LEFT_MS: u64 = 500;

#[derive(Debug)]
pub struct Ceiling {
    path: PathBuf,
    file: File,
    word: u64,
    /// Of the next slot; even ones go to the first place.
    sequence: u32,
}

impl Ceiling {
    /// Opens the ceiling of a directory; 0 when it has none yet.
    pub fn open(dir: &Path) -> Result<Ceiling> {
        let path = dir.join("clock");
        let failed = |what: &str, error: std::io::Error| {
            StoreError::new(Code::Unavailable, format!("cannot {what} {}: {error}", path.display()))
        };
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(|error| failed("open", error))?;
        let bytes = file.metadata().map_err(|error| failed("look at", error))?.len();
        if bytes < FILE_BYTES {
            // Whole from the start: a full disk must not be in the way later.
            let rest = vec![0; (FILE_BYTES - bytes) as usize];
            file.write_all_at(&rest, bytes).map_err(|error| failed("write", error))?;
        }
        let (mut sequence, mut word) = (0, 0);
        for at in SLOT_AT {
            let mut slot = [0; SLOT_BYTES];
            file.read_exact_at(&mut slot, at).map_err(|error| failed("read", error))?;
            let found = decode(&slot).map_err(|version| newer(&path, version))?;
            (sequence, word) = found.filter(|found| found.0 > sequence).unwrap_or((sequence, word));
        }
        Ok(Ceiling { path, file, word, sequence: sequence + 1 })
    }

    pub fn word(&self) -> u64 {
        self.word
    }

    /// Raises it when the clock comes near it.
    pub fn keep_ahead(&mut self, clock: u64, wall_ms: u64) -> Result<()> {
        let newest = clock.max(wall_ms << COUNTER_BITS);
        match clock + (LEFT_MS << COUNTER_BITS) > self.word {
            true => self.write(newest + (AHEAD_MS << COUNTER_BITS)),
            false => Ok(()),
        }
    }

    /// Durable when it returns.
    pub fn write(&mut self, word: u64) -> Result<()> {
        let slot = encode(self.sequence, word);
        let at = SLOT_AT[self.sequence as usize % 2];
        let written = self.file.write_all_at(&slot, at).and_then(|()| self.file.sync_data());
        written.map_err(|error| {
            StoreError::new(Code::Poisoned, format!("cannot write {}: {error}", self.path.display()))
        })?;
        self.word = word;
        self.sequence += 1;
        Ok(())
    }
}

fn newer(path: &Path, version: u32) -> StoreError {
    let message = format!("{} has format {version}, this code reads {VERSION}", path.display());
    StoreError::new(Code::Config, message)
}

fn encode(sequence: u32, word: u64) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[..8].copy_from_slice(MAGIC);
    slot[8..12].copy_from_slice(&VERSION.to_le_bytes());
    slot[12..16].copy_from_slice(&sequence.to_le_bytes());
    slot[16..24].copy_from_slice(&word.to_le_bytes());
    let crc = crc32fast::hash(&slot[..24]);
    slot[24..].copy_from_slice(&crc.to_le_bytes());
    slot
}

/// Sequence and clock word, `None` for what is no slot; the version of one that this code does not read.
fn decode(slot: &[u8; SLOT_BYTES]) -> std::result::Result<Option<(u32, u64)>, u32> {
    let u32_at = |at: usize| u32::from_le_bytes(slot[at..at + 4].try_into().expect("four bytes"));
    if &slot[..8] != MAGIC || u32_at(24) != crc32fast::hash(&slot[..24]) {
        return Ok(None);
    }
    match u32_at(8) {
        VERSION => {
            let word = u64::from_le_bytes(slot[16..24].try_into().expect("eight bytes"));
            Ok(Some((u32_at(12), word)))
        }
        version => Err(version),
    }
}
