//! The next version of a path from a patch.

use std::sync::Arc;

use super::Archive;
use super::engine::Fault;
use super::objects::ObjectReader;
use super::save::{Document, Save};
use super::version::Version;
use crate::canon::{self, Form, NanMode};
use crate::commit::SourceForm;
use crate::diff::apply::apply_patch;
use crate::error::{Error, Result};
use crate::layout::Layout;

impl Archive {
    /// Begins a commit of what a patch makes of the newest version of a path: an array is a JSON Patch (RFC 6902), an
    /// object a JSON Merge Patch (RFC 7396). It is committed only if that version is still the newest then. The document
    /// is written as the version before it was, where that can be done.
    ///
    /// # Errors
    /// `NotFound` where the path has no document; `InvalidDocument` for a patch that is no JSON; `Usage` for one that does
    /// not fit.
    ///
    /// ```
    /// # fn main() -> Result<(), backstory::Error> {
    /// use backstory::{Archive, Document};
    ///
    /// let archive = Archive::in_memory()?;
    /// let mut save = archive.save();
    /// save.add("config.json", Document::source("{ \"port\": 80 }\n"))?;
    /// save.commit()?;
    /// archive.patch("config.json", br#"{"port": 8080}"#)?.commit()?;
    /// let newest = archive.newest("config.json")?.expect("it was saved");
    /// assert_eq!(archive.load(&newest)?.source(), b"{ \"port\": 8080 }\n");
    /// # Ok(())
    /// # }
    /// ```
    pub fn patch(&self, path: &str, patch: &[u8]) -> Result<Save<'_>> {
        let newest = self
            .newest(path)?
            .ok_or_else(|| Error::not_found(format!("no version of {path}")))?;
        let document = self.load_document(&newest)?;
        let mode = match newest.nan {
            true => NanMode::Tag,
            false => NanMode::Reject,
        };
        let (patch, _) =
            canon::canonicalize_with(patch, mode).map_err(|source| Error::InvalidDocument {
                path: "the patch".to_owned(),
                source,
            })?;
        let patched = apply_patch(document.canonical(), &patch)
            .map_err(|error| Error::invalid(format!("{path}: {error}")))?;
        let canonical = canon::canonicalize(&patched).map_err(|source| Error::InvalidDocument {
            path: path.to_owned(),
            source,
        })?;
        let mut next = self.written_as(&newest, &canonical);
        if newest.nan {
            next = next.nan(NanMode::Tag);
        }
        if newest.file {
            next = next.file();
        }
        let mut save = self.save();
        save.add(path, next)?;
        save.if_version(newest.version);
        Ok(save)
    }

    /// A document written as a version was.
    fn written_as(&self, version: &Version, canonical: &[u8]) -> Document {
        let mut source = Vec::new();
        match version.form {
            SourceForm::Canonical => Document::source(canonical),
            SourceForm::Pretty => {
                canon::render(canonical, Form::Pretty, version.nan, &mut source);
                Document::source(source)
            }
            SourceForm::LaidOut { .. }
                if self.layout_of(version).is_some_and(|layout| {
                    layout.render(canonical, version.nan, &mut source).is_ok()
                }) =>
            {
                Document::source(source)
            }
            _ => {
                source.clear();
                canon::render(canonical, Form::Compact, version.nan, &mut source);
                Document::value(source)
            }
        }
    }

    fn layout_of(&self, version: &Version) -> Option<Arc<Layout>> {
        let SourceForm::LaidOut { layout, .. } = version.form else {
            return None;
        };
        let found = self.engine.ask(|catalog| -> Result<_, Fault> {
            ObjectReader::new(&self.engine, catalog).layout(layout)
        });
        found.ok()
    }
}
