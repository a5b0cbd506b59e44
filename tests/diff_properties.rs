//! The diff proves itself: the new document is rebuilt from the old one and the diff, by a
//! separate implementation that knows only the documented meaning of a change.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use backstory::diff::json::write_json;
use backstory::diff::patch::write_patch;
use backstory::diff::text::{TextOptions, write_text};
use backstory::diff::value::{Kind, Value};
use backstory::diff::{Change, ChangeKind, Diff, diff, number_difference, percent_difference};
use backstory::path::check_path;
use backstory::pointer::{Pointer, find};
use backstory::revision::{Revision, Spec, check_tag_name};
use backstory::time::{format_utc, parse_day_end, parse_time};
use proptest::prelude::*;

/// A document that can be edited. Names are ordered by their UTF-16 code units, as RFC 8785 asks.
#[derive(Clone, Debug, PartialEq)]
enum Doc {
    /// `null`, `true`, `false` or a number, as text.
    Plain(String),
    Text(String),
    List(Vec<Doc>),
    Map(BTreeMap<Vec<u16>, Doc>),
}

fn units(name: &str) -> Vec<u16> {
    name.encode_utf16().collect()
}

impl Doc {
    fn canonical(&self) -> String {
        match self {
            Doc::Plain(text) => text.clone(),
            // serde_json spells strings as JSON.stringify does.
            Doc::Text(text) => serde_json::to_string(text).unwrap(),
            Doc::List(items) => {
                let items: Vec<String> = items.iter().map(Doc::canonical).collect();
                format!("[{}]", items.join(","))
            }
            Doc::Map(members) => {
                let member = |(name, value): (&Vec<u16>, &Doc)| {
                    let name = String::from_utf16(name).unwrap();
                    format!("{}:{}", Doc::Text(name).canonical(), value.canonical())
                };
                let members: Vec<String> = members.iter().map(member).collect();
                format!("{{{}}}", members.join(","))
            }
        }
    }

    fn read(text: &str) -> Doc {
        fn from(value: &Value<'_>) -> Doc {
            match value.kind() {
                Kind::String(text) => Doc::Text(text.to_string()),
                Kind::Array(items) => Doc::List(items.iter().map(from).collect()),
                Kind::Object(members) => {
                    Doc::Map(members.iter().map(|(n, v)| (units(n), from(v))).collect())
                }
                _ => Doc::Plain(value.text().to_owned()),
            }
        }
        from(&Value::parse(text.as_bytes()).unwrap())
    }

    fn at(&mut self, pointer: &Pointer) -> &mut Doc {
        pointer.tokens().fold(self, |doc, token| match doc {
            Doc::List(items) => &mut items[token.parse::<usize>().unwrap()],
            Doc::Map(members) => members.get_mut(&units(&token)).unwrap(),
            _ => panic!("{pointer} goes through a scalar"),
        })
    }

    fn remove(&mut self, pointer: &Pointer) -> Doc {
        let mut parent = pointer.clone();
        let token = parent.pop().unwrap();
        match self.at(&parent) {
            Doc::List(items) => items.remove(token.parse().unwrap()),
            Doc::Map(members) => members.remove(&units(&token)).unwrap(),
            _ => panic!("{pointer} goes through a scalar"),
        }
    }

    fn insert(&mut self, pointer: &Pointer, value: Doc) {
        let mut parent = pointer.clone();
        let token = parent.pop().unwrap();
        match self.at(&parent) {
            Doc::List(items) => items.insert(token.parse().unwrap(), value),
            Doc::Map(members) => assert!(members.insert(units(&token), value).is_none()),
            _ => panic!("{pointer} goes through a scalar"),
        }
    }
}

