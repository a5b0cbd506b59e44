//! How two copies of an archive stand to each other.

use super::{located, name_of};
use crate::archive::{Archive, Fault};
use crate::error::{Error, Result};
use crate::id::CommitId;
use crate::log::reader::BatchPlace;

/// What one copy is to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has the same newest commit.
    Same,
    /// It has all but the last ones.
    Behind {
        /// How many it lacks.
        commits: u64,
    },
    /// It has all, and others behind them.
    Ahead {
        /// How many the other one lacks.
        commits: u64,
    },
    /// Each has commits that the other lacks.
    Diverged {
        /// The number of the last commit that both have; 0 for none.
        common: u64,
    },
}

/// What `copy` is to `archive`. Reads a few commits of each, whatever their number: where one id is the same, so are all
/// before it.
///
/// # Errors
/// `Corrupt` where the commits in question cannot be read.
pub fn compare(archive: &Archive, copy: &Archive) -> Result<Standing> {
    let failed = |archive: &Archive, error| located(&name_of(archive), error);
    let ours = archive.head().map_err(|error| failed(archive, error))?;
    let theirs = copy.head().map_err(|error| failed(copy, error))?;
    let both = ours.seq.min(theirs.seq);
    if same_at(archive, copy, both)? {
        return Ok(match ours.seq.cmp(&theirs.seq) {
            std::cmp::Ordering::Equal => Standing::Same,
            std::cmp::Ordering::Greater => Standing::Behind {
                commits: ours.seq - theirs.seq,
            },
            std::cmp::Ordering::Less => Standing::Ahead {
                commits: theirs.seq - ours.seq,
            },
        });
    }
    let (mut low, mut high) = (0, both - 1);
    while low < high {
        let middle = high - (high - low) / 2;
        match same_at(archive, copy, middle)? {
            true => low = middle,
            false => high = middle - 1,
        }
    }
    Ok(Standing::Diverged { common: low })
}

/// Have both the same commit of this number? Where one has lost its record that cannot be told, and is taken for so:
/// what follows it must name its id.
fn same_at(a: &Archive, b: &Archive, seq: u64) -> Result<bool> {
    let id = |archive: &Archive| {
        let found = commit_at(archive, seq).map_err(|error| located(&name_of(archive), error))?;
        Ok::<_, Error>(found.map(|(_, id)| id))
    };
    Ok(match (id(a)?, id(b)?) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    })
}

/// Where a commit stands, and its id; none where its record is lost, or where there is none of this number.
pub(super) fn commit_at(
    archive: &Archive,
    seq: u64,
) -> Result<Option<(Option<BatchPlace>, CommitId)>> {
    let engine = &archive.engine;
    let head = engine.view().cursor.head;
    if head.seq == seq {
        let place = head.place.filter(|place| place.record_len > 0);
        return Ok(Some((place, head.commit)));
    }
    if seq == 0 {
        let hash = crate::commit::identity_hash(engine.reader.identity());
        return Ok(Some((None, hash)));
    }
    engine.ask(|catalog| {
        let row = catalog.commit(seq)?.filter(|row| row.record_len > 0);
        let Some(place) = row.map(|row| row.place()) else {
            return Ok(None);
        };
        let record = engine.reader.commit(place)?;
        match record.seq == seq {
            true => Ok(Some((Some(place), record.id()))),
            false => Err(Fault::Doubt(Error::corrupt(
                crate::log::reader::segment_file(place.segment),
                Some(place.offset),
                format!("it is not commit {seq} that stands here"),
            ))),
        }
    })
}

/// The error where each side has commits that the other lacks.
pub(super) fn diverged(source: &Archive, copy: &Archive, common: u64) -> Error {
    let since = match common {
        0 => "have no commit in common".to_owned(),
        common => format!("are the same up to commit {common} and differ behind it"),
    };
    let (source, copy) = (head_of(source), head_of(copy));
    let message = format!(
        "{source} and {copy} {since}: each has commits that the other lacks, and nothing was written"
    );
    Error::conflict("", 0, message)
}

/// The error where the copy has commits that the archive lacks.
pub(super) fn ahead(archive: &Archive, copy: &Archive, commits: u64) -> Error {
    let message = format!(
        "the copy has {commits} commits that the archive lacks: {} and {}; nothing was written",
        head_of(archive),
        head_of(copy)
    );
    Error::conflict("", 0, message)
}

/// An archive and its newest commit, for messages.
fn head_of(archive: &Archive) -> String {
    let head = archive.engine.view().cursor.head;
    let name = name_of(archive);
    match head.seq {
        0 => format!("{name} (without commits)"),
        seq => format!("{name} (commit {seq}, {})", head.commit),
    }
}
