//! The commit: its fields, the bytes that stand for it, and the id that vouches for it and for everything before it.
//!
//! The id covers what the future must rely on and nothing of how it is stored: no offset, no delta base, no
//! compressed byte. See `docs/format.md`, "Commit id".

use std::sync::OnceLock;

use blake3::Hasher;
use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};

use crate::id::{ArchiveId, CommitId, ObjectId};
use crate::wire::{Bytes, Malformed, put_bytes, put_uvar};

static COMMIT: Context = Context::new("backstory 2026-11 commit id");
static FIELDS: Context = Context::new("backstory 2026-11 commit fields");
static LEAF: Context = Context::new("backstory 2026-11 change leaf");
static NODE: Context = Context::new("backstory 2026-11 change node");
const IDENTITY_CONTEXT: &str = "backstory 2026-11 archive identity";

/// BLAKE3's key derivation mode with one context string, which is hashed once.
struct Context(&'static str, OnceLock<ContextKey>);

impl Context {
    const fn new(text: &'static str) -> Context {
        Context(text, OnceLock::new())
    }

    fn hasher(&self) -> Hasher {
        let key = self.1.get_or_init(|| hash_derive_key_context(self.0));
        Hasher::new_from_context_key(key)
    }

    fn derive(&self, bytes: &[u8]) -> [u8; 32] {
        *self.hasher().update(bytes).finalize().as_bytes()
    }
}

/// What happened to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Op {
    /// A document was saved.
    Save,
    /// The content of an older version was made current again; [`Change::of`] is its number.
    Rollback,
    /// The path ended; its history stays.
    Delete,
    /// A deleted path came back.
    Undelete,
    /// The path took over from [`Change::other`].
    Rename,
    /// The path was renamed to [`Change::other`] and ended here.
    RenameAway,
    /// The state before another commit was restored.
    Undo,
    /// An undo was taken back.
    Redo,
    /// A tag was set: [`Change::other`] is its name.
    Tag,
    /// A tag was removed: [`Change::other`] is its name.
    TagDelete,
}

impl Op {
    /// All operations with the byte that stands for each in the log and in the commit id.
    pub const ALL: [(Op, u8); 10] = [
        (Op::Save, 1),
        (Op::Rollback, 2),
        (Op::Delete, 3),
        (Op::Undelete, 4),
        (Op::Rename, 5),
        (Op::RenameAway, 6),
        (Op::Undo, 7),
        (Op::Redo, 8),
        (Op::Tag, 9),
        (Op::TagDelete, 10),
    ];

    pub(crate) fn to_byte(self) -> u8 {
        Op::ALL
            .iter()
            .find(|(op, _)| *op == self)
            .map_or(0, |(_, byte)| *byte)
    }

    pub(crate) fn from_byte(byte: u8) -> Option<Op> {
        Op::ALL.iter().find(|(_, b)| *b == byte).map(|(op, _)| *op)
    }

    /// Tags are changes without a version of their own.
    pub fn makes_version(self) -> bool {
        !matches!(self, Op::Tag | Op::TagDelete)
    }
}

impl std::fmt::Display for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Op::Save => "save",
            Op::Rollback => "rollback",
            Op::Delete => "delete",
            Op::Undelete => "undelete",
            Op::Rename => "rename",
            Op::RenameAway => "rename-away",
            Op::Undo => "undo",
            Op::Redo => "redo",
            Op::Tag => "tag",
            Op::TagDelete => "tag-delete",
        })
    }
}

/// Where the bytes come from that a user saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceForm {
    /// The document came without bytes of its own.
    None,
    /// The canonical form is what was saved.
    Canonical,
    /// The pretty form (two spaces, one final newline) is what was saved.
    Pretty,
    /// The bytes are an object of their own.
    Object(ObjectId),
}

impl SourceForm {
    fn code(self) -> u8 {
        match self {
            SourceForm::None => 0,
            SourceForm::Canonical => 1,
            SourceForm::Pretty => 2,
            SourceForm::Object(_) => 3,
        }
    }
}

/// The document of a version: its object, and what gives back the bytes as they were saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Content {
    /// The canonical form.
    pub object: ObjectId,
    /// The bytes as they were saved.
    pub source: SourceForm,
    /// Objects `{"$number":"NaN"}` (`Infinity`, `-Infinity`) stand for numbers that JSON does not have.
    pub nan: bool,
}

