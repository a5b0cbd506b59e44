//! log, status, tag and ls as a person sees them.

use crate::support::Place;

#[test]
fn log_is_newest_first_and_takes_limits() {
    let place = Place::with_versions(&["1", "2", "3", "4"]);
    let versions = |arguments: &[&str]| -> Vec<u64> {
        let call = place.run(&[&["log", "--json"], arguments].concat()).ok();
        call.lines()
            .iter()
            .map(|line| line["version"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(versions(&[]), [4, 3, 2, 1]);
    assert_eq!(versions(&["config/a.json", "-n", "2"]), [4, 3]);
    assert!(versions(&["-n", "0"]).is_empty());
    assert_eq!(versions(&["--since", "2026-11-03"]), [4, 3]);
    assert_eq!(versions(&["--until", "2026-11-02"]), [2, 1]);
    assert_eq!(
        versions(&[
            "--since",
            "2026-11-02T12:00:00Z",
            "--until",
            "2026-11-03T12:00:00Z"
        ]),
        [3, 2]
    );
    place.run(&["log", "none.json"]).exits(3).says_what_to_try();
    place
        .run(&["log", "--since", "yesterday"])
        .exits(2)
        .says_what_to_try();
}

#[test]
fn log_for_people_shows_what_differs() {
    let place = Place::with_versions(&["1", "2"]);
    place
        .run(&[
            "rollback",
            "config/a.json",
            "-m",
            "back\nto normal",
            "--author",
            "qa",
        ])
        .ok();
    let call = place.run(&["log", "config/a.json"]).ok();
    let lines: Vec<&str> = call.text().lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(
        lines[0].contains("config/a.json@3  rollback to @1  qa  back …"),
        "{}",
        lines[0]
    );
    assert!(!lines[0].contains("recorded"), "{}", lines[0]);
    assert!(
        lines[1].starts_with("2026-11-02 12:00:00Z  ") && lines[1].contains("(recorded "),
        "{}",
        lines[1]
    );
    let id = place.run(&["log", "-n", "1", "--json"]).ok().document()["id"]
        .as_str()
        .unwrap()[..8]
        .to_owned();
    assert!(lines[0].contains(&id), "{}", lines[0]);
}

#[test]
fn nothing_in_a_message_steers_the_terminal() {
    let place = Place::with_archive();
    place.write("a.json", "1");
    place
        .run(&[
            "save",
            "a.json",
            "-m",
            "red \x1b[31m alert",
            "--author",
            "\x1b]0;x\x07",
        ])
        .ok();
    let call = place.run(&["log"]).ok();
    assert!(
        !call.text().contains('\x1b') && !call.text().contains('\x07'),
        "{}",
        call.text()
    );
    assert!(call.text().contains(r"\u{1b}[31m alert"));
}

#[test]
fn colour_is_for_terminals_or_on_demand() {
    let place = Place::with_versions(&["{\"a\":1}", "{\"a\":2}"]);
    for command in [&["log"][..], &["ls"], &["diff", "config/a.json@1", "@2"]] {
        assert!(!place.run(command).text().contains('\x1b'));
        assert!(
            place
                .run(&[command, &["--color", "always"]].concat())
                .text()
                .contains('\x1b'),
            "{command:?}"
        );
        assert!(
            !place
                .run(&[command, &["--color", "always", "--json"]].concat())
                .text()
                .contains('\x1b')
        );
        assert!(
            !place
                .run(&[command, &["--color", "never"]].concat())
                .text()
                .contains('\x1b')
        );
    }
    place.run(&["log", "--color", "sometimes"]).exits(2);
}

#[test]
fn status_tells_modified_missing_and_invalid() {
    let place = Place::with_archive();
    for name in [
        "same.json",
        "modified.json",
        "missing.json",
        "invalid.json",
        "layout.json",
        "sub/x.json",
    ] {
        place.write(name, "{\"a\":1}");
    }
    place.run(&["save", "."]).ok();
    place
        .run_input(&["save", "-", "--as", "stream.json"], "1")
        .ok();
    assert_eq!(place.run(&["status"]).ok().text(), "");
    place.write("modified.json", "{\"a\":2}");
    place.write("layout.json", "{ \"a\": 1 }");
    place.write("invalid.json", "{\"a\"");
    std::fs::remove_file(place.path("missing.json")).unwrap();
    let states: Vec<String> = place
        .run(&["status", "--json"])
        .exits(1)
        .lines()
        .iter()
        .map(|line| {
            format!(
                "{} {}",
                line["path"].as_str().unwrap(),
                line["state"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        states,
        [
            "invalid.json invalid",
            "layout.json modified",
            "missing.json missing",
            "modified.json modified"
        ]
    );
    place.run(&["status", "same.json", "sub"]).ok();
    place.run(&["status", "modified.json"]).exits(1);
    place
        .run(&["status", "none.json"])
        .exits(3)
        .says_what_to_try();
    assert!(
        place
            .run(&["status", "modified.json"])
            .text()
            .contains("modified  modified.json@1")
    );
}

#[test]
fn tags_name_versions_and_moments() {
    let place = Place::with_versions(&["1", "2"]);
    place.run(&["tag", "best", "config/a.json@1"]).ok();
    place.run(&["tag", "release"]).ok();
    let list = place.run(&["tag", "--list"]).ok().text().to_owned();
    assert!(
        list.starts_with("best  config/a.json@1\nrelease  the archive at commit "),
        "{list}"
    );
    let call = place.run(&["tag", "best", "config/a.json@2"]).ok();
    assert!(
        call.text().starts_with("moved the tag best"),
        "{}",
        call.text()
    );
    assert_eq!(place.run(&["load", "config/a.json@best"]).ok().text(), "2");
    place.run(&["tag", "--delete", "best"]).ok();
    place.run(&["load", "config/a.json@best"]).exits(3);
    place.run(&["tag", "best", "config/a.json@9"]).exits(3);
    for name in ["3", "2026-11-01", "latest", "~x", "b3:9f"] {
        place
            .run(&["tag", name, "config/a.json"])
            .exits(2)
            .says_what_to_try();
    }
}

#[test]
fn ls_takes_a_prefix_that_is_a_folder_or_a_path() {
    let place = Place::with_archive();
    for name in ["config/a.json", "config/deep/b.json", "configs.json"] {
        place.write(name, "1");
    }
    place.run(&["save", "."]).ok();
    let paths = |call: crate::support::Call| -> Vec<String> {
        call.ok()
            .lines()
            .iter()
            .map(|line| line["path"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(paths(place.run(&["ls", "--json"])).len(), 3);
    assert_eq!(
        paths(place.run(&["ls", "config", "--json"])),
        ["config/a.json", "config/deep/b.json"]
    );
    assert_eq!(paths(place.run(&["ls", "config/", "--json"])).len(), 2);
    assert_eq!(
        paths(place.run(&["ls", "config/a.json", "--json"])),
        ["config/a.json"]
    );
    assert_eq!(
        paths(place.run_in("config", &["ls", "deep", "--json"])),
        ["config/deep/b.json"]
    );
    assert_eq!(
        paths(place.run_in("config", &["ls", ":/", "--json"])).len(),
        3
    );
    place.run(&["ls", "none"]).exits(3).says_what_to_try();
}
