//! How much there is of what.

use std::collections::HashMap;

use super::Archive;
use super::engine::Fault;
use super::objects::ObjectReader;
use super::version::*;
use crate::error::{Error, Result};
use crate::log::format::LOG_FOLDER;

impl Archive {
    /// How much there is of what.
    pub fn stats(&self) -> Result<Stats> {
        let counts = self.engine.ask(|catalog| Ok(catalog.counts()?))?;
        let document_bytes = self.document_bytes()?;
        let cursor = self.engine.view().cursor.clone();
        let mut log_bytes = 0;
        for segment in &cursor.manifest.segments {
            // Behind the last commit there may be zeros.
            log_bytes += match segment.number == cursor.segment {
                true => cursor.offset,
                false => self
                    .engine
                    .reader
                    .segment(segment.number)?
                    .len()
                    .map_err(|error| Error::io(format!("read {LOG_FOLDER}"), error))?,
            };
        }
        let index = self
            .engine
            .index
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(Stats {
            paths: counts.paths,
            versions: counts.versions,
            commits: counts.commits,
            objects: counts.objects,
            log_bytes,
            index_bytes: index.size(),
            document_bytes,
        })
    }

    /// Bytes of the canonical forms of all versions: each object's length as its record says it, times its versions.
    /// What is damaged counts as nothing.
    fn document_bytes(&self) -> Result<u64> {
        let mut lengths: HashMap<i64, (Option<u64>, u64)> = HashMap::new();
        let mut seqs = self.commits_downwards();
        while let Some(seq) = seqs.next(self)? {
            let more = self.engine.ask(|catalog| {
                let place = match catalog.commit(seq)? {
                    Some(row) if row.record_len > 0 => row.place(),
                    _ => return Ok(Vec::new()),
                };
                let objects = ObjectReader::new(&self.engine, catalog);
                let record = self.engine.reader.commit(place)?;
                let mut more = Vec::new();
                let mut ordinal = 0;
                for stored in self.engine.reader.changes(place, &record)? {
                    if let Some(content) = stored.change.content {
                        let len = match stored.object_len > 0 {
                            true => {
                                let at = super::contents::ObjectAt { seq, ordinal };
                                match objects.content_len(at) {
                                    Err(Fault::Doubt(_)) => None,
                                    len => Some(len?),
                                }
                            }
                            false => None,
                        };
                        more.push((content.object, len));
                    }
                    ordinal += stored.objects();
                }
                Ok(more)
            })?;
            for (id, len) in more {
                // The commit that stored it may be an earlier one, which is still to come.
                let (known, count) = lengths.entry(id.key()).or_default();
                *known = len.or(*known);
                *count += 1;
            }
        }
        let lengths = lengths.into_values();
        Ok(lengths.fold(0u64, |sum, (len, count)| {
            sum.saturating_add(len.unwrap_or(0).saturating_mul(count))
        }))
    }
}
