use super::*;

/// Changes as `sign pointer old new`, short enough to write down.
fn changes(old: &str, new: &str) -> Vec<String> {
    let diff = diff(old.as_bytes(), new.as_bytes()).unwrap();
    let line = |change: &Change| match &change.kind {
        ChangeKind::Added { new } => format!("+ {} {new}", change.pointer),
        ChangeKind::Removed { old } => format!("- {} {old}", change.pointer),
        ChangeKind::Changed { old, new } => match &change.moved_from {
            None => format!("~ {} {old} {new}", change.pointer),
            Some(from) => format!("~ {}<{from} {old} {new}", change.pointer),
        },
        ChangeKind::Moved { new } => {
            let from = change.moved_from.as_ref().unwrap();
            format!("> {}<{from} {new}", change.pointer)
        }
    };
    diff.changes.iter().map(line).collect()
}

#[test]
fn objects_by_member() {
    assert_eq!(
        changes(
            r#"{"a":1,"b":{"c":[],"d":2},"e/f":3}"#,
            r#"{"a":true,"b":{"d":2,"x":{}},"e/f":4}"#
        ),
        ["~ /a 1 true", "- /b/c []", "+ /b/x {}", "~ /e~1f 3 4"]
    );
    assert_eq!(changes("{}", r#"{"":null}"#), ["+ / null"]);
    assert_eq!(changes("1", "[1]"), ["~  1 [1]"]);
    assert_eq!(changes("1", "1"), [""; 0]);
    // Another spelling of the same number is another document.
    assert_eq!(changes("[1]", "[1.0]"), ["~ /0 1 1.0"]);
}

#[test]
fn members_outside_the_basic_plane_keep_their_order() {
    let old = "{\"a\":1,\"\u{1f600}\":2,\"\u{fb33}\":3}";
    let new = "{\"\u{1f600}\":2,\"\u{fb33}\":3}";
    assert_eq!(changes(old, new), ["- /a 1"]);
}

#[test]
fn arrays_by_common_subsequence() {
    assert_eq!(changes("[1,2,3]", "[0,1,2,3]"), ["+ /0 0"]);
    assert_eq!(changes("[1,2,3]", "[2,3]"), ["- /0 1"]);
    assert_eq!(changes("[1,2,3]", "[1,9,3]"), ["~ /1 2 9"]);
    assert_eq!(changes("[1,2,3]", "[1,3,4]"), ["- /1 2", "+ /2 4"]);
    assert_eq!(changes("[1,1,1]", "[1,1]"), ["- /2 1"]);
}

#[test]
fn a_vector_of_new_numbers_is_compared_place_by_place() {
    // 4 is in both by chance.
    assert_eq!(
        changes("[1,2,3,4]", "[4,5,6,7]"),
        ["~ /0 1 4", "~ /1 2 5", "~ /2 3 6", "~ /3 4 7"]
    );
    assert_eq!(changes("[1,2,3,4]", "[2,3,4,5]"), ["- /0 1", "+ /3 5"]);
}

#[test]
fn one_field_of_one_element() {
    let old = r#"[{"id":1,"v":1},{"id":2,"v":2},{"id":3,"v":3}]"#;
    let new = r#"[{"id":1,"v":1},{"id":2,"v":9},{"id":3,"v":3}]"#;
    assert_eq!(changes(old, new), ["~ /1/v 2 9"]);
    let shifted = r#"[{"id":2,"v":9},{"id":3,"v":3}]"#;
    assert_eq!(
        changes(old, shifted),
        [r#"- /0 {"id":1,"v":1}"#, "~ /0/v</1/v 2 9"]
    );
}

#[test]
fn what_has_passed_others_moved() {
    assert_eq!(changes("[1,2,3,4]", "[4,1,2,3]"), ["> /0</3 4"]);
    // By its key, and with what changed inside it.
    let old = r#"[{"id":1,"v":1},{"id":2,"v":2},{"id":3,"v":3}]"#;
    let new = r#"[{"id":3,"v":9},{"id":1,"v":1},{"id":2,"v":2}]"#;
    assert_eq!(
        changes(old, new),
        [r#"> /0</2 {"id":3,"v":9}"#, "~ /0/v</2/v 3 9"]
    );
    // Without a key, if nothing changed.
    let old = r#"[{"a":1,"b":1},{"a":2,"b":2},{"a":3,"b":3}]"#;
    let new = r#"[{"a":3,"b":3},{"a":1,"b":1},{"a":2,"b":2}]"#;
    assert_eq!(changes(old, new), [r#"> /0</2 {"a":3,"b":3}"#]);
    // What is there twice has not moved.
    assert_eq!(
        changes("[7,7,1,1]", "[1,1,7,7]"),
        ["+ /0 1", "+ /1 1", "- /2 1", "- /3 1"]
    );
}

#[test]
fn elements_with_nothing_in_common_are_replaced_whole() {
    assert_eq!(
        changes(r#"[{"a":1,"b":2}]"#, r#"[{"c":1,"d":2}]"#),
        [r#"~ /0 {"a":1,"b":2} {"c":1,"d":2}"#]
    );
    assert_eq!(changes(r#"[{"a":1}]"#, "[[1]]"), [r#"~ /0 {"a":1} [1]"#]);
}

#[test]
fn a_long_table_with_every_row_changed_and_one_inserted() {
    let rows = |skip: usize, factor: usize| {
        let row = |i| format!(r#"{{"id":{i},"v":{}}}"#, i * factor);
        let rows: Vec<String> = (0..5000).filter(|&i| i != skip).map(row).collect();
        format!("[{}]", rows.join(","))
    };
    let lines = changes(&rows(2500, 7), &rows(9999, 8));
    assert_eq!(lines.len(), 4999 - 1 + 1, "row 0 stays");
    assert_eq!(lines[2499], r#"+ /2500 {"id":2500,"v":20000}"#);
    assert_eq!(lines[2500], "~ /2501/v</2500/v 17507 20008");
}

#[test]
fn differences_of_numbers() {
    let diff = diff(b"[0.91,1]", b"[0.925,true]").unwrap();
    assert_eq!(diff.changes[0].difference().as_deref(), Some("0.015"));
    assert_eq!(diff.changes[0].percent(), Some(1.648));
    assert_eq!(diff.changes[1].difference(), None);
    let counts = Summary {
        changed: 2,
        ..Summary::default()
    };
    assert_eq!(diff.summary(), counts);
}

#[test]
fn pointers_do_not_outgrow_the_documents() {
    let document = |digit: &str| {
        let numbers = vec![digit; 100_000].join(",");
        format!(r#"{{"{}":[{numbers}]}}"#, "k".repeat(1 << 20))
    };
    // Spelled out, 100,000 pointers of a megabyte each.
    let diff = diff(document("1").as_bytes(), document("2").as_bytes()).unwrap();
    assert_eq!(diff.changes.len(), 1);
}

#[test]
fn depth_needs_no_stack() {
    std::thread::Builder::new()
        .stack_size(512 * 1024)
        .spawn(|| {
            let arrays = |leaf: &str| "[".repeat(1024) + leaf + &"]".repeat(1024);
            let lines = changes(&arrays("1"), &arrays("2"));
            assert_eq!(lines, [format!("~ {} 1 2", "/0".repeat(1024))]);
            assert!(diff(b"1", "[".repeat(1_000_000).as_bytes()).is_err());
        })
        .unwrap()
        .join()
        .unwrap();
}
