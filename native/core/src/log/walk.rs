//! Going through the batches of the log in order, and what to make of bytes that are no batch.
//!
//! A batch that does not check was either never durable, then it is where a crash cut the log off, and nothing that
//! follows it was durable either; or it was durable, then it is damage, and the log goes on behind it. Durable is what
//! lies in a file that is not the last one, for a file is synced before the next is begun, and what lies before the
//! `synced` position of any batch that can be read.

use super::files::{read_at, FileInfo, Files};
use super::format::{BatchHeader, Opening, BATCH_HEADER_BYTES, BATCH_MAGIC, FILE_HEADER_BYTES};
use super::location::Position;
use std::fs::File;
use std::ops::{ControlFlow, Range};

const SCAN_BYTES: usize = 1 << 20;

/// Bytes that were durable once and cannot be read any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    pub at: Position,
    pub message: String,
}

/// What stands at a place where a batch should begin.
enum Found {
    Batch(BatchHeader),
    /// A header that checks, before a payload that does not.
    Payload(BatchHeader),
    /// Zeros.
    Blank,
    Garbage,
    Unreadable(std::io::Error),
}

pub(super) struct Walk<'a> {
    files: &'a Files,
    store_id: u64,
    list: Vec<FileInfo>,
    /// The file the walk is in.
    index: usize,
    offset: u64,
    /// Where to stop; everything before it was durable. `None` walks to the end, wherever that is.
    to: Option<Position>,
    /// Highest `synced` position behind the first bad place of the last file.
    evidence: Option<Position>,
    pub damage: Vec<Damage>,
    /// Behind the last batch that was good, or that was damaged and passed over.
    pub end: Position,
    /// Where a crash cut the log off.
    pub torn: Option<Position>,
    pub payload: Vec<u8>,
}

