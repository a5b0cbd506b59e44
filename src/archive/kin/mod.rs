//! What the first version of a path rests on: the first version of a path much like it.
//!
//! Where every run has a file of its own, each of these has one version, and most of what is in it was in the file of
//! the run before. Such files are told by their names: the same name in another folder, or another name in the same
//! folder. So that damage to one object does not reach far, and loads stay short, few paths hang on one object: short
//! ones all rest on one that stands alone, longer ones each on the one before, until the next stands alone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::contents::{Content, Encoded, ObjectAt};
use super::engine::Fault;
use super::guess::{Link, Made};
use super::objects::ObjectReader;
use super::save::Prepared;
use super::sources::SourcePlan;
use super::transaction::{GuessBase, NewObject, Over};
use crate::commit::{Content as Named, SourceForm};
use crate::id::ObjectId;
use crate::layout::Layout;
use crate::log::format::SHORT_OBJECT;
use crate::log::reader::LocatedChange;

/// So many paths may rest on a short object of the same batch …
const MOST_RESTING: usize = 15;
/// … and on one that the log has, for other batches come to rest on it too, …
const MOST_RESTING_STORED: usize = 3;
/// … all of them in commits up to so many behind it …
const MOST_COMMITS: u64 = 16;
/// … or, where many threads save at once, up to so many by the time they are written.
pub(super) const MOST_COMMITS_AT_ONCE: u64 = 64;
/// So many commits are looked through for a document to rest on …
const RECENT_COMMITS: usize = 8;
/// … or, where one in the same folder was found, so many more, for one of the same name …
const COMMITS_BEHIND: usize = 3;
/// … and so many changes of each.
const RECENT_CHANGES: u64 = 8;
/// So many documents of a batch are kept to be rested on, and so many bytes.
const MAX_KEPT: usize = 64;
const MAX_KEPT_LEN: usize = 16 << 20;
/// A longer object stands alone: it has enough in itself to be like.
const MAX_LEN: usize = 8 << 20;
/// A delta of so small a part of its object is smaller than what that takes alone.
const SURELY_SMALL: usize = 16;
/// A shorter document is not worth looking for another.
const MIN_LEN: usize = 64;

/// The first object of a chain, on which that of another chain may rest.
#[derive(Clone)]
pub(super) struct Rest {
    link: Link,
    content: Content,
    /// What its record takes; 0 where that is not known.
    packed_len: usize,
    /// How many more objects may rest on it.
    left: usize,
}

impl Rest {
    /// The object, if it may be rested on.
    fn of(link: Link, content: Content, packed_len: usize) -> Option<Rest> {
        let fits = (1..=MAX_LEN).contains(&content.bytes.len());
        (fits && content.can_carry_first()).then_some(Rest {
            link,
            content,
            packed_len,
            left: match link {
                Link::Made(_) => MOST_RESTING,
                Link::Stored(_) => MOST_RESTING_STORED,
            },
        })
    }

    fn of_made(object: &NewObject) -> Option<Rest> {
        let encoded = &object.guess.as_ref()?.encoded;
        let content = Made::new(object, encoded, None).content;
        Rest::of(Link::Made(object.id), content, encoded.packed_len())
    }

    /// So many more rest on it; whether that is all that may.
    fn rested_on(&mut self, more: usize) -> bool {
        self.left = self.left.saturating_sub(more);
        self.left == 0
    }

    /// What an object over this one is compressed over.
    pub fn over(&self) -> Over {
        match self.link {
            Link::Stored(_) => Over::Stored,
            Link::Made(id) => Over::Staged {
                id,
                place: self.content.place(),
            },
        }
    }

    /// Compresses the first object of a chain over this one, or alone where that is hardly larger.
    pub fn encode(&self, content: &[u8]) -> Result<Encoded, Fault> {
        let at = match self.link {
            Link::Stored(at) => at,
            Link::Made(_) => ObjectAt::NOWHERE,
        };
        let mut encoded = Encoded::over_at_most(content, &self.content, at, self.small(content))?;
        encoded.k = 0;
        Ok(encoded)
    }

