//! Asking: resolve, load, list, identify, tags, stats.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Archive;
use super::engine::Fault;
use super::history::PAGE;
use super::objects::{ObjectReader, doubt, gone};
use super::version::*;
use crate::canon::{self, Form, NanMode};
use crate::commit::{Fields, Op, SourceForm};
use crate::error::{Error, Result};
use crate::id::{CommitId, HexPrefix, ObjectId};
use crate::index::{Catalog, VersionRow};
use crate::log::format::LOG_FOLDER;
use crate::log::reader::LocatedChange;
use crate::pointer::{self, Pointer};
use crate::revision::Spec;

/// A document out of the archive with the bytes it was saved in, both checked.
#[derive(Clone, Debug)]
pub struct Loaded {
    document: LoadedDocument,
    source: Option<Arc<Vec<u8>>>,
}

/// A document out of the archive, its hash checked, without the bytes it was saved in.
#[derive(Clone, Debug)]
pub struct LoadedDocument {
    version: Version,
    canonical: Arc<Vec<u8>>,
}

impl std::ops::Deref for Loaded {
    type Target = LoadedDocument;

    fn deref(&self) -> &LoadedDocument {
        &self.document
    }
}

impl Loaded {
    /// The bytes as they were saved; the pretty form where the document came without bytes of its own.
    pub fn source(&self) -> Vec<u8> {
        match (&self.source, self.version.form) {
            (Some(source), _) => source.to_vec(),
            (None, SourceForm::Canonical) => self.canonical.to_vec(),
            _ => self.render(Form::Pretty),
        }
    }

    /// The same, without a copy where that can be.
    pub fn into_source(self) -> Vec<u8> {
        match self.source {
            Some(source) => Arc::unwrap_or_clone(source),
            None => self.source(),
        }
    }
}

impl LoadedDocument {
    /// Which version it is of.
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The canonical form: its BLAKE3 is the version's id.
    pub fn canonical(&self) -> &[u8] {
        &self.canonical
    }

    /// The document laid out anew; numbers that JSON does not have are given back as they were written.
    pub fn render(&self, form: Form) -> Vec<u8> {
        let mut out = Vec::new();
        canon::render(&self.canonical, form, self.version.nan, &mut out);
        out
    }

    /// The canonical form of the value that a JSON Pointer names.
    pub fn pointer(&self, pointer: &Pointer) -> Option<&[u8]> {
        pointer::find(&self.canonical, pointer).and_then(|range| self.canonical.get(range))
    }
}

impl Version {
    /// The id of its document, which a deletion has none of.
    fn object(&self) -> Result<ObjectId> {
        self.id.ok_or_else(|| {
            let (path, version) = (&self.path, self.version);
            Error::NotFound(format!("{path} was deleted in version {version}"))
        })
    }
}

impl Archive {
    /// The version that a row points to, as the log has it.
    pub(crate) fn version_of(
        &self,
        catalog: &Catalog<'_>,
        row: &VersionRow,
    ) -> Result<Version, Fault> {
        self.read_version(catalog, row).map(|(version, _)| version)
    }

    /// The same, with the change that made it.
    fn read_version(
        &self,
        catalog: &Catalog<'_>,
        row: &VersionRow,
    ) -> Result<(Version, LocatedChange), Fault> {
        let place = match row.place {
            Some(place) => Some(place),
            None => catalog.commit(row.seq)?.map(|commit| commit.place()),
        };
        let place = place.filter(|place| place.record_len > 0);
        let place = place.ok_or_else(|| doubt(format!("the index lacks commit {}", row.seq)))?;
        let record = self.engine.reader.commit(place)?;
        let located = self.engine.reader.change(place, &record, row.change)?;
        let mut change = located.stored.change.clone();
        if record.seq != row.seq || !row.agrees(&mut change, self.engine.reader.keys()) {
            return Err(doubt(format!(
                "the index has {}@{} in another place",
                row.path, row.version
            )));
        }
        let version = Version::new(&record, record.id(), row.change, &change);
        Ok((version, located))
    }

