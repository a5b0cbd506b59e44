//! The archive as a whole: is it sound, how large is it, and keeping it so.

use std::path::PathBuf;

use backstory::repair::{RepairOptions, repair as repair_archive};
use backstory::verify::{Loss, Report, VerifyOptions, verify as verify_archive};
use backstory::{CommitId, CompactOptions, Error};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::archive::Handle;
use crate::error::raise;
use crate::gate::detached;
use crate::rows::Row;

fn losses<'py>(py: Python<'py>, all: &[Loss]) -> PyResult<Bound<'py, PyList>> {
    let list = PyList::empty(py);
    for loss in all {
        let row = PyDict::new(py);
        row.set_item("noted", loss.noted)?;
        row.set_item("commits", loss.commits)?;
        row.set_item("versions", &loss.versions)?;
        list.append(row)?;
    }
    Ok(list)
}

fn report<'py>(py: Python<'py>, report: &Report) -> PyResult<Row<'py>> {
    let findings = PyList::empty(py);
    for finding in &report.findings {
        let row = PyDict::new(py);
        row.set_item("kind", finding.kind.to_string())?;
        row.set_item("segment", &finding.segment)?;
        row.set_item("offset", finding.offset)?;
        row.set_item("message", &finding.message)?;
        row.set_item("affects", &finding.affects)?;
        findings.append(row)?;
    }
    let row = PyDict::new(py);
    row.set_item("ok", report.ok)?;
    row.set_item("commits", report.commits)?;
    row.set_item("objects", report.objects)?;
    row.set_item("head", report.head.to_string())?;
    row.set_item("findings", findings)?;
    row.set_item("losses", losses(py, &report.losses)?)?;
    Ok(row)
}

/// Reads every record and checks every hash; with `quick` all but the documents. `head` is a commit id that must be in
/// the chain.
#[pyfunction]
fn verify<'py>(
    py: Python<'py>,
    handle: &Handle,
    quick: bool,
    head: Option<String>,
) -> PyResult<Row<'py>> {
    let done = handle.run(py, |library| {
        let head = head.map(|text| text.parse::<CommitId>()).transpose();
        let head = head.map_err(|_| Error::invalid("a commit id has 64 hexadecimal digits"))?;
        let mut options = VerifyOptions::default();
        (options.quick, options.head) = (quick, head);
        verify_archive(&library.archive, &options)
    })?;
    report(py, &done)
}

/// Repairs the archive in a folder: what was done to which file, what is gone, and the archive as it is now.
#[pyfunction]
fn repair<'py>(py: Python<'py>, root: PathBuf) -> PyResult<Row<'py>> {
    let done = detached(py, || repair_archive(&root, &RepairOptions::default()));
    let done = done.map_err(|error| raise(py, error))?;
    let steps = PyList::empty(py);
    for step in &done.steps {
        let row = PyDict::new(py);
        row.set_item("file", &step.file)?;
        row.set_item("what", &step.what)?;
        row.set_item("kept", &step.kept)?;
        steps.append(row)?;
    }
    let row = PyDict::new(py);
    row.set_item("steps", steps)?;
    row.set_item("lost", losses(py, &done.lost)?)?;
    row.set_item("report", report(py, &done.report)?)?;
    Ok(row)
}

/// The number and the id of the newest commit.
#[pyfunction]
fn head(py: Python<'_>, handle: &Handle) -> PyResult<(u64, String)> {
    let head = handle.run(py, |library| library.archive.head())?;
    Ok((head.seq, head.commit.to_string()))
}

#[pyfunction]
fn stats<'py>(py: Python<'py>, handle: &Handle) -> PyResult<Row<'py>> {
    let stats = handle.run(py, |library| library.archive.stats())?;
    let row = PyDict::new(py);
    row.set_item("paths", stats.paths)?;
    row.set_item("versions", stats.versions)?;
    row.set_item("commits", stats.commits)?;
    row.set_item("objects", stats.objects)?;
    row.set_item("log_bytes", stats.log_bytes)?;
    row.set_item("index_bytes", stats.index_bytes)?;
    row.set_item("document_bytes", stats.document_bytes)?;
    Ok(row)
}

/// Makes the log smaller: its bytes before and after, and how many commits were packed.
#[pyfunction]
fn compact(py: Python<'_>, handle: &Handle) -> PyResult<(u64, u64, u64)> {
    let done = handle.run(py, |library| {
        library.archive.compact(&CompactOptions::default())
    })?;
    Ok((done.before, done.after, done.commits))
}

/// Builds the index anew; the number of the newest commit.
#[pyfunction]
fn reindex(py: Python<'_>, handle: &Handle) -> PyResult<u64> {
    handle.run(py, |library| library.archive.reindex())
}

/// How the files at or below a prefix stand to the newest versions of their paths: path, version, and `same`, `modified`,
/// `missing` or `invalid`.
#[pyfunction]
fn status(py: Python<'_>, handle: &Handle, prefix: &str) -> PyResult<Vec<(String, u64, String)>> {
    handle.run(py, |library| {
        let files = library.workspace()?.status(prefix)?;
        let rows = files.into_iter();
        Ok(rows
            .map(|file| (file.path, file.version, file.state.to_string()))
            .collect())
    })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(verify, module)?)?;
    module.add_function(wrap_pyfunction!(repair, module)?)?;
    module.add_function(wrap_pyfunction!(head, module)?)?;
    module.add_function(wrap_pyfunction!(stats, module)?)?;
    module.add_function(wrap_pyfunction!(compact, module)?)?;
    module.add_function(wrap_pyfunction!(reindex, module)?)?;
    module.add_function(wrap_pyfunction!(status, module)?)
}
