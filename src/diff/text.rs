//! A diff for people: one change a line.

use super::number::{percent_of, percent_text};
use super::value::{Kind, Value};
use super::{Change, ChangeKind, Diff, Summary, number_difference};
use crate::escape::{is_unsafe, push_string_char, push_visible};

/// How [`write_text`] shows a diff. Lengths are in characters, not in columns of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextOptions {
    /// Whether to colour the lines with ANSI escape sequences (SGR).
    pub color: bool,
    /// Longest value that is shown whole; at least 8 are shown.
    pub value_limit: usize,
    /// Longest pointer that is shown whole; at least 8 are shown.
    pub pointer_limit: usize,
    /// Most changes that are listed; the rest is counted. `None` lists all.
    pub max_changes: Option<usize>,
}

impl Default for TextOptions {
    /// No colour, values up to 72 and pointers up to 200 characters, all changes.
    fn default() -> TextOptions {
        TextOptions {
            color: false,
            value_limit: 72,
            pointer_limit: 200,
            max_changes: None,
        }
    }
}

const RESET: &str = "\x1b[0m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const DIM: &str = "\x1b[2m";

/// Writes a diff as lines of text, each ended by a line feed, with a summary as the last.
///
/// ```text
/// ~ /metrics/accuracy  0.91 → 0.925  (+0.015, +1.65 %)
/// ~ /name  "old" → "new"
/// + /runs/3  {"id":7,"loss":0.1}
/// - /debug  true
/// 2 changed, 1 added, 1 removed
/// ```
///
/// A pointer is that of [`Change::pointer`]: in the old document for a removal, in the new one
/// otherwise. Long values are cut and say what was left out; two long strings are shown around
/// their first difference. Control characters and bidirectional controls appear as `\u` escapes,
/// in names too, so that no document can steer the terminal.
pub fn write_text(diff: &Diff, options: &TextOptions, out: &mut String) {
    write_lines(diff, options, out);
    out.push_str(&summary_text(diff.summary()));
    out.push('\n');
}

/// The lines of [`write_text`] without the summary.
pub fn write_lines(diff: &Diff, options: &TextOptions, out: &mut String) {
    let shown = options.max_changes.unwrap_or(usize::MAX);
    for change in diff.changes.iter().take(shown) {
        line(change, options, out);
        out.push('\n');
    }
    if let left @ 1.. = diff.changes.len().saturating_sub(shown) {
        let text = format!("… and {left} more {}", plural(left, "change"));
        paint(options, DIM, &text, out);
        out.push('\n');
    }
}

fn line(change: &Change, options: &TextOptions, out: &mut String) {
    let (sign, color) = match change.kind {
        ChangeKind::Changed { .. } => ("~ ", YELLOW),
        ChangeKind::Added { .. } => ("+ ", GREEN),
        ChangeKind::Removed { .. } => ("- ", RED),
    };
    let mut place = String::from(sign);
    if change.pointer.is_root() {
        place.push_str("(whole document)");
    } else {
        pointer(change.pointer.as_str(), options.pointer_limit, &mut place);
    }
    paint(options, color, &place, out);
    out.push_str("  ");
    let limit = options.value_limit.max(8);
    match &change.kind {
        ChangeKind::Added { new } => paint(options, GREEN, &value(new, limit), out),
        ChangeKind::Removed { old } => paint(options, RED, &value(old, limit), out),
        ChangeKind::Changed { old, new } => {
            let (before, after) = two_values(old, new, limit);
            paint(options, RED, &before, out);
            out.push_str(" → ");
            paint(options, GREEN, &after, out);
            if let Some(note) = number_note(old, new, limit) {
                out.push_str("  ");
                paint(options, DIM, &note, out);
            }
        }
    }
}

fn paint(options: &TextOptions, color: &str, text: &str, out: &mut String) {
    if options.color {
        out.extend([color, text, RESET]);
    } else {
        out.push_str(text);
    }
}

/// The last line of [`write_text`]: `2 changed, 1 added, 1 removed`.
pub fn summary_text(summary: Summary) -> String {
    let parts: Vec<String> = [
        (summary.changed, "changed"),
        (summary.added, "added"),
        (summary.removed, "removed"),
    ]
    .into_iter()
    .filter(|&(count, _)| count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    if parts.is_empty() {
        "no differences".to_owned()
    } else {
        parts.join(", ")
    }
}

/// `(+0.015, +1.65 %)`
fn number_note(old: &str, new: &str, limit: usize) -> Option<String> {
    let difference = number_difference(old, new)?;
    // The same value in another spelling.
    if difference == "0" {
        return None;
    }
    let percent = percent_of(old, &difference).and_then(percent_text);
    let sign = if difference.starts_with('-') { "" } else { "+" };
    let exact = (difference.len() <= limit).then(|| format!("{sign}{difference}"));
    match (exact, percent) {
        (Some(exact), Some(percent)) => Some(format!("({exact}, {percent} %)")),
        (Some(exact), None) => Some(format!("({exact})")),
        (None, Some(percent)) => Some(format!("({percent} %)")),
        (None, None) => None,
    }
}

/// A long pointer keeps its two ends: the document's part and the value's own name.
fn pointer(text: &str, limit: usize, out: &mut String) {
    let limit = limit.max(8);
    let length = text.chars().count();
    if length <= limit {
        text.chars().for_each(|c| push_visible(out, c));
        return;
    }
    let front = limit / 2;
    let back = limit - front;
    text.chars().take(front).for_each(|c| push_visible(out, c));
    out.push_str(&format!("…[{} more]…", length - limit));
    let tail = text.chars().skip(length - back);
    tail.for_each(|c| push_visible(out, c));
}

fn value(text: &str, limit: usize) -> String {
    if let Some(whole) = whole(text, limit) {
        return whole;
    }
    let Ok(value) = Value::parse(text.as_bytes()) else {
        return cut(text, limit);
    };
    match value.kind() {
        Kind::String(string) => window(string, 0, limit),
        Kind::Array(items) => {
            let texts = items.iter().map(|item| (None, item));
            container(['[', ']'], texts, items.len(), "element", limit)
        }
        Kind::Object(members) => {
            let texts = members.iter().map(|(name, value)| (Some(&**name), value));
            container(['{', '}'], texts, members.len(), "member", limit)
        }
        _ => cut(text, limit),
    }
}

/// Both sides of a change; two strings of which one is too long are cut around the place where
/// they part.
fn two_values(old: &str, new: &str, limit: usize) -> (String, String) {
    if let (Some(old), Some(new)) = (whole(old, limit), whole(new, limit)) {
        return (old, new);
    }
    if let (Ok(a), Ok(b)) = (Value::parse(old.as_bytes()), Value::parse(new.as_bytes()))
        && let (Kind::String(a), Kind::String(b)) = (a.kind(), b.kind())
    {
        let parting = a.chars().zip(b.chars()).take_while(|(x, y)| x == y).count();
        return (window(a, parting, limit), window(b, parting, limit));
    }
    (value(old, limit), value(new, limit))
}

/// The canonical text made visible, if it is not longer than the limit.
fn whole(text: &str, limit: usize) -> Option<String> {
    // A character has at most four bytes: no need to count those of a text of many megabytes.
    if text.len() > limit.saturating_mul(4) || text.chars().count() > limit {
        return None;
    }
    Some(visible(text))
}

fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push_visible(&mut out, c));
    out
}

