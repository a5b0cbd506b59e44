//! Properties of the canonical form, over random documents, random spellings of them, and random bytes.

use std::io::Write as _;
use std::process::{Command, Stdio};

use backstory::canon::{
    CanonErrorKind, Canonicalizer, Form, NanMode, canonicalize, canonicalize_with, render,
    renders_to,
};
use proptest::prelude::*;
use serde_json::Value;

/// Small and quick, so that one `u64` from proptest makes a whole spelling.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.roll(choices.len())]
    }

    fn digits(&mut self, count: usize) -> String {
        (0..count)
            .map(|_| (b'0' + self.roll(10) as u8) as char)
            .collect()
    }
}

/// Text that meets every case of escaping and of UTF-16 order.
fn text() -> impl Strategy<Value = String> {
    let hard = prop::sample::select(vec![
        '\0',
        '\u{8}',
        '\t',
        '\n',
        '\u{c}',
        '\r',
        '\u{1f}',
        '"',
        '\\',
        '/',
        '\u{7f}',
        '\u{e9}',
        '\u{2028}',
        '\u{d7ff}',
        '\u{e000}',
        '\u{fffd}',
        '\u{ffff}',
        '\u{10000}',
        '\u{10ffff}',
        '😀',
    ]);
    prop_oneof![
        "[a-c]{0,3}",
        "[ -~]{0,40}",
        prop::collection::vec(
            prop_oneof![hard, prop::char::range('a', 'd'), any::<char>()],
            0..12
        )
        .prop_map(String::from_iter),
    ]
}

