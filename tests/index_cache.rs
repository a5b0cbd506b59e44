//! The index is a cache: whatever becomes of its file, the archive answers the same.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use backstory::verify::{FindingKind, VerifyOptions, verify};
use backstory::{Archive, Document, IndexPlace, Note, OpenOptions, Spec};
use rusqlite::Connection;
use support::{answers, save, source};
use tempfile::TempDir;

fn index(dir: &Path) -> PathBuf {
    dir.join(".backstory/index.sqlite")
}

fn index_files(dir: &Path) -> [PathBuf; 3] {
    ["", "-wal", "-shm"].map(|end| dir.join(format!(".backstory/index.sqlite{end}")))
}

fn remove_index(dir: &Path) {
    for file in index_files(dir) {
        let _ = fs::remove_file(file);
    }
}

/// An archive with all kinds of change, its index up to date.
fn sample() -> (TempDir, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::create(dir.path()).unwrap();
    for n in 0..6 {
        save(&archive, "a.json", &format!("{{\"n\": {n}}}"));
        save(&archive, "b/c.json", &format!("[{}]", n % 2));
    }
    let mut one = archive.save();
    one.add("other.json", Document::source("{\"n\":  3}").file())
        .unwrap();
    one.note(Note {
        message: Some("a message".into()),
        author: Some("ada".into()),
        time: Some(5),
        ..Note::default()
    });
    one.commit().unwrap();
    let third = archive.resolve("a.json", &Spec::Number(3)).unwrap();
    archive.tag_version("best", &third).commit().unwrap();
    archive.tag_archive("all", 4).commit().unwrap();
    archive.rename("b/c.json", "d.json").commit().unwrap();
    archive.delete(&["other.json"]).commit().unwrap();
    archive
        .undo(archive.undo_target().unwrap())
        .commit()
        .unwrap();
    let mut back = archive.rollback();
    back.path("a.json", None).unwrap();
    back.commit().unwrap();
    let before = answers(&archive);
    archive.reindex().unwrap();
    assert_eq!(answers(&archive), before);
    (dir, before)
}

/// Opens, compares all answers, and says what was noticed.
fn same(dir: &Path, before: &[String], what: &str) -> Vec<String> {
    let archive = Archive::open(dir).unwrap();
    assert_eq!(answers(&archive), before, "{what}");
    let notices = archive.take_notices();
    drop(archive);
    let again = Archive::open(dir).unwrap();
    let report = verify(&again, &VerifyOptions::default()).unwrap();
    assert!(report.ok, "{what}: {:?}", report.findings);
    notices
}

#[test]
fn an_index_that_is_whole_is_used_without_a_word() {
    let (dir, before) = sample();
    assert_eq!(same(dir.path(), &before, "as it is"), Vec::<String>::new());
}

#[test]
fn a_file_that_is_no_index_is_replaced_and_said_so() {
    let (dir, before) = sample();
    let path = index(dir.path());
    let good = fs::read(&path).unwrap();
    let whole_wal = fs::read(&index_files(dir.path())[1]).unwrap_or_default();
    let noise: Vec<u8> = (0..good.len().max(9000))
        .map(|n| (n * 7919 % 251) as u8)
        .collect();
    let mut cases: Vec<(String, Vec<u8>)> = vec![
        ("noise".into(), noise),
        ("empty".into(), Vec::new()),
        ("text".into(), b"not a database".to_vec()),
    ];
    for part in 1..8 {
        cases.push((
            format!("{part}/8 of it"),
            good[..good.len() * part / 8].to_vec(),
        ));
    }
    for (what, bytes) in &cases {
        for wal in [false, true] {
            remove_index(dir.path());
            fs::write(&path, bytes).unwrap();
            if wal && !whole_wal.is_empty() {
                fs::write(&index_files(dir.path())[1], &whole_wal).unwrap();
            }
            let notices = same(dir.path(), &before, what);
            assert!(wal || notices.len() == 1, "{what}: {notices:?}");
            assert!(
                wal || notices[0].starts_with("index rebuilt: "),
                "{what}: {notices:?}"
            );
        }
    }
    remove_index(dir.path());
    assert_eq!(same(dir.path(), &before, "removed").len(), 1);
    remove_index(dir.path());
    fs::create_dir(&path).unwrap();
    let archive = Archive::open(dir.path()).unwrap();
    assert_eq!(answers(&archive), before);
    assert_eq!(archive.take_notices().len(), 1, "a folder in its place");
    save(&archive, "a.json", "\"with a folder for an index\"");
}

