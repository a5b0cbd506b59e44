//! THE constants of the format. `docs/format.md` explains them; nothing else in the crate repeats one.

/// The version of the format, which is frozen. A reader refuses what is newer than it knows, and 0, which was in the
/// making and changed from day to day.
pub const FORMAT: u64 = 1;
/// What the identity of an archive calls itself.
pub const FORMAT_NAME: &str = "backstory";

/// The folder of an archive, below the root of what it keeps.
pub const ARCHIVE_FOLDER: &str = crate::path::RESERVED;
/// The immutable identity of an archive.
pub const IDENTITY_FILE: &str = "archive.json";
/// Settings that may change; a missing file means the defaults.
pub const SETTINGS_FILE: &str = "settings.json";
/// Diff profiles, where there are any.
pub const PROFILES_FILE: &str = "diff-profiles.json";
/// The folder of the log.
pub const LOG_FOLDER: &str = "log";
/// The list of live segments, inside the log's folder.
pub const MANIFEST_FILE: &str = "MANIFEST";
/// Where torn tails are moved to, inside the log's folder.
pub const TORN_FOLDER: &str = "torn";
/// Where `repair` keeps what was damaged, inside the log's folder.
pub const DAMAGED_FOLDER: &str = "damaged";
/// The name of a segment is its number in eight digits and this.
pub const SEGMENT_SUFFIX: &str = ".seg";
/// The derived index.
pub const INDEX_FILE: &str = "index.sqlite";

/// A record's first byte: a segment's header, holding the archive's identity.
pub const RECORD_HEADER: u8 = 0x01;
/// A record's first byte: an object.
pub const RECORD_OBJECT: u8 = 0x02;
/// A record's first byte: some of the changes of a commit that has many.
pub const RECORD_CHANGES: u8 = 0x03;
/// A record's first byte: a commit, which closes a batch.
pub const RECORD_COMMIT: u8 = 0x04;

/// A record's first byte in a packed segment: objects whose bytes are compressed as one.
pub const RECORD_OBJECT_BLOCK: u8 = 0x05;
/// A record's first byte in a packed segment: consecutive commits.
pub const RECORD_COMMIT_BLOCK: u8 = 0x06;
/// A record's first byte in a packed segment: some of the changes of a commit that has many.
pub const RECORD_CHANGE_BLOCK: u8 = 0x07;

/// A record's first byte: what `repair` found gone.
pub const RECORD_LOSS: u8 = 0x08;

/// A commit's shape: bytes in front of the batch were not known to be on disk.
pub const SHAPE_UNSYNCED: u8 = 1 << 0;
/// A commit's shape: not one parent.
pub const SHAPE_PARENTS: u8 = 1 << 1;
/// A commit's shape: it claims another time than its writer's clock had.
pub const SHAPE_TIME: u8 = 1 << 2;
/// A commit's shape: it has optional fields.
pub const SHAPE_FIELDS: u8 = 1 << 3;
/// A commit's shape: not one change.
pub const SHAPE_CHANGES: u8 = 1 << 4;

/// Bytes of checksum behind every record but those of single objects.
pub const CHECKSUM_LEN: usize = 8;
/// Bytes of checksum behind an object record: its content has a hash of its own.
pub const OBJECT_CHECKSUM_LEN: usize = 4;
/// Bytes of the marker behind the type byte of a commit record, and of the records of packed segments.
pub const MARKER_LEN: usize = 4;

/// An object's first body byte: the bytes as they are.
pub const ENCODING_STORED: u8 = 0;
/// An object's first body byte: a zstd frame.
pub const ENCODING_ZSTD: u8 = 1;
/// An object's first body byte: a zstd frame whose prefix is another object.
pub const ENCODING_DELTA: u8 = 2;
/// An object's first body byte: nothing, where `repair` found the object gone.
pub const ENCODING_LOST: u8 = 3;
/// The longest encoding of a layout, in bytes.
pub const MAX_LAYOUT_LEN: u64 = 16 << 20;
/// The first four bytes of every zstd frame (RFC 8878, section 3.1.1), left out of the records.
pub const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// A commit of at most this many changes holds them itself; one of more leaves them to changes records of this many.
pub const CHANGES_PER_RECORD: usize = 32;
/// Every version whose number is a multiple of this spells its path, though a key could stand for it.
pub const SPELL_EVERY: u64 = 32;
/// Bytes of a path's key; a path that is not longer is spelled.
pub const PATH_KEY_LEN: usize = 8;
/// Every so many objects of a chain one is an anchor …
pub const ANCHOR_EVERY: u64 = 32;
/// … and of objects of at most [`SHORT_OBJECT`] bytes every so many.
pub const ANCHOR_EVERY_SHORT: u64 = 16;
/// The longest object that counts as short, in bytes.
pub const SHORT_OBJECT: usize = 16 << 10;
/// After so many objects a chain starts again.
pub const KEYFRAME_EVERY: u64 = 1024;
/// Commits in one block of a packed segment; a reader takes up to [`MAX_COMMITS_PER_BLOCK`].
pub const COMMITS_PER_BLOCK: usize = 32;
/// No block has more commits.
pub const MAX_COMMITS_PER_BLOCK: usize = 1024;
/// No block has more objects.
pub const MAX_OBJECTS_PER_BLOCK: usize = 1024;
/// No object block rests on more objects.
pub const MAX_BASES: usize = 2;
/// A load decodes at most this many bytes, unless they are one object that stands alone.
pub const MAX_LOAD_LEN: u64 = 256 << 20;
/// The largest object, in bytes (4 GiB less one).
pub const MAX_OBJECT_LEN: u64 = u32::MAX as u64;
/// A new segment is begun before the first commit that finds the active one this long.
pub const SEGMENT_LEN: u64 = 64 << 20;
/// No commit, no version and no segment has a larger number.
pub const MAX_NUMBER: u64 = crate::wire::MAX_NUMBER;
/// The longest path, in bytes of UTF-8.
pub const MAX_PATH_LEN: usize = 4096;
