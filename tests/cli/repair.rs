//! `repair`: what it prints, and that the archive can be used again.

use std::fs;

use super::support::Place;

const OLD: &str = "{\n  \"timeout\": 30,\n  \"retries\": 3\n}\n";
const NEW: &str = "[\"a document that shares nothing with the one in front of it\", 0.125]\n";

/// An archive whose first commit is damaged.
fn damaged() -> Place {
    let place = Place::with_versions(&[OLD, NEW]);
    let log = place.path(".backstory/log/00000001.seg");
    let mut bytes = fs::read(&log).unwrap();
    let at = 3 + usize::from(bytes[1] & 0x7f) + (usize::from(bytes[2]) << 7) + 8 + 20;
    bytes[at] ^= 1;
    fs::write(&log, bytes).unwrap();
    place
}

#[test]
fn nothing_to_repair() {
    let place = Place::with_versions(&[OLD]);
    let call = place.run(&["repair"]).ok();
    assert!(call.text().starts_with("nothing to repair: 1 commit"));
    let json = place.run(&["repair", "--json"]).ok().document();
    assert_eq!(json["steps"].as_array().unwrap().len(), 0);
    assert_eq!(json["lost"]["commits"], 0);
    assert_eq!(json["verify"]["ok"], true);
}

#[test]
fn a_damaged_version_is_noted_and_the_rest_goes_on() {
    let place = damaged();
    let found = place.run(&["verify"]).exits(1);
    assert!(found.err.contains("backstory repair"), "{}", found.err);
    let call = place.run(&["repair"]).exits(1);
    let text = call.text();
    assert!(text.contains("lost  config/a.json@1\n"), "{text}");
    assert!(
        text.contains(".backstory/log/damaged/00000001.seg-1"),
        "{text}"
    );
    assert!(place.exists(".backstory/log/damaged/00000001.seg-1"));
    let sound = place.run(&["verify"]).ok();
    assert!(sound.text().contains("noted-loss"), "{}", sound.text());
    let json = place.run(&["verify", "--json"]).ok().document();
    assert_eq!(json["losses"][0]["versions"][0]["path"], "config/a.json");
    assert_eq!(place.run(&["load", "config/a.json@2"]).ok().text(), NEW);
    place.run(&["load", "config/a.json@1"]).exits(6);
    // Nothing more to do.
    place.run(&["repair"]).ok();
    // Whoever has the file still brings the version back.
    place.write("config/a.json", OLD);
    place.run(&["save", "config/a.json"]).ok();
    assert_eq!(place.run(&["load", "config/a.json@1"]).ok().text(), OLD);
    assert!(
        !place
            .run(&["verify"])
            .ok()
            .text()
            .contains("config/a.json@1")
    );
}

#[test]
fn the_files_that_an_archive_cannot_be_opened_without() {
    for name in ["log/MANIFEST", "archive.json"] {
        for lost in [true, false] {
            let place = Place::with_versions(&[OLD, NEW]);
            let file = place.path(&format!(".backstory/{name}"));
            match lost {
                true => fs::remove_file(&file).unwrap(),
                false => fs::write(&file, "{}\n").unwrap(),
            }
            let call = place.run(&["log"]).exits(6);
            assert!(
                call.err.contains("try: backstory repair"),
                "{name}: {}",
                call.err
            );
            let json = place.run(&["repair", "--json"]).ok().document();
            assert_eq!(json["steps"][0]["file"], name);
            assert_eq!(json["steps"][0]["kept"].is_null(), lost);
            place.run(&["verify"]).ok();
            assert_eq!(place.run(&["load", "config/a.json@1"]).ok().text(), OLD);
        }
    }
}

#[test]
fn without_an_archive() {
    let place = Place::new();
    let call = place.run(&["repair"]).exits(3);
    assert!(call.err.contains("backstory init"), "{}", call.err);
    place.run(&["--archive", "nowhere", "repair"]).exits(3);
}
