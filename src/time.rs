//! Times as text: microseconds since the Unix epoch and RFC 3339.
//!
//! Nothing here reads a clock.

use chrono::{Datelike, NaiveDate};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// Days from 0000-12-31, where chrono starts to count, to 1970-01-01.
const EPOCH_DAY: i64 = 719_163;

/// Why a text is not a time. Each message names the forms that are accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeError {
    /// The text has another form.
    #[error(
        "{text:?} is not a time; write 2026-11-01T12:00:00Z, 2026-11-01T12:00:00.5+01:00 or 2026-11-01"
    )]
    Form {
        /// The text, cut to at most 64 characters.
        text: String,
    },
    /// A date and a time of day without an offset from UTC.
    #[error("{text:?} has no time zone; add Z for UTC or an offset such as +01:00")]
    NoOffset {
        /// The text, cut to at most 64 characters.
        text: String,
    },
    /// The form is right but there is no such day or time of day.
    #[error("there is no such {what} as in {text:?}; check it, and write it as {form}")]
    Range {
        /// `day`, `time of day` or `offset`.
        what: &'static str,
        /// The text, cut to at most 64 characters.
        text: String,
        /// An example.
        form: &'static str,
    },
    /// The time is outside the years that RFC 3339 can write.
    #[error("{text:?} is outside the years 0001 to 9999 in UTC; give a time inside them")]
    Year {
        /// The text, cut to at most 64 characters.
        text: String,
    },
}

/// A time, in microseconds since the Unix epoch, as RFC 3339 text in UTC.
///
/// `2021-01-01T00:00:00Z`; with a fraction of three or six digits where it is not zero. A time
/// outside the years 0000 to 9999, which RFC 3339 cannot write, gets a signed year of six digits
/// as in ISO 8601 (`+010000-01-01T00:00:00Z`).
///
/// ```
/// assert_eq!(backstory::time::format_utc(1_609_459_200_500_000), "2021-01-01T00:00:00.500Z");
/// ```
pub fn format_utc(microseconds: i64) -> String {
    let (year, month, day) = civil(microseconds.div_euclid(DAY));
    let in_day = microseconds.rem_euclid(DAY);
    let seconds = in_day / SECOND;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = match in_day % SECOND {
        0 => String::new(),
        micros if micros % 1000 == 0 => format!(".{:03}", micros / 1000),
        micros => format!(".{micros:06}"),
    };
    let year = match year {
        0..=9999 => format!("{year:04}"),
        _ => format!("{year:+07}"),
    };
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Year, month and day of a number of days since 1970-01-01, for every number that a count of
/// microseconds can give.
///
/// The calendar repeats every 400 years; a year that begins in March has its leap day at the end.
fn civil(days: i64) -> (i64, i64, i64) {
    const CYCLE: i64 = 146_097;
    let days = days + 719_468; // from 0000-03-01
    let cycle = days.div_euclid(CYCLE);
    let day = days.rem_euclid(CYCLE);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let in_year = day - (365 * year + year / 4 - year / 100);
    let march_month = (5 * in_year + 2) / 153;
    let day_of_month = in_year - (153 * march_month + 2) / 5 + 1;
    let month = (march_month + 2) % 12 + 1;
    let year = cycle * 400 + year + i64::from(month <= 2);
    (year, month, day_of_month)
}

/// Reads an RFC 3339 time with any offset, or a plain date, which is midnight UTC at its start.
///
/// Gives microseconds since the Unix epoch; digits of the fraction past the sixth are cut off.
/// `t`, `z` and a space for `T` are accepted (RFC 3339, section 5.6). A leap second (`:60`) is the
/// first second of the next minute, as Unix time has none.
///
/// # Errors
/// For any other form, a day or time that does not exist, no offset, and years outside 0001 to 9999.
///
/// ```
/// use backstory::time::parse_time;
///
/// assert_eq!(parse_time("1970-01-01T01:00:00.25+01:00"), Ok(250_000));
/// assert_eq!(parse_time("1970-01-02"), Ok(86_400_000_000));
/// ```
pub fn parse_time(text: &str) -> Result<i64, TimeError> {
    let bytes = text.as_bytes();
    let Some((date, rest)) = bytes.split_at_checked(10) else {
        return Err(form(text));
    };
    let day = day_number(date, text)?;
    let Some((separator, clock)) = rest.split_first() else {
        return Ok(day * DAY);
    };
    if !matches!(separator, b'T' | b't' | b' ') {
        return Err(form(text));
    }
    let Some((clock, rest)) = clock.split_at_checked(8) else {
        return Err(form(text));
    };
    let [h1, h2, b':', m1, m2, b':', s1, s2] = *clock else {
        return Err(form(text));
    };
    let hour = two_digits(h1, h2).ok_or_else(|| form(text))?;
    let minute = two_digits(m1, m2).ok_or_else(|| form(text))?;
    let second = two_digits(s1, s2).ok_or_else(|| form(text))?;
    let (micros, zone) = fraction(rest).ok_or_else(|| form(text))?;
    if hour > 23 || minute > 59 || second > 60 {
        return Err(range("time of day", text, "12:30:59"));
    }
    let offset_minutes = match *zone {
        [b'Z' | b'z'] => 0,
        [] => return Err(TimeError::NoOffset { text: shown(text) }),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let hours = two_digits(h1, h2).ok_or_else(|| form(text))?;
            let minutes = two_digits(m1, m2).ok_or_else(|| form(text))?;
            if hours > 23 || minutes > 59 {
                return Err(range("offset", text, "+01:00"));
            }
            let minutes = hours * 60 + minutes;
            if sign == b'-' { -minutes } else { minutes }
        }
        _ => return Err(form(text)),
    };
    let seconds = hour * 3600 + minute * 60 + second - offset_minutes * 60;
    let time = day * DAY + seconds * SECOND + micros;
    let first = (civil_day(1, 1, 1).unwrap_or(0)) * DAY;
    let last = (civil_day(9999, 12, 31).unwrap_or(0) + 1) * DAY - 1;
    if (first..=last).contains(&time) {
        Ok(time)
    } else {
        Err(TimeError::Year { text: shown(text) })
    }
}

