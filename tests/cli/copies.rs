//! `push`, `pull`, `clone` and bundles.

use std::fs;

use super::support::{Place, assert_keys};

fn with_commits(count: usize) -> Place {
    let place = Place::with_archive();
    for n in 0..count {
        place.write("config/a.json", &format!("{{\"n\": {n}}}\n"));
        place.run(&["save", "config/a.json"]).ok();
    }
    place
}

fn head(place: &Place, folder: &str) -> String {
    let call = place.run(&["--archive", folder, "head"]).ok();
    call.text().trim().to_owned()
}

#[test]
fn push_makes_a_copy_and_says_what_travelled() {
    let place = with_commits(3);
    let call = place.run(&["push", "../backup"]).ok();
    assert!(
        call.text().starts_with("made the copy, pushed 3 commits, "),
        "{}",
        call.text()
    );
    assert!(call.err.is_empty(), "{}", call.err);
    assert_eq!(head(&place, "."), head(&place, "../backup"));
    let call = place.run(&["push", "../backup"]).ok();
    assert!(call.text().starts_with("nothing to do"), "{}", call.text());
    place.write("config/a.json", "4");
    place.run(&["save", "config/a.json"]).ok();
    // The folder .backstory itself may be named.
    let call = place.run(&["push", "../backup/.backstory", "--json"]).ok();
    let done = call.document();
    assert_keys(
        &done,
        &[
            "status", "folder", "made", "commits", "bytes", "commit", "seq",
        ],
    );
    assert_eq!(done["status"], "pushed");
    assert_eq!(done["commits"], 1);
    assert_eq!(done["commit"], head(&place, "."));
    assert_eq!(
        place.run(&["push", "../backup", "--json"]).ok().document()["status"],
        "up-to-date"
    );
    let call = place
        .run(&["--archive", "../backup", "load", ":/config/a.json@2"])
        .ok();
    assert_eq!(call.text(), "{\"n\": 1}\n");
    // BACKSTORY_INDEX is for the archive of the call.
    place.write("config/a.json", "5");
    place.run(&["save", "config/a.json"]).ok();
    place
        .run_with("BACKSTORY_INDEX", "index", &["push", "../backup"])
        .ok();
    assert_eq!(head(&place, "."), head(&place, "../backup"));
}

#[test]
fn check_reads_the_whole_copy() {
    let place = with_commits(5);
    place
        .run(&["push", "--check", "../backup"])
        .exits(3)
        .says_what_to_try();
    place.run(&["push", "../backup"]).ok();
    let call = place.run(&["push", "--check", "../backup"]).ok();
    assert!(
        call.text().starts_with("equal and sound: 5 commits"),
        "{}",
        call.text()
    );
    place.write("config/a.json", "6");
    place.run(&["save", "config/a.json"]).ok();
    let call = place.run(&["push", "--check", "../backup"]).exits(1);
    assert!(call.text().contains("1 commit behind"), "{}", call.text());
    let call = place
        .run(&["push", "--check", "../backup", "--json"])
        .exits(1);
    let checked = call.document();
    assert_keys(
        &checked,
        &[
            "equal",
            "folder",
            "commit",
            "copy_commit",
            "behind",
            "ahead",
            "verify",
        ],
    );
    assert_eq!(
        (&checked["equal"], &checked["behind"]),
        (&false.into(), &1.into())
    );
    // A check writes nothing.
    assert_eq!(
        place.run(&["push", "../backup", "--json"]).ok().document()["commits"],
        1
    );
    let segment = place.path("../backup/.backstory/log/00000001.seg");
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.len() - 150;
    bytes[at] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let call = place.run(&["push", "--check", "../backup"]).exits(1);
    assert!(call.text().contains("wrong checksum"), "{}", call.text());
}

