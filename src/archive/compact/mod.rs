//! Compact: sealed segments become packed ones, which take less room and say the same.
//!
//! What is new is written to files that no MANIFEST names, read back and compared, and counts from the moment that
//! MANIFEST is replaced. Files that it no longer names are removed behind that; those that a crash has left are removed
//! by the next compact. No commit changes, so neither do ids.

mod chains;
mod pack;
mod plan;

use std::io;
use std::sync::PoisonError;

use super::Archive;
use super::engine::Engine;
use crate::error::{Error, Result};
use crate::id::CommitId;
use crate::log::format::*;
use crate::log::manifest::{Manifest, SegmentEntry, segment_name};
use crate::log::reader::segment_file;
use crate::log::writer::unused_number;
use crate::storage::{FileIdentity, StorageLock, replace};
use pack::Packing;

/// What compacting did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Bytes of all segments before.
    pub before: u64,
    /// Bytes of all segments now.
    pub after: u64,
    /// Commits that were packed; 0 where there was nothing to do.
    pub commits: u64,
}

/// How to compact.
#[derive(Clone, Copy, Default)]
pub struct CompactOptions<'a> {
    /// Is told from time to time how many objects are done, and how many there are.
    pub progress: Option<&'a dyn Fn(u64, u64)>,
}

impl Archive {
    /// Makes the log smaller. Every commit and every document stay what they are, and others may read and write
    /// meanwhile. Where everything is compact already nothing is done.
    ///
    /// # Errors
    /// `Corrupt` where the log is damaged: nothing is changed then. `Conflict` where another process compacted it at
    /// the same time.
    pub fn compact(&self, options: &CompactOptions<'_>) -> Result<Compacted> {
        self.engine.check_process()?;
        self.engine.check_writable()?;
        self.engine.refresh()?;
        self.engine.seal_active()?;
        let manifest = self.engine.begin_compacting()?;
        // Segments that another one has packed meanwhile are missing where they stood: that is no damage.
        let meanwhile = |error: Error| match error.is_corrupt()
            && self.engine.was_repacked_since(manifest.repacked)
        {
            true => compacted_meanwhile(),
            false => error,
        };
        let mut done = Compacted {
            before: self.engine.log_len(&manifest).map_err(meanwhile)?,
            ..Compacted::default()
        };
        let rows = self
            .without_what_rests_on_losses(&manifest, plan::plan(&manifest), options)
            .map_err(meanwhile)?;
        // Every file that was begun, so that none is left where this fails.
        let mut begun = Vec::new();
        let packed = self.pack(&manifest, &rows, options, &mut begun);
        let switched = packed.and_then(|(made, commits)| {
            done.commits = commits;
            match made.is_empty() {
                true => Ok(()),
                false => self.engine.switch(&made),
            }
        });
        if let Err(error) = switched {
            // So are those of ours that another one has taken for left behind.
            let error = match error.is_corrupt() && self.engine.are_any_removed(&begun) {
                true => compacted_meanwhile(),
                false => meanwhile(error),
            };
            self.engine.give_up(&begun);
            return Err(error);
        }
        self.engine.refresh()?;
        loop {
            let (manifest, _) = self.engine.reader.manifest()?;
            match self.engine.log_len(&manifest) {
                Err(_) if self.engine.was_repacked_since(manifest.repacked) => {}
                len => {
                    done.after = len?;
                    return Ok(done);
                }
            }
        }
    }

    /// Where `repair` has noted losses, objects of whole segments may rest on what is gone. Packed segments have no
    /// place for what cannot be read: such a segment stays as it is.
    fn without_what_rests_on_losses(
        &self,
        manifest: &Manifest,
        rows: Vec<Vec<SegmentEntry>>,
        options: &CompactOptions<'_>,
    ) -> Result<Vec<Vec<SegmentEntry>>> {
        if !manifest.segments.iter().any(|entry| entry.repaired) {
            return Ok(rows);
        }
        let mut left = Vec::new();
        for row in rows {
            let mut together = Vec::new();
            for entry in row {
                let one = [entry];
                let parent = parent_of(manifest, &one, &self.engine);
                let loads = Packing::new(self, &one, parent, options)?.loads()?;
                match loads {
                    true => together.extend(one),
                    false => left.push(std::mem::take(&mut together)),
                }
            }
            left.push(together);
        }
        left.retain(|row| row.iter().any(|entry| !entry.packed));
        Ok(left)
    }

