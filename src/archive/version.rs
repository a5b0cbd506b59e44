//! What the archive says of a version, a commit, a tag; and what callers say with a commit.

use serde_json::{Map, Value};

use crate::commit::{Change as StoredChange, Fields, Op, Origin, SourceForm};
use crate::id::{CommitId, ObjectId};
use crate::log::record::CommitRecord;

/// What a caller has to say with a commit; all of it optional.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Note {
    /// What the commit is about.
    pub message: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// Anything else: a JSON object.
    pub meta: Map<String, Value>,
    /// The time that the commit claims, microseconds since the Unix epoch; else the writer's clock.
    pub time: Option<i64>,
}

/// One version of one path, with the commit that made it.
#[derive(Clone, Debug, PartialEq)]
pub struct Version {
    /// The path.
    pub path: String,
    /// 1, 2, 3 …
    pub version: u64,
    /// What made it.
    pub op: Op,
    /// The object: the BLAKE3 of the canonical form. `None` where the path ended.
    pub id: Option<ObjectId>,
    /// The BLAKE3 of the bytes as they were saved, where they are an object of their own; `None` where the canonical
    /// form, the pretty form or a layout gives them back. [`Archive::source_id`](crate::Archive::source_id) has it of
    /// a layout too.
    pub source: Option<ObjectId>,
    /// The path was saved as a file, now or earlier.
    pub file: bool,
    /// Numbers that JSON does not have are in it, tagged.
    pub nan: bool,
    /// Of a rollback: the version whose content it restored.
    pub of: Option<u64>,
    /// Of a rename: the other path.
    pub other: Option<String>,
    /// The commit.
    pub commit: CommitId,
    /// The number of the commit.
    pub seq: u64,
    /// The time that the commit claims, microseconds since the Unix epoch.
    pub time: i64,
    /// The writer's clock at the commit, microseconds since the Unix epoch.
    pub recorded: i64,
    /// Who made the commit.
    pub author: Option<String>,
    /// What the commit is about.
    pub message: Option<String>,
    /// Metadata of the commit.
    pub meta: Map<String, Value>,
    /// The commit of another archive that the commit is a copy of.
    pub origin: Option<Origin>,
    pub(crate) form: SourceForm,
    pub(crate) change: u64,
}

/// The metadata of a commit.
pub(super) fn meta_of(record: &CommitRecord) -> Map<String, Value> {
    match record.fields.get(Fields::META).map(serde_json::from_slice) {
        Some(Ok(Value::Object(meta))) => meta,
        _ => Map::new(),
    }
}

impl Version {
    pub(crate) fn new(
        record: &CommitRecord,
        commit: CommitId,
        number: u64,
        change: &StoredChange,
    ) -> Version {
        let form = change
            .content
            .map_or(SourceForm::None, |content| content.source);
        Version {
            path: change.path.clone(),
            version: change.version,
            op: change.op,
            id: change.content.map(|content| content.object),
            source: match form {
                SourceForm::Object(id) => Some(id),
                _ => None,
            },
            file: change.file,
            nan: change.content.is_some_and(|content| content.nan),
            of: (change.of > 0).then_some(change.of),
            other: (!change.other.is_empty()).then(|| change.other.clone()),
            commit,
            seq: record.seq,
            time: record.time,
            recorded: record.recorded,
            author: record.fields.text(Fields::AUTHOR),
            message: record.fields.text(Fields::MESSAGE),
            meta: meta_of(record),
            origin: record.fields.get(Fields::ORIGIN).and_then(Origin::decode),
            form,
            change: number,
        }
    }

    /// The revision that names this version, as in `config/a.json@3`.
    pub fn rev(&self) -> String {
        format!("{}@{}", self.path, self.version)
    }

    /// Did the path end with this version?
    pub fn is_deleted(&self) -> bool {
        self.id.is_none()
    }

