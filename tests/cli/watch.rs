//! `watch`: with real files, and no more waiting than it takes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::support::Place;

/// Nothing here takes as long, unless it never comes.
const LIMIT: Duration = Duration::from_secs(60);

struct Watch<'a> {
    place: &'a Place,
    child: Child,
    lines: Receiver<String>,
}

impl<'a> Watch<'a> {
    fn begin(place: &'a Place, arguments: &[&str]) -> Watch<'a> {
        let mut all = vec!["watch", "--json"];
        if !arguments.contains(&"--debounce") {
            all.extend(["--debounce", "50"]);
        }
        all.extend(arguments);
        let mut child = place.command(&all).spawn().unwrap();
        let errors = BufReader::new(child.stderr.take().unwrap());
        let (ready, is_ready) = channel();
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                let _ = ready.send(line);
            }
        });
        let lines = follow(child.stdout.take().unwrap());
        let watch = Watch {
            place,
            child,
            lines,
        };
        let begun = Instant::now();
        loop {
            let line = is_ready.recv_timeout(LIMIT).expect("it never began");
            if line.starts_with("watching ") {
                break;
            }
            assert!(begun.elapsed() < LIMIT, "{line}");
        }
        watch
    }

    fn line(&self) -> Value {
        let line = self.lines.recv_timeout(LIMIT).expect("no line came");
        serde_json::from_str(&line).unwrap()
    }

    /// The next line, but for those of files that a test which stood still had half-written.
    #[track_caller]
    fn next(&self) -> Value {
        loop {
            let line = self.line();
            if line["status"] != "invalid" {
                return line;
            }
        }
    }

    /// Lines up to one that is this.
    #[track_caller]
    fn until(&self, path: &str, status: &str) -> Value {
        loop {
            let line = self.line();
            if line["path"] == path && line["status"] == status {
                return line;
            }
        }
    }

    /// Waits until the newest version of a path is this.
    #[track_caller]
    fn holds(&self, path: &str, content: &str) {
        let begun = Instant::now();
        let mut last = String::new();
        while begun.elapsed() < LIMIT {
            let call = self.place.run(&["load", &format!(":/{path}")]);
            if call.code == 0 && call.text() == content {
                return;
            }
            last = format!("{} {}", call.text(), call.err);
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{path} never was {content:?}: {last}");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let killed = std::process::Command::new("kill")
            .args([name, &pid])
            .status();
        assert!(killed.unwrap().success());
    }

    /// Ends it; the lines that were left.
    #[track_caller]
    fn end(mut self, signal: &str) -> Vec<Value> {
        self.signal(signal);
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < LIMIT, "it did not end");
            std::thread::sleep(Duration::from_millis(10));
        };
        assert_eq!(status.code(), Some(0));
        self.lines
            .iter()
            .map(|line| serde_json::from_str(&line).unwrap())
            .collect()
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn follow(out: ChildStdout) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}

fn versions(place: &Place, path: &str) -> usize {
    place
        .run(&["log", &format!(":/{path}"), "--json"])
        .ok()
        .lines()
        .len()
}

#[test]
fn changes_are_saved_as_they_happen_whoever_tells_of_them() {
    for poll in [false, true] {
        let place = Place::with_archive();
        place.write("config/a.json", "1");
        place.run(&["save", "config"]).ok();
        // While it was away.
        place.write("config/a.json", "2");
        place.write("config/new.json", "[]");
        let poll: &[&str] = if poll { &["--poll", "20"] } else { &[] };
        let watch = Watch::begin(&place, poll);
        let first = watch.next();
        let second = watch.next();
        assert_eq!(first["commit"], second["commit"]);
        assert_eq!(first["rev"], "config/a.json@2");
        assert_eq!(second["rev"], "config/new.json@1");
        place.write("config/a.json", "3");
        assert_eq!(watch.next()["rev"], "config/a.json@3");
        // A folder that comes, with folders in it.
        place.write("results/deep/er/run.json", "{\"loss\": 1}");
        assert_eq!(watch.next()["rev"], "results/deep/er/run.json@1");
        place.write("results/deep/er/run.json", "{\"loss\": 2}");
        assert_eq!(watch.next()["rev"], "results/deep/er/run.json@2");
        // What editors do: another file takes the name.
        place.write("config/.a.json.swp", "4");
        fs::rename(
            place.path("config/.a.json.swp"),
            place.path("config/a.json"),
        )
        .unwrap();
        assert_eq!(watch.next()["rev"], "config/a.json@4");
        // What is no .json file is nobody's business.
        place.write("config/notes.txt", "5");
        fs::rename(place.path("results"), place.path("moved")).unwrap();
        let moved = watch.until("moved/deep/er/run.json", "saved");
        assert_eq!(moved["version"], 1);
        let lines = watch.end("-TERM");
        assert!(
            lines.iter().all(|line| line["status"] == "missing"),
            "{lines:?}"
        );
    }
}