/// The recipe in the documentation of `Change`. Checks every old value on the way.
fn rebuild(old: &str, diff: &Diff) -> String {
    let mut doc = Doc::read(old);
    for change in &diff.changes {
        if let ChangeKind::Changed { old, new } = &change.kind {
            let place = doc.at(change.old_pointer().unwrap());
            assert_eq!(place.canonical(), **old);
            *place = Doc::read(new);
        }
    }
    let depth = |pointer: &Pointer| pointer.tokens().count();
    // The deepest first; of one array the last first.
    let mut outgoing: Vec<(&Pointer, &Change)> = Vec::new();
    for change in &diff.changes {
        if let ChangeKind::Removed { .. } | ChangeKind::Moved { .. } = &change.kind {
            outgoing.push((change.old_pointer().unwrap(), change));
        }
    }
    let number = |pointer: &Pointer| {
        let mut parent = pointer.clone();
        let last = parent.pop().and_then(|token| token.parse::<usize>().ok());
        (depth(pointer), parent, last)
    };
    outgoing.sort_by_key(|(pointer, _)| std::cmp::Reverse(number(pointer)));
    let mut incoming: Vec<(&Pointer, Doc)> = Vec::new();
    for (pointer, change) in outgoing {
        let gone = doc.remove(pointer);
        match &change.kind {
            ChangeKind::Removed { old } => assert_eq!(gone.canonical(), **old),
            _ => incoming.push((&change.pointer, gone)),
        }
    }
    for change in &diff.changes {
        if let ChangeKind::Added { new } = &change.kind {
            incoming.push((&change.pointer, Doc::read(new)));
        }
    }
    incoming.sort_by_key(|(pointer, _)| number(pointer));
    for (pointer, value) in incoming {
        doc.insert(pointer, value);
    }
    doc.canonical()
}

/// Applies a JSON Patch, operation by operation, as RFC 6902 says.
fn apply_patch(old: &str, patch: &[u8]) -> String {
    let mut doc = Doc::read(old);
    // An operation is `op`, `path` and `value`: in canonical order, so the crate can read it.
    let patch = Value::parse(patch).unwrap();
    let Kind::Array(operations) = patch.kind() else {
        panic!("a patch is an array");
    };
    for operation in operations {
        let field = |name: &str| {
            let range = find(operation.raw(), &Pointer::root().join(name))?;
            Some(Doc::read(&operation.text()[range]))
        };
        let (Some(Doc::Text(op)), Some(Doc::Text(path))) = (field("op"), field("path")) else {
            panic!("an operation has `op` and `path`");
        };
        let path = Pointer::parse(&path).unwrap();
        match op.as_str() {
            "replace" => *doc.at(&path) = field("value").unwrap(),
            "remove" => drop(doc.remove(&path)),
            "add" => doc.insert(&path, field("value").unwrap()),
            "move" => {
                let Some(Doc::Text(from)) = field("from") else {
                    panic!("a move has a `from`");
                };
                let value = doc.remove(&Pointer::parse(&from).unwrap());
                doc.insert(&path, value);
            }
            _ => panic!("unknown operation {op}"),
        }
    }
    doc.canonical()
}

fn check(old: &str, new: &str) -> Diff {
    let diff = diff(old.as_bytes(), new.as_bytes()).unwrap();
    assert_eq!(diff.is_empty(), old == new);
    assert_eq!(rebuild(old, &diff), new);
    let mut patch = Vec::new();
    write_patch(&diff, &mut patch);
    assert_eq!(apply_patch(old, &patch), new);
    for change in &diff.changes {
        // Each pointer leads to the value it names, in the document that it is for.
        let at = |doc: &str, pointer: &Pointer| {
            find(doc.as_bytes(), pointer).map(|range| doc[range].to_owned())
        };
        match &change.kind {
            ChangeKind::Added { new: value } => {
                assert_eq!(at(new, &change.pointer).as_deref(), Some(&**value));
            }
            ChangeKind::Removed { old: value } => {
                assert_eq!(at(old, &change.pointer).as_deref(), Some(&**value));
            }
            ChangeKind::Moved { new: value } => {
                assert_eq!(at(new, &change.pointer).as_deref(), Some(&**value));
                assert!(at(old, change.old_pointer().unwrap()).is_some());
            }
            ChangeKind::Changed { old: from, new: to } => {
                assert_ne!(from, to);
                assert_eq!(at(new, &change.pointer).as_deref(), Some(&**to));
                let before = change.old_pointer().unwrap();
                assert_eq!(at(old, before).as_deref(), Some(&**from));
            }
        }
    }
    diff
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[abc]{1,2}",
        1 => prop::sample::select(vec!["id", "name", "", "a/b", "~", "~1", "0", "\u{1b}\n", "é", "\u{fb33}", "😀"])
            .prop_map(str::to_owned),
    ]
}

fn scalar() -> impl Strategy<Value = Doc> {
    let plain = vec![
        "null",
        "true",
        "false",
        "0",
        "1",
        "2",
        "-1.5",
        "9007199254740993",
        "1e+400",
        "0.1000000000000000055511151231257827021181583404541015625",
    ];
    prop_oneof![
        3 => prop::sample::select(plain).prop_map(|text| Doc::Plain(text.to_owned())),
        1 => name().prop_map(Doc::Text),
        1 => any::<String>().prop_map(Doc::Text),
        1 => any::<i32>().prop_map(|number| Doc::Plain(number.to_string())),
    ]
}

