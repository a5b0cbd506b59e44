//! What the first version of a path rests on: the first version of a path much like it.
//!
//! Where every run has a file of its own, each of these has one version, and most of what is in it was in the file of
//! the run before. Such files are told by their names: the same name in another folder, or another name in the same
//! folder. So that damage to one object does not reach far, and loads stay short, only a document that stands alone is
//! rested on, and only by a few paths.

use std::sync::Arc;

use super::contents::{Content, Encoded, ObjectAt};
use super::engine::Fault;
use super::guess::{Link, Made};
use super::objects::ObjectReader;
use super::save::Prepared;
use super::sources::SourcePlan;
use super::transaction::{NewObject, Over};
use crate::commit::{Content as Named, SourceForm};
use crate::layout::Layout;
use crate::log::reader::LocatedChange;

/// So many paths may rest on a document of the same batch.
const MOST_RESTING: usize = 15;
/// A stored document is rested on by commits up to so many behind it.
const MOST_COMMITS: u64 = 16;
/// So many commits are looked through for a document to rest on …
const RECENT_COMMITS: usize = 8;
/// … or, where one in the same folder was found, so many more, for one of the same name …
const COMMITS_BEHIND: usize = 3;
/// … and so many changes of each.
const RECENT_CHANGES: u64 = 8;
/// So many documents of a batch are kept to be rested on, and so many bytes.
const MAX_KEPT: usize = 16;
const MAX_KEPT_LEN: usize = 16 << 20;
/// A longer document stands alone: it has enough in itself to be like.
const MAX_LEN: usize = 8 << 20;
/// A shorter one is not worth looking for another.
const MIN_LEN: usize = 64;

/// An object that stands alone, and may be rested on.
#[derive(Clone)]
pub(super) struct Rest {
    link: Link,
    content: Content,
    /// What its record takes.
    packed_len: usize,
}

impl Rest {
    /// The object, if it stands alone: nothing is rested on that rests on something itself.
    fn of(link: Link, content: Content, packed_len: usize) -> Option<Rest> {
        let fits = (1..=MAX_LEN).contains(&content.bytes.len());
        (fits && content.stands_alone()).then_some(Rest {
            link,
            content,
            packed_len,
        })
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
        // What is much alike takes about as much for each of its bytes; a fifth less needs no second look.
        let likely =
            content.len() as u64 * self.packed_len as u64 / self.content.bytes.len() as u64;
        let small = (likely * 4 / 5) as usize;
        let mut encoded = Encoded::over_at_most(content, &self.content, at, small)?;
        encoded.k = 0;
        Ok(encoded)
    }
}

/// What the first version of a path may rest on.
#[derive(Clone)]
pub(super) struct Kin {
    pub document: Option<Rest>,
    /// What its source was written by may have written the new one too.
    pub layout: Option<Arc<Layout>>,
    pub layout_object: Option<Rest>,
}

/// A document of a batch, or one that the log has, of which a batch has made use.
struct Kept {
    path: String,
    kin: Kin,
    /// How many more paths may rest on it.
    left: usize,
}

