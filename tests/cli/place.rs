//! Which archive a call is about, and which path a file has in it.

use std::fs;
use std::path::Path;

use crate::support::{Place, finish};

#[test]
fn the_nearest_archive_above_the_file_counts() {
    let place = Place::with_archive();
    place.write("sub/a.json", "1");
    place.write("sub/inner/b.json", "2");
    place.run(&["init", "sub/inner"]).ok();
    place.run(&["save", "sub/a.json"]).ok();
    place.run(&["save", "sub/inner/b.json"]).ok();
    assert_eq!(
        place.run(&["ls", "--json"]).ok().document()["path"],
        "sub/a.json"
    );
    assert_eq!(
        place.run_in("sub/inner", &["ls", "--json"]).ok().document()["path"],
        "b.json"
    );
    assert_eq!(place.run(&["load", "sub/inner/b.json@1"]).ok().text(), "2");
    for arguments in [
        &["save", "sub/a.json", "sub/inner/b.json"][..],
        &["save", "sub"],
        &["diff", "sub/a.json", "sub/inner/b.json"],
    ] {
        place
            .run(arguments)
            .exits(2)
            .says_what_to_try()
            .mentions("two archives");
    }
}

#[test]
fn a_named_archive_comes_first() {
    let place = Place::with_archive();
    place.run(&["init", "other"]).ok();
    place.write("a.json", "1");
    place.write("other/b.json", "2");
    place
        .run(&["save", "--archive", "other", "other/b.json"])
        .ok();
    assert_eq!(
        place
            .run(&["ls", "--archive", "other", "--json"])
            .ok()
            .document()["path"],
        "b.json"
    );
    assert_eq!(
        place
            .run_with("BACKSTORY_ARCHIVE", "other", &["ls", "--json"])
            .ok()
            .document()["path"],
        "b.json"
    );
    let root = place.root();
    let call = place
        .run_with(
            "BACKSTORY_ARCHIVE",
            "other",
            &["ls", "--archive", root.to_str().unwrap(), "--json"],
        )
        .ok();
    assert!(call.lines().is_empty());
    // A file outside of it needs a path of its own.
    place
        .run(&["save", "--archive", "other", "a.json"])
        .exits(2)
        .says_what_to_try()
        .mentions("--as");
    place
        .run(&[
            "save",
            "--archive",
            "other",
            "a.json",
            "--as",
            ":/in/a.json",
        ])
        .ok();
    assert_eq!(
        place
            .run(&["load", "--archive", "other", ":/in/a.json"])
            .ok()
            .text(),
        "1"
    );
    // One that does not exist is not made.
    place
        .run(&["save", "--archive", "none", "a.json"])
        .exits(3)
        .says_what_to_try();
    place
        .run_with("BACKSTORY_ARCHIVE", "none", &["save", "a.json"])
        .exits(3);
    assert!(!place.exists("none"));
}

#[test]
fn save_makes_an_archive_at_the_root_of_the_project() {
    for mark in [".git", "pyproject.toml", "package.json", "Cargo.toml"] {
        let place = Place::new();
        place.write(&format!("project/{mark}"), "x");
        place.write("project/config/a.json", "1");
        let call = place.run(&["save", "project/config/a.json", "--json"]).ok();
        assert_eq!(call.document()["path"], "config/a.json", "{mark}");
        assert_eq!(call.err.lines().count(), 1, "{}", call.err);
        assert!(call.err.contains("project/.backstory"), "{}", call.err);
        assert!(place.exists("project/.backstory"));
    }
    let place = Place::new();
    place.write("plain/deep/a.json", "1");
    assert_eq!(
        place
            .run(&["save", "plain/deep/a.json", "--json"])
            .ok()
            .document()["path"],
        "a.json"
    );
    assert!(place.exists("plain/deep/.backstory"));
    let place = Place::new();
    place.write("plain/deep/a.json", "1");
    assert_eq!(
        place.run(&["save", "plain", "--json"]).ok().document()["path"],
        "deep/a.json"
    );
    assert!(place.exists("plain/.backstory"));
}

#[test]
fn no_archive_is_made_where_none_is_wanted_or_for_nothing() {
    let place = Place::new();
    place.write("a.json", "1");
    place.write("bad.json", "{");
    place
        .run(&["save", "a.json", "--no-init"])
        .exits(3)
        .says_what_to_try()
        .mentions("backstory init");
    place.run(&["save", "none.json"]).exits(3);
    place.run(&["save", "bad.json"]).exits(5).says_what_to_try();
    place.run(&["save", "a.json", "bad.json"]).exits(5);
    place.run(&["save", "bad.json", "--keep-going"]).exits(5);
    for arguments in [
        &["log"][..],
        &["ls"],
        &["head"],
        &["stats"],
        &["verify"],
        &["status"],
        &["load", "a.json"],
        &["diff", "a.json"],
        &["rollback", "a.json"],
        &["undo"],
        &["redo"],
        &["identify", "a.json"],
        &["mv", "a.json", "b.json"],
        &["delete", "a.json"],
        &["undelete", "a.json"],
        &["tag", "--list"],
        &["reindex"],
    ] {
        place
            .run(arguments)
            .exits(3)
            .says_what_to_try()
            .mentions("backstory init");
    }
    assert!(!place.exists(".backstory"));
    place
        .run(&["save", "a.json", "bad.json", "--keep-going"])
        .exits(5);
    assert!(place.exists(".backstory"));
}