const FLAG_NAN: u8 = 1 << 2;
const FLAG_FILE: u8 = 1 << 3;
const FLAG_CONTENT: u8 = 1 << 4;
const FLAG_KNOWN: u8 = 0b1_1111;

/// One path's part of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub op: Op,
    /// The path; empty where a tag names the whole archive or is deleted.
    pub path: String,
    /// The version made (of a tag: the version named, 0 where it names the whole archive).
    pub version: u64,
    /// The document, unless the path ended.
    pub content: Option<Content>,
    /// The path was saved as a file, now or earlier: rollback may write it.
    pub file: bool,
    /// The version that was restored (of a tag for the whole archive: the commit's sequence number); 0 for none.
    pub of: u64,
    /// The other path of a rename, the name of a tag; else empty.
    pub other: String,
}

impl Change {
    /// A change of `path` to `version`, without content and references.
    pub fn new(op: Op, path: impl Into<String>, version: u64) -> Change {
        Change {
            op,
            path: path.into(),
            version,
            content: None,
            file: false,
            of: 0,
            other: String::new(),
        }
    }

    /// Appends the bytes that stand for this change, in the log and under the Merkle root.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let mut flags = 0;
        if let Some(content) = &self.content {
            flags |= FLAG_CONTENT | content.source.code();
            if content.nan {
                flags |= FLAG_NAN;
            }
        }
        if self.file {
            flags |= FLAG_FILE;
        }
        out.push(self.op.to_byte());
        out.push(flags);
        put_uvar(out, self.version);
        put_bytes(out, self.path.as_bytes());
        if let Some(content) = &self.content {
            out.extend_from_slice(&content.object.0);
            if let SourceForm::Object(id) = content.source {
                out.extend_from_slice(&id.0);
            }
        }
        if matches!(self.op, Op::Save | Op::Delete) {
            return;
        }
        put_uvar(out, self.of);
        put_bytes(out, self.other.as_bytes());
    }

    pub(crate) fn decode(input: &mut Bytes<'_>) -> Result<Change, Malformed> {
        let op = Op::from_byte(input.u8()?).ok_or(Malformed("unknown operation"))?;
        let flags = input.u8()?;
        if flags & !FLAG_KNOWN != 0 {
            return Err(Malformed("unknown change flags"));
        }
        let version = input.uvar()?;
        let path = input.text()?;
        let content = if flags & FLAG_CONTENT != 0 {
            let object = ObjectId(input.array()?);
            let source = match flags & 3 {
                0 => SourceForm::None,
                1 => SourceForm::Canonical,
                2 => SourceForm::Pretty,
                _ => SourceForm::Object(ObjectId(input.array()?)),
            };
            Some(Content {
                object,
                source,
                nan: flags & FLAG_NAN != 0,
            })
        } else if flags & (3 | FLAG_NAN) != 0 {
            return Err(Malformed("content flags without content"));
        } else {
            None
        };
        let (of, other) = match op {
            Op::Save | Op::Delete => (0, String::new()),
            _ => (input.uvar()?, input.text()?),
        };
        Ok(Change {
            op,
            path,
            version,
            content,
            file: flags & FLAG_FILE != 0,
            of,
            other,
        })
    }
}

/// Optional fields of a commit. A reader that does not know one keeps it: it is part of the id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(u64, Vec<u8>)>);

impl Fields {
    pub(crate) const AUTHOR: u64 = 1;
    pub(crate) const MESSAGE: u64 = 2;
    /// A JSON object in canonical form.
    pub(crate) const META: u64 = 3;
    /// The sequence number of the commit that this one undoes.
    pub(crate) const UNDO_OF: u64 = 4;
    /// The sequence number of the undo that this commit takes back.
    pub(crate) const REDO_OF: u64 = 5;
    // 6 is taken: archive id and commit id that an imported commit came from.

