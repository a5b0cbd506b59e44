//! What goes where, help and completions.

use std::io::Read;
use std::process::{Command, Stdio};

use crate::support::{Call, Place, finish};

#[test]
fn a_closed_pipe_ends_quietly() {
    let place = Place::with_archive();
    let lines: String = (0..3000)
        .map(|n| format!("{{\"path\":\"sensor/{n}\",\"doc\":{n}}}\n"))
        .collect();
    place
        .run_input(&["save", "--jsonl", "--batch", "3000"], lines)
        .ok();
    let mut command = place.command(&["log"]);
    let mut child = command.spawn().unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let call = Call::of(child.wait_with_output().unwrap()).ok();
    assert_eq!(call.err, "");
    // And by a shell.
    let exe = env!("CARGO_BIN_EXE_backstory");
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "\"$0\" ls; echo \"exit $?\" >&2", exe])
        .current_dir(place.root())
        .env_clear();
    shell
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    drop(child.stdout.take());
    let call = Call::of(child.wait_with_output().unwrap());
    assert_eq!(call.err, "exit 0\n");
}

#[test]
fn quiet_silences_messages_and_not_what_was_asked_for() {
    let place = Place::new();
    place.write("a.json", "1");
    let call = place.run(&["save", "a.json", "--quiet"]).ok();
    assert_eq!((call.text(), call.err.as_str()), ("", ""));
    assert!(place.exists(".backstory"));
    assert_eq!(place.run(&["-q", "load", "a.json"]).ok().text(), "1");
    assert_eq!(place.run(&["log", "-q"]).ok().text().lines().count(), 1);
    assert_eq!(
        place
            .run(&["save", "a.json", "-q", "--json"])
            .ok()
            .document()["status"],
        "unchanged"
    );
    assert!(
        !place
            .run(&["load", "none.json", "-q"])
            .exits(3)
            .err
            .is_empty()
    );
}

#[test]
fn people_read_what_became_of_each_path() {
    let place = Place::with_archive();
    place.write("a.json", "1");
    let id = blake3::hash(b"1").to_hex().as_str()[..8].to_owned();
    assert_eq!(
        place.run(&["save", "a.json"]).ok().text(),
        format!("saved a.json@1  {id}\n")
    );
    assert_eq!(
        place.run(&["save", "a.json"]).ok().text(),
        format!("unchanged a.json@1  {id}\n")
    );
}

#[test]
fn global_options_stand_in_front_or_behind() {
    let place = Place::with_versions(&["1"]);
    let root = place.root();
    let root = root.to_str().unwrap();
    for arguments in [
        ["--archive", root, "--json", "head"],
        ["head", "--archive", root, "--json"],
    ] {
        assert_eq!(
            finish(&mut place.command_in(std::path::Path::new("/"), &arguments))
                .ok()
                .document()["seq"],
            1
        );
    }
}

#[test]
fn completions_for_every_shell() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let call = place.run(&["completions", shell]).ok();
        assert!(
            call.text().contains("backstory") && call.text().contains("rollback"),
            "{shell}"
        );
    }
    place.run(&["completions", "tcsh"]).exits(2);
}

#[test]
fn help_lists_the_commands() {
    let place = Place::new();
    let help = place.run(&["--help"]).ok();
    let commands: Vec<&str> = help
        .text()
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    let expected = [
        "init",
        "save",
        "load",
        "log",
        "series",
        "diff",
        "profile",
        "blame",
        "apply",
        "merge-file",
        "rollback",
        "undo",
        "redo",
        "status",
        "watch",
        "identify",
        "find",
        "sql",
        "ls",
        "mv",
        "delete",
        "undelete",
        "tag",
        "stats",
        "head",
        "verify",
        "canon",
        "hash",
        "reindex",
        "compact",
        "repair",
        "import",
        "export",
        "restore",
        "push",
        "pull",
        "clone",
        "completions",
        "man",
        "help",
    ];
    assert_eq!(commands, expected);
    for command in &expected[..expected.len() - 1] {
        let help = place.run(&[command, "--help"]).ok();
        assert!(
            help.text().contains("Examples:\n  backstory ")
                || help.text().contains("Examples:\n  curl "),
            "{command}"
        );
        assert!(help.text().contains("Usage: backstory "), "{command}");
    }
    let version = place.run(&["--version"]).ok();
    assert_eq!(
        version.text(),
        format!("backstory {}\n", env!("CARGO_PKG_VERSION"))
    );
    let bare = place.run(&[]).exits(2);
    assert!(bare.out.is_empty() && bare.err.contains("Commands:"));
}

#[test]
fn every_command_is_documented() {
    let docs = include_str!("../../docs/cli.md");
    for command in Place::new()
        .run(&["--help"])
        .text()
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
    {
        match command.split_whitespace().next() {
            None => break,
            Some("help") => {}
            Some(name) => assert!(
                docs.contains(&format!("### `backstory {name}")),
                "{name} is not in docs/cli.md"
            ),
        }
    }
}
