//! The JSON shape of every command, member by member.

use crate::support::{Place, assert_keys};

const CHANGE: [&str; 6] = ["path", "version", "id", "commit", "status", "rev"];

/// The version that a `Place::with_versions` of two contents has, and calls that print changes.
#[test]
fn commands_that_change_print_a_line_a_path() {
    let place = Place::with_versions(&["{\"a\": 1}\n", "{\"a\": 2}\n"]);
    let check = |arguments: &[&str], status: &str, rev: &str| {
        let line = place.run(arguments).ok().document();
        assert_keys(&line, &CHANGE);
        assert_eq!(line["status"], status, "{arguments:?}");
        assert_eq!(line["rev"], rev, "{arguments:?}");
        assert_eq!(line["commit"].as_str().unwrap().len(), 64);
        line
    };
    let saved = check(
        &["save", "config/a.json", "--json"],
        "unchanged",
        "config/a.json@2",
    );
    assert_eq!(saved["id"].as_str().unwrap().len(), 64);
    place.write("config/a.json", "{ \"a\": 2 }");
    check(
        &["--json", "save", "config/a.json"],
        "reformatted",
        "config/a.json@3",
    );
    place.write("config/a.json", "{\"a\":3}");
    check(
        &["save", "--json", "config/a.json"],
        "saved",
        "config/a.json@4",
    );
    check(
        &["rollback", "config/a.json", "--json", "--to", "1"],
        "rolled-back",
        "config/a.json@5",
    );
    let head = place.run(&["head"]).ok();
    check(
        &["undo", head.text().trim(), "--json"],
        "undone",
        "config/a.json@6",
    );
    check(&["redo", "--json"], "redone", "config/a.json@7");
    let deleted = check(
        &["delete", "config/a.json", "--json"],
        "deleted",
        "config/a.json@8",
    );
    assert!(deleted["id"].is_null());
    check(
        &["undelete", "config/a.json", "--json"],
        "undeleted",
        "config/a.json@9",
    );
    let moved = place
        .run(&["mv", "config/a.json", "config/b.json", "--json"])
        .ok()
        .lines();
    let statuses: Vec<_> = moved
        .iter()
        .map(|line| line["status"].as_str().unwrap())
        .collect();
    assert_eq!(statuses, ["renamed-away", "renamed"]);
    moved.iter().for_each(|line| assert_keys(line, &CHANGE));
}

#[test]
fn log_prints_a_line_a_version() {
    let place = Place::with_archive();
    place.write("a.json", "{ \"a\":1 }");
    place
        .run(&[
            "save",
            "a.json",
            "-m",
            "first",
            "--author",
            "qa",
            "--meta",
            "run=42",
            "--meta",
            "x=",
            "--time",
            "2026-11-01T12:00:00+01:00",
        ])
        .ok();
    let line = place.run(&["log", "--json"]).ok().document();
    assert_keys(
        &line,
        &[
            "path", "version", "id", "source", "commit", "seq", "time", "recorded", "author", "op",
            "message", "meta", "rev",
        ],
    );
    assert_eq!(line["path"], "a.json");
    assert_eq!(line["version"], 1);
    assert_eq!(line["time"], "2026-11-01T11:00:00Z");
    assert_ne!(line["recorded"], line["time"]);
    assert_eq!(line["author"], "qa");
    assert_eq!(line["op"], "save");
    assert_eq!(line["message"], "first");
    assert_eq!(line["meta"], serde_json::json!({"run": "42", "x": ""}));
    assert_eq!(line["source"].as_str().unwrap().len(), 64);
    place.write("b.json", "{\"a\":1}");
    place.run(&["save", "b.json"]).ok();
    let line = place.run(&["log", "b.json", "--json"]).ok().document();
    assert_eq!(line["author"], "ops");
    assert!(line["message"].is_null() && line["source"].is_null());
    assert_eq!(line["meta"], serde_json::json!({}));
}

