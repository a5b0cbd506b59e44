//! Saving: a file with its history, and documents into an archive.

use std::ffi::OsString;
use std::path::PathBuf;

use backstory::workspace::FileContent;
use backstory::{Change, Document, Error, Note, Result};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::archive::Handle;
use crate::error::raise;
use crate::indent::indent;
use crate::places::nan_mode;
use crate::rows::{self, Row};

/// Message, author, metadata as JSON text, time.
pub type NoteRow = (Option<String>, Option<String>, Option<String>, Option<i64>);

pub fn note(row: NoteRow) -> Result<Note> {
    let (message, author, meta, time) = row;
    let meta = match meta.map(|text| serde_json::from_str(&text)) {
        None => serde_json::Map::new(),
        Some(Ok(serde_json::Value::Object(meta))) => meta,
        Some(_) => {
            return Err(Error::invalid(
                "metadata is a dictionary that JSON can hold",
            ));
        }
    };
    Ok(Note {
        message,
        author,
        meta,
        time,
    })
}

/// Now in seconds, as microseconds since the Unix epoch: part of the names of files that are moved aside.
pub fn stamp() -> i64 {
    use std::time::{SystemTime, UNIX_EPOCH};
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = since.map_or(0, |since| since.as_secs());
    i64::try_from(seconds).map_or(0, |seconds| seconds.saturating_mul(1_000_000))
}

/// The change; the version of what stood in the file, where that was saved in front; the new names of what could not be;
/// and the error, where the file could not be replaced.
type Saved<'py> = (Row<'py>, Option<Row<'py>>, Vec<OsString>, Option<Py<PyAny>>);

/// Saves JSON text as a new version of the path of an absolute file, and replaces the file by it. With `unit` the text is
/// laid out first.
#[pyfunction]
fn save_file<'py>(
    py: Python<'py>,
    handle: &Handle,
    file: PathBuf,
    text: &[u8],
    unit: Option<&[u8]>,
    said: NoteRow,
    if_version: Option<u64>,
) -> PyResult<Saved<'py>> {
    let saved = handle.run(py, |library| {
        let content = FileContent {
            bytes: unit.map_or_else(|| text.to_vec(), |unit| indent(text, unit)),
            nan: Some(nan_mode(true)),
            note: note(said)?,
            if_version,
            if_absent: false,
        };
        library.workspace()?.save_file(&file, content, stamp())
    })?;
    let first = saved.first.map(|first| rows::change(py, &first));
    let error = saved.written.err().map(|error| raise(py, error));
    Ok((
        rows::change(py, &saved.change)?,
        first.transpose()?,
        saved
            .aside
            .into_iter()
            .map(PathBuf::into_os_string)
            .collect(),
        error.map(|error| error.into_value(py).into_any()),
    ))
}

/// What a commit of documents asks for: the newest version, or none; and whether another layout makes a version.
type Conditions = (Option<u64>, bool, bool);

/// Saves documents, each a path, its JSON text and a unit of indentation to lay it out with, in one commit.
#[pyfunction]
fn save<'py>(
    py: Python<'py>,
    handle: &Handle,
    documents: Vec<(String, Vec<u8>, Option<Vec<u8>>)>,
    said: NoteRow,
    conditions: Conditions,
) -> PyResult<Bound<'py, PyList>> {
    let changes: Vec<Change> = handle.run(py, |library| {
        let (if_version, if_absent, ignore_format) = conditions;
        let mut save = library.archive.save();
        save.note(note(said)?).ignore_format(ignore_format);
        if let Some(version) = if_version {
            save.if_version(version);
        }
        if if_absent {
            save.if_absent();
        }
        for (path, text, unit) in documents {
            let text = unit.map_or_else(|| text.clone(), |unit| indent(&text, &unit));
            save.add(&path, Document::source(text).nan(nan_mode(true)))?;
        }
        save.commit()
    })?;
    rows::changes(py, &changes)
}

/// Saves what a JSON Patch (RFC 6902) makes of the newest version of a path.
#[pyfunction]
fn patch<'py>(
    py: Python<'py>,
    handle: &Handle,
    path: &str,
    patch: &[u8],
    said: NoteRow,
    if_version: Option<u64>,
) -> PyResult<Bound<'py, PyList>> {
    let changes = handle.run(py, |library| {
        let mut save = library.archive.patch(path, patch)?;
        save.note(note(said)?);
        if let Some(version) = if_version {
            save.if_version(version);
        }
        save.commit()
    })?;
    rows::changes(py, &changes)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(save_file, module)?)?;
    module.add_function(wrap_pyfunction!(save, module)?)?;
    module.add_function(wrap_pyfunction!(patch, module)?)
}