/// The first characters of a text without structure: a number of very many digits.
fn cut(text: &str, limit: usize) -> String {
    let left = text.chars().count().saturating_sub(limit);
    let mut out = String::new();
    text.chars()
        .take(limit)
        .for_each(|c| push_visible(&mut out, c));
    out.push_str(&format!("… [{left} more {}]", plural(left, "character")));
    out
}

/// A part of a string, in quotes, with the place `focus` (a number of characters) in it.
fn window(string: &str, focus: usize, limit: usize) -> String {
    let length = string.chars().count();
    if length <= limit
        && !string
            .chars()
            .any(|c| is_unsafe(c) || matches!(c, '"' | '\\'))
    {
        return format!("\"{string}\"");
    }
    // A third of the window in front of the focus; all of it where the string has no more behind.
    let start = focus
        .saturating_sub(limit / 3)
        .min(length.saturating_sub(limit));
    let shown = limit.min(length);
    let after = length - start - shown;
    let mut out = String::from(if start > 0 { "\"…" } else { "\"" });
    let part = string.chars().skip(start).take(shown);
    part.for_each(|c| push_string_char(&mut out, c));
    out.push_str(if after > 0 { "…\"" } else { "\"" });
    match (start, after) {
        (0, 0) => {}
        (0, after) => out.push_str(&format!(" [{after} more {}]", plural(after, "character"))),
        (before, 0) => out.push_str(&format!(
            " [after {before} {}]",
            plural(before, "character")
        )),
        (before, after) => out.push_str(&format!(
            " [after {before}, {after} more {}]",
            plural(after, "character")
        )),
    }
    out
}

