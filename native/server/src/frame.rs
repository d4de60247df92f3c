//! Commands out of bytes: RESP arrays of bulk strings, and inline commands. Incremental: a frame that comes in pieces is
//! not looked at from its beginning again.
//!
//! Everything here is hostile. No length is believed before it was compared with its limit, and no memory is reserved
//! for bytes that have not come.

use crate::limits::Limits;

/// Arguments of one command, somewhere in a buffer.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    pub bytes: &'a [u8],
    pub places: &'a [Place],
}

/// An argument: where it begins and ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub start: u32,
    pub end: u32,
}

impl<'a> Args<'a> {
    pub fn len(&self) -> usize {
        self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// An argument; the name of the command is number 0.
    pub fn get(&self, index: usize) -> &'a [u8] {
        let Place { start, end } = self.places[index];
        &self.bytes[start as usize..end as usize]
    }

    /// Those from one on.
    pub fn from(&self, index: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone + use<'a> {
        let Args { bytes, places } = *self;
        places[index..].iter().map(|place| &bytes[place.start as usize..place.end as usize])
    }

    /// Without the first few.
    pub fn skip(&self, count: usize) -> Args<'a> {
        Args { bytes: self.bytes, places: &self.places[count..] }
    }
}

/// Arguments that outlive the buffer they came in.
#[derive(Clone, Default, Debug)]
pub struct OwnedArgs {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

impl OwnedArgs {
    pub fn of(args: Args) -> OwnedArgs {
        let mut own = OwnedArgs::default();
        for arg in args.from(0) {
            own.push(arg);
        }
        own
    }

    pub fn push(&mut self, arg: &[u8]) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(arg);
        self.places.push(Place { start, end: self.bytes.len() as u32 });
    }

    pub fn args(&self) -> Args<'_> {
        Args { bytes: &self.bytes, places: &self.places }
    }

    pub fn byte_count(&self) -> usize {
        self.bytes.len() + self.places.len() * size_of::<Place>()
    }
}

/// What a look at the buffer came to.
#[derive(PartialEq, Eq, Debug)]
pub enum Decoded {
    /// [`Decoder::args`] has a command.
    Command,
    /// More bytes are needed.
    More,
    /// The connection must be closed; the text of the error.
    Broken(String),
}

/// Bytes of a connection that have not become commands yet, and how far one has been read.
#[derive(Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// The frame that is being read begins here.
    start: usize,
    /// It has been read up to here, counted from its start.
    read: usize,
    /// Arguments that are still to come; `None` between two frames.
    left: Option<usize>,
    /// Length of the argument that is coming.
    bulk: Option<usize>,
    places: Vec<Place>,
    /// Arguments of an inline command, without its quotes.
    line: Vec<u8>,
    is_inline: bool,
    /// The sender has not said who it is: less is believed.
    pub is_newcomer: bool,
    /// Bytes of the frame that was given out last.
    taken: usize,
}

impl Decoder {
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Bytes that are held: of frames that are not complete or not looked at.
    pub fn held_bytes(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Memory that is held, in bytes.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity() + self.places.capacity() * size_of::<Place>()
    }

    /// Bytes that are missing at least; a large argument is read in large pieces.
    pub fn wanted_bytes(&self) -> usize {
        let here = self.held_bytes().saturating_sub(self.read);
        self.bulk.map_or(0, |bulk| (bulk + 2).saturating_sub(here))
    }

