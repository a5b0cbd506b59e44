//! A path that is asked for.

use super::{Answer, IndexError};
use crate::commit::ArchiveKeys;
use crate::id::PathKey;

/// The name and the key of a path. Rows are found by the key; a name is told apart from another one of the same key.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub path: &'a str,
    pub key: PathKey,
    keys: &'a ArchiveKeys,
}

impl<'a> Asked<'a> {
    pub fn new(path: &'a str, keys: &'a ArchiveKeys) -> Asked<'a> {
        Asked {
            path,
            key: keys.path_key(path),
            keys,
        }
    }

    /// A path that only its key is left of.
    pub fn nameless(key: PathKey, keys: &'a ArchiveKeys) -> Asked<'a> {
        Asked {
            path: "",
            key,
            keys,
        }
    }

    /// Is the path that is called `name` in the index the one asked for? One whose name is lost may be.
    pub fn is(&self, name: Option<&str>) -> Answer<bool> {
        match name {
            None => Ok(true),
            Some(name) if name == self.path => Ok(true),
            Some(name) if self.keys.path_key(name) == self.key => Ok(false),
            Some(_) => Err(IndexError::Contradiction),
        }
    }
}
