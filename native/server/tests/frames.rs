//! Frames of clients that mean no good: the decoder neither panics nor holds more than it was sent, and what it gives out
//! does not depend on how the bytes were cut.

use ramcache_server::frame::{Decoded, Decoder};
use ramcache_server::limits::Limits;

/// xorshift64*, Vigna 2016: no dependency, and the same everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, count: usize) -> usize {
        (self.next() >> 33) as usize % count
    }
}

fn seed() -> u64 {
    let given = std::env::var("RAMCACHE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| std::process::id() as u64 * 2_654_435_761 + 1);
    println!("seed {seed}");
    seed
}

fn limits() -> Limits {
    Limits {
        bulk_bytes: 1 << 16,
        frame_bytes: 1 << 17,
        arguments: 64,
        line_bytes: 1 << 10,
        ..Limits::default()
    }
}

/// A command, its arguments and whether it is written as a line.
fn frame(chance: &mut Chance) -> Vec<u8> {
    let count = 1 + chance.below(5);
    let mut frame = format!("*{count}\r\n").into_bytes();
    for _ in 0..count {
        let bytes = chance.below(40);
        frame.extend_from_slice(format!("${bytes}\r\n").as_bytes());
        frame.extend((0..bytes).map(|_| chance.next() as u8));
        frame.extend_from_slice(b"\r\n");
    }
    frame
}

fn line(chance: &mut Chance) -> Vec<u8> {
    const PARTS: [&str; 10] = ["GET", " ", "\"a b\"", "'x'", "\\", "\"\\x41\\n\"", "\t", "k", "\"", "\r"];
    let mut line = String::new();
    for _ in 0..chance.below(8) {
        line += PARTS[chance.below(PARTS.len())];
    }
    (line + "\r\n").into_bytes()
}

fn mutate(chance: &mut Chance, bytes: &mut Vec<u8>) {
    const PIECES: [&[u8]; 9] = [
        b"\r\n",
        b"*-1\r\n",
        b"$-1\r\n",
        b"*9223372036854775807\r\n",
        b"$9223372036854775807\r\n",
        b"*99999999999999999999999999999999999999\r\n",
        b"$65537\r\n",
        b"*0\r\n",
        b"\0\xff",
    ];
    for _ in 0..1 + chance.below(3) {
        if bytes.is_empty() {
            return;
        }
        let at = chance.below(bytes.len());
        match chance.below(4) {
            0 => bytes[at] = chance.next() as u8,
            1 => drop(bytes.drain(at..(at + 1 + chance.below(4)).min(bytes.len()))),
            2 => drop(bytes.splice(at..at, PIECES[chance.below(PIECES.len())].iter().copied())),
            _ => bytes.truncate(at),
        }
    }
}

/// Every command in some bytes that come in pieces, and whether the end was an error.
fn decode(bytes: &[u8], mut piece: impl FnMut() -> usize) -> (Vec<Vec<Vec<u8>>>, bool) {
    let limits = limits();
    let mut decoder = Decoder::default();
    let mut commands = Vec::new();
    let mut rest = bytes;
    loop {
        match decoder.next(&limits) {
            Decoded::Command => {
                let args = decoder.args();
                assert!(!args.is_empty() && args.len() <= limits.arguments.max(bytes.len()));
                commands.push(args.from(0).map(<[u8]>::to_vec).collect());
                decoder.consume();
            }
            Decoded::Broken(text) => {
                assert!(text.starts_with("ERR Protocol error: "), "{text}");
                return (commands, true);
            }
            Decoded::More if rest.is_empty() => {
                decoder.tidy();
                // What is held is what was sent, and the places of its arguments; no length was believed.
                assert!(decoder.capacity() <= 4 * bytes.len() + (64 << 10) + 16 * 1024);
                return (commands, false);
            }
            Decoded::More => {
                let (now, later) = rest.split_at(piece().clamp(1, rest.len()));
                decoder.push(now);
                rest = later;
            }
        }
    }
}

#[test]
fn a_million_frames_are_read_the_same_however_they_are_cut() {
    let mut chance = Chance(seed() | 1);
    let mut frames = 0;
    let mut broken = 0;
    let mut found = 0;
    while frames < 1_000_000 {
        let mut bytes = Vec::new();
        for _ in 0..1 + chance.below(12) {
            let mut next = if chance.below(4) == 0 { line(&mut chance) } else { frame(&mut chance) };
            if chance.below(3) == 0 {
                mutate(&mut chance, &mut next);
            }
            bytes.append(&mut next);
            frames += 1;
        }
        let whole = decode(&bytes, || usize::MAX);
        let mut cuts = Chance(chance.next() | 1);
        let cut = decode(&bytes, || 1 + cuts.below(30));
        assert_eq!(whole, cut, "{:?}", String::from_utf8_lossy(&bytes));
        broken += whole.1 as u32;
        found += whole.0.len();
    }
    // Neither all nor nothing of it may be damage, or it would show nothing.
    assert!(broken > 10_000 && found > 100_000, "{broken} broken, {found} commands");
}

#[test]
fn commands_come_out_as_they_went_in() {
    let mut chance = Chance(seed() | 1);
    for _ in 0..20_000 {
        let bytes = frame(&mut chance);
        let (commands, is_broken) = decode(&bytes, || 7);
        assert!(!is_broken && commands.len() == 1);
        let mut again = format!("*{}\r\n", commands[0].len()).into_bytes();
        for arg in &commands[0] {
            again.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
            again.extend_from_slice(arg);
            again.extend_from_slice(b"\r\n");
        }
        assert_eq!(bytes, again);
    }
}

#[test]
fn limits_end_a_connection_with_the_words_of_redis() {
    for (bytes, text) in [
        (&b"*65\r\n"[..], "ERR Protocol error: invalid multibulk length"),
        (b"*x\r\n", "ERR Protocol error: invalid multibulk length"),
        (b"*1\r\n+x\r\n", "ERR Protocol error: expected '$', got '+'"),
        (b"*1\r\n$65537\r\n", "ERR Protocol error: invalid bulk length"),
        (b"*1\r\n$-1\r\n", "ERR Protocol error: invalid bulk length"),
        (b"a 'b\r\n", "ERR Protocol error: unbalanced quotes in request"),
    ] {
        let mut decoder = Decoder::default();
        decoder.push(bytes);
        assert_eq!(decoder.next(&limits()), Decoded::Broken(text.into()));
    }
    let mut decoder = Decoder::default();
    decoder.push(&[b'a'; 2000]);
    let text = "ERR Protocol error: too big inline request";
    assert_eq!(decoder.next(&limits()), Decoded::Broken(text.into()));
}
