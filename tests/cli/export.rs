//! `export`: read back by real git, by SQLite through Python, by tar, and by Backstory itself.

use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Place, assert_keys, with_lost_version};

/// Versions of several paths, one of them renamed, one deleted, in bytes of many kinds.
fn history() -> Place {
    let place = Place::with_archive();
    let save = |name: &str, text: &str, time: &str| {
        place.write(name, text);
        place
            .run(&[
                "save",
                name,
                "--time",
                time,
                "-m",
                &format!("of {time}\n\nmore"),
            ])
            .ok();
    };
    save("a.json", "{ \"n\":1.0 }", "2026-11-01T10:00:00Z");
    save("dir/b.json", "{\n  \"t\": 1\n}\n", "2026-11-01T11:00:00Z");
    save("a.json", "{ \"n\":2 }\r\n", "2026-11-02T10:00:00Z");
    place
        .run(&[
            "mv",
            "dir/b.json",
            "dir/c \"é\".json",
            "--time",
            "2026-11-03T10:00:00Z",
        ])
        .ok();
    save("gone.json", "[1]", "2026-11-03T11:00:00Z");
    place
        .run(&["delete", "gone.json", "--time", "2026-11-03T12:00:00Z"])
        .ok();
    save("a.json", "{\"n\":3}", "2026-11-04T10:00:00Z");
    place
}

#[test]
fn lines_hold_every_version_and_go_back_in() {
    let place = history();
    let lines = place.run(&["export", "--source"]).ok().lines();
    let revs: Vec<String> = lines
        .iter()
        .map(|line| format!("{}@{}", line["path"].as_str().unwrap(), line["version"]))
        .collect();
    let expected = [
        "a.json@1",
        "dir/b.json@1",
        "a.json@2",
        "dir/b.json@2",
        "dir/c \"é\".json@1",
        "gone.json@1",
        "gone.json@2",
        "a.json@3",
    ];
    assert_eq!(revs, expected);
    assert_keys(
        &lines[0],
        &[
            "path", "version", "op", "time", "recorded", "author", "message", "archive", "commit",
            "seq", "file", "id", "form", "source", "document",
        ],
    );
    assert_eq!(lines[0]["source"], "{ \"n\":1.0 }");
    assert_eq!(lines[0]["document"], json!({"n": 1}));
    assert_eq!(
        (&lines[3]["deleted"], &lines[4]["other"]),
        (&json!(true), &json!("dir/b.json"))
    );
    let newest = place
        .run(&["export", "--newest", "a.json", "--at", "2026-11-02"])
        .ok()
        .document();
    assert_eq!(
        (&newest["version"], &newest["document"]["n"]),
        (&json!(2), &json!(2))
    );
    place
        .run(&["export", "nowhere"])
        .exits(3)
        .says_what_to_try();

    place
        .run(&["export", "--source", "-o", "out/all.jsonl"])
        .ok();
    let copy = Place::with_archive();
    let file = place.path("out/all.jsonl");
    let import = || {
        copy.run(&["import", "jsonl", file.to_str().unwrap(), "--json"])
            .ok()
            .document()
    };
    assert_eq!(
        (&import()["versions"], &import()["versions"]),
        (&json!(8), &json!(0))
    );
    let of = |place: &Place| -> Vec<Value> {
        let mut lines = place.run(&["log", "--json"]).ok().lines();
        for line in &mut lines {
            for member in ["commit", "recorded", "origin"] {
                line.as_object_mut().unwrap().remove(member);
            }
        }
        lines
    };
    assert_eq!(of(&copy), of(&place));
    assert_eq!(
        copy.run(&["load", ":/a.json@2"]).ok().out,
        b"{ \"n\":2 }\r\n"
    );
}

