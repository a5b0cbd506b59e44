//! `doc()`: the canonical form of a document as text.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;

use super::Slot;
use crate::archive::Archive;
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::revision::{self, Spec};

/// Bytes of documents that are kept for the next call: a query mostly asks for several values of one.
const KEPT: usize = 16 << 20;

/// Makes `doc()` known. What it cannot load goes to `failed`, as SQLite passes on nothing but text.
pub(super) fn register(
    connection: &Connection,
    archive: &Archive,
    failed: &Slot,
) -> rusqlite::Result<()> {
    let archive = archive.clone();
    let failed = failed.clone();
    let kept = Mutex::new(Kept::default());
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("doc", 1, flags, move |context| {
        let name = match context.get_raw(0) {
            ValueRef::Null => return Ok(None),
            ValueRef::Text(name) => String::from_utf8_lossy(name).into_owned(),
            _ => {
                let message = "doc() takes the id of a document, or 'PATH@REV'";
                return Err(rusqlite::Error::UserFunctionError(message.into()));
            }
        };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.document(&archive, &name) {
            Ok(document) => Ok(document),
            Err(error) => {
                let error = about(error, &name);
                let message = error.to_string();
                *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Err(rusqlite::Error::UserFunctionError(message.into()))
            }
        }
    })
}

/// Which document it was about: SQLite does not say in which row it called.
fn about(error: Error, name: &str) -> Error {
    match error {
        Error::Corrupt(mut at) => {
            at.message = format!("{}; asked for by doc('{name}')", at.message);
            Error::Corrupt(at)
        }
        Error::NotFound(message) => Error::NotFound(format!("doc('{name}'): {message}")),
        Error::Usage(message) => Error::Usage(format!("doc('{name}'): {message}")),
        other => other,
    }
}

#[derive(Default)]
struct Kept {
    documents: HashMap<ObjectId, Arc<str>>,
    len: usize,
}

impl Kept {
    /// The canonical form of a document; `None` where the path ended.
    fn document(&mut self, archive: &Archive, name: &str) -> Result<Option<Arc<str>>> {
        let known = name.parse::<ObjectId>().ok();
        if let Some(document) = known.and_then(|id| self.documents.get(&id)) {
            return Ok(Some(document.clone()));
        }
        let version = match known {
            Some(id) => archive.find_object(&id)?,
            None => {
                let (path, spec) = match archive.path_exists(name)? {
                    true => (name, Spec::Latest),
                    false => {
                        let revision = revision::split(name);
                        let spec = revision.1.map_or(Ok(Spec::Latest), Spec::parse);
                        let spec = spec.map_err(|error| Error::invalid(error.to_string()))?;
                        (revision.0, spec)
                    }
                };
                archive.resolve(path, &spec)?
            }
        };
        let Some(id) = version.id else {
            return Ok(None);
        };
        if let Some(document) = self.documents.get(&id) {
            return Ok(Some(document.clone()));
        }
        let loaded = archive.load_document(&version)?;
        let document: Arc<str> = String::from_utf8_lossy(loaded.canonical()).into();
        if self.len + document.len() > KEPT {
            self.documents.clear();
            self.len = 0;
        }
        if document.len() <= KEPT {
            self.len += document.len();
            self.documents.insert(id, document.clone());
        }
        Ok(Some(document))
    }
}
