//! Values and places cut to a length that a line can hold. What is left out is counted; nothing can steer a terminal.

use super::value::{Kind, Value};
use crate::escape::{is_unsafe, push_string_char, push_visible};

/// A long pointer keeps its two ends: the document's part and the value's own name.
pub(super) fn pointer(text: &str, limit: usize, out: &mut String) {
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

pub(super) fn value(text: &str, limit: usize) -> String {
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
pub(super) fn two_values(old: &str, new: &str, limit: usize) -> (String, String) {
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
pub(super) fn whole(text: &str, limit: usize) -> Option<String> {
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

pub(super) fn plural(count: usize, noun: &str) -> String {
    if count == 1 {
        noun.to_owned()
    } else {
        format!("{noun}s")
    }
}