#[test]
fn git_takes_the_stream_and_gives_the_same_documents_back() {
    let place = history();
    // What git cannot hold is left out, and told of.
    place
        .run_input(&["save", "-", "--as", "x/.git/config"], "1")
        .ok();
    place
        .run_input(&["save", "-", "--as", "a.json/below"], "1")
        .ok();
    let call = place.run(&["export", "--format", "git"]).exits(5);
    assert_eq!(call.err.matches("error: ").count(), 2, "{}", call.err);
    let git = |arguments: &[&str], input: &[u8]| {
        let mut child = Command::new("git")
            .args(arguments)
            .current_dir(place.root())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A stream that is refused is not read to its end.
        let _ = std::io::Write::write_all(&mut child.stdin.take().unwrap(), input);
        let output = child.wait_with_output().unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    git(&["init", "-q", "-b", "main", "copy"], b"");
    // One that was cut short is refused.
    assert!(
        !git(
            &["-C", "copy", "fast-import", "--quiet"],
            &call.out[..call.out.len() - 6]
        )
        .0
    );
    assert!(
        git(
            &["-C", "copy", "fast-import", "--quiet", "--force"],
            &call.out
        )
        .0
    );
    assert!(git(&["-C", "copy", "fsck", "--strict"], b"").0);
    let log = git(
        &["-C", "copy", "log", "--format=%an|%at|%s", "--reverse"],
        b"",
    )
    .1;
    let expected =
        "ops|1793527200|of 2026-11-01T10:00:00Z\nops|1793530800|of 2026-11-01T11:00:00Z\n";
    assert!(log.starts_with(expected), "{log}");
    assert_eq!(
        git(&["-C", "copy", "show", "main~1:a.json"], b"").1,
        "{ \"n\":2 }\r\n"
    );

    let back = Place::with_archive();
    let copy = place.path("copy");
    back.run(&["import", "git", copy.to_str().unwrap()]).ok();
    let of = |place: &Place| -> Vec<String> {
        let lines = place.run(&["log", "--json", "-n", "100"]).ok().lines();
        let lines = lines.iter().filter(|line| {
            let path = line["path"].as_str().unwrap();
            !path.contains(".git/") && path != "a.json/below"
        });
        lines
            .map(|line| {
                format!(
                    "{} {} {} {}",
                    line["rev"], line["id"], line["source"], line["message"]
                )
            })
            .collect()
    };
    assert_eq!(of(&back), of(&place));
}

#[test]
fn python_reads_the_database() {
    let place = history();
    let call = place
        .run(&[
            "export", "--format", "sqlite", "--source", "-o", "h.db", "--json",
        ])
        .ok();
    assert_eq!(
        call.document(),
        json!({"format":"sqlite","file":"h.db","written":8,"left_out":0})
    );
    let script = "
import json, sqlite3
db = sqlite3.connect('file:h.db?mode=ro', uri=True)
assert db.execute('PRAGMA integrity_check').fetchone() == ('ok',)
out = {
    'versions': db.execute('SELECT path, version, op, time, document, source FROM versions ORDER BY seq, path').fetchall(),
    'changes': db.execute('SELECT path, version, pointer, kind, old, new FROM changes ORDER BY path, version').fetchall(),
}
print(json.dumps(out, default=lambda b: b.decode()))
";
    let output = Command::new("python3")
        .args(["-c", script])
        .current_dir(place.root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(read["versions"].as_array().unwrap().len(), 8);
    assert_eq!(
        read["versions"][0],
        json!([
            "a.json",
            1,
            "save",
            "2026-11-01T10:00:00Z",
            "{\"n\":1}",
            "{ \"n\":1.0 }"
        ])
    );
    let changes = read["changes"].as_array().unwrap();
    assert_eq!(
        changes[0],
        json!(["a.json", 1, "", "added", null, "{\"n\":1}"])
    );
    assert_eq!(changes[1], json!(["a.json", 2, "/n", "changed", "1", "2"]));
    assert_eq!(
        changes.last().unwrap(),
        &json!(["gone.json", 2, "", "removed", "[1]", null])
    );
}

#[test]
fn files_of_a_moment_as_tar_and_as_a_folder() {
    let place = history();
    place
        .run(&[
            "export",
            "--format",
            "tar",
            "--at",
            "2026-11-03T11:30:00Z",
            "-o",
            "s.tar",
        ])
        .ok();
    let list = "
import json, tarfile
tar = tarfile.open('s.tar')
print(json.dumps([[m.name, m.mtime, m.isreg(), tar.extractfile(m).read().decode()] for m in tar]))
";
    let output = Command::new("python3")
        .args(["-c", list])
        .current_dir(place.root())
        .output()
        .unwrap();
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = json!([
        ["a.json", 1_793_613_600, true, "{ \"n\":2 }\r\n"],
        [
            "dir/c \"é\".json",
            1_793_700_000,
            true,
            "{\n  \"t\": 1\n}\n"
        ],
        ["gone.json", 1_793_703_600, true, "[1]"],
    ]);
    assert_eq!(read, expected);
    place
        .run(&[
            "export",
            "--format",
            "dir",
            "--at",
            "2026-11-01",
            "-o",
            "state",
        ])
        .ok();
    assert_eq!(place.read("state/a.json"), "{ \"n\":1.0 }");
    assert_eq!(place.read("state/dir/b.json"), "{\n  \"t\": 1\n}\n");
    assert_eq!(place.names("state", ""), ["a.json", "dir"]);
    let modified = fs::metadata(place.path("state/a.json"))
        .unwrap()
        .modified()
        .unwrap();
    let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(since.as_secs(), 1_793_527_200);
}

#[test]
fn what_is_there_is_not_replaced_unasked() {
    let place = history();
    place.write("all.jsonl", "mine");
    for format in ["jsonl", "tar", "git", "sqlite"] {
        place
            .run(&["export", "--format", format, "-o", "all.jsonl"])
            .exits(2)
            .says_what_to_try()
            .mentions("there already");
    }
    place.write("state/mine.txt", "mine");
    place
        .run(&["export", "--format", "dir", "-o", "state"])
        .exits(2)
        .mentions("there already");
    place
        .run(&["export", "--format", "dir", "-o", "all.jsonl", "--force"])
        .exits(2);
    assert_eq!(
        (place.read("all.jsonl"), place.read("state/mine.txt")),
        ("mine".into(), "mine".into())
    );
    place.run(&["export", "-o", "all.jsonl", "--force"]).ok();
    place
        .run(&["export", "--format", "dir", "-o", "state", "--force"])
        .ok();
    assert_eq!(place.read("state/a.json"), "{\"n\":3}");
    assert_eq!(place.read("state/mine.txt"), "mine");
    for call in [
        &["export", "--format", "sqlite"][..],
        &["export", "--format", "dir"],
        &["export", "--format", "tar", "--newest"],
        &["export", "--format", "git", "--branch", "a..b"],
        &["export", "--format", "nonsense"],
    ] {
        place.run(call).exits(2).says_what_to_try();
    }
    // Nothing was left behind.
    assert!(place.names("", ".backstory-").is_empty());
}

/// A folder, or a path, that leads out of the folder is not followed.
#[cfg(unix)]
#[test]
fn no_link_leads_out_of_the_folder() {
    let place = history();
    fs::create_dir_all(place.path("outside")).unwrap();
    fs::create_dir_all(place.path("state")).unwrap();
    std::os::unix::fs::symlink(place.path("outside"), place.path("state/dir")).unwrap();
    place
        .run(&["export", "--format", "dir", "-o", "state", "--force"])
        .exits(5);
    assert!(place.names("outside", "").is_empty());
    assert_eq!(place.read("state/a.json"), "{\"n\":3}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_no_part_behind() {
    let place = history();
    let limited = |arguments: &str| {
        // Blocks of 512 bytes; the archive itself is only read.
        let script = format!(
            "ulimit -f 1; exec {} {arguments}",
            env!("CARGO_BIN_EXE_backstory")
        );
        let output = Command::new("sh")
            .args(["-c", &script])
            .current_dir(place.root())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(7), "{arguments}: {output:?}");
    };
    let text = format!("[{}1]", "1234567890, ".repeat(300));
    place
        .run_input(&["save", "-", "--as", "long.json"], &text)
        .ok();
    place.run(&["log"]).ok();
    for format in ["jsonl", "tar", "git", "sqlite", "dir"] {
        limited(&format!("export --format {format} -o out"));
        assert!(!place.exists("out"), "{format}");
        assert!(place.names("", ".backstory-").is_empty(), "{format}");
    }
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = place.command(&["export"]);
    assert_eq!(command.stdout(full).status().unwrap().code(), Some(7));
}

#[test]
fn a_file_has_its_name_only_once_it_is_whole() {
    let place = Place::with_archive();
    let lines: String = (0..2000)
        .map(|n| format!("{{\"path\":\"d/{}\",\"doc\":{n}}}\n", n % 20))
        .collect();
    place
        .run_input(&["save", "--jsonl", "--batch", "1000"], lines)
        .ok();
    let whole = place.run(&["export"]).ok().out;
    for wait in [5, 20, 40, 80, 160] {
        let mut child = place
            .command(&["export", "-o", "out.jsonl"])
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
        if place.exists("out.jsonl") {
            assert!(place.read("out.jsonl").into_bytes() == whole);
            fs::remove_file(place.path("out.jsonl")).unwrap();
        }
    }
    place.run(&["export", "-o", "out.jsonl"]).ok();
    assert!(place.read("out.jsonl").into_bytes() == whole);
}

#[test]
fn what_damage_has_taken_is_told_of_and_the_rest_is_exported() {
    let place = with_lost_version();
    for format in ["jsonl", "git"] {
        let call = place.run(&["export", "--format", format]).exits(6);
        assert!(
            call.err.contains("a.json@2") || call.err.contains("damaged"),
            "{}",
            call.err
        );
        assert!(!call.out.is_empty());
    }
    let lines = place.run(&["export"]).exits(6).lines();
    let versions: Vec<&Value> = lines.iter().map(|line| &line["version"]).collect();
    assert!(
        versions.contains(&&json!(1)) && !versions.contains(&&json!(2)),
        "{versions:?}"
    );
    place
        .run(&["export", "--format", "sqlite", "-o", "h.db"])
        .exits(6);
    let copy = Place::with_archive();
    copy.run(&["import", "archive", place.root().to_str().unwrap()])
        .exits(6);
    copy.run(&["import", "archive", place.root().to_str().unwrap()])
        .ok();
    copy.run(&["verify"]).ok();
}
