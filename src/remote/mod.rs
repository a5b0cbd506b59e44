//! Copies of an archive in other folders, and bundles: what one copy lacks is brought from another.
//!
//! A copy has the same archive id and a prefix of the same history, commit for commit: ids, times and numbers are the
//! same on both sides. Only commits that are missing travel. Each is checked on its way: its checksums, its place in the
//! chain of ids, and the hash of every object that it brings. They go in through the other log's own writer, in order,
//! so that whatever ends a transfer leaves a shorter history that is whole, and the next one goes on there.
//!
//! Nothing is ever merged: where each side has commits that the other lacks, both heads are told and nothing is done.

mod bundle;
mod compare;
mod send;

use std::path::Path;
use std::sync::Arc;

pub use bundle::{Bundle, apply_bundle, clone_bundle, write_bundle};
pub use compare::{Standing, compare};

use crate::archive::{Archive, Head, OpenOptions};
use crate::error::{Error, Result};
use crate::log::format::{ARCHIVE_FOLDER, IDENTITY_FILE};
use crate::storage::Storage;
use crate::verify::{Report, VerifyOptions, verify};
use send::send;

/// How to bring commits from one copy to another.
#[derive(Clone, Default)]
pub struct TransferOptions<'a> {
    /// How to open the other copy.
    pub open: OpenOptions,
    /// Is told from time to time how many commits the copy has, and how many it will have.
    pub progress: Option<&'a dyn Fn(u64, u64)>,
    /// Is told what happened to the other copy that a person may want to know, a line each.
    pub notice: Option<&'a dyn Fn(&str)>,
}

/// What a transfer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transferred {
    /// The copy was made.
    pub made: bool,
    /// Commits that travelled.
    pub commits: u64,
    /// Bytes that were written to the copy's log.
    pub bytes: u64,
    /// The newest commit of the copy now.
    pub head: Head,
    /// Commits that the copy has and where they came from lacks: then none travelled.
    pub ahead: u64,
}

/// What comparing a copy showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// What the copy is to the archive.
    pub standing: Standing,
    /// The newest commit of the archive.
    pub head: Head,
    /// The newest commit of the copy.
    pub copy: Head,
    /// What reading the whole copy found.
    pub report: Report,
}

impl Checked {
    /// Is the copy whole, and has it the same newest commit?
    pub fn is_equal(&self) -> bool {
        self.standing == Standing::Same && self.report.ok
    }
}

/// Brings what the copy in `dir` lacks, and makes the copy where there is none. `dir` is the folder that holds, or will
/// hold, `.backstory`.
///
/// # Errors
/// `Conflict` where the copy has commits that the archive lacks, or is another archive; `Corrupt` where either is damaged
/// in what was read; `Busy`; `Io`. What was brought by then stays, and the next push goes on behind it.
pub fn push(
    archive: &Archive,
    dir: impl AsRef<Path>,
    options: &TransferOptions<'_>,
) -> Result<Transferred> {
    let dir = dir.as_ref();
    let (copy, made) = match Archive::open_with(dir, &options.open) {
        Err(Error::NoArchive(_)) => {
            let made = match Archive::create_copy(dir, archive.engine.reader.identity()) {
                Ok(()) => true,
                Err(Error::AlreadyExists(_)) => false,
                Err(error) => return Err(error),
            };
            let copy = Archive::open_with(dir, &options.open);
            (
                copy.map_err(|error| located(&name_of_folder(dir), error))?,
                made,
            )
        }
        opened => (
            opened.map_err(|error| located(&name_of_folder(dir), error))?,
            false,
        ),
    };
    let done = transfer(archive, &copy, options);
    pass_on_notices(&copy, options);
    let done = done?;
    if done.ahead > 0 {
        return Err(compare::ahead(archive, &copy, done.ahead));
    }
    Ok(Transferred { made, ..done })
}

/// Brings to the archive what it lacks of the copy in `dir`. Where it lacks nothing, nothing is done.
///
/// # Errors
/// As [`push`], but `NoArchive` where there is none in `dir`.
pub fn pull(
    archive: &Archive,
    dir: impl AsRef<Path>,
    options: &TransferOptions<'_>,
) -> Result<Transferred> {
    let source = open_source(dir.as_ref(), options)?;
    let done = transfer(&source, archive, options);
    pass_on_notices(&source, options);
    done
}

