//! Random sequences of operations, on disk and in memory, against a plain model.

#[path = "support/model.rs"]
mod model;
mod support;

use std::sync::Arc;

use backstory::canon::NanMode;
use backstory::storage::MemoryStorage;
use backstory::verify::{VerifyOptions, verify};
use backstory::{Archive, Change, Document, HistoryQuery, Note, ObjectId, Result, Spec};
use model::{Answer, Content, Model, ModelDocument, TagState, pretty};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Save {
        documents: Vec<(usize, Written)>,
        if_version: Option<u64>,
        if_absent: bool,
        ignore_format: bool,
    },
    Batch(Vec<(usize, Written, Option<u64>)>),
    Delete(usize),
    Undelete(usize),
    Rename(usize, usize),
    Tag(usize, usize, u64),
    TagArchive(usize, u64),
    TagDelete(usize),
    Rollback(usize, Option<u64>),
    Undo(Option<u64>),
    Redo,
    Reopen,
    LoseIndex,
    Reindex,
    OtherHandle,
}

/// A document: which number it holds, how it is laid out, and what is said of numbers that JSON lacks.
#[derive(Clone, Debug)]
struct Written {
    number: u8,
    layout: u8,
    say_nan: bool,
}

const PATHS: [&str; 4] = ["a.json", "a.json/b", "dir/c.json", "é/π.json"];
const TAGS: [&str; 2] = ["best", "v1.0"];

impl Written {
    fn is_nan(&self) -> bool {
        self.number == 0
    }

    fn text(&self) -> String {
        let n = if self.is_nan() {
            "NaN".to_owned()
        } else {
            self.number.to_string()
        };
        match self.layout {
            0 if !self.is_nan() => format!("{{\"a\":[1,2],\"b\":{n}}}"),
            1 | 2 => format!("{{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {n}\n}}\n"),
            3 => format!("{{ \"b\": {n}, \"a\": [1, 2] }}\n"),
            _ => format!("{{\"b\":{n}.0,\"a\":[1,2e0]}}").replace("NaN.0", "NaN"),
        }
    }

    fn document(&self) -> Document {
        let document = match self.layout {
            2 => Document::value(self.text()),
            _ => Document::source(self.text()),
        };
        match self.say_nan {
            true => document.nan(NanMode::Tag),
            false => document,
        }
    }

    fn model(&self, path: usize) -> ModelDocument {
        let b = match self.is_nan() {
            true => "{\"$number\":\"NaN\"}".to_owned(),
            false => self.number.to_string(),
        };
        ModelDocument {
            path: PATHS[path].to_owned(),
            content: Content {
                canonical: format!("{{\"a\":[1,2],\"b\":{b}}}"),
                source: (self.layout != 2).then(|| self.text()),
                nan: self.is_nan(),
            },
            undecided: self.is_nan() && !self.say_nan,
        }
    }
}

