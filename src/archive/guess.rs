//! What can be done before the writer's lock is had: a document is looked up and compressed for the newest state that
//! is known. Under the lock a guess counts only where what it rests on is still there.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::beside::beside;
use super::contents::{Content, Encoded, ObjectAt};
use super::engine::{Engine, Fault};
use super::kin::{Kindred, Rest};
use super::objects::{ObjectReader, doubt};
use super::save::Prepared;
use super::sources::{NewSource, SourceGuess, SourcePlan};
use super::transaction::{Guess, GuessBase, NewObject, Newest, Over, Seen};
use crate::error::Error;
use crate::id::ObjectId;
use crate::layout::Layout;
use crate::log::delta;
use crate::log::format::KEYFRAME_EVERY;

/// Two things are done at once from so many cores on …
pub(crate) const FREE_CORES: usize = 2;
/// … and from so many where the caller adds to a batch meanwhile and other threads have other paths.
pub(crate) const BUSY_CORES: usize = 4;

/// Compresses a document against what is newest now.
pub(crate) fn guess(document: &mut Prepared, engine: &Engine) {
    // Another process may have gone on. Failing is for the lock to meet.
    let _ = engine.refresh();
    let _ = guess_as_is(document, 0, engine, FREE_CORES, &mut Kindred::default());
}

/// The same, against what was newest when the log was last looked at. Where the log has the document, the answer says
/// where. From `cores` on two of them are used; `kindred` is what the first version of a path may rest on, `number` that
/// of the document's commit in the batch.
fn guess_as_is(
    document: &mut Prepared,
    number: usize,
    engine: &Engine,
    cores: usize,
    kindred: &mut Kindred,
) -> Option<ObjectAt> {
    let reading = engine.reading();
    let (path, nan, object) = (document.path.clone(), document.nan, document.object.clone());
    let own = document.own_source().cloned();
    kindred.of_reading(reading);
    let kindred = RefCell::new(kindred);
    let guessed = engine.ask_as_is(|catalog| {
        let objects = ObjectReader::new(engine, catalog);
        let head = catalog.newest_seq();
        let newest = match catalog.newest(&path)? {
            None => None,
            Some(row) => Some(Newest {
                located: objects.change(&row)?,
                row,
            }),
        };
        let kin = match newest {
            None => {
                let mut cached = |at| engine.lock_cache().get(at);
                let len = object.bytes.len();
                let mut kindred = kindred.borrow_mut();
                kindred.find((&path, number), len, &objects, &mut cached)
            }
            Some(_) => None,
        };
        let guess_of = |new: &NewObject, base, rest: Option<&Rest>| -> Result<_, Fault> {
            if let Some(at) = objects.find(&new.id)? {
                return Ok((None, Some(at)));
            }
            let mut cached = |at| engine.lock_cache().get(at);
            let encoded = match rest {
                Some(rest) => rest.encode(&new.bytes)?,
                None => objects.encode(&new.bytes, base, &mut cached)?,
            };
            let on = match rest {
                Some(rest) if encoded.base().is_some() => GuessBase::Kin(rest.over()),
                _ => GuessBase::Before(base),
            };
            let guess = Guess {
                on,
                reading,
                absent: head,
                encoded: Arc::new(encoded),
            };
            Ok((Some(guess), None))
        };
        let rests = kin.as_ref().map_or((None, None), |kin| {
            (kin.document.as_ref(), kin.layout_object.as_ref())
        });
        let before = newest.as_ref().and_then(|newest| newest.change().content);
        let base = objects.base_of_document(newest.as_ref());
        // The layout of a large source takes much memory for a moment: first that, then what stays.
        let (source, document) = beside(
            cores,
            own.as_ref().map_or(0, |source| source.bytes.len()),
            || {
                let Some(source) = &own else {
                    return Ok(None);
                };
                let like = kin.as_ref().and_then(|kin| kin.layout.as_deref());
                let mut plan = match like {
                    Some(layout) => SourcePlan::like(source, &object, nan, layout),
                    None => objects.plan_source(source, &object, nan, before),
                };
                let base = objects.base_of_source(&plan, newest.as_ref());
                let laid = matches!(plan, SourcePlan::Laid(_));
                // What another path's source was written by is in the log, or will be.
                let known = kin.as_ref().and_then(|kin| kin.layout_id);
                if let Some(object) = plan.object_mut()
                    && Some(object.id) != known
                {
                    (object.guess, _) = guess_of(object, base, rests.1.filter(|_| laid))?;
                }
                Ok::<_, Fault>(Some(SourceGuess { reading, plan }))
            },
            || match before {
                Some(content) if content.object == object.id => Ok((None, base)),
                _ => guess_of(&object, base, rests.0),
            },
        );
        let (source, (compressed, stored)) = (source?, document?);
        // What looks unchanged is that only where it can be given back.
        let loads = match (&newest, before) {
            (Some(newest), Some(content)) if content.object == object.id => {
                Some(objects.loads(newest, Some(&engine.cache))?)
            }
            _ => None,
        };
        let seen = Seen {
            seq: head,
            reading,
            newest,
            loads,
        };
        Ok((seen, compressed, stored, source, kin))
    });
    // A guess that fails is made again under the lock, where the error counts.
    let (seen, compressed, stored, source, kin) = guessed.ok()?;
    let first = seen.newest.is_none();
    document.seen = Some(seen);
    document.object.guess = compressed;
    if let Some(own) = document.own_source() {
        own.guess = source;
    }
    if first {
        kindred.borrow_mut().note(document, number, kin.as_ref());
    }
    stored
}