/// Numbers that RFC 8785 and its libraries keep: doubles, and integers up to 2^53 in size.
fn number() -> impl Strategy<Value = Value> {
    const EXACT: i64 = 1 << 53;
    prop_oneof![
        (-1000i64..1000).prop_map(Value::from),
        (-EXACT..=EXACT).prop_map(Value::from),
        any::<f64>()
            .prop_filter("JSON has no such number", |f| f.is_finite())
            .prop_map(Value::from),
        (-1e6..1e6f64).prop_map(|f| Value::from((f * 1000.0).round() / 1000.0)),
        (-30i32..30).prop_map(|e| Value::from(10f64.powi(e))),
    ]
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number(),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 80, 12, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::vec((text(), inner), 0..12)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Writes `value` in one of its many spellings: order of members, white space, escapes, zeros, exponents.
fn spell(value: &Value, dice: &mut Dice, out: &mut String) {
    space(dice, out);
    match value {
        Value::Null | Value::Bool(_) => out.push_str(&value.to_string()),
        Value::Number(number) => out.push_str(&spell_number(&number.to_string(), dice)),
        Value::String(text) => spell_string(text, dice, out),
        Value::Array(items) => {
            out.push('[');
            space(dice, out);
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                spell(item, dice, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            if dice.roll(3) > 0 {
                for last in (1..members.len()).rev() {
                    members.swap(last, dice.roll(last + 1));
                }
            }
            out.push('{');
            space(dice, out);
            for (index, (name, value)) in members.into_iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                space(dice, out);
                spell_string(name, dice, out);
                space(dice, out);
                out.push(':');
                spell(value, dice, out);
            }
            out.push('}');
        }
    }
    space(dice, out);
}

fn space(dice: &mut Dice, out: &mut String) {
    out.push_str(dice.pick(&[
        "",
        "",
        "",
        " ",
        "\n",
        "\r\n\t",
        "\n          ",
        "                   ",
    ]));
}

fn spell_string(text: &str, dice: &mut Dice, out: &mut String) {
    out.push('"');
    let escaping = dice.roll(3) == 0;
    for c in text.chars() {
        let short = match c {
            '"' => Some("\\\""),
            '\\' => Some("\\\\"),
            '/' => Some("\\/"),
            '\u{8}' => Some("\\b"),
            '\t' => Some("\\t"),
            '\n' => Some("\\n"),
            '\u{c}' => Some("\\f"),
            '\r' => Some("\\r"),
            _ => None,
        };
        let needed = c < ' ' || c == '"' || c == '\\';
        match short {
            Some(short) if dice.roll(2) == 0 => out.push_str(short),
            _ if needed || (escaping && dice.roll(4) == 0) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&if dice.roll(2) == 0 {
                        format!("\\u{unit:04x}")
                    } else {
                        format!("\\u{unit:04X}")
                    });
                }
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

fn spell_number(text: &str, dice: &mut Dice) -> String {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i64 = exponent.parse().unwrap();
    let point = if mantissa.contains('.') { "" } else { "." };
    let is_zero = mantissa.bytes().all(|b| !b.is_ascii_digit() || b == b'0');
    match dice.roll(5) {
        0 => text.to_owned(),
        1 => format!("{mantissa}{point}000E{exponent:+04}"),
        2 => format!("{mantissa}e{exponent}"),
        3 if point == "." && !is_zero => format!("{mantissa}00e{}", exponent - 2),
        4 if is_zero => "-0.00e77".to_owned(),
        _ => format!("{mantissa}{point}0e{exponent}"),
    }
}

fn spelled(value: &Value, seed: u64) -> String {
    let mut out = String::new();
    spell(value, &mut Dice(seed), &mut out);
    out
}

fn canonical_text(input: &str) -> String {
    String::from_utf8(canonicalize(input.as_bytes()).unwrap_or_else(|e| panic!("{e}: {input}")))
        .unwrap()
}

/// Renders both forms both ways and compares with [`renders_to`], for the rendering and for near misses of it.
fn check_rendering(canonical: &[u8], form: Form, untag: bool) -> Vec<u8> {
    let mut text = b"before".to_vec();
    render(canonical, form, untag, &mut text);
    assert!(text.starts_with(b"before"));
    text.drain(..6);
    assert!(renders_to(canonical, form, untag, &text));
    let mut longer = text.clone();
    longer.push(b' ');
    assert!(!renders_to(canonical, form, untag, &longer));
    if let Some((last, shorter)) = text.split_last() {
        assert!(!renders_to(canonical, form, untag, shorter));
        let mut other = shorter.to_vec();
        other.push(last ^ 1);
        assert!(!renders_to(canonical, form, untag, &other));
        let mut other = text.clone();
        other[0] ^= 1;
        assert!(!renders_to(canonical, form, untag, &other));
    }
    text
}

/// More members out of order than are kept until the document ends, at several depths.
#[test]
fn objects_that_are_put_in_order_early() {
    let row = |n: usize| {
        format!(r#"{{"z": {n}, "b": {{"y": [{{"d": 1, "c": {n}}}], "x": 2}}, "a": "q"}}"#)
    };
    let rows = |count: usize| (0..count).map(row).collect::<Vec<_>>().join(", ");
    let deep = |depth: usize, inner: String| {
        (0..depth).fold(inner, |inner, n| {
            format!(r#"{{"z{n}": {inner}, "a": {n}, "y": [0]}}"#)
        })
    };
    let array = format!("[{}]", rows(20_000));
    for text in [
        array.clone(),
        deep(1, array.clone()),
        deep(3, array.clone()),
        deep(40, array.clone()),
        format!(
            r#"{{"w": {array}, "v": {}, "b": 1}}"#,
            deep(2, array.clone())
        ),
    ] {
        let ours = canonicalize(text.as_bytes()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(ours == serde_json_canonicalizer::to_vec(&value).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn inside_i_json_the_form_is_rfc_8785(value in document(), seed: u64) {
        let expected = serde_json_canonicalizer::to_string(&value).unwrap();
        prop_assert_eq!(&canonical_text(&value.to_string()), &expected);
        prop_assert_eq!(&canonical_text(&spelled(&value, seed)), &expected);
        // A fixed point.
        prop_assert_eq!(&canonical_text(&expected), &expected);
    }

    #[test]
    fn a_reused_canonicalizer_gives_the_same_bytes(values in prop::collection::vec(document(), 1..5), seed: u64) {
        let mut canonicalizer = Canonicalizer::new();
        let mut out = b"kept".to_vec();
        let mut expected = out.clone();
        for value in &values {
            let input = spelled(value, seed);
            canonicalizer.canonicalize(input.as_bytes(), NanMode::Reject, &mut out).unwrap();
            expected.extend(canonical_text(&input).bytes());
            // An error in between leaves no trace.
            let broken = format!("[{input}");
            prop_assert!(canonicalizer.canonicalize(broken.as_bytes(), NanMode::Tag, &mut out).is_err());
            prop_assert_eq!(&out, &expected);
        }
    }

    #[test]
    fn renderings_lead_back(value in document()) {
        let canonical = canonicalize(value.to_string().as_bytes()).unwrap();
        let compact = check_rendering(&canonical, Form::Compact, false);
        prop_assert_eq!(&compact, &canonical);
        let pretty = check_rendering(&canonical, Form::Pretty, false);
        prop_assert_eq!(&canonicalize(&pretty).unwrap(), &canonical);
        prop_assert!(pretty.ends_with(b"\n") && !pretty.ends_with(b"\n\n"));
        // serde_json has the layout of Python's indent=2.
        let value: Value = serde_json::from_slice(&canonical).unwrap();
        if !has_number(&value) && ascending(&value) {
            prop_assert_eq!(String::from_utf8(pretty).unwrap(), serde_json::to_string_pretty(&value).unwrap() + "\n");
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        survive(&bytes);
    }

    #[test]
    fn any_tokens_are_survived(picks in prop::collection::vec(prop::sample::select(TOKENS.to_vec()), 0..30)) {
        survive(picks.concat().as_bytes());
    }

    #[test]
    fn damaged_documents_are_judged_as_serde_json_does(
        value in document(), seed: u64, hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut input = spelled(&value, seed).into_bytes();
        if let Some(cut) = cut {
            input.truncate(cut.index(input.len()));
        }
        for (place, byte) in hits {
            if !input.is_empty() {
                let place = place.index(input.len());
                input[place] = byte;
            }
        }
        survive(&input);
        let theirs = serde_json::from_slice::<Value>(&input);
        match (canonicalize(&input), theirs) {
            (Ok(_), Ok(_)) | (Err(_), Err(_)) => {}
            (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("number out of range"), "{}", error),
            // serde_json keeps the last of two members of one name.
            (Err(error), Ok(_)) => prop_assert!(matches!(error.kind, CanonErrorKind::DuplicateName(_)), "{}", error),
        }
    }

    #[test]
    fn short_decimals_are_written_as_ecmascript_does(
        negative: bool, digits in 1u64..1_000_000_000_000_000, exponent in -290i32..290, seed: u64,
    ) {
        // Up to 15 digits survive the way through a double, so the value is the same and so must the text be.
        let text = format!("{}{digits}e{exponent}", if negative { "-" } else { "" });
        let value: f64 = text.parse().unwrap();
        let expected = serde_json_canonicalizer::to_string(&value).unwrap();
        prop_assert_eq!(&canonical_text(&text), &expected);
        prop_assert_eq!(&canonical_text(&spell_number(&text, &mut Dice(seed))), &expected);
    }

    #[test]
    fn tagged_numbers_come_back(value in document(), seed: u64) {
        // Every null becomes a number that JSON does not have.
        let canonical = canonicalize(value.to_string().as_bytes()).unwrap();
        let mut dice = Dice(seed);
        let literals = ["NaN", "Infinity", "-Infinity"];
        let mut bare = Vec::new();
        replace_nulls(&value, &mut bare, &mut |out| out.extend_from_slice(dice.pick(&literals).as_bytes()));
        let has_null = bare != serde_json::to_vec(&value).unwrap();
        let (tagged, outcome) = canonicalize_with(&bare, NanMode::Tag).unwrap();
        prop_assert_eq!(outcome.tagged, has_null);
        prop_assert_eq!(canonicalize(&bare).is_err(), has_null);
        for form in [Form::Compact, Form::Pretty] {
            let text = check_rendering(&tagged, form, true);
            prop_assert_eq!(&canonicalize_with(&text, NanMode::Tag).unwrap().0, &tagged);
        }
        prop_assert!(has_null || tagged == canonical);
    }
}

const TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"a\"",
    "\"b\"",
    "\"",
    "\\",
    "\\u",
    "\\ud800",
    "\\udc00",
    "1",
    "-",
    "0",
    ".",
    "e",
    "NaN",
    "Infinity",
    "-Infinity",
    "true",
    "null",
    "fals",
    " ",
    "\n",
    "{\"$number\":\"NaN\"}",
    "é",
    "\u{feff}",
    "\0",
];

fn survive(bytes: &[u8]) {
    for nan in [NanMode::Reject, NanMode::Tag] {
        match canonicalize_with(bytes, nan) {
            Ok((canonical, outcome)) => {
                assert_eq!(canonicalize(&canonical).as_ref(), Ok(&canonical));
                assert!(nan == NanMode::Tag || !outcome.tagged);
            }
            Err(error) => {
                assert!(error.offset <= bytes.len() && error.line >= 1 && error.column >= 1);
                assert!(!error.to_string().contains('\n') && !error.remedy().is_empty());
            }
        }
    }
    for form in [Form::Compact, Form::Pretty] {
        for untag in [false, true] {
            let mut text = Vec::new();
            render(bytes, form, untag, &mut text);
            assert!(renders_to(bytes, form, untag, &text));
        }
    }
}

fn has_number(value: &Value) -> bool {
    match value {
        Value::Number(_) => true,
        Value::Array(items) => items.iter().any(has_number),
        Value::Object(members) => members.values().any(has_number),
        _ => false,
    }
}

/// The members are in the same order in UTF-8 as in UTF-16.
fn ascending(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().all(ascending),
        Value::Object(members) => {
            let names: Vec<Vec<u16>> = members
                .keys()
                .map(|name| name.encode_utf16().collect())
                .collect();
            names.is_sorted() && members.values().all(ascending)
        }
        _ => true,
    }
}

fn replace_nulls(value: &Value, out: &mut Vec<u8>, put: &mut impl FnMut(&mut Vec<u8>)) {
    match value {
        Value::Null => put(out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                out.extend_from_slice(if index > 0 { b"," } else { b"" });
                replace_nulls(item, out, put);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            out.push(b'{');
            for (index, (name, value)) in members.iter().enumerate() {
                out.extend_from_slice(if index > 0 { b"," } else { b"" });
                out.extend_from_slice(serde_json::to_string(name).unwrap().as_bytes());
                out.push(b':');
                replace_nulls(value, out, put);
            }
            out.push(b'}');
        }
        other => out.extend_from_slice(&serde_json::to_vec(other).unwrap()),
    }
}

/// A JSON number of any length, its exponent of up to 15 digits.
fn random_decimal(dice: &mut Dice) -> String {
    let mut text = dice.pick(&["", "-"]).to_owned();
    let lengths = [0, 1, 2, 5, 17, 20, 21, 22, 25, 60, 400];
    match lengths[dice.roll(lengths.len())] {
        0 => text.push('0'),
        length => {
            text.push_str(dice.pick(&["1", "2", "5", "9"]));
            text.push_str(&if dice.roll(3) == 0 {
                "0".repeat(length - 1)
            } else {
                dice.digits(length - 1)
            });
        }
    }
    if dice.roll(2) == 0 {
        text.push('.');
        text.push_str(dice.pick(&["", "0", "00000", "000000", "0000000000000000000000"]));
        let length = 1 + lengths[dice.roll(lengths.len())];
        text.push_str(&dice.digits(length));
        text.push_str(dice.pick(&["", "0", "000"]));
    }
    if dice.roll(2) == 0 {
        text.push_str(dice.pick(&["e", "E", "e+", "e-", "E-", "e-0"]));
        let length = 1 + [0, 0, 1, 1, 2, 3, 8, 13][dice.roll(8)];
        text.push_str(&dice.digits(length));
    }
    text
}

#[test]
fn decimal_values_are_kept_by_the_word_of_python() {
    const SCRIPT: &str = "
import sys
from decimal import Decimal
different = 0
lines = sys.stdin.read().split('\\n')[:-1]
for line in lines:
    a, b = line.split('\\t')
    if Decimal(a) != Decimal(b):
        different += 1
        sys.stderr.write(a + ' became ' + b + '\\n')
print(len(lines), different)
";
    let mut dice = Dice(8785);
    let mut lines = String::new();
    const COUNT: usize = 6000;
    for _ in 0..COUNT {
        let text = random_decimal(&mut dice);
        let canonical = canonical_text(&text);
        assert_eq!(canonical_text(&canonical), canonical, "{text}");
        lines.push_str(&format!("{text}\t{canonical}\n"));
    }
    let child = Command::new("python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("left out: decimal values (python3 not found)");
        return;
    };
    child
        .stdin
        .take()
        .unwrap()
        .write_all(lines.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        format!("{COUNT} 0"),
        "{complaints}"
    );
}