    /// Up to which length a delta need not be compared with what the content takes alone.
    fn small(&self, content: &[u8]) -> usize {
        let (len, base) = (content.len(), self.content.bytes.len());
        let alike = len / 2 <= base && base / 2 <= len;
        match self.content.stands_alone() && alike {
            // What is much alike takes about as much for each of its bytes; a fifth less needs no second look.
            true => (len as u64 * self.packed_len as u64 / base as u64 * 4 / 5) as usize,
            false => len / SURELY_SMALL,
        }
    }
}

/// What the first version of a path may rest on.
#[derive(Clone)]
pub(super) struct Kin {
    pub document: Option<Rest>,
    /// What its source was written by may have written the new one too.
    pub layout: Option<Arc<Layout>>,
    pub layout_id: Option<ObjectId>,
    pub layout_object: Option<Rest>,
}

/// A first version in a batch, or one that the log has and of which a batch has made use.
struct Kept {
    path: String,
    /// The number of its commit in the batch; none where the log has it.
    number: Option<usize>,
    kin: Kin,
    /// The layout of its source until that is used.
    layout: Option<Arc<Vec<u8>>>,
}

impl Kept {
    fn len(&self) -> usize {
        let objects = [&self.kin.document, &self.kin.layout_object];
        let len = |rest: &Option<Rest>| rest.as_ref().map_or(0, |rest| rest.content.bytes.len());
        objects.into_iter().map(len).sum()
    }

    /// How much a document is like this one, where this one is staged before it: commits in their order, and the
    /// documents of each in the order of their paths.
    fn likeness(&self, path: &str, number: usize) -> Option<Likeness> {
        let before = match self.number {
            None => true,
            Some(here) => here < number || (here == number && *self.path < *path),
        };
        likeness(&self.path, path).filter(|_| before)
    }

    /// What a document like this one may rest on.
    fn kin(&mut self) -> &Kin {
        if let Some(bytes) = self.layout.take() {
            self.kin.layout = Layout::decode(&bytes).ok().map(Arc::new);
        }
        &self.kin
    }
}

/// A change that the log has, of a path.
struct Recent {
    path: String,
    seq: u64,
    /// Its commit, counted from the newest.
    looked: usize,
    located: LocatedChange,
}

/// How much one path is like another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Likeness {
    /// In the same folder.
    Folder,
    /// Of the same name, in another folder.
    Name,
}

fn likeness(a: &str, b: &str) -> Option<Likeness> {
    let split = |path| str::rsplit_once(path, '/').unwrap_or(("", path));
    let ((folder, name), (other_folder, other_name)) = (split(a), split(b));
    match (name == other_name, folder == other_folder) {
        (true, _) => Some(Likeness::Name),
        (false, true) => Some(Likeness::Folder),
        (false, false) => None,
    }
}

/// What first versions may rest on: what the batch has brought, and what the log had when it was first asked.
#[derive(Default)]
pub(super) struct Kindred {
    /// Of which reading of the log all of this is.
    reading: u64,
    kept: Vec<Kept>,
    /// The documents that first versions of the batch have brought.
    brought: HashSet<ObjectId>,
    /// How many of the batch rest on objects that the log has.
    resting: HashMap<ObjectAt, usize>,
    recent: Vec<Recent>,
    /// How many commits were looked through for `recent`, and the one that was last.
    looked: usize,
    last: Option<u64>,
}

/// What is at hand of the log.
pub(super) type Cached<'a> = &'a mut dyn FnMut(ObjectAt) -> Option<Content>;

impl Kindred {
    /// Forgets what another reading of the log has brought: the same place may hold another object now.
    pub fn of_reading(&mut self, reading: u64) {
        if self.reading != reading {
            *self = Kindred {
                reading,
                ..Kindred::default()
            };
        }
    }