/// What the documents of a batch will have made of each path, as far as that can be told before the lock is had.
pub(crate) struct Chains {
    chains: HashMap<String, Chain>,
    kindred: Kindred,
    /// From how many cores on two things are done at once.
    cores: usize,
}

/// A path where a batch has come to.
struct Chain {
    /// The newest object, and where it is.
    id: ObjectId,
    newest: Link,
    /// The objects of the path that the batch brings.
    made: HashMap<ObjectId, Made>,
    layout: Option<KnownLayout>,
    reading: u64,
}

/// An object of a chain.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Link {
    /// The log has it.
    Stored(ObjectAt),
    /// The batch brings it.
    Made(ObjectId),
}

/// An object that a batch brings, and what it rests on.
pub(super) struct Made {
    pub content: Content,
    rests_on: Option<Link>,
}

impl Made {
    pub fn new(object: &NewObject, encoded: &Encoded, rests_on: Option<Link>) -> Made {
        let content = Content {
            bytes: object.bytes.clone(),
            k: encoded.k,
            load_len: encoded.load_len,
        };
        Made { content, rests_on }
    }
}

/// Where a chain goes on, and where that is an object to be written, how, and what it rests on.
type Followed = (Link, Option<(Guess, Option<Link>)>);

/// What the newest source of a path was written by.
struct KnownLayout {
    /// How that source is kept.
    plan: SourcePlan,
    /// Read when the next source comes.
    layout: OnceLock<Option<Arc<Layout>>>,
}

impl Chains {
    pub fn new(cores: usize) -> Chains {
        Chains {
            chains: HashMap::new(),
            kindred: Kindred::default(),
            cores,
        }
    }

    /// Compresses the next document of a batch: against what is newest now where it is the first one of its path, else
    /// against the one in front of it. `number` is that of its commit in the batch.
    pub fn guess(&mut self, document: &mut Prepared, number: usize, engine: &Engine) {
        let cores = self.cores;
        let next = match self.chains.remove(&document.path) {
            Some(chain) if chain.reading == engine.reading() => chain.next(document, engine, cores),
            _ => {
                let stored = guess_as_is(document, number, engine, cores, &mut self.kindred);
                Chain::begin(document, stored)
            }
        };
        if let Some(next) = next {
            self.chains.insert(document.path.clone(), next);
        }
    }
}

impl Chain {
    /// After the first document of a path, which the log has at `stored`, or is to be written as guessed.
    fn begin(document: &mut Prepared, stored: Option<ObjectAt>) -> Option<Chain> {
        let reading = document.seen.as_ref()?.reading;
        let layout = KnownLayout::of(document);
        let object = &document.object;
        let mut made = HashMap::new();
        let newest = match (stored, &object.guess) {
            (Some(at), _) => Link::Stored(at),
            (None, Some(guess)) => {
                // The first of a chain may rest on another path's: nobody goes there for an anchor.
                let base = guess.encoded.base().filter(|_| guess.encoded.k > 0);
                let rests_on = base.map(Link::Stored);
                made.insert(object.id, Made::new(object, &guess.encoded, rests_on));
                Link::Made(object.id)
            }
            (None, None) => return None,
        };
        Some(Chain {
            id: object.id,
            newest,
            made,
            layout,
            reading,
        })
    }

