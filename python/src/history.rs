//! What was saved when: versions, commits, tags, and what differs.

use backstory::diff::json::write_json;
use backstory::diff::merge::write_merge_patch;
use backstory::diff::patch::write_patch;
use backstory::diff::text::{TextOptions, write_text};
use backstory::diff::{DiffOptions, Pattern, Tolerance, compare};
use backstory::{Error, HistoryQuery, Result, Version};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::archive::{Handle, Library};
use crate::load::{Rev, find};
use crate::places::canonical_form;
use crate::rows;

/// Versions, newest first.
#[pyfunction]
fn history<'py>(
    py: Python<'py>,
    handle: &Handle,
    path: Option<String>,
    limit: Option<usize>,
    since: Option<i64>,
    until: Option<i64>,
    follow: bool,
) -> PyResult<Bound<'py, PyList>> {
    let versions: Vec<Version> = handle.run(py, |library| {
        if let Some(path) = &path
            && !library.archive.path_exists(path)?
        {
            return Err(Error::not_found(format!("no version of {path}")));
        }
        let query = HistoryQuery {
            path,
            limit,
            since,
            until,
            follow,
        };
        library.archive.history(query)?.collect()
    })?;
    rows::versions(py, &versions)
}

/// The newest version of each path at or below a prefix, deleted ones too.
#[pyfunction]
fn list<'py>(py: Python<'py>, handle: &Handle, prefix: &str) -> PyResult<Bound<'py, PyList>> {
    let versions = handle.run(py, |library| library.archive.list(prefix))?;
    rows::versions(py, &versions)
}

/// Commits, newest first.
#[pyfunction]
fn commits<'py>(
    py: Python<'py>,
    handle: &Handle,
    limit: Option<usize>,
) -> PyResult<Bound<'py, PyList>> {
    let views = handle.run(py, |library| {
        let commits = library.archive.commits()?;
        commits
            .take(limit.unwrap_or(usize::MAX))
            .collect::<Result<Vec<_>>>()
    })?;
    let list = PyList::empty(py);
    for view in &views {
        list.append(rows::commit(py, view)?)?;
    }
    Ok(list)
}

#[pyfunction]
fn tags<'py>(py: Python<'py>, handle: &Handle) -> PyResult<Bound<'py, PyList>> {
    let tags = handle.run(py, |library| library.archive.tags())?;
    let list = PyList::empty(py);
    for tag in &tags {
        list.append(rows::tag(py, tag)?)?;
    }
    Ok(list)
}

/// What is compared: a version, or JSON text under a name.
#[derive(FromPyObject)]
enum Side {
    Text((String, Vec<u8>)),
    Version(Rev),
}

/// One document to compare: its name, its canonical form, and whether numbers in it are tagged.
type Document = (String, Vec<u8>, bool);

fn document(library: &Library, side: &Side) -> Result<Document> {
    match side {
        Side::Version(rev) => {
            let version = find(library, rev)?;
            let loaded = library.archive.load_document(&version)?;
            Ok((version.rev(), loaded.canonical().to_vec(), version.nan))
        }
        Side::Text((name, text)) => match canonical_form(text, false) {
            Ok(canonical) => Ok((name.clone(), canonical, false)),
            Err(_) => Ok((name.clone(), canonical_form(text, true)?, true)),
        },
    }
}

/// JSON Pointers to ignore; pointers, absolute and relative tolerance; pointers of arrays and the member that tells their
/// elements apart.
type Asked = (
    Vec<String>,
    Vec<(Option<String>, f64, f64)>,
    Vec<(String, String)>,
);

fn options(asked: Asked) -> Result<DiffOptions> {
    let pattern = |text: &str| {
        Pattern::parse(text).map_err(|error| Error::invalid(format!("{text:?}: {error}")))
    };
    let (ignore, tolerances, keys) = asked;
    let mut options = DiffOptions::default();
    for text in ignore {
        options.ignore.push(pattern(&text)?);
    }
    for (at, absolute, relative) in tolerances {
        options.tolerances.push(Tolerance {
            at: at.as_deref().map(pattern).transpose()?,
            absolute,
            relative,
        });
    }
    for (at, name) in keys {
        options.keys.push((pattern(&at)?, name));
    }
    Ok(options)
}

/// What differs between two documents: JSON text as `backstory diff --format json` has it, text for people, a JSON Patch,
/// and a merge patch where there is one.
#[pyfunction]
fn diff<'py>(
    py: Python<'py>,
    handle: &Handle,
    old: Side,
    new: Side,
    asked: Asked,
) -> PyResult<Bound<'py, PyDict>> {
    let (json, text, patch, merge, hidden, nan) = handle.run(py, |library| {
        let (old_name, old, old_nan) = document(library, &old)?;
        let (new_name, new, new_nan) = document(library, &new)?;
        let cannot = |error: &dyn std::fmt::Display| {
            Error::invalid(format!("these documents cannot be compared: {error}"))
        };
        let compared = compare(&old, &new, &options(asked)?).map_err(|error| cannot(&error))?;
        let mut json = Vec::new();
        write_json(&compared.diff, Some(&old_name), Some(&new_name), &mut json);
        let mut text = String::new();
        write_text(&compared.diff, &TextOptions::default(), &mut text);
        let mut patch = Vec::new();
        write_patch(&compared.diff, &mut patch);
        let mut merge = Vec::new();
        let merge = write_merge_patch(&old, &new, &mut merge)
            .ok()
            .map(|()| merge);
        Ok((
            json,
            text,
            patch,
            merge,
            compared.hidden,
            old_nan || new_nan,
        ))
    })?;
    let row = PyDict::new(py);
    row.set_item("json", String::from_utf8_lossy(&json))?;
    row.set_item("text", text)?;
    row.set_item("patch", String::from_utf8_lossy(&patch))?;
    row.set_item("merge", merge.as_deref().map(String::from_utf8_lossy))?;
    row.set_item("hidden", hidden)?;
    row.set_item("nan", nan)?;
    Ok(row)
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(history, module)?)?;
    module.add_function(wrap_pyfunction!(list, module)?)?;
    module.add_function(wrap_pyfunction!(commits, module)?)?;
    module.add_function(wrap_pyfunction!(tags, module)?)?;
    module.add_function(wrap_pyfunction!(diff, module)?)
}
