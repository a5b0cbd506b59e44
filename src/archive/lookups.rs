//! Looking for objects that are not where they should be, once for all.
//!
//! Usually the first version with an object's key is the one that stored it. Where damage has taken that, or a forged
//! archive says so, all versions with the key are looked through, or all objects without a commit are decoded. What
//! that gives is kept, for the next object that is missing may be one of a million.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::contents::ObjectAt;
use crate::id::ObjectId;

/// Objects kept; when there are more, all are forgotten.
const MAX_KEPT: usize = 1 << 20;

/// Where objects are, by their ids.
pub(super) type Places = Arc<HashMap<ObjectId, ObjectAt>>;
/// All the places where objects are, the first one in front, by their ids.
pub(super) type Copies = Arc<HashMap<ObjectId, Vec<ObjectAt>>>;

/// What earlier searches have found.
#[derive(Debug, Default)]
pub(super) struct Lookups(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The newest commit when the searches were made.
    newest: u64,
    /// All objects that versions with this key stored.
    by_key: HashMap<i64, Copies>,
    /// All objects of commits that are lost.
    orphans: Option<Places>,
    count: usize,
}

impl Kept {
    /// Forgets what was found before the newest commit came.
    fn renew(&mut self, newest: u64) {
        if self.newest != newest || self.count > MAX_KEPT {
            *self = Kept {
                newest,
                ..Kept::default()
            };
        }
    }
}

impl Lookups {
    /// The objects that versions with this key stored, by `search` where that is not known.
    pub fn by_key<E>(
        &self,
        key: i64,
        newest: u64,
        search: impl FnOnce() -> Result<HashMap<ObjectId, Vec<ObjectAt>>, E>,
    ) -> Result<Copies, E> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut kept = lock();
            kept.renew(newest);
            if let Some(places) = kept.by_key.get(&key) {
                return Ok(places.clone());
            }
        }
        let places = Arc::new(search()?);
        let mut kept = lock();
        kept.renew(newest);
        kept.count += places.values().map(Vec::len).sum::<usize>() + 1;
        kept.by_key.insert(key, places.clone());
        Ok(places)
    }

    /// The objects of lost commits, by `search` where they are not known.
    pub fn orphans<E>(
        &self,
        newest: u64,
        search: impl FnOnce() -> Result<HashMap<ObjectId, ObjectAt>, E>,
    ) -> Result<Places, E> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut kept = lock();
            kept.renew(newest);
            if let Some(places) = &kept.orphans {
                return Ok(places.clone());
            }
        }
        let places = Arc::new(search()?);
        let mut kept = lock();
        kept.renew(newest);
        kept.count += places.len();
        kept.orphans = Some(places.clone());
        Ok(places)
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Kept::default();
    }
}
