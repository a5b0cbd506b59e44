//! The pass and the permutation together.

use super::*;

fn canonical(scratch: &mut Scratch, input: &str) -> String {
    let mut out = Vec::new();
    document(scratch, input.as_bytes(), NanMode::Reject, &mut out)
        .unwrap_or_else(|e| panic!("{}", e.kind));
    String::from_utf8(out).unwrap()
}

/// Objects out of order at every level: the permutation writes every byte once, not once per level.
#[test]
fn permuting_nested_objects_is_linear() {
    let depth = MAX_DEPTH - 1;
    let filler = "x".repeat(100);
    let member = format!("\"c\":\"{filler}\"");
    let input = format!(
        "[{}0{}]",
        format!("{{{member},\"b\":").repeat(depth),
        ",\"a\":1}".repeat(depth)
    );
    let expected = format!(
        "[{}0{}]",
        "{\"a\":1,\"b\":".repeat(depth),
        format!(",{member}}}").repeat(depth)
    );
    let mut scratch = Scratch::default();
    assert_eq!(canonical(&mut scratch, &input), expected);
    assert_eq!(scratch.permutation.len(), depth);
    // Once more over the same length, for the count.
    let written = scratch.permutation.apply(&mut vec![b' '; input.len()]);
    assert_eq!(written, input.len() - 2);
}

#[test]
fn a_million_members_in_the_worst_order() {
    let name = |i: usize| format!("\"{i:07}\":{i}");
    let text = |members: Vec<String>| format!("{{{}}}", members.join(","));
    let count = 1_000_000;
    let expected = text((0..count).map(name).collect());
    let mut scratch = Scratch::default();
    assert!(canonical(&mut scratch, &text((0..count).rev().map(name).collect())) == expected);
    // 7919 and 10^6 have no common factor, so this visits each once.
    assert!(
        canonical(
            &mut scratch,
            &text((0..count).map(|i| name(i * 7919 % count)).collect())
        ) == expected
    );
}

/// The order of the object before is tried on the next one; it must not be trusted.
#[test]
fn objects_of_one_size_and_other_names() {
    let mut scratch = Scratch::default();
    let input = r#"[{"c":1,"b":2,"a":3},{"c":1,"b":2,"a":3},{"b":1,"a":2,"c":3},{"a":1,"c":2,"b":3},{"b":{"z":0,"y":0},"a":2}]"#;
    let expected = r#"[{"a":3,"b":2,"c":1},{"a":3,"b":2,"c":1},{"a":2,"b":1,"c":3},{"a":1,"b":3,"c":2},{"a":2,"b":{"y":0,"z":0}}]"#;
    assert_eq!(canonical(&mut scratch, input), expected);
    assert_eq!(canonical(&mut scratch, input), expected);
    let mut out = Vec::new();
    let repeated = document(
        &mut scratch,
        br#"[{"b":1,"a":2},{"b":1,"b":2}]"#,
        NanMode::Reject,
        &mut out,
    );
    assert_eq!(
        repeated.err().map(|e| (e.kind, e.offset)),
        Some((CanonErrorKind::DuplicateName("b".into()), 22))
    );
    let hidden = document(
        &mut scratch,
        br#"[{"c":1,"b":2,"a":3},{"c":1,"a":2,"\u0061":3}]"#,
        NanMode::Reject,
        &mut out,
    );
    assert_eq!(
        hidden.err().map(|e| (e.kind, e.offset)),
        Some((CanonErrorKind::DuplicateName("a".into()), 34))
    );
}

/// Enough members that the sort is not a stable one; the second of two equal names is reported all the same.
#[test]
fn the_second_of_two_equal_names_is_reported() {
    let mut scratch = Scratch::default();
    let order: Vec<usize> = (0..2000).map(|i| i * 7919 % 2000).collect();
    for twin in order.iter().step_by(20) {
        let members: Vec<_> = order.iter().map(|i| format!("\"{i}\":0")).collect();
        let object = format!("{{{},\"{twin}\":1", members.join(","));
        let expected = object.rfind(',').unwrap() + 1;
        let mut out = Vec::new();
        let found = document(
            &mut scratch,
            (object + ",\"\":2}").as_bytes(),
            NanMode::Reject,
            &mut out,
        );
        assert_eq!(found.err().map(|e| e.offset), Some(expected));
    }
}
