//! `log` with what each version changed: `--pointer`, `--grep`, `--stat`, `--patch`.

use serde_json::{Value, json};

use crate::support::{Place, assert_keys};

fn place() -> Place {
    let place = Place::with_versions(&[
        r#"{"a":1}"#,
        r#"{"a":1,"b":null}"#,
        r#"{"a":2,"b":null}"#,
        r#"{"a":2}"#,
    ]);
    place.write("config/a.json", "{ \"a\": 2 }");
    place
        .run(&[
            "save",
            "config/a.json",
            "-m",
            "Only the LAYOUT",
            "--meta",
            "ticket=OPS-7",
        ])
        .ok();
    place
}

fn lines(place: &Place, arguments: &[&str]) -> Vec<Value> {
    place
        .run(&[&["log", "--json"], arguments].concat())
        .ok()
        .lines()
}

fn versions(lines: &[Value]) -> Vec<u64> {
    lines
        .iter()
        .map(|line| line["version"].as_u64().unwrap())
        .collect()
}

#[test]
fn pointer_keeps_the_versions_that_changed_a_value() {
    let place = place();
    let found = lines(&place, &["config/a.json", "--pointer", "/a"]);
    assert_eq!(versions(&found), [3, 1]);
    assert_eq!(found[0]["change"], json!({"old": 1, "new": 2}));
    assert_eq!(found[1]["change"], json!({"new": 1}));
    // That a value is null is not that there is none.
    let found = lines(&place, &["config/a.json", "--pointer", "/b"]);
    assert_eq!(versions(&found), [4, 2]);
    assert_eq!(found[0]["change"], json!({"old": null}));
    assert_eq!(found[1]["change"], json!({"new": null}));
    assert_eq!(
        versions(&lines(&place, &["config/a.json", "--pointer", ""])),
        [4, 3, 2, 1]
    );
    assert_eq!(
        versions(&lines(
            &place,
            &["config/a.json", "--pointer", "/a", "-n", "1"]
        )),
        [3]
    );
    assert!(lines(&place, &["config/a.json", "--pointer", "/none"]).is_empty());
    let call = place.run(&["log", "config/a.json", "--pointer", "/a"]).ok();
    let text: Vec<&str> = call.text().lines().collect();
    assert_eq!(text.len(), 4);
    assert_eq!(text[1], "    ~ /a  1 → 2  (+1, +100 %)");
    assert_eq!(text[3], "    + /a  1");
    place
        .run(&["log", "--pointer", "/a"])
        .exits(2)
        .says_what_to_try()
        .mentions("try: backstory log PATH --pointer /a");
    place
        .run(&["log", "config/a.json", "--pointer", "a"])
        .exits(2)
        .says_what_to_try();
}

#[test]
fn pointer_follows_renames_and_deletions() {
    let place = place();
    place.run(&["mv", "config/a.json", "config/b.json"]).ok();
    place.run(&["delete", "config/b.json"]).ok();
    place.run(&["undelete", "config/b.json"]).ok();
    let found = lines(&place, &["config/b.json", "--pointer", "/a"]);
    assert_eq!(versions(&found), [3, 2, 3, 1]);
    assert_eq!(found[0]["change"], json!({"new": 2}));
    assert_eq!(found[1]["change"], json!({"old": 2}));
    assert_eq!(found[1]["op"], "delete");
}

#[test]
fn grep_looks_into_messages_and_metadata() {
    let place = place();
    for text in ["layout", "LAYOUT", "ops-7"] {
        assert_eq!(versions(&lines(&place, &["--grep", text])), [5], "{text}");
    }
    assert!(lines(&place, &["--grep", "ticket"]).is_empty());
    place.write("b.json", "1");
    place.run(&["save", "b.json", "-m", "layout of b"]).ok();
    assert_eq!(lines(&place, &["--grep", "layout"]).len(), 2);
    assert_eq!(
        lines(&place, &["--grep", "layout", "-n", "1"])[0]["path"],
        "b.json"
    );
}

#[test]
fn stat_counts_and_patch_shows() {
    let place = place();
    let found = lines(&place, &["config/a.json", "--stat", "--patch"]);
    let stat = |n: usize| (&found[n]["stat"], &found[n]["changes"]);
    assert_eq!(
        stat(0),
        (
            &json!({"added": 0, "removed": 0, "changed": 0, "moved": 0}),
            &json!([])
        )
    );
    assert_eq!(
        stat(1),
        (
            &json!({"added": 0, "removed": 1, "changed": 0, "moved": 0}),
            &json!([{"op": "removed", "path": "/b", "old": null}])
        )
    );
    assert_eq!(
        stat(2).0,
        &json!({"added": 0, "removed": 0, "changed": 1, "moved": 0})
    );
    assert_eq!(
        stat(4),
        (
            &json!({"added": 1, "removed": 0, "changed": 0, "moved": 0}),
            &json!([{"op": "added", "path": "", "new": {"a": 1}}])
        )
    );
    let call = place.run(&["log", "config/a.json@", "--stat"]);
    call.exits(3);
    let call = place.run(&["log", "config/a.json", "--stat"]).ok();
    assert_eq!(call.text().lines().nth(1), Some("    no differences"));
    assert_eq!(call.text().lines().nth(3), Some("    1 removed"));
    let call = place.run(&["log", "-p", "-n", "3"]).ok();
    let text: Vec<&str> = call.text().lines().collect();
    assert_eq!(text[3], "    - /b  null");
    assert_eq!(text[6], "    ~ /a  1 → 2  (+1, +100 %)");
    assert_eq!(text[7], "    1 changed");
    let call = place.run(&["log", "-p", "--color", "always"]).ok();
    assert!(call.text().contains('\x1b'));
}

#[test]
fn patch_below_a_pointer_has_whole_pointers() {
    let place = Place::with_versions(&[
        r#"{"db":{"port":1,"host":"x"},"v":1}"#,
        r#"{"db":{"port":2,"host":"x"},"v":2}"#,
    ]);
    let found = lines(
        &place,
        &["config/a.json", "--pointer", "/db", "--patch", "-n", "1"],
    );
    assert_eq!(found[0]["changes"][0]["path"], "/db/port");
    assert_eq!(found[0]["changes"].as_array().unwrap().len(), 1);
    assert_eq!(found[0]["change"]["old"]["port"], 1);
}

#[test]
fn without_the_flags_the_shape_is_the_old_one() {
    let place = place();
    let plain = [
        "path", "version", "id", "source", "commit", "seq", "time", "recorded", "author", "op",
        "message", "meta", "rev",
    ];
    for line in lines(&place, &["config/a.json", "--grep", "layout"]) {
        assert_keys(&line, &plain);
    }
    for line in lines(&place, &["config/a.json", "--stat"]) {
        assert_keys(&line, &[&plain[..], &["stat"]].concat());
    }
}
