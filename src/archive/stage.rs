//! Staging a commit: what its changes say, which objects it brings, and its bytes.

use std::collections::HashMap;
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::Ordering::Relaxed;

use super::contents::{ChainPlace, Content, Encoded, ObjectAt};
use super::engine::Fault;
use super::kin::MOST_COMMITS_AT_ONCE;
use super::sources::{NewSource, SourcePlan, StoredAt};
use super::transaction::{Draft, Guess, GuessBase, NewObject, Newest, Over, Staged, Transaction};
use super::version::Note;
use crate::commit::{Fields, LayoutAt, Op, SourceForm};
use crate::error::{Error, Result};
use crate::id::{ObjectId, PathKey};
use crate::index::rows_of_batch;
use crate::log::batch::BatchBuilder;
use crate::log::cursor::Head;
use crate::log::format::{CHECKSUM_LEN, PATH_KEY_LEN, SPELL_EVERY};
use crate::log::record::{CommitChanges, CommitRecord, StoredChange};
use crate::log::scan::PlacedBatch;
use crate::wire::MAX_NUMBER;

impl Transaction<'_> {
    /// Stages a commit. The drafts may come in any order.
    pub fn stage(
        &mut self,
        note: &Note,
        mut fields: Fields,
        drafts: Vec<Draft>,
    ) -> Result<Staged, Fault> {
        if let Some(author) = &note.author {
            fields.set(Fields::AUTHOR, author.as_bytes());
        }
        if let Some(message) = &note.message {
            fields.set(Fields::MESSAGE, message.as_bytes());
        }
        if !note.meta.is_empty() {
            let text = serde_json::Value::Object(note.meta.clone()).to_string();
            let meta = crate::canon::canonicalize(text.as_bytes()).map_err(|source| {
                Fault::Error(Error::InvalidDocument {
                    path: "metadata".to_owned(),
                    source,
                })
            })?;
            fields.set(Fields::META, meta);
        }
        let mut drafts = drafts;
        drafts.sort_by(|a, b| {
            let key = |draft: &Draft| (draft.change.op.makes_version(), draft.change.path.clone());
            let ((a_version, a_path), (b_version, b_path)) = (key(a), key(b));
            b_version.cmp(&a_version).then(a_path.cmp(&b_path))
        });
        let seq = self.head.seq + 1;
        let versions = drafts.iter().map(|draft| draft.change.version);
        if versions.fold(seq, u64::max) > MAX_NUMBER {
            let message = "the numbers of commits or versions of this archive are used up";
            return Err(Fault::Error(Error::Unsupported(message.to_owned())));
        }
        let keys = self.engine.reader.keys();
        let start = self.unwritten.bytes.len();
        let mut builder = BatchBuilder::new(keys, &self.unwritten.bytes);
        let mut stored = Vec::with_capacity(drafts.len());
        let mut new_ids: HashMap<ObjectId, u64> = HashMap::new();
        let mut new_paths: HashMap<PathKey, &str> = HashMap::new();
        for (number, draft) in (0..).zip(&drafts) {
            let mut change = StoredChange {
                change: draft.change.clone(),
                object_len: 0,
                source_len: 0,
            };
            if draft.change.op.makes_version() && draft.change.version == 1 {
                let path = draft.change.path.as_str();
                let taken = new_paths.insert(keys.path_key(path), path);
                self.check_new_path(path, taken)?;
            }
            let near = self.is_near(draft);
            if near && self.may_stand_by_key(&draft.change.path)? {
                change.change.key = Some(keys.path_key(&draft.change.path));
            }
            let before = draft.before.as_ref();
            if let Some(object) = &draft.object {
                let base = self.with(|objects| Ok(objects.base_of_document(before)))?;
                change.object_len =
                    self.write_object(&mut builder, seq, object, base, &mut new_ids)?;
            }
            if let Some((source, document)) = draft.source.as_ref().zip(draft.object.as_ref()) {
                let nan = draft.change.content.is_some_and(|content| content.nan);
                let mut plan = self.plan_source(source, document, nan, before)?;
                let at = StoredAt {
                    seq,
                    segment: self.unwritten.segment,
                    offset: self.unwritten.offset + start as u64,
                };
                let copy = match near {
                    true => None,
                    false => self.with(|objects| objects.layout_to_copy(&plan, &at))?,
                };
                if let Some(copy) = copy.filter(|copy| !new_ids.contains_key(&copy.id)) {
                    change.source_len =
                        self.put_object(&mut builder, seq, &copy, None, &mut new_ids)?;
                    self.engine.layouts.note_copy(copy.id, at);
                } else {
                    let base = self.with(|objects| Ok(objects.base_of_source(&plan, before)))?;
                    let laid = matches!(plan, SourcePlan::Laid(_));
                    if let Some(object) = plan.object_mut() {
                        change.source_len =
                            self.write_object(&mut builder, seq, object, base, &mut new_ids)?;
                        if laid && change.source_len > 0 {
                            self.engine.layouts.note_copy(object.id, at);
                        }
                    }
                }
                let here = LayoutAt {
                    seq,
                    change: number,
                };
                let (form, layout) = self.form_of(&plan, source, here, near)?;
                change.change.layout = layout;
                if let Some(content) = &mut change.change.content {
                    content.source = form;
                }
            }
            stored.push(change);
        }
        let recorded = self.now.max(self.head.recorded);
        let time = note.time.unwrap_or(recorded);
        if time.checked_sub(recorded).is_none() {
            let message = format!("the time {time} is out of range");
            return Err(Fault::Error(Error::invalid(message)));
        }
        let record = CommitRecord {
            before: 0,
            unsynced: self.unsynced + start as u64,
            batch_checksum: [0; CHECKSUM_LEN],
            parents: vec![self.head.commit],
            seq,
            recorded,
            time,
            fields,
            change_count: 0,
            changes: CommitChanges::Inline(Vec::new()),
        };
        let batch = builder.finish(&mut self.unwritten.bytes, record, stored);
        let commit = batch.id;
        let offset = self.unwritten.offset + start as u64;
        self.head = Head {
            seq,
            commit,
            recorded,
            place: Some(batch.place(self.unwritten.segment, offset)),
            synced_before: offset,
        };
        self.unwritten
            .changes
            .insert(seq, Arc::new(batch.changes.clone()));
        self.unwritten.ids.insert(seq, commit);
        self.job.add(rows_of_batch(
            self.unwritten.segment,
            &PlacedBatch { offset, batch },
            keys,
        ));
        Ok(Staged { seq, commit })
    }

    /// Is the path's previous version close by, so that this one may refer to what was said there? Each segment says
    /// everything itself, and every few versions it is said again: damage must not cost more than it hits.
    fn is_near(&self, draft: &Draft) -> bool {
        let Some(before) = &draft.before else {
            return false;
        };
        if !matches!(draft.change.op, Op::Save | Op::Rollback)
            || draft.change.version.is_multiple_of(SPELL_EVERY)
        {
            return false;
        }
        before.located.segment == self.unwritten.segment
    }

    /// Can a change of this path have its key instead of its name?
    fn may_stand_by_key(&self, path: &str) -> Result<bool, Fault> {
        if path.len() <= PATH_KEY_LEN {
            return Ok(false);
        }
        let key = self.engine.reader.keys().path_key(path);
        // Where damage has taken the name it is spelled at once.
        let name = self.with(|objects| Ok(objects.catalog.name(key)?))?;
        Ok(name.as_deref() == Some(path))
    }

    /// Two paths of one key could not be told apart. `taken` is another new path of the same commit and key.
    fn check_new_path(&self, path: &str, taken: Option<&str>) -> Result<(), Fault> {
        let other = match taken {
            Some(taken) => Some(taken.to_owned()),
            None => self.with(|objects| Ok(objects.catalog.other_name(path)?))?,
        };
        match other {
            None => Ok(()),
            Some(other) => Err(Fault::Error(Error::invalid(format!(
                "{path} cannot be kept beside {other}: both have the same key in this archive; choose another name"
            )))),
        }
    }

    /// How a source is kept: as guessed, where the path's previous version is the one that the guess was made for.
    fn plan_source(
        &self,
        source: &NewSource,
        document: &NewObject,
        nan: bool,
        before: Option<&Newest>,
    ) -> Result<SourcePlan, Fault> {
        let content = before.and_then(|before| before.change().content);
        let layout = match content.map(|content| content.source) {
            Some(SourceForm::LaidOut { layout, .. }) => Some(layout),
            _ => None,
        };
        let reading = self.engine.reading();
        let guess = source.guess.as_ref().filter(|g| g.reading == reading);
        match (guess.map(|guess| &guess.plan), layout) {
            (Some(SourcePlan::Alike(at)), Some(layout)) if *at == layout => {
                return Ok(SourcePlan::Alike(layout));
            }
            (Some(SourcePlan::AlikeNew(id)), Some(layout)) => {
                let (_, known) = self.with(|objects| objects.introduction(layout))?;
                if known == *id {
                    return Ok(SourcePlan::Alike(layout));
                }
            }
            (Some(plan @ (SourcePlan::Laid(_) | SourcePlan::Apart(_))), _) => {
                return Ok(plan.clone());
            }
            _ => {}
        }
        self.with(|objects| Ok(objects.plan_source(source, document, nan, content)))
    }

    /// The form of a source, and the layout that its change, which is `here`, brings. A layout that is not near is
    /// brought again.
    fn form_of(
        &self,
        plan: &SourcePlan,
        source: &NewSource,
        here: LayoutAt,
        near: bool,
    ) -> Result<(SourceForm, Option<ObjectId>), Fault> {
        let check = source.id.check();
        let laid_out = |layout| SourceForm::LaidOut { check, layout };
        Ok(match plan {
            SourcePlan::Alike(at) if near => (laid_out(*at), None),
            SourcePlan::Alike(at) => {
                let (_, id) = self.with(|objects| objects.introduction(*at))?;
                (laid_out(here), Some(id))
            }
            // A plan under the lock knows where each layout is.
            SourcePlan::AlikeNew(id) => (laid_out(here), Some(*id)),
            SourcePlan::Laid(object) => (laid_out(here), Some(object.id)),
            SourcePlan::Apart(_) => (SourceForm::Object(source.id), None),
        })
    }

    /// Writes an object unless the log has it; the length of its record, 0 where none was written.
    fn write_object(
        &mut self,
        builder: &mut BatchBuilder<'_>,
        seq: u64,
        object: &NewObject,
        base: Option<ObjectAt>,
        new_ids: &mut HashMap<ObjectId, u64>,
    ) -> Result<u64, Fault> {
        let guess = object.guess_of(self.engine.reading());
        // What the log has but cannot give back is stored again.
        let known = new_ids.contains_key(&object.id)
            || self.with(|objects| {
                let found = match guess {
                    Some(guess) => objects.find_since(&object.id, guess.absent)?,
                    None => objects.find(&object.id)?,
                };
                match found {
                    Some(at) => objects.has_whole(at, &object.id, Some(&self.engine.cache)),
                    None => Ok(false),
                }
            })?;
        if known {
            return Ok(0);
        }
        self.put_object(builder, seq, object, base, new_ids)
    }

    /// Writes an object, whether the log has it or not.
    fn put_object(
        &mut self,
        builder: &mut BatchBuilder<'_>,
        seq: u64,
        object: &NewObject,
        base: Option<ObjectAt>,
        new_ids: &mut HashMap<ObjectId, u64>,
    ) -> Result<u64, Fault> {
        let encoded = match self.guessed(object, base) {
            Some(encoded) => encoded,
            None => {
                #[cfg(test)]
                self.engine.compressed_late.fetch_add(1, Relaxed);
                let mut cached = |at| self.engine.lock_cache().get(at);
                Arc::new(self.with(|objects| objects.encode(&object.bytes, base, &mut cached))?)
            }
        };
        let at = ObjectAt {
            seq,
            ordinal: new_ids.len() as u64,
        };
        let (_, len) = builder.object(&mut self.unwritten.bytes, &encoded.record(seq));
        new_ids.insert(object.id, at.ordinal);
        self.staged.insert(object.id, (at, encoded.place()));
        let mut cache = self.engine.lock_cache();
        if let Some(base) = base {
            cache.remove(base);
        }
        let content = Content {
            bytes: object.bytes.clone(),
            k: encoded.k,
            load_len: encoded.load_len,
        };
        cache.put(at, content);
        Ok(len)
    }

    /// The first object of a chain, compressed over that of another path.
    fn guessed_over_kin(&self, guess: &Guess, over: &Over) -> Option<Arc<Encoded>> {
        let Over::Staged { id, place } = over else {
            // While many saved at once others may have come in between.
            let behind = (self.head.seq + 1).saturating_sub(guess.encoded.base()?.seq);
            return (behind <= MOST_COMMITS_AT_ONCE).then(|| guess.encoded.clone());
        };
        // Where another path had the same document before, it stands there; loads must not get longer for it.
        let (at, there) = self.staged.get(id)?;
        let fits = there.k == 0 && there.load_len <= place.load_len;
        let shorter = place.load_len.saturating_sub(there.load_len);
        fits.then(|| {
            let mut encoded = Encoded::clone(&guess.encoded).based_on(*at);
            encoded.load_len = encoded.load_len.saturating_sub(shorter);
            Arc::new(encoded)
        })
    }

    /// What was compressed in front of the lock, where what it rests on is where it was to be.
    fn guessed(&self, object: &NewObject, base: Option<ObjectAt>) -> Option<Arc<Encoded>> {
        let guess = object.guess_of(self.engine.reading())?;
        // At another place in a chain it would make loads longer than was reckoned with.
        let staged = |id: &ObjectId, place: ChainPlace| {
            let found = self.staged.get(id).filter(|(_, there)| *there == place);
            found.map(|(at, _)| *at)
        };
        let over = match &guess.on {
            GuessBase::Before(at) => return (*at == base).then(|| guess.encoded.clone()),
            GuessBase::Kin(over) if base.is_none() => return self.guessed_over_kin(guess, over),
            GuessBase::Kin(_) => return None,
            GuessBase::Staged { id, place, over } => staged(id, *place).map(|_| over)?,
        };
        match over {
            Over::Nothing | Over::Stored => Some(guess.encoded.clone()),
            Over::Staged { id, place } => {
                let at = staged(id, *place)?;
                Some(Arc::new(Encoded::clone(&guess.encoded).based_on(at)))
            }
        }
    }
}