    /// What the first document of a path, in this commit of a batch and of this length, may rest on.
    pub fn find(
        &mut self,
        (path, number): (&str, usize),
        len: usize,
        objects: &ObjectReader<'_>,
        cached: Cached<'_>,
    ) -> Option<Kin> {
        if !(MIN_LEN..=MAX_LEN).contains(&len) {
            return None;
        }
        let like = |kept: &Kept| kept.likeness(path, number);
        let best = self.kept.iter().filter_map(like).max();
        if best < Some(Likeness::Name)
            && let Some(found) = self.stored(path, best, objects)
            && let Some(mut kin) = objects.kin(&found, cached)
        {
            // Several paths may lead to the same.
            for rest in [&mut kin.document, &mut kin.layout_object] {
                if let Some(Link::Stored(at)) = rest.as_ref().map(|rest| rest.link) {
                    let resting = self.resting.get(&at).copied().unwrap_or(0);
                    rest.take_if(|rest| rest.rested_on(resting));
                }
            }
            self.keep(Kept {
                path: found.path,
                number: None,
                kin,
                layout: None,
            });
        }
        let best = self.kept.iter().filter_map(like).max()?;
        let mut newest = self.kept.iter_mut().rev();
        let found = newest.find(|kept| like(kept) == Some(best))?;
        Some(found.kin().clone())
    }

    /// What the log has that is more alike than what is at hand; it is not looked at again.
    fn stored(
        &mut self,
        path: &str,
        best: Option<Likeness>,
        objects: &ObjectReader<'_>,
    ) -> Option<Recent> {
        let like = |recent: &Recent| likeness(&recent.path, path).filter(|l| Some(*l) > best);
        loop {
            let found = self.recent.iter().filter_map(like).max();
            let newest = |recent: &Recent| found.is_some() && like(recent) == found;
            let at = self.recent.iter().position(newest);
            let since = at.map_or(0, |at| self.looked - self.recent[at].looked);
            let enough = found == Some(Likeness::Name) || since >= COMMITS_BEHIND;
            if enough || !self.look_further(objects) {
                return Some(self.recent.remove(at?));
            }
        }
    }

    /// Looks at one more commit.
    fn look_further(&mut self, objects: &ObjectReader<'_>) -> bool {
        if self.looked >= RECENT_COMMITS {
            return false;
        }
        let catalog = objects.catalog;
        let below = self.last.unwrap_or(catalog.newest_seq().saturating_add(1));
        let row = catalog.commits_below(below, 1).ok();
        let Some(row) = row.and_then(|mut rows| rows.pop()) else {
            self.looked = RECENT_COMMITS;
            return false;
        };
        self.last = Some(row.seq);
        self.looked += 1;
        // What cannot be read is nothing to rest on.
        let record = objects.reader.commit(row.place());
        let count = record.map_or(0, |record| record.change_count);
        for number in 0..count.min(RECENT_CHANGES) {
            let Ok(located) = objects.change_at(row.seq, number) else {
                break;
            };
            if located.stored.change.content.is_some() {
                self.recent.push(Recent {
                    path: located.stored.change.path.clone(),
                    seq: row.seq,
                    looked: self.looked,
                    located,
                });
            }
        }
        true
    }

