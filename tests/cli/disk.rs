//! What is on disk is never lost and never blocks; files are replaced as a careful person would.

use std::fs;

use crate::support::Place;

#[test]
fn rollback_restores_every_byte() {
    let layout = "{ \"b\" : 1.50,\r\n\t\"a\":[ ] }";
    let place = Place::with_versions(&[layout, "2", "3"]);
    place.run(&["rollback", "config/a.json", "--to", "1"]).ok();
    assert_eq!(place.read("config/a.json"), layout);
    for to in ["@2", "-3", "2026-11-02"] {
        place.run(&["rollback", "config/a.json", "--to", to]).ok();
        assert_eq!(place.read("config/a.json"), "2", "{to}");
    }
}

#[test]
fn rollback_again_walks_further_back() {
    let place = Place::with_versions(&["1", "2", "3", "4"]);
    for content in ["3", "2", "1"] {
        place.run(&["rollback", "config/a.json"]).ok();
        assert_eq!(place.read("config/a.json"), content);
    }
    place
        .run(&["rollback", "config/a.json"])
        .exits(3)
        .says_what_to_try();
    assert_eq!(place.read("config/a.json"), "1");
}

#[test]
fn an_edit_that_was_not_saved_is_saved_first() {
    let place = Place::with_versions(&["1", "2"]);
    place.write("config/a.json", "{ \"edited\": true }");
    let call = place
        .run(&["rollback", "config/a.json", "--json"])
        .ok()
        .mentions("config/a.json@3");
    assert_eq!(call.document()["version"], 4);
    assert_eq!(place.read("config/a.json"), "1");
    assert_eq!(
        place.run(&["load", "config/a.json@3"]).ok().text(),
        "{ \"edited\": true }"
    );
}

#[test]
fn content_that_the_archive_has_is_not_saved_again() {
    let place = Place::with_versions(&["1", "2", "3"]);
    place.write("config/a.json", "2");
    place.run(&["rollback", "config/a.json", "--to", "1"]).ok();
    assert_eq!(place.run(&["log", "--json"]).ok().lines().len(), 4);
}

#[test]
fn what_is_no_document_is_moved_aside_and_never_overwritten() {
    let place = Place::with_versions(&["1", "2"]);
    for broken in ["{\"half\":", "not json at all", ""] {
        place.write("config/a.json", broken);
        let call = place
            .run(&["rollback", "config/a.json", "--to", "1", "--quiet"])
            .ok();
        assert!(call.err.contains("a.json.unsaved-"), "{}", call.err);
        assert_eq!(place.read("config/a.json"), "1");
    }
    let mut contents: Vec<String> = place
        .names("config", "a.json.unsaved-")
        .iter()
        .map(|name| place.read(&format!("config/{name}")))
        .collect();
    contents.sort();
    assert_eq!(contents, ["", "not json at all", "{\"half\":"]);
}

#[test]
fn undo_and_redo_keep_what_is_on_disk() {
    let place = Place::with_versions(&["1", "2"]);
    let head = place.run(&["head"]).ok().text().trim().to_owned();
    place.write("config/a.json", "[\"unsaved\"]");
    place.run(&["undo", &head]).ok();
    assert_eq!(place.read("config/a.json"), "1");
    assert_eq!(
        place.run(&["load", "config/a.json@3"]).ok().text(),
        "[\"unsaved\"]"
    );
    place.write("config/a.json", "{broken");
    place.run(&["redo"]).ok().mentions(".unsaved-");
    assert_eq!(place.read("config/a.json"), "[\"unsaved\"]");
    let aside = place.names("config", "a.json.unsaved-");
    assert_eq!(place.read(&format!("config/{}", aside[0])), "{broken");
}

#[test]
fn load_over_an_archived_file_saves_it_first() {
    let place = Place::with_versions(&["1", "2"]);
    place.write("config/a.json", "[3]");
    place
        .run(&["load", "config/a.json@1", "-o", "config/a.json"])
        .ok()
        .mentions("config/a.json@3");
    assert_eq!(place.read("config/a.json"), "1");
    assert_eq!(place.run(&["load", "config/a.json@3"]).ok().text(), "[3]");
    place.write("config/a.json", "{broken");
    place
        .run(&["load", "config/a.json@2", "-o", "config/a.json"])
        .ok()
        .mentions(".unsaved-");
    assert_eq!(place.read("config/a.json"), "2");
    let aside = place.names("config", "a.json.unsaved-");
    assert_eq!(place.read(&format!("config/{}", aside[0])), "{broken");
    // A file that is no archived path is replaced as by cp.
    place.write("out.json", "old");
    place
        .run(&["load", "config/a.json@2", "-o", "out.json"])
        .ok();
    assert_eq!(
        (
            place.read("out.json").as_str(),
            place.names("", "out.json").len()
        ),
        ("2", 1)
    );
}

