//! A folder, a binary, and what a call of it gave back.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder to work in, with a home that nothing else uses.
pub struct Place {
    dir: TempDir,
}

/// What a call gave back.
#[derive(Debug)]
pub struct Call {
    pub code: i32,
    pub out: Vec<u8>,
    pub err: String,
}

impl Place {
    /// An empty folder.
    pub fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("home")).unwrap();
        fs::create_dir_all(dir.path().join("work")).unwrap();
        Place { dir }
    }

    /// A folder with an archive.
    pub fn with_archive() -> Place {
        let place = Place::new();
        place.run(&["init"]).ok();
        place
    }

    /// A folder with the versions 1, 2, 3 … of `config/a.json`, one for each content.
    pub fn with_versions(contents: &[&str]) -> Place {
        let place = Place::with_archive();
        for (number, content) in (1..).zip(contents) {
            place.write("config/a.json", content);
            place
                .run(&[
                    "save",
                    "config/a.json",
                    "--time",
                    &format!("2026-11-0{number}T12:00:00Z"),
                ])
                .ok();
        }
        place
    }

    /// The folder, links followed.
    pub fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("work")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// The names in a folder that start like this, sorted.
    pub fn names(&self, folder: &str, start: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with(start))
            .collect();
        names.sort();
        names
    }

    /// The command in the folder, in an environment that holds nothing of ours.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_in(&self.root(), arguments)
    }

    pub fn command_in(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backstory"));
        command
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path().join("home"))
            .env("BACKSTORY_AUTHOR", "ops")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Call {
        finish(&mut self.command(arguments))
    }

    pub fn run_in(&self, folder: &str, arguments: &[&str]) -> Call {
        finish(&mut self.command_in(&self.path(folder), arguments))
    }

    pub fn run_with(&self, variable: &str, value: &str, arguments: &[&str]) -> Call {
        finish(self.command(arguments).env(variable, value))
    }

    pub fn run_input(&self, arguments: &[&str], input: impl AsRef<[u8]>) -> Call {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.as_ref().to_vec();
        // A call that refuses its arguments does not read: then nothing is lost.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        Call::of(output)
    }
}

pub fn finish(command: &mut Command) -> Call {
    Call::of(command.output().unwrap())
}

impl Call {
    pub fn of(output: std::process::Output) -> Call {
        let code = output
            .status
            .code()
            .unwrap_or_else(|| panic!("it was killed: {output:?}"));
        Call {
            code,
            out: output.stdout,
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Checks the exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Call {
        assert_eq!(
            self.code,
            code,
            "\nstdout: {}\nstderr: {}",
            String::from_utf8_lossy(&self.out),
            self.err
        );
        self
    }

    #[track_caller]
    pub fn ok(self) -> Call {
        self.exits(0)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }

    /// Standard output as lines of JSON; everything on it has to be.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        self.text()
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }

    /// The one line of JSON on standard output.
    #[track_caller]
    pub fn document(&self) -> Value {
        let mut lines = self.lines();
        assert_eq!(lines.len(), 1, "{}", self.text());
        lines.remove(0)
    }

    /// The errors on standard error, where each line has to be one.
    #[track_caller]
    pub fn errors(&self) -> Vec<Value> {
        let line = |line: &str| {
            serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        };
        self.err
            .lines()
            .map(|text| line(text)["error"].clone())
            .collect()
    }

    /// Checks that an error for people ends with what to type next.
    #[track_caller]
    pub fn says_what_to_try(self) -> Call {
        let last = self.err.lines().last().unwrap_or_default();
        assert!(self.err.contains("error: "), "{}", self.err);
        assert!(
            last.starts_with("  try: ") && last.len() > "  try: ".len() + 3,
            "{}",
            self.err
        );
        self
    }

    #[track_caller]
    pub fn mentions(self, text: &str) -> Call {
        assert!(self.err.contains(text), "{text:?} is not in:\n{}", self.err);
        self
    }
}

/// The names of the members, in the order of the alphabet.
#[track_caller]
pub fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value
        .as_object()
        .unwrap_or_else(|| panic!("{value}"))
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    keys
}

/// Asserts that these are the names of the members, all of them.
#[track_caller]
pub fn assert_keys(value: &Value, expected: &[&str]) {
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(keys(value), expected, "{value}");
}

/// Versions 1, 2 and 3 of `a.json`, each with a number `n`; a byte of the second one's content is not what was written.
pub fn with_lost_version() -> Place {
    let place = Place::with_archive();
    let log = place.path(".backstory/log");
    let segment = |place: &Place| {
        place
            .path(".backstory/log")
            .join(&place.names(".backstory/log", "0")[0])
    };
    assert!(log.is_dir());
    let mut lens = Vec::new();
    for n in 1..=3 {
        // Nothing that compresses, so that the content is most of what is written.
        let mut text = String::new();
        for part in 0..400 {
            text.push_str(&blake3::hash(format!("{n} {part}").as_bytes()).to_hex());
        }
        place.write("a.json", &format!("{{\"n\":{n},\"text\":\"{text}\"}}"));
        place.run(&["save", "a.json"]).ok();
        lens.push(fs::metadata(segment(&place)).unwrap().len());
    }
    let file = segment(&place);
    let mut bytes = fs::read(&file).unwrap();
    bytes[usize::try_from(lens[0].midpoint(lens[1])).unwrap()] ^= 1;
    fs::write(file, bytes).unwrap();
    place
}