    /// A commit; `None` where damage has taken it.
    pub(crate) fn commit_view(
        &self,
        catalog: &Catalog<'_>,
        seq: u64,
    ) -> Result<Option<CommitView>, Fault> {
        let place = match catalog.commit(seq)? {
            Some(row) if row.record_len > 0 => row.place(),
            _ => return Ok(None),
        };
        let record = self.engine.reader.commit(place)?;
        if record.seq != seq {
            return Err(doubt(format!(
                "the index has commit {seq} in another place"
            )));
        }
        let id = record.id();
        let changes = self.engine.reader.changes(place, &record)?;
        let mut view = CommitView {
            seq,
            commit: id,
            time: record.time,
            recorded: record.recorded,
            author: record.fields.text(Fields::AUTHOR),
            message: record.fields.text(Fields::MESSAGE),
            meta: meta_of(&record),
            changes: Vec::new(),
            tags: Vec::new(),
            undo_of: record.fields.number(Fields::UNDO_OF),
            redo_of: record.fields.number(Fields::REDO_OF),
        };
        for (number, mut stored) in (0..).zip(changes) {
            catalog.fill(&mut stored.change)?;
            if stored.change.op.makes_version() {
                view.changes
                    .push(Version::new(&record, id, number, &stored.change));
            } else {
                view.tags.push(stored.change.other);
            }
        }
        Ok(Some(view))
    }

    /// The newest commit.
    pub fn head(&self) -> Result<Head> {
        self.engine.refresh()?;
        let head = self.engine.view().cursor.head;
        Ok(Head {
            seq: head.seq,
            commit: head.commit,
        })
    }

    /// Has this path, or had it, any version?
    pub fn path_exists(&self, path: &str) -> Result<bool> {
        self.engine
            .ask(|catalog| Ok(catalog.newest(path)?.is_some()))
    }

    /// The newest version of a path, which may be a deletion.
    pub fn newest(&self, path: &str) -> Result<Option<Version>> {
        self.engine.ask(|catalog| match catalog.newest(path)? {
            None => Ok(None),
            Some(row) => self.version_of(catalog, &row).map(Some),
        })
    }

    /// The version that a revision of a path means. A deletion is a version too.
    ///
    /// # Errors
    /// `NotFound` where there is no such path, version, tag, or more than one object with the prefix; `Corrupt`
    /// where the version is in a damaged part of the log.
    pub fn resolve(&self, path: &str, spec: &Spec) -> Result<Version> {
        self.engine.ask(|catalog| {
            let missing = |message: String| Fault::Error(Error::NotFound(message));
            // Mostly there is one of that number: then what is newest need not be known.
            if let Spec::Number(number) = spec
                && let Some(row) = catalog.version(path, *number)?
            {
                return self.resolved(catalog, &row);
            }
            let Some(newest) = catalog.newest(path)? else {
                return Err(missing(format!("no version of {path}")));
            };
            let row = match spec {
                Spec::Latest => Some(newest.clone()),
                Spec::Number(number) => catalog.version(path, *number)?,
                Spec::Back(back) => match newest.version.checked_sub(*back) {
                    Some(number) if number > 0 => catalog.version(path, number)?,
                    _ => None,
                },
                Spec::Day(day) => catalog.version_at(path, crate::time::day_end(*day))?,
                Spec::Time(time) => catalog.version_at(path, *time)?,
                Spec::Tag(name) => self.tagged(catalog, path, name)?,
                Spec::ObjectPrefix(prefix) => Some(self.by_prefix(catalog, path, prefix)?),
            };
            let Some(row) = row else {
                if let Spec::Number(number) = spec
                    && *number > 0
                    && *number < newest.version
                {
                    return Err(Fault::Doubt(Error::corrupt(
                        LOG_FOLDER,
                        None,
                        format!("version {number} of {path} is in a part of it that is lost"),
                    )));
                }
                return Err(missing(format!(
                    "{path} has no version {spec}; its newest is {}",
                    newest.version
                )));
            };
            self.resolved(catalog, &row)
        })
    }