    /// Takes note of the first document of a path, in this commit of a batch, as it was compressed.
    pub fn note(&mut self, document: &Prepared, number: usize, kin: Option<&Kin>) {
        let source = document.stored_source().and_then(|s| s.guess.as_ref());
        let laid = source.and_then(|guess| match &guess.plan {
            SourcePlan::Laid(object) => Some(object),
            _ => None,
        });
        let of_kin = |object: &NewObject| {
            let guess = object.guess.as_ref();
            guess.is_some_and(|guess| matches!(guess.on, GuessBase::Kin(_)))
        };
        if let Some(kin) = kin {
            if laid.map(|object| object.id) != kin.layout_id {
                self.forget_layout(kin);
            }
            if laid.is_some_and(of_kin) {
                self.count(&kin.layout_object, |kin| &mut kin.layout_object);
            }
            if of_kin(&document.object) {
                self.count(&kin.document, |kin| &mut kin.document);
            }
        }
        let rest = Rest::of_made(&document.object);
        // Short ones all rest on the same, which stands alone; of longer ones the next rests on this one, or on
        // nothing where the row is long enough.
        let short = document.object.bytes.len() <= SHORT_OBJECT;
        let keeps = match of_kin(&document.object) {
            true => !short,
            false => rest.is_some() && document.object.bytes.len() >= MIN_LEN,
        };
        // What came before is not stored again, and stands elsewhere.
        if !self.brought.insert(document.object.id) || !keeps {
            return;
        }
        self.keep(Kept {
            path: document.path.clone(),
            number: Some(number),
            kin: Kin {
                document: rest,
                layout: None,
                layout_id: laid.map(|object| object.id),
                layout_object: laid.and_then(Rest::of_made),
            },
            layout: laid.map(|object| object.bytes.clone()),
        });
    }

    /// One more rests on this object.
    fn count(&mut self, used: &Option<Rest>, of: impl Fn(&mut Kin) -> &mut Option<Rest>) {
        let Some(used) = used else { return };
        if let Link::Stored(at) = used.link {
            *self.resting.entry(at).or_default() += 1;
        }
        for kept in &mut self.kept {
            of(&mut kept.kin).take_if(|rest| rest.link == used.link && rest.rested_on(1));
        }
    }

    /// Its layout did not make a source that is like it: each of them has another one.
    fn forget_layout(&mut self, kin: &Kin) {
        for kept in &mut self.kept {
            if kept.kin.layout_id == kin.layout_id {
                (kept.layout, kept.kin.layout) = (None, None);
            }
        }
    }

    fn keep(&mut self, new: Kept) {
        self.kept.push(new);
        let mut len: usize = self.kept.iter().map(Kept::len).sum();
        while self.kept.len() > MAX_KEPT || (len > MAX_KEPT_LEN && self.kept.len() > 1) {
            len -= self.kept.remove(0).len();
        }
    }
}

impl ObjectReader<'_> {
    /// What a document like that of this change may rest on.
    fn kin(&self, recent: &Recent, cached: Cached<'_>) -> Option<Kin> {
        let content: Named = recent.located.stored.change.content?;
        let document = self.locate(&recent.located, recent.seq, &content.object);
        let document = document.ok().and_then(|at| self.rest(at, cached));
        let (mut layout, mut layout_id, mut layout_object) = (None, None, None);
        if let SourceForm::LaidOut { layout: at, .. } = content.source {
            // Where it was stored anew, each of them has another one.
            if recent.located.stored.source_len == 0 {
                layout = self.layout(at).ok();
            }
            if let Ok((at, id)) = self.layout_object(at) {
                layout_id = Some(id);
                layout_object = self.rest(at, cached);
            }
        }
        let any = document.is_some() || layout.is_some() || layout_object.is_some();
        any.then_some(Kin {
            document,
            layout,
            layout_id,
            layout_object,
        })
    }

    /// The first object of a chain, or where that is a short one, what it rests on.
    fn rest(&self, at: ObjectAt, cached: Cached<'_>) -> Option<Rest> {
        let (base, k) = self.base_of(at).ok()?;
        let len = self.content_len(at).ok()?;
        if k != 0 || len > MAX_LEN as u64 {
            return None;
        }
        let at = base.filter(|_| len <= SHORT_OBJECT as u64).unwrap_or(at);
        let newest = self.catalog.newest_seq();
        if newest.saturating_sub(at.seq) >= MOST_COMMITS {
            return None;
        }
        let place = self.place(at).ok()?;
        // In a packed segment that is no length.
        let packed_len = match self.reader.is_packed(place.segment) {
            true => 0,
            false => usize::try_from(place.len).ok()?,
        };
        let content = self.checked_content(at, cached).ok()?;
        Rest::of(Link::Stored(at), content, packed_len)
    }
}

#[cfg(test)]
mod tests;