/// The first members or elements that fit; containers among them that do not are only counted.
fn container<'v>(
    [open, close]: [char; 2],
    items: impl Iterator<Item = (Option<&'v str>, &'v Value<'v>)>,
    count: usize,
    noun: &str,
    limit: usize,
) -> String {
    let mut out = String::from(open);
    let mut used = 2;
    let mut shown = 0;
    for (name, item) in items {
        let mut text = String::new();
        if let Some(name) = name {
            // A name too long to show ends the list.
            if name.len() > limit.saturating_mul(4) {
                break;
            }
            text.push('"');
            name.chars().for_each(|c| push_string_char(&mut text, c));
            text.push_str("\":");
        }
        let room = limit.saturating_sub(used + text.chars().count());
        text.push_str(&whole(item.text(), room).unwrap_or_else(|| counted(item)));
        let length = text.chars().count() + usize::from(shown > 0);
        if used + length > limit {
            break;
        }
        if shown > 0 {
            out.push(',');
        }
        out.push_str(&text);
        used += length;
        shown += 1;
    }
    if let left @ 1.. = count - shown {
        let space = if shown > 0 { ", " } else { "" };
        let more = if shown > 0 { " more" } else { "" };
        out.push_str(&format!("{space}…{left}{more} {}", plural(left, noun)));
    }
    out.push(close);
    out
}