    pub(crate) fn set(&mut self, tag: u64, value: impl Into<Vec<u8>>) {
        let value = value.into();
        match self.0.binary_search_by_key(&tag, |(t, _)| *t) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (tag, value)),
        }
    }

    pub(crate) fn set_number(&mut self, tag: u64, value: u64) {
        let mut bytes = Vec::new();
        put_uvar(&mut bytes, value);
        self.set(tag, bytes);
    }

    pub(crate) fn get(&self, tag: u64) -> Option<&[u8]> {
        self.0
            .iter()
            .find(|(t, _)| *t == tag)
            .map(|(_, v)| v.as_slice())
    }

    pub(crate) fn text(&self, tag: u64) -> Option<String> {
        self.get(tag)
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    pub(crate) fn number(&self, tag: u64) -> Option<u64> {
        Bytes::new(self.get(tag)?).uvar().ok()
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_uvar(out, self.0.len() as u64);
        for (tag, value) in &self.0 {
            put_uvar(out, *tag);
            put_bytes(out, value);
        }
    }

    pub(crate) fn decode(input: &mut Bytes<'_>) -> Result<Fields, Malformed> {
        let count = input.uvar()?;
        let mut fields = Vec::new();
        for _ in 0..count {
            let tag = input.uvar()?;
            if fields.last().is_some_and(|(before, _)| *before >= tag) {
                return Err(Malformed("commit fields out of order"));
            }
            fields.push((tag, input.bytes()?.to_vec()));
        }
        Ok(Fields(fields))
    }

    fn hash(&self) -> [u8; 32] {
        let mut hasher = FIELDS.hasher();
        for (tag, value) in &self.0 {
            hasher.update(&tag.to_le_bytes());
            hasher.update(&(value.len() as u64).to_le_bytes());
            hasher.update(value);
        }
        *hasher.finalize().as_bytes()
    }
}

/// One atomic change of one or more paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The commits this one follows: one today. The first commit's parent is the archive's identity.
    pub parents: Vec<CommitId>,
    /// 1, 2, 3 …
    pub seq: u64,
    /// The writer's clock, microseconds since the Unix epoch; never before the commit in front.
    pub recorded: i64,
    /// The time the commit claims, microseconds since the Unix epoch.
    pub time: i64,
    /// Author, message, metadata and whatever else.
    pub fields: Fields,
    /// In ascending order of paths (tags after them).
    pub changes: Vec<Change>,
}

impl Commit {
    /// The id: see `docs/format.md`, "Commit id".
    pub fn id(&self) -> CommitId {
        let root = merkle_root(&self.changes);
        let count = self.changes.len() as u64;
        commit_id(
            &self.parents,
            self.seq,
            self.recorded,
            self.time,
            &self.fields,
            count,
            root,
        )
    }
}

pub(crate) fn commit_id(
    parents: &[CommitId],
    seq: u64,
    recorded: i64,
    time: i64,
    fields: &Fields,
    changes: u64,
    root: [u8; 32],
) -> CommitId {
    let mut hasher = COMMIT.hasher();
    hasher.update(&(parents.len() as u64).to_le_bytes());
    for parent in parents {
        hasher.update(&parent.0);
    }
    hasher.update(&seq.to_le_bytes());
    hasher.update(&recorded.to_le_bytes());
    hasher.update(&time.to_le_bytes());
    hasher.update(&fields.hash());
    hasher.update(&changes.to_le_bytes());
    hasher.update(&root);
    CommitId(*hasher.finalize().as_bytes())
}

/// The parent of the first commit: the hash of the archive's identity, the content of `archive.json`.
pub fn identity_hash(identity: &[u8]) -> CommitId {
    CommitId(blake3::derive_key(IDENTITY_CONTEXT, identity))
}

/// The Merkle root of the changes, shaped as in RFC 6962, section 2.1: the left side of a node holds the largest
/// power of two that is smaller than the number of leaves.
pub(crate) fn merkle_root<'a>(changes: impl IntoIterator<Item = &'a Change>) -> [u8; 32] {
    let mut buffer = Vec::new();
    let leaves: Vec<[u8; 32]> = changes
        .into_iter()
        .map(|change| {
            buffer.clear();
            change.encode(&mut buffer);
            LEAF.derive(&buffer)
        })
        .collect();
    // A stack of complete subtrees, largest first, as binary carries: the same shape without recursion.
    let mut stack: Vec<(u32, [u8; 32])> = Vec::new();
    for leaf in leaves {
        let mut node = (0, leaf);
        while let Some(&(height, left)) = stack.last() {
            if height != node.0 {
                break;
            }
            stack.pop();
            node = (height + 1, join(&left, &node.1));
        }
        stack.push(node);
    }
    let mut root = match stack.pop() {
        Some((_, hash)) => hash,
        None => return LEAF.derive(&[]),
    };
    while let Some((_, left)) = stack.pop() {
        root = join(&left, &root);
    }
    root
}

