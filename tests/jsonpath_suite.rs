//! Queries against the compliance test suite of JSONPath (RFC 9535).
//!
//! It lies in a folder `shared` next to the crate, or where `BACKSTORY_SHARED` says; where it is not there the test
//! says so and does nothing.
#![cfg(feature = "find")]

use std::path::{Path, PathBuf};

use backstory::canon::canonicalize;
use backstory::find::Query;
use serde_json::Value;

fn suite() -> Option<Value> {
    let shared = match std::env::var_os("BACKSTORY_SHARED") {
        Some(shared) => PathBuf::from(shared),
        None => Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .skip(1)
            .map(|folder| folder.join("shared"))
            .find(|shared| shared.join("suites").is_dir())
            .unwrap_or_default(),
    };
    let Ok(text) = std::fs::read_to_string(shared.join("suites/jsonpath/cts.json")) else {
        println!("left out: jsonpath (../shared not found)");
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

/// `$['a'][0]` as a JSON Pointer; the suite writes normalized paths.
fn pointer(path: &str) -> String {
    let mut pointer = String::new();
    let mut rest = path.strip_prefix('$').unwrap();
    while let Some(inner) = rest.strip_prefix('[') {
        let Some(quoted) = inner.strip_prefix('\'') else {
            let (index, after) = inner.split_once(']').unwrap();
            pointer.push_str(&format!("/{index}"));
            rest = after;
            continue;
        };
        let mut end = 0;
        while !quoted[end..].starts_with('\'') {
            end += if quoted[end..].starts_with('\\') {
                2
            } else {
                quoted[end..].chars().next().unwrap().len_utf8()
            };
        }
        let json = quoted[..end].replace("\\'", "'").replace('"', "\\\"");
        let name: String = serde_json::from_str(&format!("\"{json}\"")).unwrap();
        pointer.push_str(&format!("/{}", name.replace('~', "~0").replace('/', "~1")));
        rest = quoted[end..].strip_prefix("']").unwrap();
    }
    pointer
}

#[test]
fn the_suite_holds() {
    let Some(suite) = suite() else { return };
    let (mut good, mut refused, mut wrong) = (0, 0, Vec::new());
    for test in suite["tests"].as_array().unwrap() {
        let name = test["name"].as_str().unwrap();
        let selector = test["selector"].as_str().unwrap();
        let query = Query::parse(selector);
        if test["invalid_selector"] == true {
            match query {
                // What is no query may still be a filter on the document.
                Ok(query) if !query.is_filter() => wrong.push(format!("{name}: accepted")),
                _ => refused += 1,
            }
            continue;
        }
        let Ok(query) = query else {
            wrong.push(format!("{name}: refused"));
            continue;
        };
        let document = canonicalize(test["document"].to_string().as_bytes()).unwrap();
        let nodes = query.select(&document).unwrap();
        let found: Vec<Value> = nodes
            .iter()
            .map(|node| serde_json::from_str(&node.value).unwrap())
            .collect();
        let places: Vec<&str> = nodes.iter().map(|node| node.pointer.as_str()).collect();
        // Where the order is open the suite has all results that are right.
        let (results, paths) = match test.get("results") {
            Some(results) => (
                results.as_array().unwrap().clone(),
                test["results_paths"].as_array().unwrap().clone(),
            ),
            None => (
                vec![test["result"].clone()],
                vec![test["result_paths"].clone()],
            ),
        };
        let fits = results.iter().zip(&paths).any(|(result, paths)| {
            let paths: Vec<String> = paths
                .as_array()
                .unwrap()
                .iter()
                .map(|path| pointer(path.as_str().unwrap()))
                .collect();
            numbers(result) == numbers(&Value::Array(found.clone())) && paths == places
        });
        match fits {
            true => good += 1,
            false => wrong.push(format!("{name}: {selector}")),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(good > 400 && refused > 200, "{good} {refused}");
}

/// Numbers as doubles: the canonical form has 1 where the suite has 1.0.
fn numbers(value: &Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(Value::Null, Value::from),
        Value::Array(items) => items.iter().map(numbers).collect(),
        Value::Object(members) => Value::Object(
            members
                .iter()
                .map(|(k, v)| (k.clone(), numbers(v)))
                .collect(),
        ),
        value => value.clone(),
    }
}
