//! Replies into bytes: RESP2, or RESP3 for a connection that asked for it.

/// Which of the two a connection speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Resp {
    #[default]
    Two,
    Three,
}

/// Appends replies to a buffer.
pub struct Reply<'a> {
    pub out: &'a mut Vec<u8>,
    pub resp: Resp,
}

impl Reply<'_> {
    fn line(&mut self, kind: u8, text: &[u8]) {
        self.out.push(kind);
        self.out.extend_from_slice(text);
        self.out.extend_from_slice(b"\r\n");
    }

    pub fn ok(&mut self) {
        self.out.extend_from_slice(b"+OK\r\n");
    }

    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// Its code and message; what would end the line is replaced.
    pub fn error(&mut self, text: &str) {
        if text.bytes().any(|byte| byte == b'\r' || byte == b'\n') {
            return self.line(b'-', text.replace(['\r', '\n'], " ").as_bytes());
        }
        self.line(b'-', text.as_bytes());
    }

    pub fn integer(&mut self, number: i64) {
        self.number_line(b':', number);
    }

    fn number_line(&mut self, kind: u8, number: i64) {
        self.out.push(kind);
        push_decimal(self.out, number);
        self.out.extend_from_slice(b"\r\n");
    }

    /// How a bulk begins whose bytes follow, and two more.
    pub fn bulk_head(&mut self, bytes: usize) {
        self.number_line(b'$', bytes as i64);
    }

    pub fn bulk(&mut self, bytes: &[u8]) {
        self.bulk_head(bytes.len());
        self.out.extend_from_slice(bytes);
        self.out.extend_from_slice(b"\r\n");
    }

    /// A bulk in RESP2, `=txt:` in RESP3: what people read.
    pub fn verbatim(&mut self, text: &str) {
        if self.resp == Resp::Two {
            return self.bulk(text.as_bytes());
        }
        self.number_line(b'=', text.len() as i64 + 4);
        self.out.extend_from_slice(b"txt:");
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    pub fn nil(&mut self) {
        self.out.extend_from_slice(match self.resp {
            Resp::Two => b"$-1\r\n",
            Resp::Three => b"_\r\n",
        });
    }

    /// In place of an array.
    pub fn nil_array(&mut self) {
        self.out.extend_from_slice(match self.resp {
            Resp::Two => b"*-1\r\n",
            Resp::Three => b"_\r\n",
        });
    }

    pub fn array(&mut self, count: usize) {
        self.number_line(b'*', count as i64);
    }

    /// A map of so many pairs; a flat array in RESP2.
    pub fn map(&mut self, pairs: usize) {
        match self.resp {
            Resp::Two => self.array(pairs * 2),
            Resp::Three => self.number_line(b'%', pairs as i64),
        }
    }

    /// What was not asked for; an array in RESP2.
    pub fn push(&mut self, count: usize) {
        match self.resp {
            Resp::Two => self.array(count),
            Resp::Three => self.number_line(b'>', count as i64),
        }
    }

    pub fn set(&mut self, count: usize) {
        match self.resp {
            Resp::Two => self.array(count),
            Resp::Three => self.number_line(b'~', count as i64),
        }
    }
}

/// A whole number in decimal digits.
pub fn push_decimal(out: &mut Vec<u8>, number: i64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut left = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    if number < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}
