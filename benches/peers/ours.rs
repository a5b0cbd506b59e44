//! Backstory, as a library and as a command.

use std::path::Path;
use std::process::Command;

use backstory::{Archive, Document, Note, Save, Spec};

use crate::Result;
use crate::corpus::{Corpus, Entry};
use crate::room::{Room, bytes_below, settle};

/// Commits in a batch.
pub const BATCH: usize = 1000;

/// What is kept of a document.
#[derive(Clone, Copy)]
pub enum Keep {
    Source,
    Value,
}

fn staged<'a>(archive: &'a Archive, entry: &Entry, keep: Keep) -> Result<Save<'a>> {
    let document = match keep {
        Keep::Source => Document::source(entry.text.as_str()),
        Keep::Value => Document::value(entry.text.as_str()),
    };
    let mut save = archive.save();
    save.add(&entry.path, document)?;
    save.note(Note {
        time: entry.time,
        ..Note::default()
    });
    Ok(save)
}

/// One durable commit.
pub fn save(archive: &Archive, entry: &Entry, keep: Keep) -> Result<()> {
    staged(archive, entry, keep)?.commit()?;
    Ok(())
}

/// A commit for each, one sync for all.
pub fn save_batch(archive: &Archive, entries: &[Entry]) -> Result<()> {
    let mut batch = archive.batch();
    for entry in entries {
        batch.push(staged(archive, entry, Keep::Source)?);
    }
    batch.commit()?;
    Ok(())
}

pub fn fill(archive: &Archive, entries: &[Entry]) -> Result<()> {
    entries
        .chunks(BATCH)
        .try_for_each(|batch| save_batch(archive, batch))
}

/// The folder of an archive of the whole history, to read from.
pub fn archive_of(room: &Room, corpus: &Corpus) -> Result<std::path::PathBuf> {
    room.shared(&format!("backstory-{}", corpus.name), |folder| {
        fill(&Archive::create(folder)?, &corpus.entries)?;
        settle();
        Ok(())
    })
}

/// The bytes as they were saved, of the version that a number or `latest` means.
pub fn load(archive: &Archive, path: &str, spec: &Spec) -> Result<Vec<u8>> {
    Ok(archive.load(&archive.resolve(path, spec)?)?.source())
}

/// A call of the program in a folder, with nothing of the caller's surroundings.
pub fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backstory"));
    command.current_dir(folder);
    for name in ["BACKSTORY_ARCHIVE", "BACKSTORY_AUTHOR", "BACKSTORY_INDEX"] {
        command.env_remove(name);
    }
    command
}

pub fn log_bytes(folder: &Path) -> Result<f64> {
    Ok(bytes_below(&folder.join(".backstory/log"))? as f64)
}

pub fn index_bytes(folder: &Path) -> Result<f64> {
    let len = |name: &str| match std::fs::metadata(folder.join(".backstory").join(name)) {
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    Ok((len("index.sqlite") + len("index.sqlite-wal")) as f64)
}
