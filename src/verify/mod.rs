//! Verify: reads the log itself, distrusts the index, and goes on after damage.
//!
//! What is checked: every record's checksum, every batch, the chain of commit ids, the ends of sealed segments, the
//! hash of every object and what every layout makes of its document (with [`VerifyOptions::quick`] not these), that no
//! key stands for two paths, and that the index says what the log says.

mod objects;

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::archive::{Archive, ChangeCache, Fault, LayoutCache, ObjectReader};
use crate::commit::ArchiveKeys;
use crate::error::{Error, Result};
use crate::id::{CommitId, ObjectId, PathKey};
use crate::index::{
    Catalog, IndexError, Recent, SqliteIndex, VersionRow, rows_of_batch, rows_of_orphans,
};
use crate::log::cursor::{Cursor, Event, Progress};
use crate::log::loss::LossRecord;
use crate::log::reader::segment_file;
use crate::log::scan::PlacedBatch;
use crate::revision::Spec;

/// Checking begins again where segments were packed meanwhile, but not more often than this.
const MAX_REPACKED: usize = 3;

/// So many lost versions are named at most for one finding: what is whole can claim that any number came before.
const MAX_AFFECTED: usize = 100_000;

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
    /// What is gone, as an earlier [`repair`](crate::repair) has noted. That is no finding: nothing more is wrong.
    pub losses: Vec<Loss>,
}

/// What an earlier [`repair`](crate::repair) has noted as gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// When it was noted: microseconds since the Unix epoch.
    pub noted: i64,
    /// The numbers of the first and the last of the commits that are gone, where any are.
    pub commits: Option<(u64, u64)>,
    /// The versions that cannot be loaded, by path.
    pub versions: Vec<(String, u64)>,
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
    /// Paths and versions that it touches; of those that are lost at most 100,000.
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
    let mut tries = 0;
    loop {
        let report = verify_once(archive, options)?;
        tries += 1;
        // Segments that were packed meanwhile are missing where they stood: that is no damage.
        if report.1.ok || tries > MAX_REPACKED || !archive.engine.was_repacked_since(report.0) {
            return Ok(report.1);
        }
    }
}

