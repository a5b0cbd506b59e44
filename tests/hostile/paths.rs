//! Paths: names that lead elsewhere, names that are nearly one, and links.

use std::fs;
use std::path::Path;

use backstory::commit::{Change, Op, SourceForm};
use backstory::fuzzing::Forge;
use backstory::workspace::{Destination, Workspace};
use backstory::{Archive, Document, Spec};

use crate::saved;

const ELSEWHERE: [&str; 14] = [
    "",
    ".",
    "..",
    "../x",
    "a/../../x",
    "/etc/x",
    "a//b",
    "a/",
    "a/./b",
    "a\0b",
    "a\nb",
    "a\u{7f}",
    ".backstory/archive.json",
    ".backstory",
];

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let archive = Archive::in_memory().unwrap();
    let mut save = archive.save();
    for path in ELSEWHERE {
        assert!(save.add(path, Document::source("{}")).is_err(), "{path:?}");
    }
    let long = "n".repeat(64 << 10);
    assert!(save.add(&long, Document::source("{}")).is_err());
    save.add("a", Document::source("{}")).unwrap();
    save.commit().unwrap();
    for path in ELSEWHERE.into_iter().chain([long.as_str()]) {
        assert!(archive.rename("a", path).commit().is_err(), "{path:?}");
        assert!(archive.resolve(path, &Spec::Latest).is_err());
        assert!(archive.rollback().path(path, None).is_err());
        assert!(archive.delete(&[path]).commit().is_err());
    }
    assert_eq!(archive.stats().unwrap().commits, 1);
}

#[test]
fn an_archive_whose_records_name_them_does_not_count() {
    let long = "n".repeat(64 << 10);
    for path in ELSEWHERE.into_iter().chain([long.as_str()]) {
        let mut forge = Forge::new();
        forge.object(b"{}");
        forge.commit(vec![saved("a", 1, b"{}")]);
        forge.object(b"[]");
        forge.commit(vec![saved(path, 1, b"[]")]);
        let archive = forge.open().unwrap();
        assert_eq!(archive.stats().unwrap().commits, 1, "{path:?}");
        assert!(archive.newest(path).unwrap().is_none());
        let mut forge = Forge::new();
        forge.object(b"{}");
        forge.commit(vec![saved("a", 1, b"{}")]);
        let mut renamed = saved("b", 1, b"{}");
        (renamed.op, renamed.of, renamed.other) = (Op::Rename, 1, path.to_owned());
        forge.commit(vec![renamed]);
        assert_eq!(
            forge.open().unwrap().stats().unwrap().commits,
            1,
            "{path:?}"
        );
    }
}

#[test]
fn nearly_the_same_names_live_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::create(dir.path()).unwrap();
    // Case; composed and decomposed; a ligature; a full-width letter; a name and a folder; invisible characters.
    let names = [
        "a",
        "A",
        "a/b",
        "a/B",
        "é",
        "e\u{301}",
        "É",
        "ﬁ",
        "fi",
        "ａ",
        "a\u{200b}",
        "a ",
        "a.",
        "con",
        "a:b",
        "a\\b",
    ];
    let mut save = archive.save();
    for name in names {
        save.add(
            name,
            Document::source(format!("\"{}\"", name.replace('\\', "\\\\"))),
        )
        .unwrap();
    }
    save.commit().unwrap();
    drop(archive);
    let archive = Archive::open(dir.path()).unwrap();
    archive.reindex().unwrap();
    for name in names {
        let loaded = archive
            .load(&archive.newest(name).unwrap().unwrap())
            .unwrap();
        assert_eq!(
            loaded.canonical(),
            format!("\"{}\"", name.replace('\\', "\\\\")).as_bytes()
        );
    }
    assert_eq!(archive.list("").unwrap().len(), names.len());
    assert_eq!(archive.list("a").unwrap().len(), 3);
}

/// All files below a folder, with their contents.
fn snapshot(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (
                entry.file_name().into_string().unwrap(),
                fs::read(entry.path()).unwrap(),
            )
        })
        .collect();
    files.sort();
    files
}