    /// Writes a new segment for each row; what they are, and how many commits they have.
    fn pack<'r>(
        &self,
        manifest: &Manifest,
        rows: &'r [Vec<SegmentEntry>],
        options: &CompactOptions<'_>,
        begun: &mut Vec<u64>,
    ) -> Result<(Vec<Made<'r>>, u64)> {
        let (mut made, mut total) = (Vec::new(), 0);
        for row in rows {
            let parent = parent_of(manifest, row, &self.engine);
            let packing = Packing::new(self, row, parent, options)?;
            let new = self.engine.new_packed()?;
            begun.push(new.number);
            let (entry, commits) = packing.write(&new)?;
            total += commits;
            made.push((row, entry, new.identity));
        }
        Ok((made, total))
    }
}

fn compacted_meanwhile() -> Error {
    let message = "the archive was compacted by another at the same time";
    Error::conflict("", 0, message)
}

/// The commit in front of a row of segments.
fn parent_of(manifest: &Manifest, row: &[SegmentEntry], engine: &Engine) -> CommitId {
    let first = row.first().map_or(0, |entry| entry.number);
    let before = manifest
        .segments
        .iter()
        .take_while(|entry| entry.number != first)
        .last();
    match before.and_then(|entry| entry.sealed.as_ref()) {
        Some(sealed) => sealed.last_commit,
        None => crate::commit::identity_hash(engine.reader.identity()),
    }
}

/// A file that will be a packed segment.
#[derive(Debug)]
pub(super) struct NewSegment {
    pub number: u64,
    pub file: std::sync::Arc<dyn crate::storage::StorageFile>,
    pub identity: FileIdentity,
}

/// Segments, what they became, and the file that holds it.
type Made<'a> = (&'a Vec<SegmentEntry>, SegmentEntry, FileIdentity);

impl Engine {
    /// Takes the writer's lock for other work than a commit.
    pub(super) fn lock_log(&self) -> Result<Box<dyn StorageLock>> {
        match self.storage.lock(self.wait) {
            Ok(Some(lock)) => Ok(lock),
            Ok(None) => Err(Error::Busy(self.wait.as_secs_f64())),
            Err(error) => Err(Error::io(format!("lock {ARCHIVE_FOLDER}/lock"), error)),
        }
    }

