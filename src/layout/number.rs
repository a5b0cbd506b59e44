//! The spelling of numbers: from the canonical token to that of another writer.

use crate::canon::digits_end;

use super::spec::{Floats, MAX_DECIMALS};

/// A decimal point and as many zeros as a number can be padded with.
pub(super) const ZEROS: &[u8; 1 + MAX_DECIMALS as usize] = b".00000000000000000000000000000000";

/// How to write a canonical number token.
pub(super) enum Spelled {
    /// The token as it is.
    Verbatim,
    /// The token, then the first bytes of [`ZEROS`], this many.
    Padded(usize),
    /// What was appended to the buffer.
    Rewritten,
}

/// Writes `token`, a canonical number, with at least `decimals` decimals.
///
/// Integers are not touched if `decimals` is 0: they are taken for integers of the writer, not for floats.
#[inline(always)]
pub(super) fn spell(token: &[u8], decimals: u8, floats: &Floats, buffer: &mut Vec<u8>) -> Spelled {
    if decimals == 0 && *floats == Floats::ECMASCRIPT {
        return Spelled::Verbatim;
    }
    let unsigned = token.strip_prefix(b"-").unwrap_or(token);
    let point = digits_end(unsigned, 0);
    let integer = point == unsigned.len();
    let point_only =
        unsigned.get(point) == Some(&b'.') && digits_end(unsigned, point + 1) == unsigned.len();
    if !integer && !point_only {
        return rewrite(token, decimals, floats, buffer);
    }
    if integer && decimals == 0 {
        return Spelled::Verbatim;
    }
    // The canonical form writes no exponent here, so the exponent is read off the digits.
    let exponent = if unsigned.first() != Some(&b'0') {
        point as i64 - 1
    } else if integer {
        0
    } else {
        let fraction = unsigned.get(point + 1..).unwrap_or_default();
        let zeros = fraction.iter().take_while(|&&b| b == b'0').count();
        -1 - zeros as i64
    };
    if exponent < i64::from(floats.low) || exponent > i64::from(floats.high) {
        return rewrite(token, decimals, floats, buffer);
    }
    let fraction = unsigned.len().saturating_sub(point + 1);
    if fraction >= decimals as usize {
        Spelled::Verbatim
    } else if integer {
        Spelled::Padded(1 + decimals as usize)
    } else {
        buffer.extend_from_slice(token);
        buffer.extend_from_slice(
            ZEROS
                .get(1..1 + decimals as usize - fraction)
                .unwrap_or_default(),
        );
        Spelled::Rewritten
    }
}

/// The spelling as bytes, for those who do not write it piece by piece.
pub(super) fn spelled(token: &[u8], decimals: u8, floats: &Floats) -> Vec<u8> {
    let mut buffer = Vec::new();
    match spell(token, decimals, floats, &mut buffer) {
        Spelled::Verbatim => buffer.extend_from_slice(token),
        Spelled::Padded(length) => {
            buffer.extend_from_slice(token);
            buffer.extend_from_slice(ZEROS.get(..length).unwrap_or_default());
        }
        Spelled::Rewritten => {}
    }
    buffer
}

/// The significant digits of a canonical number and its decimal exponent in scientific notation.
pub(super) fn decimal(token: &[u8]) -> (Vec<u8>, i64) {
    let unsigned = token.strip_prefix(b"-").unwrap_or(token);
    let (mantissa, exponent) = match unsigned.iter().position(|&b| b == b'e') {
        Some(e) => (
            unsigned.get(..e).unwrap_or_default(),
            read_exponent(unsigned.get(e + 1..).unwrap_or_default()),
        ),
        None => (unsigned, 0),
    };
    let point = mantissa
        .iter()
        .position(|&b| b == b'.')
        .unwrap_or(mantissa.len());
    let mut digits: Vec<u8> = mantissa.iter().copied().filter(|&b| b != b'.').collect();
    let zeros = digits.iter().take_while(|&&b| b == b'0').count();
    digits.drain(..zeros);
    while digits.last() == Some(&b'0') {
        digits.pop();
    }
    let exponent = if digits.is_empty() {
        0
    } else {
        exponent.saturating_add(point as i64 - 1 - zeros as i64)
    };
    (digits, exponent)
}

