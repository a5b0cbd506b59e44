//! A history that is taken out as JSON lines, or brought over from an archive, is the same history: against whatever was
//! done to the archive, whole or in pieces, once or twice.

use backstory::export::{Export, Jsonl};
use backstory::import::{ArchiveImport, Imported, JsonlImport, Told};
use backstory::verify::{VerifyOptions, verify};
use backstory::{Archive, Document, HistoryQuery, Note, Spec, Version};
use proptest::prelude::*;

/// Something done to an archive; where it cannot be done nothing happens.
#[derive(Clone, Debug)]
enum Step {
    /// Documents under some of the paths, in one commit.
    Save(Vec<(usize, usize)>, i64),
    Delete(usize),
    Rename(usize, usize),
    Rollback(usize, u64),
    Undelete(usize),
    Undo,
    Redo,
    Tag(usize),
}

const PATHS: [&str; 5] = ["a.json", "a", "b/c.json", "b/d \"é\".json", "z"];

/// Texts: canonical, pretty, laid out in other ways, with numbers that JSON does not have, one without a layout.
fn document(kind: usize) -> Document {
    match kind {
        0 => Document::source("{\"a\":1,\"b\":[2,3]}"),
        1 => Document::source("{\n  \"a\": 1,\n  \"b\": [\n    2,\n    3\n  ]\n}\n"),
        2 => Document::source("{ \"b\" : [2,\t3], \"a\":1.0 }"),
        3 => Document::value("{\"a\":1,\"b\":[2,3]}"),
        4 => Document::source("{\"x\": NaN, \"y\": [-Infinity]}\n")
            .nan(backstory::canon::NanMode::Tag),
        5 => Document::source("[9007199254740993, 1e400, \"\\u00e9\\u0000\"]").file(),
        6 => Document::source("{\"$number\": \"NaN\"}"),
        _ => Document::value("null"),
    }
}

fn step() -> impl Strategy<Value = Step> {
    let path = 0..PATHS.len();
    prop_oneof![
        6 => (prop::collection::vec((path.clone(), 0..8_usize), 1..4), -5_i64..5)
            .prop_map(|(documents, time)| Step::Save(documents, time)),
        1 => path.clone().prop_map(Step::Delete),
        2 => (path.clone(), path.clone()).prop_map(|(old, new)| Step::Rename(old, new)),
        2 => (path.clone(), 1_u64..6).prop_map(|(path, to)| Step::Rollback(path, to)),
        1 => path.clone().prop_map(Step::Undelete),
        1 => Just(Step::Undo),
        1 => Just(Step::Redo),
        1 => path.prop_map(Step::Tag),
    ]
}

/// Does it, where it can be done.
fn apply(archive: &Archive, step: &Step, number: usize) {
    let note = |time: Option<i64>| {
        let mut note = Note {
            message: (!number.is_multiple_of(3)).then(|| format!("step {number}\nand more")),
            author: (!number.is_multiple_of(4)).then(|| "ops <ops@example.org>".to_owned()),
            time,
            ..Note::default()
        };
        if number.is_multiple_of(2) {
            note.meta
                .insert("run".to_owned(), serde_json::json!({"n": number}));
        }
        note
    };
    // What cannot be done is no part of the history.
    match step {
        Step::Save(documents, time) => {
            let mut save = archive.save();
            for (path, kind) in documents {
                let _ = save.add(PATHS[*path], document(*kind));
            }
            // Times that go back, and that are the same as others.
            save.note(note(Some(time * 1_000_000)));
            let _ = save.commit();
        }
        Step::Delete(path) => {
            let mut edit = archive.delete(&[PATHS[*path]]);
            edit.note(note(None));
            let _ = edit.commit();
        }
        Step::Rename(old, new) => {
            let _ = archive.rename(PATHS[*old], PATHS[*new]).commit();
        }
        Step::Rollback(path, to) => {
            let mut rollback = archive.rollback();
            if rollback.path(PATHS[*path], Some(Spec::Number(*to))).is_ok() {
                let _ = rollback.commit();
            }
        }
        Step::Undelete(path) => drop(archive.undelete(&[PATHS[*path]]).commit()),
        Step::Undo => drop(
            archive
                .undo_target()
                .map(|commit| archive.undo(commit).commit()),
        ),
        Step::Redo => drop(archive.redo().map(|redo| redo.commit())),
        Step::Tag(path) => {
            if let Ok(Some(newest)) = archive.newest(PATHS[*path]) {
                drop(archive.tag_version(&format!("t{number}"), &newest).commit());
            }
        }
    }
}

