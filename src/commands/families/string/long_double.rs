//! Floating-point numbers of 80 bits for INCRBYFLOAT: C's `long double` on x86-64, which is what Redis adds with.
//!
//! Owns: what text is a number, as strtold(3) has it, and its text, as printf's `%.17Lf` without zeros at the end. The arithmetic is a
//! library's.

use rustc_apfloat::ieee::X87DoubleExtended;
use rustc_apfloat::{Float, Status};

/// Longer texts are no numbers (Redis' buffer for them).
const LONGEST: usize = 5 * 1024 - 1;
/// Decimals that are shown.
const DECIMALS: u32 = 17;
const BIAS: i32 = 16383;
const MANTISSA_BITS: i32 = 64;

/// A number, or an infinity.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct LongDouble(X87DoubleExtended);

impl LongDouble {
    pub const ZERO: Self = Self(X87DoubleExtended::ZERO);

    /// Reads a decimal (`-1.5e3`), hexadecimal (`0x1.8p3`) or infinite number; none for a text that is none, or a number that is too large
    /// or too small.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= LONGEST)?;
        let (negative, digits) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let number = match () {
            () if digits.eq_ignore_ascii_case("inf") || digits.eq_ignore_ascii_case("infinity") => X87DoubleExtended::INFINITY,
            () => finite(digits)?,
        };
        Some(Self(if negative { -number } else { number }))
    }

    /// The sum; none if it is no finite number.
    pub fn plus(self, other: Self) -> Option<Self> {
        let sum = (self.0 + other.0).value;
        sum.is_finite().then_some(Self(sum))
    }

    /// It in decimal, without an exponent, rounded to 17 decimals. It is finite.
    pub fn show(self) -> String {
        let bits = self.0.to_bits();
        let mantissa = bits as u64;
        let exponent = (bits >> MANTISSA_BITS & 0x7fff) as i32;
        // Subnormal numbers have the least exponent of the others.
        let power = exponent.max(1) - BIAS - (MANTISSA_BITS - 1);
        let text = match u32::try_from(power) {
            Ok(power) => shift_left(mantissa, power),
            Err(_) => with_decimals(mantissa, power.unsigned_abs()),
        };
        if self.0.is_negative() && text != "0" { format!("-{text}") } else { text }
    }
}

/// A number without sign, digits or `0x` first.
fn finite(text: &str) -> Option<X87DoubleExtended> {
    let hexadecimal = text.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("0x"));
    let (digits, exponent_mark) = if hexadecimal { (&text[2..], ['p', 'P']) } else { (text, ['e', 'E']) };
    let (mantissa, exponent) = match digits.split_once(exponent_mark) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let is_digit = |byte: u8| if hexadecimal { byte.is_ascii_hexdigit() } else { byte.is_ascii_digit() };
    let points = mantissa.bytes().filter(|byte| *byte == b'.').count();
    let all_digits = points <= 1 && mantissa.len() > points && mantissa.bytes().all(|byte| byte == b'.' || is_digit(byte));
    if !all_digits || !exponent.is_none_or(is_exponent) {
        return None;
    }
    // The library asks for the exponent of a hexadecimal number.
    let read = match exponent {
        None if hexadecimal => X87DoubleExtended::from_str_r(&format!("{text}p0"), rustc_apfloat::Round::NearestTiesToEven),
        _ => X87DoubleExtended::from_str_r(text, rustc_apfloat::Round::NearestTiesToEven),
    };
    let read = read.ok()?;
    let lost = read.value.is_infinite() || (read.value.is_zero() && read.status != Status::OK);
    (!lost).then_some(read.value)
}