fn written() -> impl Strategy<Value = Written> {
    (0..5u8, 0..5u8, prop::bool::weighted(0.7)).prop_map(|(number, layout, say_nan)| Written {
        number,
        layout,
        say_nan,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let path = || 0..PATHS.len();
    let rare = |range: std::ops::Range<u64>| prop::option::weighted(0.15, range);
    prop_oneof![
        8 => (
            prop::collection::btree_map(path(), written(), 1..4),
            rare(0..4), prop::bool::weighted(0.1), prop::bool::weighted(0.2),
        ).prop_map(|(documents, if_version, if_absent, ignore_format)| Step::Save {
            documents: documents.into_iter().rev().collect(), if_version, if_absent, ignore_format,
        }),
        2 => prop::collection::vec((path(), written(), rare(0..4)), 1..5).prop_map(Step::Batch),
        2 => path().prop_map(Step::Delete),
        1 => path().prop_map(Step::Undelete),
        2 => (path(), path()).prop_map(|(old, new)| Step::Rename(old, new)),
        2 => (0..2usize, path(), 0..5u64).prop_map(|(tag, path, version)| Step::Tag(tag, path, version)),
        1 => (0..2usize, 0..12u64).prop_map(|(tag, seq)| Step::TagArchive(tag, seq)),
        1 => (0..2usize).prop_map(Step::TagDelete),
        3 => (path(), prop::option::of(0..5u64)).prop_map(|(path, to)| Step::Rollback(path, to)),
        3 => rare(1..12).prop_map(Step::Undo),
        2 => Just(Step::Redo),
        1 => Just(Step::Reopen),
        1 => Just(Step::LoseIndex),
        1 => Just(Step::Reindex),
        2 => Just(Step::OtherHandle),
    ]
}

enum Home {
    Disk(tempfile::TempDir),
    Memory(Arc<MemoryStorage>),
}

impl Home {
    fn open(&self) -> Archive {
        match self {
            Home::Disk(dir) => Archive::open(dir.path()).unwrap(),
            Home::Memory(storage) => Archive::open_on(storage.clone()).unwrap(),
        }
    }
}

fn changes(result: Result<Vec<Change>>) -> Answer {
    let changes = result.map_err(|error| error.kind())?;
    Ok(changes
        .into_iter()
        .map(|change| (change.path, change.version, change.status))
        .collect())
}

fn note(model: &mut Model) -> Note {
    // Claimed times go back and forth.
    model.time = (model.commits.len() as i64 * 7919) % 101;
    Note {
        time: Some(model.time),
        ..Note::default()
    }
}

/// Does a step to both, and compares what they say.
fn take(step: &Step, archive: &Archive, model: &mut Model) {
    let note = note(model);
    let (found, wanted) = match step {
        Step::Save {
            documents,
            if_version,
            if_absent,
            ignore_format,
        } => {
            let models: Vec<_> = documents
                .iter()
                .map(|(path, written)| written.model(*path))
                .collect();
            let wanted = model.save(&models, *if_version, *if_absent, *ignore_format);
            let run = || {
                let mut save = archive.save();
                for (path, written) in documents {
                    save.add(PATHS[*path], written.document())?;
                }
                save.note(note).ignore_format(*ignore_format);
                if let Some(version) = if_version {
                    save.if_version(*version);
                }
                if *if_absent {
                    save.if_absent();
                }
                save.commit()
            };
            (changes(run()), wanted)
        }
        Step::Batch(saves) => {
            // What is to be done with NaN is settled when a document is added, before any of the batch is there.
            let undecided = |model: &Model, path: usize, written: &Written| {
                let document = written.model(path);
                document.undecided
                    && !model
                        .content(&document.path)
                        .is_some_and(|content| content.nan)
            };
            if saves
                .iter()
                .any(|(path, written, _)| undecided(model, *path, written))
            {
                return;
            }
            let mut after = model.clone();
            let mut wanted = Ok(Vec::new());
            for (path, written, if_version) in saves {
                let mut document = written.model(*path);
                document.undecided = false;
                match (
                    after.save(&[document], *if_version, false, false),
                    &mut wanted,
                ) {
                    (Ok(answers), Ok(all)) => all.extend(answers),
                    (Err(kind), _) => {
                        wanted = Err(kind);
                        break;
                    }
                    _ => {}
                }
            }
            if wanted.is_ok() {
                *model = after;
            }
            let mut batch = archive.batch();
            for (path, written, if_version) in saves {
                let mut save = archive.save();
                save.add(PATHS[*path], written.document()).unwrap();
                save.note(note.clone());
                if let Some(version) = if_version {
                    save.if_version(*version);
                }
                batch.push(save);
            }
            (
                changes(
                    batch
                        .commit()
                        .map(|all| all.into_iter().flatten().collect()),
                ),
                wanted,
            )
        }
        Step::Delete(path) => {
            let mut edit = archive.delete(&[PATHS[*path]]);
            edit.note(note);
            (changes(edit.commit()), model.delete(PATHS[*path]))
        }
        Step::Undelete(path) => {
            let mut edit = archive.undelete(&[PATHS[*path]]);
            edit.note(note);
            (changes(edit.commit()), model.undelete(PATHS[*path]))
        }
        Step::Rename(old, new) => {
            let mut edit = archive.rename(PATHS[*old], PATHS[*new]);
            edit.note(note);
            (
                changes(edit.commit()),
                model.rename(PATHS[*old], PATHS[*new]),
            )
        }
        Step::Tag(tag, path, version) => {
            let wanted = model.tag(
                TAGS[*tag],
                TagState::Version(PATHS[*path].to_owned(), *version),
            );
            let run = || {
                let version = archive.resolve(PATHS[*path], &Spec::Number(*version))?;
                let mut edit = archive.tag_version(TAGS[*tag], &version);
                edit.note(note);
                edit.commit()
            };
            (changes(run()), wanted)
        }
        Step::TagArchive(tag, seq) => {
            let mut edit = archive.tag_archive(TAGS[*tag], *seq);
            edit.note(note);
            (
                changes(edit.commit()),
                model.tag(TAGS[*tag], TagState::Archive(*seq)),
            )
        }
        Step::TagDelete(tag) => {
            let mut edit = archive.delete_tag(TAGS[*tag]);
            edit.note(note);
            (
                changes(edit.commit()),
                model.tag(TAGS[*tag], TagState::Removed),
            )
        }
        Step::Rollback(path, to) => {
            let run = || {
                let mut rollback = archive.rollback();
                rollback.path(PATHS[*path], to.map(Spec::Number))?;
                rollback.note(note);
                rollback.commit().map(|restored| restored.changes)
            };
            (changes(run()), model.rollback(PATHS[*path], *to))
        }
        Step::Undo(_) | Step::Redo => {
            let redo = matches!(step, Step::Redo);
            let target = match step {
                Step::Undo(Some(seq)) => (*seq <= model.commits.len() as u64).then_some(*seq),
                Step::Undo(None) => model.undo_target(),
                _ => model.redo_target(),
            };
            let wanted = match target {
                Some(seq) => model.take_back(seq, redo),
                None => Err(backstory::ErrorKind::NotFound),
            };
            let run = || {
                let mut undo = match step {
                    Step::Undo(Some(seq)) => archive.undo(archive.find_commit(&seq.to_string())?),
                    Step::Undo(None) => archive.undo(archive.undo_target()?),
                    _ => archive.redo()?,
                };
                assert_eq!(Some(undo.view().seq), target);
                undo.note(note);
                undo.commit().map(|restored| restored.changes)
            };
            (changes(run()), wanted)
        }
        Step::Reindex => {
            assert_eq!(archive.reindex().unwrap(), model.commits.len() as u64);
            return;
        }
        Step::Reopen | Step::LoseIndex | Step::OtherHandle => return,
    };
    assert_eq!(found, wanted, "{step:?}");
}

fn compare(archive: &Archive, model: &Model) {
    let mut versions = 0;
    let mut bytes = 0;
    for (path, wanted) in &model.paths {
        let query = HistoryQuery {
            path: Some(path.clone()),
            ..HistoryQuery::default()
        };
        let history: Vec<_> = archive
            .history(query)
            .unwrap()
            .map(|v| v.unwrap())
            .collect();
        assert_eq!(history.len(), wanted.len(), "{path}");
        for (number, (found, wanted)) in (1..).zip(history.iter().rev().zip(wanted)) {
            versions += 1;
            assert_eq!(
                (found.version, found.op, found.seq),
                (number, wanted.op, wanted.seq)
            );
            assert_eq!(
                (found.of, &found.other, found.time),
                (wanted.of, &wanted.other, wanted.time)
            );
            assert_eq!(
                archive.resolve(path, &Spec::Number(number)).unwrap(),
                *found
            );
            let back = history.len() as u64 - number;
            assert_eq!(archive.resolve(path, &Spec::Back(back)).unwrap(), *found);
            let Some(content) = &wanted.content else {
                assert!(found.is_deleted() && archive.load(found).unwrap_err().is_not_found());
                continue;
            };
            bytes += content.canonical.len() as u64;
            let loaded = archive.load(found).unwrap();
            assert_eq!(loaded.canonical(), content.canonical.as_bytes());
            let source = content.source.clone().unwrap_or_else(|| pretty(content));
            assert_eq!(String::from_utf8(loaded.source()).unwrap(), source);
            assert_eq!(found.nan, content.nan);
            let id = ObjectId::of(content.canonical.as_bytes());
            assert_eq!(found.id, Some(id));
            let by_id = archive.resolve(path, &Spec::ObjectPrefix(id.to_string()[..12].to_owned()));
            let last = (1..).zip(&model.paths[path]).filter(|(_, v)| {
                v.content
                    .as_ref()
                    .is_some_and(|c| c.canonical == content.canonical)
            });
            assert_eq!(by_id.unwrap().version, last.last().unwrap().0);
        }
        for time in [-1, 0, 13, 50, 100] {
            let wanted = (1..)
                .zip(wanted)
                .filter(|(_, v)| v.time <= time)
                .last()
                .map(|(number, _)| number);
            assert_eq!(
                archive
                    .resolve(path, &Spec::Time(time))
                    .ok()
                    .map(|v| v.version),
                wanted
            );
        }
        for tag in TAGS {
            let found = archive
                .resolve(path, &Spec::Tag(tag.to_owned()))
                .ok()
                .map(|v| v.version);
            let state = model.tag_as_of(tag, u64::MAX);
            let wanted = match state {
                Some(TagState::Version(of, version)) => (of == path).then_some(*version),
                Some(TagState::Archive(seq)) => (1..)
                    .zip(wanted)
                    .filter(|(_, v)| v.seq <= *seq)
                    .last()
                    .map(|(number, _)| number),
                Some(TagState::Removed) | None => None,
            };
            assert_eq!(found, wanted, "{path}@{tag}");
        }
    }
    let listed: Vec<_> = archive
        .list("")
        .unwrap()
        .into_iter()
        .map(|v| (v.path, v.version))
        .collect();
    let wanted: Vec<_> = model
        .paths
        .iter()
        .map(|(path, v)| (path.clone(), v.len() as u64))
        .collect();
    assert_eq!(listed, wanted);
    let below: Vec<_> = archive
        .list("a.json")
        .unwrap()
        .into_iter()
        .map(|v| v.path)
        .collect();
    let wanted: Vec<_> = model
        .paths
        .keys()
        .filter(|path| path.starts_with("a.json"))
        .cloned()
        .collect();
    assert_eq!(below, wanted);
    let tags: Vec<_> = archive
        .tags()
        .unwrap()
        .into_iter()
        .map(|tag| (tag.name, tag.path, tag.version))
        .collect();
    let live = |name: &&String| {
        !matches!(
            model.tag_as_of(name, u64::MAX),
            None | Some(TagState::Removed)
        )
    };
    let wanted = model
        .tags
        .keys()
        .filter(live)
        .map(|name| match model.tag_as_of(name, u64::MAX) {
            Some(TagState::Version(path, version)) => {
                (name.clone(), Some(path.clone()), Some(*version))
            }
            _ => (name.clone(), None, None),
        });
    assert_eq!(tags, wanted.collect::<Vec<_>>());
    for number in 0..5 {
        let written = Written {
            number,
            layout: 3,
            say_nan: true,
        };
        let content = written.model(0).content;
        let mut wanted: Vec<_> = Vec::new();
        for (path, versions) in &model.paths {
            for (number, version) in (1u64..).zip(versions) {
                if let Some(held) = version
                    .content
                    .as_ref()
                    .filter(|held| held.canonical == content.canonical)
                {
                    wanted.push((
                        version.seq,
                        path.clone(),
                        number,
                        held.source == content.source,
                    ));
                }
            }
        }
        wanted.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let found = archive.identify(written.text().as_bytes()).unwrap();
        let found: Vec<_> = found
            .into_iter()
            .map(|found| {
                (
                    found.version.seq,
                    found.version.path,
                    found.version.version,
                    found.same_bytes,
                )
            })
            .collect();
        assert_eq!(found, wanted);
    }
    let all: Vec<_> = archive
        .history(HistoryQuery::default())
        .unwrap()
        .map(|v| v.unwrap().seq)
        .collect();
    assert_eq!(all.len(), versions);
    assert!(all.is_sorted_by(|newer, older| newer >= older));
    let stats = archive.stats().unwrap();
    assert_eq!(
        (stats.paths, stats.versions),
        (model.paths.len() as u64, versions as u64)
    );
    assert_eq!(
        (stats.commits, stats.document_bytes),
        (model.commits.len() as u64, bytes)
    );
    assert_eq!(stats.objects, model.objects.len() as u64);
    let head = archive.head().unwrap();
    assert_eq!(head.seq, model.commits.len() as u64);
    let options = VerifyOptions {
        head: Some(head.commit),
        ..VerifyOptions::default()
    };
    let report = verify(archive, &options).unwrap();
    assert!(report.ok, "{:?}", report.findings);
    assert_eq!(
        (report.commits, report.objects, report.head),
        (stats.commits, stats.objects, head.commit)
    );
}

fn run(home: &Home, steps: &[Step]) {
    let mut model = Model::default();
    let mut handles = [home.open(), home.open()];
    let mut heads = Vec::new();
    for step in steps {
        match (step, home) {
            (Step::OtherHandle, _) => handles.swap(0, 1),
            (Step::Reopen, _) => handles[0] = home.open(),
            (Step::LoseIndex, Home::Disk(dir)) => {
                for end in ["", "-wal", "-shm"] {
                    let _ = std::fs::remove_file(
                        dir.path().join(format!(".backstory/index.sqlite{end}")),
                    );
                }
                handles[1] = home.open();
            }
            _ => take(step, &handles[0], &mut model),
        }
        heads.push(handles[0].head().unwrap());
    }
    for handle in [&handles[0], &handles[1], &home.open()] {
        compare(handle, &model);
        // The chain is what each handle said it was all the way.
        for head in heads.iter().filter(|head| head.seq > 0) {
            assert_eq!(
                handle.find_commit(&head.commit.to_string()).unwrap().seq,
                head.seq
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn on_disk(steps in prop::collection::vec(step(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        Archive::create(dir.path()).unwrap();
        if steps.len() % 2 == 0 {
            std::fs::write(dir.path().join(".backstory/settings.json"), "{\"segment_bytes\": 1024}").unwrap();
        }
        run(&Home::Disk(dir), &steps);
    }

    #[test]
    fn in_memory(steps in prop::collection::vec(step(), 1..60)) {
        let storage = Arc::new(MemoryStorage::new());
        Archive::create_on(storage.clone()).unwrap();
        run(&Home::Memory(storage), &steps);
    }
}
