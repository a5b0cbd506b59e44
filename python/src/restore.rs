//! Going back, and changes to paths and tags.

use std::ffi::OsString;
use std::path::PathBuf;

use backstory::workspace::{Destination, FileEvent, Report};
use backstory::{Edit, Restored, Result};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::archive::{Handle, Library};
use crate::error::raise;
use crate::load::{Rev, find, spec_of};
use crate::rows;
use crate::save::{NoteRow, note, stamp};

/// What became of a file: its path, its name, a word for what happened, its new name where it was moved aside, and the
/// error where it could not be written.
type FileRow = (
    String,
    OsString,
    &'static str,
    Option<OsString>,
    Option<Py<PyAny>>,
);

/// What was saved in front, what the commit made of each path, and what became of the files.
type Answer<'py> = (Bound<'py, PyList>, Bound<'py, PyList>, Vec<FileRow>);

fn answer(py: Python<'_>, report: Report) -> PyResult<Answer<'_>> {
    let mut files = Vec::new();
    for file in report.files {
        let (event, aside, error) = match file.event {
            FileEvent::Written => ("written", None, None),
            FileEvent::AlreadyThere => ("already-there", None, None),
            FileEvent::MovedAside(aside) => ("moved-aside", Some(aside), None),
            FileEvent::Left => ("left", None, None),
            FileEvent::NeverAFile => ("never-a-file", None, None),
            FileEvent::Failed(error) => ("failed", None, Some(raise(py, error))),
            _ => ("other", None, None),
        };
        let error = error.map(|error| error.into_value(py).into_any());
        let aside = aside.map(PathBuf::into_os_string);
        files.push((file.path, file.file.into(), event, aside, error));
    }
    Ok((
        rows::changes(py, &report.restored.first)?,
        rows::changes(py, &report.restored.changes)?,
        files,
    ))
}

/// A report of a commit that touches no file.
fn report(restored: Restored) -> Report {
    let files = Vec::new();
    Report { restored, files }
}

/// Makes older versions of paths current: those that `to` means of each, else those in front of the current ones. With
/// `files` the files of the paths are written, with `output` that file.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "one for each argument in Python")]
fn rollback<'py>(
    py: Python<'py>,
    handle: &Handle,
    paths: Vec<String>,
    to: Option<String>,
    files: bool,
    output: Option<PathBuf>,
    if_version: Option<u64>,
    said: NoteRow,
) -> PyResult<Answer<'py>> {
    let done = handle.run(py, |library| {
        let to = to.as_deref().map(spec_of).transpose()?;
        let mut rollback = library.archive.rollback();
        rollback.note(note(said)?);
        if let Some(version) = if_version {
            rollback.if_version(version);
        }
        for path in &paths {
            rollback.path(path, to.clone())?;
        }
        let destination = match output {
            Some(file) => Destination::File(file),
            None if files => Destination::Files,
            None => return rollback.commit().map(report),
        };
        library
            .workspace()?
            .rollback(rollback, &destination, stamp())
    })?;
    answer(py, done)
}

/// Takes back a whole commit: the one that a text names, else the newest that is neither an undo nor undone; with `redo`
/// the last undo.
#[pyfunction]
fn undo<'py>(
    py: Python<'py>,
    handle: &Handle,
    commit: Option<String>,
    redo: bool,
    files: bool,
    said: NoteRow,
) -> PyResult<Answer<'py>> {
    let done = handle.run(py, |library| {
        let archive = &library.archive;
        let mut undo = match (redo, commit) {
            (true, _) => archive.redo()?,
            (false, Some(text)) => archive.undo(archive.find_commit(&text)?),
            (false, None) => archive.undo(archive.undo_target()?),
        };
        undo.note(note(said)?);
        match files {
            true => library
                .workspace()?
                .undo(undo, &Destination::Files, stamp()),
            false => undo.commit().map(report),
        }
    })?;
    answer(py, done)
}

/// Commits an edit.
fn edit<'py>(
    py: Python<'py>,
    handle: &Handle,
    said: NoteRow,
    if_version: Option<u64>,
    begin: impl for<'a> FnOnce(&'a Library) -> Result<Edit<'a>> + Send,
) -> PyResult<Bound<'py, PyList>> {
    let changes = handle.run(py, |library| {
        let mut edit = begin(library)?;
        edit.note(note(said)?);
        if let Some(version) = if_version {
            edit.if_version(version);
        }
        edit.commit()
    })?;
    rows::changes(py, &changes)
}

#[pyfunction]
fn delete<'py>(
    py: Python<'py>,
    handle: &Handle,
    paths: Vec<String>,
    said: NoteRow,
    if_version: Option<u64>,
) -> PyResult<Bound<'py, PyList>> {
    edit(py, handle, said, if_version, move |library| {
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        Ok(library.archive.delete(&paths))
    })
}

#[pyfunction]
fn undelete<'py>(
    py: Python<'py>,
    handle: &Handle,
    paths: Vec<String>,
    said: NoteRow,
) -> PyResult<Bound<'py, PyList>> {
    edit(py, handle, said, None, move |library| {
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        Ok(library.archive.undelete(&paths))
    })
}

#[pyfunction]
fn rename<'py>(
    py: Python<'py>,
    handle: &Handle,
    old: &str,
    new: &str,
    said: NoteRow,
) -> PyResult<Bound<'py, PyList>> {
    edit(py, handle, said, None, |library| {
        Ok(library.archive.rename(old, new))
    })
}

/// Tags a version, or without one the whole archive as it is now.
#[pyfunction]
fn tag<'py>(
    py: Python<'py>,
    handle: &Handle,
    name: &str,
    rev: Option<Rev>,
    said: NoteRow,
) -> PyResult<Bound<'py, PyList>> {
    edit(py, handle, said, None, move |library| {
        let archive = &library.archive;
        Ok(match rev {
            Some(rev) => archive.tag_version(name, &find(library, &rev)?),
            None => archive.tag_archive(name, archive.head()?.seq),
        })
    })
}

#[pyfunction]
fn delete_tag<'py>(
    py: Python<'py>,
    handle: &Handle,
    name: &str,
    said: NoteRow,
) -> PyResult<Bound<'py, PyList>> {
    edit(py, handle, said, None, |library| {
        Ok(library.archive.delete_tag(name))
    })
}

/// Writes a version to a file, as `backstory load -o` does.
#[pyfunction]
fn write<'py>(
    py: Python<'py>,
    handle: &Handle,
    rev: Rev,
    file: PathBuf,
    said: NoteRow,
) -> PyResult<(Option<String>, Option<OsString>)> {
    handle.run(py, |library| {
        let content = library.archive.load(&find(library, &rev)?)?.into_source();
        let workspace = library.workspace()?;
        let (saved, aside) = workspace.write_file(&file, &content, note(said)?, stamp())?;
        Ok((saved, aside.map(PathBuf::into_os_string)))
    })
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(rollback, module)?)?;
    module.add_function(wrap_pyfunction!(undo, module)?)?;
    module.add_function(wrap_pyfunction!(delete, module)?)?;
    module.add_function(wrap_pyfunction!(undelete, module)?)?;
    module.add_function(wrap_pyfunction!(rename, module)?)?;
    module.add_function(wrap_pyfunction!(tag, module)?)?;
    module.add_function(wrap_pyfunction!(delete_tag, module)?)?;
    module.add_function(wrap_pyfunction!(write, module)?)
}