    fn resolved(&self, catalog: &Catalog<'_>, row: &VersionRow) -> Result<Version, Fault> {
        let (version, located) = self.read_version(catalog, row)?;
        // What is asked for next is mostly its document.
        self.engine
            .changes
            .put((version.seq, version.change), &located);
        Ok(version)
    }

    fn tagged(
        &self,
        catalog: &Catalog<'_>,
        path: &str,
        name: &str,
    ) -> Result<Option<VersionRow>, Fault> {
        let unknown = || {
            Fault::Error(Error::NotFound(format!(
                "no tag {name:?}, and no revision of that form"
            )))
        };
        let Some(row) = catalog.tag(name)? else {
            return Err(unknown());
        };
        let change = ObjectReader::new(&self.engine, catalog)
            .change_at(row.seq, row.change)?
            .stored
            .change;
        if change.other != name || change.op.makes_version() {
            return Err(doubt(format!(
                "the index has tag {name:?} in another place"
            )));
        }
        match change.op {
            Op::Tag if change.path.is_empty() => {
                catalog.version_as_of(path, change.of).map_err(Fault::from)
            }
            Op::Tag if change.path == path => Ok(catalog.version(path, change.version)?),
            Op::Tag => {
                let named = format!("tag {name:?} names {}@{}", change.path, change.version);
                Err(Fault::Error(Error::NotFound(format!(
                    "{named}, not a version of {path}"
                ))))
            }
            _ => Err(unknown()),
        }
    }

    fn by_prefix(
        &self,
        catalog: &Catalog<'_>,
        path: &str,
        prefix: &str,
    ) -> Result<VersionRow, Fault> {
        let missing = |message: String| Fault::Error(Error::NotFound(message));
        let Some(prefix) = HexPrefix::parse(prefix) else {
            let least = HexPrefix::MIN_DIGITS;
            return Err(missing(format!(
                "an object prefix has {least} to 64 hexadecimal digits"
            )));
        };
        let (low, high) = prefix.key_range();
        let objects = ObjectReader::new(&self.engine, catalog);
        let mut found: Option<(ObjectId, VersionRow)> = None;
        for row in catalog.by_key(low, high)? {
            if row.path != path {
                continue;
            }
            let Some(content) = objects.change(&row)?.stored.change.content else {
                continue;
            };
            if !prefix.matches(&content.object) {
                continue;
            }
            match &found {
                Some((id, _)) if *id != content.object => {
                    return Err(missing(format!(
                        "more than one object of {path} starts like that"
                    )));
                }
                // The newest of the versions with this object.
                _ => found = Some((content.object, row)),
            }
        }
        found
            .map(|(_, row)| row)
            .ok_or_else(|| missing(format!("no object of {path} starts like that")))
    }

    /// The document of a version without the bytes it was saved in, its hash checked: where these are damaged it may
    /// still be whole.
    ///
    /// # Errors
    /// `NotFound` for a deletion; `Corrupt` where the content does not have its hash.
    pub fn load_document(&self, version: &Version) -> Result<LoadedDocument> {
        let id = version.object()?;
        self.engine.ask(|catalog| {
            let objects = ObjectReader::new(&self.engine, catalog);
            let located = objects.change_at(version.seq, version.change)?;
            Ok(LoadedDocument {
                version: version.clone(),
                canonical: objects.named(&located, version.seq, &id, Some(&self.engine.cache))?,
            })
        })
    }

