//! Bundles: one file with the commits behind some commit, to carry where no folder can be reached.
//!
//! A line of JSON, then a segment: a header record and batches (`docs/format.md`).

mod read;

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::send::{Take, send};
use super::{TransferOptions, Transferred, located, name_of, name_of_folder};
use crate::archive::{
    Archive, CommitView, Fault, Head, Incoming, ObjectReader, Rebatch, Receiver, Refused,
    WholeSegment,
};
use crate::error::{Error, Result};
use crate::log::cursor;
use crate::log::format::LOG_FOLDER;
use crate::log::writer::segment_header;
use crate::storage::{LocalStorage, Storage, StorageFile};
use read::{BundleBatch, BundleReader, Opened};

const BUNDLE_NAME: &str = "backstory-bundle";
const BUNDLE_FORMAT: u64 = 1;
/// The first line is no longer than this.
const MAX_LINE: usize = 4096;
/// So many bytes are written, or read, at a time.
const CHUNK: usize = 1 << 20;

/// What a bundle is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The commit in front of those in it.
    pub after: Head,
    /// The last one in it.
    pub head: Head,
    /// The length of the file, in bytes.
    pub len: u64,
}

impl Bundle {
    /// How many commits are in it.
    pub fn commits(&self) -> u64 {
        self.head.seq - self.after.seq
    }
}

/// Writes the commits behind `since`, or all, into a file, which has its name once it is whole.
///
/// # Errors
/// `Usage` where there are none; `Corrupt` where one of them is damaged; `Io`.
pub fn write_bundle(
    archive: &Archive,
    file: impl AsRef<Path>,
    since: Option<&CommitView>,
    options: &TransferOptions<'_>,
) -> Result<Bundle> {
    let file = file.as_ref();
    let head = archive.head()?;
    let after = match since {
        Some(commit) => Head {
            seq: commit.seq,
            commit: commit.commit,
        },
        None => Head {
            seq: 0,
            commit: crate::commit::identity_hash(archive.engine.reader.identity()),
        },
    };
    if head.seq <= after.seq {
        return Err(Error::invalid(format!(
            "commit {} is the newest: there is nothing behind it to put in a bundle",
            after.seq
        )));
    }
    let failed = |error| Error::io(format!("write {}", file.display()), error);
    let (folder, name) = folder_of(file)?;
    let storage = LocalStorage::open(folder).map_err(failed)?;
    let part = format!("{name}.part");
    match storage.remove(&part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut writer = BundleWriter {
        archive,
        file: storage.create(&part).map_err(failed)?,
        name: file,
        written: 0,
        buffer: first_line(after, head),
        head: cursor::Head {
            seq: after.seq,
            commit: after.commit,
            recorded: i64::MIN,
            place: None,
            synced_before: 0,
        },
    };
    let reader = &archive.engine.reader;
    let header = segment_header(reader.identity(), reader.keys());
    writer.buffer.extend(header);
    let name_here = file.display().to_string();
    let sent = send(archive, head.seq, &name_here, &mut writer, options.progress);
    let written = sent.and_then(|()| {
        writer.flush()?;
        if writer.head.commit != head.commit {
            let message = "it does not lead to its own newest commit";
            return Err(located(
                &name_of(archive),
                Error::corrupt(LOG_FOLDER, None, message),
            ));
        }
        writer.file.sync_data().map_err(failed)?;
        storage.rename(&part, &name).map_err(failed)?;
        storage.sync_dir("").map_err(failed)
    });
    if let Err(error) = written {
        let _ = storage.remove(&part);
        return Err(error);
    }
    Ok(Bundle {
        after,
        head,
        len: writer.written,
    })
}

/// Brings the commits of a bundle to the archive. Those that are there already are left out.
///
/// # Errors
/// `Conflict` where the archive lacks the commit in front of them, or has others behind it; `Corrupt` where the bundle is
/// not what was written: what came in front of the damage may have been taken then, and is whole.
pub fn apply_bundle(
    archive: &Archive,
    file: impl AsRef<Path>,
    options: &TransferOptions<'_>,
) -> Result<Transferred> {
    let file = file.as_ref();
    let bundle = BundleReader {
        archive,
        bundle: Opened::open(file)?,
    };
    let here = name_of(archive);
    let failed = |error| located(&here, error);
    let mut receiver = archive.engine.receive().map_err(failed)?;
    let before = receiver.head();
    let (after, head) = (bundle.bundle.after, bundle.bundle.head);
    bundle.check_fits()?;
    let mut ahead = 0;
    if before.seq >= head.seq {
        ahead = before.seq - head.seq;
        bundle.each(&mut |_| Ok(()))?;
    } else {
        bundle.each(&mut |batch| {
            let seq = batch.incoming.batch.record.seq;
            if seq == before.seq && batch.incoming.batch.id != before.commit {
                return Err(bundle.conflict(seq, batch.incoming.batch.id, before.commit));
            }
            if seq > before.seq {
                take(&mut receiver, batch, &here)?;
            }
            if let Some(progress) = options.progress
                && seq.is_multiple_of(64)
            {
                progress(seq - after.seq, head.seq - after.seq);
            }
            Ok(())
        })?;
        receiver.flush().map_err(failed)?;
    }
    let bytes = receiver.written();
    let now = receiver.finish().map_err(failed)?;
    Ok(Transferred {
        made: false,
        commits: now.seq - before.seq,
        bytes,
        head: Head {
            seq: now.seq,
            commit: now.commit,
        },
        ahead,
    })
}

/// Makes a copy in `dir` from a bundle that has all commits from the first on, or brings them to one that is there.
///
/// # Errors
/// As [`apply_bundle`]. Where the bundle begins behind a commit, nothing is made.
pub fn clone_bundle(
    file: impl AsRef<Path>,
    dir: impl AsRef<Path>,
    options: &TransferOptions<'_>,
) -> Result<Transferred> {
    let (file, dir) = (file.as_ref(), dir.as_ref());
    let opened = Opened::open(file)?;
    let made = match Archive::open_with(dir, &options.open) {
        Err(Error::NoArchive(_)) => {
            if opened.after.seq > 0 {
                let message = format!(
                    "the bundle goes on behind commit {} ({}), and there is no archive in {}",
                    opened.after.seq,
                    opened.after.commit,
                    dir.display()
                );
                return Err(Error::conflict("", 0, message));
            }
            match Archive::create_copy(dir, &opened.identity()?) {
                Ok(()) => true,
                Err(Error::AlreadyExists(_)) => false,
                Err(error) => return Err(error),
            }
        }
        _ => false,
    };
    let archive = Archive::open_with(dir, &options.open)
        .map_err(|error| located(&name_of_folder(dir), error))?;
    let done = apply_bundle(&archive, file, options)?;
    Ok(Transferred { made, ..done })
}

fn take(receiver: &mut Receiver<'_>, batch: BundleBatch<'_>, here: &str) -> Result<()> {
    receiver
        .stage(&batch.incoming)
        .map_err(|refused| match refused {
            Refused::Incoming(message) => Error::corrupt(batch.file, Some(batch.offset), message),
            Refused::Here(fault) => located(here, fault.into_error()),
        })
}

/// The folder and the name of a file.
fn folder_of(file: &Path) -> Result<(&Path, String)> {
    let name = file.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Error::invalid(format!("{} names no file", file.display())))?;
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    Ok((folder, name.to_owned()))
}