impl<'a> Walk<'a> {
    pub fn new(files: &'a Files, store_id: u64, from: Position, to: Option<Position>) -> Walk<'a> {
        let list: Vec<FileInfo> = files.list().into_iter().filter(|file| file.number >= from.file).collect();
        let offset = match list.first() {
            Some(first) if first.number == from.file => from.offset as u64,
            _ => 0,
        };
        Walk {
            files,
            store_id,
            list,
            index: 0,
            offset,
            to,
            evidence: None,
            damage: Vec::new(),
            end: from,
            torn: None,
            payload: Vec::new(),
        }
    }

    /// The next batch that checks; its changes are in `payload`, from `BatchHeader::at` + its header on.
    pub fn next(&mut self) -> Option<BatchHeader> {
        while let Some(info) = self.list.get(self.index).copied() {
            if self.to.is_some_and(|to| self.place(&info) >= to) {
                return None;
            }
            let Some(file) = self.enter(&info) else {
                self.leave();
                continue;
            };
            let stop = self.stop(&info);
            if self.offset >= stop {
                self.leave();
                continue;
            }
            match self.look(&file, &info, stop) {
                Found::Batch(header) => {
                    self.offset = header.end();
                    self.end = self.place(&info);
                    return Some(header);
                }
                found => self.judge(&file, &info, stop, found),
            }
        }
        None
    }

    fn place(&self, info: &FileInfo) -> Position {
        Position { file: info.number, offset: self.offset as u32 }
    }

    fn leave(&mut self) {
        self.index += 1;
        self.offset = 0;
    }

    fn is_last(&self) -> bool {
        self.index + 1 == self.list.len()
    }

    /// Where the batches of a file end at the latest.
    fn stop(&self, info: &FileInfo) -> u64 {
        let to = self.to.filter(|to| to.file == info.number).map(|to| to.offset as u64);
        to.or(info.end.map(u64::from)).unwrap_or(info.bytes)
    }

    /// Opens the file the walk is in, and looks at its header when the walk has just come to it.
    fn enter(&mut self, info: &FileInfo) -> Option<std::sync::Arc<File>> {
        let file = match self.files.handle(info.number) {
            Ok(file) => file?.0,
            Err(error) => {
                self.report(info, format!("cannot be opened: {error}"));
                self.pass_over(info.bytes, info);
                return None;
            }
        };
        if self.offset < FILE_HEADER_BYTES as u64 {
            self.offset = 0;
            // A blank one that was never begun is not there any more: opening the log has removed it.
            if !matches!(info.opening, Opening::Whole(_)) {
                self.report(info, "the header of the file does not check".into());
            }
            self.offset = FILE_HEADER_BYTES as u64;
            self.end = self.end.max(self.place(info));
        }
        Some(file)
    }

    fn report(&mut self, info: &FileInfo, message: String) {
        let at = self.place(info);
        self.damage
            .push(Damage { at, message: format!("{}: {message}", self.files.path(info.number).display()) });
    }

    fn look(&mut self, file: &File, info: &FileInfo, stop: u64) -> Found {
        let mut head = [0; BATCH_HEADER_BYTES];
        let read = match read_at(file, &mut head, self.offset) {
            Ok(read) => read,
            Err(error) => return Found::Unreadable(error),
        };
        let Some(header) = BatchHeader::decode(&head[..read], self.store_id, self.place(info)) else {
            return if head.iter().all(|byte| *byte == 0) { Found::Blank } else { Found::Garbage };
        };
        if header.end() > stop.min(info.bytes) {
            return Found::Payload(header);
        }
        self.payload.resize(header.payload_bytes as usize, 0);
        match read_at(file, &mut self.payload, self.offset + BATCH_HEADER_BYTES as u64) {
            Ok(read) if read < self.payload.len() => Found::Payload(header),
            Ok(_) if crc32fast::hash(&self.payload) != header.payload_crc => Found::Payload(header),
            Ok(_) => Found::Batch(header),
            Err(error) => Found::Unreadable(error),
        }
    }

    /// Damage or the end of the log, and where the walk goes on.
    fn judge(&mut self, file: &File, info: &FileInfo, stop: u64, found: Found) {
        let is_blank = matches!(found, Found::Blank);
        if let Found::Unreadable(error) = &found {
            self.report(info, format!("cannot be read: {error}"));
            self.pass_over(stop, info);
            return self.leave();
        }
        if self.to.is_none() && info.end.is_none() && self.is_last() && !self.was_synced(file, info) {
            if !is_blank {
                self.torn = Some(self.place(info));
            }
            return self.leave();
        }
        let next = match &found {
            Found::Payload(header) if header.end() <= stop => Some(header.end()),
            _ => self.find_batch(file, info, stop),
        };
        // A file whose end nobody names any more ends where its zeros begin.
        let is_end = is_blank && next.is_none() && self.to.is_none() && info.end.is_none() && !self.is_last();
        if !is_end {
            let what = match found {
                Found::Payload(_) => "the checksum of a batch does not match",
                _ => "no batch where one was",
            };
            self.report(info, format!("{what} at offset {}", self.offset));
        }
        match next {
            Some(offset) => {
                self.offset = offset;
                self.end = self.place(info);
            }
            None => {
                self.pass_over(stop, info);
                self.leave();
            }
        }
    }

    /// Counts what cannot be read as part of the log, so that it is not taken for a torn tail and cut off.
    fn pass_over(&mut self, stop: u64, info: &FileInfo) {
        self.offset = stop;
        self.end = self.end.max(self.place(info));
    }

    /// Whether a batch behind this place of the last file says that the place was durable.
    fn was_synced(&mut self, file: &File, info: &FileInfo) -> bool {
        if self.evidence.is_none() {
            let mut highest = Position::START;
            scan(file, self.store_id, info.number, self.offset..info.bytes, |header| {
                highest = highest.max(header.synced);
                ControlFlow::Continue(())
            });
            self.evidence = Some(highest);
        }
        self.evidence > Some(self.place(info))
    }

    fn find_batch(&self, file: &File, info: &FileInfo, stop: u64) -> Option<u64> {
        let mut found = None;
        scan(file, self.store_id, info.number, self.offset + 8..stop, |header| {
            found = Some(header.at.offset as u64);
            ControlFlow::Break(())
        });
        found
    }
}

/// Whether any batch can be found in a file.
pub(super) fn has_batches(files: &Files, store_id: u64, info: &FileInfo) -> bool {
    let mut is_found = false;
    if let Ok(Some((file, _))) = files.handle(info.number) {
        scan(&file, store_id, info.number, FILE_HEADER_BYTES as u64..info.bytes, |_| {
            is_found = true;
            ControlFlow::Break(())
        });
    }
    is_found
}

/// Gives every batch header in a stretch of a file, whether its payload checks or not.
fn scan(
    file: &File,
    store_id: u64,
    number: u32,
    stretch: Range<u64>,
    mut each: impl FnMut(&BatchHeader) -> ControlFlow<()>,
) {
    let magic = BATCH_MAGIC.to_le_bytes();
    let mut piece = vec![0; SCAN_BYTES + BATCH_HEADER_BYTES];
    let mut start = stretch.start.next_multiple_of(8);
    while start < stretch.end {
        let Ok(read) = read_at(file, &mut piece, start) else { return };
        for at in (0..read.min(SCAN_BYTES)).step_by(8) {
            if piece[at..read].starts_with(&magic) && start + (at as u64) < stretch.end {
                let place = Position { file: number, offset: (start + at as u64) as u32 };
                let header = BatchHeader::decode(&piece[at..read], store_id, place);
                if header.is_some_and(|header| each(&header).is_break()) {
                    return;
                }
            }
        }
        start += SCAN_BYTES as u64;
    }
}
