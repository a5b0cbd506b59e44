//! What changed inside a long string: by lines where both have some, else by words.

use std::ops::Range;

use super::sequence::{between, matches};

/// Longest string that is taken apart, in bytes.
const MAX_LEN: usize = 4 << 20;
/// Most places that are shown.
const MAX_HUNKS: usize = 20;
/// Of two texts without lines, the part of the longer one that stayed must be at least one in this many.
const LEAST_KEPT: usize = 4;

/// The places in which two strings differ.
pub(super) struct Inner<'s> {
    pub by_lines: bool,
    /// At most [`MAX_HUNKS`].
    pub hunks: Vec<Part<'s>>,
    /// How many places more there are.
    pub left: usize,
}

/// One place.
pub(super) struct Part<'s> {
    /// Number of its first line in the new string, or of the first character, from 1.
    pub at: usize,
    /// The unchanged text in front, and behind; up to 24 characters of a line.
    pub front: &'s str,
    pub behind: &'s str,
    pub old: &'s str,
    pub new: &'s str,
}

/// `None` where one place says it all and there are no lines, where the strings have little in common, or are too long.
pub(super) fn inner<'s>(old: &'s str, new: &'s str) -> Option<Inner<'s>> {
    if old.len() > MAX_LEN || new.len() > MAX_LEN {
        return None;
    }
    let by_lines = old.contains('\n') && new.contains('\n');
    let split = match by_lines {
        true => lines,
        false => words,
    };
    let (old_parts, new_parts) = (split(old), split(new));
    let keys = |parts: &[&'s str]| parts.iter().map(|part| Some(*part)).collect::<Vec<_>>();
    let kept = matches(&keys(&old_parts), &keys(&new_parts));
    let mut hunks = between(&kept, old_parts.len(), new_parts.len());
    if !by_lines {
        join(&mut hunks, &new_parts);
        // Little in common, or nothing but blanks: two texts, not one that changed.
        let stayed: usize = kept.iter().map(|&(_, at)| new_parts[at].len()).sum();
        if hunks.len() < 2 || stayed < old.len().max(new.len()) / LEAST_KEPT {
            return None;
        }
    }
    let (old_starts, new_starts) = (starts(&old_parts), starts(&new_parts));
    let text = |whole: &'s str, starts: &[usize], range: Range<usize>| {
        &whole[starts[range.start]..starts[range.end]]
    };
    let left = hunks.len().saturating_sub(MAX_HUNKS);
    let parts = hunks.into_iter().take(MAX_HUNKS).map(|hunk| {
        let (start, end) = (new_starts[hunk.new.start], new_starts[hunk.new.end]);
        Part {
            at: match by_lines {
                true => hunk.new.start + 1,
                false => new[..start].chars().count() + 1,
            },
            front: last(&new[..start]),
            behind: first(&new[end..]),
            old: text(old, &old_starts, hunk.old),
            new: text(new, &new_starts, hunk.new),
        }
    });
    Some(Inner {
        by_lines,
        hunks: parts.collect(),
        left,
    })
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// Runs of letters and digits, and each other character alone.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut start = 0;
    let mut in_word = false;
    for (at, c) in text.char_indices() {
        let letter = c.is_alphanumeric();
        if at > start && !(letter && in_word) {
            words.push(&text[start..at]);
            start = at;
        }
        in_word = letter;
    }
    if start < text.len() {
        words.push(&text[start..]);
    }
    words
}

/// Two places with nothing but a blank or a sign in between are one.
fn join(hunks: &mut Vec<super::sequence::Hunk>, new: &[&str]) {
    let mut joined: Vec<super::sequence::Hunk> = Vec::with_capacity(hunks.len());
    for hunk in hunks.drain(..) {
        match joined.last_mut() {
            Some(before)
                if new[before.new.end..hunk.new.start]
                    .iter()
                    .all(|word| !word.chars().any(char::is_alphanumeric)) =>
            {
                before.old.end = hunk.old.end;
                before.new.end = hunk.new.end;
            }
            _ => joined.push(hunk),
        }
    }
    *hunks = joined;
}

fn starts(parts: &[&str]) -> Vec<usize> {
    let mut at = 0;
    let mut starts = vec![0];
    for part in parts {
        at += part.len();
        starts.push(at);
    }
    starts
}

fn first(text: &str) -> &str {
    let end = text.char_indices().nth(24).map_or(text.len(), |(at, _)| at);
    &text[..end]
}

fn last(text: &str) -> &str {
    let start = text.char_indices().rev().nth(23).map_or(0, |(at, _)| at);
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_by_word_and_by_line() {
        let found = inner(
            "a quick brown fox sits on the mat",
            "a slow brown fox lies on the mat",
        )
        .unwrap();
        let parts: Vec<_> = found
            .hunks
            .iter()
            .map(|part| (part.at, part.old, part.new))
            .collect();
        assert_eq!(parts, [(3, "quick", "slow"), (18, "sits", "lies")]);
        assert_eq!(
            (found.hunks[1].front, found.hunks[1].behind),
            ("a slow brown fox ", " on the mat")
        );
        let found = inner("one\ntwo\nthree\n", "one\n2\nthree\nfour").unwrap();
        let parts: Vec<_> = found
            .hunks
            .iter()
            .map(|part| (part.at, part.old, part.new))
            .collect();
        assert_eq!(parts, [(2, "two\n", "2\n"), (4, "", "four")]);
        assert!(inner("one word", "one sword").is_none());
    }

    #[test]
    fn texts_that_share_little_are_two_texts() {
        assert!(inner("b", "aa  \u{d66} A \u{1f300}b:0AA ").is_none());
        assert!(inner("b, and more", "a b, and more c").is_some());
    }

    #[test]
    fn words_are_the_whole_text() {
        for text in ["", "a", "  two  words, and é1 – ok", "\u{1f600}x"] {
            assert_eq!(words(text).concat(), text);
        }
    }
}
