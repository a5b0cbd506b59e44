//! Reading a bundle: its first line, and its commits one after the other.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::super::compare::commit_at;
use super::super::send::bodies_of;
use super::super::{located, name_of};
use super::{BUNDLE_FORMAT, BUNDLE_NAME, CHUNK, MAX_LINE, folder_of};
use crate::archive::{Archive, Head, Incoming, IncomingObject, read_identity};
use crate::commit::ArchiveKeys;
use crate::error::{Error, Result};
use crate::id::CommitId;
use crate::log::batch::{Next, read_next};
use crate::log::format::{MAX_NUMBER, RECORD_HEADER};
use crate::log::record::read_frame;
use crate::storage::{LocalStorage, Storage, StorageFile};
use crate::wire::Bytes;

/// A commit of a bundle.
pub(super) struct BundleBatch<'a> {
    pub file: &'a str,
    pub offset: u64,
    pub incoming: Incoming,
}

/// A bundle whose first line was read.
pub(super) struct Opened {
    file: Arc<dyn StorageFile>,
    name: String,
    pub after: Head,
    pub head: Head,
    /// Where the segment begins.
    start: u64,
}

impl Opened {
    pub fn open(path: &Path) -> Result<Opened> {
        let name = path.display().to_string();
        let failed = |error| Error::io(format!("read {name}"), error);
        let (folder, file_name) = folder_of(path)?;
        let opened = LocalStorage::open(folder).and_then(|folder| folder.open(&file_name, false));
        let file = opened.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::not_found(format!("no such file: {name}")),
            _ => failed(error),
        })?;
        let mut line = vec![0; MAX_LINE];
        let count = file.read_at(&mut line, 0).map_err(failed)?;
        line.truncate(count);
        let no_bundle = || Error::corrupt(name.clone(), Some(0), "this is not a bundle");
        let end = memchr::memchr(b'\n', &line).ok_or_else(no_bundle)?;
        let value: Value = serde_json::from_slice(&line[..end]).map_err(|_| no_bundle())?;
        if value["name"].as_str() != Some(BUNDLE_NAME) {
            return Err(no_bundle());
        }
        if value["bundle"].as_u64() != Some(BUNDLE_FORMAT) {
            let message = format!("{name} is a bundle of a kind that this program does not know");
            return Err(Error::Unsupported(message));
        }
        let head = |member: &str| {
            let commit: CommitId = value[member]["commit"].as_str()?.parse().ok()?;
            let seq = value[member]["seq"].as_u64()?;
            (seq <= MAX_NUMBER).then_some(Head { seq, commit })
        };
        let (after, head) = head("after").zip(head("head")).ok_or_else(no_bundle)?;
        if after.seq >= head.seq {
            return Err(no_bundle());
        }
        Ok(Opened {
            file,
            name,
            after,
            head,
            start: end as u64 + 1,
        })
    }

    fn corrupt(&self, offset: u64, reason: &str) -> Error {
        Error::corrupt(self.name.clone(), Some(offset), reason)
    }

    /// The identity of the archive that it is of.
    pub fn identity(&self) -> Result<Vec<u8>> {
        let no_header = || self.corrupt(self.start, "there is no header");
        let mut bytes = vec![0; MAX_LINE];
        let count = self.file.read_at(&mut bytes, self.start);
        let count = count.map_err(|error| Error::io(format!("read {}", self.name), error))?;
        bytes.truncate(count);
        // Its checksum is made with a key that follows from it.
        let mut input = Bytes::new(&bytes);
        let body = (input.u8() == Ok(RECORD_HEADER))
            .then(|| input.bytes().ok())
            .flatten()
            .ok_or_else(no_header)?;
        let (identity, id) = read_identity(&[body, b"\n"].concat())?;
        match read_frame(&bytes, &ArchiveKeys::new(id)) {
            Ok(frame) if frame.body == identity => Ok(identity),
            _ => Err(no_header()),
        }
    }
}

/// Reads a bundle for an archive.
pub(super) struct BundleReader<'a> {
    pub archive: &'a Archive,
    pub bundle: Opened,
}