fn first_line(after: Head, head: Head) -> Vec<u8> {
    let end = |head: Head| json!({"commit": head.commit.to_string(), "seq": head.seq});
    let line = json!({
        "after": end(after),
        "bundle": BUNDLE_FORMAT,
        "head": end(head),
        "name": BUNDLE_NAME,
    });
    let mut line = line.to_string().into_bytes();
    line.push(b'\n');
    line
}

/// Takes commits into a file.
struct BundleWriter<'a> {
    archive: &'a Archive,
    file: Arc<dyn StorageFile>,
    name: &'a Path,
    written: u64,
    buffer: Vec<u8>,
    head: cursor::Head,
}

impl BundleWriter<'_> {
    fn flush(&mut self) -> Result<()> {
        let written = self.file.write_all_at(&self.buffer, self.written);
        written.map_err(|error| Error::io(format!("write {}", self.name.display()), error))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl Take for BundleWriter<'_> {
    fn head(&self) -> cursor::Head {
        self.head
    }

    fn begin_segment(&mut self) -> Result<()> {
        Ok(())
    }

    fn stage(&mut self, incoming: &Incoming) -> Result<(), Refused> {
        let engine = &self.archive.engine;
        let view = engine.view();
        let catalog = engine.catalog(&view);
        let objects = ObjectReader::new(engine, &catalog);
        let rebatch = Rebatch {
            objects: &objects,
            cache: &engine.cache,
        };
        // Where it will stand is not known: each batch claims nothing of what is in front of it.
        let mut bytes = Vec::new();
        let batch = rebatch.append(incoming, 0, &mut bytes)?;
        self.buffer.append(&mut bytes);
        self.head.seq = batch.record.seq;
        self.head.commit = batch.id;
        if self.buffer.len() >= CHUNK {
            self.flush()
                .map_err(|error| Refused::Here(Fault::Error(error)))?;
        }
        Ok(())
    }

    fn has_losses(&self) -> bool {
        false
    }

    fn adopt(&mut self, _whole: &WholeSegment) -> Result<bool, Refused> {
        Ok(false)
    }
}
