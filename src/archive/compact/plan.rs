//! Which segments are packed together.

use crate::log::manifest::{Manifest, SegmentEntry};

/// Segments of at most this many bytes together become one, but for a single one that is longer.
const MAX_TOGETHER: u64 = 256 << 20;

/// Rows of segments that follow each other, each to become one.
///
/// Plain ones are packed, and with them those packed ones in front that are no longer than all behind them: so each
/// commit is packed anew only a few times however often this is done. What `repair` has made stays as it is: packed
/// segments have no place for what is lost.
pub(super) fn plan(manifest: &Manifest) -> Vec<Vec<SegmentEntry>> {
    let sealed: Vec<(&SegmentEntry, u64)> = manifest
        .segments
        .iter()
        .filter_map(|entry| Some((entry, entry.sealed.as_ref()?.len)))
        .collect();
    let plain = |entry: &SegmentEntry| !entry.packed && !entry.repaired;
    let Some(mut start) = sealed.iter().position(|(entry, _)| plain(entry)) else {
        return Vec::new();
    };
    let mut total: u64 = sealed[start..].iter().map(|(_, len)| *len).sum();
    while let Some((entry, len)) = start.checked_sub(1).map(|before| sealed[before])
        && len <= total
        && !entry.repaired
    {
        total += len;
        start -= 1;
    }
    let mut rows: Vec<Vec<SegmentEntry>> = Vec::new();
    let (mut together, mut apart) = (0, true);
    for (entry, len) in &sealed[start..] {
        if entry.repaired {
            apart = true;
            continue;
        }
        match rows.last_mut() {
            Some(row) if !apart && together + len <= MAX_TOGETHER => row.push((*entry).clone()),
            _ => {
                rows.push(vec![(*entry).clone()]);
                together = 0;
            }
        }
        together += len;
        apart = false;
    }
    rows.retain(|row| row.iter().any(plain));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::CommitId;
    use crate::log::manifest::Sealed;

    fn list(segments: &[(u64, bool)]) -> Manifest {
        let mut manifest = Manifest::first();
        let active = manifest.segments.remove(0);
        for (number, (len, packed)) in (10..).zip(segments) {
            manifest.segments.push(SegmentEntry {
                number,
                first_seq: number,
                sealed: Some(Sealed {
                    len: *len,
                    last_commit: CommitId([0; 32]),
                }),
                packed: *packed,
                repaired: false,
            });
        }
        manifest.segments.push(active);
        manifest
    }

    fn planned(segments: &[(u64, bool)]) -> Vec<Vec<u64>> {
        let rows = plan(&list(segments));
        let numbers = |row: &Vec<SegmentEntry>| row.iter().map(|entry| entry.number).collect();
        rows.iter().map(numbers).collect()
    }

    #[test]
    fn what_is_packed_stays_until_as_much_has_come() {
        assert!(planned(&[]).is_empty());
        assert!(planned(&[(100, true), (5, true)]).is_empty());
        assert_eq!(planned(&[(100, false), (5, false)]), [[10, 11]]);
        assert_eq!(planned(&[(100, true), (5, false)]), [[11]]);
        assert_eq!(planned(&[(100, true), (5, true), (5, false)]), [[11, 12]]);
        assert_eq!(planned(&[(9, true), (5, true), (5, false)]), [[10, 11, 12]]);
        let much = 200 << 20;
        assert_eq!(
            planned(&[(much, false), (much, false), (5, false)]),
            [vec![10], vec![11, 12]]
        );
    }
}
