//! The public error: what went wrong, and the kind that a caller acts on.

use std::fmt;
use std::io;

use crate::canon::CanonError;

/// What the library returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about an error; the command line chooses its exit code by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The call itself makes no sense: a bad path, a bad revision, a bad name.
    Usage,
    /// No such path, version, tag or commit.
    NotFound,
    /// No archive where one was named.
    NoArchive,
    /// An archive stands where one was to be made.
    AlreadyExists,
    /// A condition did not hold, or what was to be changed has changed since.
    Conflict,
    /// The text is not a document this archive accepts.
    InvalidDocument,
    /// The archive is not what was written.
    Corrupt,
    /// The archive needs a newer version of this program.
    Unsupported,
    /// The system refused.
    Io,
    /// A write or sync failed: nothing was acknowledged, and the handle writes no more until it is opened again.
    OutcomeUnknown,
    /// Another writer held the lock for too long.
    Busy,
}

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// See [`ErrorKind::Usage`].
    #[error("{0}")]
    Usage(String),
    /// See [`ErrorKind::NotFound`].
    #[error("{0}")]
    NotFound(String),
    /// See [`ErrorKind::NoArchive`].
    #[error("no archive in {0}")]
    NoArchive(String),
    /// See [`ErrorKind::AlreadyExists`].
    #[error("there is an archive in {0} already")]
    AlreadyExists(String),
    /// See [`ErrorKind::Conflict`].
    #[error("{message}")]
    Conflict {
        /// The path that is in the way; empty where it is a tag.
        path: String,
        /// Its newest version, 0 for none.
        version: u64,
        /// What was expected and what is there.
        message: String,
    },
    /// See [`ErrorKind::InvalidDocument`].
    #[error("{path}: {source}")]
    InvalidDocument {
        /// The path or file.
        path: String,
        /// Where and why.
        source: CanonError,
    },
    /// See [`ErrorKind::Corrupt`].
    #[error("{0}")]
    Corrupt(Corruption),
    /// See [`ErrorKind::Unsupported`].
    #[error("{0}")]
    Unsupported(String),
    /// See [`ErrorKind::Io`].
    #[error("could not {action}: {source}")]
    Io {
        /// What was tried, on which file.
        action: String,
        /// What the system said.
        source: io::Error,
    },
    /// See [`ErrorKind::OutcomeUnknown`].
    #[error(
        "could not {action}: {source}; whether the commit is on disk is unknown, and this handle writes no more"
    )]
    OutcomeUnknown {
        /// What was tried, on which file.
        action: String,
        /// What the system said.
        source: io::Error,
    },
    /// See [`ErrorKind::OutcomeUnknown`]: an earlier write failed.
    #[error("an earlier write to this archive failed; open it again to go on")]
    Poisoned,
    /// See [`ErrorKind::Busy`].
    #[error("another process is writing to this archive; waited {0:.1} s for its lock")]
    Busy(f64),
}

/// Where an archive is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corruption {
    /// The file, relative to the archive's folder.
    pub file: String,
    /// Where in the file, in bytes.
    pub offset: Option<u64>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the archive is damaged: {}", self.file)?;
        if let Some(offset) = self.offset {
            write!(f, " at byte {offset}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl Error {
    /// An error of [`ErrorKind::Usage`].
    pub fn invalid(message: impl Into<String>) -> Error {
        Error::Usage(message.into())
    }

    /// An error of [`ErrorKind::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Error {
        Error::NotFound(message.into())
    }

    /// An error of [`ErrorKind::Io`]: `action` says what was tried on which file, as in `read config/a.json`.
    pub fn io(action: impl Into<String>, source: io::Error) -> Error {
        Error::Io {
            action: action.into(),
            source,
        }
    }

    pub(crate) fn corrupt(
        file: impl Into<String>,
        offset: Option<u64>,
        message: impl Into<String>,
    ) -> Error {
        Error::Corrupt(Corruption {
            file: file.into(),
            offset,
            message: message.into(),
        })
    }

    pub(crate) fn conflict(path: &str, version: u64, message: impl Into<String>) -> Error {
        Error::Conflict {
            path: path.to_owned(),
            version,
            message: message.into(),
        }
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Usage(_) => ErrorKind::Usage,
            Error::NotFound(_) => ErrorKind::NotFound,
            Error::NoArchive(_) => ErrorKind::NoArchive,
            Error::AlreadyExists(_) => ErrorKind::AlreadyExists,
            Error::Conflict { .. } => ErrorKind::Conflict,
            Error::InvalidDocument { .. } => ErrorKind::InvalidDocument,
            Error::Corrupt(_) => ErrorKind::Corrupt,
            Error::Unsupported(_) => ErrorKind::Unsupported,
            Error::Io { .. } => ErrorKind::Io,
            Error::OutcomeUnknown { .. } | Error::Poisoned => ErrorKind::OutcomeUnknown,
            Error::Busy(_) => ErrorKind::Busy,
        }
    }

    /// No such path, version, tag, commit or archive.
    pub fn is_not_found(&self) -> bool {
        matches!(self.kind(), ErrorKind::NotFound | ErrorKind::NoArchive)
    }

    /// A condition did not hold.
    pub fn is_conflict(&self) -> bool {
        self.kind() == ErrorKind::Conflict
    }

    /// The archive is not what was written.
    pub fn is_corrupt(&self) -> bool {
        self.kind() == ErrorKind::Corrupt
    }
}
