//! Work without the GIL, and forks.
//!
//! A fork copies one thread. Were another one at work in the library, or in SQLite, its locks would stay locked in the
//! child for ever. So a fork waits until no thread is at work, and no work begins until it is done.

use std::cell::RefCell;
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

use pyo3::prelude::*;

/// Held for reading by each thread at work, for writing during a fork.
static WORK: RwLock<()> = RwLock::new(());

thread_local! {
    static FORK: RefCell<Option<RwLockWriteGuard<'static, ()>>> = const { RefCell::new(None) };
}

/// Releases the GIL and does some work, which must not need it.
pub fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    py.detach(|| {
        let _at_work = WORK.read().unwrap_or_else(PoisonError::into_inner);
        work()
    })
}

/// Waits until no thread is at work, and keeps them from it. Meanwhile others have the GIL: what a thread at work waits for
/// may be up to them.
#[pyfunction]
fn before_fork(py: Python<'_>) {
    py.detach(|| {
        let guard = WORK.write().unwrap_or_else(PoisonError::into_inner);
        FORK.with_borrow_mut(|fork| *fork = Some(guard));
    });
}

/// Lets threads work again: called in the parent and in the child.
#[pyfunction]
fn after_fork() {
    FORK.with_borrow_mut(|fork| *fork = None);
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(before_fork, module)?)?;
    module.add_function(wrap_pyfunction!(after_fork, module)?)
}
