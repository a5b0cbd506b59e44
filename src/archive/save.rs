//! Saving: documents in, one commit out.

use std::collections::HashSet;

use super::Archive;
use super::ahead::Ahead;
use super::batch::Batch;
use super::engine::Fault;
use super::guess::guess;
use super::plan::Order;
use super::restore::add_first;
use super::sources::NewSource;
use super::transaction::{NewObject, Newest, Seen, Transaction};
use super::version::{Change as Saved, Note};
use crate::canon::{self, CanonError, Form, NanMode};
use crate::commit::{Origin, SourceForm};
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::log::format::MAX_OBJECT_LEN;
use crate::path::check_path;

/// A document to be saved.
#[derive(Clone, Debug)]
pub struct Document {
    bytes: Vec<u8>,
    own_bytes: bool,
    /// It was read already: the bytes are its canonical form, without tags.
    canonical: bool,
    file: bool,
    nan: Option<NanMode>,
}

impl Document {
    /// JSON text as a user wrote it: the bytes are kept, and given back as they were.
    pub fn source(bytes: impl Into<Vec<u8>>) -> Document {
        Document {
            bytes: bytes.into(),
            own_bytes: true,
            canonical: false,
            file: false,
            nan: None,
        }
    }

    /// JSON text whose layout means nothing: only the document is kept.
    pub fn value(json: impl Into<Vec<u8>>) -> Document {
        Document {
            bytes: json.into(),
            own_bytes: false,
            canonical: false,
            file: false,
            nan: None,
        }
    }

    /// A document without bytes of its own whose canonical form the caller has made itself, with `NaN` rejected.
    pub(crate) fn canonical(bytes: impl Into<Vec<u8>>) -> Document {
        Document {
            canonical: true,
            ..Document::value(bytes)
        }
    }

    /// The text.
    #[cfg(test)]
    pub(crate) fn text(&self) -> &[u8] {
        &self.bytes
    }

    /// The document is what the file at its path holds: rollback may write that file.
    pub fn file(mut self) -> Document {
        self.file = true;
        self
    }

    /// What to do with `NaN` and the infinities; else what the path's newest version was saved with.
    pub fn nan(mut self, mode: NanMode) -> Document {
        self.nan = Some(mode);
        self
    }
}

/// A document that was read: canonical, hashed, and the form of its source known.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub path: String,
    pub nan: bool,
    pub file: bool,
    pub object: NewObject,
    source: Written,
    /// What was newest when this was compressed.
    pub seen: Option<Seen>,
    /// The path that this one takes over from.
    pub from: Option<String>,
}

/// How a document was written.
#[derive(Clone, Debug)]
enum Written {
    /// It came without bytes of its own.
    NotAtAll,
    Canonical,
    Pretty,
    /// In bytes that must be stored.
    Own(Box<NewSource>),
}

impl Written {
    /// The form of the source; one that is stored gets its form on staging.
    fn form(&self) -> SourceForm {
        match self {
            Written::NotAtAll | Written::Own(_) => SourceForm::None,
            Written::Canonical => SourceForm::Canonical,
            Written::Pretty => SourceForm::Pretty,
        }
    }

    fn own(&self) -> Option<&NewSource> {
        match self {
            Written::Own(source) => Some(source),
            _ => None,
        }
    }
}

/// Conditions on the newest version of a path.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Conditions {
    pub if_version: Option<u64>,
    pub if_absent: bool,
}

impl Conditions {
    pub fn check(&self, path: &str, newest: Option<&Newest>) -> Result<(), Fault> {
        let version = newest.map_or(0, |newest| newest.row.version);
        if let Some(expected) = self.if_version
            && expected != version
        {
            let there = if newest.is_some() {
                format!("is at version {version}")
            } else {
                "has no version".into()
            };
            let message = format!("{path} {there}, not at version {expected}");
            return Err(Fault::Error(Error::conflict(path, version, message)));
        }
        if self.if_absent && newest.is_some_and(|newest| newest.change().content.is_some()) {
            let message = format!("{path} exists already, at version {version}");
            return Err(Fault::Error(Error::conflict(path, version, message)));
        }
        Ok(())
    }
}

impl Prepared {
    /// Can the document and its source be kept? What is longer could be written, and never be read.
    fn check_len(&self, most: u64) -> Result<()> {
        let source = match &self.source {
            Written::Own(source) => source.bytes.len(),
            Written::NotAtAll | Written::Canonical | Written::Pretty => 0,
        };
        let len = self.object.bytes.len().max(source) as u64;
        if len > most {
            let path = &self.path;
            let message =
                format!("{path}: a document of {len} bytes is too long, the most is {most}");
            return Err(Error::invalid(message));
        }
        Ok(())
    }

