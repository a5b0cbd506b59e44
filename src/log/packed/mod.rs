//! Packed segments: what `compact` makes of sealed ones. Many objects share a frame, many commits a record.
//!
//! A packed segment is a header record, then object blocks, blocks of changes and commit blocks, each of them a record
//! with a checksum and a marker of its own. A block rests only on blocks in front of it in the same segment.
//! `objects`, `commits` and `changes` are the blocks, `walk` reads a segment from front to back, `load` one object, `write` makes
//! a segment.

mod changes;
mod commits;
mod frame;
mod load;
mod numbers;
mod objects;
#[cfg(test)]
mod tests;
mod walk;
mod write;

pub(crate) use changes::PackedChange;
pub(crate) use commits::{
    CommitBlock, JoinChanges, PackedChangeBlock, PackedChanges, PackedCommit,
};
pub(crate) use load::BlockCache;
pub(crate) use objects::{ObjectBlock, Spot};
pub(crate) use walk::walk;
pub(crate) use write::PackedWriter;
