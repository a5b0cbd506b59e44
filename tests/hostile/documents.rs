//! Documents: deep, wide, long, and all at once.

use backstory::canon::{CanonError, CanonErrorKind, canonicalize};
use backstory::diff::diff;
use backstory::diff::patch::write_patch;
use backstory::layout::Layout;
use backstory::pointer::{Pointer, find};
use backstory::{Archive, Document};

use crate::memory::measure;

const MANY: usize = 1_000_000;

/// Canonicalizes; memory must stay within so many times the input.
fn canon(input: &[u8], times: usize) -> Result<Vec<u8>, CanonError> {
    let (most, calls, result) = measure(|| canonicalize(input));
    assert!(
        most <= times * input.len(),
        "{most} bytes held for {}",
        input.len()
    );
    // Buffers double: their number goes with the logarithm; an error names the place, at most 1,024 levels deep.
    assert!(calls < 2000, "{calls} allocations");
    result
}

/// The same for what is not a document at all.
fn refused(input: &str) -> CanonErrorKind {
    canon(input.as_bytes(), 8).unwrap_err().kind
}

#[test]
fn a_million_brackets_are_an_error_with_a_place() {
    let arrays = "[".repeat(MANY);
    let objects = "{\"a\":".repeat(MANY);
    let mixed = "[{\"\":".repeat(MANY / 2);
    for text in [&arrays, &objects, &mixed] {
        assert_eq!(refused(text), CanonErrorKind::TooDeep);
    }
    let closed = format!("{arrays}{}", "]".repeat(MANY));
    assert_eq!(refused(&closed), CanonErrorKind::TooDeep);
    // Whoever saves one learns it too, and nothing else happens.
    let archive = Archive::in_memory().unwrap();
    assert!(archive.save().add("a", Document::source(closed)).is_err());
    assert_eq!(archive.stats().unwrap().commits, 0);
}

#[test]
fn the_deepest_document_goes_through_everything() {
    let deep = |leaf: &str| {
        let open = "[{\"a\": ".repeat(512);
        let close = "}]".repeat(512);
        format!("{open}{leaf}{close}")
    };
    let archive = Archive::in_memory().unwrap();
    for leaf in ["1", "2"] {
        let mut save = archive.save();
        save.add("a", Document::source(deep(leaf))).unwrap();
        save.commit().unwrap();
        let loaded = archive
            .load(&archive.newest("a").unwrap().unwrap())
            .unwrap();
        assert_eq!(loaded.source(), deep(leaf).as_bytes());
    }
    let [old, new] = ["1", "2"].map(|leaf| canonicalize(deep(leaf).as_bytes()).unwrap());
    let mut patch = Vec::new();
    write_patch(&diff(&old, &new).unwrap(), &mut patch);
    assert!(canonicalize(&patch).is_ok());
    let pointer = Pointer::parse(&"/0/a".repeat(512)).unwrap();
    assert_eq!(&new[find(&new, &pointer).unwrap()], b"2");
}

#[test]
fn a_million_members_in_the_worst_order() {
    // Backwards; and so that each half of the names is in front of the other, all the way down.
    let backwards: Vec<usize> = (0..MANY).rev().collect();
    let bits: Vec<usize> = (0..MANY)
        .map(|n| n.reverse_bits() >> (usize::BITS - 20))
        .collect();
    for names in [backwards, bits] {
        let members: Vec<String> = names.iter().map(|n| format!("\"{n:07}\":0")).collect();
        let text = format!("{{{}}}", members.join(","));
        let canonical = match canon(text.as_bytes(), 16) {
            Ok(canonical) => canonical,
            // The bits of numbers below a million are not all different below 2^20.
            Err(error) => panic!("{error}"),
        };
        let mut sorted: Vec<&String> = members.iter().collect();
        sorted.sort();
        let sorted: Vec<&str> = sorted.iter().map(|member| member.as_str()).collect();
        assert_eq!(canonical, format!("{{{}}}", sorted.join(",")).as_bytes());
    }
}

#[test]
fn a_million_names_that_are_nearly_one() {
    // A long common front, so that comparing looks at all of it; the last two are the same.
    let front = "x".repeat(40);
    let mut text = String::from("{");
    for n in (0..MANY / 10).rev() {
        text.push_str(&format!("\"{front}{n:06}\":0,"));
    }
    let whole = format!("{}\"\":0}}", text);
    assert!(canon(whole.as_bytes(), 16).is_ok());
    let twice = format!("{text}\"{front}000000\":1}}");
    let error = canon(twice.as_bytes(), 16).unwrap_err();
    assert!(matches!(error.kind, CanonErrorKind::DuplicateName(_)));
    // One is spelled with escapes.
    let escaped = format!("{text}\"\\u0078{}000000\":1}}", &front[1..]);
    let error = canon(escaped.as_bytes(), 16).unwrap_err();
    assert!(matches!(error.kind, CanonErrorKind::DuplicateName(_)));
}

#[test]
fn out_of_order_at_every_level() {
    // Each object is permuted, and holds all others: done level by level this would move everything a thousand times.
    let mut text = String::new();
    for _ in 0..1000 {
        text.push_str("{\"b\":\"");
        text.push_str(&"y".repeat(1000));
        text.push_str("\",\"a\":");
    }
    text.push('0');
    text.push_str(&"}".repeat(1000));
    let canonical = canon(text.as_bytes(), 8).unwrap();
    assert_eq!(canonical.len(), text.len());
}

