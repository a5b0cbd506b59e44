//! What this process has written to files a moment ago, so that it need not look in the archive for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::id::ObjectId;

/// More paths than these are not remembered: then all are forgotten.
const MOST: usize = 4096;

/// Of each path the hash of the bytes that were saved and then written to its file. That they are in the archive stays
/// true whatever becomes of the file.
#[derive(Clone, Debug, Default)]
pub(super) struct Written(Arc<Mutex<HashMap<String, ObjectId>>>);

impl Written {
    /// Were these the last bytes?
    pub fn has(&self, path: &str, id: &ObjectId) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(path) == Some(id)
    }

    pub fn note(&self, path: &str, id: ObjectId) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST && !known.contains_key(path) {
            known.clear();
        }
        known.insert(path.to_owned(), id);
    }
}