    /// May these be the bytes that were saved, as far as can be told without loading the document?
    pub(crate) fn may_have_source(&self, id: &ObjectId) -> bool {
        self.form.key().is_none_or(|key| key == id.key())
    }
}

/// What became of a path in a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// A new version of the document.
    Saved,
    /// The same document in other bytes.
    Reformatted,
    /// Nothing: the newest version has this content.
    Unchanged,
    /// The content of an older version is current again.
    RolledBack,
    /// The state before another commit is current again.
    Undone,
    /// An undo was taken back.
    Redone,
    /// The path ended.
    Deleted,
    /// The path is back.
    Undeleted,
    /// The path took over from another.
    Renamed,
    /// Another path took over.
    RenamedAway,
    /// A tag was set.
    Tagged,
    /// A tag was removed.
    TagDeleted,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Status::Saved => "saved",
            Status::Reformatted => "reformatted",
            Status::Unchanged => "unchanged",
            Status::RolledBack => "rolled-back",
            Status::Undone => "undone",
            Status::Redone => "redone",
            Status::Deleted => "deleted",
            Status::Undeleted => "undeleted",
            Status::Renamed => "renamed",
            Status::RenamedAway => "renamed-away",
            Status::Tagged => "tagged",
            Status::TagDeleted => "tag-deleted",
        })
    }
}

/// What a commit did to one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The path; empty where a tag names the whole archive.
    pub path: String,
    /// The version that is newest now.
    pub version: u64,
    /// Its object; `None` where the path ended.
    pub id: Option<ObjectId>,
    /// The commit that made this version.
    pub commit: CommitId,
    /// The number of that commit.
    pub seq: u64,
    /// What became of the path.
    pub status: Status,
}

impl Change {
    /// The revision that names the version, as in `config/a.json@3`.
    pub fn rev(&self) -> String {
        format!("{}@{}", self.path, self.version)
    }
}

/// The newest commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number; 0 for an archive without commits.
    pub seq: u64,
    /// Its id; for an archive without commits the hash of the archive's identity.
    pub commit: CommitId,
}

/// A commit and all that it changed.
#[derive(Clone, Debug, PartialEq)]
pub struct CommitView {
    /// Its number.
    pub seq: u64,
    /// Its id.
    pub commit: CommitId,
    /// The time it claims, microseconds since the Unix epoch.
    pub time: i64,
    /// The writer's clock, microseconds since the Unix epoch.
    pub recorded: i64,
    /// Who made it.
    pub author: Option<String>,
    /// What it is about.
    pub message: Option<String>,
    /// Its metadata.
    pub meta: Map<String, Value>,
    /// The versions it made.
    pub changes: Vec<Version>,
    /// The names of the tags that it set or removed.
    pub tags: Vec<String>,
    /// The number of the commit that it undoes.
    pub undo_of: Option<u64>,
    /// The number of the undo that it takes back.
    pub redo_of: Option<u64>,
    /// The commit of another archive that it is a copy of.
    pub origin: Option<Origin>,
}

/// A name for one version of a path, or for the whole archive at one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// The name.
    pub name: String,
    /// The path; `None` for the whole archive.
    pub path: Option<String>,
    /// The version; `None` for the whole archive.
    pub version: Option<u64>,
    /// The commit that made the version, or the one that the archive is named at.
    pub commit: CommitId,
}

/// A version that holds a document that was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// The version.
    pub version: Version,
    /// It was saved in the very bytes, not only with the same document.
    pub same_bytes: bool,
}

/// How much there is of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Paths that ever had a version.
    pub paths: u64,
    /// Versions of all paths.
    pub versions: u64,
    /// Commits.
    pub commits: u64,
    /// Objects stored.
    pub objects: u64,
    /// Bytes of all segments.
    pub log_bytes: u64,
    /// Bytes of the index.
    pub index_bytes: u64,
    /// Bytes of the canonical forms of all versions, as if each were stored whole.
    pub document_bytes: u64,
}