#[test]
fn what_happened_to_the_copy_is_told() {
    let place = with_commits(5);
    place.run(&["push", "../backup"]).ok();
    // The last commits of the copy are lost, as its index knows.
    let segment = place.path("../backup/.backstory/log/00000001.seg");
    let bytes = fs::read(&segment).unwrap();
    fs::write(&segment, &bytes[..bytes.len() - 200]).unwrap();
    place.run(&["--archive", "../backup", "reindex"]).ok();
    let call = place.run(&["push", "../backup"]).ok();
    let torn = "a write that was never finished";
    let call = call.mentions("backup/.backstory").mentions(torn);
    assert!(call.text().contains("pushed "), "{}", call.text());
    place.run(&["push", "--check", "../backup"]).ok();
}

#[test]
fn copies_that_have_gone_two_ways_are_told_with_both_heads() {
    let place = with_commits(3);
    place.run(&["push", "../backup"]).ok();
    place.write("config/a.json", "here");
    place.write("config/a.json", "\"here\"");
    place.run(&["save", "config/a.json"]).ok();
    place
        .run_input(
            &[
                "--archive",
                "../backup",
                "save",
                "-",
                "--as",
                "config/a.json",
            ],
            "\"there\"",
        )
        .ok();
    for command in ["push", "pull"] {
        let call = place
            .run(&[command, "../backup"])
            .exits(4)
            .says_what_to_try();
        let call = call
            .mentions(&head(&place, "."))
            .mentions(&head(&place, "../backup"));
        call.mentions("commit 3").mentions("nothing was written");
        let call = place.run(&[command, "../backup", "--json"]).exits(4);
        assert_eq!(call.errors()[0]["kind"], "conflict");
    }
    let other = Place::with_archive();
    other.write("b.json", "1");
    other.run(&["save", "b.json"]).ok();
    let there = place.root();
    let call = other.run(&["push", there.to_str().unwrap()]).exits(4);
    call.mentions("none is a copy of the other")
        .says_what_to_try();
}

#[test]
fn pull_and_clone_bring_the_history() {
    let place = with_commits(3);
    let call = place.run(&["clone", ".", "../second"]).ok();
    assert!(
        call.text().starts_with("made the copy, copied 3 commits, "),
        "{}",
        call.text()
    );
    place.write("config/a.json", "4");
    place.run(&["save", "config/a.json"]).ok();
    let call = place.run(&["--archive", "../second", "pull", "."]).ok();
    assert!(
        call.text().starts_with("pulled 1 commit, "),
        "{}",
        call.text()
    );
    assert_eq!(head(&place, "."), head(&place, "../second"));
    place
        .run_input(
            &["--archive", "../second", "save", "-", "--as", "b.json"],
            "1",
        )
        .ok();
    let call = place.run(&["--archive", "../second", "pull", "."]).ok();
    assert!(
        call.text().contains("all but the last 1 commit"),
        "{}",
        call.text()
    );
    place
        .run(&["push", "../second"])
        .exits(4)
        .says_what_to_try();
    place.run(&["pull", "../second"]).ok();
    assert_eq!(place.run(&["ls"]).ok().text().lines().count(), 2);
    place
        .run(&["clone", "../nowhere", "../third"])
        .exits(3)
        .says_what_to_try();
    assert!(!place.exists("../third"));
}

