//! Numbers in text, as Redis reads them and as JavaScript writes them.

/// A whole number of 64 bits, written as Redis writes it: no sign but `-`, no leading zeros, nothing around it.
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !is_negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut number: u64 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        number = number.checked_mul(10)?.checked_add((digit - b'0') as u64)?;
    }
    match is_negative {
        false => i64::try_from(number).ok(),
        true if number <= 1 << 63 => Some((number as i64).wrapping_neg()),
        true => None,
    }
}

/// A number without a sign, for lengths and times of our own commands.
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    parse_i64(text).and_then(|number| u64::try_from(number).ok())
}

/// Whole numbers up to this are numbers of JavaScript.
pub const SAFE_INTEGER_MAX: i64 = (1 << 53) - 1;

/// A double as `String(number)` of JavaScript writes it.
pub fn text_of(number: f64) -> String {
    if number.is_nan() {
        return "NaN".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    if number == 0.0 {
        return "0".into();
    }
    if number.fract() == 0.0 && number.abs() <= SAFE_INTEGER_MAX as f64 {
        return (number as i64).to_string();
    }
    // Shortest digits that come back as the same number, in Rust as in JavaScript; only their form differs.
    let scientific = format!("{:e}", number.abs());
    let (digits, exponent) = scientific.split_once('e').expect("as asked for");
    let exponent: i32 = exponent.parse().expect("a whole exponent");
    let digits: String = digits.chars().filter(|digit| *digit != '.').collect();
    let sign = if number < 0.0 { "-" } else { "" };
    let count = digits.len() as i32;
    let point = exponent + 1;
    let body = match point {
        point if (count..=21).contains(&point) => digits + &"0".repeat((point - count) as usize),
        point if (1..=21).contains(&point) => {
            format!("{}.{}", &digits[..point as usize], &digits[point as usize..])
        }
        point if (-5..=0).contains(&point) => format!("0.{}{digits}", "0".repeat(-point as usize)),
        _ => {
            let mark = if exponent < 0 { '-' } else { '+' };
            let rest = if count > 1 { format!(".{}", &digits[1..]) } else { String::new() };
            format!("{}{rest}e{mark}{}", &digits[..1], exponent.abs())
        }
    };
    format!("{sign}{body}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_as_redis_reads_them() {
        for (text, number) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("99999999999999999999", None),
            ("-0", None),
            ("+1", None),
            ("01", None),
            ("", None),
            ("-", None),
            (" 1", None),
            ("1 ", None),
            ("1.0", None),
        ] {
            assert_eq!(parse_i64(text.as_bytes()), number, "{text}");
        }
    }

    #[test]
    fn doubles_are_written_as_javascript_writes_them() {
        for (number, text) in [
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e21, "1e+21"),
            (123456789012345680000.0, "123456789012345680000"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.25e-7, "1.25e-7"),
            (-0.0, "0"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (9007199254740993.0, "9007199254740992"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(text_of(number), text);
        }
    }
}