#[test]
fn half_written_files_are_waited_for() {
    let place = Place::with_archive();
    place.write("a.json", "{\"a\": 1}");
    let watch = Watch::begin(&place, &[]);
    assert_eq!(watch.next()["rev"], "a.json@1");
    place.write("a.json", "{\"a\": ");
    watch.until("a.json", "invalid");
    place.write("a.json", "{\"a\": 2");
    place.write("a.json", "{\"a\": 2}");
    assert_eq!(watch.next()["rev"], "a.json@2");
    watch.end("-INT");
    assert_eq!(versions(&place, "a.json"), 2);
}

#[test]
fn a_burst_is_one_commit() {
    let place = Place::with_archive();
    place.write("keep.json", "0");
    let watch = Watch::begin(&place, &["--debounce", "400"]);
    watch.next();
    for n in 0..50 {
        place.write(&format!("burst/{}.json", n % 10), &n.to_string());
    }
    let commits: Vec<Value> = (0..10).map(|_| watch.next()["commit"].clone()).collect();
    assert!(watch.end("-TERM").is_empty());
    // A machine that stands still for long may make two of it.
    assert!(
        commits
            .iter()
            .filter(|commit| **commit == commits[0])
            .count()
            >= 5
    );
    for n in 0..10 {
        let saved = place.run(&["load", &format!("burst/{n}.json")]).ok();
        assert_eq!(saved.text(), (40 + n).to_string());
    }
}

#[test]
fn a_file_that_goes_is_told_of_and_keeps_its_history() {
    let place = Place::with_archive();
    place.write("a.json", "1");
    place.write("gone.json", "1");
    place.run(&["save", "a.json", "gone.json"]).ok();
    fs::remove_file(place.path("gone.json")).unwrap();
    let watch = Watch::begin(&place, &[]);
    assert_eq!(watch.until("gone.json", "missing")["version"], 1);
    fs::remove_file(place.path("a.json")).unwrap();
    watch.until("a.json", "missing");
    place.write("a.json", "2");
    assert_eq!(watch.next()["rev"], "a.json@2");
    watch.end("-TERM");
    assert_eq!(place.run(&["load", ":/gone.json"]).ok().text(), "1");
}

#[test]
fn named_files_alone_are_watched_where_files_are_named() {
    let place = Place::with_archive();
    place.write("a.json", "1");
    place.write("settings.conf", "1");
    place.run(&["save", "settings.conf"]).ok();
    let watch = Watch::begin(&place, &["settings.conf"]);
    place.write("a.json", "2");
    place.write("new.conf", "2");
    fs::rename(place.path("new.conf"), place.path("settings.conf")).unwrap();
    assert_eq!(watch.next()["rev"], "settings.conf@2");
    assert!(watch.end("-TERM").is_empty());
    place.run(&["load", "a.json"]).exits(3);
    place
        .run(&["watch", "nowhere.json"])
        .exits(3)
        .says_what_to_try();
}

#[test]
fn a_file_that_is_written_over_and_over_is_saved_all_the_same() {
    let place = Place::with_archive();
    place.write("a.json", "0");
    let watch = Watch::begin(&place, &["--debounce", "2000"]);
    watch.next();
    let begun = Instant::now();
    let mut n = 0;
    let saved = loop {
        n += 1;
        // Whole at each moment.
        place.write(".next", &n.to_string());
        fs::rename(place.path(".next"), place.path("a.json")).unwrap();
        std::thread::sleep(Duration::from_millis(5));
        if let Ok(line) = watch.lines.try_recv() {
            break line;
        }
        assert!(begun.elapsed() < LIMIT, "it was never saved");
    };
    assert!(saved.contains("a.json@2"), "{saved}");
    let last = n.to_string();
    watch.holds("a.json", &last);
    watch.end("-TERM");
}

#[test]
fn an_archive_that_others_lock_is_waited_for() {
    let place = Place::with_archive();
    place.write("a.json", "1");
    let watch = Watch::begin(&place, &[]);
    watch.next();
    let lock = fs::File::open(place.path(".backstory/lock")).unwrap();
    lock.lock().unwrap();
    place.write("a.json", "2");
    // Long enough for an attempt that fails.
    std::thread::sleep(Duration::from_millis(900));
    assert!(watch.lines.try_recv().is_err());
    drop(lock);
    assert_eq!(watch.next()["rev"], "a.json@2");
    // What comes last is saved on the way out.
    place.write("a.json", "3");
    let lines = watch.end("-TERM");
    assert_eq!(lines.len(), 1);
    assert_eq!(place.run(&["load", "a.json"]).ok().text(), "3");
}

#[test]
fn ignore_files_count_and_the_message_is_kept() {
    let place = Place::with_archive();
    place.write(".gitignore", "build\n");
    place.write("build/out.json", "1");
    place.write("a.json", "1");
    // An archive further down has its own files.
    place.run(&["init", "inner"]).ok();
    place.write("inner/b.json", "1");
    let watch = Watch::begin(&place, &["-m", "by watch"]);
    assert_eq!(watch.next()["rev"], "a.json@1");
    place.write("build/out.json", "2");
    place.write("build/new.json", "2");
    place.write("a.json", "2");
    assert_eq!(watch.next()["rev"], "a.json@2");
    assert!(watch.end("-TERM").is_empty());
    let log = place.run(&["log", "--json"]).ok().lines();
    assert!(log.iter().all(|line| line["message"] == "by watch"));
}