impl Kept {
    fn len(&self) -> usize {
        let document = self.kin.document.as_ref();
        document.map_or(0, |rest| rest.content.bytes.len())
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
    kept: Vec<Kept>,
    recent: Vec<Recent>,
    /// How many commits were looked through for `recent`, and the one that was last.
    looked: usize,
    last: Option<u64>,
}

/// What is at hand of the log.
pub(super) type Cached<'a> = &'a mut dyn FnMut(ObjectAt) -> Option<Content>;

impl Kindred {
    /// What the first document of a path, of this length, may rest on.
    pub fn find(
        &mut self,
        path: &str,
        len: usize,
        objects: &ObjectReader<'_>,
        cached: Cached<'_>,
    ) -> Option<Kin> {
        if !(MIN_LEN..=MAX_LEN).contains(&len) {
            return None;
        }
        let kept = |kept: &Kept| likeness(&kept.path, path);
        let best = self.kept.iter().filter_map(kept).max();
        if best < Some(Likeness::Name)
            && let Some(found) = self.stored(path, best, objects)
            && let Some(kin) = objects.kin(&found, cached)
        {
            self.keep(Kept {
                path: found.path,
                kin,
                left: MOST_RESTING,
            });
        }
        let best = self.kept.iter().filter_map(kept).max()?;
        let found = self.kept.iter().rev().find(|k| kept(k) == Some(best))?;
        Some(found.kin.clone())
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
            let at = self
                .recent
                .iter()
                .position(|r| found.is_some() && like(r) == found);
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
        let row = catalog
            .commits_below(below, 1)
            .ok()
            .and_then(|mut rows| rows.pop());
        let Some(row) = row else {
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

    /// Takes note of the first document of a path, as it was compressed.
    pub fn note(&mut self, document: &Prepared, kin: Option<&Kin>) {
        let Some(guess) = &document.object.guess else {
            return;
        };
        if guess.encoded.base().is_some() {
            // It rests on what was found for it.
            let used = kin.and_then(|kin| kin.document.as_ref());
            let same = |kept: &Kept| match (&kept.kin.document, used) {
                (Some(a), Some(b)) => a.link == b.link,
                _ => false,
            };
            if let Some(at) = self.kept.iter().position(same) {
                self.kept[at].left -= 1;
                if self.kept[at].left == 0 {
                    // The next one stands alone, and is what is rested on.
                    self.kept.remove(at);
                    self.recent.clear();
                    self.looked = RECENT_COMMITS;
                }
            }
            return;
        }
        let made = |object: &NewObject, encoded: &Encoded| {
            let content = Made::new(object, encoded, None).content;
            Rest::of(Link::Made(object.id), content, encoded.packed_len())
        };
        let Some(rest) = made(&document.object, &guess.encoded) else {
            return;
        };
        let source = document.stored_source().and_then(|s| s.guess.as_ref());
        let laid = source.and_then(|guess| match &guess.plan {
            SourcePlan::Laid(object) => Some(object),
            _ => None,
        });
        let layout = laid.and_then(|object| Layout::decode(&object.bytes).ok());
        let layout_object = laid.and_then(|object| {
            let encoded = &object.guess.as_ref()?.encoded;
            made(object, encoded)
        });
        self.keep(Kept {
            path: document.path.clone(),
            kin: Kin {
                document: Some(rest),
                layout: layout.map(Arc::new),
                layout_object,
            },
            left: MOST_RESTING,
        });
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
        let (mut layout, mut layout_object) = (None, None);
        if let SourceForm::LaidOut { layout: at, .. } = content.source {
            // Where it was stored anew, each of them has another one.
            if recent.located.stored.source_len == 0 {
                layout = self.layout(at).ok();
            }
            let object = self.layout_object(at).ok();
            layout_object = object.and_then(|(at, _)| self.rest(at, cached));
        }
        let any = document.is_some() || layout.is_some() || layout_object.is_some();
        any.then_some(Kin {
            document,
            layout,
            layout_object,
        })
    }

    /// What stands alone: this object, the first of its chain, or the one that it rests on.
    fn rest(&self, at: ObjectAt, cached: Cached<'_>) -> Option<Rest> {
        let (base, k) = self.base_of(at).ok()?;
        if k != 0 {
            return None;
        }
        let at = base.unwrap_or(at);
        let newest = self.catalog.newest_seq();
        if newest.saturating_sub(at.seq) >= MOST_COMMITS {
            return None;
        }
        let len = self.content_len(at).ok()?;
        if len > MAX_LEN as u64 {
            return None;
        }
        let packed_len = usize::try_from(self.place(at).ok()?.len).ok()?;
        let (content, _) = self.content(at, cached).ok()?;
        Rest::of(Link::Stored(at), content, packed_len)
    }
}
