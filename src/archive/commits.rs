//! Commits: one by its id or number, all of them newest first, and what undo and redo go back to; and the version that
//! stands for an object.

use std::collections::{HashSet, VecDeque};

use super::Archive;
use super::engine::Fault;
use super::history::PAGE;
use super::objects::{doubt, gone};
use super::version::*;
use crate::commit::{Fields, Origin};
use crate::error::{Error, Result};
use crate::id::{CommitId, HexPrefix, ObjectId};
use crate::index::Catalog;

/// The commits of an archive, newest first.
pub struct Commits<'a> {
    archive: &'a Archive,
    page: VecDeque<CommitView>,
    /// The next page begins at this number: also the commit expected next; where another comes, those between are lost.
    up_to: u64,
}

impl Iterator for Commits<'_> {
    type Item = Result<CommitView>;

    fn next(&mut self) -> Option<Result<CommitView>> {
        while self.page.is_empty() && self.up_to > 0 {
            if let Err(error) = self.fetch() {
                self.up_to = 0;
                return Some(Err(error));
            }
        }
        self.page.pop_front().map(Ok)
    }
}

impl Commits<'_> {
    fn fetch(&mut self) -> Result<()> {
        let up_to = self.up_to;
        let (last, views) = self.archive.engine.ask(|catalog| {
            let rows = catalog.commits_below(up_to.saturating_add(1), PAGE)?;
            let last = rows.last().map_or(0, |row| row.seq);
            let mut views = Vec::with_capacity(rows.len());
            for row in rows {
                views.extend(self.archive.commit_view(catalog, row.seq)?);
            }
            Ok((last, views))
        })?;
        let mut next = up_to;
        for view in &views {
            self.archive.tell_of_lost(view.seq + 1, next);
            next = view.seq.saturating_sub(1);
        }
        self.archive.tell_of_lost(last.max(1), next);
        self.up_to = last.saturating_sub(1);
        self.page = views.into();
        Ok(())
    }
}

/// Commits of an archive, oldest first.
pub struct OldestFirst<'a> {
    archive: &'a Archive,
    page: VecDeque<CommitView>,
    /// The last number that was looked at.
    after: u64,
    last: u64,
}

impl Iterator for OldestFirst<'_> {
    type Item = Result<CommitView>;

    fn next(&mut self) -> Option<Result<CommitView>> {
        while self.page.is_empty() && self.after < self.last {
            if let Err(error) = self.fetch() {
                self.after = self.last;
                return Some(Err(error));
            }
        }
        self.page.pop_front().map(Ok)
    }
}

impl OldestFirst<'_> {
    fn fetch(&mut self) -> Result<()> {
        let (start, last) = (self.after, self.last);
        let (after, views, lost) = self.archive.engine.ask(|catalog| {
            let (mut views, mut lost, mut after) = (VecDeque::new(), Vec::new(), start);
            // Changes count as well: a commit may have many.
            let mut changes = 0;
            while changes < PAGE && after < last {
                // Numbers may be missing, any number of them.
                let next = catalog.commit_after(after)?.filter(|next| *next <= last);
                let Some(next) = next else {
                    lost.push((after + 1, last));
                    after = last;
                    break;
                };
                if next > after + 1 {
                    lost.push((after + 1, next - 1));
                }
                match self.archive.commit_view(catalog, next)? {
                    Some(view) => {
                        changes += 1 + view.changes.len();
                        views.push_back(view);
                    }
                    None => lost.push((next, next)),
                }
                after = next;
            }
            Ok((after, views, lost))
        })?;
        for (first, last) in lost {
            self.archive.tell_of_lost(first, last);
        }
        (self.after, self.page) = (after, views);
        Ok(())
    }
}

impl Archive {
    /// The commits behind this number (0 for all), oldest first, with what each changed, as far as [`Archive::commits`]
    /// gives them.
    pub fn commits_after(&self, seq: u64) -> Result<OldestFirst<'_>> {
        Ok(OldestFirst {
            archive: self,
            page: VecDeque::new(),
            after: seq,
            last: self.head()?.seq,
        })
    }

    /// All commits, newest first, with what each changed. Those that came after this call are left out; those that
    /// damage has taken are told of by [`Archive::take_notices`].
    pub fn commits(&self) -> Result<Commits<'_>> {
        Ok(Commits {
            archive: self,
            page: VecDeque::new(),
            up_to: self.head()?.seq,
        })
    }

    /// The newest version of any path whose document has this id.
    ///
    /// # Errors
    /// `NotFound` where no version has it.
    pub fn find_object(&self, id: &ObjectId) -> Result<Version> {
        let found = self.engine.ask(|catalog| {
            let mut rows = catalog.by_key(id.key(), id.key())?;
            let mut unsure = None;
            while let Some(row) = rows.pop() {
                match self.version_of(catalog, &row) {
                    Ok(version) if version.id == Some(*id) => return Ok(Some(version)),
                    Ok(_) => {}
                    // Of an object that was saved more than once another version may be whole.
                    Err(fault @ Fault::Doubt(_)) => unsure = Some(fault),
                    Err(fault) => return Err(fault),
                }
            }
            unsure.map_or(Ok(None), Err)
        })?;
        found.ok_or_else(|| Error::not_found(format!("no version has the object {id}")))
    }

    /// What damage has taken is not passed over in silence.
    pub(super) fn tell_of_lost(&self, first: u64, last: u64) {
        if first <= last {
            let which = match first == last {
                true => format!("commit {first} is"),
                false => format!("commits {first} to {last} are"),
            };
            self.engine.notice(format!(
                "{which} in a damaged part of the log; `backstory verify` says where"
            ));
        }
    }
}

impl Archive {
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
            origin: record.fields.get(Fields::ORIGIN).and_then(Origin::decode),
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

    pub(super) fn commit_id(&self, catalog: &Catalog<'_>, seq: u64) -> Result<CommitId, Fault> {
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