fn doc() -> impl Strategy<Value = Doc> {
    scalar().prop_recursive(5, 60, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Doc::List),
            prop::collection::vec((name(), inner), 0..6).prop_map(|members| Doc::Map(
                members.into_iter().map(|(n, v)| (units(&n), v)).collect()
            )),
        ]
    })
}

/// One random edit somewhere in a document; `choices` decides where and what.
fn edit(doc: &mut Doc, choices: &mut dyn Iterator<Item = usize>, value: &Doc) {
    let mut next = |below: usize| choices.next().unwrap_or(0) % below.max(1);
    match doc {
        Doc::List(items) => match next(5) {
            4 if items.len() > 1 => {
                let item = items.remove(next(items.len()));
                items.insert(next(items.len() + 1), item);
            }
            0 => items.insert(next(items.len() + 1), value.clone()),
            1 if !items.is_empty() => drop(items.remove(next(items.len()))),
            _ if !items.is_empty() => {
                let at = next(items.len());
                edit(&mut items[at], choices, value);
            }
            _ => items.push(value.clone()),
        },
        Doc::Map(members) => {
            let name = members.keys().nth(next(members.len())).cloned();
            match (next(4), name) {
                (0, Some(name)) => drop(members.remove(&name)),
                (1, _) | (_, None) => drop(members.insert(units("new"), value.clone())),
                (_, Some(name)) => {
                    edit(members.get_mut(&name).unwrap(), choices, value);
                }
            }
        }
        _ => *doc = value.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_new_document_is_rebuilt_from_any_old_one(old in doc(), new in doc()) {
        check(&old.canonical(), &new.canonical());
    }

    #[test]
    fn the_new_document_is_rebuilt_after_edits(
        old in doc(),
        edits in prop::collection::vec((prop::collection::vec(0..1000_usize, 12), doc()), 0..6),
    ) {
        let mut new = old.clone();
        for (choices, value) in &edits {
            edit(&mut new, &mut choices.iter().copied(), value);
        }
        check(&old.canonical(), &new.canonical());
    }

    #[test]
    fn the_new_array_is_rebuilt_after_any_shuffle(
        old in prop::collection::vec((0..30_u8, 0..3_u8), 0..20),
        new in prop::collection::vec((0..30_u8, 0..3_u8), 0..20),
        key in prop::sample::select(vec!["id", "n"]),
        inner in any::<bool>(),
    ) {
        // Some are on both sides, in any order, with or without a key; lists inside change too.
        let text = |rows: &[(u8, u8)]| {
            let mut seen = std::collections::HashSet::new();
            let row = |&(n, v): &(u8, u8)| match inner {
                true => {
                    let list: Vec<String> = (0..v).rev().map(|i| (i * n % 5).to_string()).collect();
                    format!(r#"{{"{key}":{n},"v":[{}]}}"#, list.join(","))
                }
                false => n.to_string(),
            };
            let rows = rows.iter().filter(|(n, _)| seen.insert(*n)).map(row);
            format!("[{}]", rows.collect::<Vec<_>>().join(","))
        };
        check(&text(&old), &text(&new));
    }

    #[test]
    fn the_new_array_is_rebuilt_where_elements_repeat(
        old in prop::collection::vec(0..4_u8, 0..60),
        new in prop::collection::vec(0..4_u8, 0..60),
    ) {
        let text = |list: &[u8]| format!("{list:?}").replace(' ', "");
        check(&text(&old), &text(&new));
    }

    #[test]
    fn tables_are_rebuilt_after_row_edits(
        old in prop::collection::vec((0..30_u8, 0..3_u8), 0..40),
        new in prop::collection::vec((0..30_u8, 0..3_u8), 0..40),
    ) {
        let row = |(id, v): &(u8, u8)| format!(r#"{{"id":{id},"v":{v},"w":[{v}]}}"#);
        let text = |rows: &[(u8, u8)]| {
            format!("[{}]", rows.iter().map(row).collect::<Vec<_>>().join(","))
        };
        check(&text(&old), &text(&new));
    }

    #[test]
    fn both_forms_are_well_formed(old in doc(), new in doc(), value_limit in 0..40_usize) {
        // serde_json cannot hold the numbers that a double cannot.
        let [old, new] = [old, new].map(|doc| doc.canonical().replace("1e+400", "17"));
        let diff = diff(old.as_bytes(), new.as_bytes()).unwrap();
        let mut json = Vec::new();
        write_json(&diff, Some("a@1"), None, &mut json);
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        prop_assert_eq!(json["changes"].as_array().map(Vec::len), Some(diff.changes.len()));
        prop_assert_eq!(&json["same"], &serde_json::Value::Bool(old == new));
        let options = TextOptions { value_limit, max_changes: Some(5), ..TextOptions::default() };
        let mut text = String::new();
        write_text(&diff, &options, &mut text);
        // The places inside a long string stand indented below its change.
        let lines = text.lines().filter(|line| !line.starts_with("    ")).count();
        prop_assert_eq!(lines, diff.changes.len().min(5) + 1 + usize::from(diff.changes.len() > 5));
        prop_assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    }

    #[test]
    fn a_changed_text_is_one_change_and_the_places_below_it(
        old in prop::collection::vec(prop::sample::select(vec!["one", "two", " ", "\n", "\u{1f300}", "\u{1b}"]), 0..30),
        new in prop::collection::vec(prop::sample::select(vec!["one", "two", " ", "\n", "\u{1f300}", "\u{1b}"]), 0..30),
        value_limit in 0..40_usize,
    ) {
        let [old, new] = [old, new].map(|words| Doc::Text(words.concat()).canonical());
        let options = TextOptions { value_limit, ..TextOptions::default() };
        let mut text = String::new();
        write_text(&diff(old.as_bytes(), new.as_bytes()).unwrap(), &options, &mut text);
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("    ")).collect();
        prop_assert_eq!(lines.len(), 1 + usize::from(old != new));
        prop_assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    }

    #[test]
    fn differences_of_integers_are_those_of_i128(old in any::<i128>(), new in any::<i128>()) {
        let (old, new) = (old / 2, new / 2);
        let got = number_difference(&old.to_string(), &new.to_string()).unwrap();
        prop_assert_eq!(expand(&got), (new - old).to_string());
    }

    #[test]
    fn differences_of_decimals_are_those_of_scaled_integers(
        old in any::<i64>(), new in any::<i64>(), old_places in 0..18_u32, new_places in 0..18_u32,
    ) {
        // Both in units of 10^-18.
        let scaled = |number: i64, places: u32| i128::from(number) * 10_i128.pow(18 - places);
        let difference = scaled(new, new_places) - scaled(old, old_places);
        let got = number_difference(
            &format!("{old}e-{old_places}"),
            &format!("{new}E-{new_places}"),
        ).unwrap();
        let back = number_difference(&format!("{difference}e-18"), &got);
        prop_assert_eq!(back.as_deref(), Some("0"));
    }

    #[test]
    fn pointers_round_trip(tokens in prop::collection::vec(any::<String>(), 0..6)) {
        let mut pointer = Pointer::root();
        tokens.iter().for_each(|token| pointer.push(token));
        let parsed = Pointer::parse(&pointer.to_string()).unwrap();
        prop_assert_eq!(&parsed, &pointer);
        let back: Vec<String> = parsed.tokens().map(|token| token.into_owned()).collect();
        prop_assert_eq!(back, tokens);
    }

    #[test]
    fn find_agrees_with_serde_json(
        doc in doc(),
        tokens in prop::collection::vec(prop_oneof![name(), (0..4_u8).prop_map(|i| i.to_string()), Just("-".into()), Just("01".into())], 0..4),
    ) {
        // serde_json cannot hold the numbers that a double cannot.
        let text = doc.canonical().replace("1e+400", "17");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut pointer = Pointer::root();
        for token in std::iter::once(None).chain(tokens.iter().map(Some)) {
            token.into_iter().for_each(|token| pointer.push(token));
            let expected = value.pointer(pointer.as_str());
            let got = find(text.as_bytes(), &pointer);
            let got: Option<serde_json::Value> = got.map(|range| serde_json::from_str(&text[range]).unwrap());
            prop_assert_eq!(got.as_ref(), expected);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in any::<String>()) {
        hostile(&bytes, &text);
    }

    #[test]
    fn almost_right_text_never_panics(text in "[\\[\\]{}\",:0-9eE+\\-.a-fnulTZ~/@\\\\ \u{1b}é]{0,40}") {
        hostile(text.as_bytes(), &text);
    }

    #[test]
    fn mutated_documents_never_panic(doc in doc(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = doc.canonical().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        hostile(&bytes, "/a/0");
        bytes.truncate(at);
        hostile(&bytes, "/0/a");
    }

    #[test]
    fn times_round_trip(time in -62_135_596_800_000_000..=253_402_300_799_999_999_i64) {
        let text = format_utc(time);
        prop_assert_eq!(parse_time(&text), Ok(time));
        prop_assert_eq!(Spec::parse(&text), Ok(Spec::Time(time)));
        let chrono = chrono::DateTime::parse_from_rfc3339(&text).unwrap();
        prop_assert_eq!(chrono.timestamp_micros(), time);
        let end = parse_day_end(&text[..10]).unwrap();
        prop_assert!((0..86_400_000_000).contains(&(end - time)));
    }

    #[test]
    fn a_tag_is_what_is_read_as_a_tag(text in "(latest|b3:|[-~@/]|[0-9-]{1,10}|[a-z]{1,3}){0,3}") {
        let read = Spec::parse(&text) == Ok(Spec::Tag(text.clone()));
        prop_assert_eq!(check_tag_name(&text).is_ok(), read);
        if let Ok(spec) = Spec::parse(&text) {
            prop_assert_eq!(Spec::parse(&spec.to_string()), Ok(spec));
        }
    }
}

/// Writes the integer `d.ddde+n` without its exponent.
fn expand(number: &str) -> String {
    let Some((mantissa, exponent)) = number.split_once("e+") else {
        return number.to_owned();
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let zeros = exponent.parse::<usize>().unwrap() - fraction.len();
    format!("{whole}{fraction}{}", "0".repeat(zeros))
}

fn hostile(bytes: &[u8], text: &str) {
    if let Ok(value) = Value::parse(bytes) {
        assert_eq!(value.raw(), bytes);
    }
    let _ = diff(bytes, text.as_bytes());
    let _ = diff(bytes, b"{}");
    for pointer in [Pointer::parse(text).unwrap_or_default(), Pointer::root()] {
        if let Some(range) = find(bytes, &pointer) {
            assert!(range.start <= range.end && range.end <= bytes.len());
        }
    }
    let _ = (
        Revision::parse(text),
        Spec::parse(text),
        check_tag_name(text),
    );
    let _ = (check_path(text), parse_time(text), parse_day_end(text));
    let _ = (number_difference(text, "1"), percent_difference("1", text));
}

fn numbers(range: impl Iterator<Item = usize>) -> String {
    let items: Vec<String> = range.map(|i| i.to_string()).collect();
    format!("[{}]", items.join(","))
}

#[test]
fn one_element_more_or_less_is_one_change() {
    let all = numbers(0..1000);
    for missing in [0, 1, 500, 998, 999] {
        let fewer = numbers((0..1000).filter(|&i| i != missing));
        for (old, new) in [(&all, &fewer), (&fewer, &all)] {
            let changes = check(old, new).changes;
            assert_eq!(changes.len(), 1);
            assert_eq!(changes[0].pointer.to_string(), format!("/{missing}"));
        }
    }
}

#[test]
fn one_field_in_a_table_is_one_change() {
    let table = |changed: usize| {
        let row = |i| {
            format!(
                r#"{{"id":{i},"tags":["a","b"],"v":{}}}"#,
                usize::from(i == changed)
            )
        };
        let rows: Vec<String> = (0..1000).map(row).collect();
        format!(r#"{{"rows":[{}]}}"#, rows.join(","))
    };
    let changes = check(&table(9999), &table(321)).changes;
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].pointer.as_str(), "/rows/321/v");
}

/// The worst arrays: each must end in a few seconds even without optimization.
#[test]
fn huge_arrays_with_huge_differences_have_bounded_work() {
    let start = Instant::now();
    let different = |from: usize| numbers(from..from + 50_000);
    let changes = diff(different(0).as_bytes(), different(1_000_000).as_bytes());
    assert_eq!(changes.unwrap().changes.len(), 50_000);

    // Nothing but repeats: the longest common subsequence would take 50,000² steps.
    let repeats = |factor: usize| numbers((0..50_000).map(move |i| i * i * factor % 10_007 % 5));
    let changes = diff(repeats(3).as_bytes(), repeats(5).as_bytes()).unwrap();
    assert!(changes.changes.len() < 40_000, "{}", changes.changes.len());

    // The same elements in another order.
    let shuffled = numbers((0..50_000).map(|i| i * 7919 % 50_021));
    diff(different(0).as_bytes(), shuffled.as_bytes()).unwrap();

    // Tables of rows that are all alike and all different.
    let rows = |seed: usize| {
        let row = |i: usize| format!(r#"{{"a":{},"b":{i},"c":{seed}}}"#, i * seed % 7);
        let rows: Vec<String> = (0..50_000).map(row).collect();
        format!("[{}]", rows.join(","))
    };
    diff(rows(3).as_bytes(), rows(5).as_bytes()).unwrap();
    assert!(start.elapsed() < Duration::from_secs(60));
}