    /// Reads a document. `default` is what to do with numbers that JSON does not have where the document says
    /// nothing of it.
    pub fn new(
        path: &str,
        document: Document,
        default: NanMode,
    ) -> Result<Prepared, (CanonError, Document)> {
        if document.canonical {
            return Ok(Prepared {
                path: path.to_owned(),
                nan: false,
                file: document.file,
                object: NewObject {
                    id: ObjectId::of(&document.bytes),
                    bytes: document.bytes.into(),
                    guess: None,
                },
                source: Written::NotAtAll,
                seen: None,
                from: None,
            });
        }
        let mode = document.nan.unwrap_or(default);
        let (canonical, outcome) = match canon::canonicalize_with(&document.bytes, mode) {
            Ok(done) => done,
            Err(error) => return Err((error, document)),
        };
        let nan = outcome.tagged;
        let id = ObjectId::of(&canonical);
        let source = if !document.own_bytes {
            Written::NotAtAll
        } else if document.bytes == canonical {
            Written::Canonical
        } else if canon::renders_to(&canonical, Form::Pretty, nan, &document.bytes) {
            Written::Pretty
        } else {
            Written::Own(Box::new(NewSource {
                id: ObjectId::of(&document.bytes),
                bytes: document.bytes.into(),
                guess: None,
            }))
        };
        Ok(Prepared {
            path: path.to_owned(),
            nan,
            file: document.file,
            object: NewObject {
                id,
                bytes: canonical.into(),
                guess: None,
            },
            source,
            seen: None,
            from: None,
        })
    }

    /// The form of the source; one that is stored gets its form on staging.
    pub fn form(&self) -> SourceForm {
        self.source.form()
    }

    /// The source, where it is stored.
    pub fn stored_source(&self) -> Option<&NewSource> {
        self.source.own()
    }

    /// The source, where it must be stored.
    pub fn own_source(&mut self) -> Option<&mut NewSource> {
        match &mut self.source {
            Written::Own(source) => Some(source),
            _ => None,
        }
    }

    /// Is this version this very content, and can it be loaded?
    pub fn is_current(
        &self,
        transaction: &Transaction<'_>,
        newest: Option<&Newest>,
        ignore_format: bool,
    ) -> Result<bool, Fault> {
        let Some(content) = newest.and_then(|newest| newest.change().content) else {
            return Ok(false);
        };
        if content.object != self.object.id || content.nan != self.nan {
            return Ok(false);
        }
        let same = match &self.source {
            _ if ignore_format => true,
            Written::NotAtAll => true,
            Written::Own(source) => transaction.has_source(&content, source, &self.object)?,
            written => content.source == written.form(),
        };
        let Some(newest) = newest.filter(|_| same) else {
            return Ok(false);
        };
        // Of a version that is damaged this is the only copy. A source that was compared has been written by its layout.
        match (&self.source, ignore_format) {
            (Written::Own(_), false) => transaction.loads(newest, self.seen.as_ref()),
            _ => transaction.is_whole(newest),
        }
    }
}

/// A commit of one or more documents, all of them or none.
///
/// ```
/// # fn main() -> Result<(), backstory::Error> {
/// use backstory::{Archive, Document};
///
/// let archive = Archive::in_memory()?;
/// let mut save = archive.save();
/// save.add("config/a.json", Document::source("{\"port\": 80}\n"))?;
/// save.add("config/b.json", Document::source("[1, 2]\n"))?;
/// let changes = save.commit()?;
/// assert_eq!(changes[1].rev(), "config/b.json@1");
/// assert_eq!(changes[0].commit, changes[1].commit);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is saved before commit()"]
pub struct Save<'a> {
    archive: &'a Archive,
    pub(super) order: Order,
    paths: HashSet<String>,
    /// How many documents are with the threads of a batch.
    handed_over: usize,
}

