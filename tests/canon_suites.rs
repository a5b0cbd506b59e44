//! The canonicalizer against public test suites.
//!
//! They lie in a folder `shared` next to the crate, or where `BACKSTORY_SHARED` says; a test whose suite is not
//! there says so and does nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use backstory::canon::{CanonErrorKind, NanMode, canonicalize, canonicalize_with};

/// The folder of one suite, or `None` with a line that says that it was left out.
fn suite(name: &str) -> Option<PathBuf> {
    let shared = match std::env::var_os("BACKSTORY_SHARED") {
        Some(shared) => PathBuf::from(shared),
        None => {
            let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().skip(1);
            above
                .map(|folder| folder.join("shared"))
                .find(|shared| shared.join("suites").is_dir())
                .unwrap_or_default()
        }
    };
    let path = shared.join("suites").join(name);
    if !path.exists() {
        println!("left out: {name} (../shared not found)");
        return None;
    }
    Some(path)
}

/// File names and contents of a folder, sorted by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries
        .map(|entry| {
            let entry = entry.unwrap();
            (
                entry.file_name().into_string().unwrap(),
                fs::read(entry.path()).unwrap(),
            )
        })
        .collect()
}

/// Both modes return something, and what they accept is a fixed point with a valid reading.
fn survives(name: &str, input: &[u8]) -> Option<Vec<u8>> {
    let rejecting = canonicalize(input).ok();
    if let Ok((tagged, _)) = canonicalize_with(input, NanMode::Tag) {
        assert_eq!(
            canonicalize(&tagged).as_ref(),
            Ok(&tagged),
            "{name}: not a fixed point"
        );
    }
    if let Some(canonical) = &rejecting {
        assert_eq!(
            canonicalize(canonical).as_ref(),
            Ok(canonical),
            "{name}: not a fixed point"
        );
    }
    rejecting
}

#[test]
fn json_test_suite_parsing() {
    let Some(folder) = suite("JSONTestSuite/test_parsing") else {
        return;
    };
    let (mut accepted, mut rejected, mut either, mut duplicates) = (0, 0, 0, 0);
    for (name, input) in files(&folder) {
        let canonical = survives(&name, &input);
        match name.as_bytes()[0] {
            b'y' if name.contains("duplicated_key") => {
                let error = canonicalize(&input).expect_err(&name);
                assert!(
                    matches!(error.kind, CanonErrorKind::DuplicateName(_)),
                    "{name}: {error}"
                );
                duplicates += 1;
            }
            b'y' => {
                let canonical = canonical
                    .unwrap_or_else(|| panic!("{name}: {}", canonicalize(&input).unwrap_err()));
                let read = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
                // serde_json tells 1.0 from 1; as floats both are the same.
                let as_float = |value: &serde_json::Value| value.get(0).and_then(|v| v.as_f64());
                let (before, after) = (read(&input), read(&canonical));
                assert!(
                    before == after
                        || as_float(&before).is_some_and(|f| Some(f) == as_float(&after)),
                    "{name}: {before} became {after}"
                );
                accepted += 1;
            }
            b'n' => {
                let error = canonicalize(&input).expect_err(&name);
                assert!(
                    error.offset <= input.len() && error.line >= 1 && error.column >= 1,
                    "{name}: {error}"
                );
                rejected += 1;
            }
            _ => either += 1,
        }
    }
    assert_eq!((accepted, duplicates, rejected, either), (93, 2, 188, 35));
}

#[test]
fn json_test_suite_transform() {
    let Some(folder) = suite("JSONTestSuite/test_transform") else {
        return;
    };
    let files = files(&folder);
    let accepted: Vec<_> = files
        .iter()
        .filter_map(|(name, input)| Some((name, survives(name, input)?)))
        .collect();
    assert_eq!(files.len(), 22);
    for (name, canonical) in &accepted {
        let expected: &[u8] = match name.as_str() {
            "number_-9223372036854775809.json" => b"[-9223372036854775809]",
            "number_10000000000000000999.json" => b"[10000000000000000999]",
            "number_1.000000000000000005.json" => b"[1.000000000000000005]",
            "number_1.0.json" => b"[1]",
            "number_1e6.json" => b"[1000000]",
            "number_1e-999.json" => b"[1e-999]",
            "string_with_escaped_NULL.json" => br#"["A\u0000B"]"#,
            _ => continue,
        };
        assert_eq!(canonical, expected, "{name}");
    }
    // Rejected: three of a repeated name, and those of a lone surrogate or of invalid UTF-8.
    let left: Vec<_> = files
        .keys()
        .filter(|name| accepted.iter().all(|(accepted, _)| accepted != name))
        .collect();
    assert!(left.iter().all(|name| name.contains("same_key")
        || name.contains("unclear")
        || name.contains("invalid")));
    assert_eq!(accepted.len() + left.len(), 22);
    assert!(accepted.len() >= 12, "{left:?}");
}

