//! MANIFEST: the live segments, in order.
//!
//! One line of canonical JSON, and a line with its checksum. It changes at rollover and when the log is packed, not
//! with every commit.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::format::{LOG_FOLDER, SEGMENT_SUFFIX};
use crate::commit::ArchiveKeys;
use crate::id::CommitId;
use crate::wire::MAX_NUMBER;

/// Why a list cannot be read that asks for something this program does not have.
pub(crate) const UNKNOWN_FEATURE: &str = "this archive needs a feature that this program lacks";

/// A segment, as MANIFEST lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentEntry {
    pub number: u64,
    pub first_seq: u64,
    /// `None` for the active segment.
    pub sealed: Option<Sealed>,
    /// It was made by `compact`, and has blocks instead of batches.
    pub packed: bool,
    /// It was made by `repair`, and may say what is gone: `compact` leaves it as it is.
    pub repaired: bool,
}

/// What is known for good of a segment that takes no more commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub len: u64,
    pub last_commit: CommitId,
}

/// The live segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// Goes up by one with every change of the list.
    pub generation: u64,
    /// The generation that last put segments in the place of others; 0 for none. What was known before of where
    /// commits stand is old.
    pub repacked: u64,
    pub segments: Vec<SegmentEntry>,
}

impl SegmentEntry {
    /// The file, relative to the archive's folder.
    pub fn file(&self) -> String {
        format!("{LOG_FOLDER}/{}", segment_name(self.number))
    }
}

/// The name of a segment inside the log's folder.
pub(crate) fn segment_name(number: u64) -> String {
    format!("{number:08}{SEGMENT_SUFFIX}")
}

impl Manifest {
    /// The list of a new archive.
    pub fn first() -> Manifest {
        Manifest {
            generation: 1,
            repacked: 0,
            segments: vec![SegmentEntry {
                number: 1,
                first_seq: 1,
                sealed: None,
                packed: false,
                repaired: false,
            }],
        }
    }

    /// The segment that takes commits.
    pub fn active(&self) -> Option<&SegmentEntry> {
        self.segments.last()
    }

    pub fn encode(&self, keys: &ArchiveKeys) -> Vec<u8> {
        let segments: Vec<Value> = self
            .segments
            .iter()
            .map(|segment| {
                let mut entry = json!({"first_seq": segment.first_seq, "number": segment.number});
                if let Some(sealed) = &segment.sealed {
                    entry["last_commit"] = sealed.last_commit.to_string().into();
                    entry["sealed_length"] = sealed.len.into();
                }
                if segment.packed {
                    entry["packed"] = true.into();
                }
                if segment.repaired {
                    entry["repaired"] = true.into();
                }
                entry
            })
            .collect();
        let mut list = json!({"generation": self.generation, "segments": segments});
        if self.repacked > 0 {
            list["repacked"] = self.repacked.into();
        }
        let mut bytes = list.to_string().into_bytes();
        let sum = checksum(&bytes, keys);
        bytes.push(b'\n');
        bytes.extend_from_slice(sum.as_bytes());
        bytes.push(b'\n');
        bytes
    }

