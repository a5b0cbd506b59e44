//! A diff for people: one change a line.

use super::context::{Neighbour, Neighbours, Surroundings};
use super::inner::inner;
use super::number::{percent_of, percent_text};
use super::shorten::{plural, pointer, two_values, value, whole};
use super::value::{Kind, Value};
use super::{Change, ChangeKind, Diff, Summary, number_difference};
use crate::escape::push_string_char;

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
const CYAN: &str = "\x1b[36m";
const DIM: &str = "\x1b[2m";

/// Writes a diff as lines of text, each ended by a line feed, with a summary as the last.
///
/// ```text
/// ~ /metrics/accuracy  0.91 → 0.925  (+0.015, +1.65 %)
/// ~ /name  "old" → "new"
/// + /runs/3  {"id":7,"loss":0.1}
/// - /debug  true
/// > /hosts/0  {"name":"b"}  (was /hosts/3)
/// 2 changed, 1 added, 1 removed, 1 moved
/// ```
///
/// A pointer is that of [`Change::pointer`]: in the old document for a removal, in the new one
/// otherwise. Long values are cut and say what was left out; of two long strings the lines or words
/// that differ are shown. Control characters and bidirectional controls appear as `\u` escapes,
/// in names too, so that no document can steer the terminal.
pub fn write_text(diff: &Diff, options: &TextOptions, out: &mut String) {
    write_lines(diff, options, out);
    out.push_str(&summary_text(diff.summary()));
    out.push('\n');
}

/// The lines of [`write_text`] without the summary.
pub fn write_lines(diff: &Diff, options: &TextOptions, out: &mut String) {
    write_changes(diff, None, options, out);
}

/// As [`write_text`], with up to `most` values that stayed on each side of a change, in its object or array.
pub fn write_text_around(
    diff: &Diff,
    around: &Surroundings<'_>,
    most: usize,
    options: &TextOptions,
    out: &mut String,
) {
    write_changes(
        diff,
        Some(Neighbours::new(around, diff, most)),
        options,
        out,
    );
    out.push_str(&summary_text(diff.summary()));
    out.push('\n');
}

fn write_changes(
    diff: &Diff,
    mut around: Option<Neighbours<'_, '_>>,
    options: &TextOptions,
    out: &mut String,
) {
    let shown = options.max_changes.unwrap_or(usize::MAX);
    for (number, change) in diff.changes.iter().enumerate().take(shown) {
        let [front, behind] = around
            .as_mut()
            .map_or_else(Default::default, |around| around.of(number));
        stayed(&front, options, out);
        line(change, options, out);
        out.push('\n');
        stayed(&behind, options, out);
    }
    if let left @ 1.. = diff.changes.len().saturating_sub(shown) {
        let text = format!("… and {left} more {}", plural(left, "change"));
        paint(options, DIM, &text, out);
        out.push('\n');
    }
}

