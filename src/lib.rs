//! Backstory keeps every version of every JSON document you save, and can prove it.
//!
//! A document is canonicalized (RFC 8785), stored compressed under its BLAKE3 hash, and in one atomic, durable step
//! its path moves to it and the history grows by a commit whose id vouches for everything before it.
//!
//! ```
//! # fn main() -> Result<(), backstory::Error> {
//! use backstory::{Archive, Document, HistoryQuery};
//!
//! let archive = Archive::in_memory()?;
//! let mut save = archive.save();
//! save.add("config/production.json", Document::source("{\"port\": 8080}\n"))?;
//! let saved = save.commit()?;
//! assert_eq!(saved[0].rev(), "config/production.json@1");
//!
//! let newest = archive.newest("config/production.json")?.expect("it was saved");
//! assert_eq!(archive.load(&newest)?.source(), b"{\"port\": 8080}\n");
//! assert_eq!(archive.history(HistoryQuery::default())?.count(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! The library never prints, never reads the environment, never exits, and never panics on data.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod archive;
pub mod blame;
pub mod canon;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
pub mod commit;
pub mod diff;
pub mod error;
pub(crate) mod escape;
pub mod export;
#[cfg(feature = "find")]
pub mod find;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod id;
pub mod import;
pub(crate) mod index;
pub mod layout;
pub mod log;
pub mod path;
pub mod pointer;
pub mod provenance;
pub mod remote;
pub mod repair;
pub mod revision;
pub mod series;
pub mod sql;
pub mod storage;
pub mod time;
pub mod verify;
pub(crate) mod wire;
pub mod workspace;

pub use archive::{
    Archive, Batch, Change, CommitView, Commits, CompactOptions, Compacted, Document, Edit, Head,
    History, HistoryQuery, IndexPlace, Loaded, LoadedDocument, Match, Note, OldestFirst,
    OpenOptions, Restored, Rollback, Save, Stats, Status, Tag, Undo, Version,
};
pub use commit::{Op, Origin};
pub use error::{Error, ErrorKind, Result};
pub use id::{ArchiveId, CommitId, ObjectId};
pub use revision::{Revision, Spec};
