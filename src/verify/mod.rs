//! Verify: reads the log itself, distrusts the index, and goes on after damage.
//!
//! What is checked: every record's checksum, every batch, the chain of commit ids, the ends of sealed segments, the
//! hash of every object (with [`VerifyOptions::quick`] not that), and that the index says what the log says.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::archive::{Archive, ContentCache, Fault, ObjectAt, ObjectReader, doubt};
use crate::commit::SourceForm;
use crate::error::{Error, Result};
use crate::id::{CommitId, ObjectId};
use crate::index::{
    Catalog, IndexError, Recent, SqliteIndex, VersionRow, rows_of_batch, rows_of_orphans,
};
use crate::log::cursor::{Cursor, Event, Progress};
use crate::log::reader::{BatchPlace, segment_file};

/// How thorough to be.
#[derive(Clone, Copy, Default)]
pub struct VerifyOptions<'a> {
    /// Everything but the documents: their hashes are not computed.
    pub quick: bool,
    /// This commit must be in the chain.
    pub head: Option<CommitId>,
    /// Is told from time to time how many commits are done, and how many there are.
    pub progress: Option<&'a dyn Fn(u64, u64)>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Nothing is wrong.
    pub ok: bool,
    /// Whole commits.
    pub commits: u64,
    /// Objects whose content was checked; with [`VerifyOptions::quick`], object records counted.
    pub objects: u64,
    /// The newest commit.
    pub head: CommitId,
    /// What is wrong, in the order of the log.
    pub findings: Vec<Finding>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing.
    pub kind: FindingKind,
    /// The segment's file, relative to the archive's folder.
    pub segment: Option<String>,
    /// Where in the segment, in bytes.
    pub offset: Option<u64>,
    /// What is wrong, for people.
    pub message: String,
    /// Paths and versions that it touches.
    pub affects: Vec<(String, u64)>,
}

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FindingKind {
    /// Bytes of the log are not what was written.
    DamagedLog,
    /// Commits are gone.
    LostCommits,
    /// An object cannot be read, or does not have its hash.
    DamagedObject,
    /// The index knew of newer commits than the log holds.
    ShortenedHistory,
    /// The commit asked for is not in the chain.
    MissingHead,
    /// The index does not say what the log says.
    WrongIndex,
}

impl std::fmt::Display for FindingKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            FindingKind::DamagedLog => "damaged-log",
            FindingKind::LostCommits => "lost-commits",
            FindingKind::DamagedObject => "damaged-object",
            FindingKind::ShortenedHistory => "shortened-history",
            FindingKind::MissingHead => "missing-head",
            FindingKind::WrongIndex => "wrong-index",
        })
    }
}

/// Checks an archive.
///
/// # Errors
/// Only where checking itself is impossible: the system refuses to read, or `MANIFEST` is damaged. Everything else
/// is a finding.
pub fn verify(archive: &Archive, options: &VerifyOptions<'_>) -> Result<Report> {
    let mut checker = Checker::new(archive, options)?;
    checker.read_log()?;
    if !options.quick {
        checker.read_objects()?;
    }
    checker.name_lost_versions()?;
    checker.compare_index();
    checker.look_for_head();
    Ok(checker.report())
}

struct Checker<'a> {
    archive: &'a Archive,
    options: &'a VerifyOptions<'a>,
    /// An index of our own, from the log and nothing else.
    index: std::sync::Mutex<SqliteIndex>,
    cursor: Cursor,
    commits: u64,
    objects: u64,
    saw_head: bool,
    findings: Vec<Finding>,
    /// For each finding of lost commits: which.
    lost: Vec<(usize, (u64, u64))>,
    nothing: Recent,
}

fn index_error(error: IndexError) -> Error {
    Fault::Index(error).into_error()
}

