//! Where an axis has its marks, and what they say.

use chrono::{DateTime, Datelike, Months, NaiveDate, Utc};

/// A mark: where, and its label.
pub(super) type Tick = (f64, String);

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// The distances of marks in time that people are used to, in seconds.
const STEPS: [i64; 15] = [
    1,
    5,
    15,
    30,
    MINUTE,
    5 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
];
/// The same in months.
const MONTHS: [u32; 9] = [1, 3, 6, 12, 24, 60, 120, 600, 1200];

/// About so many marks at round numbers; whole ones only where `whole`.
pub(super) fn numbers(low: f64, high: f64, count: usize, whole: bool) -> Vec<Tick> {
    // Halved, because the range of two huge numbers may be none.
    let rough = (high / 2.0 - low / 2.0) / count.max(1) as f64 * 2.0;
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|factor| factor * power >= rough * 0.999);
    let mut step = factor.unwrap_or(10.0) * power;
    if whole {
        step = step.max(1.0).round();
    }
    if !step.is_finite() || step <= 0.0 || low + step <= low {
        return vec![(low, number(low, 0.0)), (high, number(high, 0.0))];
    }
    let first = (low / step - 1e-9).ceil();
    (0..=2 * count)
        .map(|n| (first + n as f64) * step)
        .take_while(|at| *at <= high + step * 1e-9)
        .map(|at| (at, number(at, step)))
        .collect()
}

/// A number with as many digits as a step between two of them has; 0 for all it has.
fn number(value: f64, step: f64) -> String {
    // What is near zero is what adding up has left of it.
    let value = if value.abs() < step * 1e-6 {
        0.0
    } else {
        value
    };
    if value != 0.0 && (value.abs() >= 1e12 || value.abs() < 1e-6) {
        return format!("{value:e}").chars().take(24).collect();
    }
    let decimals = match step > 0.0 {
        true => (-(step.log10() + 1e-9).floor()).clamp(0.0, 12.0) as usize,
        false => 3,
    };
    let text = format!("{value:.decimals$}");
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text.as_str()),
    };
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut grouped = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{rest}")
}

/// About so many marks at round times, in seconds since the Unix epoch.
pub(super) fn times(low: f64, high: f64, count: usize) -> Vec<Tick> {
    let rough = (high - low) / count.max(1) as f64;
    if let Some(step) = STEPS.into_iter().find(|step| *step as f64 >= rough) {
        let form = match step {
            ..MINUTE => "%H:%M:%S",
            MINUTE..HOUR => "%H:%M",
            HOUR..DAY => "%m-%d %H:%M",
            _ => "%Y-%m-%d",
        };
        let first = (low / step as f64).ceil() as i64;
        return (0..=3 * count as i64)
            .map(|n| first.saturating_add(n).saturating_mul(step))
            .take_while(|at| *at as f64 <= high)
            .filter_map(|at| Some((at as f64, label(at, form)?)))
            .collect();
    }
    let months = MONTHS
        .into_iter()
        .find(|m| f64::from(*m) * 30.5 * DAY as f64 >= rough);
    let months = months.unwrap_or(MONTHS[MONTHS.len() - 1]);
    let form = if months < 12 { "%Y-%m" } else { "%Y" };
    calendar(low, high, months)
        .into_iter()
        .take(4 * count)
        .filter_map(|at| Some((at as f64, label(at, form)?)))
        .collect()
}

/// The first moments of every so many months.
fn calendar(low: f64, high: f64, months: u32) -> Vec<i64> {
    let start = DateTime::from_timestamp(low as i64, 0).map(|time| time.date_naive());
    let mut next = start.and_then(|day| {
        let year = match months > 12 {
            true => day.year() - day.year().rem_euclid((months / 12).cast_signed()),
            false => day.year(),
        };
        NaiveDate::from_ymd_opt(year, 1, 1)
    });
    let mut found = Vec::new();
    while let Some(day) = next {
        let at = day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp();
        if at as f64 > high || found.len() > 10_000 {
            break;
        }
        if at as f64 >= low {
            found.push(at);
        }
        next = day.checked_add_months(Months::new(months));
    }
    found
}

fn label(seconds: i64, form: &str) -> Option<String> {
    DateTime::<Utc>::from_timestamp(seconds, 0).map(|time| time.format(form).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn numbers_are_round() {
        assert_eq!(
            labels(&numbers(0.0, 4_304_379.0, 5, false)),
            ["0", "1,000,000", "2,000,000", "3,000,000", "4,000,000"]
        );
        assert_eq!(
            labels(&numbers(0.91, 0.925, 4, false)),
            ["0.910", "0.915", "0.920", "0.925"]
        );
        assert_eq!(labels(&numbers(1.0, 3.0, 8, true)), ["1", "2", "3"]);
        assert_eq!(
            labels(&numbers(-2.0, 2.0, 4, false)),
            ["-2", "-1", "0", "1", "2"]
        );
        for (low, high) in [(f64::MIN, f64::MAX), (1e-300, 2e-300), (1e300, 1e300)] {
            assert!(numbers(low, high, 6, false).len() < 20);
        }
    }

    #[test]
    fn times_are_round() {
        let at = |text: &str| crate::time::parse_time(text).unwrap() as f64 / 1e6;
        let ticks = |low, high, count| times(at(low), at(high), count);
        assert_eq!(
            labels(&ticks("2020-09-15T00:00:00Z", "2021-02-20T00:00:00Z", 6)),
            ["2020-10", "2020-11", "2020-12", "2021-01", "2021-02"]
        );
        assert_eq!(
            labels(&ticks("2026-11-01T22:10:00Z", "2026-11-02T04:00:00Z", 3)),
            ["11-02 00:00", "11-02 03:00"]
        );
        assert_eq!(
            labels(&ticks("2018-03-01T00:00:00Z", "2026-11-02T04:00:00Z", 5)),
            ["2018", "2020", "2022", "2024", "2026"][1..].to_vec()
        );
        assert!(times(-1e18, 1e18, 6).len() < 100);
    }
}
