//! Saving new content and replacing the file by it: `Workspace::save_file`.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use backstory::workspace::{FileContent, FileSave, Workspace};
use backstory::{Archive, ErrorKind, HistoryQuery, Note, Result};
use tempfile::TempDir;

struct Place {
    dir: TempDir,
    workspace: Workspace,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let archive = Archive::create(dir.path()).unwrap();
        let workspace = Workspace::new(archive, dir.path()).unwrap();
        Place { dir, workspace }
    }

    fn content(text: &str) -> FileContent {
        FileContent {
            bytes: text.into(),
            ..FileContent::default()
        }
    }

    fn save(&self, text: &str) -> Result<FileSave> {
        self.save_with(Place::content(text))
    }

    fn save_with(&self, content: FileContent) -> Result<FileSave> {
        self.workspace.save_file(Path::new("a.json"), content, 0)
    }

    fn file(&self) -> String {
        fs::read_to_string(self.dir.path().join("a.json")).unwrap()
    }

    fn put(&self, text: &str) {
        fs::write(self.dir.path().join("a.json"), text).unwrap();
    }

    /// The sources of all versions, oldest first.
    fn versions(&self) -> Vec<String> {
        let query = HistoryQuery {
            path: Some("a.json".to_owned()),
            ..HistoryQuery::default()
        };
        let archive = self.workspace.archive();
        let mut all: Vec<String> = archive
            .history(query)
            .unwrap()
            .map(|version| archive.load(&version.unwrap()).unwrap().source())
            .map(|source| String::from_utf8(source).unwrap())
            .collect();
        all.reverse();
        all
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn what_stood_in_the_file_is_a_version_in_front() {
    let place = Place::new();
    place.put("[ 0 ]");
    let saved = place.save("[1]").unwrap();
    assert_eq!(saved.first.unwrap().rev(), "a.json@1");
    assert_eq!(saved.change.rev(), "a.json@2");
    assert!(saved.written.is_ok() && saved.aside.is_empty());
    assert_eq!(place.versions(), ["[ 0 ]", "[1]"]);
    // What is in the archive is not saved again, be it an older version.
    assert!(place.save("[2]").unwrap().first.is_none());
    place.put("[ 0 ]");
    assert!(place.save("[3]").unwrap().first.is_none());
    place.put("[9]");
    assert_eq!(place.save("[9]").unwrap().change.version, 5);
    assert_eq!(place.versions(), ["[ 0 ]", "[1]", "[2]", "[3]", "[9]"]);
    assert_eq!(place.names(), [".backstory", "a.json"]);
}

#[test]
fn both_commits_have_notes_of_their_own() {
    let place = Place::new();
    place.put("[0]");
    let note = Note {
        message: Some("new".to_owned()),
        author: Some("ops".to_owned()),
        ..Note::default()
    };
    let content = FileContent {
        note,
        ..Place::content("[1]")
    };
    place.save_with(content).unwrap();
    let archive = place.workspace.archive();
    let commits: Vec<_> = archive.commits().unwrap().map(Result::unwrap).collect();
    let said: Vec<_> = commits.iter().map(|c| c.message.as_deref()).collect();
    assert_eq!(said, [Some("new"), Some("what was on disk before saving")]);
    assert!(commits.iter().all(|c| c.author.as_deref() == Some("ops")));
}

#[test]
fn what_is_no_document_is_moved_aside() {
    let place = Place::new();
    place.put("{half");
    let saved = place.save("[1]").unwrap();
    assert_eq!(saved.aside.len(), 1);
    assert_eq!(fs::read_to_string(&saved.aside[0]).unwrap(), "{half");
    assert_eq!(place.file(), "[1]");
    assert_eq!(place.versions(), ["[1]"]);
}

#[test]
fn an_error_in_front_of_the_commit_changes_nothing() {
    let place = Place::new();
    place.put("[0]");
    let before = place.names();
    let refused = [
        (Place::content("[1,]"), ErrorKind::InvalidDocument),
        (
            FileContent {
                if_version: Some(3),
                ..Place::content("[1]")
            },
            ErrorKind::Conflict,
        ),
    ];
    for (content, kind) in refused {
        assert_eq!(place.save_with(content).unwrap_err().kind(), kind);
        assert_eq!(place.file(), "[0]");
        assert_eq!(place.names(), before);
        assert!(!place.workspace.archive().path_exists("a.json").unwrap());
    }
    // The condition is about the version in front of what the file holds.
    let content = FileContent {
        if_version: Some(0),
        if_absent: true,
        ..Place::content("[1]")
    };
    assert_eq!(place.save_with(content).unwrap().change.version, 2);
    let outside = place.workspace.save_file(
        &std::env::temp_dir().join("elsewhere.json"),
        Place::content("[1]"),
        0,
    );
    assert_eq!(outside.unwrap_err().kind(), ErrorKind::Usage);
}

#[test]
fn a_folder_in_the_way_is_no_version() {
    let place = Place::new();
    fs::create_dir(place.dir.path().join("a.json")).unwrap();
    assert_eq!(place.save("[1]").unwrap_err().kind(), ErrorKind::Io);
    assert!(!place.workspace.archive().path_exists("a.json").unwrap());
}

#[test]
fn with_many_writers_the_file_is_the_newest_version_and_never_torn() {
    const WRITERS: usize = 6;
    const SAVES: usize = 15;
    let place = Place::new();
    place.save("[\"start\"]").unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let place = &place;
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let text = place.file();
                assert!(
                    serde_json::from_str::<serde_json::Value>(&text).is_ok(),
                    "{text:?}"
                );
            }
        });
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn(move || {
                    // Each with a handle of its own, as processes have them.
                    let archive = Archive::open(place.dir.path()).unwrap();
                    let workspace = Workspace::new(archive, place.dir.path()).unwrap();
                    for number in 0..SAVES {
                        let content = Place::content(&format!("[{writer},{number}]"));
                        let saved = workspace.save_file(Path::new("a.json"), content, 0);
                        let saved = saved.unwrap();
                        assert!(saved.written.is_ok() && saved.aside.is_empty());
                        assert!(saved.first.is_none());
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let versions = place.versions();
    assert_eq!(versions.len(), WRITERS * SAVES + 1);
    assert_eq!(Some(&place.file()), versions.last());
    assert_eq!(place.names(), [".backstory", "a.json"]);
}
