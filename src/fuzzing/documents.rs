//! Targets of the pure modules: canonical forms, layouts, names, diffs.

use serde_json::Value as Json;

use crate::canon::{self, CanonErrorKind, Form, NanMode};
use crate::diff::patch::write_patch;
use crate::diff::text::{TextOptions, write_text};
use crate::diff::value::{Kind, Value};
use crate::diff::{self, ChangeKind};
use crate::layout::Layout;
use crate::path::check_path;
use crate::pointer::{self, Pointer};
use crate::revision::{Revision, Spec, check_tag_name};

/// Canonicalizing: once more changes nothing, and `serde_json` takes and refuses the same texts, where both have the
/// same rules.
pub fn canon(data: &[u8]) {
    let serde = serde_json::from_slice::<Json>(data);
    match canon::canonicalize(data) {
        Ok(canonical) => {
            let again = canon::canonicalize(&canonical);
            assert_eq!(again.as_ref(), Ok(&canonical), "canonical twice");
            assert!(Value::parse(&canonical).is_ok(), "the diff reads it");
            for form in [Form::Pretty, Form::Compact] {
                let mut text = Vec::new();
                canon::render(&canonical, form, false, &mut text);
                assert_eq!(canon::canonicalize(&text).as_ref(), Ok(&canonical));
                assert!(canon::renders_to(&canonical, form, false, &text));
            }
            match serde {
                Ok(value) => {
                    let ours: Json = match serde_json::from_slice(&canonical) {
                        Ok(ours) => ours,
                        Err(error) => panic!("serde_json refuses the canonical form: {error}"),
                    };
                    assert!(same(&value, &ours), "another value");
                }
                Err(error) => {
                    let text = error.to_string();
                    let narrower =
                        text.contains("number out of range") || text.contains("recursion limit");
                    assert!(narrower, "serde_json refuses it: {text}");
                }
            }
        }
        Err(error) => {
            let stricter = matches!(
                error.kind,
                CanonErrorKind::DuplicateName(_) | CanonErrorKind::NumberTooLarge
            );
            assert!(
                serde.is_err() || stricter,
                "only serde_json takes it: {error}"
            );
        }
    }
    if let Ok((canonical, outcome)) = canon::canonicalize_with(data, NanMode::Tag) {
        let mut text = Vec::new();
        canon::render(&canonical, Form::Pretty, outcome.tagged, &mut text);
        let again = canon::canonicalize_with(&text, NanMode::Tag);
        assert_eq!(again, Ok((canonical, outcome)), "tagged twice");
    }
}

/// Are these the same values, whether their numbers were read as integers or not?
fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

/// Layouts: what is decoded has one encoding and renders within the limits; what is inferred gives the source back.
pub fn layout(data: &[u8]) {
    let (front, behind) = halves(data);
    if let Ok(layout) = Layout::decode(front) {
        assert_eq!(layout.encode(), front, "one encoding");
        for nan in [false, true] {
            // Canonical or not.
            render(&layout, behind, nan);
            if let Ok((canonical, outcome)) = canon::canonicalize_with(behind, NanMode::Tag) {
                render(&layout, &canonical, outcome.tagged);
                if let Some(next) = Layout::infer_from(&layout, behind, &canonical, outcome.tagged)
                {
                    assert!(next.renders_to(&canonical, outcome.tagged, behind));
                }
            }
        }
    }
    if let Ok((canonical, outcome)) = canon::canonicalize_with(data, NanMode::Tag)
        && let Some(layout) = Layout::infer(data, &canonical, outcome.tagged)
    {
        let encoded = layout.encode();
        assert_eq!(Layout::decode(&encoded).as_ref(), Ok(&layout));
        let mut out = Vec::new();
        assert_eq!(layout.render(&canonical, outcome.tagged, &mut out), Ok(()));
        assert_eq!(out, data, "the source comes back");
    }
}

fn render(layout: &Layout, canonical: &[u8], nan: bool) {
    let mut out = Vec::new();
    match layout.render(canonical, nan, &mut out) {
        Ok(()) => {
            assert!(out.len() <= canonical.len() * 64 + (64 << 10), "too large");
            assert!(layout.renders_to(canonical, nan, &out));
        }
        Err(_) => assert!(out.is_empty()),
    }
}