fn stayed(values: &[Neighbour<'_>], options: &TextOptions, out: &mut String) {
    for (place, text) in values {
        let mut line = String::from("  ");
        pointer(place, options.pointer_limit, &mut line);
        line.push_str("  ");
        line.push_str(&value(text, options.value_limit.max(8)));
        paint(options, DIM, &line, out);
        out.push('\n');
    }
}

fn line(change: &Change, options: &TextOptions, out: &mut String) {
    let (sign, color) = match change.kind {
        ChangeKind::Changed { .. } => ("~ ", YELLOW),
        ChangeKind::Added { .. } => ("+ ", GREEN),
        ChangeKind::Removed { .. } => ("- ", RED),
        ChangeKind::Moved { .. } => ("> ", CYAN),
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
        ChangeKind::Moved { new } => {
            out.push_str(&value(new, limit));
            if let Some(from) = &change.moved_from {
                let mut note = String::from("(was ");
                pointer(from.as_str(), options.pointer_limit, &mut note);
                note.push(')');
                out.push_str("  ");
                paint(options, DIM, &note, out);
            }
        }
        ChangeKind::Changed { old, new } if inside(old, new, options, out) => {}
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

/// Shows what changed inside two strings of which one is too long for a line; `false` where that is not what they are.
fn inside(old: &str, new: &str, options: &TextOptions, out: &mut String) -> bool {
    let limit = options.value_limit.max(8);
    if whole(old, limit).is_some() && whole(new, limit).is_some() {
        return false;
    }
    let (Ok(old), Ok(new)) = (Value::parse(old.as_bytes()), Value::parse(new.as_bytes())) else {
        return false;
    };
    let (Kind::String(old), Kind::String(new)) = (old.kind(), new.kind()) else {
        return false;
    };
    let Some(found) = inner(old, new) else {
        return false;
    };
    let size = |text: &str| match found.by_lines {
        true => (text.lines().count(), "line"),
        false => (text.chars().count(), "character"),
    };
    let ((before, _), (after, noun)) = (size(old), size(new));
    out.push_str(&format!("{before} → {after} {}", plural(after, noun)));
    let escaped = |text: &str| {
        let mut shown = String::new();
        let mut rest = text.chars();
        rest.by_ref()
            .take(limit)
            .for_each(|c| push_string_char(&mut shown, c));
        if rest.next().is_some() {
            shown.push('…');
        }
        shown
    };
    for part in &found.hunks {
        if found.by_lines {
            out.push_str("\n    ");
            paint(options, DIM, &format!("@ line {}", part.at), out);
            for (sign, color, lines) in [("-", RED, part.old), ("+", GREEN, part.new)] {
                for line in lines.lines() {
                    out.push_str("\n    ");
                    paint(options, color, &format!("{sign} {}", escaped(line)), out);
                }
            }
            continue;
        }
        out.push_str("\n    ");
        paint(options, DIM, &format!("@ {}", part.at), out);
        out.push_str(&format!(" …{}", escaped(part.front)));
        for (signs, color, text) in [
            (["[-", "-]"], RED, part.old),
            (["{+", "+}"], GREEN, part.new),
        ] {
            if !text.is_empty() {
                let [open, close] = signs;
                paint(
                    options,
                    color,
                    &format!("{open}{}{close}", escaped(text)),
                    out,
                );
            }
        }
        out.push_str(&format!("{}…", escaped(part.behind)));
    }
    if found.left > 0 {
        let text = format!(
            "\n    … and {} more {}",
            found.left,
            plural(found.left, "place")
        );
        paint(options, DIM, &text, out);
    }
    true
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
        (summary.moved, "moved"),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::diff;
    use crate::escape::is_unsafe;

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
    fn long_texts_show_what_changed_inside() {
        let options = TextOptions {
            value_limit: 30,
            ..TextOptions::default()
        };
        let old = r#"{"prompt":"Answer the question briefly, in plain words, and give the sources of each claim."}"#;
        let new = r#"{"prompt":"Answer the question at length, in plain words, and give a source of each claim."}"#;
        assert_eq!(
            text_with(old, new, &options),
            "~ /prompt  80 → 79 characters\n    \
             @ 21 …Answer the question [-briefly-]{+at length+}, in plain words, and gi…\n    \
             @ 57 …n plain words, and give [-the sources-]{+a source+} of each claim.…\n\
             1 changed\n"
        );
        let old = r#""import json\nprint(1)\nprint(2)\nprint(\u001b)\n""#;
        let new = r#""import json\nprint(2)\nprint(3)\n""#;
        assert_eq!(
            text_with(old, new, &options),
            "~ (whole document)  4 → 3 lines\n    \
             @ line 2\n    - print(1)\n    \
             @ line 3\n    - print(\\u001b)\n    + print(3)\n\
             1 changed\n"
        );
    }

    #[test]
    fn what_moved_says_from_where() {
        assert_eq!(
            text(
                r#"[{"id":1,"v":1},{"id":2,"v":1},{"id":3,"v":1}]"#,
                r#"[{"id":3,"v":2},{"id":1,"v":1},{"id":2,"v":1}]"#
            ),
            "> /0  {\"id\":3,\"v\":2}  (was /2)\n~ /0/v  1 → 2  (+1, +100 %)\n1 changed, 1 moved\n"
        );
    }

    #[test]
    fn neighbours_that_stayed_are_shown_once() {
        let around = |old: &str, new: &str, most: usize| {
            let diff = diff(old.as_bytes(), new.as_bytes()).unwrap();
            let around = Surroundings::new(old.as_bytes(), new.as_bytes()).unwrap();
            let mut out = String::new();
            write_text_around(&diff, &around, most, &TextOptions::default(), &mut out);
            out
        };
        let old = r#"{"a":1,"b":2,"c":3,"d":4,"e":{"x":1,"y":2},"f":6}"#;
        let new = r#"{"a":1,"b":0,"c":3,"d":5,"e":{"x":1,"y":3},"f":6}"#;
        assert_eq!(
            around(old, new, 1),
            "  /a  1\n~ /b  2 → 0  (-2, -100 %)\n  /c  3\n~ /d  4 → 5  (+1, +25 %)\n\
             \x20 /e/x  1\n~ /e/y  2 → 3  (+1, +50 %)\n3 changed\n"
        );
        assert_eq!(
            around("[1,2,3,4]", "[1,3,4,5]", 2),
            "  /0  1\n- /1  2\n  /2  3\n  /3  4\n  /1  3\n  /2  4\n+ /3  5\n1 added, 1 removed\n"
        );
        assert_eq!(
            around("1", "2", 3),
            "~ (whole document)  1 → 2  (+1, +100 %)\n1 changed\n"
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
