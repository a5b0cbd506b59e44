//! Numbers: the canonical spelling of a JSON number, without any float.
//!
//! RFC 8785, section 3.2.2.3, reads a number into a double and prints it by ECMAScript's `Number::toString`
//! (ECMA-262, section 6.1.6.1.20): the shortest digits that give the double back, in a layout that depends on their
//! number k and on the position n of the decimal point. Backstory follows it wherever that keeps the decimal value
//! that was written, and keeps every digit elsewhere (9007199254740993, 1e400).
//!
//! Both cases come to one rule. A decimal value other than zero has exactly one spelling as digits without leading
//! and trailing zeros, and an exponent. Where rounding to a double keeps the value, ECMAScript's digits are of that
//! spelling, so they are the written digits stripped of their zeros. Where it does not, those are what to keep. So:
//! strip the zeros, then lay out by ECMAScript's rules with k and n of the digits at hand. A number's canonical form
//! has the same value as what was written, always, and two numbers have the same form only if they are equal.

use super::error::CanonErrorKind;
use super::scan::{byte, digits_end};

/// Largest decimal exponent, in scientific notation and in either direction, of a number other than zero.
///
/// Far beyond any use; it exists so that exponents fit arithmetic.
const MAX_EXPONENT: i64 = 1_000_000_000_000_000;

/// ECMAScript writes integers of up to this many digits without an exponent.
const PLAIN_DIGITS: usize = 21;

/// ECMAScript writes up to this many zeros between the decimal point and the first digit.
const PLAIN_ZEROS: usize = 5;

/// A number token.
pub(super) struct Token {
    /// Position behind the token.
    pub(super) end: usize,
    /// The token is its own canonical form. False says only that it may not be: [`write()`] decides.
    pub(super) canonical: bool,
}

/// Reads the number token (RFC 8259, section 6) that starts at `at` with `-` or a digit.
/// The error names the kind and the offset to report.
#[inline(always)]
pub(super) fn token(input: &[u8], at: usize) -> Result<Token, (CanonErrorKind, usize)> {
    let negative = byte(input, at) == b'-';
    let integer = at + negative as usize;
    let end = digits_end(input, integer);
    let digits = end - integer;
    let zero = byte(input, integer) == b'0';
    if digits == 0 || (zero && digits > 1) {
        return Err(broken(input, integer));
    }
    match byte(input, end) {
        b'.' | b'e' | b'E' => {}
        _ => {
            return Ok(Token {
                end,
                canonical: digits <= PLAIN_DIGITS && !(zero && negative),
            });
        }
    }
    let mut point = end;
    let mut canonical = false;
    if byte(input, end) == b'.' {
        point = digits_end(input, end + 1);
        if point == end + 1 {
            return Err(broken(input, point));
        }
        canonical = byte(input, point - 1) != b'0'
            && digits <= PLAIN_DIGITS
            && !(zero
                && input
                    .get(end + 1..)
                    .is_some_and(|rest| rest.starts_with(&[b'0'; PLAIN_ZEROS + 1])));
    }
    if !matches!(byte(input, point), b'e' | b'E') {
        return Ok(Token {
            end: point,
            canonical,
        });
    }
    let signed = matches!(byte(input, point + 1), b'+' | b'-');
    let exponent = point + 1 + signed as usize;
    let end = digits_end(input, exponent);
    if end == exponent {
        Err(broken(input, end))
    } else {
        Ok(Token {
            end,
            canonical: false,
        })
    }
}

#[cold]
fn broken(input: &[u8], at: usize) -> (CanonErrorKind, usize) {
    if at >= input.len() {
        (CanonErrorKind::UnexpectedEnd, input.len())
    } else {
        (CanonErrorKind::BadNumber, at)
    }
}

/// The exponent of a number other than zero is out of range; nothing was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OutOfRange;