/// Makes a copy in `dir` of the archive in `source`, or goes on with one whose making was interrupted.
///
/// # Errors
/// As [`push`], but `NoArchive` where there is none in `source`.
pub fn clone_archive(
    source: impl AsRef<Path>,
    dir: impl AsRef<Path>,
    options: &TransferOptions<'_>,
) -> Result<Transferred> {
    let source = open_source(source.as_ref(), options)?;
    let done = push(&source, dir, options);
    pass_on_notices(&source, options);
    done
}

fn pass_on_notices(other: &Archive, options: &TransferOptions<'_>) {
    for text in other.take_notices() {
        if let Some(notice) = options.notice {
            notice(&format!("{}: {text}", name_of(other)));
        }
    }
}

fn open_source(dir: &Path, options: &TransferOptions<'_>) -> Result<Archive> {
    let open = OpenOptions {
        read_only: true,
        ..options.open.clone()
    };
    Archive::open_with(dir, &open).map_err(|error| located(&name_of_folder(dir), error))
}

/// Compares the copy in `dir` with the archive, and reads every record and checks every hash of it. Nothing is written.
///
/// # Errors
/// `NoArchive` where there is no copy; `Conflict` where there is another archive; as [`verify`].
pub fn check(
    archive: &Archive,
    dir: impl AsRef<Path>,
    options: &TransferOptions<'_>,
) -> Result<Checked> {
    let copy = open_source(dir.as_ref(), options)?;
    let name = name_of(&copy);
    check_same_archive(archive, &copy)?;
    let head = archive.head()?;
    let standing = compare(archive, &copy)?;
    let check = VerifyOptions {
        progress: options.progress,
        ..VerifyOptions::default()
    };
    let report = verify(&copy, &check);
    pass_on_notices(&copy, options);
    let report = report.map_err(|error| located(&name, error))?;
    Ok(Checked {
        standing,
        head,
        copy: copy.head().map_err(|error| located(&name, error))?,
        report,
    })
}

/// Brings to `copy` what it lacks of `source`.
///
/// # Errors
/// As [`push`], but that a copy which is ahead is no error.
pub fn transfer(
    source: &Archive,
    copy: &Archive,
    options: &TransferOptions<'_>,
) -> Result<Transferred> {
    check_same_archive(source, copy)?;
    let here = name_of(copy);
    let failed = |error| located(&here, error);
    let mut receiver = copy.engine.receive().map_err(failed)?;
    let before = receiver.head().seq;
    let head = Head {
        seq: before,
        commit: receiver.head().commit,
    };
    let done = Transferred {
        made: false,
        commits: 0,
        bytes: 0,
        head,
        ahead: 0,
    };
    match compare(source, copy)? {
        Standing::Same => {
            receiver.finish().map_err(failed)?;
            return Ok(done);
        }
        Standing::Ahead { commits } => {
            return Ok(Transferred {
                ahead: commits,
                ..done
            });
        }
        Standing::Diverged { common } => return Err(compare::diverged(source, copy, common)),
        Standing::Behind { .. } => {}
    }
    let up_to = source.head()?.seq;
    send(source, up_to, &here, &mut receiver, options.progress)?;
    receiver.flush().map_err(failed)?;
    let bytes = receiver.written();
    let head = receiver.finish().map_err(failed)?;
    Ok(Transferred {
        commits: head.seq - before,
        bytes,
        head: Head {
            seq: head.seq,
            commit: head.commit,
        },
        ..done
    })
}

/// Makes a copy without commits on any storage; [`transfer`] fills it.
///
/// # Errors
/// `AlreadyExists` where there is an archive.
pub fn create_copy_on(source: &Archive, storage: Arc<dyn Storage>) -> Result<Archive> {
    source.create_copy_on(&*storage)?;
    Archive::open_on(storage)
}

/// Two copies of one archive, which are not the same files.
fn check_same_archive(a: &Archive, b: &Archive) -> Result<()> {
    let (one, other) = (&a.engine, &b.engine);
    if one.reader.identity() != other.reader.identity() {
        return Err(Error::conflict(
            "",
            0,
            format!(
                "{} and {} are two archives, and none is a copy of the other: their ids are {} and {}",
                name_of(a),
                name_of(b),
                one.id,
                other.id
            ),
        ));
    }
    let file = |archive: &Archive| {
        let engine = &archive.engine;
        engine.root.as_ref()?;
        engine.storage.identity(IDENTITY_FILE).ok()
    };
    match file(a).zip(file(b)) {
        Some((a, b)) if a == b => Err(Error::invalid(
            "both folders are the same: a copy is made in another one",
        )),
        _ => Ok(()),
    }
}

