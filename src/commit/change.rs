//! A change: what a commit did to one path, and the bytes that stand for it.
//!
//! `docs/format.md`, "Change", has the fields. A change names its layout by the number of the commit that brought it:
//! here always the number itself, in the bytes how far back it is.

use crate::id::{ObjectId, PathKey};
use crate::path::check_path;
use crate::wire::{Bytes, Malformed, put_bytes, put_uvar};

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
    /// A layout makes the bytes of the canonical form.
    LaidOut {
        /// The first eight bytes of the BLAKE3 of the source.
        check: [u8; 8],
        /// Which layout.
        layout: LayoutAt,
    },
}

/// Names a layout by the change that brought it into the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayoutAt {
    /// The number of the commit.
    pub seq: u64,
    /// The number of the change in it, from 0.
    pub change: u64,
}

impl SourceForm {
    fn code(self) -> u8 {
        match self {
            SourceForm::None => 0,
            SourceForm::Canonical => 1,
            SourceForm::Pretty => 2,
            SourceForm::Object(_) => 3,
            SourceForm::LaidOut { .. } => 4,
        }
    }

    /// What the index sorts sources by: the first bytes of the hash of the source, where it is stored at all.
    pub(crate) fn key(self) -> Option<i64> {
        match self {
            SourceForm::Object(id) => Some(id.key()),
            SourceForm::LaidOut { check, .. } => Some(crate::id::key_of(check)),
            SourceForm::None | SourceForm::Canonical | SourceForm::Pretty => None,
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

const FORM: u8 = 0b111;
const FLAG_NAN: u8 = 1 << 3;
const FLAG_FILE: u8 = 1 << 4;
const FLAG_CONTENT: u8 = 1 << 5;
const FLAG_KEY: u8 = 1 << 6;
const FLAG_KNOWN: u8 = 0b111_1111;

/// One path's part of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub op: Op,
    /// The path; empty where a tag names the whole archive or is deleted, and where only the key is known.
    pub path: String,
    /// This key stands for the path in the log.
    pub(crate) key: Option<PathKey>,
    /// The version made (of a tag: the version named, 0 where it names the whole archive).
    pub version: u64,
    /// The document, unless the path ended.
    pub content: Option<Content>,
    /// The layout that this change brings into the archive: its source is the first that is written by it.
    pub(crate) layout: Option<ObjectId>,
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
            key: None,
            version,
            content: None,
            layout: None,
            file: false,
            of: 0,
            other: String::new(),
        }
    }

    /// The bits of the flags that say the source's form.
    pub(crate) const FORM: u8 = FORM;

    /// What the log says of the change in one byte.
    pub(crate) fn flags(&self) -> u8 {
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
        if self.key.is_some() {
            flags |= FLAG_KEY;
        }
        flags
    }

    /// A change that has nothing yet but what its flags say, which are checked.
    pub(crate) fn of_flags(op: Op, flags: u8, version: u64) -> Result<Change, Malformed> {
        if flags & !FLAG_KNOWN != 0 {
            return Err(Malformed("unknown change flags"));
        }
        if flags & FLAG_KEY != 0 && !op.makes_version() {
            return Err(Malformed("a tag with a path key"));
        }
        if flags & FLAG_CONTENT == 0 && flags & (FORM | FLAG_NAN) != 0 {
            return Err(Malformed("content flags without content"));
        }
        if flags & FORM > 4 {
            return Err(Malformed("unknown source form"));
        }
        let mut change = Change::new(op, String::new(), version);
        change.file = flags & FLAG_FILE != 0;
        Ok(change)
    }

    /// Of flags: does a key stand for the path?
    pub(crate) fn by_key(flags: u8) -> bool {
        flags & FLAG_KEY != 0
    }

    /// Of flags: is there a document?
    pub(crate) fn has_content(flags: u8) -> bool {
        flags & FLAG_CONTENT != 0
    }

    /// Of flags: are numbers tagged in it?
    pub(crate) fn has_nan(flags: u8) -> bool {
        flags & FLAG_NAN != 0
    }

    /// Of flags: does a layout make the source?
    pub(crate) fn laid_out(flags: u8) -> bool {
        Change::has_content(flags) && flags & FORM == 4
    }

    /// Of flags: how many objects the change names, a layout that another one brought among them.
    pub(crate) fn named_objects(flags: u8) -> usize {
        match (Change::has_content(flags), flags & FORM) {
            (false, _) => 0,
            (true, 3 | 4) => 2,
            (true, _) => 1,
        }
    }

    /// Does the log say what was restored, and another name?
    pub(crate) fn has_reference(&self) -> bool {
        !matches!(self.op, Op::Save | Op::Delete)
    }

    /// Appends the bytes that stand for this change in commit `seq`, in the log and under the Merkle root.
    pub(crate) fn encode(&self, seq: u64, out: &mut Vec<u8>) {
        out.push(self.op.to_byte());
        out.push(self.flags());
        put_uvar(out, self.version);
        match self.key {
            Some(key) => out.extend_from_slice(&key.0),
            None => put_bytes(out, self.path.as_bytes()),
        }
        if let Some(content) = &self.content {
            out.extend_from_slice(&content.object.0);
            match content.source {
                SourceForm::Object(id) => out.extend_from_slice(&id.0),
                SourceForm::LaidOut { check, layout } => {
                    out.extend_from_slice(&check);
                    match self.layout {
                        Some(id) => {
                            put_uvar(out, 0);
                            out.extend_from_slice(&id.0);
                        }
                        None => {
                            put_uvar(out, seq.wrapping_sub(layout.seq));
                            put_uvar(out, layout.change);
                        }
                    }
                }
                SourceForm::None | SourceForm::Canonical | SourceForm::Pretty => {}
            }
        }
        if self.has_reference() {
            put_uvar(out, self.of);
            put_bytes(out, self.other.as_bytes());
        }
    }