#[test]
fn numbers_of_a_million_digits() {
    let digits = "1234567890".repeat(MANY / 10);
    for text in [
        digits.clone(),
        format!("-{digits}"),
        format!("0.{digits}1"),
        format!("{digits}.{digits}5"),
        format!("{digits}e-{MANY}"),
        format!("0.{}1", "0".repeat(MANY)),
        format!("1{}", "0".repeat(MANY)),
    ] {
        let canonical = canon(text.as_bytes(), 8).unwrap();
        assert!(canonical.len() <= text.len() + 20);
        assert_eq!(canon(&canonical, 8).unwrap(), canonical);
    }
    let [old, new] = [format!("{digits}.5"), format!("{digits}.25")];
    let [old, new] = [old, new].map(|text| canonicalize(text.as_bytes()).unwrap());
    let found = diff(&old, &new).unwrap();
    let (most, _, _) = measure(|| (found.changes[0].difference(), found.changes[0].percent()));
    assert!(most <= 16 * old.len(), "{most} bytes held");
}

#[test]
fn exponents_beyond_every_integer() {
    let nines = "9".repeat(MANY);
    for text in [
        format!("1e{nines}"),
        format!("1e-{nines}"),
        format!("1E+{nines}"),
        "1e9223372036854775807".to_owned(),
        "1e9223372036854775808".to_owned(),
        "1e-9223372036854775808".to_owned(),
        "1e18446744073709551616".to_owned(),
        "1e1000000000000001".to_owned(),
        format!("0.{}1e-1000000000000000", "0".repeat(20)),
    ] {
        assert_eq!(
            refused(&text),
            CanonErrorKind::NumberTooLarge,
            "{}",
            &text[..12]
        );
    }
    // Nothing times anything is nothing, and zeros in front of an exponent mean nothing.
    for (text, canonical) in [
        ("0e99999999999999999999", "0"),
        ("-0.000e-99999999999999999999", "0"),
        ("1e0000000000000000000000000001", "10"),
    ] {
        assert_eq!(canon(text.as_bytes(), 100).unwrap(), canonical.as_bytes());
    }
}

#[test]
fn strings_of_escapes() {
    let escapes = format!("\"{}\"", "\\u0041\\ud83d\\ude00\\n\\/".repeat(MANY / 10));
    let canonical = canon(escapes.as_bytes(), 4).unwrap();
    assert_eq!(canonical.len(), 2 + (MANY / 10) * (1 + 4 + 2 + 1));
    for lone in ["\\ud83d", "\\ude00", "\\ud83d\\ud83d"] {
        let text = format!("\"{}{lone}\"", "\\u0041".repeat(MANY / 10));
        assert_eq!(refused(&text), CanonErrorKind::LoneSurrogate);
    }
    // Every character takes six bytes: as many as it can.
    let controls = format!("\"{}\"", "\\u0001".repeat(MANY / 10));
    assert_eq!(canon(controls.as_bytes(), 4).unwrap(), controls.as_bytes());
}

#[test]
fn layouts_of_hostile_documents_cost_no_more_than_the_document() {
    let spaces = format!("[{}1,{}2]", " ".repeat(MANY), "\n".repeat(MANY));
    let ragged: Vec<String> = (0..20_000)
        .map(|n| format!("{}{{\"n\":{}{n}}}", " ".repeat(n % 97), "\t".repeat(n % 89)))
        .collect();
    let ragged = format!("[{}]", ragged.join(","));
    let numbers: Vec<String> = (0..20_000)
        .map(|n| match n % 4 {
            0 => format!("{n}.000"),
            1 => format!("{n}e+00"),
            2 => format!("0.{n}E-1"),
            _ => format!("-{n}.50"),
        })
        .collect();
    let numbers = format!("[{}]", numbers.join(" , "));
    for text in [spaces, ragged, numbers] {
        let canonical = canonicalize(text.as_bytes()).unwrap();
        let (most, _, layout) = measure(|| Layout::infer(text.as_bytes(), &canonical, false));
        assert!(
            most <= 64 * text.len(),
            "{most} bytes held for {}",
            text.len()
        );
        if let Some(layout) = layout {
            assert!(layout.renders_to(&canonical, false, text.as_bytes()));
        }
        // What no layout gives back is kept as it is.
        let archive = Archive::in_memory().unwrap();
        let mut save = archive.save();
        save.add("a", Document::source(text.clone())).unwrap();
        save.commit().unwrap();
        let loaded = archive
            .load(&archive.newest("a").unwrap().unwrap())
            .unwrap();
        assert_eq!(loaded.source(), text.as_bytes());
    }
}

#[test]
fn a_diff_of_everything_is_bounded() {
    let numbers = |from: usize| -> String {
        let list: Vec<String> = (from..from + 100_000).map(|n| n.to_string()).collect();
        format!("[{}]", list.join(","))
    };
    let name = "n".repeat(100_000);
    let below = |value: &str| {
        let members: Vec<String> = (0..10_000).map(|n| format!("\"{n:05}\":{value}")).collect();
        format!("{{\"{name}\":{{{}}}}}", members.join(","))
    };
    for (old, new) in [(numbers(0), numbers(1_000_000)), (below("1"), below("2"))] {
        let (most, _, found) = measure(|| diff(old.as_bytes(), new.as_bytes()).unwrap());
        let both = old.len() + new.len();
        assert!(most <= 300 * both, "{most} bytes held for {both}");
        assert!(!found.is_empty());
    }
}
