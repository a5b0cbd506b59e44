//! What can be done before the writer's lock is had: a document is looked up and compressed for the newest state that
//! is known. Under the lock a guess counts only where what it rests on is still there.

use std::collections::HashMap;
use std::sync::Arc;

use super::contents::{Content, Encoded, ObjectAt};
use super::engine::{Engine, Fault};
use super::objects::ObjectReader;
use super::save::Prepared;
use super::sources::{SourceGuess, SourcePlan};
use super::transaction::{Guess, GuessBase, NewObject, Newest, Seen};
use crate::error::Error;
use crate::id::ObjectId;
use crate::layout::Layout;
use crate::log::delta;
use crate::log::format::KEYFRAME_EVERY;

/// Compresses a document against what is newest now.
pub(crate) fn guess(document: &mut Prepared, engine: &Engine) {
    // Another process may have gone on. Failing is for the lock to meet.
    let _ = engine.refresh();
    guess_as_is(document, engine);
}

/// The same, against what was newest when the log was last looked at.
fn guess_as_is(document: &mut Prepared, engine: &Engine) {
    let reading = engine.reading();
    let (path, nan, object) = (document.path.clone(), document.nan, document.object.clone());
    let own = document.own_source().cloned();
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
        let guess_of = |new: &NewObject, base: Option<ObjectAt>| -> Result<_, Fault> {
            if objects.find(&new.id)?.is_some() {
                return Ok(None);
            }
            let mut cached = |at| engine.lock_cache().get(at);
            Ok(Some(Guess {
                on: GuessBase::Before(base),
                reading,
                absent: head,
                encoded: Arc::new(objects.encode(&new.bytes, base, &mut cached)?),
            }))
        };
        let before = newest.as_ref().and_then(|newest| newest.change().content);
        // The layout of a large source takes much memory for a moment: first that, then what stays.
        let source = match &own {
            None => None,
            Some(source) => {
                let mut plan = objects.plan_source(source, &object, nan, before);
                let base = objects.base_of_source(&plan, newest.as_ref());
                if let Some(object) = plan.object_mut() {
                    object.guess = guess_of(object, base)?;
                }
                Some(SourceGuess { reading, plan })
            }
        };
        // What looks unchanged is that only where it can be given back.
        let loads = match (&newest, before) {
            (Some(newest), Some(content)) if content.object == object.id => {
                Some(objects.loads(newest, Some(&engine.cache))?)
            }
            _ => None,
        };
        let compressed = match before {
            Some(content) if content.object == object.id => None,
            _ => guess_of(&object, objects.base_of_document(newest.as_ref()))?,
        };
        let seen = Seen {
            seq: head,
            reading,
            newest,
            loads,
        };
        Ok((seen, compressed, source))
    });
    // A guess that fails is made again under the lock, where the error counts.
    if let Ok((seen, compressed, source)) = guessed {
        document.seen = Some(seen);
        document.object.guess = compressed;
        if let Some(own) = document.own_source() {
            own.guess = source;
        }
    }
}

/// What the documents of a batch will have made of each path, as far as that can be told before the lock is had.
#[derive(Default)]
pub(crate) struct Chains(HashMap<String, Chain>);

/// The newest document of a path, which the same batch brings.
struct Chain {
    id: ObjectId,
    content: Content,
    layout: Option<KnownLayout>,
    reading: u64,
}

/// What the newest source of a path was written by.
#[derive(Clone)]
struct KnownLayout {
    layout: Arc<Layout>,
    /// How a source is kept that it makes too.
    plan: SourcePlan,
}

impl Chains {
    /// Compresses the next document of a batch: against what is newest now where it is the first one of its path, else
    /// against the one in front of it.
    pub fn guess(&mut self, document: &mut Prepared, engine: &Engine) {
        let next = match self.0.remove(&document.path) {
            Some(chain) if chain.reading == engine.reading() => chain.next(document, engine),
            _ => {
                guess_as_is(document, engine);
                Chain::begin(document, engine)
            }
        };
        if let Some(next) = next {
            self.0.insert(document.path.clone(), next);
        }
    }
}

