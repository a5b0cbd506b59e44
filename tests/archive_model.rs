//! Random sequences of operations, on disk and in memory, against a plain model.

#[path = "support/compare.rs"]
mod compare;
#[path = "support/model.rs"]
mod model;

use std::sync::Arc;

use backstory::storage::MemoryStorage;
use backstory::{Archive, Change, CompactOptions, Note, Result, Spec};
use compare::{PATHS, TAGS, Written, compare};
use model::{Answer, Model, TagState};
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
    Compact,
    OtherHandle,
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
        1 => Just(Step::Compact),
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
        Step::Compact => {
            archive.compact(&CompactOptions::default()).unwrap();
            return;
        }
        Step::Reopen | Step::LoseIndex | Step::OtherHandle => return,
    };
    assert_eq!(found, wanted, "{step:?}");
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
