//! `restore --at`: the state of a moment on disk, and nothing lost that stood there.

use std::fs;

use serde_json::json;

use crate::support::{Place, assert_keys};

fn history() -> Place {
    let place = Place::with_archive();
    let save = |name: &str, text: &str, time: &str| {
        place.write(name, text);
        place.run(&["save", name, "--time", time]).ok();
    };
    save("a.json", "{ \"n\":1 }", "2026-11-01T10:00:00Z");
    save("dir/b.json", "1", "2026-11-01T10:00:00Z");
    save("a.json", "{ \"n\":2 }", "2026-11-02T10:00:00Z");
    save("new.json", "1", "2026-11-02T10:00:00Z");
    place
        .run_input(
            &[
                "save",
                "-",
                "--as",
                "piped.json",
                "--time",
                "2026-11-01T10:00:00Z",
            ],
            "1",
        )
        .ok();
    place
}

#[test]
fn files_are_as_they_were_and_what_stood_there_is_kept() {
    let place = history();
    place.write("a.json", "{ \"unsaved\": true }");
    place.write("dir/b.json", "no document");
    let before = place.run(&["head"]).ok().out;
    let call = place
        .run(&["restore", "--at", "2026-11-01", "--dry-run", "--json"])
        .ok();
    assert_keys(
        &call.lines()[0],
        &["path", "file", "rev", "state", "saved", "aside"],
    );
    let states = |call: &crate::support::Call| -> Vec<String> {
        let line = |line: &serde_json::Value| {
            format!("{} {}", line["path"], line["state"]).replace('"', "")
        };
        let mut states: Vec<String> = call.lines().iter().map(line).collect();
        states.sort();
        states
    };
    let expected = [
        "a.json saved-first",
        "a.json written",
        "dir/b.json moved-aside",
        "dir/b.json written",
        "new.json left",
        "piped.json never-a-file",
    ];
    assert_eq!(states(&call), expected);
    assert_eq!(
        (place.read("a.json"), place.run(&["head"]).ok().out),
        ("{ \"unsaved\": true }".into(), before)
    );

    let call = place.run(&["restore", "--at", "2026-11-01", "--json"]).ok();
    assert_eq!(states(&call), expected);
    assert_eq!(
        (place.read("a.json"), place.read("dir/b.json")),
        ("{ \"n\":1 }".into(), "1".into())
    );
    assert_eq!(place.read("new.json"), "1");
    assert_eq!(
        place.run(&["load", "a.json@3"]).ok().out,
        b"{ \"unsaved\": true }"
    );
    let aside = place.names("dir", "b.json.unsaved-");
    assert_eq!(
        (aside.len(), place.read(&format!("dir/{}", aside[0]))),
        (1, "no document".into())
    );
    // Again there is nothing to do, and no commit.
    let head = place.run(&["head"]).ok().out;
    let again = place.run(&["restore", "--at", "2026-11-01"]).ok();
    assert!(
        again
            .text()
            .contains("restored 0 files; 2 had that content already"),
        "{}",
        again.text()
    );
    assert_eq!(place.run(&["head"]).ok().out, head);
    // The newest versions are what they were.
    place.run(&["status"]).exits(1);
    place.run(&["restore", "--at", "2100-01-01"]).ok();
    assert_eq!(place.read("a.json"), "{ \"unsaved\": true }");
}

#[test]
fn into_a_folder_comes_every_path_and_nothing_there_is_lost() {
    let place = history();
    place.write("state/a.json", "mine");
    let call = place.run(&["restore", "--at", "2026-11-01", "state"]).ok();
    assert!(
        call.err.contains("could not be saved and is now"),
        "{}",
        call.err
    );
    assert_eq!(
        (place.read("state/a.json"), place.read("state/piped.json")),
        ("{ \"n\":1 }".into(), "1".into())
    );
    assert_eq!(place.names("state", "a.json.unsaved-").len(), 1);
    assert!(!place.exists("state/new.json"));
    assert_eq!(place.read("a.json"), "{ \"n\":2 }");
    place
        .run(&["restore", "--at", "2026-11-01", "only", "--only", "dir"])
        .ok();
    assert_eq!(place.names("only", ""), ["dir"]);
    place
        .run(&["restore", "--at", "2026-11-01", "x", "--only", "nowhere"])
        .exits(3);
    place.run(&["restore", "x"]).exits(2).says_what_to_try();
    for call in [
        &["restore", "--at", "2026-11-01", ".backstory/log"][..],
        &["export", "-o", ".backstory/log/x"],
        &["export", "--format", "dir", "-o", ".backstory/x"],
    ] {
        place
            .run(call)
            .exits(2)
            .mentions("belongs to the archive itself");
    }
    place.run(&["verify"]).ok();
}

#[test]
fn what_must_not_or_cannot_be_written_is_told_of_and_the_rest_is_restored() {
    let place = history();
    place
        .run_input(&["save", "-", "--as", "x/.git/config"], "1")
        .ok();
    place
        .run_input(&["save", "-", "--as", "a.json/below"], "1")
        .ok();
    let call = place
        .run(&["restore", "--at", "2100-01-01", "state", "--json"])
        .exits(7);
    assert_eq!(call.errors().len(), 2, "{}", call.err);
    assert!(!place.exists("state/x/.git/config"));
    assert_eq!(place.read("state/a.json"), "{ \"n\":2 }");
    let failed = call
        .lines()
        .iter()
        .filter(|line| line["state"] == json!("failed"))
        .count();
    assert_eq!(failed, 2);
}

#[cfg(unix)]
#[test]
fn no_link_leads_out_of_the_root() {
    let place = history();
    let outside = Place::new();
    fs::remove_dir_all(place.path("dir")).unwrap();
    std::os::unix::fs::symlink(outside.root(), place.path("dir")).unwrap();
    place.run(&["restore", "--at", "2026-11-01"]).exits(5);
    assert!(outside.names("", "").is_empty());
    assert_eq!(place.read("a.json"), "{ \"n\":1 }");
}
