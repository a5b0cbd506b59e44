//! A tar file with the files of a state.

use std::io::Write;

use tar::{Builder, EntryType, Header};

use super::{Export, Tell, unwritten};
use crate::error::Result;

impl Export<'_> {
    /// Writes a tar archive: the file of each path, bytes as they were saved, with the time of its version in seconds;
    /// how many. Times before 1970 become 1970.
    ///
    /// # Errors
    /// Where the archive cannot be read or `out` not be written.
    pub fn tar(&self, out: &mut dyn Write, tell: Tell<'_>) -> Result<u64> {
        let mut builder = Builder::new(out);
        let written = self.files(tell, &mut |version, bytes| {
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::Regular);
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(u64::try_from(version.time.div_euclid(1_000_000)).unwrap_or(0));
            builder
                .append_data(&mut header, &version.path, bytes.as_slice())
                .map_err(unwritten)
        })?;
        let out = builder.into_inner().map_err(unwritten)?;
        out.flush().map_err(unwritten)?;
        Ok(written)
    }
}