#[test]
fn the_index_of_another_archive_or_of_a_copy_is_not_used() {
    let (dir, before) = sample();
    let (other, others) = sample();
    for (from, to) in index_files(other.path())
        .iter()
        .zip(index_files(dir.path()))
    {
        let _ = fs::remove_file(&to);
        if from.exists() {
            fs::copy(from, &to).unwrap();
        }
    }
    assert_eq!(same(dir.path(), &before, "another's").len(), 1);
    assert!(same(other.path(), &others, "the other one").is_empty());
    // One file of it alone, beside the own write-ahead log.
    fs::copy(index(other.path()), index(dir.path())).unwrap();
    same(dir.path(), &before, "another's file, own log");
    // A copy of the whole folder is at another place.
    let copy = tempfile::tempdir().unwrap();
    let status = std::process::Command::new("cp")
        .arg("-r")
        .arg(dir.path().join(".backstory"))
        .arg(copy.path())
        .status();
    assert!(status.unwrap().success());
    assert_eq!(same(copy.path(), &before, "a copy").len(), 1);
}

#[test]
fn an_older_index_catches_up_and_a_newer_one_is_evidence() {
    let (dir, _) = sample();
    let old: Vec<Option<Vec<u8>>> = index_files(dir.path())
        .map(|file| fs::read(file).ok())
        .into();
    let put = |files: &[Option<Vec<u8>>]| {
        remove_index(dir.path());
        for (file, bytes) in index_files(dir.path()).iter().zip(files) {
            if let Some(bytes) = bytes {
                fs::write(file, bytes).unwrap();
            }
        }
    };
    let log = dir.path().join(".backstory/log/00000001.seg");
    let short = fs::read(&log).unwrap();
    let archive = Archive::open(dir.path()).unwrap();
    for n in 0..700 {
        save(
            &archive,
            "a.json",
            &format!("{{\"n\": {n}, \"late\": true}}"),
        );
    }
    let before = answers(&archive);
    drop(archive);
    put(&old);
    assert!(same(dir.path(), &before, "an older copy").is_empty());

    Archive::open(dir.path()).unwrap().reindex().unwrap();
    let newest = Archive::open(dir.path()).unwrap().head().unwrap();
    let running = Archive::open(dir.path()).unwrap();
    let cut = fs::OpenOptions::new().write(true).open(&log).unwrap();
    cut.set_len(short.len() as u64).unwrap();
    // Whether a handle that stands open meets the shorter log first or one that is opened then, the loss is told.
    let check = |archive: &Archive| {
        assert_eq!(source(archive, "a.json", 1).unwrap(), b"{\"n\": 0}");
        assert!(archive.head().unwrap().seq < newest.seq);
        let report = verify(archive, &VerifyOptions::default()).unwrap();
        let told = report
            .findings
            .iter()
            .find(|f| f.kind == FindingKind::ShortenedHistory);
        let told = told.unwrap_or_else(|| panic!("{:?}", report.findings));
        assert!(
            told.message.contains(&newest.commit.to_string()),
            "{told:?}"
        );
    };
    check(&running);
    check(&Archive::open(dir.path()).unwrap());
    let again = Archive::open(dir.path()).unwrap();
    assert_eq!(
        verify(&again, &VerifyOptions::default())
            .unwrap()
            .findings
            .len(),
        1
    );
    again.reindex().unwrap();
    assert!(verify(&again, &VerifyOptions::default()).unwrap().ok);
}

