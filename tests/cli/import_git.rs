//! `import git`, from repositories that real git makes; killed, twice, and from sources that are none.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Place, assert_keys};

/// A repository below the place, driven by real git.
struct Repo<'p> {
    place: &'p Place,
    name: &'static str,
}

impl<'p> Repo<'p> {
    fn new(place: &'p Place, name: &'static str) -> Repo<'p> {
        fs::create_dir_all(place.path(name)).unwrap();
        let repo = Repo { place, name };
        repo.git(&["init", "-q", "-b", "main"]);
        repo
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(self.place.path(self.name))
            .env_remove("GIT_DIR")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "Ops Team")
            .env("GIT_AUTHOR_EMAIL", "ops@example.org")
            .env("GIT_AUTHOR_DATE", "1700000000 +0200")
            .env("GIT_COMMITTER_NAME", "Qa")
            .env("GIT_COMMITTER_EMAIL", "qa@example.org")
            .env("GIT_COMMITTER_DATE", "1700000600 +0000")
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn write(&self, file: &str, content: &str) {
        self.place.write(&format!("{}/{file}", self.name), content);
    }

    fn commit_files(&self, files: &[(&str, &str)], message: &str) -> String {
        for (file, content) in files {
            self.write(file, content);
        }
        self.commit(message)
    }

    fn commit(&self, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Every version that was imported has the bytes that git has, and the newest ones are those of `HEAD`.
    fn check(&self, under: &str) -> usize {
        let lines = self.place.run(&["log", "--json"]).ok().lines();
        for line in &lines {
            let path = line["path"].as_str().unwrap().strip_prefix(under).unwrap();
            let object = format!("{}:{path}", line["meta"]["git"]["commit"].as_str().unwrap());
            let there = Command::new("git")
                .args(["cat-file", "blob", &object])
                .current_dir(self.place.path(self.name))
                .output()
                .unwrap();
            if line["id"].is_null() {
                assert!(!there.status.success(), "{object}");
                continue;
            }
            let rev = format!(":/{}", line["rev"].as_str().unwrap());
            assert_eq!(
                self.place.run(&["load", &rev]).ok().out,
                there.stdout,
                "{object}"
            );
        }
        for version in self.place.run(&["ls", "--json"]).ok().lines() {
            let path = version["path"].as_str().unwrap();
            let file = path.strip_prefix(under).unwrap();
            let there = self.git(&["ls-tree", "-r", "--name-only", "HEAD", file]);
            assert_eq!(there.is_empty(), version["deleted"] == true, "{path}");
            if !there.is_empty() {
                let bytes = self.git(&["show", &format!("HEAD:{file}")]);
                let call = self.place.run(&["load", &format!(":/{path}")]).ok();
                assert_eq!(call.text().trim(), bytes, "{path}");
            }
        }
        lines.len()
    }
}

#[test]
fn a_git_history_comes_with_its_renames_deletions_and_merges() {
    let place = Place::with_archive();
    let repo = Repo::new(&place, "repo");
    let first = repo.commit_files(
        &[
            ("a.json", "{ \"n\": 1 }\n"),
            ("b/c.json", "[1,\n2]"),
            ("notes.txt", "no document"),
        ],
        "first\n\nwith more to it",
    );
    repo.git(&["checkout", "-q", "-b", "side"]);
    repo.commit_files(
        &[("a.json", "{ \"n\": 2 }\n"), ("side.json", "1")],
        "on the side",
    );
    repo.git(&["checkout", "-q", "main"]);
    repo.git(&["mv", "b/c.json", "b/d \"ä\".json"]);
    let renamed = repo.commit("rename");
    let broken = repo.commit_files(&[("broken.json", "{")], "broken");
    repo.commit_files(&[("broken.json", "{}")], "whole");
    repo.git(&["merge", "-q", "--no-ff", "--no-commit", "side"]);
    repo.commit_files(
        &[("a.json", "{ \"n\": \"of the merge alone\" }\n")],
        "merge",
    );
    repo.git(&["rm", "-q", "side.json"]);
    repo.commit("delete");

    let call = place
        .run(&["import", "git", "repo", "--under", "site", "--json"])
        .exits(5);
    let done = call.document();
    assert_keys(
        &done,
        &["source", "commits", "versions", "already", "left_out"],
    );
    assert_eq!(
        (&done["commits"], &done["left_out"]),
        (&json!(6), &json!(1))
    );
    let errors = call.errors();
    assert_eq!(
        (errors.len(), errors[0]["path"].as_str()),
        (1, Some("broken.json"))
    );
    assert!(errors[0]["message"].as_str().unwrap().starts_with(&broken));
    assert_eq!(repo.check("site/"), 9);

    let log = place
        .run(&["log", "site/b/d \"ä\".json", "--json"])
        .ok()
        .lines();
    assert_eq!(
        log.iter().map(|line| &line["op"]).collect::<Vec<_>>(),
        ["rename", "save"]
    );
    assert_eq!(log[0]["meta"]["git"]["commit"], renamed.as_str());
    assert_eq!(
        log[0]["meta"]["git"]["renamed"],
        json!({"site/b/d \"ä\".json": "site/b/c.json"})
    );
    assert_eq!(log[1]["meta"]["git"]["commit"], first.as_str());
    assert_eq!(log[1]["message"], "first\n\nwith more to it");
    assert_eq!(log[1]["author"], "Ops Team <ops@example.org>");
    assert_eq!(log[1]["time"], "2023-11-14T22:23:20Z");
    assert_eq!(log[1]["meta"]["git"]["authored"], "2023-11-14T22:13:20Z");

    // Again: nothing. Then what is new.
    let again = place
        .run(&["import", "git", "repo", "--under", "site", "--json"])
        .ok();
    assert_eq!(
        (&again.document()["versions"], again.err.as_str()),
        (&json!(0), "")
    );
    repo.commit_files(&[("a.json", "3")], "more");
    let more = place
        .run(&["import", "git", "repo", "--under", "site", "--json"])
        .ok();
    assert_eq!(more.document()["versions"], 1);
    assert_eq!(repo.check("site/"), 10);
    place.run(&["verify"]).ok();
}

