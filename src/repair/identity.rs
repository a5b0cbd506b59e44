//! `archive.json` from what each segment repeats of it.

use std::collections::BTreeMap;

use super::{Step, aside};
use crate::archive::read_identity;
use crate::commit::ArchiveKeys;
use crate::error::{Error, Result};
use crate::log::format::*;
use crate::log::manifest::{Manifest, UNKNOWN_FEATURE};
use crate::log::record::{claimed_len, read_frame};
use crate::storage::{Storage, replace};

/// A header record longer than this is none.
const MAX_HEADER: usize = 64 << 10;

/// Writes `archive.json` anew where it is not what the segments say.
pub(super) fn mend(storage: &dyn Storage) -> Result<Option<Step>> {
    let stands = match storage.read(IDENTITY_FILE) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(Error::io(format!("read {IDENTITY_FILE}"), error)),
    };
    let read = stands.as_deref().map(read_identity);
    if let Some(Err(Error::Unsupported(message))) = read {
        return Err(Error::Unsupported(message));
    }
    let mut repeated = repeated(storage)?;
    // MANIFEST vouches for the archive id: its checksum is keyed with it. So a segment of another archive does not count.
    let list = storage.read(&format!("{LOG_FOLDER}/{MANIFEST_FILE}")).ok();
    let vouched = |identity: &[u8]| {
        let line = [identity, b"\n"].concat();
        let keys = read_identity(&line).map(|(_, id)| ArchiveKeys::new(id));
        matches!((&list, keys), (Some(list), Ok(keys)) if matches!(
            Manifest::decode(list, &keys),
            Ok(_) | Err(UNKNOWN_FEATURE)
        ))
    };
    let stands_vouched = matches!(&read, Some(Ok((identity, _))) if vouched(identity));
    if stands_vouched || repeated.keys().any(|identity| vouched(identity)) {
        repeated.retain(|identity, _| vouched(identity));
    }
    if let Some(Ok((identity, _))) = &read
        && (repeated.is_empty() || repeated.contains_key(identity))
    {
        return Ok(None);
    }
    let Some((identity, count)) = repeated.into_iter().max_by_key(|(_, count)| *count) else {
        let what = match stands {
            Some(_) => "it is damaged, and no segment repeats it",
            None => "it is missing, and no segment repeats it",
        };
        return Err(Error::corrupt(IDENTITY_FILE, None, what));
    };
    let kept = match stands {
        Some(_) => Some(aside::keep(storage, IDENTITY_FILE)?),
        None => None,
    };
    let mut line = identity;
    line.push(b'\n');
    replace(storage, "", IDENTITY_FILE, &line)
        .map_err(|error| Error::io(format!("write {IDENTITY_FILE}"), error))?;
    Ok(Some(Step {
        file: IDENTITY_FILE.to_owned(),
        what: match count {
            1 => "written anew from what a segment repeats of it".to_owned(),
            _ => format!("written anew from what {count} segments repeat of it"),
        },
        kept,
    }))
}

/// The identities that segments begin with, and how many do with each. A header vouches for itself: its checksum is
/// keyed with the archive id that it names.
fn repeated(storage: &dyn Storage) -> Result<BTreeMap<Vec<u8>, usize>> {
    let mut found = BTreeMap::new();
    let names = storage
        .list(LOG_FOLDER)
        .map_err(|error| Error::io(format!("list {LOG_FOLDER}"), error))?;
    for name in names.iter().filter(|name| name.ends_with(SEGMENT_SUFFIX)) {
        let name = format!("{LOG_FOLDER}/{name}");
        let failed = |error| Error::io(format!("read {name}"), error);
        let file = storage.open(&name, false).map_err(failed)?;
        let mut bytes = vec![0; MAX_HEADER];
        let count = file.read_at(&mut bytes, 0).map_err(failed)?;
        bytes.truncate(count);
        if let Some(identity) = header(&bytes) {
            *found.entry(identity).or_insert(0) += 1;
        }
    }
    Ok(found)
}

fn header(bytes: &[u8]) -> Option<Vec<u8>> {
    let len = usize::try_from(claimed_len(bytes)?).ok()?;
    let record = bytes.get(..len)?;
    let front = record.iter().position(|byte| *byte == b'{')?;
    let mut line = record.get(front..len.checked_sub(CHECKSUM_LEN)?)?.to_vec();
    line.push(b'\n');
    let (identity, id) = read_identity(&line).ok()?;
    let frame = read_frame(record, &ArchiveKeys::new(id)).ok()?;
    (frame.kind == RECORD_HEADER && frame.body == identity).then_some(identity)
}
