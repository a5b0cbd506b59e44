//! `blame`: which version brought each value.

use crate::support::{Place, assert_keys};

/// The lines of a blame as `version pointer`.
fn origins(place: &Place, arguments: &[&str]) -> Vec<String> {
    let call = place.run(&[&["blame", "--json"], arguments].concat()).ok();
    call.lines()
        .iter()
        .map(|line| {
            format!(
                "{} {}",
                line["rev"].as_str().unwrap(),
                line["pointer"].as_str().unwrap()
            )
        })
        .collect()
}

#[test]
fn every_leaf_has_its_version() {
    let place = Place::with_versions(&[
        r#"{"port":80,"hosts":["a","b"],"tags":{}}"#,
        r#"{"port":81,"hosts":["new","a","b"],"tags":{}}"#,
    ]);
    assert_eq!(
        origins(&place, &["config/a.json"]),
        [
            "config/a.json@2 /hosts/0",
            "config/a.json@1 /hosts/1",
            "config/a.json@1 /hosts/2",
            "config/a.json@2 /port",
            "config/a.json@1 /tags",
        ]
    );
    assert_eq!(
        origins(&place, &["config/a.json", "--pointer", "/hosts/1"]),
        ["config/a.json@1 /hosts/1"]
    );
    assert_eq!(
        origins(&place, &["config/a.json", "--pointer", "/hosts"]).len(),
        3
    );
    assert!(
        origins(&place, &["config/a.json@1"])
            .iter()
            .all(|line| line.starts_with("config/a.json@1 "))
    );
    let line = place
        .run(&["blame", "config/a.json", "--pointer", "/port", "--json"])
        .ok()
        .document();
    assert_keys(
        &line,
        &[
            "path", "pointer", "value", "version", "time", "author", "message", "op", "of",
            "commit", "rev",
        ],
    );
    assert_eq!(
        (line["value"].as_u64(), line["version"].as_u64()),
        (Some(81), Some(2))
    );
    assert_eq!(line["time"], "2026-11-02T12:00:00Z");
    assert_eq!(line["author"], "ops");
}

#[test]
fn people_read_aligned_lines() {
    let place = Place::with_versions(&[r#"{"a":1,"b":"x"}"#, r#"{"a":2,"b":"x"}"#]);
    place
        .run(&["rollback", "config/a.json", "--author", "qa"])
        .ok();
    let call = place.run(&["blame", "config/a.json"]).ok();
    let lines: Vec<&str> = call.text().lines().collect();
    assert!(lines[0].starts_with("@3  "), "{}", lines[0]);
    assert!(
        lines[0].ends_with("Z  qa   /a = 1  (rollback to @1)"),
        "{}",
        lines[0]
    );
    assert_eq!(lines[1], "@1  2026-11-01 12:00:00Z  ops  /b = \"x\"");
    assert!(
        place
            .run(&["blame", "config/a.json", "--color", "always"])
            .text()
            .contains('\x1b')
    );
    let place = Place::with_versions(&["5"]);
    assert!(
        place
            .run(&["blame", "config/a.json"])
            .text()
            .ends_with("(whole document) = 5\n")
    );
}

#[test]
fn names_in_a_document_do_not_steer_the_terminal() {
    let place = Place::with_versions(&["{\"\\u001b[2J\":\"\\u009b2J\u{9b}\"}"]);
    let call = place.run(&["blame", "config/a.json"]).ok();
    assert!(
        !call.text().chars().any(|c| c.is_control() && c != '\n'),
        "{}",
        call.text()
    );
}

#[test]
fn renames_are_followed_and_a_deletion_starts_anew() {
    let place = Place::with_versions(&[r#"{"a":1,"b":1}"#]);
    place.run(&["mv", "config/a.json", "config/b.json"]).ok();
    place.write("config/b.json", r#"{"a":1,"b":2}"#);
    place.run(&["save", "config/b.json"]).ok();
    assert_eq!(
        origins(&place, &["config/b.json"]),
        ["config/a.json@1 /a", "config/b.json@2 /b"]
    );
    assert!(
        place
            .run(&["blame", "config/b.json"])
            .text()
            .starts_with("config/a.json@1  ")
    );
    place
        .run(&["blame", "config/a.json"])
        .exits(3)
        .says_what_to_try()
        .mentions("try: backstory blame :/config/b.json");
    place.run(&["delete", "config/b.json"]).ok();
    place
        .run(&["blame", "config/b.json"])
        .exits(3)
        .says_what_to_try()
        .mentions("try: backstory blame :/config/b.json@2");
    assert_eq!(origins(&place, &[":/config/b.json@2"]).len(), 2);
    place.run(&["undelete", "config/b.json"]).ok();
    assert!(
        origins(&place, &["config/b.json"])
            .iter()
            .all(|line| line.starts_with("config/b.json@4 "))
    );
    // A deletion in between, asked for what came before it.
    assert_eq!(
        origins(&place, &["config/b.json@2"])[0],
        "config/a.json@1 /a"
    );
}

#[test]
fn another_layout_brings_nothing() {
    let place = Place::with_versions(&[r#"{"a":1}"#, r#"{ "a": 1 }"#]);
    assert_eq!(origins(&place, &["config/a.json"]), ["config/a.json@1 /a"]);
}

#[test]
fn what_is_not_there_is_said() {
    let place = Place::with_versions(&[r#"{"a":1}"#]);
    place
        .run(&["blame", "none.json"])
        .exits(3)
        .says_what_to_try();
    place
        .run(&["blame", "config/a.json@7"])
        .exits(3)
        .says_what_to_try();
    place
        .run(&["blame", "config/a.json", "--pointer", "/b"])
        .exits(3)
        .says_what_to_try();
    place
        .run(&["blame", "config/a.json", "--pointer", "b"])
        .exits(2)
        .says_what_to_try();
    place.run(&["blame"]).exits(2);
}

/// Three versions of which the second is damaged and the third does not rest on it.
fn damaged() -> Place {
    let place = Place::with_versions(&[
        r#"{"a":"qmzxkv","b":1}"#,
        r#"{"sensor":"northwind"}"#,
        r#"{"c":"plfwyt","b":2}"#,
    ]);
    let segment = place
        .names(".backstory/log", "0")
        .into_iter()
        .next_back()
        .unwrap();
    let segment = place.path(".backstory/log").join(segment);
    let mut bytes = std::fs::read(&segment).unwrap();
    let found = bytes.windows(9).position(|window| window == b"northwind");
    bytes[found.unwrap()] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    place
}

#[test]
fn damage_is_told_and_the_rest_is_shown() {
    let place = damaged();
    let call = place.run(&["blame", "config/a.json"]).ok();
    assert_eq!(call.text().lines().count(), 2);
    call.mentions("warning: config/a.json@2 cannot be read");
    place
        .run(&["blame", "config/a.json@2"])
        .exits(6)
        .says_what_to_try();
    let call = place.run(&["log", "--stat", "--json"]).exits(6);
    assert_eq!(call.lines().len(), 3);
    let call = place.run(&["find", "$.b", "--all", "--json"]).exits(6);
    assert_eq!(call.lines().len(), 2);
}
