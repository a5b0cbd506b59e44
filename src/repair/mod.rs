//! Repair: makes a damaged archive whole again, without what is gone.
//!
//! Nothing is deleted. What was damaged is kept in `log/damaged/` as it was; segments are written anew with all that is
//! whole in them, and a record says what is gone and when that was noted. Commits keep their ids: the history behind a
//! loss still vouches for what is in front of it.
//!
//! In this order, each step complete and on disk before the next one: `archive.json` from what the segments repeat of
//! it, `MANIFEST` from the segments, the segments, the index.

mod aside;
mod found;
mod identity;
mod list;
mod rewrite;
mod segments;

use std::path::Path;
use std::sync::Arc;

use crate::archive::{Archive, OpenOptions};
use crate::error::{Error, Result};
use crate::log::format::{ARCHIVE_FOLDER, INDEX_FILE};
use crate::storage::{LocalStorage, Storage};
use crate::verify::{FindingKind, Loss, Report, VerifyOptions, verify};

/// How to repair.
#[derive(Clone, Default)]
pub struct RepairOptions<'a> {
    /// How to open the archive.
    pub open: OpenOptions,
    /// Is told from time to time how many commits are checked, and how many there are.
    pub progress: Option<&'a dyn Fn(u64, u64)>,
}

/// What was done to one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The file, relative to the archive's folder.
    pub file: String,
    /// What was done, for people.
    pub what: String,
    /// Where the file as it was is kept now; none where there was none.
    pub kept: Option<String>,
}

/// What repairing did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// One for each file that was changed, in order; none where nothing was wrong.
    pub steps: Vec<Step>,
    /// Losses that were noted now.
    pub lost: Vec<Loss>,
    /// The archive as it is now.
    pub report: Report,
}

impl Repaired {
    /// How many commits are gone that were not noted before.
    pub fn lost_commits(&self) -> u64 {
        let counts = self.lost.iter().filter_map(|loss| loss.commits);
        counts.fold(0u64, |sum, (first, last)| {
            sum.saturating_add((last - first).saturating_add(1))
        })
    }

    /// The versions that cannot be loaded any more and that were not noted before, by path.
    pub fn lost_versions(&self) -> impl Iterator<Item = &(String, u64)> {
        self.lost.iter().flat_map(|loss| &loss.versions)
    }
}

/// Repairs the archive of `dir`, the folder that holds `.backstory`. Nobody else can write meanwhile.
///
/// # Errors
/// `NoArchive`; `Busy`; `Io`; `Corrupt` where there is too little left to tell what the archive was, with nothing
/// changed.
pub fn repair(dir: impl AsRef<Path>, options: &RepairOptions<'_>) -> Result<Repaired> {
    let dir = dir.as_ref();
    let folder = dir.join(ARCHIVE_FOLDER);
    let storage = LocalStorage::open(&folder).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => {
            Error::NoArchive(dir.display().to_string())
        }
        _ => Error::io(format!("open {}", folder.display()), error),
    })?;
    run(Arc::new(storage), options, &|| {
        Archive::open_with(dir, &options.open)
    })
}

/// Repairs an archive on any storage.
///
/// # Errors
/// As [`repair`].
pub fn repair_on(storage: Arc<dyn Storage>, options: &RepairOptions<'_>) -> Result<Repaired> {
    run(storage.clone(), options, &|| {
        Archive::open_on(storage.clone())
    })
}

fn run(
    storage: Arc<dyn Storage>,
    options: &RepairOptions<'_>,
    open: &dyn Fn() -> Result<Archive>,
) -> Result<Repaired> {
    let wait = options.open.wait;
    let lock = match storage.lock(wait) {
        Ok(Some(lock)) => lock,
        Ok(None) => return Err(Error::Busy(wait.as_secs_f64())),
        Err(error) => return Err(Error::io(format!("lock {ARCHIVE_FOLDER}/lock"), error)),
    };
    let mut steps = Vec::new();
    steps.extend(identity::mend(&*storage)?);
    steps.extend(list::mend(&*storage)?);
    let archive = open()?;
    archive.engine.check_writable()?;
    let check = VerifyOptions {
        progress: options.progress,
        ..VerifyOptions::default()
    };
    let before = verify(&archive, &check)?;
    let noted_before = before.losses.len();
    let in_the_log = |report: &Report| {
        let of_the_log = |kind| {
            matches!(
                kind,
                FindingKind::DamagedLog | FindingKind::LostCommits | FindingKind::DamagedObject
            )
        };
        report.findings.iter().any(|found| of_the_log(found.kind))
    };
    let mut report = before;
    if in_the_log(&report) {
        // The index may be older than the damage.
        archive.reindex()?;
        steps.extend(segments::mend(&archive, &report)?);
    }
    let of_the_index = |kind| {
        matches!(
            kind,
            FindingKind::WrongIndex | FindingKind::ShortenedHistory
        )
    };
    if report.findings.iter().any(|found| of_the_index(found.kind)) {
        steps.push(Step {
            file: INDEX_FILE.to_owned(),
            what: "built anew from the log".to_owned(),
            kept: None,
        });
    }
    if !report.ok {
        archive.reindex()?;
        report = verify(&archive, &check)?;
    }
    drop(lock);
    let lost = report.losses.get(noted_before..).unwrap_or_default();
    Ok(Repaired {
        steps,
        lost: lost.to_vec(),
        report,
    })
}
