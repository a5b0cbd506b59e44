//! Blame against the plainest model there is: for documents of objects only, the version of a leaf is the last one
//! that has another value at its place than the one before.

use std::collections::BTreeMap;

use backstory::blame::{Annotated, blame};
use backstory::{Archive, Document};
use proptest::prelude::*;
use serde_json::{Map, Value};

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        (0..3).prop_map(Value::from),
        Just(Value::Null),
        "[ab]".prop_map(Value::from),
        Just(Value::Array(Vec::new())),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        proptest::collection::btree_map("[a-c/~0]", inner, 0..4)
            .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>()))
    })
}

/// Every scalar and empty container by its pointer.
fn leaves(value: &Value, pointer: &str, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                leaves(value, &format!("{pointer}/{name}"), found);
            }
        }
        value => drop(found.insert(pointer.to_owned(), value.to_string())),
    }
}

/// What a version holds; nothing where the path had ended.
fn all(version: &Option<Value>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    if let Some(value) = version {
        leaves(value, "", &mut found);
    }
    found
}

fn model(versions: &[Option<Value>]) -> BTreeMap<String, (String, usize)> {
    let versions: Vec<_> = versions.iter().map(all).collect();
    let newest = versions.last().unwrap();
    let origin = |pointer: &String, value: &String| {
        let same = |version: &BTreeMap<_, _>| version.get(pointer) == Some(value);
        versions
            .iter()
            .rposition(|version| !same(version))
            .map_or(0, |at| at + 1)
    };
    newest
        .iter()
        .map(|(pointer, value)| (pointer.clone(), (value.clone(), origin(pointer, value))))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 400 } else { 4000 }))]

    #[test]
    fn blame_is_what_the_model_says(
        versions in proptest::collection::vec(proptest::option::weighted(0.9, document()), 1..8),
        at_once in any::<bool>(),
    ) {
        let mut annotated = Annotated::default();
        let texts: Vec<Option<String>> = versions.iter().map(|v| v.as_ref().map(Value::to_string)).collect();
        if at_once && texts.iter().all(Option::is_some) {
            let row: Vec<(&[u8], usize)> = texts.iter().flatten().map(|text| text.as_bytes()).zip(0..).collect();
            annotated.push_all(&row).unwrap();
        } else {
            for (origin, text) in texts.iter().enumerate() {
                match text {
                    Some(text) => annotated.push(text.as_bytes(), origin).unwrap(),
                    None => annotated.absent(),
                }
            }
        }
        let found: BTreeMap<String, (String, usize)> = annotated
            .leaves()
            .unwrap()
            .into_iter()
            .map(|leaf| (leaf.pointer.to_string(), (leaf.value.into_string(), leaf.origin)))
            .collect();
        prop_assert_eq!(found, model(&versions));
    }

    /// Whatever happens to arrays, the leaves are those of the document.
    #[test]
    fn arrays_of_all_kinds_keep_their_leaves(
        versions in proptest::collection::vec(proptest::collection::vec((0..6_u8, 0..3_u8, 0..4_u8), 0..6), 1..8),
    ) {
        let mut annotated = Annotated::default();
        let text = |items: &Vec<(u8, u8, u8)>| {
            let items: Vec<String> = items
                .iter()
                .map(|(id, value, kind)| match kind {
                    0 => value.to_string(),
                    1 => format!("[{id},{value}]"),
                    _ => format!("{{\"id\":{id},\"l\":[{value}],\"v\":{value}}}"),
                })
                .collect();
            format!("{{\"list\":[{}]}}", items.join(","))
        };
        for (origin, items) in versions.iter().enumerate() {
            annotated.push(text(items).as_bytes(), origin).unwrap();
        }
        let mut expected = 0;
        fn count(value: &Value, leaves: &mut usize) {
            match value {
                Value::Array(items) if !items.is_empty() => items.iter().for_each(|v| count(v, leaves)),
                Value::Object(members) if !members.is_empty() => members.values().for_each(|v| count(v, leaves)),
                _ => *leaves += 1,
            }
        }
        let newest = text(versions.last().unwrap());
        let newest_value: Value = serde_json::from_str(&newest).unwrap();
        count(&newest_value, &mut expected);
        let leaves = annotated.leaves().unwrap();
        prop_assert_eq!(leaves.len(), expected);
        for leaf in &leaves {
            let value = newest_value.pointer(leaf.pointer.as_str()).unwrap();
            prop_assert_eq!(&value.to_string(), &*leaf.value);
        }
        // What no version in between has touched is where it was.
        if versions.iter().all(|items| items == &versions[0]) {
            prop_assert!(leaves.iter().all(|leaf| leaf.origin == 0));
        }
    }
}

#[test]
fn groups_of_versions_are_one_history() {
    let archive = Archive::in_memory().unwrap();
    let versions = 200;
    for number in 0..versions {
        let mut save = archive.save();
        let text = format!(
            "{{\"first\":true,\"half\":{},\"now\":{number}}}",
            number / 100
        );
        save.add("a", Document::source(text)).unwrap();
        save.commit().unwrap();
    }
    let newest = archive.newest("a").unwrap().unwrap();
    let found = blame(&archive, &newest).unwrap();
    let numbers: Vec<u64> = found
        .leaves
        .iter()
        .map(|leaf| found.origin(leaf).unwrap().version)
        .collect();
    assert_eq!(numbers, [1, 101, 200]);
    assert!(found.unread.is_empty());
}
