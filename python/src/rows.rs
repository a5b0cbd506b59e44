//! What the library says, as plain dictionaries: ids as hexadecimal text, times in microseconds since the Unix epoch,
//! metadata as JSON text.

use backstory::{Change, CommitView, Tag, Version};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

pub type Row<'py> = Bound<'py, PyDict>;

pub fn version<'py>(py: Python<'py>, version: &Version) -> PyResult<Row<'py>> {
    let row = PyDict::new(py);
    row.set_item("path", &version.path)?;
    row.set_item("version", version.version)?;
    row.set_item("op", version.op.to_string())?;
    row.set_item("id", version.id.map(|id| id.to_string()))?;
    row.set_item("file", version.file)?;
    row.set_item("nan", version.nan)?;
    row.set_item("of", version.of)?;
    row.set_item("other", &version.other)?;
    row.set_item("commit", version.commit.to_string())?;
    row.set_item("seq", version.seq)?;
    row.set_item("time", version.time)?;
    row.set_item("recorded", version.recorded)?;
    row.set_item("author", &version.author)?;
    row.set_item("message", &version.message)?;
    row.set_item("meta", meta(&version.meta))?;
    Ok(row)
}

pub fn versions<'py, 'v>(
    py: Python<'py>,
    all: impl IntoIterator<Item = &'v Version>,
) -> PyResult<Bound<'py, PyList>> {
    let rows = PyList::empty(py);
    for one in all {
        rows.append(version(py, one)?)?;
    }
    Ok(rows)
}

pub fn change<'py>(py: Python<'py>, change: &Change) -> PyResult<Row<'py>> {
    let row = PyDict::new(py);
    row.set_item("path", &change.path)?;
    row.set_item("version", change.version)?;
    row.set_item("id", change.id.map(|id| id.to_string()))?;
    row.set_item("commit", change.commit.to_string())?;
    row.set_item("seq", change.seq)?;
    row.set_item("status", change.status.to_string())?;
    Ok(row)
}

pub fn changes<'py>(py: Python<'py>, all: &[Change]) -> PyResult<Bound<'py, PyList>> {
    let rows = PyList::empty(py);
    for one in all {
        rows.append(change(py, one)?)?;
    }
    Ok(rows)
}

pub fn commit<'py>(py: Python<'py>, view: &CommitView) -> PyResult<Row<'py>> {
    let row = PyDict::new(py);
    row.set_item("seq", view.seq)?;
    row.set_item("id", view.commit.to_string())?;
    row.set_item("time", view.time)?;
    row.set_item("recorded", view.recorded)?;
    row.set_item("author", &view.author)?;
    row.set_item("message", &view.message)?;
    row.set_item("meta", meta(&view.meta))?;
    row.set_item("changes", versions(py, &view.changes)?)?;
    row.set_item("tags", &view.tags)?;
    Ok(row)
}

pub fn tag<'py>(py: Python<'py>, tag: &Tag) -> PyResult<Row<'py>> {
    let row = PyDict::new(py);
    row.set_item("name", &tag.name)?;
    row.set_item("path", &tag.path)?;
    row.set_item("version", tag.version)?;
    row.set_item("commit", tag.commit.to_string())?;
    Ok(row)
}

fn meta(meta: &serde_json::Map<String, serde_json::Value>) -> String {
    match meta.is_empty() {
        true => String::new(),
        false => serde_json::Value::Object(meta.clone()).to_string(),
    }
}
