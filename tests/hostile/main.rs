//! Hostile input: documents, paths and archives that someone made to do harm.
//!
//! Each gets an error or an answer: no panic, no endless loop, time linear in the input, memory within the multiples of
//! `docs/limits.md`, and no file touched but the archive's and the one that was named. Work is measured by what is
//! allocated and read; where there is a clock, its bound is a hundred times what the test takes.

mod documents;
mod histories;
mod memory;
mod objects;
mod paths;
mod segments;

use backstory::ObjectId;
use backstory::commit::{Change, Content, Op, SourceForm};

/// A saved document.
pub fn saved(path: &str, version: u64, content: &[u8]) -> Change {
    let mut change = Change::new(Op::Save, path, version);
    change.content = Some(Content {
        object: ObjectId::of(content),
        source: SourceForm::Canonical,
        nan: false,
    });
    change
}