    pub fn decode(bytes: &[u8], keys: &ArchiveKeys) -> Result<Manifest, &'static str> {
        let line_end = memchr::memchr(b'\n', bytes).ok_or("it has no checksum")?;
        let line = &bytes[..line_end];
        if bytes[line_end + 1..] != *format!("{}\n", checksum(line, keys)).as_bytes() {
            return Err("wrong checksum");
        }
        let value: Value = serde_json::from_slice(line).map_err(|_| "it is not JSON")?;
        match &value["required"] {
            Value::Null => {}
            Value::Array(features) if features.is_empty() => {}
            _ => return Err(UNKNOWN_FEATURE),
        }
        let segments = value["segments"].as_array().ok_or("it has no segments")?;
        let segments: Vec<SegmentEntry> = segments
            .iter()
            .map(|entry| {
                let number = entry["number"]
                    .as_u64()
                    .filter(|n| (1..=MAX_NUMBER).contains(n))?;
                let first_seq = entry["first_seq"]
                    .as_u64()
                    .filter(|seq| *seq <= MAX_NUMBER)?;
                let sealed = match entry["sealed_length"].as_u64() {
                    None => None,
                    Some(len) => {
                        let last_commit = entry["last_commit"].as_str()?.parse().ok()?;
                        Some(Sealed { len, last_commit })
                    }
                };
                let flag = |name: &str| match &entry[name] {
                    Value::Null => Some(false),
                    flag => flag.as_bool(),
                };
                let packed = flag("packed").filter(|packed| !*packed || sealed.is_some())?;
                Some(SegmentEntry {
                    number,
                    first_seq,
                    sealed,
                    packed,
                    repaired: flag("repaired")?,
                })
            })
            .collect::<Option<_>>()
            .ok_or("a segment lacks a field")?;
        let active = segments
            .iter()
            .filter(|segment| segment.sealed.is_none())
            .count();
        if active != 1 || segments.last().is_none_or(|last| last.sealed.is_some()) {
            return Err("exactly the last segment must be open");
        }
        // Whoever follows the list must come to its end.
        let mut numbers = HashSet::new();
        if !segments
            .iter()
            .all(|segment| numbers.insert(segment.number))
        {
            return Err("a segment is in it twice");
        }
        if segments
            .windows(2)
            .any(|pair| pair[0].first_seq >= pair[1].first_seq)
        {
            return Err("its segments are out of order");
        }
        let generation = value["generation"]
            .as_u64()
            .filter(|generation| *generation <= MAX_NUMBER)
            .ok_or("it has no generation")?;
        let repacked = match &value["repacked"] {
            Value::Null => 0,
            repacked => repacked
                .as_u64()
                .ok_or("its generation of repacking is no number")?,
        };
        Ok(Manifest {
            generation,
            repacked,
            segments,
        })
    }
}

fn checksum(line: &[u8], keys: &ArchiveKeys) -> String {
    blake3::keyed_hash(&keys.checksum, line)
        .to_hex()
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ArchiveId;

    #[test]
    fn features_that_are_not_known_are_refused() {
        let keys = ArchiveKeys::new(ArchiveId([7; 16]));
        let with = |required: &str| {
            let text = String::from_utf8(Manifest::first().encode(&keys)).unwrap();
            let (line, _) = text.split_once('\n').unwrap();
            let line = line.replace(
                "\"segments\"",
                &format!("\"required\":{required},\"segments\""),
            );
            let sum = checksum(line.as_bytes(), &keys);
            Manifest::decode(format!("{line}\n{sum}\n").as_bytes(), &keys)
        };
        assert_eq!(with("[]"), Ok(Manifest::first()));
        for required in ["[\"sealed\"]", "\"sealed\"", "{}"] {
            assert_eq!(with(required), Err(UNKNOWN_FEATURE));
        }
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let keys = ArchiveKeys::new(ArchiveId([7; 16]));
        let mut manifest = Manifest::first();
        manifest.segments[0].sealed = Some(Sealed {
            len: 10,
            last_commit: CommitId([3; 32]),
        });
        manifest.segments.push(SegmentEntry {
            number: 2,
            first_seq: 9,
            sealed: None,
            packed: false,
            repaired: true,
        });
        manifest.segments[0].packed = true;
        manifest.repacked = 3;
        let bytes = manifest.encode(&keys);
        assert_eq!(Manifest::decode(&bytes, &keys), Ok(manifest));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x20;
            assert!(Manifest::decode(&changed, &keys).is_err(), "byte {at}");
            assert!(
                Manifest::decode(&bytes[..at], &keys).is_err(),
                "cut at {at}"
            );
        }
        assert!(Manifest::decode(&bytes, &ArchiveKeys::new(ArchiveId([8; 16]))).is_err());
    }
}