/// All that a copy keeps of each version, newest first; paths without the folder they are under.
fn versions(archive: &Archive, under: &str) -> Vec<String> {
    let history = archive.history(HistoryQuery::default()).unwrap();
    let shown = |version: Version| {
        let source = match version.is_deleted() {
            true => None,
            false => Some(String::from_utf8(archive.load(&version).unwrap().source()).unwrap()),
        };
        let path = version.path.strip_prefix(under).unwrap();
        format!(
            "{path}@{} {:?} {} {:?} {:?} {:?} {} {} {source:?}",
            version.version,
            version.id,
            version.time,
            version.author,
            version.message,
            version.meta,
            version.file,
            version.nan
        )
    };
    history.map(|version| shown(version.unwrap())).collect()
}

fn lines(archive: &Archive) -> Vec<u8> {
    let mut lines = Vec::new();
    let options = Jsonl {
        source: true,
        ..Jsonl::default()
    };
    Export::new(archive)
        .jsonl(&options, &mut lines, &mut |told| {
            assert!(
                matches!(told, backstory::export::Told::Written(_)),
                "{told:?}"
            );
        })
        .unwrap();
    lines
}

fn import(archive: &Archive, mut lines: &[u8]) -> Imported {
    let import = JsonlImport::default();
    import
        .run(archive, &mut lines, &mut |told| {
            assert!(matches!(told, Told::Imported(_)), "{told:?}");
        })
        .unwrap()
}

fn import_archive(archive: &Archive, source: &Archive, under: &str) -> Imported {
    let import = ArchiveImport {
        under: under.to_owned(),
    };
    import
        .run(archive, source, &mut |told| {
            assert!(matches!(told, Told::Imported(_)), "{told:?}");
        })
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_copy_is_the_same_history(steps in prop::collection::vec(step(), 1..24), cut in 0.0..1.0_f64) {
        let archive = Archive::in_memory().unwrap();
        let first = (steps.len() as f64 * cut) as usize;
        let (by_lines, by_archive) = (Archive::in_memory().unwrap(), Archive::in_memory().unwrap());
        for (number, step) in steps.iter().enumerate() {
            if number == first {
                // A part of it is brought over, and the rest later.
                import(&by_lines, &lines(&archive));
                import_archive(&by_archive, &archive, "in/jobs");
            }
            apply(&archive, step, number);
        }
        let all = lines(&archive);
        let expected = versions(&archive, "");
        import(&by_lines, &all);
        prop_assert_eq!(&versions(&by_lines, ""), &expected);
        import_archive(&by_archive, &archive, "in/jobs");
        prop_assert_eq!(&versions(&by_archive, "in/jobs/"), &expected);
        // Once more adds nothing.
        let again = import(&by_lines, &all);
        prop_assert_eq!((again.versions, again.already), (0, expected.len() as u64));
        prop_assert_eq!(import_archive(&by_archive, &archive, "in/jobs").versions, 0);
        prop_assert_eq!(&versions(&by_lines, ""), &expected);
        // What a version comes from can be told.
        for version in by_archive.history(HistoryQuery::default()).unwrap() {
            let origin = version.unwrap().origin.unwrap();
            prop_assert_eq!(origin.archive, archive.id());
            let commit = archive.find_commit(&origin.commit.to_string()).unwrap();
            prop_assert_eq!(origin.recorded, commit.recorded);
        }
        prop_assert!(verify(&by_lines, &VerifyOptions::default()).unwrap().ok);
    }

    #[test]
    fn lines_in_another_order_are_known_too(steps in prop::collection::vec(step(), 1..16), seed in any::<u64>()) {
        let archive = Archive::in_memory().unwrap();
        for (number, step) in steps.iter().enumerate() {
            apply(&archive, step, number);
        }
        let all = lines(&archive);
        let copy = Archive::in_memory().unwrap();
        let count = import(&copy, &all).versions;
        let mut shuffled: Vec<&[u8]> = all.split_inclusive(|byte| *byte == b'\n').collect();
        shuffled.sort_by_key(|line| blake3::keyed_hash(&[seed as u8; 32], line).as_bytes().to_vec());
        let again = import(&copy, &shuffled.concat());
        prop_assert_eq!((again.versions, again.already), (0, count));
    }
}