#[test]
fn bundles_carry_commits_in_a_file() {
    let place = with_commits(3);
    place.run(&["push", "../backup"]).ok();
    let since = head(&place, "../backup");
    for n in 4..7 {
        place.write("config/a.json", &n.to_string());
        place.run(&["save", "config/a.json"]).ok();
    }
    let call = place
        .run(&[
            "export",
            "--bundle",
            "new.bundle",
            "--since",
            &since[..12],
            "--json",
        ])
        .ok();
    let made = call.document();
    assert_keys(
        &made,
        &["file", "commits", "bytes", "after", "commit", "seq"],
    );
    assert_eq!((&made["commits"], &made["seq"]), (&3.into(), &6.into()));
    assert_eq!(
        made["bytes"],
        fs::metadata(place.path("new.bundle")).unwrap().len()
    );
    let call = place
        .run(&["--archive", "../backup", "import", "bundle", "new.bundle"])
        .ok();
    assert!(
        call.text().starts_with("brought 3 commits, "),
        "{}",
        call.text()
    );
    assert_eq!(head(&place, "."), head(&place, "../backup"));
    place
        .run(&[
            "export",
            "--bundle",
            "none.bundle",
            "--since",
            &head(&place, "."),
        ])
        .exits(2)
        .says_what_to_try();
    place
        .run(&["import", "bundle", "config/a.json"])
        .exits(6)
        .says_what_to_try();
    // A bundle of everything is a copy to begin with.
    let begun = ["clone", "new.bundle", "../third"];
    place.run(&begun).exits(4).says_what_to_try();
    assert!(!place.exists("../third"));
    place.run(&["export", "--bundle", "all.bundle"]).ok();
    let call = place.run(&["clone", "all.bundle", "../third"]).ok();
    assert!(
        call.text().starts_with("made the copy, copied 6 commits, "),
        "{}",
        call.text()
    );
    assert_eq!(head(&place, "."), head(&place, "../third"));
    place.run(&["push", "--check", "../third"]).ok();
    place
        .run(&["import", "bundle", "nowhere"])
        .exits(3)
        .says_what_to_try();
}

/// A disk that takes no more: the file system here is one of limited file size.
#[test]
fn a_full_destination_is_an_error_that_names_the_file_and_the_next_push_goes_on() {
    let place = Place::with_archive();
    for n in 0..40 {
        let text: String = (0..200)
            .map(|part| {
                blake3::hash(format!("{n} {part}").as_bytes())
                    .to_hex()
                    .to_string()
            })
            .collect();
        place.write("a.json", &format!("\"{text}\""));
        place.run(&["save", "a.json"]).ok();
    }
    let binary = env!("CARGO_BIN_EXE_backstory");
    let mut command = std::process::Command::new("bash");
    command
        .args(["-c", "ulimit -f 200; exec \"$0\" push ../backup", binary])
        .current_dir(place.root())
        .env("HOME", place.path("../home"));
    let call = super::support::finish(&mut command)
        .exits(7)
        .says_what_to_try();
    call.mentions(".seg").mentions("backup");
    place.run(&["--archive", "../backup", "verify"]).ok();
    place.run(&["push", "../backup"]).ok();
    place.run(&["push", "../backup", "--check"]).ok();
}

#[test]
fn a_push_that_is_killed_anywhere_goes_on() {
    let place = Place::with_archive();
    for n in 0..60 {
        let text: String = (0..2000)
            .map(|part| {
                blake3::hash(format!("{n} {part}").as_bytes())
                    .to_hex()
                    .to_string()
            })
            .collect();
        place.write("a.json", &format!("\"{text}\""));
        place.run(&["save", "a.json"]).ok();
    }
    let mut partly = 0;
    for round in 0..12u64 {
        if round % 4 == 0 {
            let _ = fs::remove_dir_all(place.path("../backup"));
        }
        let mut child = place.command(&["push", "../backup"]).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(2 + round * 3));
        let _ = child.kill();
        child.wait().unwrap();
        if place.exists("../backup/.backstory/archive.json") {
            place.run(&["--archive", "../backup", "verify"]).ok();
            let copy = head(&place, "../backup");
            let known = place.run(&["log", "--json"]).ok();
            let known = known
                .lines()
                .iter()
                .any(|line| line["commit"] == copy.as_str());
            partly += usize::from(known && copy != head(&place, "."));
        }
    }
    place.run(&["push", "../backup"]).ok();
    place.run(&["push", "../backup", "--check"]).ok();
    // How many were in the middle depends on the machine.
    assert!(partly <= 12);
}
