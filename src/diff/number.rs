//! Exact decimal subtraction on the text of JSON numbers.

/// Most digits that an exact difference may need, from its highest place to its lowest.
pub const MAX_DIGITS: usize = 400;

/// `new - old`, exactly, in the layout of ECMAScript numbers (`0.015`, `-3`, `1e+21`).
///
/// Both are JSON numbers of any length and exponent; nothing is rounded to a double. `None` where
/// an operand has more than [`MAX_DIGITS`] significant digits, where the exact difference would
/// need more than that many, and where a text is not a JSON number.
///
/// ```
/// use backstory::diff::number_difference;
///
/// assert_eq!(number_difference("0.91", "0.925").as_deref(), Some("0.015"));
/// assert_eq!(number_difference("1e400", "1").as_deref(), None);
/// ```
pub fn number_difference(old: &str, new: &str) -> Option<String> {
    let old = Decimal::parse(old)?;
    let new = Decimal::parse(new)?;
    Some(new.minus(&old)?.layout())
}

/// The difference in percent of the magnitude of `old`, from the exact difference.
///
/// Rounded to three decimals, or to three significant digits where it is below one percent. `None`
/// where `old` is zero, where there is no exact difference, and where a double cannot hold the
/// numbers.
pub fn percent_difference(old: &str, new: &str) -> Option<f64> {
    percent_of(old, &number_difference(old, new)?)
}

/// As [`percent_difference`], where the difference is known already.
pub(super) fn percent_of(old: &str, difference: &str) -> Option<f64> {
    let old: f64 = old.parse().ok()?;
    let difference: f64 = difference.parse().ok()?;
    let percent = difference / old.abs() * 100.0;
    if old == 0.0 || !percent.is_finite() {
        return None;
    }
    let rounded = if percent.abs() < 1.0 {
        format!("{percent:.2e}")
    } else {
        format!("{percent:.3}")
    };
    rounded.parse().ok()
}

/// A percentage as a person reads it: signed, three significant digits. `None` where it is too
/// large to say anything.
pub(super) fn percent_text(percent: f64) -> Option<String> {
    let magnitude = percent.abs();
    if magnitude >= 1e6 || (percent != 0.0 && magnitude < 1e-6) {
        return None;
    }
    let decimals = match magnitude {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        0.1.. => 3,
        0.01.. => 4,
        0.001.. => 5,
        _ => 8,
    };
    let mut text = format!("{percent:+.decimals$}");
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    Some(text)
}

/// `digits × 10^exponent`, digits without zeros at either end; no digits is zero.
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    fn parse(text: &str) -> Option<Decimal> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !is_digits(whole) || !is_digits(fraction) {
            return None;
        }
        let places = i64::try_from(fraction.len()).ok()?;
        let all = || whole.bytes().chain(fraction.bytes());
        let total = whole.len() + fraction.len();
        let Some(first) = all().position(|digit| digit != b'0') else {
            return Some(Decimal {
                negative: false,
                digits: Vec::new(),
                exponent: 0,
            });
        };
        let zeros = all().rev().take_while(|&digit| digit == b'0').count();
        let length = total - first - zeros;
        if length > MAX_DIGITS {
            return None;
        }
        Some(Decimal {
            negative,
            digits: all().skip(first).take(length).map(|d| d - b'0').collect(),
            exponent: exponent
                .checked_sub(places)?
                .checked_add(i64::try_from(zeros).ok()?)?,
        })
    }

    /// The place above the highest digit.
    fn top(&self) -> Option<i64> {
        self.exponent
            .checked_add(i64::try_from(self.digits.len()).ok()?)
    }

    fn minus(self, other: &Decimal) -> Option<Decimal> {
        if other.digits.is_empty() {
            return Some(self);
        }
        if self.digits.is_empty() {
            return Some(Decimal {
                negative: !other.negative,
                digits: other.digits.clone(),
                exponent: other.exponent,
            });
        }
        let low = self.exponent.min(other.exponent);
        let high = self.top()?.max(other.top()?);
        let span = usize::try_from(high.checked_sub(low)?).ok()?;
        if span > MAX_DIGITS {
            return None;
        }
        let a = self.aligned(low, span)?;
        let b = other.aligned(low, span)?;
        if self.negative != other.negative {
            return Some(Decimal::trimmed(self.negative, add(&a, &b), low));
        }
        // Equal lengths, highest digit first: the order of the digits is the order of the values.
        if a >= b {
            Some(Decimal::trimmed(self.negative, subtract(&a, &b), low))
        } else {
            Some(Decimal::trimmed(!self.negative, subtract(&b, &a), low))
        }
    }

    /// The digits of the places from `low + span - 1` down to `low`.
    fn aligned(&self, low: i64, span: usize) -> Option<Vec<u8>> {
        let below = usize::try_from(self.exponent.checked_sub(low)?).ok()?;
        let above = span.checked_sub(below.checked_add(self.digits.len())?)?;
        let mut digits = vec![0; above];
        digits.extend_from_slice(&self.digits);
        digits.resize(span, 0);
        Some(digits)
    }

    fn trimmed(negative: bool, digits: Vec<u8>, exponent: i64) -> Decimal {
        let first = digits.iter().position(|&d| d != 0).unwrap_or(digits.len());
        let end = digits
            .iter()
            .rposition(|&d| d != 0)
            .map_or(first, |i| i + 1);
        let zeros = i64::try_from(digits.len() - end).unwrap_or(0);
        Decimal {
            negative,
            digits: digits[first..end].to_vec(),
            exponent: exponent.saturating_add(zeros),
        }
    }

    /// Number::toString of ECMAScript (ECMA-262, section 6.1.6.1.20), from exact digits.
    fn layout(&self) -> String {
        let digits: String = self.digits.iter().map(|&d| char::from(d + b'0')).collect();
        if digits.is_empty() {
            return "0".to_owned();
        }
        let sign = if self.negative { "-" } else { "" };
        let length = i64::try_from(digits.len()).unwrap_or(i64::MAX);
        let point = self.exponent.saturating_add(length);
        let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
        match point {
            1..=21 if point >= length => format!("{sign}{digits}{}", zeros(point - length)),
            1..=21 => {
                let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or(0));
                format!("{sign}{whole}.{fraction}")
            }
            -5..=0 => format!("{sign}0.{}{digits}", zeros(-point)),
            _ => {
                let (first, rest) = digits.split_at(1);
                let dot = if rest.is_empty() { "" } else { "." };
                let exponent = point.saturating_sub(1);
                format!("{sign}{first}{dot}{rest}e{exponent:+}")
            }
        }
    }
}

fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Digits of the sum, highest first, one longer than the operands.
fn add(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut sum = vec![0; a.len() + 1];
    let mut carry = 0;
    for (i, (x, y)) in a.iter().zip(b).enumerate().rev() {
        let digit = x + y + carry;
        sum[i + 1] = digit % 10;
        carry = digit / 10;
    }
    sum[0] = carry;
    sum
}

/// Digits of `a - b`, highest first; `a` is not smaller.
fn subtract(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut difference = vec![0; a.len()];
    let mut borrow = 0;
    for (i, (x, y)) in a.iter().zip(b).enumerate().rev() {
        let take = y + borrow;
        borrow = u8::from(*x < take);
        difference[i] = x + 10 * borrow - take;
    }
    difference
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_exact() {
        // Expected values from Python's decimal with 1000 digits of precision.
        for (old, new, expected) in [
            ("0.91", "0.925", "0.015"),
            ("0.1", "0.3", "0.2"),
            ("9007199254740992", "9007199254740993", "1"),
            ("1", "-1", "-2"),
            ("-1", "1", "2"),
            ("-5", "-7.5", "-2.5"),
            ("5", "5", "0"),
            ("0", "-0.5", "-0.5"),
            ("0.5", "0", "-0.5"),
            ("99.9", "100", "0.1"),
            ("1", "1000000000000000000001", "1e+21"),
            ("0", "1e+400", "1e+400"),
            ("1e+400", "3e+400", "2e+400"),
            ("1e-7", "3e-7", "2e-7"),
            ("0.000001", "0.000003", "0.000002"),
            ("1e20", "2.5e20", "150000000000000000000"),
            (
                "0.1000000000000000000000000000000000000001",
                "0.1",
                "-1e-40",
            ),
            ("0", "0", "0"),
            ("1.50", "1.5", "0"),
        ] {
            assert_eq!(
                number_difference(old, new).as_deref(),
                Some(expected),
                "{old} {new}"
            );
        }
        // 1e300 + 1e-99 has exactly as many digits as the limit allows.
        let widest = format!("1.{}1e+300", "0".repeat(398));
        assert_eq!(number_difference("-1e300", "1e-99"), Some(widest));
        assert_eq!(number_difference("-1e300", "1e-100"), None);
    }

    #[test]
    fn far_apart_or_malformed_gives_nothing() {
        let long = "1".repeat(401);
        for (old, new) in [
            ("1e400", "1"),
            ("1e9223372036854775807", "1"),
            ("1e-9223372036854775808", "0.1"),
            ("1e99999999999999999999", "1e99999999999999999999"),
            (long.as_str(), "1"),
            ("", "1"),
            ("1", "-"),
            ("1", "1."),
            ("1", ".5"),
            ("1", "1e"),
            ("1", "1e+-1"),
            ("1", "abc"),
            ("1", "NaN"),
        ] {
            assert_eq!(number_difference(old, new), None, "{old} {new}");
        }
    }

    #[test]
    fn percentages() {
        for (old, new, expected) in [
            ("0.91", "0.925", Some(1.648)),
            ("1", "2", Some(100.0)),
            ("-4", "-3", Some(25.0)),
            ("3", "4", Some(33.333)),
            ("8000", "8000.01", Some(0.000125)),
            ("0", "4", None),
            ("1e-400", "2e-400", None),
            ("1e-300", "1e10", None),
        ] {
            assert_eq!(percent_difference(old, new), expected, "{old} {new}");
        }
        for (percent, expected) in [
            (1.648, Some("+1.65")),
            (100.0, Some("+100")),
            (-33.333, Some("-33.3")),
            (0.000125, Some("+0.000125")),
            (250.4, Some("+250")),
            (20.0, Some("+20")),
            (1e6, None),
        ] {
            assert_eq!(percent_text(percent).as_deref(), expected);
        }
    }
}