/// Makes the writer's lock unusable, whoever runs the test.
fn make_unwritable(place: &Place) {
    let lock = place.path(".backstory/lock");
    if lock.exists() {
        fs::remove_file(&lock).unwrap();
    }
    fs::create_dir(&lock).unwrap();
}

#[test]
fn without_a_writable_archive_nothing_on_disk_changes_and_the_way_out_is_named() {
    let place = Place::with_versions(&["1", "2"]);
    place.write("config/a.json", "[\"unsaved\"]");
    make_unwritable(&place);
    let call = place
        .run(&["rollback", "config/a.json"])
        .exits(7)
        .says_what_to_try();
    assert!(
        call.err
            .contains("backstory load config/a.json@1 -o config/a.json"),
        "{}",
        call.err
    );
    assert_eq!(place.read("config/a.json"), "[\"unsaved\"]");
    let error = &place
        .run(&["rollback", "config/a.json", "--json"])
        .exits(7)
        .errors()[0];
    assert!(
        error["try"]
            .as_str()
            .unwrap()
            .contains("backstory load config/a.json@1 -o config/a.json")
    );
    // The way out works, and keeps what is on disk too.
    place
        .run(&["load", "config/a.json@1", "-o", "config/a.json"])
        .ok()
        .mentions(".unsaved-");
    assert_eq!(place.read("config/a.json"), "1");
    let aside = place.names("config", "a.json.unsaved-");
    assert_eq!(place.read(&format!("config/{}", aside[0])), "[\"unsaved\"]");
}

#[test]
fn a_file_that_cannot_be_written_after_the_commit_is_exit_7() {
    let place = Place::with_versions(&["1", "2"]);
    fs::remove_file(place.path("config/a.json")).unwrap();
    fs::remove_dir(place.path("config")).unwrap();
    fs::write(place.path("config"), "a file where a folder is needed").unwrap();
    let call = place.run(&["rollback", "config/a.json", "--json"]).exits(7);
    assert_eq!(call.document()["status"], "rolled-back");
    assert!(
        call.err.contains("backstory load config/a.json@1 -o FILE"),
        "{}",
        call.err
    );
    assert_eq!(place.run(&["load", "config/a.json"]).ok().text(), "1");
    assert_eq!(place.read("config"), "a file where a folder is needed");
}

#[test]
fn a_folder_in_the_way_stops_before_the_commit() {
    let place = Place::with_versions(&["1", "2"]);
    fs::remove_file(place.path("config/a.json")).unwrap();
    fs::create_dir(place.path("config/a.json")).unwrap();
    place
        .run(&["rollback", "config/a.json"])
        .exits(7)
        .says_what_to_try();
    assert_eq!(place.run(&["log", "--json"]).ok().lines().len(), 2);
}

#[test]
fn missing_folders_are_made() {
    let place = Place::with_versions(&["1", "2"]);
    fs::remove_dir_all(place.path("config")).unwrap();
    place.run(&["rollback", "config/a.json"]).ok();
    assert_eq!(place.read("config/a.json"), "1");
    assert_eq!(place.names("config", ""), ["a.json"]);
}

#[cfg(unix)]
#[test]
fn permissions_stay_and_links_are_followed() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let place = Place::with_versions(&["1", "2"]);
    fs::set_permissions(
        place.path("config/a.json"),
        fs::Permissions::from_mode(0o604),
    )
    .unwrap();
    place.run(&["rollback", "config/a.json"]).ok();
    let mode = |name: &str| fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("config/a.json"), 0o604);

    fs::rename(place.path("config/a.json"), place.path("real.json")).unwrap();
    symlink("../real.json", place.path("config/a.json")).unwrap();
    place.run(&["rollback", "config/a.json", "--to", "2"]).ok();
    assert!(
        fs::symlink_metadata(place.path("config/a.json"))
            .unwrap()
            .is_symlink()
    );
    assert_eq!(
        (place.read("real.json").as_str(), mode("real.json")),
        ("2", 0o604)
    );

    // A link that leads to what is no document: what it names is moved, the link stays.
    place.write("real.json", "{broken");
    place
        .run(&["rollback", "config/a.json", "--to", "1"])
        .ok()
        .mentions("real.json.unsaved-");
    assert!(
        fs::symlink_metadata(place.path("config/a.json"))
            .unwrap()
            .is_symlink()
    );
    assert_eq!(place.read("real.json"), "1");
}