/// What to call an archive in messages.
fn name_of(archive: &Archive) -> String {
    match archive.root() {
        Some(root) => name_of_folder(root),
        None => "the archive in memory".to_owned(),
    }
}

fn name_of_folder(dir: &Path) -> String {
    dir.join(ARCHIVE_FOLDER).display().to_string()
}

/// The same error with the archive it is of: two of them are at hand.
fn located(name: &str, error: Error) -> Error {
    match error {
        Error::Corrupt(mut at) => {
            at.file = format!("{name}/{}", at.file);
            Error::Corrupt(at)
        }
        // Nothing was acknowledged, and what is there is looked at before it is gone on with.
        Error::Io { action, source } | Error::OutcomeUnknown { action, source } => {
            Error::io(format!("{action} in {name}"), source)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{CompactOptions, Document, ObjectAt, ObjectReader};
    use crate::log::batch::{BatchBuilder, Next, read_next};
    use crate::log::reader::segment_file;
    use crate::log::record::ObjectRecord;
    use crate::log::writer::segment_header;
    use crate::storage::MemoryStorage;

    /// The most records that a load of any of these commits' documents reads.
    fn longest_chain(archive: &Archive) -> usize {
        let engine = &archive.engine;
        let head = archive.head().unwrap().seq;
        let view = engine.view();
        let catalog = engine.catalog(&view);
        let objects = ObjectReader::new(engine, &catalog);
        let records = (1..=head).map(|seq| {
            let at = ObjectAt { seq, ordinal: 0 };
            objects.content(at, &mut |_| None).unwrap().1
        });
        records.max().unwrap()
    }

    /// All checksums hold, and so does the chain of ids.
    #[test]
    fn an_object_that_is_not_what_its_id_says_is_refused() {
        let storage = Arc::new(MemoryStorage::new());
        let source = Archive::create_on(storage.clone()).unwrap();
        let mut save = source.save();
        save.add("a", Document::value("{\"a\":1}")).unwrap();
        save.commit().unwrap();
        let keys = source.engine.reader.keys();
        let name = segment_file(1);
        let bytes = storage.read(&name).unwrap();
        let header = segment_header(source.engine.reader.identity(), keys);
        let Next::Batch(batch) = read_next(&bytes[header.len()..], keys) else {
            panic!("no batch");
        };
        let mut forged = header.clone();
        let mut builder = BatchBuilder::new(keys, &forged);
        let (_, len) = builder.object(&mut forged, &ObjectRecord::Stored(b"{\"a\":2}"));
        let mut changes = batch.changes.clone();
        changes[0].object_len = len;
        let made = builder.finish(&mut forged, batch.record.clone(), changes);
        assert_eq!(made.id, batch.id);
        let copy = create_copy_on(&source, Arc::new(MemoryStorage::new())).unwrap();
        let file = storage.open(&name, true).unwrap();
        file.set_len(0).unwrap();
        file.write_all_at(&forged, 0).unwrap();
        let source = Archive::open_on(storage).unwrap();
        assert_eq!(source.head().unwrap().commit, batch.id);
        let refused = transfer(&source, &copy, &TransferOptions::default()).unwrap_err();
        let text = refused.to_string();
        assert!(refused.is_corrupt() && text.contains("its hash"), "{text}");
        assert_eq!(copy.head().unwrap().seq, 0);
    }

    #[test]
    fn chains_do_not_grow_with_each_compact_of_the_source() {
        let storage = Arc::new(MemoryStorage::new());
        let mut source = Archive::create_on(storage.clone()).unwrap();
        let copy = create_copy_on(&source, Arc::new(MemoryStorage::new())).unwrap();
        for n in 0..360 {
            let mut save = source.save();
            // Nothing that compresses by itself.
            let hash = |part: u8| blake3::hash(&[part]).to_hex().to_string();
            let text: String = (0..8).map(hash).collect();
            let text = format!("{{\"n\":{n},\"text\":\"{text}\"}}");
            save.add("a", Document::value(text)).unwrap();
            save.commit().unwrap();
            if n % 12 == 11 {
                transfer(&source, &copy, &TransferOptions::default()).unwrap();
                source.compact(&CompactOptions::default()).unwrap();
                // Contents that are kept still know their chains.
                source = Archive::open_on(storage.clone()).unwrap();
            }
        }
        let longest = longest_chain(&copy);
        assert!(longest <= 48, "{longest}");
    }
}