fn read_exponent(text: &[u8]) -> i64 {
    let digits = text
        .strip_prefix(b"-")
        .or(text.strip_prefix(b"+"))
        .unwrap_or(text);
    let value = digits.iter().fold(0i64, |value, b| {
        value
            .saturating_mul(10)
            .saturating_add(i64::from(b.wrapping_sub(b'0')))
    });
    if text.first() == Some(&b'-') {
        -value
    } else {
        value
    }
}

#[cold]
fn rewrite(token: &[u8], decimals: u8, floats: &Floats, out: &mut Vec<u8>) -> Spelled {
    let (digits, exponent) = decimal(token);
    if token.first() == Some(&b'-') {
        out.push(b'-');
    }
    let first = digits.first().copied().unwrap_or(b'0');
    let rest = digits.get(1..).unwrap_or_default();
    if (i64::from(floats.low)..=i64::from(floats.high)).contains(&exponent) {
        // In this range an exponent is at most `MAX_PLAIN_EXPONENT`.
        let zeros = |out: &mut Vec<u8>, count: usize| out.resize(out.len() + count, b'0');
        let fraction;
        if exponent < 0 {
            out.extend_from_slice(b"0.");
            let leading = exponent.unsigned_abs() as usize - 1;
            zeros(out, leading);
            out.extend_from_slice(&digits);
            fraction = leading + digits.len();
        } else {
            let whole = exponent as usize + 1;
            let split = whole.min(digits.len());
            let (head, tail) = digits.split_at(split);
            out.extend_from_slice(head);
            zeros(out, whole - split);
            fraction = tail.len();
            if fraction > 0 || decimals > 0 {
                out.push(b'.');
            }
            out.extend_from_slice(tail);
        }
        zeros(out, (decimals as usize).saturating_sub(fraction));
        return Spelled::Rewritten;
    }
    out.push(first);
    if !rest.is_empty() {
        out.push(b'.');
        out.extend_from_slice(rest);
    } else if floats.point {
        out.extend_from_slice(b".0");
    }
    out.push(if floats.upper { b'E' } else { b'e' });
    if exponent < 0 {
        out.push(b'-');
    } else if floats.plus {
        out.push(b'+');
    }
    let text = exponent.unsigned_abs().to_string();
    for _ in text.len()..floats.digits as usize {
        out.push(b'0');
    }
    out.extend_from_slice(text.as_bytes());
    Spelled::Rewritten
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(token: &str, decimals: u8, floats: &Floats) -> String {
        String::from_utf8(spelled(token.as_bytes(), decimals, floats)).unwrap()
    }

    #[test]
    fn writers_spell_as_they_do() {
        let python = Floats::new(-4, 15, b'e', true, false, 2);
        let java = Floats::new(-3, 6, b'E', false, true, 1);
        for (floats, decimals, token, expected) in [
            (&python, 1, "0", "0.0"),
            (&python, 1, "-5", "-5.0"),
            (&python, 0, "5", "5"),
            (&python, 0, "10000000000000000", "10000000000000000"),
            (&python, 1, "1000000000000000", "1000000000000000.0"),
            (&python, 1, "10000000000000000", "1e+16"),
            (
                &python,
                1,
                "123456789012345680000",
                "1.2345678901234568e+20",
            ),
            (&python, 0, "0.0001", "0.0001"),
            (&python, 0, "0.00001", "1e-05"),
            (&python, 0, "-0.0000123", "-1.23e-05"),
            (&python, 0, "1e-7", "1e-07"),
            (&python, 0, "1.5e+300", "1.5e+300"),
            (&python, 0, "2.5", "2.5"),
            (&python, 2, "2.5", "2.50"),
            (&python, 2, "0.001", "0.001"),
            (&java, 1, "12345678", "1.2345678E7"),
            (&java, 1, "1e+22", "1.0E22"),
            (&java, 1, "0.0001", "1.0E-4"),
            (&Floats::ECMASCRIPT, 0, "1e-7", "1e-7"),
            (&Floats::ECMASCRIPT, 1, "1e+21", "1e+21"),
            (&Floats::ECMASCRIPT, 1, "100", "100.0"),
            (
                &Floats::new(-6, 30, b'e', true, false, 1),
                0,
                "1.5e+21",
                "1500000000000000000000",
            ),
            (
                &Floats::new(-10, 20, b'e', true, false, 1),
                12,
                "1.5e-8",
                "0.000000015000",
            ),
        ] {
            assert_eq!(text(token, decimals, floats), expected, "{token}");
        }
    }
}