    /// The document of a version. Every byte given out has been compared with the hash that names it.
    ///
    /// # Errors
    /// `NotFound` for a deletion; `Corrupt` where the content does not have its hash.
    pub fn load(&self, version: &Version) -> Result<Loaded> {
        let id = version.object()?;
        self.engine.ask(|catalog| {
            let objects = ObjectReader::new(&self.engine, catalog);
            let located = objects.change_at(version.seq, version.change)?;
            let cache = Some(&self.engine.cache);
            let canonical = objects.named(&located, version.seq, &id, cache)?;
            let source = match version.form {
                SourceForm::Object(id) => Some(objects.named(&located, version.seq, &id, cache)?),
                SourceForm::LaidOut { check, layout } => {
                    let kept = (check, layout);
                    let place = (version.seq, version.path.as_str());
                    let source = objects.laid_out(&canonical, version.nan, kept, place)?;
                    Some(Arc::new(source))
                }
                SourceForm::None | SourceForm::Canonical | SourceForm::Pretty => None,
            };
            let document = LoadedDocument {
                version: version.clone(),
                canonical,
            };
            Ok(Loaded { document, source })
        })
    }

    /// The BLAKE3 of the bytes as they were saved, where they are stored; `None` where the canonical or the pretty form
    /// gives them back. Where a layout makes them the document must be loaded to know.
    ///
    /// # Errors
    /// As [`load`](Archive::load).
    pub fn source_id(&self, version: &Version) -> Result<Option<ObjectId>> {
        match version.form {
            SourceForm::LaidOut { .. } => Ok(Some(ObjectId::of(&self.load(version)?.source()))),
            _ => Ok(version.source),
        }
    }

    /// The newest version of every path that is `prefix` or below it, in the order of their names; all paths for
    /// the empty prefix. Deleted ones are there too.
    pub fn list(&self, prefix: &str) -> Result<Vec<Version>> {
        let mut versions: Vec<Version> = Vec::new();
        loop {
            let after = versions.last().map(|version| version.path.clone());
            let page = self.engine.ask(|catalog| {
                let mut page = Vec::new();
                for path in catalog.paths(prefix, after.as_deref(), PAGE)? {
                    if let Some(row) = catalog.newest(&path)? {
                        page.push(self.version_of(catalog, &row)?);
                    }
                }
                Ok(page)
            })?;
            if page.is_empty() {
                return Ok(versions);
            }
            versions.extend(page);
        }
    }

    /// Every version that holds this document, newest first. `document` is JSON text in any layout.
    pub fn identify(&self, document: &[u8]) -> Result<Vec<Match>> {
        let strict = canon::canonicalize_with(document, NanMode::Reject);
        let (canonical, outcome) = match strict {
            Ok(done) => done,
            Err(_) => canon::canonicalize_with(document, NanMode::Tag).map_err(|source| {
                Error::InvalidDocument {
                    path: "the document".to_owned(),
                    source,
                }
            })?,
        };
        let id = ObjectId::of(&canonical);
        let source_id = ObjectId::of(document);
        let mut found = self.engine.ask(|catalog| {
            let mut found = Vec::new();
            let objects = ObjectReader::new(&self.engine, catalog);
            for row in catalog.by_key(id.key(), id.key())? {
                let version = self.version_of(catalog, &row)?;
                if version.id != Some(id) || version.nan != outcome.tagged {
                    continue;
                }
                let same_bytes = match version.form {
                    SourceForm::Object(source) => source == source_id,
                    SourceForm::LaidOut { check, layout } => {
                        check == source_id.check()
                            && objects
                                .layout(layout)?
                                .renders_to(&canonical, version.nan, document)
                    }
                    SourceForm::Canonical => document == canonical,
                    SourceForm::Pretty | SourceForm::None => {
                        canon::renders_to(&canonical, Form::Pretty, version.nan, document)
                    }
                };
                found.push(Match {
                    version,
                    same_bytes,
                });
            }
            Ok(found)
        })?;
        found.sort_by(|a, b| {
            b.version
                .seq
                .cmp(&a.version.seq)
                .then(a.version.path.cmp(&b.version.path))
        });
        Ok(found)
    }