/// Reads a plain date (`2026-11-01`) and gives the last microsecond of that day in UTC.
///
/// # Errors
/// For any other form, a day that does not exist, and the year 0000.
pub fn parse_day_end(text: &str) -> Result<i64, TimeError> {
    parse_day(text).map(day_end)
}

/// Reads a plain date: four digits, two, two, with `-` between.
///
/// # Errors
/// For any other form, a day that does not exist, and the year 0000.
pub fn parse_day(text: &str) -> Result<NaiveDate, TimeError> {
    let day = day_number(text.as_bytes(), text)?;
    i32::try_from(day + EPOCH_DAY)
        .ok()
        .and_then(NaiveDate::from_num_days_from_ce_opt)
        .ok_or_else(|| form(text))
}

/// The last microsecond of a day in UTC, in microseconds since the Unix epoch.
///
/// A day too far from the epoch to be counted in microseconds gives the nearest `i64`.
pub fn day_end(day: NaiveDate) -> i64 {
    (i64::from(day.num_days_from_ce()) - EPOCH_DAY + 1)
        .saturating_mul(DAY)
        .saturating_sub(1)
}

fn civil_day(year: i32, month: u32, day: u32) -> Option<i64> {
    let date = NaiveDate::from_ymd_opt(year, month, day)?;
    Some(i64::from(date.num_days_from_ce()) - EPOCH_DAY)
}

/// Days since 1970-01-01 of a date; `text` is for the error.
fn day_number(date: &[u8], text: &str) -> Result<i64, TimeError> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *date else {
        return Err(form(text));
    };
    let pair = |a, b| {
        let value = two_digits(a, b).ok_or_else(|| form(text))?;
        u32::try_from(value).map_err(|_| form(text))
    };
    let year = pair(y1, y2)? * 100 + pair(y3, y4)?;
    let (month, day) = (pair(m1, m2)?, pair(d1, d2)?);
    if year == 0 {
        return Err(TimeError::Year { text: shown(text) });
    }
    i32::try_from(year)
        .ok()
        .and_then(|year| civil_day(year, month, day))
        .ok_or_else(|| range("day", text, "2026-11-01"))
}

fn two_digits(a: u8, b: u8) -> Option<i64> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| i64::from(byte - b'0'));
    Some(digit(a)? * 10 + digit(b)?)
}

/// Microseconds of a fraction, if there is one, and what stands behind it. `None` for a point
/// without digits.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', digits)) = rest.split_first() else {
        return Some((0, rest));
    };
    let count = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at(count);
    if digits.is_empty() {
        return None;
    }
    let padded = digits.iter().chain(std::iter::repeat(&b'0')).take(6);
    let micros = padded.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    Some((micros, rest))
}

fn form(text: &str) -> TimeError {
    TimeError::Form { text: shown(text) }
}