/// Appends the canonical form of `token`, which [`token`] has accepted.
pub(super) fn write(token: &[u8], out: &mut Vec<u8>) -> Result<(), OutOfRange> {
    let (negative, unsigned) = match token {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, token),
    };
    let (mantissa, exponent) = match unsigned.iter().position(|b| matches!(b, b'e' | b'E')) {
        Some(e) => (&unsigned[..e], read_exponent(&unsigned[e + 1..])),
        None => (unsigned, 0),
    };
    let (integer, fraction) = match mantissa.iter().position(|&b| b == b'.') {
        Some(point) => (&mantissa[..point], &mantissa[point + 1..]),
        None => (mantissa, &[][..]),
    };
    let Some(decimal) = Decimal::new(integer, fraction, exponent) else {
        out.push(b'0');
        return Ok(());
    };
    if !(-MAX_EXPONENT..=MAX_EXPONENT).contains(&decimal.point.saturating_sub(1)) {
        return Err(OutOfRange);
    }
    if negative {
        out.push(b'-');
    }
    decimal.lay_out(out);
    Ok(())
}

/// The value of `[+-]digits`, or the end of `i64` nearest to it, which is out of range for sure.
fn read_exponent(text: &[u8]) -> i64 {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let value = digits.iter().fold(0i64, |value, digit| {
        value
            .saturating_mul(10)
            .saturating_add(i64::from(digit.wrapping_sub(b'0')))
    });
    if negative { -value } else { value }
}

/// 0.DIGITS × 10^point, DIGITS being `head` and `tail` together, without leading and trailing zeros.
struct Decimal<'a> {
    head: &'a [u8],
    tail: &'a [u8],
    /// ECMAScript's n.
    point: i64,
}

impl<'a> Decimal<'a> {
    /// `None` for zero.
    fn new(integer: &'a [u8], fraction: &'a [u8], exponent: i64) -> Option<Self> {
        let head = strip_leading(integer);
        let shift = if head.is_empty() {
            // The integer part is zero: every zero after the point moves the point one place to the left.
            -length(fraction.len() - strip_leading(fraction).len())
        } else {
            length(head.len())
        };
        let tail = strip_trailing(if head.is_empty() {
            strip_leading(fraction)
        } else {
            fraction
        });
        let head = if tail.is_empty() {
            strip_trailing(head)
        } else {
            head
        };
        if head.is_empty() && tail.is_empty() {
            return None;
        }
        Some(Decimal {
            head,
            tail,
            point: exponent.saturating_add(shift),
        })
    }

    /// ECMA-262, section 6.1.6.1.20, steps 6 to 12.
    fn lay_out(&self, out: &mut Vec<u8>) {
        let count = self.head.len() + self.tail.len();
        match usize::try_from(self.point) {
            Ok(point @ 1..=PLAIN_DIGITS) => {
                self.write_digits(0, point.min(count), out);
                if point < count {
                    out.push(b'.');
                    self.write_digits(point, count, out);
                } else {
                    out.resize(out.len() + (point - count), b'0');
                }
            }
            _ if (-(PLAIN_ZEROS as i64)..=0).contains(&self.point) => {
                out.extend_from_slice(b"0.");
                out.resize(out.len() + self.point.unsigned_abs() as usize, b'0');
                self.write_digits(0, count, out);
            }
            _ => {
                self.write_digits(0, 1, out);
                if count > 1 {
                    out.push(b'.');
                    self.write_digits(1, count, out);
                }
                let exponent = self.point - 1;
                out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
                write_integer(exponent.unsigned_abs(), out);
            }
        }
    }

    /// Appends the digits from `from` to before `to`.
    fn write_digits(&self, from: usize, to: usize, out: &mut Vec<u8>) {
        let split = self.head.len();
        out.extend_from_slice(&self.head[from.min(split)..to.min(split)]);
        out.extend_from_slice(&self.tail[from.max(split) - split..to.max(split) - split]);
    }
}

fn length(digits: usize) -> i64 {
    i64::try_from(digits).unwrap_or(i64::MAX)
}

fn strip_leading(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|&&b| b == b'0').count();
    &digits[zeros..]
}