impl BundleReader<'_> {
    /// Can the commits follow, or are they there?
    pub fn check_fits(&self) -> Result<()> {
        let (archive, bundle) = (self.archive, &self.bundle);
        let name = name_of(archive);
        let ours = archive.engine.view().cursor.head;
        let conflict = |message: String| Err(Error::conflict("", 0, message));
        if ours.seq < bundle.after.seq {
            return conflict(format!(
                "the bundle goes on behind commit {} ({}), and {name} ends with commit {} ({}): a bundle is missing in between",
                bundle.after.seq, bundle.after.commit, ours.seq, ours.commit
            ));
        }
        // The last commit that both name.
        let last = match ours.seq >= bundle.head.seq {
            true => bundle.head,
            false => bundle.after,
        };
        let known = commit_at(archive, last.seq).map_err(|error| located(&name, error))?;
        match known {
            Some((_, id)) if id != last.commit => Err(self.conflict(last.seq, last.commit, id)),
            _ => Ok(()),
        }
    }

    /// The error where the archive has another commit of this number than the bundle.
    pub fn conflict(&self, seq: u64, theirs: CommitId, ours: CommitId) -> Error {
        let head = self.archive.engine.view().cursor.head;
        let message = format!(
            "commit {seq} of the bundle is {theirs}, and in {} it is {ours}; the newest there is commit {} ({}), of the bundle commit {} ({}); nothing was written",
            name_of(self.archive),
            head.seq,
            head.commit,
            self.bundle.head.seq,
            self.bundle.head.commit
        );
        Error::conflict("", 0, message)
    }

    /// Hands over every commit, checked, in order.
    pub fn each(&self, take: &mut dyn FnMut(BundleBatch<'_>) -> Result<()>) -> Result<()> {
        let bundle = &self.bundle;
        let failed = |error| Error::io(format!("read {}", bundle.name), error);
        let reader = &self.archive.engine.reader;
        let len = bundle.file.len().map_err(failed)?;
        let (mut seq, mut id) = (bundle.after.seq, bundle.after.commit);
        let mut at = bundle.start;
        let mut wanted = CHUNK;
        let mut window = Vec::new();
        let mut window_at = at;
        let mut has_header = false;
        while at < len {
            let from = usize::try_from(at - window_at).unwrap_or(usize::MAX);
            let bytes = window.get(from..).unwrap_or(&[]);
            let whole = at + bytes.len() as u64 >= len;
            match read_next(bytes, reader.keys()) {
                Next::Header { identity, len } if identity == reader.identity() => {
                    has_header = true;
                    at += len;
                }
                Next::Header { .. } => {
                    let message = format!(
                        "the bundle {} is one of another archive than {}",
                        bundle.name,
                        name_of(self.archive)
                    );
                    return Err(Error::conflict("", 0, message));
                }
                Next::Batch(batch) if has_header => {
                    let follows = batch.record.seq == seq + 1
                        && batch.record.parents.first() == Some(&id)
                        && seq < bundle.head.seq;
                    if !follows {
                        return Err(
                            bundle.corrupt(at, "the commit does not follow the one before it")
                        );
                    }
                    (seq, id) = (batch.record.seq, batch.id);
                    let next = at + batch.len;
                    let bodies = bodies_of(&batch, bytes, reader.keys())
                        .ok_or_else(|| bundle.corrupt(at, "an object is not whole"))?;
                    let objects = bodies.into_iter().map(IncomingObject::Record).collect();
                    take(BundleBatch {
                        file: &bundle.name,
                        offset: at,
                        incoming: Incoming {
                            batch: *batch,
                            objects,
                        },
                    })?;
                    at = next;
                    wanted = CHUNK;
                }
                Next::Incomplete { .. } | Next::End if !whole => {
                    let left = usize::try_from(len - at).unwrap_or(usize::MAX);
                    if bytes.len() >= wanted {
                        wanted = wanted.saturating_mul(2);
                    }
                    let size = wanted.min(left);
                    let mut fresh = Vec::new();
                    fresh
                        .try_reserve_exact(size)
                        .map_err(|_| failed(std::io::ErrorKind::OutOfMemory.into()))?;
                    fresh.resize(size, 0);
                    let count = bundle.file.read_at(&mut fresh, at).map_err(failed)?;
                    fresh.truncate(count);
                    (window, window_at) = (fresh, at);
                }
                Next::Broken { at: inside, reason } => {
                    return Err(bundle.corrupt(at + inside, reason));
                }
                Next::Loss(_) | Next::Batch(_) => {
                    return Err(bundle.corrupt(at, "a record that no bundle has"));
                }
                Next::Incomplete { .. } | Next::End => {
                    return Err(bundle.corrupt(at, "the file ends too early"));
                }
            }
        }
        if (seq, id) != (bundle.head.seq, bundle.head.commit) {
            return Err(bundle.corrupt(at, "the file ends too early"));
        }
        Ok(())
    }
}
