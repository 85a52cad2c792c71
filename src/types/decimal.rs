//! Decimal numbers as bytes, without allocation and without locale.
//!
//! Owns: Redis' strict reading of integers, and writing them. Must not: be lenient; `+1`, `01` and ` 1` are not numbers.

/// A number's text, without allocation.
#[derive(Clone, Copy)]
pub struct Digits {
    bytes: [u8; MAX_LENGTH],
    start: usize,
}

/// No number of 64 bits is longer: 20 digits, or 19 and a sign.
const MAX_LENGTH: usize = 20;

impl Digits {
    /// `n` in decimal.
    #[inline]
    pub fn of_u64(mut n: u64) -> Self {
        let (mut bytes, mut start) = ([0; MAX_LENGTH], MAX_LENGTH);
        loop {
            start -= 1;
            bytes[start] = b'0' + (n % 10) as u8;
            n /= 10;
            if n == 0 {
                return Self { bytes, start };
            }
        }
    }

    /// `n` in decimal, with `-` if it is negative.
    pub fn of_i64(n: i64) -> Self {
        let mut digits = Self::of_u64(n.unsigned_abs());
        if n < 0 {
            digits.start -= 1;
            digits.bytes[digits.start] = b'-';
        }
        digits
    }

    /// Its text.
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// Appends `n` in decimal.
pub fn push_u64(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(Digits::of_u64(n).as_slice());
}

/// Appends `n` in decimal, with `-` if it is negative.
pub fn push_i64(out: &mut Vec<u8>, n: i64) {
    out.extend_from_slice(Digits::of_i64(n).as_slice());
}

/// Reads digits alone: no sign, no leading zero, nothing above `u64::MAX`.
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    match text {
        [b'0'] => Some(0),
        [b'1'..=b'9', ..] if text.len() <= 20 => text.iter().try_fold(0u64, |n, &digit| {
            let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
            n.checked_mul(10)?.checked_add(u64::from(digit))
        }),
        _ => None,
    }
}

/// Reads an integer as Redis does everywhere: the one text that writing it gives, and no other.
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    match text {
        [b'-', b'0', ..] => None,
        [b'-', digits @ ..] => 0i64.checked_sub_unsigned(parse_u64(digits)?),
        digits => i64::try_from(parse_u64(digits)?).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_canonical_text_is_a_number() {
        for bad in ["", "-", "+1", "01", "-0", "-01", " 1", "1 ", "1.0", "0x1", "9223372036854775808", "-9223372036854775809"] {
            assert_eq!(parse_i64(bad.as_bytes()), None, "{bad:?}");
        }
        for bad in ["", "-1", "00", "18446744073709551616", "99999999999999999999", "100000000000000000000"] {
            assert_eq!(parse_u64(bad.as_bytes()), None, "{bad:?}");
        }
        assert_eq!(parse_i64(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
    }

    proptest! {
        #[test]
        fn numbers_come_back(signed: i64, unsigned: u64) {
            let mut out = Vec::new();
            push_i64(&mut out, signed);
            prop_assert_eq!(&out, &signed.to_string().into_bytes());
            prop_assert_eq!(parse_i64(&out), Some(signed));
            out.clear();
            push_u64(&mut out, unsigned);
            prop_assert_eq!(&out, &unsigned.to_string().into_bytes());
            prop_assert_eq!(parse_u64(&out), Some(unsigned));
        }

        #[test]
        fn what_is_read_is_what_would_be_written(text in "[-+ 0-9]{0,22}") {
            if let Some(n) = parse_i64(text.as_bytes()) {
                prop_assert_eq!(n.to_string(), text);
            }
        }
    }
}
