//! Glob patterns over bytes, as Redis matches them, in steps that no pattern can make more than length times length.

/// Whether a whole text matches a pattern.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        match step(pattern, at, text[from]) {
            Step::Star => {
                star = Some((at + 1, from));
                at += 1;
            }
            Step::Yes(next) => {
                at = next;
                from += 1;
            }
            // Only the last star ever needs another try: what stands before it was matched as early as possible.
            Step::No => match star {
                Some((after, begin)) => {
                    at = after;
                    from = begin + 1;
                    star = Some((after, from));
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// What every matching text begins with.
pub fn prefix(pattern: &[u8]) -> Vec<u8> {
    let mut prefix = Vec::new();
    let mut at = 0;
    while let Some(byte) = pattern.get(at) {
        match byte {
            b'*' | b'?' | b'[' => break,
            b'\\' if at + 1 < pattern.len() => at += 1,
            _ => {}
        }
        prefix.push(pattern[at]);
        at += 1;
    }
    prefix
}

enum Step {
    Star,
    /// The byte matches; where the pattern goes on.
    Yes(usize),
    No,
}

fn step(pattern: &[u8], at: usize, byte: u8) -> Step {
    let Some(first) = pattern.get(at) else { return Step::No };
    let (is_match, next) = match first {
        b'*' => return Step::Star,
        b'?' => (true, at + 1),
        b'[' => class(pattern, at + 1, byte),
        b'\\' if at + 1 < pattern.len() => (pattern[at + 1] == byte, at + 2),
        literal => (*literal == byte, at + 1),
    };
    if is_match {
        Step::Yes(next)
    } else {
        Step::No
    }
}

/// Whether a byte is in the class that begins at a place, and where the pattern goes on behind it.
fn class(pattern: &[u8], mut at: usize, byte: u8) -> (bool, usize) {
    let is_negated = pattern.get(at) == Some(&b'^');
    at += is_negated as usize;
    let mut is_in = false;
    loop {
        match pattern.get(at) {
            // A class without its end reaches to that of the pattern.
            None => return (is_in != is_negated, at),
            Some(b']') => return (is_in != is_negated, at + 1),
            Some(b'\\') if at + 1 < pattern.len() => {
                is_in |= pattern[at + 1] == byte;
                at += 2;
            }
            Some(first) if pattern.get(at + 1) == Some(&b'-') && at + 2 < pattern.len() => {
                let last = pattern[at + 2];
                is_in |= (*first.min(&last)..=*first.max(&last)).contains(&byte);
                at += 3;
            }
            Some(first) => {
                is_in |= *first == byte;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_redis() {
        for (pattern, text, is_match) in [
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("a?c", "abc", true),
            ("[a-c]x", "bx", true),
            ("[c-a]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("[\\]]", "]", true),
            ("[abc", "c", true),
            ("", "a", false),
            ("a**b", "axxb", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), is_match, "{pattern} {text}");
        }
        let worst = "a*".repeat(2000) + "b";
        assert!(!matches(worst.as_bytes(), "a".repeat(4000).as_bytes()));
        assert_eq!(prefix(b"user:\\*x[1]"), b"user:*x");
    }
}
