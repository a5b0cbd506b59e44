//! Deciding, against the newest state, what a commit of documents will be.

use super::engine::Fault;
use super::restore::{answer, save_in_front, stage_answers};
use super::save::{Conditions, Prepared};
use super::transaction::{Draft, Newest, Transaction};
use super::version::{Change as Saved, Note, Status};
use crate::commit::{Change, Content, Fields, Op, Origin};
use crate::error::{Error, Result};

/// A commit as it was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Order {
    pub documents: Vec<Prepared>,
    /// What files hold, for a commit of its own in front.
    pub first: Vec<Prepared>,
    /// Paths that end.
    pub ends: Vec<String>,
    pub note: Note,
    pub rules: Rules,
    pub origin: Option<Origin>,
}

/// Commits that a writer knows of: all up to one, and its own since.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub up_to: u64,
    /// First and last of each row of them, in order.
    pub own: Vec<(u64, u64)>,
}

impl Known {
    /// Takes note of commits of its own.
    pub fn add(&mut self, first: u64, last: u64) {
        match self.own.last_mut() {
            Some(before) if before.1 + 1 == first => before.1 = last,
            _ => self.own.push((first, last)),
        }
    }

    fn has(&self, seq: u64) -> bool {
        let own = |(first, last): &(u64, u64)| (*first..=*last).contains(&seq);
        seq <= self.up_to || self.own.iter().rev().any(own)
    }

    /// Fails where someone else has changed a path of these since.
    pub fn check(&self, transaction: &Transaction<'_>, orders: &[Order]) -> Result<(), Fault> {
        let mut newest = self.own.iter().map(|(_, last)| *last);
        if transaction.head_seq() == newest.next_back().unwrap_or(self.up_to) {
            return Ok(());
        }
        for path in orders.iter().flat_map(Order::paths) {
            if let Some((seq, version)) = transaction.newest_seq(path)?
                && !self.has(seq)
            {
                let message = format!("another writer has changed {path}, to version {version}");
                return Err(Fault::Error(Error::conflict(path, version, message)));
            }
        }
        Ok(())
    }
}

/// What makes a version, and what must hold.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    pub conditions: Conditions,
    /// The same document in other bytes makes no version.
    pub ignore_format: bool,
    /// The same content makes a version too.
    pub repeat: bool,
}

/// What a commit of documents will be.
#[derive(Default)]
pub(crate) struct Plan {
    drafts: Vec<Draft>,
    /// One for each document, in the order given, and behind them one for each path that ends; the commit of those that
    /// are new is not known yet.
    answers: Vec<Saved>,
}

impl Order {
    /// The paths that it may change.
    fn paths(&self) -> impl Iterator<Item = &str> {
        let documents = self.documents.iter().flat_map(|document| {
            let from = document.from.as_deref();
            std::iter::once(document.path.as_str()).chain(from)
        });
        documents.chain(self.ends.iter().map(String::as_str))
    }

    /// Decides and stages.
    pub fn stage(&self, transaction: &mut Transaction<'_>) -> Result<Vec<Saved>, Fault> {
        let mut rules = self.rules;
        let mut answers = Vec::new();
        if !self.first.is_empty() {
            // Conditions are about the versions in front of both commits.
            for document in &self.documents {
                let newest = transaction.newest_after(&document.path, document.seen.as_ref())?;
                rules.conditions.check(&document.path, newest.as_ref())?;
            }
            for path in &self.ends {
                rules
                    .conditions
                    .check(path, transaction.newest(path)?.as_ref())?;
            }
            rules.conditions = Conditions::default();
            answers = save_in_front(transaction, &self.first, &self.note, BEFORE_SAVING)?;
        }
        let mut plan = plan(transaction, &self.documents, rules)?;
        for path in &self.ends {
            plan.end(transaction, path, rules.conditions)?;
        }
        let mut fields = Fields::default();
        if let Some(origin) = &self.origin {
            fields.set(Fields::ORIGIN, origin.encode());
        }
        answers.extend(plan.stage(transaction, &self.note, fields)?);
        Ok(answers)
    }
}

/// The message of a commit in front of a save.
const BEFORE_SAVING: &str = "what was on disk before saving";