/// Lines as `export` writes them, with some bytes changed, cut or put twice.
fn spoiled() -> impl Strategy<Value = Vec<u8>> {
    let line = concat!(
        r#"{"path":"a","version":1,"op":"rename","time":"2026-11-01T10:00:00Z","recorded":"2026-11-01T10:00:00Z","#,
        r#""author":"ops","message":"m","meta":{"git":{"commit":"x"}},"other":"b","file":true,"nan":false,"#,
        r#""form":"pretty","document":{"n":[1,2.50,"é"]}}"#,
        "\n",
        r#"{"path":"b","time":"2026-11-01","deleted":true}"#,
        "\n",
        r#"{"path":"c","time":"2026-11-01","source":"[ 1 ]","form":"own"}"#,
        "\n"
    );
    let edit = (any::<prop::sample::Index>(), any::<u8>(), 0..4_u8);
    prop::collection::vec(edit, 0..6).prop_map(move |edits| {
        let mut bytes = line.as_bytes().to_vec();
        for (at, byte, kind) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => drop(bytes.remove(at)),
                2 => bytes.truncate(at),
                _ => bytes.insert(at, bytes[at]),
            }
        }
        bytes
    })
}

proptest! {
    #[test]
    fn whatever_the_lines_are_the_archive_stays_sound(bytes in spoiled()) {
        let archive = Archive::in_memory().unwrap();
        let mut left_out = 0;
        let import = JsonlImport { under: "in".to_owned() };
        let imported = import
            .run(&archive, &mut bytes.as_slice(), &mut |told| {
                left_out += u64::from(matches!(told, Told::LeftOut { .. }));
            })
            .unwrap();
        prop_assert_eq!(imported.left_out, left_out);
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        prop_assert!(imported.versions + imported.left_out <= 2 * lines.count() as u64);
        prop_assert!(archive.list("").unwrap().iter().all(|version| version.path.starts_with("in/")));
        prop_assert!(verify(&archive, &VerifyOptions::default()).unwrap().ok);
    }
}

#[test]
fn a_copy_that_went_its_own_way_brings_what_is_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    std::fs::create_dir_all(&a).unwrap();
    let save = |archive: &Archive, path: &str, text: &str| {
        let mut save = archive.save();
        save.add(path, Document::source(text)).unwrap();
        save.commit().unwrap();
    };
    let one = Archive::create(&a).unwrap();
    for n in 0..20 {
        save(&one, "a.json", &format!("{n}"));
    }
    drop(one);
    std::fs::create_dir_all(b.join(".backstory/log")).unwrap();
    for name in ["archive.json", "log/MANIFEST"] {
        std::fs::copy(
            a.join(".backstory").join(name),
            b.join(".backstory").join(name),
        )
        .unwrap();
    }
    for entry in std::fs::read_dir(a.join(".backstory/log")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(
                entry.path(),
                b.join(".backstory/log").join(entry.file_name()),
            )
            .unwrap();
        }
    }
    let (one, other) = (Archive::open(&a).unwrap(), Archive::open(&b).unwrap());
    assert_eq!(import_archive(&one, &other, "").versions, 0);
    save(&one, "a.json", "\"here\"");
    save(&other, "a.json", "\"there\"");
    save(&other, "b.json", "\"there\"");
    assert_eq!(import_archive(&one, &other, "").versions, 2);
    assert_eq!(import_archive(&one, &other, "").versions, 0);
    let newest = one.newest("a.json").unwrap().unwrap();
    assert_eq!(
        (newest.version, one.load(&newest).unwrap().source()),
        (22, b"\"there\"".to_vec())
    );
    save(&other, "b.json", "2");
    assert_eq!(import_archive(&one, &other, "").versions, 1);
    // Under a folder there is nothing in common.
    assert_eq!(import_archive(&one, &other, "copy").versions, 23);
    assert_eq!(import_archive(&one, &other, "copy").versions, 0);
}
