//! Archives of every format there was are read, by the library and by `docs/reader.py`.
//!
//! `tests/golden/NAME/archive` is an archive and `expected.jsonl` what it holds. A golden archive is never edited;
//! `BACKSTORY_WRITE_GOLDEN=1 cargo test --test golden` writes that of the format in the making.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use backstory::canon::NanMode;
use backstory::repair::{RepairOptions, repair};
use backstory::verify::{VerifyOptions, verify};
use backstory::{Archive, CompactOptions, Document, HistoryQuery, Note, ObjectId, Spec};
use serde_json::{Value, json};

/// The folders in `tests/golden`: a test below fails where this list and the folder differ.
const GOLDEN: &[&str] = &["format-1", REPAIRED];
/// The same, damaged and repaired: it has losses.
const REPAIRED: &str = "format-1-repaired";

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What an archive holds, a line a version, in the order of the log.
fn contents(archive: &Archive) -> Vec<Value> {
    let mut lines: Vec<Value> = archive
        .history(HistoryQuery::default())
        .unwrap()
        .map(|version| {
            let version = version.unwrap();
            let (canonical, source) = match version.id {
                Some(_) => match archive.load(&version) {
                    Ok(loaded) => (
                        Some(ObjectId::of(loaded.canonical()).to_string()),
                        Some(ObjectId::of(&loaded.source()).to_string()),
                    ),
                    Err(error) => {
                        assert!(error.is_corrupt(), "{error}");
                        (None, None)
                    }
                },
                None => (None, None),
            };
            json!({
                "seq": version.seq, "path": version.path, "version": version.version, "op": version.op.to_string(),
                "commit": version.commit.to_string(), "time": version.time, "author": version.author,
                "message": version.message, "meta": version.meta, "of": version.of, "other": version.other,
                "id": version.id.map(|id| id.to_string()), "canonical": canonical, "source": source,
            })
        })
        .collect();
    lines.sort_by_key(|line| {
        (
            line["seq"].as_u64(),
            line["path"].as_str().map(str::to_owned),
        )
    });
    lines
}

fn save(archive: &Archive, message: &str, documents: &[(&str, Document)]) {
    let mut save = archive.save();
    for (path, document) in documents {
        save.add(path, document.clone()).unwrap();
    }
    save.note(Note {
        message: Some(message.to_owned()),
        author: Some("ada".to_owned()),
        ..Note::default()
    });
    save.commit().unwrap();
}

/// An archive with every kind of record and every operation.
fn write(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder.join("archive")).unwrap();
    drop(Archive::create(folder.join("archive")).unwrap());
    fs::write(
        folder.join("archive/.backstory/settings.json"),
        "{\"segment_bytes\": 8192}\n",
    )
    .unwrap();
    let archive = Archive::open(folder.join("archive")).unwrap();
    let source = |text: &str| Document::source(text).file();
    let some: Vec<String> = (0..40).map(|n| format!("some/{n:02}.json")).collect();
    let some: Vec<(&str, Document)> = some
        .iter()
        .map(|path| (path.as_str(), source(&format!("{{\"path\": \"{path}\"}}"))))
        .collect();
    for n in 0..70 {
        if n == 40 {
            // What came so far is packed, what comes now is not.
            save(&archive, "forty at once", &some);
            archive.compact(&CompactOptions::default()).unwrap();
        }
        let rows: Vec<String> = (0..n + 20)
            .map(|i| format!("{{\"step\": {i}, \"loss\": 0.{i}}}"))
            .collect();
        let text = format!("{{\"run\": {n}, \"rows\": [{}]}}", rows.join(", "));
        save(
            &archive,
            &format!("run {n}"),
            &[("runs/1.json", source(&text))],
        );
    }
    let many: Vec<(String, Document)> = (0..70)
        .map(|n| (format!("many/{n:02}.json"), source(&format!("[{n}]"))))
        .collect();
    let many: Vec<(&str, Document)> = many
        .iter()
        .map(|(path, doc)| (path.as_str(), doc.clone()))
        .collect();
    save(&archive, "seventy at once", &many);
    save(
        &archive,
        "odd spaces",
        &[("odd.json", source("[ 1,2 ,\t3  , [4 ],[ ] ]"))],
    );
    save(
        &archive,
        "numbers",
        &[(
            "numbers.json",
            source("[9007199254740993, 1e400, -0.0, 1.50]"),
        )],
    );
    save(
        &archive,
        "not numbers",
        &[("nan.json", source("[NaN, -Infinity]\n").nan(NanMode::Tag))],
    );
    save(
        &archive,
        "names",
        &[("é/名前.json", source("{\"\u{fb33}\": 1, \"\u{1f600}\": 2}"))],
    );
    save(
        &archive,
        "a value",
        &[("value.json", Document::value("{\"a\": 1}"))],
    );
    save(
        &archive,
        "pretty",
        &[("value.json", source("{\n  \"a\": 1\n}\n"))],
    );
    save(
        &archive,
        "canonical",
        &[("value.json", source("{\"a\":1}"))],
    );
    let mut rollback = archive.rollback();
    rollback.path("runs/1.json", Some(Spec::Number(3))).unwrap();
    rollback.commit().unwrap();
    archive.delete(&["many/01.json"]).commit().unwrap();
    archive.undelete(&["many/01.json"]).commit().unwrap();
    archive.delete(&["many/02.json"]).commit().unwrap();
    archive
        .rename("many/03.json", "renamed.json")
        .commit()
        .unwrap();
    let named = archive.resolve("runs/1.json", &Spec::Number(5)).unwrap();
    archive.tag_version("good", &named).commit().unwrap();
    archive.tag_archive("release", 10).commit().unwrap();
    archive.delete_tag("good").commit().unwrap();
    let target = archive.find_commit("73").unwrap();
    archive.undo(target).commit().unwrap();
    archive.redo().unwrap().commit().unwrap();
    let mut note = Note {
        time: Some(1_000_000_000_000_000),
        ..Note::default()
    };
    note.meta.insert("host".to_owned(), json!("node-7"));
    let mut late = archive.save();
    late.add("late.json", source("\"from 2001\"")).unwrap();
    late.note(note);
    late.commit().unwrap();
    finish(folder, archive);
}