fn counted(value: &Value<'_>) -> String {
    match value.kind() {
        Kind::Array(items) => format!("[…{} {}]", items.len(), plural(items.len(), "element")),
        Kind::Object(members) => {
            format!("{{…{} {}}}", members.len(), plural(members.len(), "member"))
        }
        Kind::String(string) => {
            let count = string.chars().count();
            format!("\"…{count} {}\"", plural(count, "character"))
        }
        _ => visible(value.text()),
    }
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 {
        noun.to_owned()
    } else {
        format!("{noun}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::diff;

    fn text_with(old: &str, new: &str, options: &TextOptions) -> String {
        let diff = diff(old.as_bytes(), new.as_bytes()).unwrap();
        let mut out = String::new();
        write_text(&diff, options, &mut out);
        out
    }

    fn text(old: &str, new: &str) -> String {
        text_with(old, new, &TextOptions::default())
    }

    #[test]
    fn one_change_a_line() {
        assert_eq!(
            text(
                r#"{"debug":true,"metrics":{"accuracy":0.91},"name":"old","runs":[1,2,3]}"#,
                r#"{"metrics":{"accuracy":0.925},"name":"new","runs":[1,2,3,{"id":7,"loss":0.1}]}"#,
            ),
            "- /debug  true\n\
             ~ /metrics/accuracy  0.91 → 0.925  (+0.015, +1.65 %)\n\
             ~ /name  \"old\" → \"new\"\n\
             + /runs/3  {\"id\":7,\"loss\":0.1}\n\
             2 changed, 1 added, 1 removed\n"
        );
        assert_eq!(text("[1]", "[1]"), "no differences\n");
        assert_eq!(
            text("1", "\"a\""),
            "~ (whole document)  1 → \"a\"\n1 changed\n"
        );
        assert_eq!(text("[0]", "[-4]"), "~ /0  0 → -4  (-4)\n1 changed\n");
    }

    #[test]
    fn long_strings_are_shown_around_the_difference() {
        let old = format!("\"{}fox{}\"", "a".repeat(500), "b".repeat(100));
        let new = format!("\"{}dog{}\"", "a".repeat(500), "b".repeat(101));
        let options = TextOptions {
            value_limit: 12,
            ..TextOptions::default()
        };
        assert_eq!(
            text_with(&old, &new, &options),
            "~ (whole document)  \"…aaaafoxbbbbb…\" [after 496, 95 more characters] → \
             \"…aaaadogbbbbb…\" [after 496, 96 more characters]\n1 changed\n"
        );
        assert_eq!(
            text_with("{}", r#"{"k":"0123456789abcd"}"#, &options),
            "+ /k  \"0123456789ab…\" [2 more characters]\n1 added\n"
        );
        // A short string beside a long one.
        assert_eq!(
            text_with(r#""x""#, r#""0123456789abcd""#, &options),
            "~ (whole document)  \"x\" → \"0123456789ab…\" [2 more characters]\n1 changed\n"
        );
    }

    #[test]
    fn large_containers_are_summarized() {
        let options = TextOptions {
            value_limit: 40,
            ..TextOptions::default()
        };
        let numbers: Vec<String> = (0..1000).map(|i| i.to_string()).collect();
        let list = format!("[{}]", numbers.join(","));
        assert_eq!(
            text_with("{}", &format!(r#"{{"k":{list}}}"#), &options),
            "+ /k  [0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15, …984 more elements]\n1 added\n"
        );
        assert_eq!(
            text_with(
                &format!(r#"{{"a":{{"id":7,"list":{list}}}}}"#),
                "{}",
                &options
            ),
            "- /a  {\"id\":7,\"list\":[…1000 elements]}\n1 removed\n"
        );
        let long = format!(r#"[{{"{}":1}}]"#, "n".repeat(1000));
        assert_eq!(
            text_with("[]", &long, &options),
            "+ /0  {…1 member}\n1 added\n"
        );
    }

    #[test]
    fn long_numbers_and_pointers_are_cut() {
        let options = TextOptions {
            value_limit: 10,
            pointer_limit: 10,
            ..TextOptions::default()
        };
        let doc = format!(r#"{{"{}":{}}}"#, "k".repeat(100), "7".repeat(30));
        assert_eq!(
            text_with("{}", &doc, &options),
            "+ /kkkk…[91 more]…kkkkk  7777777777… [20 more characters]\n1 added\n"
        );
    }

    #[test]
    fn no_document_can_steer_the_terminal() {
        let evil = "\\u001b]0;x\\u0007\u{9b}2J\u{7f}\u{202e}\u{2066}\u{2028}";
        let long = evil.repeat(50);
        for old in [
            format!(r#"{{"{evil}":"{evil}"}}"#),
            format!(r#"{{"{long}":["{long}",{{"{evil}":"{long}"}}]}}"#),
            format!(r#"["{long}"]"#),
        ] {
            for new in ["{}", "[]", "[1]", "\"a\\u001b\"", r#"["a"]"#] {
                let text = text(&old, new);
                assert!(!text.chars().any(|c| c != '\n' && is_unsafe(c)), "{text:?}");
            }
        }
    }

    #[test]
    fn colors_and_limits() {
        let options = TextOptions {
            color: true,
            max_changes: Some(1),
            ..TextOptions::default()
        };
        assert_eq!(
            text_with("[1,true,5]", "[2,5,6]", &options),
            "\x1b[33m~ /0\x1b[0m  \x1b[31m1\x1b[0m → \x1b[32m2\x1b[0m  \x1b[2m(+1, +100 %)\x1b[0m\n\
             \x1b[2m… and 2 more changes\x1b[0m\n1 changed, 1 added, 1 removed\n"
        );
    }
}
