//! Answers that are kept: which version of a path is the newest.

use std::collections::HashMap;

use super::asked::Asked;
use super::rows::{Rows, VersionRow};
use crate::id::PathKey;

/// The newest versions of paths up to a mark, as they were asked for: who saves to a path mostly saves to it again.
#[derive(Debug, Default)]
pub(super) struct NewestRows {
    mark: u64,
    rows: HashMap<PathKey, VersionRow>,
}

/// Newest versions kept; when there are more, all are forgotten.
const MAX_NEWEST: usize = 32768;

impl NewestRows {
    pub(super) fn get(&self, path: Asked<'_>, mark: u64) -> Option<VersionRow> {
        if mark != self.mark {
            return None;
        }
        let row = self.rows.get(&path.key)?;
        // Of two names with one key only one is in the archive; this may be the other.
        (row.path == path.path).then(|| row.clone())
    }

    pub(super) fn put(&mut self, row: &VersionRow, mark: u64) {
        if mark != self.mark || self.rows.len() >= MAX_NEWEST {
            self.rows.clear();
            self.mark = mark;
        }
        self.rows.insert(row.key, row.clone());
    }

    /// Goes on from one mark to the next with the rows between them.
    pub(super) fn follow(&mut self, base: u64, rows: &Rows, mark: u64) {
        if base != self.mark {
            self.rows.clear();
        }
        self.mark = mark;
        for row in &rows.versions {
            match self.rows.get_mut(&row.key) {
                // Rows of one path come in the order of its versions, but for damage.
                Some(known) if known.version < row.version => {
                    let path = std::mem::take(&mut known.path);
                    *known = VersionRow {
                        path,
                        ..row.clone()
                    };
                }
                Some(_) => {
                    self.rows.remove(&row.key);
                }
                None => {}
            }
        }
    }
}
