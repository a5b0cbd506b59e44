//! Sources: the bytes as they were saved, kept as a layout that makes them of the canonical form.
//!
//! Whoever wrote a file mostly writes its next version the same way, so a source costs a reference to the layout of
//! the version before. Where no layout gives the exact bytes back they are stored as an object of their own.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::contents::{ContentCache, ObjectAt};
use super::engine::Fault;
use super::objects::{ObjectReader, doubt, gone};
use super::transaction::{NewObject, Newest};
use crate::commit::{Content, LayoutAt, SourceForm};
use crate::error::Error;
use crate::id::ObjectId;
use crate::layout::Layout;
use crate::log::format::*;
use crate::log::reader::{LocatedChange, segment_file};

/// Layouts kept ready; when there are more, all are forgotten.
const MAX_LAYOUTS: usize = 8192;

/// A layout that is brought again is stored again where its last copy is in another segment or so many bytes back: many
/// sources rest on it, and damage must not take them all.
const COPY_EVERY: u64 = 1 << 20;
/// Where a handle has not stored a layout itself, one in so many commits stores it again.
const COPY_UNKNOWN_EVERY: u64 = 16;

/// At most so many layouts are tried where the right one is lost.
const MAX_OTHER_LAYOUTS: u64 = 64;
/// Of so many lost layouts what is tried in their place is kept, where it is no longer than this.
const MAX_OTHERS: usize = 64;
const MAX_OTHER_BYTES: usize = 1 << 20;

/// A lost layout, by its id, or where the change that names it is lost too, by that; and the path.
type LostLayout = (Result<ObjectId, LayoutAt>, String);
/// The newest commit when they were looked for, and the layouts.
type Others = (u64, Arc<Vec<Arc<Layout>>>);

/// Layouts that were read.
#[derive(Debug, Default)]
pub(crate) struct LayoutCache(Mutex<Layouts>);

#[derive(Debug, Default)]
struct Layouts {
    /// By the change that brought them.
    by_change: HashMap<LayoutAt, Arc<Layout>>,
    /// By the hash of their encoding: the same one is brought again and again.
    by_id: HashMap<ObjectId, Arc<Layout>>,
    /// What can be tried where a layout is lost.
    others: HashMap<LostLayout, Others>,
    /// Where this handle has stored layouts last.
    copies: HashMap<ObjectId, StoredAt>,
}

/// Where a layout was stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredAt {
    pub seq: u64,
    pub segment: u64,
    pub offset: u64,
}

impl StoredAt {
    fn is_far_from(&self, other: &StoredAt) -> bool {
        self.segment != other.segment || self.offset.abs_diff(other.offset) > COPY_EVERY
    }
}

impl LayoutCache {
    fn lock(&self) -> MutexGuard<'_, Layouts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get_by_id(&self, id: &ObjectId) -> Option<Arc<Layout>> {
        self.lock().by_id.get(id).cloned()
    }

    /// One that is at hand.
    pub fn get(&self, at: LayoutAt) -> Option<Arc<Layout>> {
        self.lock().by_change.get(&at).cloned()
    }

    fn put(&self, at: LayoutAt, id: ObjectId, layout: Arc<Layout>) {
        let mut layouts = self.lock();
        if layouts.by_change.len() >= MAX_LAYOUTS {
            *layouts = Layouts::default();
        }
        layouts.by_change.insert(at, layout.clone());
        layouts.by_id.insert(id, layout);
    }

    /// Takes note that a layout is stored here.
    pub fn note_copy(&self, id: ObjectId, here: StoredAt) {
        self.lock().copies.insert(id, here);
    }

    /// Should a layout be stored once more here? `first` is where its first copy is.
    pub fn wants_copy(&self, id: &ObjectId, here: &StoredAt, first: &StoredAt) -> bool {
        match self.lock().copies.get(id) {
            Some(last) => last.is_far_from(here),
            None => first.is_far_from(here) && here.seq.is_multiple_of(COPY_UNKNOWN_EVERY),
        }
    }

    /// Forgets the layouts of commits from this number on.
    pub fn forget_from(&self, seq: u64) {
        let mut layouts = self.lock();
        layouts.by_change.retain(|at, _| at.seq < seq);
        if seq == 0 {
            // The log may have lost them.
            layouts.by_id.clear();
        }
        layouts.copies.retain(|_, at| at.seq < seq);
        layouts.others.clear();
    }
}

/// A source that neither the canonical nor the pretty form gives back.
#[derive(Clone, Debug)]
pub(crate) struct NewSource {
    pub id: ObjectId,
    pub bytes: Arc<Vec<u8>>,
    /// Settled before the lock was taken.
    pub guess: Option<SourceGuess>,
}

