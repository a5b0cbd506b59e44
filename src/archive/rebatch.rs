//! Commits on their way from one copy of an archive to another: each batch is made anew, and each object in it is
//! decoded and compared with its id. What a commit says, and the names of its objects, stay.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::contents::{Content, ContentCache, Encoded, ObjectAt};
use super::engine::Fault;
use super::objects::ObjectReader;
use super::transaction::Newest;
use crate::commit::{Change, SourceForm};
use crate::id::ObjectId;
use crate::log::batch::{Batch, BatchBuilder};
use crate::log::delta;
use crate::log::format::*;
use crate::log::record::{ObjectRecord, StoredChange};

/// A commit that comes from elsewhere.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub batch: Batch,
    /// What it brings, in the order of its batch.
    pub objects: Vec<IncomingObject>,
}

/// An object that comes from elsewhere.
#[derive(Debug)]
pub(crate) enum IncomingObject {
    /// The body of its record.
    Record(Vec<u8>),
    /// Its content: it comes out of a packed segment.
    Content(Arc<Vec<u8>>),
    /// Its record cannot be read where it comes from, which is known there.
    Gone(Vec<u8>),
}

/// Why a commit was not taken.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It is not what it says it is.
    Incoming(String),
    /// For something here.
    Here(Fault),
}

impl From<Fault> for Refused {
    fn from(fault: Fault) -> Refused {
        Refused::Here(fault)
    }
}

fn wrong(message: impl Into<String>) -> Refused {
    Refused::Incoming(message.into())
}

/// An object of a commit: what it is of.
#[derive(Clone, Copy)]
struct Brought<'a> {
    change: &'a Change,
    id: ObjectId,
    second: bool,
}

/// Makes batches anew for the log that this reader reads.
pub(crate) struct Rebatch<'a> {
    pub objects: &'a ObjectReader<'a>,
    pub cache: &'a Mutex<ContentCache>,
}