    /// Reads change number `number` of commit `seq`. Where it has a key its path stays empty.
    pub(crate) fn decode(
        input: &mut Bytes<'_>,
        seq: u64,
        number: u64,
    ) -> Result<Change, Malformed> {
        let op = Op::from_byte(input.u8()?).ok_or(Malformed("unknown operation"))?;
        let flags = input.u8()?;
        let mut change = Change::of_flags(op, flags, input.counted()?)?;
        match Change::by_key(flags) {
            true => change.key = Some(PathKey(input.array()?)),
            false => change.path = input.text()?,
        }
        if Change::has_content(flags) {
            let object = ObjectId(input.array()?);
            let source = match flags & FORM {
                0 => SourceForm::None,
                1 => SourceForm::Canonical,
                2 => SourceForm::Pretty,
                3 => SourceForm::Object(ObjectId(input.array()?)),
                4 => change.decode_layout(input, seq, number)?,
                _ => return Err(Malformed("unknown source form")),
            };
            change.content = Some(Content {
                object,
                source,
                nan: Change::has_nan(flags),
            });
        }
        if change.has_reference() {
            change.of = input.counted()?;
            change.other = input.text()?;
        }
        change.check_names()?;
        Ok(change)
    }

    /// Can the names be paths? Files are written by them, so what leads elsewhere is no change. Who spells none has
    /// a key, or is a tag that names no path.
    pub(crate) fn check_names(&self) -> Result<(), Malformed> {
        let wrong = Err(Malformed("a path that no document can have"));
        let nameless = self.key.is_some() || !self.op.makes_version() && self.path.is_empty();
        if !nameless && check_path(&self.path).is_err() {
            return wrong;
        }
        let renamed = matches!(self.op, Op::Rename | Op::RenameAway);
        if renamed && check_path(&self.other).is_err() {
            return wrong;
        }
        Ok(())
    }

    fn decode_layout(
        &mut self,
        input: &mut Bytes<'_>,
        seq: u64,
        number: u64,
    ) -> Result<SourceForm, Malformed> {
        let check = input.array()?;
        let layout = match input.uvar()? {
            0 => {
                self.layout = Some(ObjectId(input.array()?));
                LayoutAt {
                    seq,
                    change: number,
                }
            }
            back => LayoutAt {
                seq: seq
                    .checked_sub(back)
                    .filter(|seq| *seq > 0)
                    .ok_or(Malformed("a layout in front of the first commit"))?,
                change: input.uvar()?,
            },
        };
        Ok(SourceForm::LaidOut { check, layout })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_round_trip() {
        let saved = |source| Change {
            content: Some(Content {
                object: ObjectId([1; 32]),
                source,
                nan: false,
            }),
            ..Change::new(Op::Save, "config/a.json", 1)
        };
        let laid_out = |seq, change| SourceForm::LaidOut {
            check: [7; 8],
            layout: LayoutAt { seq, change },
        };
        let mut all = vec![
            saved(SourceForm::Pretty),
            saved(laid_out(8, 300)),
            Change::new(Op::Delete, "b", 300),
        ];
        let mut full = saved(SourceForm::Object(ObjectId([2; 32])));
        full.op = Op::Rollback;
        full.of = 7;
        full.file = true;
        if let Some(content) = &mut full.content {
            content.nan = true;
        }
        all.push(full);
        let mut renamed = saved(SourceForm::None);
        renamed.op = Op::Rename;
        renamed.other = "e".into();
        all.push(renamed);
        let mut brings = saved(laid_out(9, 5));
        brings.layout = Some(ObjectId([3; 32]));
        brings.path = String::new();
        brings.key = Some(PathKey([4; 8]));
        all.push(brings);
        for change in all {
            let mut bytes = Vec::new();
            change.encode(9, &mut bytes);
            let mut input = Bytes::new(&bytes);
            assert_eq!(Change::decode(&mut input, 9, 5), Ok(change));
            assert!(input.rest().is_empty());
        }
    }

    #[test]
    fn what_no_writer_writes_is_refused() {
        let refused = |bytes: &[u8]| Change::decode(&mut Bytes::new(bytes), 2, 0).is_err();
        let mut tag = vec![9, FLAG_KEY, 1];
        tag.extend([0; 10]);
        assert!(refused(&tag));
        assert!(refused(&[3, FLAG_NAN, 1, 1, b'a']));
        assert!(refused(&[3, 1 << 7, 1, 1, b'a']));
        let mut form = vec![1, FLAG_CONTENT | 5, 1, 1, b'a'];
        form.extend([0; 60]);
        assert!(refused(&form));
        // A layout two commits back, in commit 2.
        let mut front = vec![1, FLAG_CONTENT | 4, 1, 1, b'a'];
        front.extend([0; 40]);
        front.extend([2, 0]);
        assert!(refused(&front));
    }
}