fn strip_trailing(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().rev().take_while(|&&b| b == b'0').count();
    &digits[..digits.len() - zeros]
}

fn write_integer(mut value: u64, out: &mut Vec<u8>) {
    let mut text = [0; 20];
    let mut start = text.len();
    loop {
        start -= 1;
        text[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Result<String, OutOfRange> {
        let read = token(text.as_bytes(), 0).unwrap_or_else(|e| panic!("{text}: {e:?}"));
        assert_eq!(read.end, text.len(), "{text}");
        let mut out = Vec::new();
        write(text.as_bytes(), &mut out)?;
        let written = String::from_utf8(out).unwrap();
        if read.canonical {
            assert_eq!(written, text, "taken for canonical, but is not");
        }
        Ok(written)
    }

    #[test]
    fn layout() {
        for (text, expected) in [
            ("0", "0"),
            ("-0", "0"),
            ("0.0", "0"),
            ("-0.000e5", "0"),
            ("0e99999999999999999999999", "0"),
            ("0e-99999999999999999999999", "0"),
            ("1", "1"),
            ("-1", "-1"),
            ("1.0", "1"),
            ("100", "100"),
            ("100e-2", "1"),
            ("1e2", "100"),
            ("1E+2", "100"),
            ("4.50", "4.5"),
            ("12.30e1", "123"),
            ("12.30e0", "12.3"),
            ("0.5", "0.5"),
            ("-0.5", "-0.5"),
            ("2e-3", "0.002"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("1e-7", "1e-7"),
            ("123e-9", "1.23e-7"),
            ("0.00000123", "0.00000123"),
            ("0.000000123", "1.23e-7"),
            ("1e20", "100000000000000000000"),
            ("1e21", "1e+21"),
            ("1.5e21", "1.5e+21"),
            ("123456789012345678901", "123456789012345678901"),
            ("1234567890123456789012", "1.234567890123456789012e+21"),
            ("1234567890123456789010", "1.23456789012345678901e+21"),
            ("123456789012345678901.5", "123456789012345678901.5"),
            ("1234567890123456789012.5", "1.2345678901234567890125e+21"),
            ("9007199254740993", "9007199254740993"),
            ("1e400", "1e+400"),
            ("1e0400", "1e+400"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("5e-324", "5e-324"),
            (
                "0.1000000000000000055511151231257827",
                "0.1000000000000000055511151231257827",
            ),
            ("1e1000000000000000", "1e+1000000000000000"),
            ("1e-1000000000000000", "1e-1000000000000000"),
            ("0.1e1000000000000001", "1e+1000000000000000"),
        ] {
            assert_eq!(canonical(text).as_deref(), Ok(expected), "{text}");
            assert_eq!(
                canonical(expected).as_deref(),
                Ok(expected),
                "fixed point of {text}"
            );
        }
    }

    #[test]
    fn exponents_out_of_range() {
        for text in [
            "1e1000000000000001",
            "-1e-1000000000000001",
            "10e1000000000000000",
            "1e9223372036854775807",
            "1e-9223372036854775808",
            "1e99999999999999999999999999999999",
            "1000e99999999999999999999999999999999",
            "0.0001e-99999999999999999999999999999999",
        ] {
            assert_eq!(canonical(text), Err(OutOfRange), "{text}");
        }
    }

    #[test]
    fn broken_tokens() {
        use CanonErrorKind::{BadNumber, UnexpectedEnd};
        for (text, kind, offset) in [
            ("-", UnexpectedEnd, 1),
            ("-x", BadNumber, 1),
            ("01", BadNumber, 0),
            ("-00", BadNumber, 1),
            ("1.", UnexpectedEnd, 2),
            ("1.e1", BadNumber, 2),
            ("1e", UnexpectedEnd, 2),
            ("1e+", UnexpectedEnd, 3),
            ("1e+]", BadNumber, 3),
            ("-.5", BadNumber, 1),
        ] {
            let found = token(text.as_bytes(), 0).err();
            assert_eq!(found, Some((kind, offset)), "{text}");
        }
    }
}