/// What was found, and which list of segments was read.
fn verify_once(archive: &Archive, options: &VerifyOptions<'_>) -> Result<(u64, Report)> {
    let mut checker = Checker::new(archive, options)?;
    checker.read_log()?;
    if !options.quick {
        checker.read_objects()?;
    }
    checker.name_lost_versions()?;
    checker.leave_out_what_is_noted();
    checker.compare_index();
    checker.look_for_head();
    Ok((checker.cursor.manifest.repacked, checker.report()))
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
    losses: Vec<Loss>,
    /// For each finding of lost commits: which.
    lost: Vec<(usize, (u64, u64))>,
    names: Names,
    /// Not the archive's: what it has read may be other bytes now.
    layouts: LayoutCache,
    changes: ChangeCache,
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
            losses: Vec::new(),
            lost: Vec::new(),
            names: Names::default(),
            layouts: LayoutCache::default(),
            changes: ChangeCache::default(),
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
            losses,
            lost,
            saw_head,
            commits,
            objects,
            options,
            names,
            ..
        } = self;
        let index = self
            .index
            .get_mut()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut progress = Progress::Reached;
        let rebuilt = index.rebuild::<Fault>(binding, None, |insert| {
            let mut sink = |event| {
                match event {
                    Event::Batch { segment, placed } => {
                        *commits += 1;
                        *saw_head |= options.head == Some(placed.batch.id);
                        if options.quick {
                            *objects += placed.batch.objects(placed.offset).len() as u64;
                        }
                        let keys = engine.reader.keys();
                        findings.extend(names.check(segment, &placed, keys));
                        insert(rows_of_batch(segment, &placed, keys)).map_err(Fault::into_error)?;
                    }
                    Event::Loss { segment, loss } => {
                        if let Some(lost) = &loss.record.commits {
                            *saw_head |= options.head == Some(lost.id);
                            insert(rows_of_orphans(lost.first, segment, &loss.orphans))
                                .map_err(Fault::into_error)?;
                        }
                        losses.push(Loss::new(loss.record));
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
            };
            loop {
                progress = cursor.advance(&engine.reader, &mut sink)?;
                if progress != Progress::Repacked {
                    break;
                }
                // Nothing was read yet.
                *cursor = Cursor::start(&engine.reader)?;
            }
            Ok(crate::archive::mark_of(cursor))
        });
        rebuilt.map_err(Fault::into_error)?;
        match progress {
            Progress::Reached => Ok(()),
            Progress::Diverged | Progress::Repacked => Err(Error::io(
                "verify the log",
                std::io::Error::other("it was cut while it was read; try again"),
            )),
        }
    }

    fn ask<T>(
        &self,
        question: impl FnOnce(&ObjectReader<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let keys = self.archive.engine.reader.keys();
        let mark = self.cursor.head.seq;
        let catalog = Catalog::new(keys, &self.index, mark, vec![&self.nothing]);
        question(&ObjectReader {
            layouts: &self.layouts,
            changes: &self.changes,
            ..ObjectReader::new(&self.archive.engine, &catalog)
        })
    }

    /// Lost commits are known by the gaps they leave in the versions of paths.
    fn name_lost_versions(&mut self) -> Result<()> {
        if self.lost.is_empty() {
            return Ok(());
        }
        let mut gaps: Vec<Gap> = Vec::new();
        for rows in self
            .ask(|objects| Ok(objects.catalog.nameless()?))
            .map_err(Fault::into_error)?
        {
            gaps_of(&rows, &mut gaps);
        }
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
                gaps_of(&rows, &mut gaps);
            }
        }
        for (finding, (first, last)) in &self.lost {
            let hit = gaps
                .iter()
                .filter(|gap| gap.below < *last && *first < gap.above);
            let affects: BTreeSet<(String, u64)> = hit
                .flat_map(|gap| {
                    gap.versions
                        .clone()
                        .map(|version| (gap.path.clone(), version))
                })
                .take(MAX_AFFECTED)
                .collect();
            self.findings[*finding].affects = affects.into_iter().collect();
        }
        Ok(())
    }

    /// An object that cannot be read is no news where every version that needs it is noted as lost.
    fn leave_out_what_is_noted(&mut self) {
        // What was noted may have been saved again since.
        let archive = self.archive;
        let loads = |(path, version): &(String, u64)| {
            let found = archive.resolve(path, &Spec::Number(*version));
            found.is_ok_and(|found| archive.load(&found).is_ok())
        };
        for loss in &mut self.losses {
            loss.versions
                .retain(|version| self.options.quick || !loads(version));
        }
        let noted: HashSet<&(String, u64)> =
            self.losses.iter().flat_map(|loss| &loss.versions).collect();
        self.findings.retain_mut(|finding| {
            if finding.kind != FindingKind::DamagedObject || finding.affects.is_empty() {
                return true;
            }
            finding.affects.retain(|version| !noted.contains(version));
            !finding.affects.is_empty()
        });
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
        // Another process may have removed it, or begun a new one, which whoever opens it next looks into.
        let finding = finding.filter(|_| theirs.is_named());
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
            losses: self.losses,
        }
    }
}

impl Loss {
    fn new(record: LossRecord) -> Loss {
        let versions = record.versions.into_iter().flat_map(|(path, numbers)| {
            let named = move |number| (path.clone(), number);
            numbers.into_iter().map(named)
        });
        Loss {
            noted: record.noted,
            commits: record.commits.map(|lost| (lost.first, lost.last)),
            versions: versions.collect(),
        }
    }
}

/// Versions of a path that are missing, and the numbers of the commits that they must have been between.
struct Gap {
    path: String,
    versions: std::ops::Range<u64>,
    below: u64,
    above: u64,
}

/// Adds the versions that are missing between the rows of a path, which are newest first.
fn gaps_of(rows: &[VersionRow], gaps: &mut Vec<Gap>) {
    for (at, row) in rows.iter().enumerate() {
        let (older, below) = rows
            .get(at + 1)
            .map_or((0, 0), |older| (older.version, older.seq));
        if older + 1 < row.version {
            gaps.push(Gap {
                path: row.path.clone(),
                versions: older + 1..row.version,
                below,
                above: row.seq,
            });
        }
    }
}

/// The paths that were spelled: by key, the start of a hash of the name.
#[derive(Default)]
struct Names(HashMap<PathKey, [u8; 8]>);

impl Names {
    /// Finds paths that are spelled otherwise than another one of the same key.
    fn check(&mut self, segment: u64, placed: &PlacedBatch, keys: &ArchiveKeys) -> Vec<Finding> {
        let mut findings = Vec::new();
        for stored in &placed.batch.changes {
            let change = &stored.change;
            if change.key.is_some() || !change.op.makes_version() {
                continue;
            }
            let key = keys.path_key(&change.path);
            let name = ObjectId::of(change.path.as_bytes()).check();
            if *self.0.entry(key).or_insert(name) != name {
                findings.push(Finding {
                    kind: FindingKind::DamagedLog,
                    segment: Some(segment_file(segment)),
                    offset: Some(placed.offset),
                    message: format!("the path's key {key} is that of another path"),
                    affects: vec![(change.path.clone(), change.version)],
                });
            }
        }
        findings
    }
}
