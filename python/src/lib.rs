//! The native part of the Python package `backstory`: calls of the library with the GIL released, and their answers as
//! plain Python values. What users see is in `python/backstory`.

mod archive;
mod care;
mod error;
mod gate;
mod history;
mod indent;
mod load;
mod places;
mod restore;
mod rows;
mod save;
mod search;

use pyo3::prelude::*;

/// Functions on archives and documents; `_native.pyi` describes them.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<archive::Handle>()?;
    gate::register(module)?;
    places::register(module)?;
    save::register(module)?;
    load::register(module)?;
    history::register(module)?;
    restore::register(module)?;
    search::register(module)?;
    care::register(module)
}
