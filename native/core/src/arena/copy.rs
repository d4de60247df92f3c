//! Copying into and out of shared memory while others do the same: by atomic accesses, so that what is read may be a
//! mixture of old and new, but never anything else.

use crate::arena::Words;
use crate::layout::{GRAIN_BYTES, WORD_BYTES};
use crate::sync::Ordering;

/// A grain of shared memory, out of its whole word.
#[inline(always)]
pub fn load_grain(words: &Words, at_byte: usize) -> u32 {
    (words.word(at_byte / WORD_BYTES).load(Ordering::Relaxed) >> (at_byte % WORD_BYTES * 8)) as u32
}

/// Writes bytes by relaxed atomic stores of whole words. `at_byte` is a multiple of [`GRAIN_BYTES`]; when it is in
/// the middle of a word, the first half of that word is kept: it is the end of another record, whose readers see the
/// same bytes before and after. What follows the last byte in its word becomes zero.
pub fn copy_in(words: &Words, at_byte: usize, bytes: &[u8]) {
    let mut word = at_byte / WORD_BYTES;
    let mut rest = bytes;
    if !at_byte.is_multiple_of(WORD_BYTES) {
        debug_assert_eq!(at_byte % WORD_BYTES, GRAIN_BYTES);
        let (head, tail) = bytes.split_at(GRAIN_BYTES.min(bytes.len()));
        let kept = words.word(word).load(Ordering::Relaxed) & u32::MAX as u64;
        words.word(word).store(kept | padded(head) << 32, Ordering::Relaxed);
        word += 1;
        rest = tail;
    }
    for chunk in rest.chunks(WORD_BYTES) {
        words.word(word).store(padded(chunk), Ordering::Relaxed);
        word += 1;
    }
}

/// Up to eight bytes as a little-endian word.
#[inline(always)]
fn padded(bytes: &[u8]) -> u64 {
    if let Ok(whole) = bytes.try_into() {
        return u64::from_le_bytes(whole);
    }
    let mut word = [0; WORD_BYTES];
    word[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(word)
}

/// Reads `out.len()` bytes from any byte offset behind `at_byte` by relaxed loads. What it reads may be torn: the
/// caller validates afterwards. The words that hold the range must lie inside the mapping.
#[inline]
pub fn copy_out(words: &Words, at_byte: usize, byte: usize, out: &mut [u8]) {
    let from = at_byte + byte;
    #[cfg(all(target_arch = "x86_64", not(loom)))]
    if out.len() >= VECTOR_BYTES {
        return copy_vectors(words, from, out);
    }
    copy_words(words, from, out);
}

/// A word at a time, shifted into place.
#[inline]
fn copy_words(words: &Words, from: usize, out: &mut [u8]) {
    if out.is_empty() {
        return;
    }
    let mut word = from / WORD_BYTES;
    let shift = (from % WORD_BYTES * 8) as u32;
    let mut chunks = out.chunks_exact_mut(WORD_BYTES);
    if shift == 0 {
        for chunk in chunks.by_ref() {
            chunk.copy_from_slice(&words.word(word).load(Ordering::Relaxed).to_le_bytes());
            word += 1;
        }
        let rest = chunks.into_remainder();
        if !rest.is_empty() {
            rest.copy_from_slice(&words.word(word).load(Ordering::Relaxed).to_le_bytes()[..rest.len()]);
        }
        return;
    }
    let mut low = words.word(word).load(Ordering::Relaxed);
    for chunk in chunks.by_ref() {
        word += 1;
        let high = words.word(word).load(Ordering::Relaxed);
        chunk.copy_from_slice(&(low >> shift | high << (64 - shift)).to_le_bytes());
        low = high;
    }
    let rest = chunks.into_remainder();
    if !rest.is_empty() {
        let mut last = low >> shift;
        if rest.len() * 8 > 64 - shift as usize {
            last |= words.word(word + 1).load(Ordering::Relaxed) << (64 - shift);
        }
        rest.copy_from_slice(&last.to_le_bytes()[..rest.len()]);
    }
}

#[cfg(all(target_arch = "x86_64", not(loom)))]
const VECTOR_BYTES: usize = 16;

/// Sixteen unaligned bytes at a time, the last ones overlapping: several times faster than words that must be shifted.
///
/// The language has no atomic load of this width, so each load is an `asm!` of one instruction: the compiler neither
/// tears, repeats nor moves it across a fence, and the processor keeps loads in order.
#[cfg(all(target_arch = "x86_64", not(loom)))]
#[inline]
fn copy_vectors(words: &Words, from: usize, out: &mut [u8]) {
    use std::arch::x86_64::{__m128i, _mm_storeu_si128};
    debug_assert!(out.len() >= VECTOR_BYTES && from + out.len() <= words.bytes());
    let source = words.as_ptr(from);
    let copy = |at: usize, out: &mut [u8]| {
        let vector: __m128i;
        // SAFETY: `at + VECTOR_BYTES` is at most `out.len()`, so the load stays inside the mapping and the store
        // inside `out`.
        unsafe {
            std::arch::asm!(
                "movdqu {vector}, [{source}]",
                vector = out(xmm_reg) vector,
                source = in(reg) source.add(at),
                options(nostack, preserves_flags, readonly),
            );
            _mm_storeu_si128(out.as_mut_ptr().add(at).cast(), vector);
        }
    };
    let last = out.len() - VECTOR_BYTES;
    let mut at = 0;
    while at + 4 * VECTOR_BYTES <= last {
        copy(at, out);
        copy(at + VECTOR_BYTES, out);
        copy(at + 2 * VECTOR_BYTES, out);
        copy(at + 3 * VECTOR_BYTES, out);
        at += 4 * VECTOR_BYTES;
    }
    while at < last {
        copy(at, out);
        at += VECTOR_BYTES;
    }
    copy(last, out);
}

/// Whether the bytes from any byte offset behind `at_byte` equal `expected`, by relaxed atomic loads of the words
/// that hold them and no others.
#[inline]
pub fn equals(words: &Words, at_byte: usize, byte: usize, expected: &[u8]) -> bool {
    let from = at_byte + byte;
    let mut word = from / WORD_BYTES;
    let shift = (from % WORD_BYTES * 8) as u32;
    let load = |word: usize| words.word(word).load(Ordering::Relaxed);
    let mut chunks = expected.chunks_exact(WORD_BYTES);
    for chunk in chunks.by_ref() {
        let mut found = load(word) >> shift;
        word += 1;
        if shift != 0 {
            found |= load(word) << (64 - shift);
        }
        if found != u64::from_le_bytes(chunk.try_into().expect("eight bytes")) {
            return false;
        }
    }
    let rest = chunks.remainder();
    if rest.is_empty() {
        return true;
    }
    let mut found = load(word) >> shift;
    if rest.len() * 8 > 64 - shift as usize {
        found |= load(word + 1) << (64 - shift);
    }
    let mask = u64::MAX >> (64 - rest.len() * 8);
    found & mask == padded(rest)
}
