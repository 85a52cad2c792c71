//! Decimal numbers for INCRBYFLOAT.
//!
//! Owns: sums that come out as Redis', which adds 80-bit floating-point numbers and shows 17 decimals: 0.1 and 0.2 make 0.3. There are
//! none here, so numbers of up to 17 decimals are added exactly, as integers, and all others as doubles.

/// Decimals that Redis shows.
const SCALE: u32 = 17;

/// A number as read.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Decimal {
    /// It, times ten to the [`SCALE`], if that is an integer that fits.
    exact: Option<i128>,
    /// The double that is nearest.
    nearest: f64,
}

/// Reads a number, with or without decimals and exponent.
pub(super) fn parse(text: &[u8]) -> Option<Decimal> {
    let nearest: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (!nearest.is_nan()).then(|| Decimal { exact: exact(text), nearest })
}

/// The text's number times ten to the [`SCALE`]. The text is known to be a number.
fn exact(text: &[u8]) -> Option<i128> {
    let (mantissa, exponent) = match text.iter().position(|byte| byte.eq_ignore_ascii_case(&b'e')) {
        Some(at) => (&text[..at], std::str::from_utf8(&text[at + 1..]).ok()?.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (mut digits, mut decimals, mut in_decimals) = (0i128, 0i32, false);
    for byte in mantissa {
        match byte {
            b'0'..=b'9' => {
                digits = digits.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
                decimals += i32::from(in_decimals);
            }
            b'.' => in_decimals = true,
            b'+' | b'-' => {}
            _ => return None,
        }
    }
    let shift = u32::try_from(exponent.checked_sub(decimals)?.checked_add(SCALE as i32)?).ok()?;
    let scaled = digits.checked_mul(10i128.checked_pow(shift)?)?;
    Some(if mantissa.first() == Some(&b'-') { -scaled } else { scaled })
}

/// The sum's text, without exponent and without zeros at the end of its decimals; none if there is no such number.
pub(super) fn sum(one: Decimal, other: Decimal) -> Option<String> {
    if let (Some(one), Some(other)) = (one.exact, other.exact)
        && let Some(sum) = one.checked_add(other)
    {
        return Some(show(sum));
    }
    let sum = one.nearest + other.nearest;
    sum.is_finite().then(|| format!("{sum}"))
}

fn show(scaled: i128) -> String {
    let one = 10u128.pow(SCALE);
    let (whole, decimals) = (scaled.unsigned_abs() / one, scaled.unsigned_abs() % one);
    let sign = if scaled < 0 { "-" } else { "" };
    let text = format!("{sign}{whole}.{decimals:0width$}", width = SCALE as usize);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(one: &str, other: &str) -> Option<String> {
        sum(parse(one.as_bytes())?, parse(other.as_bytes())?)
    }

    #[test]
    fn sums_are_those_of_redis() {
        for (one, other, total) in [
            ("0.1", "0.2", "0.3"),
            ("10.50", "0.1", "10.6"),
            ("10.6", "-5", "5.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("3", "-3", "0"),
            ("-0.5", "0.25", "-0.25"),
            ("0", "1.123456789", "1.123456789"),
            ("1e20", "1", "100000000000000000001"),
            ("0", "1e30", "1000000000000000000000000000000"),
            (".5", "5.", "5.5"),
        ] {
            assert_eq!(add(one, other).as_deref(), Some(total), "{one} + {other}");
        }
    }

    #[test]
    fn what_is_no_number() {
        for text in ["", " 1", "1 ", "abc", "nan", "1e", "--1", "1.2.3", "0x10"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(add("inf", "1"), None);
        assert_eq!(add("1e400", "1"), None);
        assert!(add("1e-300", "1e999999999999").is_none());
    }
}