#[test]
fn lists_and_documents_have_their_members() {
    let place = Place::with_versions(&["1", "[1, 2]"]);
    let root = place.root();
    let ls = place.run(&["ls", "--json"]).ok().document();
    assert_keys(&ls, &["path", "version", "id", "time", "deleted"]);
    assert_eq!(
        (ls["version"].as_u64(), ls["deleted"].as_bool()),
        (Some(2), Some(false))
    );

    let identified = place
        .run(&["identify", "config/a.json", "--json"])
        .ok()
        .document();
    assert_keys(
        &identified,
        &["path", "version", "same", "time", "commit", "rev"],
    );
    assert_eq!(identified["same"], "bytes");

    place.write("config/a.json", "[3]");
    let status = place.run(&["status", "--json"]).exits(1).document();
    assert_keys(&status, &["path", "state", "version"]);
    assert_eq!(status["state"], "modified");

    let tag = ["name", "path", "version", "commit"];
    let set = place
        .run(&["tag", "first", "config/a.json@1", "--json"])
        .ok()
        .document();
    assert_keys(&set, &tag);
    let whole = place.run(&["tag", "release", "--json"]).ok().document();
    assert_keys(&whole, &tag);
    assert!(whole["path"].is_null() && whole["version"].is_null());
    let tags = place.run(&["tag", "--list", "--json"]).ok().lines();
    assert_eq!(tags.len(), 2);
    assert_eq!(tags[0], set);
    assert_keys(
        &place
            .run(&["tag", "--delete", "first", "--json"])
            .ok()
            .document(),
        &tag,
    );

    let head = place.run(&["head", "--json"]).ok().document();
    assert_keys(&head, &["commit", "seq"]);
    let stats = place.run(&["stats", "--json"]).ok().document();
    assert_keys(
        &stats,
        &[
            "paths",
            "versions",
            "commits",
            "objects",
            "log_bytes",
            "index_bytes",
            "document_bytes",
        ],
    );
    assert_eq!(
        (stats["paths"].as_u64(), stats["versions"].as_u64()),
        (Some(1), Some(2))
    );

    let hash = place
        .run(&["hash", "config/a.json", "--json"])
        .ok()
        .document();
    assert_keys(&hash, &["id"]);
    assert_keys(
        &place.run(&["reindex", "--json"]).ok().document(),
        &["commits"],
    );
    let file = root.join("out.json");
    let loaded = place
        .run(&[
            "load",
            "config/a.json@1",
            "-o",
            file.to_str().unwrap(),
            "--json",
        ])
        .ok()
        .document();
    assert_keys(&loaded, &["path", "version", "id", "rev", "file", "bytes"]);
    let made = place.run(&["init", "other", "--json"]).ok().document();
    assert_keys(&made, &["root", "archive", "id"]);
    assert_eq!(made["root"], root.join("other").to_str().unwrap());
    assert!(
        place
            .run(&["completions", "bash", "--json"])
            .ok()
            .document()
            .is_string()
    );
}

#[test]
fn verify_prints_one_document() {
    let place = Place::with_versions(&["1", "2"]);
    let report = place.run(&["verify", "--json"]).ok().document();
    assert_keys(&report, &["ok", "commits", "objects", "head", "findings"]);
    assert_eq!(report["ok"], true);
    assert_eq!(report["commits"], 2);
    assert_eq!(report["head"], place.run(&["head"]).ok().text().trim());
    let head = report["head"].as_str().unwrap();
    place.run(&["verify", "--quick", "--head", head]).ok();

    let foreign = "0".repeat(64);
    let report = place
        .run(&["verify", "--head", &foreign, "--json"])
        .exits(1)
        .document();
    assert_eq!(report["ok"], false);
    assert_keys(
        &report["findings"][0],
        &["kind", "segment", "offset", "message", "affects"],
    );
    place.run(&["verify", "--head", &foreign]).exits(1);
    place.run(&["verify", "--head", "abc"]).exits(2);
}

#[test]
fn verify_finds_damage_and_names_what_it_touches() {
    let place = Place::with_versions(&["{\"sensor\":\"north\",\"values\":[1,2,3]}", "2", "3"]);
    let segment = place
        .names(".backstory/log", "")
        .into_iter()
        .find(|name| name != "MANIFEST")
        .unwrap();
    let segment = place.path(".backstory/log").join(segment);
    let mut bytes = std::fs::read(&segment).unwrap();
    let found = bytes.windows(5).position(|window| window == b"north");
    let at = found.unwrap_or(bytes.len() / 3);
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let report = place.run(&["verify", "--json"]).exits(1).document();
    let finding = &report["findings"][0];
    assert_keys(
        finding,
        &["kind", "segment", "offset", "message", "affects"],
    );
    let affects: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|finding| finding["affects"].as_array().unwrap().iter())
        .collect();
    assert!(
        affects
            .iter()
            .any(|version| version["path"] == "config/a.json" && version["version"] == 1),
        "{report}"
    );
}

#[test]
fn diff_prints_the_document_of_its_json_format() {
    let place = Place::with_versions(&["{\"a\":1}", "{\"a\":2.5,\"b\":[]}"]);
    let by_flag = place
        .run(&["diff", "config/a.json@1", "@2", "--json"])
        .exits(1)
        .document();
    let by_format = place
        .run(&["diff", "config/a.json@1", "@2", "--format", "json"])
        .exits(1)
        .document();
    assert_eq!(by_flag, by_format);
    assert_keys(&by_flag, &["old", "new", "same", "changes", "summary"]);
    assert_eq!(
        (by_flag["old"].as_str(), by_flag["new"].as_str()),
        (Some("config/a.json@1"), Some("config/a.json@2"))
    );
    assert_eq!(
        by_flag["summary"],
        serde_json::json!({"added": 1, "removed": 0, "changed": 1, "moved": 0})
    );
}
