//! Naming versions, and loading them.

use std::ffi::OsString;
use std::path::PathBuf;

use backstory::canon::Form;
use backstory::pointer::Pointer;
use backstory::{Error, Result, Spec, Version, revision};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::archive::{Handle, Library};
use crate::rows::{self, Row};

/// A path, and what stands behind the `@`; nothing is the newest version.
pub type Rev = (String, Option<String>);

pub fn spec_of(text: &str) -> Result<Spec> {
    Spec::parse(text).map_err(|error| Error::invalid(error.to_string()))
}

/// The version that is meant; it may be a deletion.
pub fn find(library: &Library, rev: &Rev) -> Result<Version> {
    let (path, spec) = rev;
    let spec = spec.as_deref().map_or(Ok(Spec::Latest), spec_of)?;
    library.archive.resolve(path, &spec)
}

/// The archive path of an absolute file.
#[pyfunction]
fn path_of(py: Python<'_>, handle: &Handle, file: PathBuf) -> PyResult<String> {
    handle.run(py, |library| library.workspace()?.path_of_file(&file))
}

/// The file that belongs to an archive path.
#[pyfunction]
fn file_of(py: Python<'_>, handle: &Handle, path: &str) -> PyResult<OsString> {
    handle.run(py, |library| Ok(library.workspace()?.file_of(path).into()))
}

/// Takes `PATH@SPEC` apart; `@SPEC` keeps the path of the one in front. An archived path is a path, whatever is in it.
#[pyfunction]
fn split_rev(py: Python<'_>, handle: &Handle, text: &str, before: Option<&str>) -> PyResult<Rev> {
    handle.run(py, |library| {
        if library.archive.path_exists(text)? {
            return Ok((text.to_owned(), None));
        }
        let (path, spec) = revision::split(text);
        let path = match (path.is_empty(), before) {
            (false, _) => path,
            (true, Some(before)) => before,
            (true, None) => {
                let message = format!("{text:?} names no path in front of the @");
                return Err(Error::invalid(message));
            }
        };
        Ok((path.to_owned(), spec.map(str::to_owned)))
    })
}

#[pyfunction]
fn resolve<'py>(py: Python<'py>, handle: &Handle, rev: Rev) -> PyResult<Row<'py>> {
    let version = handle.run(py, |library| find(library, &rev))?;
    rows::version(py, &version)
}

/// The newest version of a path, if there is any.
#[pyfunction]
fn newest<'py>(py: Python<'py>, handle: &Handle, path: &str) -> PyResult<Option<Row<'py>>> {
    let newest = handle.run(py, |library| library.archive.newest(path))?;
    newest
        .map(|version| rows::version(py, &version))
        .transpose()
}

/// The bytes of a version in a form: as they were saved (`source`), `pretty`, `compact` or `canonical`. With a JSON
/// Pointer those of one value, which has no source. And whether numbers in the canonical form are tagged.
#[pyfunction]
fn load<'py>(
    py: Python<'py>,
    handle: &Handle,
    rev: Rev,
    form: &str,
    pointer: Option<&str>,
) -> PyResult<(Bound<'py, PyBytes>, bool)> {
    let (bytes, nan) = handle.run(py, |library| {
        let version = find(library, &rev)?;
        if let Some(text) = pointer {
            let place = Pointer::parse(text).map_err(|error| Error::invalid(error.to_string()))?;
            let document = library.archive.load_document(&version)?;
            let value = document.pointer(&place);
            let none = || Error::not_found(format!("{} has no value at {text}", version.rev()));
            return Ok((value.ok_or_else(none)?.to_vec(), version.nan));
        }
        let archive = &library.archive;
        let bytes = match form {
            "source" => archive.load(&version)?.into_source(),
            "pretty" => archive.load_document(&version)?.render(Form::Pretty),
            "compact" => archive.load_document(&version)?.render(Form::Compact),
            "canonical" => archive.load_document(&version)?.canonical().to_vec(),
            other => {
                let message = format!("{other:?} is no form: source, pretty, compact, canonical");
                return Err(Error::invalid(message));
            }
        };
        Ok((bytes, version.nan && form == "canonical"))
    })?;
    Ok((PyBytes::new(py, &bytes), nan))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(path_of, module)?)?;
    module.add_function(wrap_pyfunction!(file_of, module)?)?;
    module.add_function(wrap_pyfunction!(split_rev, module)?)?;
    module.add_function(wrap_pyfunction!(resolve, module)?)?;
    module.add_function(wrap_pyfunction!(newest, module)?)?;
    module.add_function(wrap_pyfunction!(load, module)?)
}