/// What stands in front of the first zero byte, and what behind it.
fn halves(data: &[u8]) -> (&[u8], &[u8]) {
    // A layout holds zero bytes: the last one divides.
    match memchr::memrchr(0, data) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, data),
    }
}

/// Revisions, tags, paths, times and pointers: what is read is written back the same.
pub fn names(data: &[u8]) {
    let (front, behind) = halves(data);
    if let Ok(text) = std::str::from_utf8(front) {
        if let Ok(spec) = Spec::parse(text) {
            assert_eq!(Spec::parse(&spec.to_string()).as_ref(), Ok(&spec));
        }
        let _ = Revision::parse(text);
        let _ = check_tag_name(text);
        let _ = check_path(text);
        if let Ok(time) = crate::time::parse_time(text) {
            let written = crate::time::format_utc(time);
            assert_eq!(crate::time::parse_time(&written), Ok(time));
        }
        let _ = crate::time::parse_day_end(text);
        if let Ok(pointer) = Pointer::parse(text) {
            assert_eq!(pointer.as_str(), text);
            let joined = pointer
                .tokens()
                .fold(Pointer::root(), |pointer, token| pointer.join(&token));
            assert_eq!(joined, pointer, "the tokens make the pointer");
            let found = pointer::find(behind, &pointer);
            if let Ok(canonical) = canon::canonicalize(behind) {
                find_agrees(&canonical, &pointer);
            } else if let Some(range) = found {
                assert!(range.end <= behind.len());
            }
        }
    }
    if let Some(bytes) = data.first_chunk::<8>() {
        let _ = crate::time::format_utc(i64::from_le_bytes(*bytes));
    }
}

/// The pointer finds what a walk over the tree finds.
fn find_agrees(canonical: &[u8], pointer: &Pointer) {
    let found = pointer::find(canonical, pointer).map(|range| &canonical[range]);
    let root = match Value::parse(canonical) {
        Ok(root) => root,
        Err(error) => panic!("{error}"),
    };
    let mut at = Some(&root);
    for token in pointer.tokens() {
        at = at.and_then(|value| match value.kind() {
            Kind::Array(items) => {
                let index = token.parse::<usize>().ok();
                let index = index.filter(|index| index.to_string() == token);
                items.get(index?)
            }
            Kind::Object(members) => members
                .iter()
                .find(|(name, _)| *name == token)
                .map(|(_, value)| value),
            _ => None,
        });
    }
    assert_eq!(found, at.map(Value::raw), "{pointer}");
}

/// Diffs: a patch makes the one document of the other, both ways, and all forms can be written.
pub fn diff(data: &[u8]) {
    let (front, behind) = halves(data);
    // Not canonical: an error and nothing else.
    let _ = diff::diff(front, behind);
    let (Ok(old), Ok(new)) = (canon::canonicalize(front), canon::canonicalize(behind)) else {
        return;
    };
    for (old, new) in [(&old, &new), (&new, &old), (&old, &old)] {
        let found = match diff::diff(old, new) {
            Ok(found) => found,
            Err(error) => panic!("canonical documents: {error}"),
        };
        assert_eq!(found.is_empty(), old == new);
        let mut patch = Vec::new();
        write_patch(&found, &mut patch);
        assert_eq!(
            apply(old, &patch),
            *new,
            "{}",
            String::from_utf8_lossy(&patch)
        );
        let mut json = Vec::new();
        diff::json::write_json(&found, Some("a@1"), None, &mut json);
        assert!(canon::canonicalize(&json).is_ok());
        let mut text = String::new();
        write_text(&found, &TextOptions::default(), &mut text);
        for change in &found.changes {
            if let ChangeKind::Changed { .. } = change.kind {
                let _ = (change.difference(), change.percent());
            }
        }
    }
}

