//! save: files, folders, standard input, JSON lines.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use crate::support::{Call, Place};

fn revs(call: &Call) -> Vec<String> {
    call.lines()
        .iter()
        .map(|line| line["rev"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn several_files_are_one_commit_and_named_twice_is_once() {
    let place = Place::with_archive();
    place.write("a.json", "1");
    place.write("b.json", "2");
    let call = place
        .run(&["save", "a.json", "./b.json", "b.json", "--json"])
        .ok();
    assert_eq!(revs(&call), ["a.json@1", "b.json@1"]);
    let lines = call.lines();
    assert_eq!(lines[0]["commit"], lines[1]["commit"]);
    let call = place.run(&["save", "b.json", "a.json", "--json"]).ok();
    assert!(
        call.lines()
            .iter()
            .all(|line| line["status"] == "unchanged")
    );
    assert_eq!(place.run(&["head", "--json"]).ok().document()["seq"], 1);
}

#[test]
fn a_folder_stands_for_its_json_files() {
    let place = Place::with_archive();
    place.write("data/a.json", "1");
    place.write("data/deep/b.json", "2");
    place.write("data/notes.txt", "no");
    place.write("data/.gitignore", "*.local.json\n");
    place.write("data/c.local.json", "3");
    place.write("data/deep/d.local.json", "4");
    place.write(".gitignore", "a.json\n");
    let call = place
        .run(&["save", "data", "--json"])
        .ok()
        .mentions("left out 2");
    assert_eq!(revs(&call), ["data/a.json@1", "data/deep/b.json@1"]);
    let call = place.run(&["save", "data", "--no-ignore", "--json"]).ok();
    assert_eq!(call.lines().len(), 4);
    assert_eq!(call.err, "");
    fs::create_dir(place.path("empty")).unwrap();
    place.run(&["save", "empty"]).exits(3).says_what_to_try();
    place.write("only/.gitignore", "*\n");
    place.write("only/a.json", "1");
    place
        .run(&["save", "only"])
        .exits(3)
        .mentions("--no-ignore");
    place.run(&["save", "data", "--as", "x"]).exits(2);
    // The archive's own folder is not data.
    assert!(
        place
            .run(&["save", ".", "--no-ignore", "--json"])
            .ok()
            .lines()
            .iter()
            .all(|line| !line["path"].as_str().unwrap().starts_with(".backstory"))
    );
}

#[test]
fn standard_input_needs_a_name() {
    let place = Place::with_archive();
    place
        .run_input(&["save", "-"], "1")
        .exits(2)
        .says_what_to_try()
        .mentions("--as");
    let call = place
        .run_input(
            &["save", "-", "--as", "sensors/north.json", "--json"],
            "{ \"t\": 1.0 }",
        )
        .ok();
    assert_eq!(revs(&call), ["sensors/north.json@1"]);
    assert_eq!(
        place.run(&["load", "sensors/north.json"]).ok().text(),
        "{ \"t\": 1.0 }"
    );
    fs::create_dir_all(place.path("sensors")).unwrap();
    let mut call = place.command_in(
        &place.path("sensors"),
        &["save", "../home.json", "--as", "south.json", "--json"],
    );
    place.write("home.json", "2");
    assert_eq!(
        revs(&crate::support::finish(&mut call).ok()),
        [":/sensors/south.json@1"]
    );
    place.write("a.json", "1");
    place.write("b.json", "1");
    place
        .run(&["save", "a.json", "b.json", "--as", "c.json"])
        .exits(2)
        .says_what_to_try();
    place
        .run_input(&["save", "-", "--as", "x.json"], "{")
        .exits(5)
        .says_what_to_try();
}

#[test]
fn a_file_saved_under_its_own_name_is_a_file() {
    let place = Place::with_archive();
    for content in ["1", "2"] {
        place.write("a.json", content);
        place.run(&["save", "a.json", "--as", "a.json"]).ok();
    }
    place.run(&["rollback", "a.json"]).ok();
    assert_eq!(place.read("a.json"), "1");
}

#[test]
fn one_invalid_file_fails_the_call_and_all_of_them_are_listed() {
    let place = Place::with_archive();
    place.write("a.json", "1");
    place.write("b.json", "{\"x\":01}");
    place.write("c.json", "{\"x\":1,\"x\":2}");
    let call = place
        .run(&["save", "a.json", "b.json", "c.json", "--json"])
        .exits(5);
    let paths: Vec<String> = call
        .errors()
        .iter()
        .map(|error| error["path"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(paths, ["b.json", "c.json"]);
    assert!(call.out.is_empty());
    assert_eq!(place.run(&["head", "--json"]).ok().document()["seq"], 0);
    let call = place
        .run(&[
            "save",
            "a.json",
            "b.json",
            "c.json",
            "--keep-going",
            "--json",
        ])
        .exits(5);
    assert_eq!(revs(&call), ["a.json@1"]);
    assert_eq!(call.errors().len(), 2);
}

#[test]
fn layout_alone_is_reformatted_or_ignored() {
    let place = Place::with_archive();
    place.write("a.json", "{\"a\":1}");
    place.run(&["save", "a.json"]).ok();
    place.write("a.json", "{ \"a\": 1 }");
    assert_eq!(
        place
            .run(&["save", "a.json", "--ignore-format", "--json"])
            .ok()
            .document()["status"],
        "unchanged"
    );
    let line = place.run(&["save", "a.json", "--json"]).ok().document();
    assert_eq!(
        (line["status"].as_str(), line["version"].as_u64()),
        (Some("reformatted"), Some(2))
    );
}

#[test]
fn the_author_comes_from_option_or_environment() {
    let place = Place::with_archive();
    let author = |call: Call| {
        call.ok();
        place.run(&["log", "-n", "1", "--json"]).ok().document()["author"].clone()
    };
    place.write("a.json", "1");
    assert_eq!(author(place.run(&["save", "a.json"])), "ops");
    place.write("a.json", "2");
    assert_eq!(
        author(place.run_with(
            "BACKSTORY_AUTHOR",
            "qa",
            &["save", "a.json", "--author", "cy"]
        )),
        "cy"
    );
    place.write("a.json", "3");
    let mut command = place.command(&["save", "a.json"]);
    command.env_remove("BACKSTORY_AUTHOR").env("USER", "dee");
    assert_eq!(author(crate::support::finish(&mut command)), "dee");
    place.run(&["save", "a.json", "--meta", "novalue"]).exits(2);
    place.run(&["save", "a.json", "--time", "noon"]).exits(2);
}

#[test]
fn no_json_line_waits_for_the_next() {
    let place = Place::with_archive();
    let mut child = place
        .command(&["save", "--jsonl"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    // Blank lines, and half of the next one, may be there already.
    for (text, rev) in [
        ("{\"path\":\"s\",\"doc\":1}\n", "s@1"),
        ("{\"path\":\"s\",\"doc\":2}\n\n \n", "s@2"),
        ("{\"path\":\"s\",\"doc\":3}\n{\"path\":", "s@3"),
        ("\"s\",\"doc\":4}\n", "s@4"),
    ] {
        input.write_all(text.as_bytes()).unwrap();
        let answer = answers.next().unwrap().unwrap();
        assert!(answer.starts_with(&format!("saved {rev} ")), "{answer}");
    }
    drop(input);
    assert!(child.wait().unwrap().success());
    assert!(answers.next().is_none());
}

#[test]
fn json_lines_are_commits_of_their_own() {
    let place = Place::with_archive();
    let input = concat!(
        "{\"path\":\"s/1\",\"doc\":{\"t\":9007199254740993},\"time\":\"2026-11-01T00:00:00Z\",\"message\":\"m\",\"author\":\"qa\",\"meta\":{\"run\":7}}\n",
        "\n",
        "{\"doc\":[1, 2],\"path\":\"s/2\"}\r\n",
        "{\"path\":\"s/1\",\"doc\":{\"t\":2}}",
    );
    for (arguments, first) in [
        (&["save", "--jsonl", "--json"][..], 1),
        (&["save", "--jsonl", "--batch", "2", "--json"], 2),
    ] {
        let call = place.run_input(arguments, input).ok();
        let lines = call.lines();
        assert_eq!(lines.len(), 3, "{arguments:?}");
        assert_ne!(lines[0]["commit"], lines[2]["commit"]);
        if first == 1 {
            assert_eq!(revs(&call), ["s/1@1", "s/2@1", "s/1@2"]);
        } else {
            assert_eq!(revs(&call), ["s/1@3", "s/2@1", "s/1@4"]);
        }
    }
    assert_eq!(
        place.run(&["load", "s/1@1", "--compact"]).ok().text(),
        "{\"t\":9007199254740993}"
    );
    // A document without bytes of its own is laid out.
    assert_eq!(place.run(&["load", "s/2"]).ok().text(), "[\n  1,\n  2\n]\n");
    let log = place.run(&["log", "s/1", "--json"]).ok().lines();
    let first = log.last().unwrap();
    assert_eq!(
        (first["author"].as_str(), first["message"].as_str()),
        (Some("qa"), Some("m"))
    );
    assert_eq!(
        (first["time"].as_str(), &first["meta"]["run"]),
        (Some("2026-11-01T00:00:00Z"), &serde_json::json!(7))
    );
    assert_eq!(log[0]["author"], "ops");
    place.run(&["save", "--jsonl", "a.json"]).exits(2);
    place.run(&["save", "a.json", "--batch", "2"]).exits(2);
}

#[test]
fn a_bad_line_stops_the_stream_or_is_left_out() {
    let good = |n: u32| format!("{{\"path\":\"p{n}\",\"doc\":{n}}}\n");
    for bad in [
        "{\"path\":\"x\"}",
        "{\"path\":\"x\",\"doc\":NaN}",
        "nonsense",
        "{\"path\":\"x\",\"doc\":1,\"msg\":\"y\"}",
        "{\"path\":\"x\",\"doc\":{\"a\":1,\"a\":1}}",
    ] {
        let input = format!("{}{bad}\n{}", good(1), good(2));
        let place = Place::with_archive();
        let call = place
            .run_input(&["save", "--jsonl", "--batch", "10", "--json"], &input)
            .exits(5);
        assert_eq!(revs(&call), ["p1@1"], "{bad}");
        assert_eq!(call.errors()[0]["input_line"], 2, "{bad}");
        let place = Place::with_archive();
        let call = place
            .run_input(&["save", "--jsonl", "--keep-going", "--json"], &input)
            .exits(5);
        assert_eq!(revs(&call), ["p1@1", "p2@1"], "{bad}");
    }
    let place = Place::with_archive();
    place
        .run_input(&["save", "--jsonl"], "{\"path\":\"../x\",\"doc\":1}")
        .exits(2)
        .says_what_to_try();
    let input = "{\"path\":\"x\",\"doc\":[NaN,-Infinity]}\n";
    place
        .run_input(&["save", "--jsonl", "--nan", "tag"], input)
        .ok();
    assert_eq!(
        place.run(&["load", "x", "--compact"]).ok().text(),
        "[NaN,-Infinity]"
    );
}

#[test]
fn a_stream_is_answered_line_by_line() {
    use std::io::{BufRead, BufReader, Write};
    use std::process::Stdio;
    let place = Place::with_archive();
    let mut child = place
        .command(&["save", "--jsonl", "--json"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap());
    for number in 1..=3 {
        writeln!(stdin, "{{\"path\":\"sensor\",\"doc\":{number}}}").unwrap();
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        assert!(
            line.contains(&format!("\"rev\":\"sensor@{number}\"")),
            "{line}"
        );
        // It is there for others while the stream is open.
        assert_eq!(
            place.run(&["load", "sensor", "--compact"]).ok().text(),
            number.to_string()
        );
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_batch_of_lines_is_one_commit_where_it_can_be() {
    let place = Place::with_archive();
    let input: String = [1, 2, 3, 4, 5, 6, 2]
        .iter()
        .map(|n| format!("{{\"path\":\"s/{n}\",\"doc\":[{n}]}}\n"))
        .collect();
    let call = place
        .run_input(&["save", "--jsonl", "--batch", "3", "--json"], &input)
        .ok();
    let commits: Vec<String> = call
        .lines()
        .iter()
        .map(|line| line["commit"].to_string())
        .collect();
    assert_eq!(commits.len(), 7);
    assert!(commits[..3].iter().all(|commit| *commit == commits[0]));
    assert!(commits[3..6].iter().all(|commit| *commit == commits[3]));
    assert_ne!(commits[0], commits[3]);
    assert_ne!(commits[3], commits[6]);
}

#[test]
fn provenance_says_where_a_version_comes_from_and_keeps_no_secret() {
    let place = Place::with_archive();
    place.write("a.json", "1");
    place
        .run_with(
            "LOGNAME",
            "qa",
            &[
                "save",
                "a.json",
                "--provenance",
                "--meta",
                "token=kept",
                "-m",
                "password=hunter2",
            ],
        )
        .ok();
    let log = place.run(&["log", "a.json", "--json"]).ok();
    let meta = &log.lines()[0]["meta"];
    let found = &meta["provenance"];
    let command: Vec<&str> = found["command"]
        .as_array()
        .unwrap()
        .iter()
        .map(|argument| argument.as_str().unwrap())
        .collect();
    assert_eq!(
        command[1..],
        [
            "save",
            "a.json",
            "--provenance",
            "--meta",
            "token=***",
            "-m",
            "password=***"
        ]
    );
    assert_eq!(found["user"], "qa");
    assert!(found["host"].is_string() && found["backstory"].is_string());
    // The folder of the test is in no work tree, or in one that git may know.
    assert!(found.get("git").is_none_or(|git| git["dirty"].is_boolean()));
    // What was said on purpose stays.
    assert_eq!(meta["token"], "kept");
    place.write("b.json", "1");
    place.run(&["save", "b.json"]).ok();
    let log = place.run(&["log", "b.json", "--json"]).ok();
    assert!(log.lines()[0]["meta"].get("provenance").is_none());
}

#[test]
fn provenance_has_the_state_of_git() {
    let place = Place::with_archive();
    let git = |arguments: &[&str]| {
        let status = std::process::Command::new("git")
            .args(["-c", "user.name=ops", "-c", "user.email=ops@example.org"])
            .args(["-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(place.root())
            .output();
        status.is_ok_and(|output| output.status.success())
    };
    if !git(&["init", "-q", "-b", "main", "."]) {
        eprintln!("left out: there is no git");
        return;
    }
    place.write("train.py", "print()");
    assert!(git(&["add", "train.py"]) && git(&["commit", "-q", "-m", "code"]));
    let state = |name: &str| {
        place.write(name, "1");
        place.run(&["save", name, "--provenance"]).ok();
        let log = place.run(&["log", name, "--json"]).ok();
        log.lines()[0]["meta"]["provenance"]["git"].clone()
    };
    let clean = state("a.json");
    assert_eq!(
        (&clean["branch"], &clean["dirty"]),
        (&"main".into(), &false.into())
    );
    assert_eq!(clean["commit"].as_str().unwrap().len(), 40);
    place.write("train.py", "print(1)");
    assert_eq!(state("b.json")["dirty"], true);
}
