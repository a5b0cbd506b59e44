//! Sources: the bytes as they were saved, stored as a layout that makes them of the canonical form.
//!
//! Whoever wrote a file mostly writes its next version the same way, so a source costs a reference to the layout of
//! the version before. Where no layout gives the exact bytes back they are stored as an object of their own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::engine::Fault;
use super::objects::{Content, Encoded, ObjectAt, ObjectReader, Packing};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::log::delta::{self, Packed};
use crate::log::format::*;
use crate::log::record::{LayoutPlace, ObjectRecord};

/// Layouts kept ready; when there are more, all are forgotten.
const MAX_LAYOUTS: usize = 8192;

/// Layouts that were read, by the record that has them.
#[derive(Debug, Default)]
pub(crate) struct LayoutCache(Mutex<HashMap<ObjectAt, Arc<Layout>>>);

impl LayoutCache {
    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectAt, Arc<Layout>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the layouts of commits from this number on.
    pub fn forget_from(&self, seq: u64) {
        self.lock().retain(|at, _| at.seq < seq);
    }
}

/// What a source is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SourceOf<'a> {
    /// The bytes as they were saved.
    pub bytes: &'a [u8],
    pub canonical: &'a [u8],
    /// Tagged numbers stand in the source as bare literals.
    pub nan: bool,
}

impl ObjectReader<'_> {
    /// Packs a source: by the layout of the path's previous source where that gives it back, by a new layout where
    /// there is one, else as an object of its own.
    pub fn encode_source(
        &self,
        source: SourceOf<'_>,
        before: Option<ObjectAt>,
        cached: &mut dyn FnMut(ObjectAt) -> Option<Content>,
    ) -> Result<Encoded, Fault> {
        let written = |packing| Encoded {
            packing,
            k: 0,
            load_len: source.bytes.len() as u64,
        };
        // A previous layout that cannot be read is none.
        let previous = before.and_then(|at| self.layout_of(at).ok().flatten());
        if let Some((at, layout)) = &previous
            && layout.renders_to(source.canonical, source.nan, source.bytes)
        {
            return Ok(written(Packing::WrittenAlike(*at)));
        }
        let layout = match &previous {
            Some((_, layout)) => {
                Layout::infer_from(layout, source.bytes, source.canonical, source.nan)
            }
            None => Layout::infer(source.bytes, source.canonical, source.nan),
        };
        if let Some(layout) = layout {
            let encoding = layout.encode();
            let packed = delta::compress(&encoding).map_err(|error| {
                Fault::Error(Error::io(
                    "compress",
                    std::io::Error::other(error.to_string()),
                ))
            })?;
            if encoding.len() as u64 <= MAX_LAYOUT_LEN {
                return Ok(written(Packing::Written(packed)));
            }
        }
        self.encode(source.bytes, before, cached)
    }

    /// The layout that a source was written by, and the record that has it; none where it was not.
    fn layout_of(&self, at: ObjectAt) -> Result<Option<(ObjectAt, Arc<Layout>)>, Fault> {
        let (place, body) = self.body(at)?;
        let record = ObjectRecord::decode(&body).map_err(|error| self.corrupt(place, error.0))?;
        let ObjectRecord::Written { layout, .. } = record else {
            return Ok(None);
        };
        let holder = match layout {
            LayoutPlace::Here(..) => at,
            LayoutPlace::At(reference) => self.earlier(at, reference, place)?,
        };
        Ok(Some((holder, self.layout_in(holder)?)))
    }

    /// The layout that stands in a record.
    fn layout_in(&self, at: ObjectAt) -> Result<Arc<Layout>, Fault> {
        if let Some(layout) = self.layouts.lock().get(&at) {
            return Ok(layout.clone());
        }
        let (place, body) = self.body(at)?;
        let record = ObjectRecord::decode(&body).map_err(|error| self.corrupt(place, error.0))?;
        let ObjectRecord::Written {
            layout: LayoutPlace::Here(packing, bytes),
            ..
        } = record
        else {
            return Err(self.corrupt(place, "a layout is not in the record that should have it"));
        };
        let unpacked;
        let encoding = match packing {
            LAYOUT_STORED => bytes,
            LAYOUT_ZSTD => {
                unpacked = delta::decompress(bytes, None, MAX_LAYOUT_LEN)
                    .map_err(|error| self.corrupt(place, &error.to_string()))?;
                &unpacked
            }
            _ => return Err(self.corrupt(place, "a layout is packed in an unknown way")),
        };
        let layout =
            Layout::decode(encoding).map_err(|error| self.corrupt(place, &error.to_string()))?;
        let layout = Arc::new(layout);
        let mut layouts = self.layouts.lock();
        if layouts.len() >= MAX_LAYOUTS {
            layouts.clear();
        }
        layouts.insert(at, layout.clone());
        Ok(layout)
    }

    /// The content of a source that was stored as a layout: `canonical` is the content of its document.
    pub fn write_source(
        &self,
        at: ObjectAt,
        canonical: &[u8],
        nan: bool,
    ) -> Result<Vec<u8>, Fault> {
        let (place, _) = self.body(at)?;
        let Some((_, layout)) = self.layout_of(at)? else {
            return Err(self.corrupt(place, "a source without a layout"));
        };
        let mut out = Vec::new();
        layout
            .render(canonical, nan, &mut out)
            .map_err(|error| self.corrupt(place, &error.to_string()))?;
        Ok(out)
    }
}

impl Packed {
    /// How a layout's encoding is packed in a record.
    pub fn as_layout(&self) -> LayoutPlace<'_> {
        match self {
            Packed::Stored(bytes) => LayoutPlace::Here(LAYOUT_STORED, bytes),
            Packed::Frame(bytes) => LayoutPlace::Here(LAYOUT_ZSTD, bytes),
        }
    }
}