impl<'a> Checker<'a> {
    fn new(archive: &'a Archive, options: &'a VerifyOptions<'a>) -> Result<Checker<'a>> {
        archive.engine.refresh()?;
        let cursor = Cursor::start(&archive.engine.reader)?;
        let start = cursor.head.commit;
        Ok(Checker {
            archive,
            options,
            index: std::sync::Mutex::new(SqliteIndex::open(None).map_err(index_error)?),
            cursor,
            commits: 0,
            objects: 0,
            saw_head: options.head == Some(start),
            findings: Vec::new(),
            lost: Vec::new(),
            nothing: Recent::default(),
        })
    }

    /// Walks the whole log: records, batches, chain, ends of segments.
    fn read_log(&mut self) -> Result<()> {
        let engine = &self.archive.engine;
        let binding = engine.binding();
        let Checker {
            cursor,
            findings,
            lost,
            saw_head,
            commits,
            objects,
            options,
            ..
        } = self;
        let index = self
            .index
            .get_mut()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut progress = Progress::Reached;
        let rebuilt = index.rebuild::<Fault>(binding, None, |insert| {
            progress = cursor.advance(&engine.reader, &mut |event| {
                match event {
                    Event::Batch { segment, placed } => {
                        *commits += 1;
                        *saw_head |= options.head == Some(placed.batch.id);
                        if options.quick {
                            *objects += placed.batch.objects().count() as u64;
                        }
                        insert(rows_of_batch(segment, &placed)).map_err(Fault::into_error)?;
                    }
                    Event::Damage {
                        segment,
                        damage,
                        missing,
                    } => {
                        let kind = if missing.is_some() {
                            FindingKind::LostCommits
                        } else {
                            FindingKind::DamagedLog
                        };
                        let mut message = damage.reason.to_owned();
                        if damage.end > damage.offset {
                            message.push_str(&format!(" ({} bytes)", damage.end - damage.offset));
                        }
                        if let Some((first, last)) = missing {
                            lost.push((findings.len(), (first, last)));
                            message.push_str(&if first == last {
                                format!("; commit {first} is lost")
                            } else {
                                format!("; commits {first} to {last} are lost")
                            });
                            insert(rows_of_orphans(first, segment, &damage.orphans))
                                .map_err(Fault::into_error)?;
                        }
                        findings.push(Finding {
                            kind,
                            segment: Some(segment_file(segment)),
                            offset: Some(damage.offset),
                            message,
                            affects: Vec::new(),
                        });
                    }
                }
                Ok(())
            })?;
            Ok(crate::archive::mark_of(cursor))
        });
        rebuilt.map_err(Fault::into_error)?;
        match progress {
            Progress::Reached => Ok(()),
            Progress::Diverged => Err(Error::io(
                "verify the log",
                std::io::Error::other("it was cut while it was read; try again"),
            )),
        }
    }

    fn ask<T>(
        &self,
        question: impl FnOnce(&ObjectReader<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let catalog = Catalog::new(&self.index, self.cursor.head.seq, vec![&self.nothing]);
        question(&ObjectReader::new(&self.archive.engine, &catalog))
    }

    /// Decodes every object once, in the order of the log, and compares it with its id.
    fn read_objects(&mut self) -> Result<()> {
        let mut cache = ContentCache::default();
        // The records that are at fault, each with the ids of the objects that cannot be read for it.
        let mut faults: BTreeMap<(String, u64), (String, Vec<ObjectId>)> = BTreeMap::new();
        let mut known: HashSet<ObjectId> = HashSet::new();
        let last = self.cursor.head.seq;
        for seq in 1..=last {
            if let Some(progress) = self.options.progress
                && seq % 64 == 0
            {
                progress(seq, last);
            }
            for Reference { place, at, id } in self
                .ask(|objects| objects_of(objects, self.archive, seq))
                .map_err(Fault::into_error)?
            {
                let first = known.insert(id);
                let at = match at {
                    Some(at) => Some(at),
                    None if first => match self.ask(|objects| objects.find_orphan(&id)) {
                        Ok(Some(_)) => continue,
                        Ok(None) => None,
                        Err(fault) => return Err(fault.into_error()),
                    },
                    None => continue,
                };
                let read = self.ask(|objects| {
                    let Some(at) = at else {
                        return Err(doubt(format!("no record of object {id}")));
                    };
                    let (content, _) = objects.content(at, &mut |at| cache.get(at))?;
                    if ObjectId::of(&content.bytes) == id {
                        return Ok(content);
                    }
                    Err(objects.fault_at(
                        at,
                        format!("the content of object {id} does not have its hash"),
                    ))
                });
                match read {
                    Ok(content) => {
                        self.objects += 1;
                        if let Some(at) = at {
                            cache.put(at, content);
                        }
                    }
                    Err(fault) => {
                        let Error::Corrupt(corruption) = fault.into_error() else {
                            return Err(Error::io(
                                "verify the log",
                                std::io::Error::other("an object cannot be read"),
                            ));
                        };
                        // What is nowhere in the log has no place but that of who needs it.
                        let place = match corruption.offset {
                            Some(offset) => (corruption.file, offset),
                            None => (segment_file(place.segment), place.offset),
                        };
                        faults
                            .entry(place)
                            .or_insert((corruption.message, Vec::new()))
                            .1
                            .push(id);
                    }
                }
            }
        }
        for ((segment, offset), (message, ids)) in faults {
            let mut affects = BTreeSet::new();
            for id in ids {
                for row in self
                    .ask(|objects| objects.versions_with(&id))
                    .map_err(Fault::into_error)?
                {
                    affects.insert((row.path, row.version));
                }
            }
            self.findings.push(Finding {
                kind: FindingKind::DamagedObject,
                segment: Some(segment),
                offset: Some(offset),
                message,
                affects: affects.into_iter().collect(),
            });
        }
        Ok(())
    }

    /// Lost commits are known by the gaps they leave in the versions of paths.
    fn name_lost_versions(&mut self) -> Result<()> {
        if self.lost.is_empty() {
            return Ok(());
        }
        let mut gaps: Vec<(VersionRow, u64, u64)> = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let paths = self
                .ask(|objects| Ok(objects.catalog.paths("", after.as_deref(), 256)?))
                .map_err(Fault::into_error)?;
            let Some(last) = paths.last() else { break };
            after = Some(last.clone());
            for path in &paths {
                let rows = self
                    .ask(|objects| Ok(objects.catalog.versions(path, u64::MAX, usize::MAX)?))
                    .map_err(Fault::into_error)?;
                for (at, row) in rows.iter().enumerate() {
                    let (older, older_seq) = rows
                        .get(at + 1)
                        .map_or((0, 0), |older| (older.version, older.seq));
                    for version in older + 1..row.version {
                        gaps.push((
                            VersionRow {
                                version,
                                ..row.clone()
                            },
                            older_seq,
                            row.seq,
                        ));
                    }
                }
            }
        }
        for (finding, (first, last)) in &self.lost {
            let hit = gaps
                .iter()
                .filter(|(_, below, above)| below < last && first < above);
            let affects: BTreeSet<(String, u64)> = hit
                .map(|(row, ..)| (row.path.clone(), row.version))
                .collect();
            self.findings[*finding].affects = affects.into_iter().collect();
        }
        Ok(())
    }

    /// Does the index say what the log says?
    fn compare_index(&mut self) {
        let engine = &self.archive.engine;
        let wrong = |message: String| Finding {
            kind: FindingKind::WrongIndex,
            segment: None,
            offset: None,
            message: format!("{message}; `backstory reindex` builds it anew"),
            affects: Vec::new(),
        };
        // Writers go on meanwhile: compare what both have read.
        let mark = engine.view().mark.min(self.cursor.head.seq);
        let theirs = engine
            .index
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let ours = self
            .index
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let finding = match (theirs.integrity(), theirs.digest(mark), ours.digest(mark)) {
            (Ok(None), Ok(theirs), Ok(ours)) if theirs == ours => None,
            (Ok(None), Ok(_), Ok(_)) => {
                Some(wrong("the index does not say what the log says".to_owned()))
            }
            (Ok(Some(problem)), ..) => Some(wrong(format!("the index is damaged: {problem}"))),
            (Err(error), ..) | (_, Err(error), _) | (.., Err(error)) => {
                Some(wrong(format!("the index cannot be read: {error}")))
            }
        };
        drop((theirs, ours));
        self.findings.extend(finding);
        if let Some(lost) = engine.lost_commits() {
            self.findings.push(Finding {
                kind: FindingKind::ShortenedHistory,
                segment: None,
                offset: None,
                message: format!(
                    "an earlier index had seen {lost}, which the log does not hold; \
                     `backstory reindex` takes note of that and forgets it"
                ),
                affects: Vec::new(),
            });
        }
    }

    fn look_for_head(&mut self) {
        if let Some(head) = self.options.head
            && !self.saw_head
        {
            self.findings.push(Finding {
                kind: FindingKind::MissingHead,
                segment: None,
                offset: None,
                message: format!("commit {head} is not in the chain"),
                affects: Vec::new(),
            });
        }
    }

    fn report(self) -> Report {
        Report {
            ok: self.findings.is_empty(),
            commits: self.commits,
            objects: self.objects,
            head: self.cursor.head.commit,
            findings: self.findings,
        }
    }
}

/// An object that a change needs.
struct Reference {
    /// The batch of the change.
    place: BatchPlace,
    /// Where the change's own commit stored it, if it did.
    at: Option<ObjectAt>,
    id: ObjectId,
}

/// The objects that the changes of a commit need.
fn objects_of(
    objects: &ObjectReader<'_>,
    archive: &Archive,
    seq: u64,
) -> Result<Vec<Reference>, Fault> {
    let place = match objects.catalog.commit(seq)? {
        Some(row) if row.record_len > 0 => row.place(),
        _ => return Ok(Vec::new()),
    };
    let record = archive.engine.reader.commit(place)?;
    let changes = archive.engine.reader.changes(place, &record)?;
    let mut found = Vec::new();
    let mut ordinal = 0;
    let mut add = |id, len| {
        let at = (len > 0).then_some(ObjectAt { seq, ordinal });
        ordinal += u64::from(len > 0);
        found.push(Reference { place, at, id });
    };
    for stored in &changes {
        let Some(content) = stored.change.content else {
            continue;
        };
        add(content.object, stored.object_len);
        if let SourceForm::Object(source) = content.source {
            add(source, stored.source_len);
        }
    }
    Ok(found)
}