    /// None where the chain cannot be followed any more.
    fn next(mut self, document: &mut Prepared, engine: &Engine, cores: usize) -> Option<Chain> {
        let (nan, new) = (document.nan, document.object.clone());
        let own = document.own_source().cloned();
        let (plan, followed) = beside(
            cores,
            own.as_ref().map_or(0, |source| source.bytes.len()),
            || {
                let own = own.as_ref()?;
                Some(self.plan_source(own, &new, nan, engine))
            },
            || self.follow(&new, engine),
        );
        match (plan, document.own_source()) {
            (Some((plan, known)), Some(own)) => {
                own.guess = Some(SourceGuess {
                    reading: self.reading,
                    plan,
                });
                if !known {
                    self.layout = KnownLayout::of(document);
                }
            }
            _ => self.layout = None,
        }
        let (newest, guess) = followed?;
        (self.id, self.newest) = (new.id, newest);
        if let Some((guess, rests_on)) = guess {
            self.made
                .insert(new.id, Made::new(&new, &guess.encoded, rests_on));
            document.object.guess = Some(guess);
        }
        Some(self)
    }

    /// The chain with this object at its end.
    fn follow(&self, new: &NewObject, engine: &Engine) -> Option<Followed> {
        if new.id == self.id {
            return Some((self.newest, None));
        }
        if self.made.contains_key(&new.id) {
            return Some((Link::Made(new.id), None));
        }
        let reading = self.reading;
        let followed = engine.ask_as_is(|catalog| {
            let objects = ObjectReader::new(engine, catalog);
            if let Some(at) = objects.find(&new.id)? {
                return Ok((Link::Stored(at), None));
            }
            let (on, encoded, rests_on) = self.encode(&new.bytes, &objects, engine)?;
            let guess = Guess {
                on,
                reading,
                absent: catalog.newest_seq(),
                encoded: Arc::new(encoded),
            };
            Ok((Link::Made(new.id), Some((guess, rests_on))))
        });
        followed.ok()
    }

    /// Compresses what comes behind the newest object; what that is a guess on, and what the new object rests on.
    fn encode(
        &self,
        new: &[u8],
        objects: &ObjectReader<'_>,
        engine: &Engine,
    ) -> Result<(GuessBase, Encoded, Option<Link>), Fault> {
        let mut cached = |at| engine.lock_cache().get(at);
        let behind = match self.newest {
            Link::Made(id) => id,
            Link::Stored(at) => {
                let encoded = objects.encode(new, Some(at), &mut cached)?;
                let rests_on = encoded.base().map(Link::Stored);
                return Ok((GuessBase::Before(Some(at)), encoded, rests_on));
            }
        };
        let end = || doubt("a chain of a batch without its end".to_owned());
        let before = &self.made.get(&behind).ok_or_else(end)?.content;
        let k = before.k.saturating_add(1);
        let every = delta::anchor_every(before.bytes.len());
        let base = match delta::anchor_base(k, every) {
            _ if k >= KEYFRAME_EVERY => None,
            None => Some((self.newest, before.clone())),
            // Where the anchor cannot be read, or rests on another path's, the new object stands alone.
            Some(target) => self.anchor(target, objects).and_then(|anchor| {
                let content = match anchor {
                    Link::Made(id) => self.made.get(&id)?.content.clone(),
                    Link::Stored(at) => objects.checked_content(at, &mut cached).ok()?,
                };
                // A path that has come so far stands on its own.
                let kin = target == 0
                    && match anchor {
                        Link::Made(_) => !content.stands_alone(),
                        Link::Stored(at) => objects.base_of(at).ok()?.0.is_some(),
                    };
                (!kin).then_some((anchor, content))
            }),
        };
        let (mut encoded, over) = match &base {
            None => (Encoded::whole(new)?, Over::Nothing),
            Some((Link::Made(id), content)) => {
                let over = Over::Staged {
                    id: *id,
                    place: content.place(),
                };
                (Encoded::over(new, content, ObjectAt::NOWHERE)?, over)
            }
            Some((Link::Stored(at), content)) => (Encoded::over(new, content, *at)?, Over::Stored),
        };
        if encoded.k > 0 {
            encoded.k = k;
        }
        let rests_on = base
            .map(|(link, _)| link)
            .filter(|_| encoded.base().is_some());
        let on = GuessBase::Staged {
            id: behind,
            place: before.place(),
            over,
        };
        Ok((on, encoded, rests_on))
    }

