//! The commit: its fields, the bytes that stand for it, and the id that vouches for it and for everything before it.
//!
//! The id covers what the future must rely on and nothing of how it is stored: no offset, no delta base, no
//! compressed byte. See `docs/format.md`, "Commit id".

mod change;

pub use change::{Change, Content, LayoutAt, Op, SourceForm};

use std::sync::OnceLock;

use blake3::Hasher;
use blake3::hazmat::{ContextKey, HasherExt, hash_derive_key_context};

use crate::id::{ArchiveId, CommitId, PathKey};
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
    /// An [`Origin`].
    pub(crate) const ORIGIN: u64 = 6;

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
        static NONE: OnceLock<[u8; 32]> = OnceLock::new();
        match self.0.is_empty() {
            true => *NONE.get_or_init(|| self.computed_hash()),
            false => self.computed_hash(),
        }
    }

    fn computed_hash(&self) -> [u8; 32] {
        let mut hasher = FIELDS.hasher();
        for (tag, value) in &self.0 {
            hasher.update(&tag.to_le_bytes());
            hasher.update(&(value.len() as u64).to_le_bytes());
            hasher.update(value);
        }
        *hasher.finalize().as_bytes()
    }
}

/// Where a commit that was imported comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The identity of the archive.
    pub archive: ArchiveId,
    /// The commit in it.
    pub commit: CommitId,
    /// The clock of that commit's writer, microseconds since the Unix epoch.
    pub recorded: i64,
}

impl Origin {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let recorded = self.recorded.to_le_bytes();
        [&self.archive.0[..], &self.commit.0[..], &recorded[..]].concat()
    }

    /// `None` for what a later writer may have put there.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Origin> {
        let (archive, rest) = bytes.split_at_checked(16)?;
        let (commit, recorded) = rest.split_at_checked(32)?;
        Some(Origin {
            archive: ArchiveId(archive.try_into().ok()?),
            commit: CommitId(commit.try_into().ok()?),
            recorded: i64::from_le_bytes(recorded.try_into().ok()?),
        })
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
        let root = merkle_root(self.seq, &self.changes);
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
/// power of two that is smaller than the number of leaves. `seq` is the number of their commit.
pub(crate) fn merkle_root<'a>(seq: u64, changes: impl IntoIterator<Item = &'a Change>) -> [u8; 32] {
    let mut buffer = Vec::new();
    let leaves: Vec<[u8; 32]> = changes
        .into_iter()
        .map(|change| {
            buffer.clear();
            change.encode(seq, &mut buffer);
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

/// Keys that an archive's records are checked with and its paths are known by.
#[derive(Clone, Debug)]
pub(crate) struct ArchiveKeys {
    pub checksum: [u8; 32],
    pub marker: [u8; 4],
    path: [u8; 32],
}

impl ArchiveKeys {
    pub fn new(id: ArchiveId) -> ArchiveKeys {
        let checksum = blake3::derive_key("backstory 2026-11 record checksum", &id.0);
        let marker = blake3::derive_key("backstory 2026-11 commit marker", &id.0);
        ArchiveKeys {
            checksum,
            marker: [marker[0], marker[1], marker[2], marker[3]],
            path: blake3::derive_key("backstory 2026-11 path key", &id.0),
        }
    }

    /// What a path is known by. Keyed, so that no name collides in every archive.
    pub fn path_key(&self, path: &str) -> PathKey {
        let hash = blake3::keyed_hash(&self.path, path.as_bytes());
        let mut key = [0; 8];
        key.copy_from_slice(&hash.as_bytes()[..8]);
        PathKey(key)
    }

    /// The key of the path that a change is about.
    pub fn key_of(&self, change: &Change) -> PathKey {
        change.key.unwrap_or_else(|| self.path_key(&change.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ObjectId;

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
                    c.encode(1, &mut bytes);
                    LEAF.derive(&bytes)
                })
                .collect();
            assert_eq!(
                merkle_root(1, &changes),
                recursive(&leaves),
                "{count} changes"
            );
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