    /// The command that [`Decoder::next`] has found.
    pub fn args(&self) -> Args<'_> {
        match self.is_inline {
            true => Args { bytes: &self.line, places: &self.places },
            false => Args { bytes: &self.bytes[self.start..], places: &self.places },
        }
    }

    /// Forgets the command that was found; the next one is looked for behind it.
    pub fn consume(&mut self) {
        self.start += std::mem::take(&mut self.taken);
        self.places.clear();
        self.read = 0;
        if self.start == self.bytes.len() {
            self.start = 0;
            self.bytes.clear();
        }
    }

    /// Gives memory back that short commands do not need, and moves what is left to the front.
    pub fn tidy(&mut self) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        for bytes in [&mut self.bytes, &mut self.line] {
            if bytes.capacity() > KEPT_BYTES && bytes.len() < KEPT_BYTES / 2 {
                bytes.shrink_to(KEPT_BYTES / 2);
            }
        }
        if self.places.capacity() > KEPT_PLACES && self.places.len() < KEPT_PLACES / 2 {
            self.places.shrink_to(KEPT_PLACES / 2);
        }
    }

    /// Looks for the next command; the one found stays until it is consumed.
    pub fn next(&mut self, limits: &Limits) -> Decoded {
        if self.taken > 0 {
            return Decoded::Command;
        }
        loop {
            let frame = &self.bytes[self.start..];
            let Some(first) = frame.first() else { return Decoded::More };
            if self.left.is_none() {
                if *first != b'*' {
                    match self.next_inline(limits) {
                        Some(decoded) => return decoded,
                        None => continue,
                    }
                }
                let (length, next) = match number_line(frame, 1) {
                    Line::Is(length, next) => (length, next),
                    Line::More => return Decoded::More,
                    Line::TooLong => return broken("too big mbulk count string"),
                    Line::NoNumber => return broken("invalid multibulk length"),
                };
                if length > limits.arguments as i64 {
                    return broken("invalid multibulk length");
                }
                if self.is_newcomer && length > limits.newcomer_arguments as i64 {
                    return broken("unauthenticated multibulk length");
                }
                if length <= 0 {
                    self.taken = next;
                    self.consume();
                    continue;
                }
                self.is_inline = false;
                self.left = Some(length as usize);
                self.read = next;
                self.places.clear();
            }
            return self.next_bulks(limits);
        }
    }

    fn next_bulks(&mut self, limits: &Limits) -> Decoded {
        let frame = &self.bytes[self.start..];
        while let Some(left) = self.left.filter(|left| *left > 0) {
            let bulk = match self.bulk {
                Some(bulk) => bulk,
                None => {
                    let Some(kind) = frame.get(self.read) else { return Decoded::More };
                    if *kind != b'$' {
                        let kind = char::from(*kind).escape_default();
                        return broken(&format!("expected '$', got '{kind}'"));
                    }
                    let (length, next) = match number_line(frame, self.read + 1) {
                        Line::Is(length, next) => (length, next),
                        Line::More => return Decoded::More,
                        Line::TooLong => return broken("too big bulk count string"),
                        Line::NoNumber => return broken("invalid bulk length"),
                    };
                    if length < 0 || length as u64 > limits.bulk_bytes as u64 {
                        return broken("invalid bulk length");
                    }
                    if self.is_newcomer && length as u64 > limits.newcomer_bulk_bytes as u64 {
                        return broken("unauthenticated bulk length");
                    }
                    let length = length as usize;
                    if next + length > limits.frame_bytes {
                        return broken("too big request");
                    }
                    self.read = next;
                    self.bulk = Some(length);
                    length
                }
            };
            if frame.len() < self.read + bulk + 2 {
                return Decoded::More;
            }
            self.places.push(Place { start: self.read as u32, end: (self.read + bulk) as u32 });
            self.read += bulk + 2;
            self.bulk = None;
            self.left = Some(left - 1);
        }
        self.left = None;
        self.taken = self.read;
        Decoded::Command
    }

    /// `None` for an empty line.
    fn next_inline(&mut self, limits: &Limits) -> Option<Decoded> {
        let line_bytes = match self.is_newcomer {
            true => limits.line_bytes.min(limits.newcomer_bulk_bytes),
            false => limits.line_bytes,
        };
        let frame = &self.bytes[self.start..];
        let Some(end) = frame[self.read..].iter().position(|byte| *byte == b'\n') else {
            if frame.len() > line_bytes {
                return Some(broken("too big inline request"));
            }
            self.read = frame.len();
            return Some(Decoded::More);
        };
        let end = self.read + end;
        if end > line_bytes {
            return Some(broken("too big inline request"));
        }
        self.line.clear();
        self.places.clear();
        let line = frame[..end].strip_suffix(b"\r").unwrap_or(&frame[..end]);
        if !split_line(line, &mut self.line, &mut self.places) {
            return Some(broken("unbalanced quotes in request"));
        }
        self.taken = end + 1;
        self.is_inline = true;
        if self.places.is_empty() {
            self.consume();
            return None;
        }
        Some(Decoded::Command)
    }
}

/// Buffers that grew beyond this shrink when they are empty again.
const KEPT_BYTES: usize = 64 << 10;
const KEPT_PLACES: usize = 1024;

/// A number has 20 characters at most: what has none is not looked through again with every byte that comes.
const NUMBER_BYTES_MAX: usize = 32;

fn broken(what: &str) -> Decoded {
    Decoded::Broken(format!("ERR Protocol error: {what}"))
}

enum Line {
    /// The number, and where what follows it begins.
    Is(i64, usize),
    More,
    TooLong,
    NoNumber,
}

fn number_line(frame: &[u8], from: usize) -> Line {
    let rest = &frame[from..];
    let Some(end) = rest.iter().take(NUMBER_BYTES_MAX).position(|byte| *byte == b'\r') else {
        return if rest.len() >= NUMBER_BYTES_MAX { Line::TooLong } else { Line::More };
    };
    if rest.len() < end + 2 {
        return Line::More;
    }
    match crate::number::parse_i64(&rest[..end]) {
        Some(number) => Line::Is(number, from + end + 2),
        None => Line::NoNumber,
    }
}

/// Splits a line at white space; quotes and escapes as redis-cli has them. False when quotes are not balanced.
fn split_line(line: &[u8], out: &mut Vec<u8>, places: &mut Vec<Place>) -> bool {
    let mut at = 0;
    loop {
        while line.get(at).is_some_and(|byte| is_space(*byte)) {
            at += 1;
        }
        if at == line.len() {
            return true;
        }
        let start = out.len() as u32;
        while let Some(byte) = line.get(at).filter(|byte| !is_space(**byte)) {
            at += 1;
            match byte {
                b'"' | b'\'' => match unquote(line, at, *byte, out) {
                    Some(next) => at = next,
                    None => return false,
                },
                byte => out.push(*byte),
            }
        }
        places.push(Place { start, end: out.len() as u32 });
    }
}

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b || byte == 0
}

/// Where the line goes on behind the closing quote, which white space or the end must follow.
fn unquote(line: &[u8], mut at: usize, quote: u8, out: &mut Vec<u8>) -> Option<usize> {
    loop {
        let byte = *line.get(at)?;
        at += 1;
        if byte == quote {
            return line.get(at).is_none_or(|byte| is_space(*byte)).then_some(at);
        }
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let escaped = line.get(at).copied();
        if quote == b'\'' {
            match escaped {
                Some(b'\'') => {
                    out.push(b'\'');
                    at += 1;
                }
                _ => out.push(b'\\'),
            }
            continue;
        }
        let hex = |at: usize| line.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        if let (Some(b'x'), Some(high), Some(low)) = (escaped, hex(at + 1), hex(at + 2)) {
            out.push((high * 16 + low) as u8);
            at += 3;
            continue;
        }
        out.push(match escaped? {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'b' => 8,
            b'a' => 7,
            other => other,
        });
        at += 1;
    }
}