/// How a source is kept, settled for the newest state that was known.
#[derive(Clone, Debug)]
pub(crate) struct SourceGuess {
    /// Of which reading of the log.
    pub reading: u64,
    pub plan: SourcePlan,
}

/// How a source will be kept.
#[derive(Clone, Debug)]
pub(crate) enum SourcePlan {
    /// The layout of the path's previous version makes it.
    Alike(LayoutAt),
    /// The same, and the layout is one that the same batch brings.
    AlikeNew(ObjectId),
    /// A layout makes it that the path did not have before.
    Laid(NewObject),
    /// It is an object of its own.
    Apart(NewObject),
}

impl SourcePlan {
    /// The object to be stored.
    pub fn object_mut(&mut self) -> Option<&mut NewObject> {
        match self {
            SourcePlan::Alike(_) | SourcePlan::AlikeNew(_) => None,
            SourcePlan::Laid(object) | SourcePlan::Apart(object) => Some(object),
        }
    }
}

impl SourcePlan {
    /// The first source of a path, by this layout where that makes it.
    pub fn like(
        source: &NewSource,
        document: &NewObject,
        nan: bool,
        layout: &Layout,
    ) -> SourcePlan {
        if layout.affordably_renders_to(&document.bytes, nan, &source.bytes) {
            return SourcePlan::Laid(NewObject::of(layout.encode()));
        }
        SourcePlan::new(source, document, nan, None)
    }

    /// By a new layout, which is much like `previous`, where there is one, else as an object of its own.
    pub fn new(
        source: &NewSource,
        document: &NewObject,
        nan: bool,
        previous: Option<&Layout>,
    ) -> SourcePlan {
        let (bytes, canonical) = (&*source.bytes, &*document.bytes);
        let layout = match previous {
            Some(layout) => Layout::infer_from(layout, bytes, canonical, nan),
            None => Layout::infer(bytes, canonical, nan),
        };
        match layout.map(|layout| layout.encode()) {
            Some(encoding) if encoding.len() as u64 <= MAX_LAYOUT_LEN => {
                SourcePlan::Laid(NewObject::of(encoding))
            }
            _ => SourcePlan::Apart(NewObject {
                id: source.id,
                bytes: source.bytes.clone(),
                guess: None,
            }),
        }
    }
}

