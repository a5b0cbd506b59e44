//! The rows of the index, and how a batch of the log becomes rows.

use crate::commit::{ArchiveKeys, Change, Op};
use crate::id::{CommitId, ObjectId, PathKey};
use crate::log::cursor::Head;
use crate::log::reader::BatchPlace;
use crate::log::scan::PlacedBatch;

/// Where a commit is, and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CommitRow {
    pub seq: u64,
    pub segment: u64,
    pub offset: u64,
    pub before: u64,
    /// 0 where the commit record is lost.
    pub record_len: u64,
    pub time: i64,
    /// The first eight bytes of its id, in the order of [`ObjectId::key`].
    pub key: i64,
}

/// Which commit made a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VersionRow {
    /// The path by name; empty where the change does not spell it and the catalog has not filled it in.
    pub path: String,
    /// The path by key.
    pub key: PathKey,
    pub version: u64,
    pub seq: u64,
    /// The number of the change in its commit.
    pub change: u64,
    /// [`ObjectId::key`] of the object, where there is one.
    pub object_key: Option<i64>,
    /// The same of a source that is stored, whatever its form.
    pub source_key: Option<i64>,
    /// The same of the layout that the change brings.
    pub layout_key: Option<i64>,
    /// Where the commit is, if that was looked up along with the row.
    pub place: Option<BatchPlace>,
}

impl VersionRow {
    /// Is this change, which stands where the row says, the version that the row means? Fills in its path.
    pub fn agrees(&self, change: &mut Change, keys: &ArchiveKeys) -> bool {
        let same_path = match change.key {
            Some(key) => key == self.key,
            None => change.path == self.path && keys.path_key(&change.path) == self.key,
        };
        if change.key.is_some() {
            change.path.clone_from(&self.path);
        }
        same_path
            && change.version == self.version
            && change.content.map(|content| content.object.key()) == self.object_key
    }
}

/// Where an object record is in its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ObjectRow {
    pub seq: u64,
    pub ordinal: u64,
    pub offset: u64,
    pub len: u64,
}

/// A change of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TagRow {
    pub name: String,
    pub seq: u64,
    pub change: u64,
}

/// How far the index has read the log, and what it was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub generation: u64,
    pub segment: u64,
    /// The end of the newest commit's batch.
    pub offset: u64,
    pub head: Head,
}

/// What there is of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub paths: u64,
    pub versions: u64,
    pub commits: u64,
    pub objects: u64,
}

/// The rows of one commit.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    pub commits: Vec<CommitRow>,
    pub versions: Vec<VersionRow>,
    pub objects: Vec<ObjectRow>,
    pub tags: Vec<TagRow>,
}

/// The rows of a batch.
pub(crate) fn rows_of_batch(segment: u64, placed: &PlacedBatch, keys: &ArchiveKeys) -> Rows {
    let batch = &placed.batch;
    let seq = batch.record.seq;
    let mut rows = Rows::default();
    rows.commits.push(CommitRow {
        seq,
        segment,
        offset: placed.offset,
        before: batch.record.before,
        record_len: batch.record_len(),
        time: batch.record.time,
        key: commit_key(&batch.id),
    });
    for (ordinal, (offset, len)) in (0..).zip(batch.objects(placed.offset)) {
        rows.objects.push(ObjectRow {
            seq,
            ordinal,
            offset,
            len,
        });
    }
    for (number, stored) in (0..).zip(&batch.changes) {
        let change = &stored.change;
        if matches!(change.op, Op::Tag | Op::TagDelete) {
            rows.tags.push(TagRow {
                name: change.other.clone(),
                seq,
                change: number,
            });
            continue;
        }
        rows.versions.push(VersionRow {
            path: change.path.clone(),
            key: keys.key_of(change),
            version: change.version,
            seq,
            change: number,
            object_key: change.content.map(|content| content.object.key()),
            source_key: change.content.and_then(|content| content.source.key()),
            layout_key: change.layout.map(|id| id.key()),
            place: None,
        });
    }
    rows
}

/// The rows of a commit whose record is lost while object records in front of it are whole: later deltas may rest
/// on them.
pub(crate) fn rows_of_orphans(seq: u64, segment: u64, orphans: &[(u64, u64)]) -> Rows {
    let mut rows = Rows::default();
    let Some((start, _)) = orphans.first() else {
        return rows;
    };
    let place = BatchPlace {
        segment,
        offset: *start,
        before: 0,
        record_len: 0,
    };
    rows.commits.push(CommitRow {
        seq,
        segment,
        offset: place.offset,
        before: 0,
        record_len: 0,
        time: i64::MAX,
        key: 0,
    });
    for (ordinal, (offset, len)) in (0..).zip(orphans) {
        rows.objects.push(ObjectRow {
            seq,
            ordinal,
            offset: offset - start,
            len: *len,
        });
    }
    rows
}

/// The first eight bytes of a commit's id, as [`ObjectId::key`] has them of an object's.
pub(crate) fn commit_key(id: &CommitId) -> i64 {
    ObjectId(id.0).key()
}
