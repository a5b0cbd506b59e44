//! Errors of the library as the exceptions of `backstory.errors`.

use std::io;

use backstory::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The exception for an error: `backstory.errors.build(kind, message, fields)` chooses the class.
pub fn raise(py: Python<'_>, error: Error) -> PyErr {
    build(py, &error).unwrap_or_else(|broken| broken)
}

fn build(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let fields = PyDict::new(py);
    match error {
        Error::InvalidDocument { path, source } => {
            fields.set_item("path", path)?;
            fields.set_item("pointer", &source.pointer)?;
            fields.set_item("line", source.line)?;
            fields.set_item("column", source.column)?;
            fields.set_item("remedy", source.remedy())?;
        }
        Error::Conflict { path, version, .. } => {
            fields.set_item("path", path)?;
            fields.set_item("version", version)?;
        }
        Error::Corrupt(at) => {
            fields.set_item("file", &at.file)?;
            fields.set_item("offset", at.offset)?;
        }
        Error::Io { source, .. } | Error::OutcomeUnknown { source, .. } => {
            fields.set_item("errno", errno(source))?;
        }
        _ => {}
    }
    let errors = py.import("backstory.errors")?;
    let built = errors.call_method1("build", (name(error.kind()), error.to_string(), fields))?;
    Ok(PyErr::from_value(built))
}

fn name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Usage => "usage",
        ErrorKind::NotFound => "not-found",
        ErrorKind::NoArchive => "no-archive",
        ErrorKind::AlreadyExists => "already-exists",
        ErrorKind::Conflict => "conflict",
        ErrorKind::InvalidDocument => "invalid-document",
        ErrorKind::Corrupt => "corrupt",
        ErrorKind::Unsupported => "unsupported",
        ErrorKind::Io => "io",
        ErrorKind::OutcomeUnknown => "outcome-unknown",
        ErrorKind::Busy => "busy",
        _ => "other",
    }
}

/// The number of the system's error; where something was wrapped around it, that of its kind.
fn errno(error: &io::Error) -> Option<i32> {
    let of_kind = match error.kind() {
        io::ErrorKind::NotFound => Some(2),
        io::ErrorKind::PermissionDenied => Some(13),
        io::ErrorKind::AlreadyExists => Some(17),
        io::ErrorKind::NotADirectory => Some(20),
        io::ErrorKind::IsADirectory => Some(21),
        io::ErrorKind::FileTooLarge => Some(27),
        io::ErrorKind::StorageFull => Some(28),
        io::ErrorKind::ReadOnlyFilesystem => Some(30),
        _ => None,
    };
    error.raw_os_error().or(of_kind)
}

/// What is asked of the library with words of its own: a bad argument.
pub fn usage(py: Python<'_>, message: impl std::fmt::Display) -> PyErr {
    raise(py, Error::invalid(message.to_string()))
}