fn range(what: &'static str, text: &str, form: &'static str) -> TimeError {
    let text = shown(text);
    TimeError::Range { what, text, form }
}

fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_times() {
        for (text, time) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59.999999Z", -1),
            ("2021-01-01T00:00:00Z", 1_609_459_200_000_000),
            ("2000-02-29T12:34:56.789Z", 951_827_696_789_000),
            ("1900-03-01T00:00:00Z", -2_203_891_200_000_000),
            ("0001-01-01T00:00:00Z", -62_135_596_800_000_000),
            ("9999-12-31T23:59:59.999999Z", 253_402_300_799_999_999),
        ] {
            assert_eq!(parse_time(text), Ok(time), "{text}");
            assert_eq!(format_utc(time), text);
        }
    }

    #[test]
    fn other_spellings() {
        for (text, same) in [
            ("2021-06-01t12:00:00z", "2021-06-01T12:00:00Z"),
            ("2021-06-01 12:00:00Z", "2021-06-01T12:00:00Z"),
            ("2021-06-01T12:00:00-00:00", "2021-06-01T12:00:00Z"),
            ("2021-06-01T00:30:00+05:30", "2021-05-31T19:00:00Z"),
            ("2021-12-31T23:00:00-02:00", "2022-01-01T01:00:00Z"),
            (
                "2021-06-01T12:00:00.1234567899Z",
                "2021-06-01T12:00:00.123456Z",
            ),
            ("2021-06-01T12:00:00.12Z", "2021-06-01T12:00:00.120Z"),
            ("2021-06-01T12:00:00.000Z", "2021-06-01T12:00:00Z"),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
            ("2021-06-01", "2021-06-01T00:00:00Z"),
        ] {
            assert_eq!(format_utc(parse_time(text).unwrap()), same, "{text}");
        }
        let end = parse_day_end("2026-11-01").unwrap();
        assert_eq!(format_utc(end), "2026-11-01T23:59:59.999999Z");
        assert_eq!(parse_day("2024-02-29").unwrap().to_string(), "2024-02-29");
    }

    #[test]
    fn errors_say_what_to_write() {
        for (text, part) in [
            ("", "is not a time; write 2026-11-01T12:00:00Z"),
            ("yesterday", "is not a time"),
            ("2021-1-1", "is not a time"),
            ("2021-01-01T", "is not a time"),
            ("2021-01-01T12:00Z", "is not a time"),
            ("2021-01-01T12:00:00.Z", "is not a time"),
            ("2021-01-01T12:00:00+0100", "is not a time"),
            ("2021-01-01T12:00:00Z ", "is not a time"),
            ("2021-01-01x12:00:00Z", "is not a time"),
            ("２021-01-01", "is not a time"),
            ("2021-01-01T12:00:00", "add Z for UTC"),
            ("2021-02-29", "no such day"),
            ("2021-13-01T00:00:00Z", "no such day"),
            ("2021-01-01T24:00:00Z", "no such time of day"),
            ("2021-01-01T00:00:61Z", "no such time of day"),
            ("2021-01-01T00:00:00+24:00", "no such offset"),
            ("0000-01-01", "years 0001 to 9999"),
            ("0001-01-01T00:00:00+01:00", "years 0001 to 9999"),
            ("9999-12-31T23:59:59-01:00", "years 0001 to 9999"),
        ] {
            let error = parse_time(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(parse_day("2021-01-01T00:00:00Z").is_err());
        let long = parse_time(&"9".repeat(1 << 20)).unwrap_err();
        assert!(long.to_string().len() < 300);
    }

    #[test]
    fn every_day_agrees_with_chrono_and_no_time_panics() {
        let first = NaiveDate::from_ymd_opt(-500, 1, 1).unwrap();
        for day in first.iter_days().take(366 * 3000).step_by(3) {
            let number = i64::from(day.num_days_from_ce()) - EPOCH_DAY;
            let (year, month, day_of_month) = civil(number);
            assert_eq!(year, i64::from(day.year()));
            assert_eq!(month, i64::from(day.month()));
            assert_eq!(day_of_month, i64::from(day.day()));
        }
        assert_eq!(format_utc(i64::MAX), "+294247-01-10T04:00:54.775807Z");
        assert_eq!(format_utc(i64::MIN), "-290308-12-21T19:59:05.224192Z");
        assert_eq!(day_end(NaiveDate::MAX), 8_210_266_876_799_999_999);
        assert_eq!(day_end(NaiveDate::MIN), -8_334_601_228_800_000_001 + DAY);
    }
}
