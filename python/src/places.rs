//! Which archive a file belongs to; provenance; canonical form.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use backstory::canon::{NanMode, canonicalize_with};
use backstory::provenance::{Provenance, git_state};
use backstory::workspace::{find_archive, project_root, start_folder};
use backstory::{Error, ObjectId};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::raise;
use crate::gate::detached;

/// The folder of the nearest archive above an absolute file, and whether there is one; else where it belongs.
#[pyfunction]
fn place_of(file: PathBuf) -> (OsString, bool) {
    let start = start_folder(Path::new("/"), &file);
    match find_archive(&start) {
        Some(root) => (root.into(), true),
        None => (project_root(&start).into(), false),
    }
}

/// The JSON text of a provenance; git is asked in each of `folders` until there is a work tree.
#[pyfunction]
fn provenance(
    py: Python<'_>,
    command: Vec<String>,
    folders: Vec<PathBuf>,
    host: Option<String>,
    user: Option<String>,
    python: Option<String>,
) -> String {
    detached(py, || {
        let mut provenance = Provenance::of_command(&command);
        provenance.git = folders.iter().find_map(|folder| git_state(folder));
        provenance.host = host;
        provenance.user = user;
        provenance.python = python;
        provenance.to_value().to_string()
    })
}

pub fn nan_mode(tag: bool) -> NanMode {
    match tag {
        true => NanMode::Tag,
        false => NanMode::Reject,
    }
}

/// The canonical form of JSON text.
pub fn canonical_form(text: &[u8], tag: bool) -> backstory::Result<Vec<u8>> {
    let canonical = canonicalize_with(text, nan_mode(tag));
    canonical
        .map(|(canonical, _)| canonical)
        .map_err(|source| Error::InvalidDocument {
            path: "the document".to_owned(),
            source,
        })
}

/// The canonical form of JSON text.
#[pyfunction]
fn canonicalize<'py>(py: Python<'py>, text: &[u8], nan: bool) -> PyResult<Bound<'py, PyBytes>> {
    let canonical = detached(py, || canonical_form(text, nan)).map_err(|error| raise(py, error))?;
    Ok(PyBytes::new(py, &canonical))
}

/// The id that JSON text has as a document.
#[pyfunction]
fn object_id(py: Python<'_>, text: &[u8], nan: bool) -> PyResult<String> {
    let id = detached(py, || {
        canonical_form(text, nan).map(|canonical| ObjectId::of(&canonical))
    });
    id.map(|id| id.to_string())
        .map_err(|error| raise(py, error))
}

/// Lays out compact JSON text.
#[pyfunction]
fn indent<'py>(py: Python<'py>, compact: &[u8], unit: &[u8]) -> Bound<'py, PyBytes> {
    let text = detached(py, || crate::indent::indent(compact, unit));
    PyBytes::new(py, &text)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(place_of, module)?)?;
    module.add_function(wrap_pyfunction!(provenance, module)?)?;
    module.add_function(wrap_pyfunction!(canonicalize, module)?)?;
    module.add_function(wrap_pyfunction!(object_id, module)?)?;
    module.add_function(wrap_pyfunction!(indent, module)?)
}