/// A document to be patched.
enum Tree {
    Plain(Vec<u8>),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

impl Tree {
    fn of(value: &Value<'_>) -> Tree {
        match value.kind() {
            Kind::Array(items) => Tree::List(items.iter().map(Tree::of).collect()),
            Kind::Object(members) => Tree::Map(
                members
                    .iter()
                    .map(|(name, value)| (name.to_string(), Tree::of(value)))
                    .collect(),
            ),
            _ => Tree::Plain(value.raw().to_vec()),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Tree::Plain(text) => out.extend_from_slice(text),
            Tree::List(items) => {
                out.push(b'[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Tree::Map(members) => {
                out.push(b'{');
                for (at, (name, value)) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    crate::escape::write_string(out, name);
                    out.push(b':');
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }

    /// Takes out what is at a place.
    fn take(&mut self, tokens: &[String]) -> Tree {
        let Some((last, parent)) = tokens.split_last() else {
            panic!("the root is replaced only");
        };
        match self.at(parent) {
            Tree::List(items) => items.remove(last.parse().unwrap_or(usize::MAX)),
            Tree::Map(members) => match members.iter().position(|(name, _)| name == last) {
                Some(at) => members.remove(at).1,
                None => panic!("takes what is there: {last}"),
            },
            Tree::Plain(_) => panic!("nothing is inside a scalar"),
        }
    }

    fn put(&mut self, tokens: &[String], value: Tree) {
        let Some((last, parent)) = tokens.split_last() else {
            panic!("the root is replaced only");
        };
        match self.at(parent) {
            Tree::List(items) => items.insert(last.parse().unwrap_or(usize::MAX), value),
            Tree::Map(members) => {
                assert!(members.iter().all(|(name, _)| name != last));
                members.push((last.clone(), value));
            }
            Tree::Plain(_) => panic!("nothing is inside a scalar"),
        }
    }

    fn at(&mut self, tokens: &[String]) -> &mut Tree {
        let Some((token, rest)) = tokens.split_first() else {
            return self;
        };
        let inner = match self {
            Tree::List(items) => token.parse().ok().and_then(|at: usize| items.get_mut(at)),
            Tree::Map(members) => members
                .iter_mut()
                .find(|(name, _)| name == token)
                .map(|(_, value)| value),
            Tree::Plain(_) => None,
        };
        match inner {
            Some(inner) => inner.at(rest),
            None => panic!("the patch names a place that is not there: {token}"),
        }
    }
}

/// Applies a JSON Patch (RFC 6902), operation by operation, and gives the canonical form of what comes out.
fn apply(document: &[u8], patch: &[u8]) -> Vec<u8> {
    let parse = |bytes| match Value::parse(bytes) {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    };
    let mut tree = Tree::of(&parse(document));
    let patch = parse(patch);
    let Kind::Array(operations) = patch.kind() else {
        panic!("a patch is an array");
    };
    for operation in operations {
        let Kind::Object(members) = operation.kind() else {
            panic!("an operation is an object");
        };
        let member = |wanted: &str| members.iter().find(|(name, _)| name == wanted);
        let text = |wanted: &str| match member(wanted).map(|(_, value)| value.kind()) {
            Some(Kind::String(text)) => text.to_string(),
            _ => panic!("an operation without {wanted}"),
        };
        let value = || match member("value") {
            Some((_, value)) => Tree::of(value),
            None => panic!("an operation without a value"),
        };
        let place = |name: &str| -> Vec<String> {
            match Pointer::parse(&text(name)) {
                Ok(pointer) => pointer.tokens().map(|token| token.into_owned()).collect(),
                Err(error) => panic!("{error}"),
            }
        };
        match text("op").as_str() {
            "replace" => *tree.at(&place("path")) = value(),
            "remove" => drop(tree.take(&place("path"))),
            "add" => tree.put(&place("path"), value()),
            "move" => {
                let value = tree.take(&place("from"));
                tree.put(&place("path"), value);
            }
            op => panic!("operation {op}"),
        }
    }
    let mut out = Vec::new();
    tree.write(&mut out);
    match canon::canonicalize(&out) {
        Ok(canonical) => canonical,
        Err(error) => panic!("{error}"),
    }
}
