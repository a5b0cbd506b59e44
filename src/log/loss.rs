//! Loss records: what `repair` found gone, and wrote down in its place.
//!
//! A loss record closes a batch as a commit record does. The objects in front of it are those that the first of the
//! lost commits had brought, as far as they are whole: later objects may rest on them.

use super::format::{CHECKSUM_LEN, RECORD_LOSS, RECORD_OBJECT};
use super::record::{batch_checksum, read_frame, write_frame};
use crate::commit::ArchiveKeys;
use crate::id::CommitId;
use crate::wire::{Bytes, Malformed, checked_number, put_bytes, put_ivar, put_uvar};

/// What is lost at some place of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LossRecord {
    /// Bytes of the batch in front of this record.
    pub before: u64,
    /// Checksum of these bytes.
    pub batch_checksum: [u8; CHECKSUM_LEN],
    /// When it was written down: microseconds since the Unix epoch.
    pub noted: i64,
    /// The commits that are gone, where any are.
    pub commits: Option<LostCommits>,
    /// The versions that cannot be loaded any more, by path.
    pub versions: Vec<(String, Vec<u64>)>,
}

/// Commits that are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LostCommits {
    pub first: u64,
    pub last: u64,
    /// The id of the last one, on which the chain goes on.
    pub id: CommitId,
}

/// A loss record and what stands in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlacedLoss {
    /// Where its batch starts, and where the record ends.
    pub offset: u64,
    pub end: u64,
    pub record: LossRecord,
    /// Offset and length of the object records in front of it.
    pub orphans: Vec<(u64, u64)>,
}

impl LossRecord {
    pub fn decode(body: &[u8]) -> Result<LossRecord, Malformed> {
        let mut input = Bytes::new(body);
        let before = input.uvar()?;
        let batch_checksum = match before {
            0 => [0; CHECKSUM_LEN],
            _ => input.array()?,
        };
        let noted = input.ivar()?;
        let first = input.counted()?;
        let commits = match input.counted()? {
            0 if first == 0 => None,
            count if first > 0 && count > 0 => Some(LostCommits {
                first,
                last: checked_number(first + count - 1)?,
                id: CommitId(input.array()?),
            }),
            _ => return Err(Malformed("lost commits without a number")),
        };
        let mut versions = Vec::new();
        for _ in 0..input.uvar()? {
            let path = input.text()?;
            let mut numbers = Vec::new();
            let mut last = 0u64;
            for _ in 0..input.uvar()? {
                let step = input.counted()?;
                if step == 0 {
                    return Err(Malformed("versions out of order"));
                }
                last = checked_number(last + step)?;
                numbers.push(last);
            }
            versions.push((path, numbers));
        }
        if !input.rest().is_empty() {
            return Err(Malformed("text behind a loss"));
        }
        Ok(LossRecord {
            before,
            batch_checksum,
            noted,
            commits,
            versions,
        })
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        put_uvar(out, self.before);
        if self.before > 0 {
            out.extend_from_slice(&self.batch_checksum);
        }
        put_ivar(out, self.noted);
        match &self.commits {
            None => {
                put_uvar(out, 0);
                put_uvar(out, 0);
            }
            Some(commits) => {
                put_uvar(out, commits.first);
                put_uvar(out, commits.last - commits.first + 1);
                out.extend_from_slice(&commits.id.0);
            }
        }
        put_uvar(out, self.versions.len() as u64);
        for (path, numbers) in &self.versions {
            put_bytes(out, path.as_bytes());
            put_uvar(out, numbers.len() as u64);
            let mut last = 0;
            for number in numbers {
                put_uvar(out, number - last);
                last = *number;
            }
        }
    }

    /// Appends the record behind its objects, which begin at `start` in `out`.
    pub fn finish(mut self, out: &mut Vec<u8>, start: usize, keys: &ArchiveKeys) {
        self.before = (out.len() - start) as u64;
        self.batch_checksum = batch_checksum(&out[start..], keys);
        let mut body = Vec::new();
        self.encode(&mut body);
        write_frame(out, RECORD_LOSS, &body, keys);
    }
}

/// Checks the batch in `bytes`, whose loss record starts at `record_at` and has this body; the batch stands at the
/// front of what was read.
pub(crate) fn check_loss(
    bytes: &[u8],
    record_at: usize,
    body: &[u8],
    keys: &ArchiveKeys,
) -> Result<PlacedLoss, &'static str> {
    let record = LossRecord::decode(body).map_err(|error| error.0)?;
    let front = &bytes[..record_at];
    if record.before != record_at as u64 {
        return Err("the batch of a loss has another length");
    }
    if record.before > 0 && batch_checksum(front, keys) != record.batch_checksum {
        return Err("wrong checksum of the batch");
    }
    let mut orphans = Vec::new();
    let mut at = 0;
    while at < front.len() {
        match read_frame(&front[at..], keys) {
            Ok(frame) if frame.kind == RECORD_OBJECT => {
                orphans.push((at as u64, frame.len as u64));
                at += frame.len;
            }
            _ => return Err("something else than objects in front of a loss"),
        }
    }
    if record.commits.is_none() && !orphans.is_empty() {
        return Err("objects of no commit");
    }
    Ok(PlacedLoss {
        offset: 0,
        end: bytes.len() as u64,
        record,
        orphans,
    })
}

impl PlacedLoss {
    /// The same, read at this offset of its segment.
    pub fn moved_to(mut self, offset: u64) -> PlacedLoss {
        self.offset += offset;
        self.end += offset;
        for (at, _) in &mut self.orphans {
            *at += offset;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back() {
        let losses = [
            LossRecord {
                before: 0,
                batch_checksum: [0; CHECKSUM_LEN],
                noted: -5,
                commits: None,
                versions: vec![("a/b".to_owned(), vec![1, 2, 300])],
            },
            LossRecord {
                before: 7,
                batch_checksum: [1; CHECKSUM_LEN],
                noted: 1 << 50,
                commits: Some(LostCommits {
                    first: 3,
                    last: 9,
                    id: CommitId([4; 32]),
                }),
                versions: Vec::new(),
            },
        ];
        for loss in losses {
            let mut body = Vec::new();
            loss.encode(&mut body);
            assert_eq!(LossRecord::decode(&body), Ok(loss));
            for len in 0..body.len() {
                assert!(LossRecord::decode(&body[..len]).is_err(), "{len}");
            }
            body.push(0);
            assert!(LossRecord::decode(&body).is_err());
        }
    }
}