#[cfg(unix)]
#[test]
fn output_may_be_a_device() {
    let place = Place::with_versions(&["{\"a\":1}"]);
    let call = place
        .run(&["load", "config/a.json", "-o", "/dev/stdout", "--quiet"])
        .ok();
    assert_eq!(call.text(), "{\"a\":1}");
    assert_eq!(
        place.run(&["load", "config/a.json", "-o", "-"]).ok().text(),
        "{\"a\":1}"
    );
    place
        .run(&["load", "config/a.json", "-o", "config"])
        .exits(7)
        .says_what_to_try();
}

#[test]
fn rollback_to_another_file_leaves_the_own_one() {
    let place = Place::with_versions(&["1", "2"]);
    place.write("out.json", "was here");
    place
        .run(&["rollback", "config/a.json", "-o", "out.json"])
        .ok()
        .mentions("out.json.unsaved-");
    assert_eq!(
        (
            place.read("out.json").as_str(),
            place.read("config/a.json").as_str()
        ),
        ("1", "2")
    );
    place
        .run(&["rollback", "config/a.json", "--to", "2", "--archive-only"])
        .ok();
    place
        .run(&["rollback", "config/a.json", "--to", "1", "--archive-only"])
        .ok();
    assert_eq!(place.read("config/a.json"), "2");
    assert_eq!(place.run(&["load", "config/a.json"]).ok().text(), "1");
    place
        .run(&["rollback", "config/a.json", "--archive-only", "-o", "x"])
        .exits(2);
}

#[test]
fn what_was_not_a_file_is_not_written() {
    let place = Place::with_archive();
    for content in ["1", "2"] {
        place
            .run_input(&["save", "-", "--as", "sensors.json"], content)
            .ok();
    }
    place
        .run(&["rollback", "sensors.json"])
        .exits(2)
        .says_what_to_try()
        .mentions("-o FILE");
    assert!(!place.exists("sensors.json"));
    assert_eq!(place.run(&["log", "--json"]).ok().lines().len(), 2);
    place
        .run(&["rollback", "sensors.json", "-o", "out.json"])
        .ok();
    assert_eq!(place.read("out.json"), "1");
    let head = place.run(&["head"]).ok().text().trim().to_owned();
    place.run(&["undo", &head]).ok();
    assert!(!place.exists("sensors.json"));
    assert_eq!(place.run(&["load", "sensors.json"]).ok().text(), "2");
}

#[test]
fn several_paths_go_back_in_one_commit() {
    let place = Place::with_archive();
    for content in ["1", "2"] {
        place.write("a.json", content);
        place.write("b.json", content);
        place.run(&["save", "a.json", "b.json"]).ok();
    }
    let lines = place
        .run(&["rollback", "a.json", "b.json", "a.json", "--json"])
        .ok()
        .lines();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0]["commit"], lines[1]["commit"]);
    assert_eq!(
        (place.read("a.json").as_str(), place.read("b.json").as_str()),
        ("1", "1")
    );
    place
        .run(&["rollback", "a.json", "b.json", "-o", "c.json"])
        .exits(2);
    // One that cannot be done: none is done.
    place
        .run(&["rollback", "a.json", "none.json", "--to", "2"])
        .exits(3);
    assert_eq!(place.read("a.json"), "1");
}

#[test]
fn mv_takes_the_file_along_and_undo_brings_it_back() {
    let place = Place::with_versions(&["1", "2"]);
    place.run(&["mv", "config/a.json", "config/b.json"]).ok();
    assert!(!place.exists("config/a.json"));
    assert_eq!(place.read("config/b.json"), "2");
    place.run(&["status"]).ok();
    let history = place.run(&["log", "config/b.json", "--json"]).ok().lines();
    assert_eq!(history.last().unwrap()["rev"], "config/a.json@1");
    place.run(&["load", "config/a.json"]).exits(3);
    let head = place.run(&["head"]).ok().text().trim().to_owned();
    place.run(&["undo", &head]).ok();
    assert!(!place.exists("config/b.json"));
    assert_eq!(place.read("config/a.json"), "2");

    place
        .run(&["mv", "config/a.json", "c.json", "--archive-only"])
        .ok();
    assert!(place.exists("config/a.json") && !place.exists("c.json"));
    place.write("d.json", "\"in the way\"");
    place.run(&["mv", "c.json", "d.json"]).ok();
    assert_eq!(place.read("d.json"), "\"in the way\"");
}

