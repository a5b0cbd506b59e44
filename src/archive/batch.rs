//! Batches: many commits, one append and one sync.

use super::Archive;
use super::ahead::{AHEAD_FROM, Ahead};
use super::guess::{Chains, FREE_CORES};
use super::plan::{Known, Order};
use super::save::Save;
use super::version::Change as Saved;
use crate::error::Result;

/// Several commits with one append and one sync for all of them: each is atomic, and all of them are on disk when
/// [`Batch::commit`] returns.
#[derive(Debug)]
#[must_use = "nothing is saved before commit()"]
pub struct Batch<'a> {
    archive: &'a Archive,
    saves: Vec<Save<'a>>,
    /// How many documents are in them that no thread has.
    documents: usize,
    ahead: Option<Ahead>,
    known: Option<Known>,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(archive: &'a Archive) -> Batch<'a> {
        Batch {
            archive,
            saves: Vec::new(),
            documents: 0,
            ahead: None,
            known: None,
        }
    }

    /// Adds a commit.
    pub fn push(&mut self, mut save: Save<'a>) {
        self.begin(&mut save);
        self.documents += save.order.documents.len();
        self.saves.push(save);
    }

    /// Lets threads begin with what a commit has that will get more. It must be the next one to be pushed.
    pub(crate) fn begin(&mut self, save: &mut Save<'a>) {
        let documents = self.documents + save.order.documents.len();
        if self.ahead.is_none() && documents >= AHEAD_FROM {
            // Another process may have gone on. Failing is for the lock to meet.
            let _ = self.archive.engine.refresh();
            self.ahead = Ahead::start(&self.archive.engine);
            // The first ones too: each document of a path rests on the one before it.
            if let Some(ahead) = &mut self.ahead {
                for (number, save) in self.saves.iter_mut().enumerate() {
                    save.hand_over(ahead, number);
                }
            }
        }
        if let Some(ahead) = &mut self.ahead {
            save.hand_over(ahead, self.saves.len());
        }
    }

    /// Commits only if nobody else has changed a path of it since.
    pub(crate) fn known(&mut self, known: Known) {
        self.known = Some(known);
    }

    /// How many commits were added.
    pub fn len(&self) -> usize {
        self.saves.len()
    }

    /// Was nothing added?
    pub fn is_empty(&self) -> bool {
        self.saves.is_empty()
    }

    /// Commits all of them, in order. A condition that fails in one of them stops the whole batch.
    pub fn commit(mut self) -> Result<Vec<Vec<Saved>>> {
        if self.saves.is_empty() {
            return Ok(Vec::new());
        }
        match self.ahead.take() {
            Some(ahead) => {
                for (number, document) in ahead.finish()? {
                    self.saves[number].order.documents.push(document);
                }
            }
            None => {
                let engine = &self.archive.engine;
                let _ = engine.refresh();
                let mut chains = Chains::new(FREE_CORES);
                for (number, save) in self.saves.iter_mut().enumerate() {
                    let mut documents: Vec<_> = save.order.documents.iter_mut().collect();
                    documents.sort_by(|a, b| a.path.cmp(&b.path));
                    for document in documents {
                        chains.guess(document, number, engine);
                    }
                }
            }
        }
        let known = self.known.take();
        let orders: Vec<Order> = self.saves.into_iter().map(|save| save.order).collect();
        self.archive.engine.submit(move |transaction| {
            if let Some(known) = &known {
                known.check(transaction, &orders)?;
            }
            let staged = orders.iter().map(|order| order.stage(transaction));
            staged.collect()
        })
    }
}
