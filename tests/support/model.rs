//! What an archive must answer, kept in plain maps.

use std::collections::{BTreeMap, BTreeSet};

use backstory::{ErrorKind, Op, Status};

/// What was saved, or restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub canonical: String,
    /// `None` where the document came without bytes of its own.
    pub source: Option<String>,
    pub nan: bool,
}

#[derive(Clone, Debug)]
pub struct ModelVersion {
    pub op: Op,
    pub content: Option<Content>,
    pub of: Option<u64>,
    pub other: Option<String>,
    pub seq: u64,
    pub time: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagState {
    Version(String, u64),
    Archive(u64),
    Removed,
}

#[derive(Clone, Debug, Default)]
pub struct ModelCommit {
    pub paths: Vec<String>,
    pub tags: Vec<String>,
    pub undo_of: Option<u64>,
    pub redo_of: Option<u64>,
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub paths: BTreeMap<String, Vec<ModelVersion>>,
    pub tags: BTreeMap<String, Vec<(u64, TagState)>>,
    pub commits: Vec<ModelCommit>,
    /// Every canonical form that was ever stored.
    pub documents: BTreeSet<String>,
    /// Every source that needs a layout, or an object of its own.
    pub sources: BTreeSet<String>,
    /// The time that the next commit claims.
    pub time: i64,
}

/// A document with the mode it is saved in.
#[derive(Clone, Debug)]
pub struct ModelDocument {
    pub path: String,
    pub content: Content,
    /// It has numbers that JSON lacks, and the save says nothing of them.
    pub undecided: bool,
}

pub type Answer = Result<Vec<(String, u64, Status)>, ErrorKind>;

impl Model {
    fn seq(&self) -> u64 {
        self.commits.len() as u64
    }

    pub fn newest(&self, path: &str) -> Option<(u64, &ModelVersion)> {
        let versions = self.paths.get(path)?;
        Some((versions.len() as u64, versions.last()?))
    }

    fn number(&self, path: &str) -> u64 {
        self.newest(path).map_or(0, |(number, _)| number)
    }

    pub fn content(&self, path: &str) -> Option<&Content> {
        self.newest(path)?.1.content.as_ref()
    }

    /// The newest version made by commit `seq` or before.
    fn as_of(&self, path: &str, seq: u64) -> Option<(u64, &ModelVersion)> {
        let versions = self.paths.get(path)?;
        (1..)
            .zip(versions)
            .filter(|(_, version)| version.seq <= seq)
            .last()
    }

    pub fn tag_as_of(&self, name: &str, seq: u64) -> Option<&TagState> {
        let states = self.tags.get(name)?;
        states
            .iter()
            .rev()
            .find(|(at, _)| *at <= seq)
            .map(|(_, state)| state)
    }

    fn push(
        &mut self,
        path: &str,
        op: Op,
        content: Option<Content>,
        of: Option<u64>,
        other: Option<&str>,
    ) -> u64 {
        let (seq, time) = (self.seq(), self.time);
        self.commits.last_mut().unwrap().paths.push(path.to_owned());
        let versions = self.paths.entry(path.to_owned()).or_default();
        versions.push(ModelVersion {
            op,
            content,
            of,
            other: other.map(str::to_owned),
            seq,
            time,
        });
        versions.len() as u64
    }

    fn push_tag(&mut self, name: &str, state: TagState) {
        let seq = self.seq();
        self.commits.last_mut().unwrap().tags.push(name.to_owned());
        self.tags
            .entry(name.to_owned())
            .or_default()
            .push((seq, state));
    }

