//! Writing a packed segment.

use std::io;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::log::format::RECORD_HEADER;
use crate::log::reader::{LogReader, segment_file};
use crate::log::record::write_frame;
use crate::storage::StorageFile;

/// So many bytes are written at a time.
const CHUNK: usize = 1 << 20;

/// Appends records to a new segment.
#[derive(Debug)]
pub(crate) struct PackedWriter<'a> {
    reader: &'a LogReader,
    number: u64,
    file: Arc<dyn StorageFile>,
    /// Where `waiting` will stand.
    written: u64,
    waiting: Vec<u8>,
}

impl<'a> PackedWriter<'a> {
    /// Begins the segment of this number in an empty file.
    pub fn new(
        reader: &'a LogReader,
        number: u64,
        file: Arc<dyn StorageFile>,
    ) -> Result<PackedWriter<'a>> {
        let mut writer = PackedWriter {
            reader,
            number,
            file,
            written: 0,
            waiting: Vec::new(),
        };
        writer.record(RECORD_HEADER, reader.identity())?;
        Ok(writer)
    }

    /// Where the next record will stand.
    pub fn offset(&self) -> u64 {
        self.written + self.waiting.len() as u64
    }

    /// Appends a record; where it stands.
    pub fn record(&mut self, kind: u8, body: &[u8]) -> Result<u64> {
        let at = self.offset();
        write_frame(&mut self.waiting, kind, body, self.reader.keys());
        if self.waiting.len() >= CHUNK {
            self.flush().map_err(|error| self.failed(error))?;
        }
        Ok(at)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.waiting, self.written)?;
        self.written += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::io(format!("write {}", segment_file(self.number)), error)
    }

    /// Puts everything on disk; how long the segment is.
    pub fn finish(mut self) -> Result<u64> {
        let done = self.flush().and_then(|()| self.file.sync_data());
        done.map_err(|error| self.failed(error))?;
        Ok(self.written)
    }
}
