//! Patches: the public suite of RFC 6902, and what a diff writes applied to what it was made of.

use std::path::PathBuf;

use backstory::canon::canonicalize;
use backstory::diff::apply::apply_patch;
use backstory::diff::merge::write_merge_patch;
use backstory::diff::patch::write_patch;
use backstory::diff::{DiffError, diff};
use proptest::prelude::*;
use serde_json::Value;

fn suite(name: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("BACKSTORY_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"),
        PathBuf::from,
    );
    let file = shared.join("suites/json-patch-tests").join(name);
    if file.exists() {
        return Some(file);
    }
    println!("left out: {name} of json-patch-tests is not here");
    None
}

#[test]
fn the_public_suite_of_rfc_6902() {
    for name in ["tests.json", "spec_tests.json"] {
        let Some(file) = suite(name) else { return };
        let text = std::fs::read_to_string(file).unwrap();
        let tests: Vec<Value> = serde_json::from_str(&text).unwrap();
        let mut tried = 0;
        for test in &tests {
            // Tests of what a parser does with a patch that names a member twice are for the parser.
            if test["disabled"] == true || test.get("patch").is_none() {
                continue;
            }
            let canonical = |value: &Value| canonicalize(value.to_string().as_bytes()).unwrap();
            let document = canonical(&test["doc"]);
            let done = apply_patch(&document, &canonical(&test["patch"]));
            match test.get("expected") {
                Some(expected) => {
                    let done = done.unwrap_or_else(|error| panic!("{test}: {error}"));
                    assert_eq!(canonicalize(&done).unwrap(), canonical(expected), "{test}");
                }
                None if test.get("error").is_some() => assert!(done.is_err(), "{test}"),
                None => drop(done.unwrap()),
            }
            tried += 1;
        }
        assert!(tried > 15, "{tried} tests of {name}");
    }
}

#[test]
fn operations_that_do_not_fit_say_so() {
    for (patch, part) in [
        (
            r#"[{"op":"remove","path":"/b"}]"#,
            "operation 1 of the patch (remove /b): there is no value",
        ),
        (
            r#"[{"op":"add","path":"/a/x","value":1},{"op":"test","path":"/a/x","value":2}]"#,
            "operation 2",
        ),
        (
            r#"[{"op":"add","path":"/l/4","value":1}]"#,
            "behind the end",
        ),
        (r#"[{"op":"add","path":"/l/01","value":1}]"#, "no index"),
        (r#"[{"op":"frob","path":""}]"#, "unknown op"),
        (r#"[{"op":"add","path":"/a"}]"#, "value is missing"),
        (
            r#"[{"op":"move","from":"/a","path":"/a/b"}]"#,
            "into itself",
        ),
        ("7", "a patch is an array"),
    ] {
        let patch = canonicalize(patch.as_bytes()).unwrap();
        let error = apply_patch(br#"{"a":{},"l":[1,2]}"#, &patch).unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn no_digit_is_lost() {
    let document = br#"{"n":9007199254740993,"x":1e400}"#;
    let patch =
        br#"[{"from":"/n","op":"copy","path":"/m"},{"op":"test","path":"/x","value":1e400}]"#;
    let done = canonicalize(&apply_patch(document, patch).unwrap()).unwrap();
    assert_eq!(
        String::from_utf8(done).unwrap(),
        String::from_utf8(
            canonicalize(br#"{"m":9007199254740993,"n":9007199254740993,"x":1e400}"#).unwrap()
        )
        .unwrap()
    );
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0..6i32).prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec(("(id|a|b|~|/)", inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn a_patch_leads_from_one_document_to_the_other(old in json(), new in json()) {
        let canonical = |value: &Value| canonicalize(value.to_string().as_bytes()).unwrap();
        let (old, new) = (canonical(&old), canonical(&new));
        for (from, to) in [(&old, &new), (&new, &old)] {
            let mut patch = Vec::new();
            write_patch(&diff(from, to).unwrap(), &mut patch);
            let patch = canonicalize(&patch).unwrap();
            let done = canonicalize(&apply_patch(from, &patch).unwrap()).unwrap();
            prop_assert_eq!(&done, to);
            let mut merge = Vec::new();
            match write_merge_patch(from, to, &mut merge) {
                // A merge patch that is no object stands for the document.
                Ok(()) if merge.starts_with(b"{") => {
                    let merge = canonicalize(&merge).unwrap();
                    let done = canonicalize(&apply_patch(from, &merge).unwrap()).unwrap();
                    prop_assert_eq!(&done, to);
                }
                Ok(()) => prop_assert_eq!(&merge, to),
                Err(DiffError::NoMergePatch(_)) => {}
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            }
        }
    }
}