#[test]
fn mv_into_a_folder_and_its_refusals() {
    let place = Place::with_versions(&["1"]);
    fs::create_dir(place.path("reports")).unwrap();
    let lines = place
        .run(&["mv", "config/a.json", "reports", "--json"])
        .ok()
        .lines();
    assert_eq!(lines[1]["path"], "reports/a.json");
    place
        .run(&["mv", "none.json", "x.json"])
        .exits(3)
        .says_what_to_try();
    place.write("b.json", "1");
    place.run(&["save", "b.json"]).ok();
    place
        .run(&["mv", "reports/a.json", "b.json"])
        .exits(4)
        .says_what_to_try();
    place.run(&["mv", "b.json", "b.json"]).exits(2);
}

#[test]
fn delete_leaves_the_file_and_says_that_the_content_stays() {
    let place = Place::with_versions(&["1", "2"]);
    place
        .run(&["delete", "config/a.json"])
        .ok()
        .mentions("stays in the history");
    assert_eq!(place.read("config/a.json"), "2");
    place
        .run(&["load", "config/a.json"])
        .exits(3)
        .says_what_to_try();
    place.run(&["load", "config/a.json@3"]).exits(3);
    assert_eq!(place.run(&["load", "config/a.json@2"]).ok().text(), "2");
    place
        .run(&["delete", "config/a.json"])
        .exits(3)
        .says_what_to_try();
    place.run(&["status"]).ok();
    assert_eq!(
        place.run(&["ls", "--json"]).ok().document()["deleted"],
        true
    );
    place.run(&["undelete", "config/a.json"]).ok();
    assert_eq!(place.run(&["load", "config/a.json"]).ok().text(), "2");
}

#[cfg(unix)]
#[test]
fn undo_writes_nothing_through_a_linked_folder_that_leads_out() {
    let place = Place::with_versions(&["1", "2"]);
    let head = place.run(&["head"]).ok().text().trim().to_owned();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("a.json"), "\"not ours\"").unwrap();
    fs::remove_dir_all(place.path("config")).unwrap();
    std::os::unix::fs::symlink(outside.path(), place.path("config")).unwrap();
    place
        .run(&["undo", &head])
        .ok()
        .mentions("no file was written");
    assert_eq!(
        fs::read_to_string(outside.path().join("a.json")).unwrap(),
        "\"not ours\""
    );
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
fn mv_leaves_a_file_alone_that_the_path_never_came_from() {
    let place = Place::with_archive();
    place
        .run_input(&["save", "-", "--as", "sensors.json"], "1")
        .ok();
    place.write("sensors.json", "\"something else\"");
    place.run(&["mv", "sensors.json", "north.json"]).ok();
    assert!(place.exists("sensors.json") && !place.exists("north.json"));
}

#[test]
fn no_file_of_the_archive_is_written_over() {
    let place = Place::with_versions(&["1", "2"]);
    for file in [
        ".backstory/archive.json",
        ".backstory/log/MANIFEST",
        ".backstory/new.json",
    ] {
        place.run(&["load", "config/a.json", "-o", file]).exits(2);
        place
            .run(&["rollback", "config/a.json", "-o", file])
            .exits(2);
    }
    place.run(&["verify"]).ok();
}

#[test]
fn an_unsaved_edit_behind_a_link_is_saved_first() {
    let place = Place::with_versions(&["1", "2"]);
    place.write("config/a.json", "[\"unsaved\"]");
    std::os::unix::fs::symlink("config/a.json", place.root().join("link.json")).unwrap();
    place
        .run(&["load", "config/a.json@1", "-o", "link.json"])
        .ok();
    assert_eq!(
        place.run(&["load", "config/a.json"]).ok().text(),
        "[\"unsaved\"]"
    );
    assert_eq!(
        std::fs::read_to_string(place.root().join("config/a.json")).unwrap(),
        "1"
    );
}