    /// Begins a new segment where the active one has commits.
    fn seal_active(&self) -> Result<()> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let usual = std::mem::replace(&mut writer.segment_len, 0);
        let done = self.run_group(&mut writer, &mut []);
        writer.segment_len = usual;
        done.map_err(|error| error())
    }

    /// The list of segments, and what was left beside it removed.
    fn begin_compacting(&self) -> Result<Manifest> {
        let _lock = self.lock_log()?;
        let (manifest, _) = self.reader.manifest()?;
        self.remove_unnamed(&manifest)?;
        Ok(manifest)
    }

    /// Removes the segments that this list does not name: what a crash or a compact has left. One that is newer than all
    /// of the list stays: another one may be making it, and its number would be given again while it is in use.
    fn remove_unnamed(&self, manifest: &Manifest) -> Result<()> {
        let failed = |error| Error::io("remove old segments from log", error);
        let newest = manifest.segments.iter().map(|entry| entry.number).max();
        let mut removed = false;
        for name in self.storage.list(LOG_FOLDER).map_err(failed)? {
            let number = name
                .strip_suffix(SEGMENT_SUFFIX)
                .and_then(|n| n.parse::<u64>().ok());
            let named = |number| manifest.segments.iter().any(|entry| entry.number == number);
            let number = number.filter(|number| {
                segment_name(*number) == name && !named(*number) && Some(*number) < newest
            });
            if let Some(number) = number {
                // MANIFEST must not come back as one that names it, where who replaced it could not sync that.
                if !removed {
                    self.storage.sync_dir(LOG_FOLDER).map_err(failed)?;
                }
                self.reader.forget_packed(number);
                self.storage
                    .remove(&format!("{LOG_FOLDER}/{name}"))
                    .map_err(failed)?;
                removed = true;
            }
        }
        match removed {
            true => self.storage.sync_dir(LOG_FOLDER).map_err(failed),
            false => Ok(()),
        }
    }

    /// Makes the file of a new segment, under a number that none had.
    fn new_packed(&self) -> Result<NewSegment> {
        let _lock = self.lock_log()?;
        let (manifest, _) = self.reader.manifest()?;
        let number = unused_number(&*self.storage, &manifest)?;
        let name = segment_file(number);
        let failed = |error| Error::io(format!("begin {name}"), error);
        let file = self.storage.create(&name).map_err(failed)?;
        let identity = file.identity().map_err(failed)?;
        self.reader.note_packed(number);
        Ok(NewSegment {
            number,
            file,
            identity,
        })
    }

    fn are_any_removed(&self, numbers: &[u64]) -> bool {
        let removed = |number: &u64| {
            let identity = self.storage.identity(&segment_file(*number));
            identity.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        numbers.iter().any(removed)
    }

    /// Forgets and removes segments that will not count. Failing is no harm: a later compact removes them.
    fn give_up(&self, numbers: &[u64]) {
        let Ok(_lock) = self.lock_log() else {
            return;
        };
        let Ok((manifest, _)) = self.reader.manifest() else {
            return;
        };
        for number in numbers {
            if manifest
                .segments
                .iter()
                .all(|entry| entry.number != *number)
            {
                self.reader.forget_packed(*number);
                let _ = self.storage.remove(&segment_file(*number));
            }
        }
    }

    /// Puts the new segments in the place of those that they were made of, and removes these.
    fn switch(&self, made: &[Made<'_>]) -> Result<()> {
        let failed = |error| Error::io("put packed segments in place in log/MANIFEST", error);
        let lock = self.lock_log()?;
        self.storage.sync_dir(LOG_FOLDER).map_err(failed)?;
        let (mut manifest, _) = self.reader.manifest()?;
        for (row, entry, identity) in made {
            let name = segment_file(entry.number);
            let ours = match self.storage.identity(&name) {
                Ok(named) => named == *identity,
                Err(error) if error.kind() == io::ErrorKind::NotFound => false,
                Err(error) => return Err(Error::io(format!("read {name}"), error)),
            };
            let at = manifest
                .segments
                .windows(row.len())
                .position(|there| there == row.as_slice());
            let Some(at) = at.filter(|_| ours) else {
                return Err(compacted_meanwhile());
            };
            manifest
                .segments
                .splice(at..at + row.len(), [entry.clone()]);
        }
        manifest.generation += 1;
        manifest.repacked = manifest.generation;
        let bytes = manifest.encode(self.reader.keys());
        replace(&*self.storage, LOG_FOLDER, MANIFEST_FILE, &bytes).map_err(failed)?;
        // From here on the new list counts: what is left behind does no harm, and a later compact removes it.
        let _ = self.remove_unnamed(&manifest);
        drop(lock);
        Ok(())
    }

    /// Bytes of all segments.
    fn log_len(&self, manifest: &Manifest) -> Result<u64> {
        let mut total = 0;
        for entry in &manifest.segments {
            let failed = |error| Error::io(format!("read {}", entry.file()), error);
            total += self.reader.segment(entry.number)?.len().map_err(failed)?;
        }
        Ok(total)
    }
}
