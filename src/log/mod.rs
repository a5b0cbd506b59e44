//! The log: append-only segments, the only truth of an archive.
//!
//! [`mod@format`] has the constants, `record` the records, `batch` the atomic unit made of them, `scan` what a stretch
//! of a segment holds, `manifest` the list of segments, `reader` reads them, `cursor` follows them and `writer`
//! appends; `packed` are the segments that `compact` makes, `loss` is what `repair` leaves in the place of what is gone; `delta`
//! turns objects into frames and back. `docs/format.md` describes the bytes.

pub(crate) mod batch;
pub(crate) mod cursor;
pub(crate) mod delta;
pub mod format;
pub(crate) mod loss;
pub(crate) mod manifest;
pub(crate) mod packed;
pub(crate) mod reader;
pub(crate) mod record;
pub(crate) mod scan;
pub(crate) mod writer;
