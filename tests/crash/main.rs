//! What a crash can leave, and what the next open makes of it.
//!
//! A workload runs on a [`disk::Disk`], which keeps every call that changes something, and where each commit began and
//! was acknowledged. [`explore`] then crashes at every point of that list: the process is killed there, or the power
//! goes, and of what was not synced any part is left ([`power`]). Each state that can come of it is opened and checked
//! against a plain list of commits ([`history`]), the next save is made on it, and some of these recoveries are
//! crashed again.
//!
//! Models of loss:
//!
//! - *killed*: all completed calls are in, the last write may be torn. What the process left unsynced is lost only if
//!   the power goes later, or writing it back fails.
//! - *ordered*, a journalling file system: names come to the disk in order, and a sync of any file commits all earlier
//!   ones. Unsynced data is there, lost, cut, or has holes of zeros or junk.
//! - *strict*, what POSIX promises: a name is safe only once its folder was synced. Data as above.
//!
//! Bytes that a sync has covered stay, also beside bytes of the same sector that are written later: no file system or
//! disk that tears sectors can be appended to. A sync that failed has lost what it covered, although the page cache
//! still shows it and a later sync succeeds, as Linux has it.
//!
//! `BACKSTORY_TORTURE=1` looks at far more states and says how many; another number is another seed.

mod compact;
mod creation;
mod disk;
mod explore;
mod failures;
mod history;
mod loss;
mod power;
mod push;
mod recovery;
mod repair;
mod saves;
mod segments;
mod storage;
mod workload;