fn join(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut both = [0; 64];
    both[..32].copy_from_slice(left);
    both[32..].copy_from_slice(right);
    NODE.derive(&both)
}

/// Keys that an archive's records are checked with.
#[derive(Clone, Debug)]
pub(crate) struct ArchiveKeys {
    pub checksum: [u8; 32],
    pub marker: [u8; 4],
}

impl ArchiveKeys {
    pub fn new(id: ArchiveId) -> ArchiveKeys {
        let checksum = blake3::derive_key("backstory 2026-11 record checksum", &id.0);
        let marker = blake3::derive_key("backstory 2026-11 commit marker", &id.0);
        ArchiveKeys {
            checksum,
            marker: [marker[0], marker[1], marker[2], marker[3]],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(path: &str) -> Change {
        Change {
            content: Some(Content {
                object: ObjectId::of(path.as_bytes()),
                source: SourceForm::Pretty,
                nan: false,
            }),
            ..Change::new(Op::Save, path, 1)
        }
    }

    #[test]
    fn changes_round_trip() {
        let mut all = vec![change("config/a.json"), Change::new(Op::Delete, "b", 300)];
        let mut full = change("c");
        full.op = Op::Rollback;
        full.of = 7;
        full.file = true;
        full.content = Some(Content {
            object: ObjectId([1; 32]),
            source: SourceForm::Object(ObjectId([2; 32])),
            nan: true,
        });
        all.push(full);
        let mut renamed = change("d");
        renamed.op = Op::Rename;
        renamed.other = "e".into();
        all.push(renamed);
        for change in all {
            let mut bytes = Vec::new();
            change.encode(&mut bytes);
            let mut input = Bytes::new(&bytes);
            assert_eq!(Change::decode(&mut input), Ok(change));
            assert!(input.rest().is_empty());
        }
    }

    #[test]
    fn merkle_root_has_the_shape_of_rfc_6962() {
        fn recursive(leaves: &[[u8; 32]]) -> [u8; 32] {
            if leaves.len() == 1 {
                return leaves[0];
            }
            let mut split = 1;
            while split * 2 < leaves.len() {
                split *= 2;
            }
            join(&recursive(&leaves[..split]), &recursive(&leaves[split..]))
        }
        for count in 1..40 {
            let changes: Vec<Change> = (0..count).map(|n| change(&format!("p{n}"))).collect();
            let leaves: Vec<[u8; 32]> = changes
                .iter()
                .map(|c| {
                    let mut bytes = Vec::new();
                    c.encode(&mut bytes);
                    LEAF.derive(&bytes)
                })
                .collect();
            assert_eq!(merkle_root(&changes), recursive(&leaves), "{count} changes");
        }
    }

    #[test]
    fn the_id_covers_every_field() {
        let base = Commit {
            parents: vec![CommitId([9; 32])],
            seq: 4,
            recorded: 10,
            time: 10,
            fields: Fields::default(),
            changes: vec![change("a"), change("b")],
        };
        let mut others = vec![base.clone()];
        let mut push = |edit: &dyn Fn(&mut Commit)| {
            let mut copy = base.clone();
            edit(&mut copy);
            others.push(copy);
        };
        push(&|c| c.parents[0].0[31] ^= 1);
        push(&|c| c.seq = 5);
        push(&|c| c.recorded = 11);
        push(&|c| c.time = 9);
        push(&|c| c.fields.set(Fields::AUTHOR, "ada"));
        push(&|c| c.fields.set(Fields::MESSAGE, "ada"));
        push(&|c| c.fields.set(99, "later"));
        push(&|c| c.changes[1].version = 2);
        push(&|c| c.changes[1].file = true);
        push(&|c| {
            c.changes.pop();
        });
        let mut ids: Vec<CommitId> = others.iter().map(Commit::id).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), others.len());
    }
}