impl ObjectReader<'_> {
    /// Settles how a source is kept: by the layout of the path's previous version where that gives it back, by a new
    /// layout where there is one, else as an object of its own.
    pub fn plan_source(
        &self,
        new: &NewSource,
        document: &NewObject,
        nan: bool,
        before: Option<Content>,
    ) -> SourcePlan {
        let (bytes, canonical) = (&*new.bytes, &*document.bytes);
        // A previous layout that cannot be read is none.
        let previous = match before.map(|content| content.source) {
            Some(SourceForm::LaidOut { layout, .. }) => {
                self.layout(layout).ok().map(|found| (layout, found))
            }
            _ => None,
        };
        if let Some((at, layout)) = &previous
            && layout.affordably_renders_to(canonical, nan, bytes)
        {
            return SourcePlan::Alike(*at);
        }
        let previous = previous.as_ref().map(|(_, layout)| &**layout);
        SourcePlan::new(new, document, nan, previous)
    }

    /// The layout that a plan needs and that the log has, where it should be stored once more: what it is, to stand
    /// alone.
    pub fn layout_to_copy(
        &self,
        plan: &SourcePlan,
        here: &StoredAt,
    ) -> Result<Option<NewObject>, Fault> {
        let (id, object) = match plan {
            SourcePlan::Alike(at) => (self.introduction(*at)?.1, None),
            SourcePlan::Laid(object) => (object.id, Some(object)),
            SourcePlan::AlikeNew(_) | SourcePlan::Apart(_) => return Ok(None),
        };
        let Some(first) = self.catalog.first_by_key(id.key())? else {
            return Ok(None);
        };
        let place = match self.catalog.commit(first.seq)? {
            Some(row) => StoredAt {
                seq: first.seq,
                segment: row.segment,
                offset: row.offset,
            },
            None => return Ok(None),
        };
        if !self.layouts.wants_copy(&id, here, &place) {
            return Ok(None);
        }
        if let Some(object) = object {
            let mut alone = object.clone();
            alone.guess.take_if(|guess| guess.encoded.base().is_some());
            return Ok(Some(alone));
        }
        let layout = match plan {
            SourcePlan::Alike(at) => self.layout(*at)?,
            _ => return Ok(None),
        };
        let bytes = layout.encode();
        Ok((ObjectId::of(&bytes) == id).then(|| NewObject {
            id,
            bytes: bytes.into(),
            guess: None,
        }))
    }

    /// What the object of a source's plan may rest on: the object that the path's previous version has in its place.
    pub fn base_of_source(&self, plan: &SourcePlan, before: Option<&Newest>) -> Option<ObjectAt> {
        let before = before?;
        match (plan, before.change().content?.source) {
            (SourcePlan::Laid(_), SourceForm::LaidOut { layout, .. }) => {
                self.layout_object(layout).ok().map(|(at, _)| at)
            }
            (SourcePlan::Apart(_), SourceForm::Object(id)) => {
                self.locate(&before.located, before.row.seq, &id).ok()
            }
            _ => None,
        }
    }

    /// The change that brought a layout, and the layout's id.
    pub fn introduction(&self, at: LayoutAt) -> Result<(LocatedChange, ObjectId), Fault> {
        if self
            .catalog
            .commit(at.seq)?
            .is_none_or(|row| row.record_len == 0)
        {
            let message = format!(
                "commit {}, which brought the layout of a source, is lost",
                at.seq
            );
            return Err(gone(message));
        }
        let located = self.stored_change(at.seq, at.change)?;
        match located.stored.change.layout {
            Some(id) => Ok((located, id)),
            None => {
                Err(self.fault_in(at.seq, "a layout is not in the change that should bring it"))
            }
        }
    }

    /// Where the object of a layout is stored.
    pub fn layout_object(&self, at: LayoutAt) -> Result<(ObjectAt, ObjectId), Fault> {
        let (located, id) = self.introduction(at)?;
        Ok((self.locate(&located, at.seq, &id)?, id))
    }

    /// A layout, by the change that brought it.
    pub fn layout(&self, at: LayoutAt) -> Result<Arc<Layout>, Fault> {
        if let Some(layout) = self.layouts.get(at) {
            return Ok(layout);
        }
        let (located, id) = self.introduction(at)?;
        if let Some(layout) = self.layouts.get_by_id(&id) {
            self.layouts.put(at, id, layout.clone());
            return Ok(layout);
        }
        let object = self.locate(&located, at.seq, &id)?;
        if self
            .content_len(object)
            .is_ok_and(|len| len > MAX_LAYOUT_LEN)
        {
            return Err(self.fault_at(object, "a layout is too large".to_owned()));
        }
        let encoding = self.named(&located, at.seq, &id, None)?;
        let layout =
            Layout::decode(&encoding).map_err(|error| self.fault_at(object, error.to_string()))?;
        let layout = Arc::new(layout);
        self.layouts.put(at, id, layout.clone());
        Ok(layout)
    }

    /// The bytes that a layout makes of a document, checked. `canonical` has been compared with its id; `seq` is the
    /// commit whose change, of `path`, names the layout.
    pub fn laid_out(
        &self,
        canonical: &[u8],
        nan: bool,
        (check, at): ([u8; 8], LayoutAt),
        (seq, path): (u64, &str),
    ) -> Result<Vec<u8>, Fault> {
        let layout = match self.layout(at) {
            Err(Fault::Doubt(error)) => {
                let other = self.other_layout(canonical, nan, (check, at), path);
                return other.ok_or(Fault::Doubt(error));
            }
            layout => layout?,
        };
        // Indented text is often not twice as long; where it is, the buffer grows.
        let mut source = Vec::with_capacity(canonical.len() + canonical.len() / 2);
        layout
            .render(canonical, nan, &mut source)
            .map_err(|error| self.fault_in(seq, &error.to_string()))?;
        if ObjectId::of(&source).check() != check {
            return Err(self.fault_in(seq, "a layout does not give back the bytes that were saved"));
        }
        Ok(source)
    }

    /// The source by another layout, where the one that it goes by is lost: by what is left of the commit that brought
    /// it, or by one that another version of the path has brought. The check tells whether it is the right one.
    fn other_layout(
        &self,
        canonical: &[u8],
        nan: bool,
        (check, at): ([u8; 8], LayoutAt),
        path: &str,
    ) -> Option<Vec<u8>> {
        let layouts = self.other_layouts(at, path)?;
        layouts.iter().find_map(|layout| {
            let mut source = Vec::new();
            layout.render(canonical, nan, &mut source).ok()?;
            (ObjectId::of(&source).check() == check).then_some(source)
        })
    }

    /// The layouts to be tried in the place of a lost one. They are looked for once: many sources go by the same.
    fn other_layouts(&self, at: LayoutAt, path: &str) -> Option<Arc<Vec<Arc<Layout>>>> {
        let newest = self.catalog.newest_seq();
        let lost = match self.introduction(at) {
            Ok((_, id)) => Ok(id),
            Err(_) => Err(at),
        };
        let key = (lost, path.to_owned());
        if let Some((_, found)) = self
            .layouts
            .lock()
            .others
            .get(&key)
            .filter(|(seen, _)| *seen == newest)
        {
            return Some(found.clone());
        }
        let mut found: Vec<Arc<Layout>> = Vec::new();
        let mut total = 0;
        let mut take = |encoding: &[u8]| {
            if let Ok(layout) = Layout::decode(encoding) {
                total += encoding.len();
                found.push(Arc::new(layout));
            }
        };
        for ordinal in 0..MAX_OTHER_LAYOUTS {
            let left = ObjectAt {
                seq: at.seq,
                ordinal,
            };
            if self.catalog.object(left.seq, ordinal).ok()?.is_none() {
                break;
            }
            if self
                .content_len(left)
                .is_ok_and(|len| len <= MAX_LAYOUT_LEN)
                && let Ok((content, _)) = self.content(left, &mut |_| None)
            {
                take(&content.bytes);
            }
        }
        // Those nearby, and those that bring whatever layout they have.
        let mut rows = self.catalog.versions(path, u64::MAX, usize::MAX).ok()?;
        rows.sort_by_key(|row| row.seq.abs_diff(at.seq));
        let (brings, other): (Vec<_>, Vec<_>) = rows
            .into_iter()
            .partition(|row| row.version == 1 || row.version.is_multiple_of(SPELL_EVERY));
        let most = MAX_OTHER_LAYOUTS as usize;
        let mut tried = HashSet::new();
        for row in brings
            .into_iter()
            .take(most)
            .chain(other.into_iter().take(most))
        {
            let Ok(located) = self.change(&row) else {
                continue;
            };
            let Some(id) = located.stored.change.layout.filter(|id| tried.insert(*id)) else {
                continue;
            };
            if let Ok(encoding) = self.named(&located, row.seq, &id, None) {
                take(&encoding);
            }
        }
        let found = Arc::new(found);
        if total <= MAX_OTHER_BYTES {
            let mut layouts = self.layouts.lock();
            if layouts.others.len() >= MAX_OTHERS {
                layouts.others.clear();
            }
            layouts.others.insert(key, (newest, found.clone()));
        }
        Some(found)
    }

    /// Is this source that of a content, whose document is `document`?
    pub fn has_source(
        &self,
        content: &Content,
        source: &NewSource,
        document: &NewObject,
    ) -> Result<bool, Fault> {
        match content.source {
            SourceForm::Object(id) => Ok(id == source.id),
            SourceForm::LaidOut { check, layout } if check == source.id.check() => {
                let known = source.guess.as_ref().is_some_and(|guess| {
                    guess.reading == self.reading
                        && matches!(guess.plan, SourcePlan::Alike(at) if at == layout)
                });
                Ok(known
                    || self
                        .layout(layout)?
                        .renders_to(&document.bytes, content.nan, &source.bytes))
            }
            _ => Ok(false),
        }
    }

    /// Do two contents have the same document and the same source bytes, however these are kept?
    pub fn same_content(&self, a: &Content, b: &Content) -> Result<bool, Fault> {
        if a.object != b.object || a.nan != b.nan {
            return Ok(false);
        }
        if a.source == b.source {
            return Ok(true);
        }
        match (a.source.key(), b.source.key()) {
            (Some(a_key), Some(b_key)) if a_key == b_key => {
                Ok(self.source_id(a)? == self.source_id(b)?)
            }
            _ => Ok(false),
        }
    }

    /// The BLAKE3 of a source that is kept, whatever its form.
    pub fn source_id(&self, content: &Content) -> Result<Option<ObjectId>, Fault> {
        match content.source {
            SourceForm::Object(id) => Ok(Some(id)),
            SourceForm::LaidOut { check, layout } => {
                let canonical = self.any(&content.object, &mut ContentCache::default())?;
                let place = (layout.seq, "");
                let source = self.laid_out(&canonical, content.nan, (check, layout), place)?;
                Ok(Some(ObjectId::of(&source)))
            }
            SourceForm::None | SourceForm::Canonical | SourceForm::Pretty => Ok(None),
        }
    }

    /// The fault of what a commit record says.
    fn fault_in(&self, seq: u64, message: &str) -> Fault {
        match self.catalog.commit(seq) {
            Ok(Some(row)) => Fault::Doubt(Error::corrupt(
                segment_file(row.segment),
                Some(row.offset.saturating_add(row.before)),
                message,
            )),
            Ok(None) => doubt(message.to_owned()),
            Err(error) => Fault::Index(error),
        }
    }
}