impl Rebatch<'_> {
    /// Appends the commit to `out`, in front of which `unsynced` bytes are not known to be on disk.
    pub fn append(
        &self,
        incoming: &Incoming,
        unsynced: u64,
        out: &mut Vec<u8>,
    ) -> Result<Batch, Refused> {
        let batch = &incoming.batch;
        let brought = brought(&batch.changes);
        if brought.len() != incoming.objects.len() {
            return Err(wrong("a commit does not bring the objects that it names"));
        }
        let keys = self.objects.reader.keys();
        let start = out.len();
        let mut builder = BatchBuilder::new(keys, out);
        let mut lengths = Vec::with_capacity(brought.len());
        let mut own = self.own_bases(batch.record.seq, incoming)?;
        for (ordinal, (what, given)) in (0..).zip(brought.iter().zip(&incoming.objects)) {
            let at = ObjectAt {
                seq: batch.record.seq,
                ordinal,
            };
            let made = self.object(at, what, given, &mut own)?;
            let record = match (&made, given) {
                (Some(encoded), _) => encoded.record(at.seq),
                (None, IncomingObject::Record(body) | IncomingObject::Gone(body)) => {
                    ObjectRecord::decode(body).map_err(|error| wrong(error.0))?
                }
                (None, IncomingObject::Content(_)) => return Err(wrong("an object is missing")),
            };
            lengths.push(builder.object(out, &record).1);
        }
        let mut record = batch.record.clone();
        record.unsynced = unsynced + start as u64;
        let changes = with_lengths(&batch.changes, lengths);
        let made = builder.finish(out, record, changes);
        if made.id != batch.id {
            return Err(wrong("a commit is not the one that its id names"));
        }
        Ok(made)
    }

    fn kept(&self, at: ObjectAt) -> Option<Content> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(at)
    }

    fn keep(&self, at: ObjectAt, content: Content) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.put(at, content);
    }

    /// Room for those objects on which others of the same commit rest.
    fn own_bases(
        &self,
        seq: u64,
        incoming: &Incoming,
    ) -> Result<HashMap<ObjectAt, Option<Content>>, Refused> {
        let mut own = HashMap::new();
        for object in &incoming.objects {
            if let IncomingObject::Record(body) = object {
                let record = ObjectRecord::decode(body).map_err(|error| wrong(error.0))?;
                if let Some(base) = record.rests_on().filter(|base| base.seq_back == 0) {
                    let ordinal = base.ordinal;
                    own.insert(ObjectAt { seq, ordinal }, None);
                }
            }
        }
        Ok(own)
    }

    /// Checks an object; where its record does not do here, how it is stored instead.
    fn object(
        &self,
        at: ObjectAt,
        what: &Brought<'_>,
        given: &IncomingObject,
        own: &mut HashMap<ObjectAt, Option<Content>>,
    ) -> Result<Option<Encoded>, Refused> {
        let (made, content) = match given {
            IncomingObject::Gone(_) => return Ok(None),
            IncomingObject::Content(bytes) => {
                check(bytes, what.id)?;
                let encoded = self.encode(what, bytes)?;
                let content = Content {
                    bytes: bytes.clone(),
                    k: encoded.k,
                    load_len: encoded.load_len,
                };
                (Some(encoded), content)
            }
            IncomingObject::Record(body) => self.record(at, what, body, own)?,
        };
        if let Some(place) = own.get_mut(&at) {
            *place = Some(content.clone());
        }
        self.keep(at, content);
        Ok(made)
    }

    /// Decodes a record over what it rests on here.
    fn record(
        &self,
        at: ObjectAt,
        what: &Brought<'_>,
        body: &[u8],
        own: &HashMap<ObjectAt, Option<Content>>,
    ) -> Result<(Option<Encoded>, Content), Refused> {
        let record = ObjectRecord::decode(body).map_err(|error| wrong(error.0))?;
        let mut on_kin = false;
        let base = match record.rests_on() {
            None => None,
            Some(to) => {
                let seq = at.seq.checked_sub(to.seq_back).filter(|seq| *seq > 0);
                let base = seq.map(|seq| ObjectAt {
                    seq,
                    ordinal: to.ordinal,
                });
                let base = base
                    .filter(|base| *base < at)
                    .ok_or_else(|| wrong("an object rests on one that is not in front of it"))?;
                let content = match own.get(&base) {
                    Some(Some(content)) => content.clone(),
                    Some(None) => return Err(wrong("an object rests on one that is lost")),
                    None => self.objects.content(base, &mut |at| self.kept(at))?.0,
                };
                if content.k == 0 && record.k() > 1 {
                    on_kin = match own.contains_key(&base) {
                        true => !content.stands_alone(),
                        false => self.objects.base_of(base)?.0.is_some(),
                    };
                }
                Some(content)
            }
        };
        let mut bytes = Vec::new();
        match record {
            ObjectRecord::Stored(stored) => bytes.extend_from_slice(stored),
            ObjectRecord::Frame(frame) | ObjectRecord::Delta { frame, .. } => {
                let prefix = base.as_ref().map(|base| base.bytes.as_slice());
                delta::decompress_into(frame, prefix, MAX_OBJECT_LEN, &mut bytes)
                    .map_err(|error| wrong(error.to_string()))?;
            }
            ObjectRecord::Lost => return Err(wrong("an object is lost")),
        }
        check(&bytes, what.id)?;
        let below = base.as_ref().map_or(0, |base| base.load_len);
        let load_len = below.saturating_add(bytes.len() as u64);
        // Chains here need not be those of where it comes from, where one of the two was packed: they would grow
        // beyond what a load may take.
        let fits = base.is_none_or(|base| {
            let in_order = match (record.k(), base.k) {
                (0, 0) => base.can_carry_first(),
                // An anchor on the first of its chain, which must not rest on another path's.
                (k, 0) if k > 1 => !on_kin,
                (k, below) => k > below,
            };
            in_order && load_len <= MAX_LOAD_LEN
        });
        let encoded = match fits {
            true => None,
            false => Some(self.encode(what, &bytes)?),
        };
        let content = Content {
            k: encoded.as_ref().map_or(record.k(), |encoded| encoded.k),
            load_len: encoded
                .as_ref()
                .map_or(load_len, |encoded| encoded.load_len),
            bytes: bytes.into(),
        };
        Ok((encoded, content))
    }

    /// Compresses an object as a save here would have.
    fn encode(&self, what: &Brought<'_>, bytes: &[u8]) -> Result<Encoded, Fault> {
        let base = self.before(what.change)?.and_then(|before| {
            if !what.second {
                return self.objects.base_of_document(Some(&before));
            }
            self.base_of_second(what.change, &before)
        });
        self.objects.encode(bytes, base, &mut |at| self.kept(at))
    }

    /// The path's previous version here.
    fn before(&self, change: &Change) -> Result<Option<Newest>, Fault> {
        if !change.op.makes_version() {
            return Ok(None);
        }
        let mut change = change.clone();
        let catalog = self.objects.catalog;
        catalog.fill(&mut change)?;
        let row = catalog.versions(&change.path, change.version, 1)?.pop();
        row.map(|row| {
            Ok(Newest {
                located: self.objects.change(&row)?,
                row,
            })
        })
        .transpose()
    }

    fn base_of_second(&self, change: &Change, before: &Newest) -> Option<ObjectAt> {
        match (change.content?.source, before.change().content?.source) {
            (SourceForm::LaidOut { .. }, SourceForm::LaidOut { layout, .. }) => {
                self.objects.layout_object(layout).ok().map(|(at, _)| at)
            }
            (SourceForm::Object(_), SourceForm::Object(id)) => {
                let located = &before.located;
                self.objects.locate(located, before.row.seq, &id).ok()
            }
            _ => None,
        }
    }
}

fn check(bytes: &[u8], id: ObjectId) -> Result<(), Refused> {
    match ObjectId::of(bytes) == id {
        true => Ok(()),
        false => Err(wrong(format!(
            "the content of object {id} does not have its hash"
        ))),
    }
}

/// The ids of the objects that a commit brings, in the order of its batch.
pub(super) fn brought_ids(batch: &Batch) -> impl Iterator<Item = ObjectId> + '_ {
    brought(&batch.changes).into_iter().map(|what| what.id)
}

/// The objects that these changes bring, in the order of their batch.
fn brought(changes: &[StoredChange]) -> Vec<Brought<'_>> {
    let mut all = Vec::new();
    for stored in changes {
        let change = &stored.change;
        let document = change.content.map(|content| content.object);
        let named = [
            (document.filter(|_| stored.object_len > 0), false),
            (stored.second().filter(|_| stored.source_len > 0), true),
        ];
        all.extend(named.into_iter().filter_map(|(id, second)| {
            Some(Brought {
                change,
                id: id?,
                second,
            })
        }));
    }
    all
}

/// The same changes with records of these lengths.
fn with_lengths(changes: &[StoredChange], lengths: Vec<u64>) -> Vec<StoredChange> {
    let mut lengths = lengths.into_iter();
    let mut changes = changes.to_vec();
    for stored in &mut changes {
        for len in [&mut stored.object_len, &mut stored.source_len] {
            if *len > 0 {
                *len = lengths.next().unwrap_or(0);
            }
        }
    }
    changes
}