    /// The anchor numbered `target` on the way from the newest object, which the batch brings, to its keyframe.
    fn anchor(&self, target: u64, objects: &ObjectReader<'_>) -> Option<Link> {
        let mut at = self.newest;
        loop {
            let id = match at {
                Link::Made(id) => id,
                Link::Stored(at) => return objects.anchor(at, target).ok()?.map(Link::Stored),
            };
            let made = self.made.get(&id)?;
            match made.content.k.cmp(&target) {
                Ordering::Equal => return Some(at),
                Ordering::Greater => at = made.rests_on?,
                Ordering::Less => return None,
            }
        }
    }

    /// How a source is kept, and whether the layout of the one before it makes it.
    fn plan_source(
        &self,
        own: &NewSource,
        object: &NewObject,
        nan: bool,
        engine: &Engine,
    ) -> (SourcePlan, bool) {
        let known = self.layout.as_ref();
        let known = known.and_then(|known| Some((known.layout(engine)?, known.of_the_next())));
        match known {
            Some((layout, plan)) if layout.renders_to(&object.bytes, nan, &own.bytes) => {
                (plan, true)
            }
            known => {
                let previous = known.map(|(layout, _)| layout);
                (SourcePlan::new(own, object, nan, previous), false)
            }
        }
    }
}

impl KnownLayout {
    /// What the source of a document is kept by, as guessed; none where that is no layout.
    fn of(document: &mut Prepared) -> Option<KnownLayout> {
        match &document.own_source()?.guess.as_ref()?.plan {
            plan @ (SourcePlan::Alike(_) | SourcePlan::Laid(_)) => Some(KnownLayout {
                plan: plan.clone(),
                layout: OnceLock::new(),
            }),
            SourcePlan::AlikeNew(_) | SourcePlan::Apart(_) => None,
        }
    }

    fn layout(&self, engine: &Engine) -> Option<&Layout> {
        let layout = self.layout.get_or_init(|| match &self.plan {
            SourcePlan::Alike(at) => engine.layouts.get(*at),
            SourcePlan::Laid(object) => Layout::decode(&object.bytes).ok().map(Arc::new),
            SourcePlan::AlikeNew(_) | SourcePlan::Apart(_) => None,
        });
        layout.as_deref()
    }

    /// How a source is kept that it makes too.
    fn of_the_next(&self) -> SourcePlan {
        match &self.plan {
            SourcePlan::Laid(object) => SourcePlan::AlikeNew(object.id),
            plan => plan.clone(),
        }
    }
}

impl Encoded {
    /// Compresses an object that is to stand alone.
    pub fn whole(content: &[u8]) -> Result<Encoded, Fault> {
        let packed = delta::compress(content).map_err(not_compressed)?;
        Ok(Encoded::alone(content, packed))
    }

    /// Compresses an object over the content of another, or alone where that is hardly larger.
    pub fn over(content: &[u8], base: &Content, at: ObjectAt) -> Result<Encoded, Fault> {
        // Only a delta that is not small must be compared with what the object takes alone.
        Encoded::over_at_most(content, base, at, content.len() / 4)
    }

    /// The same, where a delta of at most `small` bytes is known to be smaller than what the object takes alone.
    pub fn over_at_most(
        content: &[u8],
        base: &Content,
        at: ObjectAt,
        small: usize,
    ) -> Result<Encoded, Fault> {
        if !base.can_carry(content) {
            return Encoded::whole(content);
        }
        let frame = delta::compress_delta(content, &base.bytes).map_err(not_compressed)?;
        if frame.len() > small {
            let whole = delta::compress(content).map_err(not_compressed)?;
            if frame.len() + frame.len() / 8 >= whole.len() {
                return Ok(Encoded::alone(content, whole));
            }
        }
        Ok(Encoded::delta(content, base, at, frame))
    }
}

fn not_compressed(error: delta::FrameError) -> Fault {
    Fault::Error(Error::io(
        "compress",
        std::io::Error::other(error.to_string()),
    ))
}
