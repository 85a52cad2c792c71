//! Decimal numbers as bytes, without allocation and without locale.
//!
//! Owns: Redis' strict reading of integers, and writing them. Must not: be lenient; `+1`, `01` and ` 1` are not numbers.

/// Appends `n` in decimal.
pub fn push_u64(out: &mut Vec<u8>, mut n: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends `n` in decimal, with `-` if it is negative.
pub fn push_i64(out: &mut Vec<u8>, n: i64) {
    if n < 0 {
        out.push(b'-');
    }
    push_u64(out, n.unsigned_abs());
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