    /// All tags, by name.
    pub fn tags(&self) -> Result<Vec<Tag>> {
        self.engine.ask(|catalog| {
            let objects = ObjectReader::new(&self.engine, catalog);
            let mut tags = Vec::new();
            for row in catalog.tags()? {
                let change = objects.change_at(row.seq, row.change)?.stored.change;
                if change.other != row.name || change.op.makes_version() {
                    let message = format!("the index has tag {:?} in another place", row.name);
                    return Err(doubt(message));
                }
                if change.op != Op::Tag {
                    continue;
                }
                let whole = change.path.is_empty();
                let commit = if whole {
                    self.commit_id(catalog, change.of)?
                } else {
                    match catalog.version(&change.path, change.version)? {
                        Some(row) => self.commit_id(catalog, row.seq)?,
                        None => {
                            return Err(doubt(format!(
                                "tag {:?} names a version that is not there",
                                row.name
                            )));
                        }
                    }
                };
                tags.push(Tag {
                    name: row.name,
                    path: (!whole).then_some(change.path),
                    version: (!whole).then_some(change.version),
                    commit,
                });
            }
            Ok(tags)
        })
    }

    fn commit_id(&self, catalog: &Catalog<'_>, seq: u64) -> Result<CommitId, Fault> {
        if seq == 0 {
            return Ok(crate::commit::identity_hash(self.engine.reader.identity()));
        }
        match catalog.commit(seq)? {
            Some(row) if row.record_len > 0 => Ok(self.engine.reader.commit(row.place())?.id()),
            _ => Err(gone(format!("no record of commit {seq}"))),
        }
    }

    /// The commit that a text names: its number, or a prefix of its id that is unique.
    ///
    /// # Errors
    /// `NotFound` where there is none, or more than one.
    pub fn find_commit(&self, text: &str) -> Result<CommitView> {
        self.engine.ask(|catalog| {
            let missing = |message: String| Fault::Error(Error::NotFound(message));
            let by_number = text.parse::<u64>().ok();
            let mut found = Vec::new();
            if let Some(prefix) = HexPrefix::parse(text) {
                let (low, high) = prefix.key_range();
                for seq in catalog.commits_by_key(low, high)? {
                    if let Some(view) = self.commit_view(catalog, seq)?
                        && prefix.matches(&view.commit)
                    {
                        found.push(view);
                    }
                }
            }
            if found.len() > 1 {
                return Err(missing(format!("more than one commit starts with {text}")));
            }
            if let Some(view) = found.pop() {
                return Ok(view);
            }
            if let Some(seq) = by_number
                && let Some(view) = self.commit_view(catalog, seq)?
            {
                return Ok(view);
            }
            Err(missing(format!("no commit {text}")))
        })
    }

    /// How much there is of what.
    pub fn stats(&self) -> Result<Stats> {
        let counts = self.engine.ask(|catalog| Ok(catalog.counts()?))?;
        let document_bytes = self.document_bytes()?;
        let cursor = self.engine.view().cursor.clone();
        let mut log_bytes = 0;
        for segment in &cursor.manifest.segments {
            // Behind the last commit there may be zeros.
            log_bytes += match segment.number == cursor.segment {
                true => cursor.offset,
                false => self
                    .engine
                    .reader
                    .segment(segment.number)?
                    .len()
                    .map_err(|error| Error::io(format!("read {LOG_FOLDER}"), error))?,
            };
        }
        let index = self
            .engine
            .index
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(Stats {
            paths: counts.paths,
            versions: counts.versions,
            commits: counts.commits,
            objects: counts.objects,
            log_bytes,
            index_bytes: index.size(),
            document_bytes,
        })
    }