#[test]
fn first_parents_patterns_and_a_start() {
    let place = Place::with_archive();
    let repo = Repo::new(&place, "repo");
    let first = repo.commit_files(&[("a.json", "1"), ("conf/x.json", "1")], "first");
    repo.git(&["checkout", "-q", "-b", "side"]);
    repo.commit_files(&[("a.json", "2")], "side 1");
    repo.commit_files(&[("a.json", "3")], "side 2");
    repo.git(&["checkout", "-q", "main"]);
    repo.commit_files(&[("conf/x.json", "2")], "main");
    repo.git(&["merge", "-q", "--no-ff", "-m", "merge", "side"]);
    let versions = |arguments: &[&str]| {
        let mut call = vec!["import", "git", "repo", "--json"];
        call.extend(arguments);
        place.run(&call).ok().document()["versions"].clone()
    };
    assert_eq!(versions(&["--under", "a", "--first-parent"]), 4);
    assert_eq!(versions(&["--under", "b"]), 5);
    assert_eq!(versions(&["--under", "c", "--path", "conf/*.json"]), 2);
    assert_eq!(versions(&["--under", "d", "--since", &first]), 3);
    // Another choice is another import.
    assert_eq!(versions(&["--under", "c", "--path", "*.json"]), 3);
    let messages: Vec<Value> = place
        .run(&["log", "a/a.json", "--json"])
        .ok()
        .lines()
        .iter()
        .map(|line| line["message"].clone())
        .collect();
    assert_eq!(messages, ["merge", "first"]);
}

#[test]
fn files_of_the_repository_that_the_archive_stands_in_are_its_files() {
    let place = Place::with_archive();
    let repo = Repo::new(&place, ".");
    repo.commit_files(
        &[(".gitignore", ".backstory\n"), ("a.json", "{ \"n\": 1 }")],
        "one",
    );
    repo.commit_files(&[("a.json", "{ \"n\": 2 }")], "two");
    place.run(&["import", "git", "."]).ok();
    place.run(&["status"]).ok();
    place.run(&["rollback", "a.json"]).ok();
    assert_eq!(place.read("a.json"), "{ \"n\": 1 }");
    // Elsewhere they are not.
    place.run(&["import", "git", ".", "--under", "copy"]).ok();
    place.run(&["rollback", "copy/a.json"]).exits(2);
}

#[test]
fn after_history_was_rewritten_the_newest_state_is_that_of_git() {
    let place = Place::with_archive();
    let repo = Repo::new(&place, "repo");
    repo.commit_files(&[("a.json", "1"), ("gone.json", "1")], "first");
    repo.commit_files(&[("a.json", "2"), ("only-here.json", "2")], "taken back");
    place.run(&["import", "git", "repo"]).ok();
    repo.git(&["reset", "-q", "--hard", "HEAD~1"]);
    repo.git(&["rm", "-q", "gone.json"]);
    repo.commit("another");
    place.run(&["import", "git", "repo"]).ok();
    repo.check("");
    let before = place.run(&["head"]).ok().out;
    place.run(&["import", "git", "repo"]).ok();
    assert_eq!(place.run(&["head"]).ok().out, before);
    // What is saved by hand since is not taken back.
    place.write("a.json", "\"mine\"");
    place.run(&["save", "a.json"]).ok();
    let before = place.run(&["head"]).ok().out;
    place.run(&["import", "git", "repo"]).ok();
    assert_eq!(place.run(&["head"]).ok().out, before);
    // Back to a commit that was imported before.
    repo.git(&["reset", "-q", "--hard", "HEAD~1"]);
    place.run(&["import", "git", "repo"]).ok();
    assert_eq!(place.run(&["load", "gone.json"]).ok().out, b"1");
    assert_eq!(place.run(&["load", "a.json"]).ok().out, b"1");
    let before = place.run(&["head"]).ok().out;
    // The commits that were taken back are no longer in the repository at all.
    repo.git(&["reflog", "expire", "--expire=now", "--all"]);
    repo.git(&["gc", "-q", "--prune=now"]);
    place.run(&["import", "git", "repo"]).ok();
    assert_eq!(place.run(&["head"]).ok().out, before);
}

