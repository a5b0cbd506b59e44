//! What a version changed, against the one before it.

use super::Archive;
use super::version::Version;
use crate::commit::Op;
use crate::diff::{self, Change, ChangeKind, Diff};
use crate::error::{Error, Result};
use crate::pointer::Pointer;
use crate::revision::Spec;

/// So many bytes of documents in a row are in memory at once.
const MAX_ROW_LEN: usize = 16 << 20;

impl Version {
    /// Does the message, or a value of the metadata, contain this text? Upper and lower case are the same.
    pub fn mentions(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let has = |value: &str| value.to_lowercase().contains(&text);
        self.message.as_deref().is_some_and(has)
            || self.meta.values().any(|value| match value.as_str() {
                Some(value) => has(value),
                None => has(&value.to_string()),
            })
    }
}

impl Archive {
    /// The version in front of this one, which may be a deletion; behind a rename it is the last of the old path.
    ///
    /// # Errors
    /// `Corrupt` where damage has taken it.
    pub fn before(&self, version: &Version) -> Result<Option<Version>> {
        let (path, number) = match (version.op, &version.other, version.of) {
            (Op::Rename, Some(other), Some(of)) => (other, of),
            _ => (&version.path, version.version.saturating_sub(1)),
        };
        match number {
            0 => Ok(None),
            number => self.resolve(path, &Spec::Number(number)).map(Some),
        }
    }

    /// What this version changed against the one in front of it. Where there is no document in front, the whole one
    /// is added; a deletion removes it.
    ///
    /// # Errors
    /// `Corrupt` where one of the two cannot be read.
    pub fn changes_of(&self, version: &Version) -> Result<Diff> {
        self.changes_at(version, &Pointer::root())
    }

    /// What each of these versions changed, as [`Archive::changes_of`] says; one that fails does not keep the others.
    /// Versions of a path that follow each other, newest first as [`Archive::history`] gives them, are read once: some
    /// dozen at a time take less than half the time.
    pub fn changes_of_each(&self, versions: &[Version]) -> Vec<Result<Diff>> {
        let mut answers = Vec::with_capacity(versions.len());
        let rows = versions.chunk_by(|newer, older| {
            newer.path == older.path
                && newer.op != Op::Rename
                && newer.version == older.version.saturating_add(1)
        });
        for row in rows {
            match self.changes_in_row(row) {
                Ok(Some(diffs)) => answers.extend(diffs.into_iter().map(Ok)),
                // One by one it is told which of them fails.
                Ok(None) | Err(_) => {
                    answers.extend(row.iter().map(|version| self.changes_of(version)));
                }
            }
        }
        answers
    }

    /// Reads the documents of these versions, which are newest first, so that they are at hand when they are loaded in
    /// that order: each rests on the one in front of it, and is decoded once. Reads 16 MiB at most, and does not say
    /// what fails, for it will fail again.
    pub fn read_ahead<'v>(&self, versions: impl DoubleEndedIterator<Item = &'v Version>) {
        let mut len = 0;
        for version in versions.rev().filter(|version| !version.is_deleted()) {
            if let Ok(document) = self.load_document(version) {
                len += document.canonical().len();
            }
            if len > MAX_ROW_LEN {
                break;
            }
        }
    }

    /// What each of these versions changed, of which each but the last has the one behind it in front. `None` where
    /// that would take too much memory, or one of them is a deletion or the first of its path.
    fn changes_in_row(&self, row: &[Version]) -> Result<Option<Vec<Diff>>> {
        let [.., oldest] = row else { return Ok(None) };
        let Some(before) = self.before(oldest)? else {
            return Ok(None);
        };
        let mut documents = Vec::with_capacity(row.len() + 1);
        let mut len = 0;
        // Oldest first, for each document rests on the one in front of it.
        for version in std::iter::once(&before).chain(row.iter().rev()) {
            if version.is_deleted() {
                return Ok(None);
            }
            let document = self.load_document(version)?;
            len += document.canonical().len();
            documents.push(document);
            if len > MAX_ROW_LEN && documents.len() <= row.len() {
                return Ok(None);
            }
        }
        let texts: Vec<&[u8]> = documents
            .iter()
            .map(|document| document.canonical())
            .collect();
        let mut diffs = diff::diff_row(&texts).map_err(|error| {
            Error::invalid(format!("{} cannot be compared: {error}", oldest.path))
        })?;
        diffs.reverse();
        Ok(Some(diffs))
    }

    /// What a version changed of the value at `place` and what is inside it. A place is a name or a number in each
    /// document: what moves to another element is another value there.
    ///
    /// # Errors
    /// As [`Archive::changes_of`].
    pub fn changes_at(&self, version: &Version, place: &Pointer) -> Result<Diff> {
        let Some((old, new)) = self.two_values(version, place)? else {
            return Ok(Diff::default());
        };
        let (old, new) = match (old, new) {
            (Some(old), Some(new)) => (old, new),
            (old, new) => {
                let changes = whole(old, new, place).into_iter().collect();
                return Ok(Diff { changes });
            }
        };
        let mut changes = diff::diff(&old, &new).map_err(|error| {
            let rev = version.rev();
            Error::invalid(format!("{rev} cannot be compared: {error}"))
        })?;
        if !place.is_root() {
            let below = |inner: &Pointer| Pointer::from_escaped(&format!("{place}{inner}"));
            for change in &mut changes.changes {
                change.pointer = below(&change.pointer);
                change.moved_from = change.moved_from.as_ref().map(below);
            }
        }
        Ok(changes)
    }

    /// The old and the new value at `place`, as one change; `None` where this version did not change it.
    ///
    /// # Errors
    /// As [`Archive::changes_of`].
    pub fn value_change(&self, version: &Version, place: &Pointer) -> Result<Option<Change>> {
        let values = self.two_values(version, place)?;
        Ok(values.and_then(|(old, new)| whole(old, new, place)))
    }

    /// The value at a place in front of a version and in it; `None` where the documents are the same anyway.
    #[allow(clippy::type_complexity)]
    fn two_values(
        &self,
        version: &Version,
        place: &Pointer,
    ) -> Result<Option<(Option<Vec<u8>>, Option<Vec<u8>>)>> {
        let before = self.before(version)?;
        if before.as_ref().and_then(|before| before.id) == version.id {
            return Ok(None);
        }
        let value = |version: &Version| match version.is_deleted() {
            true => Ok(None),
            false => {
                let document = self.load_document(version)?;
                Ok::<_, Error>(document.pointer(place).map(<[u8]>::to_vec))
            }
        };
        let old = before.as_ref().map(value).transpose()?.flatten();
        Ok(Some((old, value(version)?)))
    }
}

/// Two values that differ as one change; canonical bytes are text.
fn whole(old: Option<Vec<u8>>, new: Option<Vec<u8>>, place: &Pointer) -> Option<Change> {
    let text = |bytes: Vec<u8>| {
        String::from_utf8_lossy(&bytes)
            .into_owned()
            .into_boxed_str()
    };
    let kind = match (old, new) {
        (Some(old), Some(new)) if old != new => ChangeKind::Changed {
            old: text(old),
            new: text(new),
        },
        (None, Some(new)) => ChangeKind::Added { new: text(new) },
        (Some(old), None) => ChangeKind::Removed { old: text(old) },
        _ => return None,
    };
    Some(Change {
        pointer: place.clone(),
        moved_from: None,
        kind,
    })
}
