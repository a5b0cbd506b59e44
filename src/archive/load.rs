//! Loading: documents out of the archive, every byte checked.

use std::sync::Arc;

use super::Archive;
use super::objects::ObjectReader;
use super::version::*;
use crate::canon::{self, Form};
use crate::commit::SourceForm;
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::pointer::{self, Pointer};

/// A document out of the archive with the bytes it was saved in, both checked.
#[derive(Clone, Debug)]
pub struct Loaded {
    document: LoadedDocument,
    source: Option<Arc<Vec<u8>>>,
}

/// A document out of the archive, its hash checked, without the bytes it was saved in.
#[derive(Clone, Debug)]
pub struct LoadedDocument {
    version: Version,
    canonical: Arc<Vec<u8>>,
}

impl std::ops::Deref for Loaded {
    type Target = LoadedDocument;

    fn deref(&self) -> &LoadedDocument {
        &self.document
    }
}

impl Loaded {
    /// The bytes as they were saved; the pretty form where the document came without bytes of its own.
    pub fn source(&self) -> Vec<u8> {
        match (&self.source, self.version.form) {
            (Some(source), _) => source.to_vec(),
            (None, SourceForm::Canonical) => self.canonical.to_vec(),
            _ => self.render(Form::Pretty),
        }
    }

    /// The same, without a copy where that can be.
    pub fn into_source(self) -> Vec<u8> {
        match self.source {
            Some(source) => Arc::unwrap_or_clone(source),
            None => self.source(),
        }
    }
}

impl LoadedDocument {
    /// Which version it is of.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The canonical form: its BLAKE3 is the version's id.
    pub fn canonical(&self) -> &[u8] {
        &self.canonical
    }

    /// The document laid out anew; numbers that JSON does not have are given back as they were written.
    pub fn render(&self, form: Form) -> Vec<u8> {
        let mut out = Vec::new();
        canon::render(&self.canonical, form, self.version.nan, &mut out);
        out
    }

    /// The canonical form of the value that a JSON Pointer names.
    pub fn pointer(&self, pointer: &Pointer) -> Option<&[u8]> {
        pointer::find(&self.canonical, pointer).and_then(|range| self.canonical.get(range))
    }
}

impl Version {
    /// The id of its document, which a deletion has none of.
    fn object(&self) -> Result<ObjectId> {
        self.id.ok_or_else(|| {
            let (path, version) = (&self.path, self.version);
            Error::NotFound(format!("{path} was deleted in version {version}"))
        })
    }
}

impl Archive {
    /// The document of a version without the bytes it was saved in, its hash checked: where these are damaged it may
    /// still be whole.
    ///
    /// # Errors
    /// `NotFound` for a deletion; `Corrupt` where the content does not have its hash.
    pub fn load_document(&self, version: &Version) -> Result<LoadedDocument> {
        let id = version.object()?;
        self.engine.ask(|catalog| {
            let objects = ObjectReader::new(&self.engine, catalog);
            let located = objects.change_at(version.seq, version.change)?;
            Ok(LoadedDocument {
                version: version.clone(),
                canonical: objects.named(&located, version.seq, &id, Some(&self.engine.cache))?,
            })
        })
    }

    /// The document of a version. Every byte given out has been compared with the hash that names it.
    ///
    /// # Errors
    /// `NotFound` for a deletion; `Corrupt` where the content does not have its hash.
    pub fn load(&self, version: &Version) -> Result<Loaded> {
        let id = version.object()?;
        self.engine.ask(|catalog| {
            let objects = ObjectReader::new(&self.engine, catalog);
            let located = objects.change_at(version.seq, version.change)?;
            let cache = Some(&self.engine.cache);
            let canonical = objects.named(&located, version.seq, &id, cache)?;
            let source = match version.form {
                SourceForm::Object(id) => Some(objects.named(&located, version.seq, &id, cache)?),
                SourceForm::LaidOut { check, layout } => {
                    let kept = (check, layout);
                    let place = (version.seq, version.path.as_str());
                    let source = objects.laid_out(&canonical, version.nan, kept, place)?;
                    Some(Arc::new(source))
                }
                SourceForm::None | SourceForm::Canonical | SourceForm::Pretty => None,
            };
            let document = LoadedDocument {
                version: version.clone(),
                canonical,
            };
            Ok(Loaded { document, source })
        })
    }

    /// The BLAKE3 of the bytes as they were saved, where they are stored; `None` where the canonical or the pretty form
    /// gives them back. Where a layout makes them the document must be loaded to know.
    ///
    /// # Errors
    /// As [`load`](Archive::load).
    pub fn source_id(&self, version: &Version) -> Result<Option<ObjectId>> {
        match version.form {
            SourceForm::LaidOut { .. } => Ok(Some(ObjectId::of(&self.load(version)?.source()))),
            _ => Ok(version.source),
        }
    }
}
