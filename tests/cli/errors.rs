//! Every exit code, and the form of an error.

use std::fs;

use crate::support::{Place, assert_keys, finish};

#[test]
fn a_person_is_told_what_to_type_next() {
    let place = Place::with_versions(&["1"]);
    place.write("bad.json", "{\"a\":}");
    let calls: [(&[&str], i32); 14] = [
        (&["nope"], 2),
        (&["save"], 2),
        (&["save", "-"], 2),
        (&["log", "-n", "many"], 2),
        (&["undo"], 2),
        (&["init"], 2),
        (&["tag", "3", "config/a.json"], 2),
        (&["tag", "--delete", "none"], 3),
        (&["load", "none.json"], 3),
        (&["save", "none.json"], 3),
        (&["undo", "0123abcd"], 3),
        (&["--archive", "elsewhere", "ls"], 3),
        (&["save", "config/a.json", "--if-version", "9"], 4),
        (&["save", "bad.json"], 5),
    ];
    for (arguments, code) in calls {
        let call = place.run(arguments).exits(code).says_what_to_try();
        assert!(call.out.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_program_gets_one_line_of_json() {
    let place = Place::with_versions(&["1"]);
    place.write("bad.json", "{\"a\":\n [1, }");
    let calls: [(&[&str], i32, &str); 7] = [
        (&["nope", "--json"], 2, "usage"),
        (&["--json", "save"], 2, "usage"),
        (&["--json"], 2, "usage"),
        (&["load", "none.json", "--json"], 3, "not-found"),
        (&["--archive", "elsewhere", "--json", "ls"], 3, "no-archive"),
        (
            &["save", "config/a.json", "--if-absent", "--json"],
            4,
            "conflict",
        ),
        (&["save", "bad.json", "--json"], 5, "invalid-document"),
    ];
    for (arguments, code, kind) in calls {
        let call = place.run(arguments).exits(code);
        assert!(call.out.is_empty(), "{arguments:?}");
        let errors = call.errors();
        assert_eq!(errors.len(), 1, "{arguments:?}");
        assert_eq!(
            (errors[0]["kind"].as_str(), errors[0]["exit"].as_i64()),
            (Some(kind), Some(code.into())),
            "{arguments:?}"
        );
        assert!(!errors[0]["message"].as_str().unwrap().is_empty());
        assert!(
            errors[0]["try"].as_str().unwrap().len() > 3,
            "{arguments:?}"
        );
    }
    let error = place
        .run(&["save", "bad.json", "--json"])
        .errors()
        .remove(0);
    assert_keys(
        &error,
        &[
            "kind", "message", "exit", "path", "pointer", "line", "column", "offset", "help", "try",
        ],
    );
    assert_eq!(
        (error["path"].as_str(), error["pointer"].as_str()),
        (Some("bad.json"), Some("/a/1"))
    );
    assert_eq!(
        (error["line"].as_u64(), error["column"].as_u64()),
        (Some(2), Some(6))
    );
}

#[test]
fn conditions_are_checked_before_anything_else() {
    let place = Place::with_versions(&["1", "2"]);
    place
        .run(&["save", "config/a.json", "--if-version", "2"])
        .ok();
    place
        .run(&["save", "config/a.json", "--if-version", "1"])
        .exits(4);
    place
        .run(&["save", "config/a.json", "--if-absent"])
        .exits(4);
    place
        .run(&["save", "config/a.json", "--if-absent", "--if-version", "2"])
        .exits(2);
    place.write("config/a.json", "[\"unsaved\"]");
    place
        .run(&["rollback", "config/a.json", "--if-version", "1"])
        .exits(4)
        .says_what_to_try();
    assert_eq!(place.run(&["log", "--json"]).ok().lines().len(), 2);
    assert_eq!(place.read("config/a.json"), "[\"unsaved\"]");
    place
        .run(&["rollback", "config/a.json", "--if-version", "2"])
        .ok();
    place.write("new.json", "1");
    place.run(&["save", "new.json", "--if-absent"]).ok();
    place
        .run(&["delete", "new.json", "--if-version", "7"])
        .exits(4);
}

#[test]
fn undo_of_what_has_changed_since_is_a_conflict() {
    let place = Place::with_versions(&["1", "2"]);
    let second = place.run(&["head"]).ok().text().trim().to_owned();
    place.write("config/a.json", "3");
    place.run(&["save", "config/a.json"]).ok();
    let error = place
        .run(&["undo", &second, "--json"])
        .exits(4)
        .errors()
        .remove(0);
    assert_eq!(
        (error["kind"].as_str(), error["path"].as_str()),
        (Some("conflict"), Some("config/a.json"))
    );
    assert_eq!(place.read("config/a.json"), "3");
}

#[test]
fn undo_off_a_terminal_asks_for_the_commit_and_names_it() {
    let place = Place::with_versions(&["1", "2"]);
    let head = place.run(&["head"]).ok().text().trim().to_owned();
    place
        .run(&["undo"])
        .exits(2)
        .mentions(&format!("backstory undo {head}"));
    place.run(&["undo", &head[..8]]).ok();
    assert_eq!(place.read("config/a.json"), "1");
    place.run(&["redo"]).ok();
    assert_eq!(place.read("config/a.json"), "2");
    place.run(&["redo"]).exits(3).says_what_to_try();
}

#[test]
fn a_damaged_archive_is_exit_6() {
    let place = Place::with_versions(&["1"]);
    fs::write(place.path(".backstory/archive.json"), "{}\n").unwrap();
    place.run(&["ls"]).exits(6).says_what_to_try();
    let error = place.run(&["ls", "--json"]).exits(6).errors().remove(0);
    assert_eq!(error["kind"], "corrupt");
}

#[test]
fn an_archive_from_the_future_is_refused() {
    let place = Place::with_versions(&["1"]);
    let identity = place.read(".backstory/archive.json");
    let future = identity.replace("\"format\":1", "\"format\":99");
    assert_ne!(future, identity);
    fs::write(place.path(".backstory/archive.json"), future).unwrap();
    let error = place.run(&["ls", "--json"]).exits(6).errors().remove(0);
    assert_eq!(error["kind"], "unsupported");
    place.run(&["ls"]).exits(6).says_what_to_try();
}

#[test]
fn another_writer_is_waited_for_and_then_it_is_exit_8() {
    let place = Place::with_versions(&["1"]);
    let lock = fs::File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(place.path(".backstory/lock"))
        .unwrap();
    lock.lock().unwrap();
    place.write("config/a.json", "2");
    place
        .run(&["save", "config/a.json", "--wait", "0.1"])
        .exits(8)
        .says_what_to_try()
        .mentions("--wait");
    let error = place
        .run(&["--wait", "0", "save", "config/a.json", "--json"])
        .exits(8)
        .errors()
        .remove(0);
    assert_eq!(error["kind"], "busy");
    assert_eq!(place.run(&["load", "config/a.json"]).ok().text(), "1");
    drop(lock);
    place.run(&["save", "config/a.json", "--wait", "0.1"]).ok();
    place.run(&["ls", "--wait", "-1"]).exits(2);
}

#[test]
fn unreadable_input_is_exit_7() {
    let place = Place::with_versions(&["1"]);
    place.run(&["canon", "config"]).exits(7).says_what_to_try();
    // A name that is longer than any file system takes.
    let long = format!("{}.json", "x".repeat(5000));
    place.run(&["canon", &long]).exits(7);
}

#[test]
fn the_largest_exit_code_wins() {
    let place = Place::with_archive();
    place.write("bad.json", "{");
    place.write("good.json", "1");
    let errors = place
        .run(&["save", "none.json", "bad.json", "good.json", "--json"])
        .exits(5)
        .errors();
    let kinds: Vec<_> = errors
        .iter()
        .map(|error| error["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["not-found", "invalid-document"]);
    place.run(&["load", "good.json"]).exits(3);
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_exit_7() {
    let place = Place::with_versions(&["1"]);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let call = finish(place.command(&["log"]).stdout(full))
        .exits(7)
        .says_what_to_try();
    assert!(call.err.contains("standard output"), "{}", call.err);
}

#[test]
fn damage_is_not_passed_over_in_silence() {
    let place = Place::with_archive();
    let segment = place.root().join(".backstory/log/00000001.seg");
    let mut ends = Vec::new();
    for text in ["[1]", "[2]", "[3]", "[4]"] {
        place.write("a.json", text);
        place.run(&["save", "a.json"]).ok();
        ends.push(std::fs::metadata(&segment).unwrap().len() as usize);
    }
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[ends[1] - 20] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let call = place.run(&["log", "a.json"]).ok();
    assert!(
        call.err
            .contains("version 2 of a.json is in a damaged part"),
        "{}",
        call.err
    );
    let call = place.run(&["log"]).ok();
    assert!(
        call.err.contains("commit 2 is in a damaged part"),
        "{}",
        call.err
    );
    place.run(&["load", "a.json@2"]).exits(6).says_what_to_try();
    assert_eq!(place.run(&["load", "a.json@1"]).ok().text(), "[1]");
    assert_eq!(place.run(&["load", "a.json@4"]).ok().text(), "[4]");
    place.run(&["verify"]).exits(1);
}
