//! Asking: resolve, list, identify, tags.

use super::Archive;
use super::engine::Fault;
use super::history::PAGE;
use super::objects::{ObjectReader, doubt};
use super::version::*;
use crate::canon::{self, Form, NanMode};
use crate::commit::{Op, SourceForm};
use crate::error::{Error, Result};
use crate::id::{HexPrefix, ObjectId};
use crate::index::{Catalog, VersionRow};
use crate::log::format::LOG_FOLDER;
use crate::log::reader::LocatedChange;
use crate::revision::Spec;

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

    /// The names of at most `limit` paths that are `prefix` or below it, in their order, behind `after`; deleted ones too.
    pub fn path_names(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>> {
        let names = |catalog: &crate::index::Catalog<'_>| Ok(catalog.paths(prefix, after, limit)?);
        self.engine.ask(names)
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
}