#[test]
fn init_refuses_where_one_stands_and_warns_of_git_clean() {
    let place = Place::new();
    let call = place.run(&["init"]).ok();
    assert_eq!(call.err, "");
    place.run(&["init"]).exits(2).says_what_to_try();
    place.run(&["init", "deep/er"]).ok();
    assert!(place.exists("deep/er/.backstory"));
    place.write("repo/.git/HEAD", "ref: refs/heads/main");
    place.run(&["init", "repo/data"]).ok().mentions("git clean");
}

#[test]
fn paths_are_relative_to_where_one_stands() {
    let place = Place::with_archive();
    place.write("config/a.json", "1");
    place.write("config/deep/b.json", "2");
    assert_eq!(
        place
            .run_in("config/deep", &["save", "../a.json", "b.json", "--json"])
            .ok()
            .lines()
            .len(),
        2
    );
    let listed = place.run_in("config/deep", &["ls", "--json"]).ok().lines();
    assert_eq!(
        (listed[0]["path"].as_str(), listed[1]["path"].as_str()),
        (Some("config/a.json"), Some("config/deep/b.json"))
    );
    assert_eq!(
        place
            .run_in("config/deep", &["load", "../a.json@1"])
            .ok()
            .text(),
        "1"
    );
    assert_eq!(
        place
            .run_in("config/deep", &["load", ":/config/a.json"])
            .ok()
            .text(),
        "1"
    );
    let absolute = place.path("config/a.json");
    assert_eq!(
        place
            .run_in("config", &["load", absolute.to_str().unwrap()])
            .ok()
            .text(),
        "1"
    );
    place.write("config/a.json", "3");
    assert_eq!(
        place
            .run_in("config/deep", &["save", ":/config/a.json", "--json"])
            .ok()
            .document()["rev"],
        ":/config/a.json@2"
    );
    place.run(&["load", ":/../a.json"]).exits(2);
    place
        .run(&["save", ".backstory/archive.json"])
        .exits(2)
        .says_what_to_try();
    place
        .run_input(&["save", "-", "--as", "../x.json"], "1")
        .exits(2);
    place
        .run_input(&["save", "-", "--as", ":/.backstory/x.json"], "1")
        .exits(2);
}

#[cfg(unix)]
#[test]
fn links_on_the_way_do_not_matter() {
    let place = Place::with_archive();
    place.write("config/a.json", "1");
    place.run(&["save", "config/a.json"]).ok();
    std::os::unix::fs::symlink(place.root(), place.root().parent().unwrap().join("link")).unwrap();
    let link = place.root().parent().unwrap().join("link");
    assert_eq!(
        finish(&mut place.command_in(&link.join("config"), &["load", "a.json@1"]))
            .ok()
            .text(),
        "1"
    );
    let through = link.join("config/a.json");
    let call = finish(&mut place.command_in(Path::new("/"), &["load", through.to_str().unwrap()]));
    assert_eq!(call.ok().text(), "1");
    let call = finish(&mut place.command_in(
        Path::new("/"),
        &["--archive", link.to_str().unwrap(), "load", "config/a.json"],
    ));
    assert_eq!(call.ok().text(), "1");
    // A linked folder inside the root keeps its name.
    fs::create_dir(place.path("releases")).unwrap();
    place.write("releases/5/r.json", "5");
    std::os::unix::fs::symlink("releases/5", place.path("current")).unwrap();
    assert_eq!(
        place
            .run(&["save", "current/r.json", "--json"])
            .ok()
            .document()["path"],
        "current/r.json"
    );
}

#[test]
fn the_index_may_be_anywhere_and_may_go() {
    let place = Place::with_versions(&["1", "2"]);
    let before = place.run(&["log", "--json"]).ok().out;
    fs::remove_file(place.path(".backstory/index.sqlite")).unwrap();
    assert_eq!(place.run(&["log", "--json"]).ok().out, before);
    fs::write(place.path(".backstory/index.sqlite"), "noise").unwrap();
    assert_eq!(place.run(&["log", "--json"]).ok().out, before);
    let index = place.path("elsewhere.sqlite");
    let call = place
        .run_with(
            "BACKSTORY_INDEX",
            index.to_str().unwrap(),
            &["log", "--json"],
        )
        .ok();
    assert_eq!(call.out, before);
    assert!(index.exists());
    assert!(place.run(&["reindex"]).ok().text().contains("2 commits"));
}

#[test]
fn a_rev_can_be_pasted_where_it_was_printed() {
    let place = Place::with_versions(&["1", "2"]);
    let call = place.run_in("config", &["log", "a.json", "--json"]).ok();
    for line in call.lines() {
        let rev = line["rev"].as_str().unwrap();
        let call = place.run_in("config", &["load", rev]).ok();
        assert_eq!(call.text(), line["version"].to_string());
    }
}
