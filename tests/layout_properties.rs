//! Layouts: documents of any kind, written by writers of any kind, come back byte for byte.
//!
//! The writer here is independent of the module under test: it writes values, not canonical bytes.

use std::io::Write as _;
use std::process::{Command, Stdio};

use backstory::canon::{NanMode, canonicalize_with};
use backstory::layout::{Layout, LayoutError};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Json {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Array(Vec<Json>),
    /// Names are distinct.
    Object(Vec<(String, Json)>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Letters {
    Raw,
    Ascii,
    AsciiUpper,
    Html,
    Slashes,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Figures {
    EcmaScript,
    Python,
    Java,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Order {
    Sorted,
    /// One list of names for all objects.
    Global,
    /// Each set of names has an order of its own.
    PerSet,
}

#[derive(Clone, Debug)]
struct Writer {
    /// `None` writes all on one line.
    indent: Option<&'static str>,
    line_end: &'static str,
    comma: &'static str,
    colon: &'static str,
    padding: &'static str,
    empty_over_lines: bool,
    scalar_arrays_flat: bool,
    letters: Letters,
    figures: Figures,
    order: Order,
    seed: u64,
    end: &'static str,
}

impl Writer {
    fn write(&self, value: &Json) -> String {
        let mut out = String::new();
        self.value(value, 0, &mut out);
        out.push_str(self.end);
        out
    }

    fn value(&self, value: &Json, level: usize, out: &mut String) {
        match value {
            Json::Null => out.push_str("null"),
            Json::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Json::Integer(i) => out.push_str(&i.to_string()),
            Json::Float(x) => out.push_str(&self.float(*x)),
            Json::Text(text) => self.text(text, out),
            Json::Array(items) => {
                let leaf = !items
                    .iter()
                    .any(|v| matches!(v, Json::Array(_) | Json::Object(_)));
                let flat = self.indent.is_none() || (self.scalar_arrays_flat && leaf);
                self.container(
                    ['[', ']'],
                    items.len(),
                    flat,
                    level,
                    out,
                    |i, level, out| {
                        self.value(&items[i], level, out);
                    },
                );
            }
            Json::Object(members) => {
                let mut order: Vec<usize> = (0..members.len()).collect();
                let set: u64 = members.iter().map(|(name, _)| hash(self.seed, name)).sum();
                match self.order {
                    Order::Sorted => order.sort_by(|&a, &b| {
                        members[a].0.encode_utf16().cmp(members[b].0.encode_utf16())
                    }),
                    Order::Global => order.sort_by_key(|&i| hash(self.seed, &members[i].0)),
                    Order::PerSet => order.sort_by_key(|&i| hash(set, &members[i].0)),
                }
                let flat = self.indent.is_none();
                self.container(
                    ['{', '}'],
                    members.len(),
                    flat,
                    level,
                    out,
                    |i, level, out| {
                        let (name, value) = &members[order[i]];
                        self.text(name, out);
                        out.push_str(self.colon);
                        self.value(value, level, out);
                    },
                );
            }
        }
    }

    fn container(
        &self,
        brackets: [char; 2],
        count: usize,
        flat: bool,
        level: usize,
        out: &mut String,
        mut item: impl FnMut(usize, usize, &mut String),
    ) {
        let line = |level: usize, out: &mut String| {
            out.push_str(self.line_end);
            out.push_str(&self.indent.unwrap_or("").repeat(level));
        };
        out.push(brackets[0]);
        if count == 0 {
            if self.empty_over_lines && !flat {
                line(level, out);
            }
        } else if flat {
            out.push_str(self.padding);
            for index in 0..count {
                if index > 0 {
                    out.push_str(self.comma);
                }
                item(index, level, out);
            }
            out.push_str(self.padding);
        } else {
            for index in 0..count {
                if index > 0 {
                    out.push(',');
                }
                line(level + 1, out);
                item(index, level + 1, out);
            }
            line(level, out);
        }
        out.push(brackets[1]);
    }

    fn text(&self, text: &str, out: &mut String) {
        out.push('"');
        for c in text.chars() {
            let unicode = match c {
                '"' => {
                    out.push_str("\\\"");
                    continue;
                }
                '\\' => {
                    out.push_str("\\\\");
                    continue;
                }
                '\n' => {
                    out.push_str("\\n");
                    continue;
                }
                '\t' => {
                    out.push_str("\\t");
                    continue;
                }
                '\r' => {
                    out.push_str("\\r");
                    continue;
                }
                '\u{8}' | '\u{c}' if self.letters != Letters::Html => {
                    out.push_str(if c == '\u{8}' { "\\b" } else { "\\f" });
                    continue;
                }
                '/' if self.letters == Letters::Slashes => {
                    out.push_str("\\/");
                    continue;
                }
                '\0'..='\u{1f}' => true,
                '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => self.letters == Letters::Html,
                _ => false,
            };
            let ascii_only = matches!(self.letters, Letters::Ascii | Letters::AsciiUpper);
            if unicode || (ascii_only && !c.is_ascii()) {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    if self.letters == Letters::AsciiUpper && !c.is_ascii() {
                        out.push_str(&format!("\\u{unit:04X}"));
                    } else {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
            } else {
                out.push(c);
            }
        }
        out.push('"');
    }

    fn float(&self, x: f64) -> String {
        let scientific = format!("{x:e}");
        let (mantissa, exponent) = scientific.split_once('e').unwrap();
        let exponent: i32 = exponent.parse().unwrap();
        let (plain, letter, point) = match self.figures {
            Figures::EcmaScript => (-6..=20, 'e', ""),
            Figures::Python => (-4..=15, 'e', ""),
            Figures::Java => (-3..=6, 'E', ".0"),
        };
        if plain.contains(&exponent) {
            let text = format!("{x}");
            return match self.figures {
                Figures::EcmaScript => text,
                _ if text.contains('.') => text,
                _ => text + ".0",
            };
        }
        let point = if mantissa.contains('.') { "" } else { point };
        match self.figures {
            Figures::EcmaScript => format!("{mantissa}e{exponent:+}"),
            Figures::Python => format!("{mantissa}e{exponent:+03}"),
            Figures::Java => format!("{mantissa}{point}{letter}{exponent}"),
        }
    }
}

fn hash(seed: u64, name: &str) -> u64 {
    name.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |state, b| {
        let mixed = (state ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
        mixed ^ mixed >> 29
    }) >> 8
}

fn writer() -> impl Strategy<Value = Writer> {
    let space = (
        prop::sample::select(vec![
            None,
            Some("  "),
            Some("    "),
            Some("\t"),
            Some(" "),
            Some(""),
        ]),
        prop::sample::select(vec!["\n", "\r\n"]),
        prop::sample::select(vec![",", ", ", " , "]),
        prop::sample::select(vec![":", ": ", " : "]),
        prop::sample::select(vec!["", " "]),
        prop::sample::select(vec!["", "\n", "\r\n", "\n\n", " "]),
    );
    let spelling = (
        prop::sample::select(vec![
            Letters::Raw,
            Letters::Ascii,
            Letters::AsciiUpper,
            Letters::Html,
            Letters::Slashes,
        ]),
        prop::sample::select(vec![Figures::EcmaScript, Figures::Python, Figures::Java]),
        prop::sample::select(vec![Order::Sorted, Order::Global, Order::PerSet]),
    );
    (space, spelling, any::<(bool, bool, u64)>()).prop_map(
        |((indent, line_end, comma, colon, padding, end), (letters, figures, order), flags)| {
            Writer {
                indent,
                line_end,
                comma,
                colon,
                padding,
                empty_over_lines: flags.0,
                scalar_arrays_flat: flags.1,
                letters,
                figures,
                order,
                seed: flags.2,
                end,
            }
        },
    )
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(vec![
            "id", "name", "value", "items", "x", "y", "type", "zeta", "alpha", "a/b", "é", "Ω",
        ])
        .prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

/// The name decides whether a member's numbers are floats, as it does in most programs.
fn fit(name: &str, value: Json) -> Json {
    let floats = hash(1, name).is_multiple_of(2);
    match value {
        Json::Integer(i) if floats => Json::Float(i as f64),
        Json::Float(x) if !floats => Json::Integer(x as i32 as i64),
        Json::Array(items) => Json::Array(items.into_iter().map(|v| fit(name, v)).collect()),
        other => other,
    }
}

fn float() -> impl Strategy<Value = f64> {
    prop_oneof![
        3 => (-1_000_000i32..1_000_000).prop_map(|x| f64::from(x) / 1000.0),
        2 => (-1000i32..1000).prop_map(f64::from),
        1 => any::<f64>().prop_filter("finite, and not -0.0", |x| x.is_normal()),
    ]
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        (-100_000i64..100_000).prop_map(Json::Integer),
        float().prop_map(Json::Float),
        "[a-z<>&/é\u{2028}😀\"\\\\\u{8}\u{1}\n]{0,12}".prop_map(Json::Text),
        any::<String>().prop_map(Json::Text),
    ];
    leaf.prop_recursive(6, 200, 10, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Json::Array),
            prop::collection::vec((name(), inner), 0..8).prop_map(|members| {
                let mut distinct: Vec<(String, Json)> = Vec::new();
                for (name, value) in members {
                    if distinct.iter().all(|(known, _)| *known != name) {
                        let value = fit(&name, value);
                        distinct.push((name, value));
                    }
                }
                Json::Object(distinct)
            }),
        ]
    })
}

fn canonical(source: &[u8]) -> (Vec<u8>, bool) {
    let (canonical, outcome) = canonicalize_with(source, NanMode::Tag).expect("a JSON text");
    (canonical, outcome.tagged)
}

fn rendered(layout: &Layout, canonical: &[u8], nan: bool) -> Result<Vec<u8>, LayoutError> {
    let mut out = b"before".to_vec();
    let result = layout.render(canonical, nan, &mut out);
    assert_eq!(&out[..6], b"before");
    result.map(|()| out.split_off(6))
}

/// A layout of `source`, after everything that has to hold of it.
fn checked(source: &str) -> Option<Layout> {
    let source = source.as_bytes();
    let (canonical, nan) = canonical(source);
    let layout = Layout::infer(source, &canonical, nan)?;
    check(&layout, source, &canonical, nan);
    assert_eq!(
        Layout::infer(source, &canonical, nan).as_ref(),
        Some(&layout)
    );
    Some(layout)
}

fn check(layout: &Layout, source: &[u8], canonical: &[u8], nan: bool) {
    let bytes = layout.encode();
    let decoded = Layout::decode(&bytes).expect("what was encoded");
    assert_eq!(&decoded, layout);
    assert_eq!(decoded.encode(), bytes);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(
        rendered(&decoded, canonical, nan).map(|b| text(&b)),
        Ok(text(source))
    );
    assert!(layout.renders_to(canonical, nan, source));
    assert!(decoded.renders_to(canonical, nan, source));
}

fn next_version(value: &Json) -> Json {
    match value {
        Json::Integer(i) => Json::Integer(i + 7),
        Json::Float(x) => Json::Float(x + 0.5),
        Json::Text(text) => Json::Text(format!("{text}!")),
        Json::Array(items) => {
            let mut items: Vec<Json> = items.iter().map(next_version).collect();
            if let Some(last) = items.last().cloned() {
                items.push(last);
            }
            Json::Array(items)
        }
        Json::Object(members) => Json::Object(
            members
                .iter()
                .map(|(name, value)| (name.clone(), next_version(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 600 } else { 4000 }))]

    #[test]
    fn any_writer_is_described(value in json(), writer in writer()) {
        let source = writer.write(&value);
        prop_assert!(checked(&source).is_some(), "no layout: {source}");
    }

    #[test]
    fn a_changed_source_is_told_apart(value in json(), writer in writer(), place in any::<u16>(), by in 1u8..=255) {
        let source = writer.write(&value).into_bytes();
        let (canonical, nan) = canonical(&source);
        let layout = Layout::infer(&source, &canonical, nan).expect("a layout");
        let mut changed = source.clone();
        let place = place as usize % changed.len();
        changed[place] = changed[place].wrapping_add(by);
        prop_assert!(!layout.renders_to(&canonical, nan, &changed));
        prop_assert!(!layout.renders_to(&canonical, nan, &source[..place]));
        changed = source;
        changed.push(b'\n');
        prop_assert!(!layout.renders_to(&canonical, nan, &changed));
    }

    /// A layout taken from one document and used on another: comparing and rendering agree.
    #[test]
    fn comparing_agrees_with_rendering(one in json(), other in json(), first in writer(), second in writer()) {
        let source = first.write(&one).into_bytes();
        let (canonical_one, nan) = canonical(&source);
        let layout = Layout::infer(&source, &canonical_one, nan).expect("a layout");
        for writer in [&first, &second] {
            let source = writer.write(&other).into_bytes();
            let (canonical_other, nan) = canonical(&source);
            let agrees = match rendered(&layout, &canonical_other, nan) {
                Ok(text) => {
                    prop_assert!(layout.renders_to(&canonical_other, nan, &text));
                    text == source
                }
                Err(_) => false,
            };
            prop_assert_eq!(layout.renders_to(&canonical_other, nan, &source), agrees);
            let next = Layout::infer_from(&layout, &source, &canonical_other, nan);
            prop_assert!(next.is_some());
            check(&next.unwrap(), &source, &canonical_other, nan);
        }
    }

    #[test]
    fn a_chain_of_layouts_comes_to_rest(value in json(), writer in writer()) {
        let mut layout: Option<Layout> = None;
        let versions = [value.clone(), next_version(&value), next_version(&next_version(&value))];
        for version in versions.iter().chain(&versions) {
            let source = writer.write(version).into_bytes();
            let (canonical, nan) = canonical(&source);
            layout = match layout {
                Some(layout) if layout.renders_to(&canonical, nan, &source) => Some(layout),
                Some(layout) => Layout::infer_from(&layout, &source, &canonical, nan),
                None => Layout::infer(&source, &canonical, nan),
            };
            prop_assert!(layout.is_some(), "no layout: {}", String::from_utf8_lossy(&source));
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        hostile(&bytes);
        let mut versioned = vec![1];
        versioned.extend(bytes);
        hostile(&versioned);
    }

    #[test]
    fn a_damaged_layout_renders_within_bounds(
        value in json(),
        writer in writer(),
        damage in prop::collection::vec((any::<u16>(), any::<u8>()), 1..4),
    ) {
        let source = writer.write(&value);
        let mut bytes = checked(&source).expect("a layout").encode();
        for (place, value) in damage {
            let place = place as usize % bytes.len();
            bytes[place] = value;
        }
        hostile(&bytes);
    }
}

/// Decodes what may be anything, and renders with it what may be anything.
fn hostile(bytes: &[u8]) {
    let Ok(layout) = Layout::decode(bytes) else {
        return;
    };
    assert_eq!(layout.encode(), bytes);
    let deep = format!("{}1.5{}", "[".repeat(1024), "]".repeat(1024));
    for canonical in [
        &br#"{"id":1.5,"items":[1,[],{},"\"\\\u0001\b\xe9",1e-7],"name":{"x":-10,"y":null}}"#[..],
        br#"[{"$number":"NaN"},{"$number":"-Infinity"}]"#,
        deep.as_bytes(),
        b"",
        b"{",
        b"[1,",
        b"{\"a\"}",
        b"\"\\",
        b"[-]e",
        b"\"\xff\xf4\"",
    ] {
        for nan in [false, true] {
            match rendered(&layout, canonical, nan) {
                Ok(text) => {
                    assert!(text.len() <= 64 * canonical.len() + 64 * 1024);
                    assert!(layout.renders_to(canonical, nan, &text));
                }
                Err(_) => assert!(!layout.renders_to(canonical, nan, canonical)),
            }
        }
    }
}

#[test]
fn a_rendering_is_bounded() {
    // An indentation of 64 spaces at 1,024 levels would be 64 MiB.
    let deep = |count: usize| format!("{}{}", "[".repeat(count), "]".repeat(count));
    let unit = " ".repeat(64);
    let source = format!("[\n{unit}[\n{unit}{unit}1\n{unit}]\n]");
    let layout = checked(&source).expect("a layout");
    let mut out = Vec::new();
    assert_eq!(
        layout.render(deep(1024).as_bytes(), false, &mut out),
        Err(LayoutError::TooLarge)
    );
    assert!(out.is_empty());
    assert_eq!(
        layout.render(deep(1025).as_bytes(), false, &mut out),
        Err(LayoutError::NotCanonical)
    );
}

#[test]
fn versions_to_come_are_told_from_damage() {
    assert_eq!(Layout::decode(&[2, 0]).err(), Some(LayoutError::Version(2)));
    assert!(matches!(
        Layout::decode(&[]),
        Err(LayoutError::Malformed(_))
    ));
}

/// Source, then the versions its layout serves.
#[test]
fn a_layout_serves_the_next_versions() {
    let cases: &[&[&str]] = &[
        // Values, longer arrays, arrays that become empty or stop being it.
        &[
            "{\n  \"b\": [\n    1,\n    2\n  ],\n  \"a\": {}\n}\n",
            "{\n  \"b\": [],\n  \"a\": {\n    \"x\": 1\n  }\n}\n",
            "{\n  \"b\": [\n    1,\n    2,\n    3\n  ],\n  \"a\": {}\n}\n",
        ],
        // A member that is new comes last; one that is gone changes nothing.
        &[
            r#"{"z": 1, "m": 2, "a": 3}"#,
            r#"{"z": 1, "a": 3}"#,
            r#"{"z": 1, "m": 2, "a": 3, "b": 4}"#,
        ],
        // Two objects that share names order those they have not had together.
        &[
            r#"[{"c":1,"b":2},{"b":1,"a":2}]"#,
            r#"[{"c":1,"b":2,"a":3}]"#,
        ],
        // Floats by name.
        &[
            r#"{"lr": 1.0, "n": 1, "loss": [0.5, 1.0]}"#,
            r#"{"lr": 2.0, "n": 3, "loss": [1e-05, 10.0, 1e+16]}"#,
        ],
        // ensure_ascii, Go, PHP.
        &[r#"["\u00e9"]"#, r#"["\u00fc \ud83d\ude00 / <"]"#],
        &[r#"["\u003c"]"#, r#"["\u003e\u0026\u2028é"]"#],
        &[r#"["a\/b"]"#, r#"["\/"]"#],
        // Fixed decimals.
        &[r#"{"p":1.50}"#, r#"{"p":2.00}"#, r#"{"p":0.25}"#],
        // One record a line; arrays of scalars on one line.
        &[
            "[\n{\"b\":1,\"a\":[2]},\n{\"b\":3,\"a\":[]}\n]\n",
            "[\n{\"b\":1,\"a\":[]}\n]\n",
        ],
        &[
            "{\n  \"p\": [1, 2],\n  \"q\": [\n    [1, 2],\n    [3, 4]\n  ]\n}",
            "{\n  \"p\": [],\n  \"q\": [\n    [1]\n  ]\n}",
        ],
        // NaN.
        &["[NaN, -Infinity, 1.0]", "[1.0, Infinity]"],
    ];
    for versions in cases {
        let layout = checked(versions[0]).expect("a layout");
        for version in &versions[1..] {
            let (canonical, nan) = canonical(version.as_bytes());
            let text = rendered(&layout, &canonical, nan).map(|b| String::from_utf8(b).unwrap());
            assert_eq!(text.as_deref(), Ok(*version), "{layout:#?}");
        }
    }
}

/// What one version shows is still known after one that does not show it.
#[test]
fn a_chain_keeps_what_it_knows() {
    let versions = [
        "{\n\t\"b\": 1.0,\n\t\"a\": [ ],\n\t\"t\": \"\\u00e9\"\n}\n",
        "{\n\t\"t\": \"e\",\n\t\"s\": 7\n}\n",
        "{\n\t\"b\": 0.5,\n\t\"a\": [\n\t\t1\n\t],\n\t\"t\": \"\"\n}\n",
        "{\n\t\"b\": 3.0,\n\t\"a\": [ ],\n\t\"t\": \"\\u00fc\",\n\t\"s\": 8\n}\n",
    ];
    let mut layout = checked(versions[0]).expect("a layout");
    for version in &versions[1..] {
        let (canonical, nan) = canonical(version.as_bytes());
        if !layout.renders_to(&canonical, nan, version.as_bytes()) {
            layout =
                Layout::infer_from(&layout, version.as_bytes(), &canonical, nan).expect("a layout");
        }
        check(&layout, version.as_bytes(), &canonical, nan);
    }
    for version in versions {
        let (canonical, nan) = canonical(version.as_bytes());
        assert!(
            layout.renders_to(&canonical, nan, version.as_bytes()),
            "{version}"
        );
    }
}

#[test]
fn what_follows_no_rule_is_an_exception() {
    let filler = r#"{"b": 1, "a": 2}, "#.repeat(200);
    let source = format!(
        r#"[{filler}{{"a": 1, "b": -0.0}}, {{"b":1E5, "a": "\u0041"}},{{"b": 1 , "a" : [ ]}}, -0]"#
    );
    let layout = checked(&source).expect("a layout");
    assert!(layout.encode().len() < 200, "{layout:#?}");
    // Nothing but exceptions is no layout.
    let source = format!("[{}]", ["1E0,1.00e0,10e-1,-0e1"; 500].join(","));
    let (canonical, nan) = canonical(source.as_bytes());
    assert_eq!(Layout::infer(source.as_bytes(), &canonical, nan), None);
}

#[test]
fn other_documents_have_no_layout() {
    for (source, canonical) in [
        ("[1]", "[1,2]"),
        ("{\"a\":1}", "{\"b\":1}"),
        ("[true]", "[false]"),
        ("[1]", "{}"),
        ("[1", "[1]"),
        ("[1]", ""),
        ("", "[1]"),
    ] {
        assert_eq!(
            Layout::infer(source.as_bytes(), canonical.as_bytes(), false),
            None,
            "{source}"
        );
    }
}

const PYTHON: &str = r#"
import itertools, json, math, sys
sets = [
    {"step": 1, "loss": 0.5, "lr": 1e-05, "note": "é/😀\u2028<&>\x7f\x08\x01", "tags": [], "empty": {}, "big": 1e16, "n": [1.0, 2.5, -3.0, 1e22, 123456789012345680.0]},
    [{"z": i, "a": i / 4, "m": {"y": float(i), "x": [i, None, True]}} for i in range(40)],
    {"w": [float("nan"), float("inf"), -float("inf"), 0.0001, 0.00001234], "s": "\ud7ff\ue000\U0010ffff"},
    [], {}, 0.1, "text", None, [[[[]]]], [[1.5, 2.0], [3.0]],
]
for value in sets:
    for ascii, indent, separators, sort in itertools.product((True, False), (None, 0, 1, 2, 4, "\t"), (None, (",", ":"), (", ", " : ")), (True, False)):
        print(json.dumps(json.dumps(value, ensure_ascii=ascii, indent=indent, separators=separators, sort_keys=sort)))
"#;

#[test]
fn python_writes_nothing_that_is_not_described() {
    let child = Command::new("python3")
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("skipped: python3 is not installed");
        return;
    };
    child
        .stdin
        .take()
        .unwrap()
        .write_all(PYTHON.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let mut count = 0;
    for line in output
        .stdout
        .split(|&b| b == b'\n')
        .filter(|line| !line.is_empty())
    {
        let source: String = serde_json::from_slice(line).unwrap();
        let layout = checked(&source).unwrap_or_else(|| panic!("no layout: {source}"));
        assert!(layout.encode().len() < 300, "{source}\n{layout:#?}");
        count += 1;
    }
    assert_eq!(count, 10 * 2 * 6 * 3 * 2);
}

/// Time is linear: none of these may take more than an instant.
#[test]
fn documents_made_to_be_slow() {
    let many = |item: &dyn Fn(usize) -> String, count: usize, separator: &str| {
        (0..count).map(item).collect::<Vec<_>>().join(separator)
    };
    let reversed = format!(
        "{{{}}}",
        many(&|i| format!("\"{:06}\":{i}", 99_999 - i), 100_000, ",")
    );
    let distinct = format!(
        "[{}]",
        many(
            &|i| format!("{{\"z{i}\":1,\"y{}\":2,\"x\":{i}}}", i % 97),
            20_000,
            ","
        )
    );
    let cyclic = format!(
        "[{}]",
        many(
            &|i| format!("{{\"{}\":1,\"{}\":2}}", i * 7919 % 1009, i * 104_729 % 1013),
            20_000,
            ","
        )
    );
    let deep = format!("{}{}", "[\n ".repeat(1024), "]".repeat(1024));
    let lines = format!("[{}]", many(&|i| i.to_string(), 100_000, ",\n\n\n"));
    for source in [reversed, distinct, cyclic, deep, lines] {
        let Ok((canonical, _)) = canonicalize_with(source.as_bytes(), NanMode::Tag) else {
            continue;
        };
        let first = Layout::infer(source.as_bytes(), &canonical, false);
        if let Some(layout) = &first {
            check(layout, source.as_bytes(), &canonical, false);
            assert!(Layout::infer_from(layout, source.as_bytes(), &canonical, false).is_some());
        }
    }
}
