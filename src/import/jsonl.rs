//! JSON lines, a version a line, as [`export`](crate::export) writes them.

mod line;

use std::collections::{HashMap, HashSet};
use std::io::BufRead;

use super::{Imported, Intake, Tell, check_under, is_about_one};
use crate::archive::{Archive, HistoryQuery, Version};
use crate::error::{Error, Result};
use crate::id::ObjectId;
use crate::revision::Spec;
use line::{Line, Lines};

/// Versions as JSON lines.
///
/// Lines with the same time, author, message and metadata, of the same commit where one is named, are one commit, as long
/// as no path comes twice. A line is in the archive already if its path has a version of this document and time; of
/// several that are alike each is counted.
#[derive(Clone, Debug, Default)]
pub struct JsonlImport {
    /// The folder of the archive that the paths come under; empty for its root.
    pub under: String,
}

impl JsonlImport {
    /// Imports what the archive does not have yet. A line that cannot be is told of and left out.
    ///
    /// # Errors
    /// `Io` where `input` cannot be read or the archive not be written.
    pub fn run(
        &self,
        archive: &Archive,
        input: &mut dyn BufRead,
        tell: Tell<'_>,
    ) -> Result<Imported> {
        check_under(&self.under)?;
        let mut intake = Intake::new(archive, tell)?;
        let mut lines = Lines::default();
        let mut known = Known::new(archive);
        // The lines of one commit, and their paths.
        let mut commit: Vec<Line> = Vec::new();
        let mut paths = HashSet::new();
        let mut text = Vec::new();
        for number in 1_u64.. {
            text.clear();
            let read = input.read_until(b'\n', &mut text);
            if read.map_err(|error| Error::io("read the lines", error))? == 0 {
                break;
            }
            if text.trim_ascii().is_empty() {
                continue;
            }
            let line = match lines.read(&text, &self.under) {
                Ok(line) => line,
                Err(refused) => {
                    let path = refused.path.unwrap_or_default();
                    intake.leave_out(path, format!("line {number}"), *refused.error);
                    continue;
                }
            };
            if known.has(&line)? {
                intake.imported.already += 1;
                continue;
            }
            if !commit.first().is_none_or(|first| line.goes_with(first))
                || paths.contains(&line.path)
            {
                push(&mut intake, &mut commit)?;
                paths.clear();
            }
            paths.insert(line.path.clone());
            commit.push(Line { number, ..line });
        }
        push(&mut intake, &mut commit)?;
        intake.finish()
    }
}

/// Makes one commit of lines.
fn push(intake: &mut Intake<'_, '_>, lines: &mut Vec<Line>) -> Result<()> {
    let Some(first) = lines.first() else {
        return Ok(());
    };
    let mut save = intake.archive.save();
    save.note(first.note.clone()).repeat(true);
    if let Some(origin) = first.origin {
        save.origin(origin);
    }
    // What a rename ends has a line of its own, which may stand in front.
    lines.sort_by_key(|line| line.from.is_none());
    let mut len = 0;
    for line in lines.drain(..) {
        let added = match (line.document, &line.from) {
            (Some(document), Some(from)) if !save.has(from) => {
                save.add_moved(from, &line.path, document).map(drop)
            }
            (Some(document), _) => save.add(&line.path, document).map(drop),
            (None, _) if save.has(&line.path) => Ok(()),
            (None, _) => save.delete(&line.path).map(drop),
        };
        match added {
            Ok(()) => len += line.len,
            Err(error) if is_about_one(&error) => {
                intake.leave_out(line.path, format!("line {}", line.number), error);
            }
            Err(error) => return Err(error),
        }
    }
    intake.push(save, len)
}

/// What the archive had before the import, of the paths that come.
struct Known<'a> {
    archive: &'a Archive,
    paths: HashMap<String, KnownPath>,
}

/// A version as far as lines are compared with it: its time, and its document where it has one.
type Key = (i64, Option<ObjectId>);

struct KnownPath {
    /// The newest version that was there.
    newest: u64,
    /// Up to this version each was the next line.
    matched: u64,
    /// How often each other version was there, once the lines come in another order.
    rest: Option<HashMap<Key, u32>>,
}

impl<'a> Known<'a> {
    fn new(archive: &'a Archive) -> Known<'a> {
        Known {
            archive,
            paths: HashMap::new(),
        }
    }

    /// Was this version there? Each that was is found once.
    fn has(&mut self, line: &Line) -> Result<bool> {
        let path = match self.paths.get_mut(&line.path) {
            Some(path) => path,
            None => {
                let newest = self.archive.newest(&line.path)?;
                let known = KnownPath {
                    newest: newest.map_or(0, |newest| newest.version),
                    matched: 0,
                    rest: None,
                };
                self.paths.entry(line.path.clone()).or_insert(known)
            }
        };
        if path.rest.is_none() {
            if path.matched == path.newest {
                return Ok(false);
            }
            let next = Spec::Number(path.matched + 1);
            match self.archive.resolve(&line.path, &next) {
                Ok(next) if key(&next) == line.key => {
                    path.matched += 1;
                    return Ok(true);
                }
                Ok(_) => {}
                // A version that is lost is none that a line could be.
                Err(error) if error.is_not_found() || error.is_corrupt() => {}
                Err(error) => return Err(error),
            }
        }
        let rest = match &mut path.rest {
            Some(rest) => rest,
            none => none.insert(versions_behind(self.archive, &line.path, path.matched)?),
        };
        match rest.get_mut(&line.key) {
            Some(count) if *count > 0 => {
                *count -= 1;
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

fn key(version: &Version) -> Key {
    (version.time, version.id)
}

fn versions_behind(archive: &Archive, path: &str, matched: u64) -> Result<HashMap<Key, u32>> {
    let mut counts = HashMap::new();
    let query = HistoryQuery {
        path: Some(path.to_owned()),
        ..HistoryQuery::default()
    };
    for version in archive.history(query)? {
        let version = version?;
        if version.version <= matched {
            break;
        }
        *counts.entry(key(&version)).or_insert(0) += 1;
    }
    Ok(counts)
}