    pub fn save(
        &mut self,
        documents: &[ModelDocument],
        if_version: Option<u64>,
        if_absent: bool,
        ignore_format: bool,
    ) -> Answer {
        for document in documents {
            let tagged = self
                .content(&document.path)
                .is_some_and(|content| content.nan);
            if document.undecided && !tagged {
                return Err(ErrorKind::InvalidDocument);
            }
        }
        for document in documents {
            let number = self.number(&document.path);
            let there = self.content(&document.path).is_some();
            if if_version.is_some_and(|wanted| wanted != number) || (if_absent && there) {
                return Err(ErrorKind::Conflict);
            }
        }
        let mut answers = Vec::new();
        let mut begun = false;
        for document in documents {
            let new = &document.content;
            let old = self.content(&document.path);
            let same =
                old.is_some_and(|old| (&old.canonical, old.nan) == (&new.canonical, new.nan));
            let same_source = old.is_some_and(|old| old.source == new.source);
            if same && (ignore_format || new.source.is_none() || same_source) {
                answers.push((
                    document.path.clone(),
                    self.number(&document.path),
                    Status::Unchanged,
                ));
                continue;
            }
            if !begun {
                self.commits.push(ModelCommit::default());
                begun = true;
            }
            self.documents.insert(new.canonical.clone());
            if let Some(source) = &new.source
                && *source != new.canonical
                && *source != pretty(new)
            {
                self.sources.insert(source.clone());
            }
            let number = self.push(&document.path, Op::Save, Some(new.clone()), None, None);
            let status = if same {
                Status::Reformatted
            } else {
                Status::Saved
            };
            answers.push((document.path.clone(), number, status));
        }
        Ok(answers)
    }

    fn live(&self, path: &str) -> Result<Content, ErrorKind> {
        self.content(path).cloned().ok_or(ErrorKind::NotFound)
    }

    pub fn delete(&mut self, path: &str) -> Answer {
        self.live(path)?;
        self.commits.push(ModelCommit::default());
        let number = self.push(path, Op::Delete, None, None, None);
        Ok(vec![(path.to_owned(), number, Status::Deleted)])
    }

    pub fn undelete(&mut self, path: &str) -> Answer {
        let number = self.number(path);
        if self.content(path).is_some() {
            return Ok(vec![(path.to_owned(), number, Status::Unchanged)]);
        }
        let versions = self.paths.get(path).ok_or(ErrorKind::NotFound)?;
        let before = (1..)
            .zip(versions)
            .filter(|(_, v)| v.content.is_some())
            .last();
        let (of, before) = before.ok_or(ErrorKind::NotFound)?;
        let content = before.content.clone();
        self.commits.push(ModelCommit::default());
        let number = self.push(path, Op::Undelete, content, Some(of), None);
        Ok(vec![(path.to_owned(), number, Status::Undeleted)])
    }

    pub fn rename(&mut self, old: &str, new: &str) -> Answer {
        if old == new {
            return Err(ErrorKind::Usage);
        }
        let content = self.live(old)?;
        if self.content(new).is_some() {
            return Err(ErrorKind::Conflict);
        }
        let of = self.number(old);
        self.commits.push(ModelCommit::default());
        let taken = self.push(new, Op::Rename, Some(content), Some(of), Some(old));
        let away = self.push(old, Op::RenameAway, None, None, Some(new));
        Ok(vec![
            (old.to_owned(), away, Status::RenamedAway),
            (new.to_owned(), taken, Status::Renamed),
        ])
    }

    pub fn tag(&mut self, name: &str, state: TagState) -> Answer {
        let (path, version, status) = match &state {
            TagState::Version(path, version) => {
                if *version == 0 || *version > self.number(path) {
                    return Err(ErrorKind::NotFound);
                }
                (path.clone(), *version, Status::Tagged)
            }
            TagState::Archive(seq) => {
                if *seq == 0 || *seq > self.seq() {
                    return Err(ErrorKind::NotFound);
                }
                (String::new(), 0, Status::Tagged)
            }
            TagState::Removed => match self.tag_as_of(name, u64::MAX) {
                None | Some(TagState::Removed) => return Err(ErrorKind::NotFound),
                Some(_) => (String::new(), 0, Status::TagDeleted),
            },
        };
        if self.tag_as_of(name, u64::MAX) == Some(&state) {
            return Ok(vec![(path, version, Status::Unchanged)]);
        }
        self.commits.push(ModelCommit::default());
        self.push_tag(name, state);
        Ok(vec![(path, version, status)])
    }