impl<'a> Save<'a> {
    pub(crate) fn new(archive: &'a Archive) -> Save<'a> {
        Save {
            archive,
            order: Order::default(),
            paths: HashSet::new(),
            handed_over: 0,
        }
    }

    /// Adds a document. It is read at once; an error leaves the commit as it was, so that a caller may list every
    /// invalid document, or go on without it.
    ///
    /// # Errors
    /// `InvalidDocument` with line, column and JSON Pointer; `Usage` for a path that is none, or is added twice.
    pub fn add(&mut self, path: &str, document: Document) -> Result<&mut Self> {
        let prepared = self.archive.prepare(path, document)?;
        if !self.paths.insert(path.to_owned()) {
            return Err(Error::invalid(format!("{path} is in this commit already")));
        }
        self.order.documents.push(prepared);
        Ok(self)
    }

    /// Adds a document that was under another path before, which ends in the same commit. Where `from` has this very
    /// document now, and `path` has none, that is a rename, which the history follows.
    ///
    /// # Errors
    /// As for [`Save::add`]; `from` must not be in the commit otherwise.
    pub fn add_moved(&mut self, from: &str, path: &str, document: Document) -> Result<&mut Self> {
        if self.paths.contains(from) || from == path {
            return Err(Error::invalid(format!("{from} is in this commit already")));
        }
        self.add(path, document)?;
        self.paths.insert(from.to_owned());
        if let Some(added) = self.order.documents.last_mut() {
            added.from = Some(from.to_owned());
        }
        Ok(self)
    }

    /// Ends a path in the same commit; nothing happens where it has no document.
    ///
    /// # Errors
    /// `Usage` for a path that is in the commit already.
    pub fn delete(&mut self, path: &str) -> Result<&mut Self> {
        if !self.paths.insert(path.to_owned()) {
            return Err(Error::invalid(format!("{path} is in this commit already")));
        }
        self.order.ends.push(path.to_owned());
        Ok(self)
    }

    /// Where the commit comes from, when it is a copy of one of another archive.
    pub fn origin(&mut self, origin: Origin) -> &mut Self {
        self.order.origin = Some(origin);
        self
    }

    /// Content equal to the newest version makes a version all the same, as the copy of a history needs it.
    pub fn repeat(&mut self, yes: bool) -> &mut Self {
        self.order.rules.repeat = yes;
        self
    }

    /// Saves what the file of a path holds in a commit of its own in front, with the same sync. Conditions are about the
    /// versions in front of it.
    ///
    /// # Errors
    /// `InvalidDocument` where it cannot be saved.
    pub fn save_first(&mut self, path: &str, document: Document) -> Result<&mut Self> {
        let prepared = self.archive.prepare(path, document)?;
        add_first(&mut self.order.first, prepared)?;
        Ok(self)
    }

    /// Message, author, metadata and time of the commit.
    pub fn note(&mut self, note: Note) -> &mut Self {
        self.order.note = note;
        self
    }

    /// Commits only if the newest version of every path is this one (0: it has none).
    pub fn if_version(&mut self, version: u64) -> &mut Self {
        self.order.rules.conditions.if_version = Some(version);
        self
    }

    /// Commits only if no path has a document now.
    pub fn if_absent(&mut self) -> &mut Self {
        self.order.rules.conditions.if_absent = true;
        self
    }

    /// The same document in other bytes makes no version.
    pub fn ignore_format(&mut self, yes: bool) -> &mut Self {
        self.order.rules.ignore_format = yes;
        self
    }

    /// How many documents were added, and paths ended.
    pub fn len(&self) -> usize {
        self.handed_over + self.order.documents.len() + self.order.ends.len()
    }

    /// Gives the documents to threads, as those of the commit of this number.
    pub(super) fn hand_over(&mut self, ahead: &mut Ahead, number: usize) {
        let documents = &mut self.order.documents;
        let first = self.handed_over;
        self.handed_over += documents.len();
        ahead.take((number, first), documents);
    }

    /// Was nothing added?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Is this path in the commit?
    pub fn has(&self, path: &str) -> bool {
        self.paths.contains(path)
    }

    /// Commits. Once this returns the commit is on disk; what is `Unchanged` was there before. The answers are in the
    /// order of the calls, those of [`Save::save_first`] in front.
    ///
    /// # Errors
    /// `Conflict` where a condition does not hold, `Busy`, `Io`, `OutcomeUnknown`.
    pub fn commit(mut self) -> Result<Vec<Saved>> {
        debug_assert_eq!(self.handed_over, 0, "a batch has its documents");
        if self.is_empty() {
            return Ok(Vec::new());
        }
        if self.order.documents.len() > 1 {
            let mut batch = Batch::new(self.archive);
            batch.push(self);
            return Ok(batch.commit()?.into_iter().flatten().collect());
        }
        let engine = &self.archive.engine;
        for document in &mut self.order.documents {
            guess(document, engine);
        }
        let order = self.order;
        engine.submit(move |transaction| order.stage(transaction))
    }
}

impl Archive {
    /// Reads a document for a path, as the path's newest version says of numbers that JSON does not have.
    pub(crate) fn prepare(&self, path: &str, document: Document) -> Result<Prepared> {
        check_path(path).map_err(|error| Error::invalid(error.to_string()))?;
        let invalid = |source| Error::InvalidDocument {
            path: path.to_owned(),
            source,
        };
        let prepared = match Prepared::new(path, document, NanMode::Reject) {
            Ok(prepared) => prepared,
            Err((first, document)) if document.nan.is_none() => match self.newest(path)? {
                Some(newest) if newest.nan => Prepared::new(path, document, NanMode::Tag)
                    .map_err(|(error, _)| invalid(error))?,
                _ => return Err(invalid(first)),
            },
            Err((error, _)) => return Err(invalid(error)),
        };
        prepared.check_len(MAX_OBJECT_LEN)?;
        Ok(prepared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_read_again_is_not_written() {
        let check = |text: &str, most| {
            let prepared = Prepared::new("a", Document::source(text), NanMode::Reject);
            prepared.unwrap().check_len(most).is_ok()
        };
        assert!(check("[1,2]", 5) && !check("[1,2]", 4));
        // The source is the longer one; the canonical form is.
        assert!(check("[ 1]", 4) && !check("[ 1]", 3));
        assert!(check("1e20", 21) && !check("1e20", 20));
    }
}
