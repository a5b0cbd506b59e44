//! Values over versions, who brought them, and questions.

use backstory::find::{Query, Which};
use backstory::pointer::Pointer;
use backstory::series::{Places, SeriesQuery};
use backstory::sql::{self, Value};
use backstory::{Error, Result};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::archive::Handle;
use crate::load::{Rev, find as find_version};
use crate::rows;

/// The versions of a path, oldest first, each with the values at some places: of each its pointer and canonical text.
#[pyfunction]
fn series<'py>(
    py: Python<'py>,
    handle: &Handle,
    path: String,
    places: Vec<String>,
    range: (Option<usize>, Option<i64>, Option<i64>, bool),
) -> PyResult<Bound<'py, PyList>> {
    let points = handle.run(py, |library| {
        let places = places.iter().map(|text| Places::parse(text));
        let mut query = SeriesQuery::new(path, places.collect::<Result<Vec<_>>>()?);
        (query.last, query.since, query.until, query.follow) = range;
        library.archive.series(query)?.collect::<Result<Vec<_>>>()
    })?;
    let list = PyList::empty(py);
    for point in &points {
        let values = PyDict::new(py);
        for found in &point.values {
            values.set_item(found.pointer.as_str(), &found.json)?;
        }
        list.append((rows::version(py, &point.version)?, values))?;
    }
    Ok(list)
}

/// Of each leaf where it is, its canonical text, and the number of the version that brought it in the second list. The
/// third names versions that could not be read.
type Blamed<'py> = (
    Vec<(String, String, usize)>,
    Bound<'py, PyList>,
    Vec<String>,
);

/// The leaves at or below a pointer.
#[pyfunction]
fn blame<'py>(
    py: Python<'py>,
    handle: &Handle,
    rev: Rev,
    pointer: Option<&str>,
) -> PyResult<Blamed<'py>> {
    let blamed = handle.run(py, |library| {
        let version = find_version(library, &rev)?;
        backstory::blame::blame(&library.archive, &version)
    })?;
    let place = pointer.map_or_else(|| Ok(Pointer::default()), Pointer::parse);
    let place = place.map_err(|error| crate::error::usage(py, error))?;
    let leaves = blamed.below(&place).map(|leaf| {
        let pointer = leaf.pointer.as_str().to_owned();
        (pointer, leaf.value.to_string(), leaf.origin)
    });
    let unread = blamed.unread.iter().map(|(version, _)| version.rev());
    Ok((
        leaves.collect(),
        rows::versions(py, &blamed.versions)?,
        unread.collect(),
    ))
}

/// The versions that a JSONPath query selects something in, each with pointers and canonical texts.
#[pyfunction]
fn find<'py>(
    py: Python<'py>,
    handle: &Handle,
    query: &str,
    which: &str,
    prefix: &str,
) -> PyResult<Bound<'py, PyList>> {
    let found = handle.run(py, |library| {
        let query = Query::parse(query).map_err(|error| Error::invalid(error.to_string()))?;
        let which = match which {
            "newest" => Which::Newest,
            "all" => Which::All,
            "first" => Which::First,
            other => {
                let message = format!("{other:?} is none of newest, all, first");
                return Err(Error::invalid(message));
            }
        };
        let wanted = |path: &str| {
            let rest = path.strip_prefix(prefix);
            prefix.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        backstory::find::find(&library.archive, &query, which, wanted)?.collect::<Result<Vec<_>>>()
    })?;
    let list = PyList::empty(py);
    for found in &found {
        let nodes: Vec<(&str, &str)> = found
            .nodes
            .iter()
            .map(|node| (node.pointer.as_str(), &*node.value))
            .collect();
        list.append((rows::version(py, &found.version)?, nodes))?;
    }
    Ok(list)
}

/// The versions that hold a document, newest first, and whether they were saved in the very bytes.
#[pyfunction]
fn identify<'py>(py: Python<'py>, handle: &Handle, text: &[u8]) -> PyResult<Bound<'py, PyList>> {
    let matches = handle.run(py, |library| library.archive.identify(text))?;
    let list = PyList::empty(py);
    for found in &matches {
        list.append((rows::version(py, &found.version)?, found.same_bytes))?;
    }
    Ok(list)
}

/// The columns of an answer, and its rows.
#[pyfunction]
fn query<'py>(
    py: Python<'py>,
    handle: &Handle,
    text: &str,
) -> PyResult<(Vec<String>, Bound<'py, PyList>)> {
    let (columns, answer) = handle.run(py, |library| {
        let query = sql::Query::new(&library.archive, text)?;
        Ok((query.columns().to_vec(), query.rows()?))
    })?;
    let list = PyList::empty(py);
    for values in answer {
        let row = PyList::empty(py);
        for value in values {
            match value {
                Value::Null => row.append(py.None())?,
                Value::Integer(number) => row.append(number)?,
                Value::Real(number) => row.append(number)?,
                Value::Text(text) => row.append(text)?,
                Value::Blob(bytes) => row.append(PyBytes::new(py, &bytes))?,
            }
        }
        list.append(row)?;
    }
    Ok((columns, list))
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(series, module)?)?;
    module.add_function(wrap_pyfunction!(blame, module)?)?;
    module.add_function(wrap_pyfunction!(find, module)?)?;
    module.add_function(wrap_pyfunction!(identify, module)?)?;
    module.add_function(wrap_pyfunction!(query, module)?)
}