#[test]
fn a_folder_that_cannot_be_written_is_read_all_the_same() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, before) = sample();
    let cache = tempfile::tempdir().unwrap();
    let folder = dir.path().join(".backstory");
    let place = OpenOptions {
        index: IndexPlace::BesideOr(cache.path().join("deep/down")),
        ..OpenOptions::default()
    };
    let mode = |mode| {
        for folder in [folder.clone(), folder.join("log")] {
            fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    remove_index(dir.path());
    mode(0o555);
    // Who may write everywhere sees no difference here.
    let everywhere = fs::write(folder.join("probe"), "").is_ok();
    for options in [OpenOptions::default(), place.clone(), place] {
        let archive = Archive::open_with(dir.path(), &options).unwrap();
        assert_eq!(answers(&archive), before);
    }
    if !everywhere {
        assert!(!index(dir.path()).exists());
        assert!(cache.path().join("deep/down").read_dir().unwrap().count() > 0);
    }
    mode(0o755);
    let elsewhere = OpenOptions {
        index: IndexPlace::At(cache.path().join("here.sqlite")),
        read_only: true,
        ..OpenOptions::default()
    };
    let archive = Archive::open_with(dir.path(), &elsewhere).unwrap();
    assert_eq!(answers(&archive), before);
    assert!(archive.delete(&["a.json"]).commit().is_err());
}

#[test]
fn a_wrong_column_never_gives_a_wrong_answer() {
    let (dir, before) = sample();
    let columns: &[(&str, &[&str])] = &[
        ("commits", &["segment", "offset", "before", "record_len"]),
        ("objects", &["seq", "ordinal", "offset", "len"]),
        ("paths", &["path", "key"]),
        (
            "versions",
            &[
                "path", "version", "seq", "change", "object", "source", "layout",
            ],
        ),
        ("tags", &["change"]),
    ];
    let archive = Archive::open(dir.path()).unwrap();
    let expected: Vec<_> = archive
        .list("")
        .unwrap()
        .into_iter()
        .map(|v| (v.path.clone(), v))
        .collect();
    drop(archive);
    // How many objects there are is counted and nowhere else to be seen.
    let mut wanted = before.clone();
    wanted.remove(1);
    let mut wrong = Vec::new();
    for (table, names) in columns {
        for name in *names {
            for (change, row) in [
                ("+ 1", 0),
                ("+ 1", 3),
                ("- 1", 7),
                ("+ 4096", 5),
                ("+ 1", 13),
            ] {
                let archive = Archive::open(dir.path()).unwrap();
                archive.reindex().unwrap();
                drop(archive);
                let sql = Connection::open(index(dir.path())).unwrap();
                let key = match *table {
                    "commits" => "seq",
                    "objects" => "seq, ordinal",
                    "paths" => "id",
                    "versions" => "seq, change",
                    _ => "name, seq",
                };
                let first = match *name {
                    "path" if *table == "paths" => "id",
                    "seq" if *table == "commits" => "seq",
                    _ => *name,
                };
                let value = if first == "id" {
                    "path || 'x'".to_owned()
                } else {
                    format!("{name} {change}")
                };
                let keys: Vec<&str> = key.split(", ").collect();
                let select =
                    format!("SELECT {key} FROM {table} ORDER BY {key} LIMIT 1 OFFSET {row}");
                let statement = format!(
                    "UPDATE {table} SET {name} = {value} WHERE ({}) = ({select})",
                    keys.join(", ")
                );
                // A change that the table itself refuses is none.
                if sql.execute(&statement, []).unwrap_or(0) == 0 {
                    continue;
                }
                drop(sql);
                let what = format!("{table}.{name} {change} in row {row}");
                let archive = Archive::open(dir.path()).unwrap();
                // Each question alone too: an answer to one may have mended the index for the next.
                for (path, newest) in &expected {
                    let archive = Archive::open(dir.path()).unwrap();
                    let found = archive.newest(path).unwrap().unwrap();
                    if found != *newest {
                        wrong.push(format!("{what}: newest of {path} is {}", found.version));
                    }
                }
                let mut found = answers(&archive);
                found.remove(1);
                if found != wanted {
                    wrong.push(what);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_segment_without_a_commit_is_no_loss() {
    let dir = tempfile::tempdir().unwrap();
    Archive::create(dir.path()).unwrap();
    fs::write(
        dir.path().join(".backstory/settings.json"),
        "{\"segment_bytes\": 1024}",
    )
    .unwrap();
    let archive = Archive::open(dir.path()).unwrap();
    let second = dir.path().join(".backstory/log/00000002.seg");
    let mut n = 0;
    while !second.exists() {
        n += 1;
        save(&archive, "a.json", &n.to_string());
        // Begins the new segment where one is due, and has nothing to write to it.
        save(&archive, "a.json", &n.to_string());
    }
    archive.reindex().unwrap();
    let before = answers(&archive);
    assert!(same(dir.path(), &before, "an empty segment").is_empty());
}

#[test]
fn a_wrong_mark_never_moves_the_end_of_the_log() {
    for change in [
        "end = end - 50",
        "end = end + 1",
        "end = 0",
        "synced_before = end",
        "recorded = 9000000000000000",
        "batch = batch + 1",
        "record_len = record_len - 1",
    ] {
        let (dir, before) = sample();
        Connection::open(index(dir.path()))
            .unwrap()
            .execute(&format!("UPDATE mark SET {change}"), [])
            .unwrap();
        let archive = Archive::open(dir.path()).unwrap();
        assert_eq!(answers(&archive), before, "{change}");
        save(&archive, "new.json", "1");
        drop(archive);
        remove_index(dir.path());
        let archive = Archive::open(dir.path()).unwrap();
        let report = verify(&archive, &VerifyOptions::default()).unwrap();
        assert!(report.ok, "{change}: {:?}", report.findings);
        assert!(archive.path_exists("new.json").unwrap(), "{change}");
        assert!(archive.newest("new.json").unwrap().unwrap().recorded < 9_000_000_000_000_000);
        assert!(!dir.path().join(".backstory/log/torn").exists(), "{change}");
    }
}

#[test]
fn a_save_that_meets_a_broken_index_builds_it_anew() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::create(dir.path()).unwrap();
    for n in 0..600 {
        save(&archive, &format!("p{}", n % 3), &n.to_string());
    }
    let file = dir.path().join(".backstory/index.sqlite");
    // As where another process has removed the file and begun a new one under an open handle.
    let broken = rusqlite::Connection::open(&file).unwrap();
    broken.execute_batch("DROP TABLE versions").unwrap();
    drop(broken);
    let saved = save(&archive, "p0", "\"after\"");
    assert_eq!(saved.version, 201);
    assert!(verify(&archive, &VerifyOptions::default()).unwrap().ok);
    assert_eq!(Archive::open(dir.path()).unwrap().head().unwrap().seq, 601);
}

#[test]
fn no_version_rests_on_what_a_wrong_index_takes_for_another() {
    let text = |n: u64| {
        let figures =
            (0..40).map(|m| (m + 100 * n * (m % 4)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40);
        format!("{:?}", figures.collect::<Vec<_>>())
    };
    let dir = tempfile::tempdir().unwrap();
    let archive = Archive::create(dir.path()).unwrap();
    // Both stand alone, and are read as well in the place of the other.
    let mut both = archive.save();
    both.add("x/one.json", Document::value(text(1))).unwrap();
    both.add("y/two.json", Document::value(text(2))).unwrap();
    both.commit().unwrap();
    archive.reindex().unwrap();
    drop(archive);
    let sql = Connection::open(index(dir.path())).unwrap();
    sql.execute_batch(
        "UPDATE objects SET ordinal = ordinal + 2;
         UPDATE objects SET ordinal = 3 - ordinal;",
    )
    .unwrap();
    drop(sql);
    let archive = Archive::open(dir.path()).unwrap();
    let next = [
        ("x/one.json", text(1)),
        ("x/three.json", text(2)),
        ("y/two.json", text(1)),
    ];
    for (path, text) in &next {
        save(&archive, path, &text.replace('[', "[0, "));
    }
    drop(archive);
    remove_index(dir.path());
    let archive = Archive::open(dir.path()).unwrap();
    for (path, text) in &next {
        let version = archive.resolve(path, &Spec::Latest).unwrap();
        let loaded = archive.load(&version).unwrap().source();
        assert_eq!(loaded, text.replace('[', "[0, ").as_bytes(), "{path}");
    }
    assert!(verify(&archive, &VerifyOptions::default()).unwrap().ok);
}