#[test]
fn sources_that_are_none_are_told_of() {
    let place = Place::with_archive();
    fs::create_dir(place.path("empty")).unwrap();
    let none = |arguments: &[&str], text: &str| {
        place
            .run(arguments)
            .exits(3)
            .says_what_to_try()
            .mentions(text);
    };
    none(&["import", "git", "nowhere"], "no such folder");
    none(&["import", "jsonl", "nowhere"], "no such file");
    none(&["import", "archive", "empty"], "no archive");
    none(&["import", "dir", "nowhere"], "no such folder");
    let repo = Repo::new(&place, "repo");
    none(&["import", "git", "repo"], "has no commit HEAD");
    repo.commit_files(&[("a.json", "1")], "one");
    none(
        &["import", "git", "repo", "--rev=--all"],
        "has no commit --all",
    );
    none(
        &["import", "git", "repo", "--since", "nonsense"],
        "has no commit nonsense",
    );
    place
        .run(&["import", "git", "repo", "--under", "../x"])
        .exits(2);
    let elsewhere = Place::new();
    elsewhere
        .run(&["import", "jsonl", "-"])
        .exits(3)
        .mentions("no archive");
}

#[test]
fn a_damaged_repository_is_an_error_and_what_came_before_is_imported() {
    let place = Place::with_archive();
    let repo = Repo::new(&place, "repo");
    repo.commit_files(&[("a.json", "1")], "one");
    repo.commit_files(&[("a.json", "2")], "two");
    let blob = repo.git(&["rev-parse", "HEAD:a.json"]);
    let object = place
        .path("repo/.git/objects")
        .join(&blob[..2])
        .join(&blob[2..]);
    fs::remove_file(&object).unwrap();
    place
        .run(&["import", "git", "repo"])
        .exits(7)
        .says_what_to_try();
    fs::write(&object, "nonsense").unwrap();
    place
        .run(&["import", "git", "repo"])
        .exits(7)
        .says_what_to_try();
    fs::remove_file(&object).unwrap();
    repo.write("a.json", "2");
    repo.git(&["hash-object", "-w", "a.json"]);
    place.run(&["import", "git", "repo"]).ok();
    assert_eq!(repo.check(""), 2);
}

#[test]
fn hostile_names_in_a_repository_are_left_out() {
    let place = Place::with_archive();
    Repo::new(&place, "repo");
    let mut stream = b"commit refs/heads/main\ncommitter Qa <> 5 +0000\ndata 0\n".to_vec();
    for name in [
        "good.json",
        "x/.GIT/a.json",
        "\"tab\\there.json\"",
        "\"\\377.json\"",
        ".backstory/log/a.json",
    ] {
        stream.extend(format!("M 100644 inline {name}\ndata 1\n1\n").as_bytes());
    }
    stream.extend(b"M 120000 inline link.json\ndata 9\ngood.json\n");
    let mut child = Command::new("git")
        .args(["-c", "core.protectHFS=false", "fast-import", "--quiet"])
        .current_dir(place.path("repo"))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &stream).unwrap();
    assert!(child.wait().unwrap().success());
    let call = place.run(&["import", "git", "repo", "--json"]).exits(5);
    assert_eq!(
        (&call.document()["versions"], call.errors().len()),
        (&json!(1), 4),
        "{}",
        call.err
    );
    assert_eq!(place.run(&["ls"]).ok().text().lines().count(), 1);
}

#[test]
fn a_killed_import_goes_on_where_it_was() {
    let place = Place::with_archive();
    Repo::new(&place, "repo");
    let mut stream = Vec::new();
    for n in 0..4000 {
        stream.extend(
            format!(
                "commit refs/heads/main\nmark :{}\ncommitter Qa <> {n} +0000\ndata 1\nx\n",
                n + 1
            )
            .as_bytes(),
        );
        if n > 0 {
            stream.extend(format!("from :{n}\n").as_bytes());
        }
        let text = format!("{{\"n\": {n}}}");
        stream.extend(
            format!(
                "M 100644 inline d/{}.json\ndata {}\n{text}\n",
                n % 50,
                text.len()
            )
            .as_bytes(),
        );
    }
    let mut child = Command::new("git")
        .args(["fast-import", "--quiet"])
        .current_dir(place.path("repo"))
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &stream).unwrap();
    assert!(child.wait().unwrap().success());
    for wait in [30, 60, 120, 250, 500] {
        let mut child = place.command(&["import", "git", "repo"]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    place.run(&["import", "git", "repo"]).ok();
    place.run(&["verify"]).ok();
    let lines = place.run(&["export"]).ok().lines();
    assert_eq!(lines.len(), 4000);
    for (n, line) in lines.iter().enumerate() {
        assert_eq!(line["document"]["n"], n);
        assert_eq!(line["version"], n / 50 + 1);
    }
}