impl Chain {
    /// After the first document of a path. Where nothing was guessed the next document does not rest on it.
    fn begin(document: &mut Prepared, engine: &Engine) -> Option<Chain> {
        let guess = document.object.guess.as_ref()?;
        Some(Chain {
            id: document.object.id,
            content: Content {
                bytes: document.object.bytes.clone(),
                k: guess.encoded.k,
                load_len: guess.encoded.load_len,
            },
            reading: guess.reading,
            layout: KnownLayout::of(document, engine),
        })
    }

    fn next(mut self, document: &mut Prepared, engine: &Engine) -> Option<Chain> {
        let reading = self.reading;
        self.guess_source(document, engine);
        let new = &document.object;
        if new.id == self.id {
            return Some(self);
        }
        let (id, bytes) = (new.id, new.bytes.clone());
        let found = engine.ask_as_is(|catalog| {
            let objects = ObjectReader::new(engine, catalog);
            Ok((objects.find(&id)?.is_some(), catalog.newest_seq()))
        });
        let Ok((false, absent)) = found else {
            return None;
        };
        let k = self.content.k.saturating_add(1);
        if k >= KEYFRAME_EVERY {
            return None;
        }
        let (after, load_len);
        if delta::anchor_base(k, delta::anchor_every(self.content.bytes.len())).is_some() {
            // It rests on an anchor that may be far back: that is for the lock.
            (after, load_len) = (k, 2 * bytes.len() as u64);
        } else {
            let encoded = Encoded::over(&bytes, &self.content, ObjectAt::NOWHERE).ok()?;
            (after, load_len) = (encoded.k, encoded.load_len);
            document.object.guess = Some(Guess {
                on: GuessBase::Staged {
                    id: self.id,
                    k: self.content.k,
                },
                reading,
                absent,
                encoded: Arc::new(encoded),
            });
        }
        self.id = id;
        self.content = Content {
            bytes,
            k: after,
            load_len,
        };
        Some(self)
    }

    fn guess_source(&mut self, document: &mut Prepared, engine: &Engine) {
        let (nan, object) = (document.nan, document.object.clone());
        let Some(own) = document.own_source() else {
            self.layout = None;
            return;
        };
        if let Some(known) = &self.layout
            && known.layout.renders_to(&object.bytes, nan, &own.bytes)
        {
            own.guess = Some(SourceGuess {
                reading: self.reading,
                plan: known.plan.clone(),
            });
            return;
        }
        let previous = self.layout.as_ref().map(|known| &*known.layout);
        own.guess = Some(SourceGuess {
            reading: self.reading,
            plan: SourcePlan::new(own, &object, nan, previous),
        });
        self.layout = KnownLayout::of(document, engine);
    }
}

impl KnownLayout {
    /// What the source of a document is kept by, as guessed.
    fn of(document: &mut Prepared, engine: &Engine) -> Option<KnownLayout> {
        let plan = &document.own_source()?.guess.as_ref()?.plan;
        match plan {
            SourcePlan::Alike(at) => Some(KnownLayout {
                layout: engine.layouts.get(*at)?,
                plan: SourcePlan::Alike(*at),
            }),
            SourcePlan::Laid(object) => Some(KnownLayout {
                layout: Arc::new(Layout::decode(&object.bytes).ok()?),
                plan: SourcePlan::AlikeNew(object.id),
            }),
            SourcePlan::AlikeNew(_) | SourcePlan::Apart(_) => None,
        }
    }
}

impl Encoded {
    /// Compresses an object over the content of another, or alone where that is hardly larger.
    pub fn over(content: &[u8], base: &Content, at: ObjectAt) -> Result<Encoded, Fault> {
        let failed = |error: delta::FrameError| {
            Fault::Error(Error::io(
                "compress",
                std::io::Error::other(error.to_string()),
            ))
        };
        if !base.can_carry(content) {
            return Ok(Encoded::alone(
                content,
                delta::compress(content).map_err(failed)?,
            ));
        }
        let frame = delta::compress_delta(content, &base.bytes).map_err(failed)?;
        // Only a delta that is not small must be compared with what the object takes alone.
        if frame.len() > content.len() / 4 {
            let whole = delta::compress(content).map_err(failed)?;
            if frame.len() + frame.len() / 8 >= whole.len() {
                return Ok(Encoded::alone(content, whole));
            }
        }
        Ok(Encoded::delta(content, base, at, frame))
    }
}