fn is_exponent(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// `mantissa` times two to the `power`, 16320 at most, in decimal.
fn shift_left(mantissa: u64, power: u32) -> String {
    const BASE: u64 = 1_000_000_000;
    // The lowest nine digits first.
    let mut nines = vec![mantissa % BASE, mantissa / BASE % BASE, mantissa / BASE / BASE];
    let mut left = power;
    while left > 0 {
        let step = left.min(32);
        let mut carry = 0;
        for nine in &mut nines {
            let product = (*nine << step) + carry;
            (*nine, carry) = (product % BASE, product / BASE);
        }
        while carry > 0 {
            nines.push(carry % BASE);
            carry /= BASE;
        }
        left -= step;
    }
    let digits: String = nines.iter().rev().map(|nine| format!("{nine:09}")).collect();
    match digits.trim_start_matches('0') {
        "" => "0".to_owned(),
        digits => digits.to_owned(),
    }
}

/// `mantissa` divided by two to the `power`, in decimal, rounded.
fn with_decimals(mantissa: u64, power: u32) -> String {
    const ONE: u128 = 10u128.pow(DECIMALS);
    let scaled = u128::from(mantissa) * ONE;
    let floor = scaled.checked_shr(power).unwrap_or(0);
    let rest = scaled - floor.checked_shl(power).unwrap_or(0);
    // What is no number of 128 bits is more than twice the rest.
    let rounds_up = 1u128.checked_shl(power.saturating_sub(1)).is_some_and(|half| rest > half || (rest == half && floor % 2 == 1));
    let rounded = floor + u128::from(rounds_up);
    let text = format!("{}.{:0width$}", rounded / ONE, rounded % ONE, width = DECIMALS as usize);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(one: &str, other: &str) -> Option<String> {
        Some(LongDouble::parse(one.as_bytes())?.plus(LongDouble::parse(other.as_bytes())?)?.show())
    }

    /// What redis-server 7.0 and valkey-server 8.1 answer on x86-64.
    #[test]
    fn sums_are_those_of_redis() {
        for (one, other, total) in [
            ("0.1", "0.2", "0.3"),
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("3", "-3", "0"),
            ("-0", "-0", "0"),
            ("-0.5", "0.25", "-0.25"),
            ("0", "1.123456789", "1.123456789"),
            (".5", "5.", "5.5"),
            ("-666", "0.1", "-665.90000000000000002"),
            ("1e15", "1.23456789012345", "1000000000000001.23455810546875"),
            ("123456789012345678901234567890", "1", "123456789012345678899921813504"),
            ("18446744073709551615", "1", "18446744073709551616"),
            ("1e20", "1", "100000000000000000000"),
            ("1e-17", "0", "0.00000000000000001"),
            ("-5e-18", "0", "0"),
            ("1e-4950", "0", "0"),
            ("0x1p3", "0", "8"),
            ("-0X.8", "0xap-1", "4.5"),
        ] {
            assert_eq!(add(one, other).as_deref(), Some(total), "{one} + {other}");
        }
        let huge = add("1e308", "1e308").unwrap();
        assert!(huge.len() == 309 && huge.starts_with("1999999999999999999933717593116912913211"), "{huge}");
        assert_eq!(add("1e4932", "0").unwrap().len(), 4933);
    }

    /// Nothing of what a client can send is too much for the library.
    #[test]
    fn exponents_and_digits_without_bounds() {
        let zeros = "0".repeat(4000);
        let nines = "9".repeat(19);
        for sign in ["", "-", "+"] {
            for exponent in [nines.as_str(), &nines[..10], &nines[..5], zeros.as_str(), "9223372036854775807", "18446744073709551616"] {
                for mantissa in ["1", "0", ".0", "0.1", &format!("0.{zeros}1"), &format!("1{zeros}"), &format!("{zeros}.{nines}")] {
                    let _ = LongDouble::parse(format!("{mantissa}e{sign}{exponent}").as_bytes()).map(LongDouble::show);
                    let _ = LongDouble::parse(format!("0x{mantissa}p{sign}{exponent}").as_bytes()).map(LongDouble::show);
                }
            }
        }
    }

    #[test]
    fn what_is_no_number() {
        for text in [
            "", " 1", "1 ", "abc", "nan", "nan(1)", "1e", "1e+", "--1", "1.2.3", "0x", "0x.", "0xp1", "0x1p", "+", ".", "1_0", "infinit",
            "1p3", "1e5000", "1e-5000",
        ] {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(LongDouble::parse(&[b'1'; LONGEST + 1]), None);
        assert_eq!(LongDouble::parse("1".repeat(4933).as_bytes()).map(|number| number.show().len()), Some(4933));
        assert_eq!((add("inf", "1"), add("-Infinity", "inf"), add("1.1e4932", "1.1e4932")), (None, None, None));
    }
}