#[test]
fn jcs_test_data() {
    let Some(folder) = suite("jcs/testdata") else {
        return;
    };
    let inputs = files(&folder.join("input"));
    assert_eq!(inputs.len(), 6);
    for (name, input) in &inputs {
        let hex =
            fs::read_to_string(folder.join("outhex").join(name.replace(".json", ".txt"))).unwrap();
        let by_hex: Vec<u8> = hex
            .split_ascii_whitespace()
            .map(|b| u8::from_str_radix(b, 16).unwrap())
            .collect();
        let by_file = fs::read(folder.join("output").join(name)).unwrap();
        assert_eq!(by_hex, by_file, "{name}: the suite disagrees with itself");
        let canonical = String::from_utf8(canonicalize(input).unwrap()).unwrap();
        let expected = String::from_utf8(by_hex).unwrap();
        if name == "values.json" {
            // RFC 8785 rounds this number to a double; here no number changes its value.
            assert_eq!(expected.matches("333333333.3333333").count(), 1);
            assert_eq!(
                canonical,
                expected.replace("333333333.3333333", "333333333.33333329"),
                "{name}"
            );
        } else {
            assert_eq!(canonical, expected, "{name}");
        }
    }
}

#[test]
fn ecmascript_number_texts() {
    let Some(file) = suite("es6_10000.txt") else {
        return;
    };
    let canonical =
        |text: String| String::from_utf8(canonicalize(text.as_bytes()).unwrap()).unwrap();
    let (mut count, mut same_digits) = (0, 0);
    for line in fs::read_to_string(file).unwrap().lines() {
        let (bits, text) = line.split_once(',').unwrap();
        let value = f64::from_bits(u64::from_str_radix(bits, 16).unwrap());
        assert_eq!(text.parse::<f64>().unwrap(), value);
        assert_eq!(canonical(text.to_owned()), text);
        for spelling in spellings(text) {
            assert_eq!(canonical(spelling.clone()), text, "{spelling}");
        }
        // Where two shortest texts are equally near to a double, the standard library may take the other one.
        let scientific = format!("{value:e}");
        if significant_digits(&scientific) == significant_digits(text) {
            assert_eq!(canonical(scientific), text);
            assert_eq!(canonical(format!("{value}")), text);
            assert_eq!(canonical(format!("{value:?}")), text);
            same_digits += 1;
        }
        count += 1;
    }
    assert_eq!(count, 10_000);
    assert!(same_digits > 9_900, "{same_digits}");
}

fn significant_digits(text: &str) -> String {
    let mantissa = text.split('e').next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_matches('0').to_owned()
}

/// Other texts of the same decimal value: an integer with an exponent, zeros behind the point, zeros in front of
/// all digits, an exponent with sign and zeros.
fn spellings(text: &str) -> Vec<String> {
    let (sign, unsigned) = text.split_at(text.starts_with('-') as usize);
    let (mantissa, exponent) = unsigned.split_once('e').unwrap_or((unsigned, "0"));
    let exponent: i64 = exponent.parse().unwrap();
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{integer}{fraction}");
    let digits = match all.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    let shift = exponent - fraction.len() as i64;
    vec![
        format!("{sign}{digits}e{shift}"),
        format!("{sign}{digits}.000E{shift:+05}"),
        format!("{sign}0.00{digits}0e{}", shift + 2 + digits.len() as i64),
        format!("{sign}{integer}.{fraction}0e{exponent}"),
    ]
}

/// RFC 8259, section 6, written without regard to the canonicalizer.
fn is_json_number(text: &str) -> bool {
    let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (integer, fraction) = match mantissa.split_once('.') {
        Some((integer, fraction)) => (integer, Some(fraction)),
        None => (mantissa, None),
    };
    all_digits(integer)
        && (integer == "0" || !integer.starts_with('0'))
        && fraction.is_none_or(all_digits)
        && exponent.is_none_or(|e| all_digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

#[test]
fn decimal_texts_keep_their_double() {
    let Some(folder) = suite("numbers") else {
        return;
    };
    let (mut accepted, mut rejected, mut out_of_range) = (0, 0, 0);
    for (name, content) in files(&folder) {
        if !name.ends_with(".txt") {
            continue;
        }
        for line in String::from_utf8(content).unwrap().lines() {
            let fields: Vec<_> = line.split(' ').collect();
            let [_, _, bits, text] = fields[..] else {
                panic!("{name}: {line}")
            };
            let found = canonicalize(text.as_bytes());
            if !is_json_number(text) {
                assert!(found.is_err(), "{text}");
                rejected += 1;
                continue;
            }
            let canonical = match found {
                Ok(canonical) => String::from_utf8(canonical).unwrap(),
                Err(error) => {
                    assert_eq!(error.kind, CanonErrorKind::NumberTooLarge, "{text}");
                    let (_, exponent) = text.split_once(['e', 'E']).unwrap();
                    assert!(exponent.len() > 15, "{text}");
                    out_of_range += 1;
                    continue;
                }
            };
            let expected = u64::from_str_radix(bits, 16).unwrap();
            let found = canonical.parse::<f64>().unwrap().to_bits();
            // ECMAScript writes both zeros as 0.
            let sign = if canonical == "0" { !(1 << 63) } else { !0 };
            assert_eq!(found & sign, expected & sign, "{text} became {canonical}");
            assert_eq!(
                canonicalize(canonical.as_bytes()).unwrap(),
                canonical.as_bytes(),
                "{text}"
            );
            accepted += 1;
        }
    }
    assert_eq!((accepted, rejected, out_of_range), (52_842, 114, 21));
}