    /// Bytes of the canonical forms of all versions: each object's length as its record says it, times its versions.
    /// What is damaged counts as nothing.
    fn document_bytes(&self) -> Result<u64> {
        let mut lengths: HashMap<i64, (Option<u64>, u64)> = HashMap::new();
        let mut seqs = self.commits_downwards();
        while let Some(seq) = seqs.next(self)? {
            let more = self.engine.ask(|catalog| {
                let place = match catalog.commit(seq)? {
                    Some(row) if row.record_len > 0 => row.place(),
                    _ => return Ok(Vec::new()),
                };
                let objects = ObjectReader::new(&self.engine, catalog);
                let record = self.engine.reader.commit(place)?;
                let mut more = Vec::new();
                let mut ordinal = 0;
                for stored in self.engine.reader.changes(place, &record)? {
                    if let Some(content) = stored.change.content {
                        let len = match stored.object_len > 0 {
                            true => {
                                let at = super::objects::ObjectAt { seq, ordinal };
                                match objects.content_len(at) {
                                    Err(Fault::Doubt(_)) => None,
                                    len => Some(len?),
                                }
                            }
                            false => None,
                        };
                        more.push((content.object, len));
                    }
                    ordinal += stored.objects();
                }
                Ok(more)
            })?;
            for (id, len) in more {
                // The commit that stored it may be an earlier one, which is still to come.
                let (known, count) = lengths.entry(id.key()).or_default();
                *known = len.or(*known);
                *count += 1;
            }
        }
        let lengths = lengths.into_values();
        Ok(lengths.fold(0u64, |sum, (len, count)| {
            sum.saturating_add(len.unwrap_or(0).saturating_mul(count))
        }))
    }

    /// The numbers of the commits that the log has, newest first.
    pub(crate) fn commits_downwards(&self) -> Downwards {
        Downwards {
            page: Vec::new(),
            below: u64::MAX,
        }
    }

    /// The newest commit that is neither an undo (or a redo) nor undone: what `undo` takes back by default.
    pub fn undo_target(&self) -> Result<CommitView> {
        self.walk_back(|view, undone| {
            view.undo_of.is_none() && view.redo_of.is_none() && !undone.contains(&view.seq)
        })?
        .ok_or_else(|| Error::NotFound("there is no commit to undo".to_owned()))
    }

    /// The newest undo that was not taken back: what `redo` takes back.
    pub fn redo_target(&self) -> Result<CommitView> {
        self.walk_back(|view, taken_back| {
            view.undo_of.is_some() && !taken_back.contains(&view.seq)
        })?
        .ok_or_else(|| Error::NotFound("there is no undo to take back".to_owned()))
    }

    /// The newest commit that `wanted` likes, given the numbers of commits that later ones took back.
    fn walk_back(
        &self,
        wanted: impl Fn(&CommitView, &HashSet<u64>) -> bool,
    ) -> Result<Option<CommitView>> {
        self.engine.ask(|catalog| {
            let mut taken_back = HashSet::new();
            let mut below = u64::MAX;
            loop {
                let rows = catalog.commits_below(below, PAGE)?;
                let Some(last) = rows.last() else {
                    return Ok(None);
                };
                below = last.seq;
                for row in rows {
                    let Some(view) = self.commit_view(catalog, row.seq)? else {
                        continue;
                    };
                    if wanted(&view, &taken_back) {
                        return Ok(Some(view));
                    }
                    // An undo that was itself taken back undoes nothing.
                    if !taken_back.contains(&view.seq) {
                        taken_back.extend(view.undo_of);
                        taken_back.extend(view.redo_of);
                    }
                }
            }
        })
    }
}

/// The numbers of commits, newest first, a page at a time.
pub(crate) struct Downwards {
    /// Those that are left of the page, oldest first.
    page: Vec<u64>,
    below: u64,
}

impl Downwards {
    /// The next one.
    pub fn next(&mut self, archive: &Archive) -> Result<Option<u64>> {
        if self.page.is_empty() {
            let below = self.below;
            let rows = archive
                .engine
                .ask(|catalog| Ok(catalog.commits_below(below, PAGE)?))?;
            self.below = rows.last().map_or(0, |row| row.seq);
            self.page = rows.iter().rev().map(|row| row.seq).collect();
        }
        Ok(self.page.pop())
    }
}