/// The same archive, damaged in a plain and in a packed segment, and repaired.
fn write_repaired(whole: &Path, folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    let root = folder.join("archive");
    copy(&whole.join("archive"), &root);
    let log = root.join(".backstory/log");
    let mut names: Vec<PathBuf> = fs::read_dir(&log)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "seg"))
        .collect();
    names.sort();
    for name in names {
        let mut bytes = fs::read(&name).unwrap();
        for part in [2, 3] {
            let at = bytes.len() * part / 5;
            bytes[at] ^= 1;
        }
        fs::write(&name, bytes).unwrap();
    }
    let repaired = repair(&root, &RepairOptions::default()).unwrap();
    assert!(repaired.report.ok);
    assert!(repaired.lost_commits() > 0 && repaired.lost_versions().count() > 0);
    fs::remove_dir_all(log.join("damaged")).unwrap();
    finish(folder, Archive::open(&root).unwrap());
}

/// Writes down what an archive holds, and leaves the files that are its own.
fn finish(folder: &Path, archive: Archive) {
    let lines: String = contents(&archive)
        .iter()
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(folder.join("expected.jsonl"), lines).unwrap();
    drop(archive);
    for entry in fs::read_dir(folder.join("archive/.backstory")).unwrap() {
        let path = entry.unwrap().path();
        if path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("index")
            || path.ends_with("lock")
        {
            fs::remove_file(path).unwrap();
        }
    }
}

fn expected(name: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder(name).join("expected.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn the_library_reads_every_golden_archive() {
    if std::env::var_os("BACKSTORY_WRITE_GOLDEN").is_some() {
        write(&folder("format-1"));
        write_repaired(&folder("format-1"), &folder(REPAIRED));
    }
    let mut names: Vec<String> = fs::read_dir(folder(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, GOLDEN, "the tested list is the folder's list");
    for name in GOLDEN {
        let place = tempfile::tempdir().unwrap();
        copy(&folder(name).join("archive"), place.path());
        let archive = Archive::open(place.path()).unwrap();
        let expected = expected(name);
        assert!(expected.len() > 100);
        assert_eq!(contents(&archive), expected, "{name}");
        let report = verify(&archive, &VerifyOptions::default()).unwrap();
        assert!(report.ok, "{:?}", report.findings);
        assert_eq!(*name == REPAIRED, !report.losses.is_empty());
        // It can be written to.
        save(
            &archive,
            "one more",
            &[("runs/1.json", Document::source("{}"))],
        );
        assert!(verify(&archive, &VerifyOptions::default()).unwrap().ok);
    }
}

#[test]
fn the_python_reader_reads_every_golden_archive() {
    let Some(python) = std::env::var_os("BACKSTORY_PYTHON") else {
        println!("left out: docs/reader.py (BACKSTORY_PYTHON is not set; tests/run sets it)");
        return;
    };
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reader.py");
    for name in GOLDEN {
        let archive = folder(name).join("archive");
        let place = tempfile::tempdir().unwrap();
        let output = Command::new(&python)
            .arg(&reader)
            .arg(&archive)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let mut lines: Vec<Value> = String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        lines.sort_by_key(|line| {
            (
                line["seq"].as_u64(),
                line["path"].as_str().map(str::to_owned),
            )
        });
        let expected = expected(name);
        assert_eq!(lines.len(), expected.len());
        for (line, expected) in lines.iter().zip(&expected) {
            for member in ["path", "version", "op", "commit", "author", "message"] {
                assert_eq!(line[member], expected[member], "{member} of {line}");
            }
            assert_eq!(line["id"], expected["id"]);
        }
        let status = Command::new(&python)
            .arg(&reader)
            .arg(&archive)
            .arg("verify")
            .status()
            .unwrap();
        assert!(status.success());
        if *name == REPAIRED {
            continue;
        }
        let status = Command::new(&python)
            .arg(&reader)
            .arg(&archive)
            .arg("dump")
            .arg(place.path())
            .status()
            .unwrap();
        assert!(status.success());
        let with_content: Vec<&Value> = expected
            .iter()
            .filter(|line| !line["source"].is_null())
            .collect();
        let mut dumped: Vec<(String, String)> = Vec::new();
        for n in 1..=with_content.len() {
            let id = |kind: &str| {
                let bytes = fs::read(place.path().join(format!("{n}.{kind}"))).unwrap();
                ObjectId::of(&bytes).to_string()
            };
            dumped.push((id("canonical"), id("source")));
        }
        let mut wanted: Vec<(String, String)> = with_content
            .iter()
            .map(|line| {
                (
                    line["canonical"].as_str().unwrap().to_owned(),
                    line["source"].as_str().unwrap().to_owned(),
                )
            })
            .collect();
        dumped.sort();
        wanted.sort();
        assert_eq!(dumped, wanted);
    }
}
