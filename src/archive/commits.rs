//! Commits, newest first; and the version that stands for an object.

use std::collections::VecDeque;

use super::Archive;
use super::engine::Fault;
use super::history::PAGE;
use super::version::{CommitView, Version};
use crate::error::{Error, Result};
use crate::id::ObjectId;

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

impl Archive {
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
