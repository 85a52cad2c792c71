//! The little RESP that a simulated client needs: requests as arrays of bulk strings, RESP2 replies.

/// A reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// `+text`
    Simple(String),
    /// `-text`
    Error(String),
    /// `:number`
    Integer(i64),
    /// `$length` and bytes.
    Bulk(Vec<u8>),
    /// `$-1` or `*-1`
    Null,
    /// `*count` and replies.
    Array(Vec<Reply>),
}

impl Reply {
    /// Whether it is `+OK`.
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Simple(text) if text == "OK")
    }

    /// As text, of a string no more than so many bytes.
    pub fn legible(&self, bytes: usize) -> String {
        match self {
            Self::Bulk(value) => String::from_utf8_lossy(value.get(..bytes).unwrap_or(value)).into_owned(),
            other => format!("{other:?}"),
        }
    }

    /// Whether a write was made: `+OK`, or how many keys are gone.
    pub fn is_done(&self) -> bool {
        self.is_ok() || matches!(self, Self::Integer(_))
    }
}

/// The request of these words.
pub fn request(words: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len());
    for word in words {
        out.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    out.into_bytes()
}

/// The reply at the start of `bytes` and its length, or none if it is not there in full. Panics at what is no RESP2.
pub fn read(bytes: &[u8]) -> Option<(Reply, usize)> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let line = String::from_utf8_lossy(&bytes[1..end]).into_owned();
    let used = end + 2;
    let number = || line.parse::<i64>().unwrap_or_else(|_| panic!("a client reads a bad length or number: {line:?}"));
    match bytes[0] {
        b'+' => Some((Reply::Simple(line), used)),
        b'-' => Some((Reply::Error(line), used)),
        b':' => Some((Reply::Integer(number()), used)),
        b'$' | b'*' if number() < 0 => Some((Reply::Null, used)),
        b'$' => {
            let length = number() as usize;
            let body = bytes.get(used..used + length + 2)?;
            assert!(body.ends_with(b"\r\n"), "a bulk string ends where it said");
            Some((Reply::Bulk(body[..length].to_vec()), used + length + 2))
        }
        b'*' => read_array(bytes, number() as usize, used),
        other => panic!("a client reads {:?} where a reply begins", char::from(other)),
    }
}

fn read_array(bytes: &[u8], count: usize, mut used: usize) -> Option<(Reply, usize)> {
    let mut items = Vec::new();
    for _ in 0..count {
        let (item, length) = read(&bytes[used..])?;
        used += length;
        items.push(item);
    }
    Some((Reply::Array(items), used))
}