/// An archive that someone else made, beside a folder of ours that it should not reach.
fn beside(make: impl FnOnce(&mut Forge, &Path, &Path)) -> (tempfile::TempDir, Workspace) {
    let dir = tempfile::tempdir().unwrap();
    let (root, ours) = (dir.path().join("root"), dir.path().join("ours"));
    fs::create_dir_all(&root).unwrap();
    fs::create_dir_all(&ours).unwrap();
    fs::write(ours.join("x.json"), "\"ours\"").unwrap();
    let mut forge = Forge::new();
    make(&mut forge, &root, &ours);
    forge.write_to(&root).unwrap();
    let workspace = Workspace::new(Archive::open(&root).unwrap(), &root).unwrap();
    (dir, workspace)
}

fn from_file(path: &str, version: u64, content: &[u8]) -> Change {
    let mut change = saved(path, version, content);
    change.file = true;
    if let Some(content) = &mut change.content {
        content.source = SourceForm::Canonical;
    }
    change
}

#[cfg(unix)]
#[test]
fn undoing_a_strangers_commit_writes_nothing_outside() {
    use std::os::unix::fs::symlink;
    let (dir, workspace) = beside(|forge, root, ours| {
        symlink(ours, root.join("linked")).unwrap();
        symlink(ours.join("x.json"), root.join("x.json")).unwrap();
        symlink(ours.join("new.json"), root.join("new.json")).unwrap();
        let paths = ["linked/x.json", "new.json", "ok.json", "x.json"];
        for (version, content) in [(1, &b"1"[..]), (2, &b"2"[..])] {
            for _ in paths {
                forge.object(content);
            }
            forge.commit(
                paths
                    .iter()
                    .map(|path| from_file(path, version, content))
                    .collect(),
            );
        }
    });
    let ours = dir.path().join("ours");
    let before = snapshot(&ours);
    let archive = workspace.archive();
    let view = archive.find_commit("2").unwrap();
    let report = workspace
        .undo(archive.undo(view), &Destination::Files, 0)
        .unwrap();
    assert_eq!(report.restored.changes.len(), 4);
    assert_eq!(snapshot(&ours), before);
    assert_eq!(fs::read(dir.path().join("root/ok.json")).unwrap(), b"1");
}

#[cfg(unix)]
#[test]
fn undoing_a_strangers_rename_moves_nothing_outside() {
    use std::os::unix::fs::symlink;
    let (dir, workspace) = beside(|forge, root, ours| {
        symlink(ours, root.join("linked")).unwrap();
        fs::write(root.join("new.json"), "1").unwrap();
        forge.object(b"1");
        forge.commit(vec![from_file("linked/taken.json", 1, b"1")]);
        let mut taken = from_file("new.json", 1, b"1");
        (taken.op, taken.of, taken.other) = (Op::Rename, 1, "linked/taken.json".to_owned());
        let mut away = Change::new(Op::RenameAway, "linked/taken.json", 2);
        (away.file, away.other) = (true, "new.json".to_owned());
        forge.commit(vec![away, taken]);
    });
    let ours = dir.path().join("ours");
    let before = snapshot(&ours);
    let archive = workspace.archive();
    let view = archive.find_commit("2").unwrap();
    workspace
        .undo(archive.undo(view), &Destination::Files, 0)
        .unwrap();
    assert_eq!(snapshot(&ours), before);
}

#[cfg(unix)]
#[test]
fn a_named_link_is_saved_and_rolled_back_through_and_stays_a_link() {
    use std::os::unix::fs::symlink;
    let (dir, workspace) = beside(|_, root, ours| {
        symlink(ours.join("x.json"), root.join("x.json")).unwrap();
    });
    let link = dir.path().join("root/x.json");
    let path = workspace.path_of_file(&link).unwrap();
    assert_eq!(path, "x.json");
    let archive = workspace.archive();
    for content in ["\"ours\"", "2"] {
        fs::write(&link, content).unwrap();
        let mut save = archive.save();
        save.add(&path, Document::source(content).file()).unwrap();
        save.commit().unwrap();
    }
    let mut rollback = archive.rollback();
    rollback.path(&path, None).unwrap();
    workspace
        .rollback(rollback, &Destination::Files, 0)
        .unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    // Who names the link means what it leads to.
    assert_eq!(
        fs::read(dir.path().join("ours/x.json")).unwrap(),
        b"\"ours\""
    );
    assert_eq!(snapshot(&dir.path().join("ours")).len(), 1);
}
