//! A folder with the files of a state.

use std::path::Path;

use super::{Export, Tell, Told};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::files;
use crate::storage::output::{OutputFolder, set_modified};

impl Export<'_> {
    /// Writes the file of each path, bytes as they were saved, with the time of its version; how many. A new or empty
    /// folder gets its name once all of it is on disk. With `into` files are written into a folder that may hold others:
    /// each is replaced whole, and what else is there stays.
    ///
    /// # Errors
    /// `Usage` where the folder is there and not empty, or `Io`; a new folder is then not there.
    pub fn folder(&self, folder: &Path, into: bool, tell: Tell<'_>) -> Result<u64> {
        if into && files::is_folder(folder) {
            return self.add_to_folder(folder, tell);
        }
        let output = OutputFolder::create(folder)?;
        let mut clashes = Vec::new();
        let written = self.files(tell, &mut |version, bytes| {
            let done = output.file(&version.path, &bytes, version.time);
            clash(
                done,
                &output.path().join(&version.path),
                version.rev(),
                &mut clashes,
            )
        })?;
        output.finish()?;
        Ok(written - tell_of(clashes, tell))
    }

    fn add_to_folder(&self, folder: &Path, tell: Tell<'_>) -> Result<u64> {
        let mut outside = Vec::new();
        let written = self.files(tell, &mut |version, bytes| {
            let file = folder.join(&version.path);
            // No link in the folder may lead out of it.
            if !files::is_inside(folder, &file) {
                let error = Error::invalid(format!("{} is a way out of it", file.display()));
                outside.push((version.rev(), error));
                return Ok(());
            }
            files::write_atomically(&file, &bytes)?;
            set_modified(&file, version.time)
        })?;
        Ok(written - tell_of(outside, tell))
    }
}

/// `a` and `a/b` cannot both be files: of two the one that comes second by name is left out.
fn clash(
    done: Result<()>,
    file: &Path,
    rev: String,
    clashes: &mut Vec<(String, Error)>,
) -> Result<()> {
    match done {
        Err(error) if error.kind() == ErrorKind::Io && files::is_blocked(file) => {
            clashes.push((rev, error));
            Ok(())
        }
        done => done,
    }
}

fn tell_of(left_out: Vec<(String, Error)>, tell: Tell<'_>) -> u64 {
    let count = left_out.len() as u64;
    for (rev, error) in left_out {
        tell(Told::LeftOut { rev, error });
    }
    count
}