/// Decides, against the newest state, which of the documents are new.
pub(crate) fn plan(
    transaction: &Transaction<'_>,
    documents: &[Prepared],
    rules: Rules,
) -> Result<Plan, Fault> {
    let mut plan = Plan::default();
    for document in documents {
        let newest = transaction.newest_after(&document.path, document.seen.as_ref())?;
        rules.conditions.check(&document.path, newest.as_ref())?;
        if let Some(from) = &document.from {
            if plan.take_over(transaction, document, from, newest.as_ref())? {
                continue;
            }
            plan.end(transaction, from, Conditions::default())?;
        }
        plan.add(transaction, document, newest, rules)?;
    }
    Ok(plan)
}

impl Plan {
    fn add(
        &mut self,
        transaction: &Transaction<'_>,
        document: &Prepared,
        newest: Option<Newest>,
        rules: Rules,
    ) -> Result<(), Fault> {
        let before = newest.as_ref().map(|newest| newest.change().clone());
        let id = Some(document.object.id);
        let current = !rules.repeat
            && document.is_current(transaction, newest.as_ref(), rules.ignore_format)?;
        if let Some(newest) = newest.as_ref().filter(|_| current) {
            self.answers.push(Saved {
                path: document.path.clone(),
                version: newest.row.version,
                id,
                commit: transaction.commit_id(newest.row.seq)?,
                seq: newest.row.seq,
                status: Status::Unchanged,
            });
            return Ok(());
        }
        let old = before.as_ref().and_then(|change| change.content);
        let same_document =
            old.is_some_and(|old| old.object == document.object.id && old.nan == document.nan);
        let reformatted = same_document
            && match &newest {
                Some(newest) => transaction.loads(newest, document.seen.as_ref())?,
                None => false,
            };
        let version = before.as_ref().map_or(0, |change| change.version) + 1;
        let mut change = Change::new(Op::Save, &*document.path, version);
        change.content = Some(Content {
            object: document.object.id,
            source: document.form(),
            nan: document.nan,
        });
        change.file = document.file || before.is_some_and(|change| change.file);
        self.answers.push(answer(
            &change,
            match reformatted {
                true => Status::Reformatted,
                false => Status::Saved,
            },
        ));
        self.drafts.push(Draft {
            change,
            object: Some(document.object.clone()),
            source: document.stored_source().cloned(),
            before: newest,
        });
        Ok(())
    }

    /// Lets a path without a document go on where another one with this very document ends; false where they are not
    /// that.
    fn take_over(
        &mut self,
        transaction: &Transaction<'_>,
        document: &Prepared,
        from: &str,
        newest: Option<&Newest>,
    ) -> Result<bool, Fault> {
        if newest.is_some_and(|newest| newest.change().content.is_some()) {
            return Ok(false);
        }
        let Some(old) = transaction.newest(from)? else {
            return Ok(false);
        };
        // What was seen in front was about the new path.
        let mut unseen = document.clone();
        unseen.seen = None;
        if !unseen.is_current(transaction, Some(&old), false)? {
            return Ok(false);
        }
        let version = newest.map_or(0, |newest| newest.row.version) + 1;
        let mut taken = Change::new(Op::Rename, &*document.path, version);
        taken.content = old.change().content;
        taken.file = document.file || old.change().file;
        taken.of = old.row.version;
        taken.other = from.to_owned();
        let mut away = Change::new(Op::RenameAway, from, old.row.version + 1);
        away.file = old.change().file;
        away.other = document.path.clone();
        for (change, status) in [(taken, Status::Renamed), (away, Status::RenamedAway)] {
            self.answers.push(answer(&change, status));
            self.drafts.push(Draft::of(change));
        }
        Ok(true)
    }

    /// Ends a path that has a document.
    fn end(
        &mut self,
        transaction: &Transaction<'_>,
        path: &str,
        conditions: Conditions,
    ) -> Result<(), Fault> {
        let newest = transaction.newest(path)?;
        conditions.check(path, newest.as_ref())?;
        let Some(newest) = newest.filter(|newest| newest.change().content.is_some()) else {
            return Ok(());
        };
        let mut change = Change::new(Op::Delete, path, newest.row.version + 1);
        change.file = newest.change().file;
        self.answers.push(answer(&change, Status::Deleted));
        self.drafts.push(Draft::of(change));
        Ok(())
    }

    /// Stages the commit, where anything is new.
    pub fn stage(
        mut self,
        transaction: &mut Transaction<'_>,
        note: &Note,
        fields: Fields,
    ) -> Result<Vec<Saved>, Fault> {
        stage_answers(transaction, note, fields, self.drafts, &mut self.answers)?;
        Ok(self.answers)
    }
}