    pub fn rollback(&mut self, path: &str, to: Option<u64>) -> Answer {
        let versions = self.paths.get(path).ok_or(ErrorKind::NotFound)?;
        let at = |number: u64| versions.get(number.checked_sub(1)? as usize);
        let target = match to {
            Some(number) => number,
            None => {
                let mut current = versions.len() as u64;
                while let Some(version) = at(current)
                    && version.op == Op::Rollback
                {
                    current = version.of.unwrap();
                }
                (1..current)
                    .rev()
                    .find(|number| at(*number).is_some_and(|v| v.content.is_some()))
                    .ok_or(ErrorKind::NotFound)?
            }
        };
        let content = at(target)
            .and_then(|v| v.content.clone())
            .ok_or(ErrorKind::NotFound)?;
        if self.content(path) == Some(&content) {
            return Ok(vec![(
                path.to_owned(),
                self.number(path),
                Status::Unchanged,
            )]);
        }
        self.commits.push(ModelCommit::default());
        let number = self.push(path, Op::Rollback, Some(content), Some(target), None);
        Ok(vec![(path.to_owned(), number, Status::RolledBack)])
    }

    /// Was this commit taken back by one that was not itself taken back?
    fn taken_back(&self, seq: u64) -> bool {
        (seq + 1..=self.seq()).any(|later| {
            let commit = &self.commits[later as usize - 1];
            (commit.undo_of == Some(seq) || commit.redo_of == Some(seq)) && !self.taken_back(later)
        })
    }

    pub fn undo_target(&self) -> Option<u64> {
        (1..=self.seq()).rev().find(|seq| {
            let commit = &self.commits[*seq as usize - 1];
            commit.undo_of.is_none() && commit.redo_of.is_none() && !self.taken_back(*seq)
        })
    }

    pub fn redo_target(&self) -> Option<u64> {
        let undo = |seq: &u64| self.commits[*seq as usize - 1].undo_of.is_some();
        (1..=self.seq())
            .rev()
            .find(|seq| undo(seq) && !self.taken_back(*seq))
    }

    /// Takes back a commit.
    pub fn take_back(&mut self, seq: u64, redo: bool) -> Answer {
        let commit = self.commits[seq as usize - 1].clone();
        let content =
            |found: Option<(u64, &ModelVersion)>| found.and_then(|(_, v)| v.content.clone());
        for path in &commit.paths {
            if content(self.as_of(path, seq)) != content(self.newest(path)) {
                return Err(ErrorKind::Conflict);
            }
        }
        for name in &commit.tags {
            if self.tag_as_of(name, seq) != self.tag_as_of(name, u64::MAX) {
                return Err(ErrorKind::Conflict);
            }
        }
        let (op, status) = if redo {
            (Op::Redo, Status::Redone)
        } else {
            (Op::Undo, Status::Undone)
        };
        self.commits.push(ModelCommit {
            undo_of: (!redo).then_some(seq),
            redo_of: redo.then_some(seq),
            ..ModelCommit::default()
        });
        let mut answers = Vec::new();
        let mut paths = commit.paths.clone();
        paths.sort();
        for path in paths {
            let before = self
                .as_of(&path, seq - 1)
                .map(|(number, v)| (number, v.content.clone()));
            let (of, content) =
                before.map_or((None, None), |(number, content)| (Some(number), content));
            let number = self.push(&path, op, content, of, None);
            answers.push((path, number, status));
        }
        for name in &commit.tags {
            let before = self
                .tag_as_of(name, seq - 1)
                .cloned()
                .unwrap_or(TagState::Removed);
            self.push_tag(name, before);
        }
        Ok(answers)
    }
}

/// The pretty form of the documents that the tests use: objects with members `a` (an array of two numbers) and `b`.
pub fn pretty(content: &Content) -> String {
    let n = content
        .canonical
        .trim_start_matches("{\"a\":[1,2],\"b\":")
        .trim_end_matches('}');
    let n = if content.nan { "NaN" } else { n };
    format!("{{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {n}\n}}\n")
}
