//! How a JSON text was written: enough to render its exact bytes from its canonical form.
//!
//! A canonical form (see [`canon`](crate::canon)) keeps the values of a document and drops white space, escapes, the
//! spelling of numbers and the order of members. Nearly all of that belongs to the program that wrote the text, not
//! to the document: a [`Layout`] describes the writer in a few hundred bytes, and serves the next versions too.
//! `docs/layout.md` describes the encoding and the rendering.
//!
//! | file | subject |
//! | --- | --- |
//! | `spec` | what a layout says, as plain data |
//! | `encode` | the bytes of a layout |
//! | `tape` | the tokens of a text, and where each subtree ends |
//! | `collate` | orders of names that need no list |
//! | `ready` | a layout prepared for look-ups: names, member orders, prebuilt separators |
//! | `render` | canonical bytes in, source bytes out, or compared on the way |
//! | `walk` | the walk over a document in the order of its writer |
//! | `shapes` | the sets of member names of a document |
//! | `escape` | the spelling of strings |
//! | `number` | the spelling of numbers |
//! | `short` | comparing short texts |
//! | `infer` | from a source to its layout |
//! | `sample` | inference: large sources, from a part
//! | `space` | inference: white space, and which containers are flat |
//! | `letters` | inference: escapes |
//! | `figures` | inference: numbers |
//! | `members` | inference: the order of members |
//! | `merge` | many orders of names in one list |
//! | `differ` | inference: what the rules leave over |

mod collate;
mod differ;
mod encode;
mod escape;
mod figures;
mod infer;
mod letters;
mod members;
mod merge;
mod number;
mod ready;
mod render;
mod sample;
mod shapes;
mod short;
mod space;
mod spec;
mod tape;
mod walk;

use std::fmt;

use ready::Ready;
use render::Parting;
pub(crate) use sample::LARGE as LARGE_SOURCE;
use spec::Spec;

/// Why a layout cannot be read, or does not fit a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The bytes do not follow the encoding.
    #[error("malformed layout: {0}")]
    Malformed(&'static str),
    /// The encoding is of a later version than this one knows.
    #[error("layout encoding version {0} is not supported")]
    Version(u8),
    /// What should be the canonical form of a document is not, or is 4 GiB or larger.
    #[error("not the canonical form of a JSON document")]
    NotCanonical,
    /// An exception of the layout does not fit the document.
    #[error("the layout is not one of this document")]
    Mismatch,
    /// The rendering would be larger than 64 times the canonical form and 64 KiB.
    #[error("the rendering would be too large")]
    TooLarge,
}

/// How a JSON text was written.
///
/// Two layouts are equal if their encodings are. A layout holds tables for look-ups beside its description, so that
/// rendering needs no preparation; keep it rather than decode it again.
///
/// ```
/// use backstory::layout::Layout;
///
/// let source = b"{\n  \"b\": 1.0,\n  \"a\": []\n}\n";
/// let canonical = br#"{"a":[],"b":1}"#;
/// let layout = Layout::infer(source, canonical, false).ok_or("no layout")?;
/// assert!(layout.renders_to(canonical, false, source));
///
/// // The next version of the document needs no new layout.
/// assert!(layout.renders_to(br#"{"a":[7],"b":2}"#, false, b"{\n  \"b\": 2.0,\n  \"a\": [\n    7\n  ]\n}\n"));
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone)]
pub struct Layout {
    spec: Spec,
    ready: Ready,
}

impl Layout {
    fn new(spec: Spec) -> Layout {
        let ready = Ready::new(&spec);
        Layout { spec, ready }
    }

    /// A layout of `source`, whose canonical form is `canonical`; `None` if no layout within the limits renders it.
    ///
    /// `nan` is true if the canonical form's `{"$number":"NaN"}`, `{"$number":"Infinity"}` and
    /// `{"$number":"-Infinity"}` stand for bare literals of the source. The result has been checked by rendering.
    /// Where the document does not show a property of its writer, the commonest is assumed. Time is linear in the
    /// source, but for the sorting of member names. `None` is also the answer where exceptions would take more than
    /// 256 bytes and a sixteenth of the source, or all of the layout more than 4 KiB and a quarter of it.
    /// Of a source of 32 MiB or more a mebibyte is looked at, and another one where what that tells does not hold, a few
    /// times over; and `None` is also the answer where the check, the source and the canonical form would take more
    /// memory than 2.5 times the source.
    pub fn infer(source: &[u8], canonical: &[u8], nan: bool) -> Option<Layout> {
        match source.len() >= sample::LARGE {
            true => sample::infer_large(None, source, canonical, nan),
            false => infer::infer(None, source, canonical, nan),
        }
    }

    /// As [`infer`](Layout::infer), but keeps what `previous`, the layout of an earlier version, knows and `source`
    /// does not contradict, so that the layouts of a document converge.
    pub fn infer_from(
        previous: &Layout,
        source: &[u8],
        canonical: &[u8],
        nan: bool,
    ) -> Option<Layout> {
        match source.len() >= sample::LARGE {
            true => sample::infer_large(Some(previous), source, canonical, nan),
            false => infer::infer_from(previous, source, canonical, nan),
        }
    }

    /// The encoding: equal layouts have equal bytes, similar ones share long runs.
    pub fn encode(&self) -> Vec<u8> {
        encode::encode(&self.spec)
    }

    /// Reads what [`encode`](Layout::encode) gives. Memory is bounded by a small multiple of the input.
    ///
    /// # Errors
    /// [`LayoutError::Malformed`] for anything that `encode` does not give, [`LayoutError::Version`] for another
    /// version of the encoding.
    pub fn decode(bytes: &[u8]) -> Result<Layout, LayoutError> {
        encode::decode(bytes).map(Layout::new)
    }

    /// Appends the source to `out`. For `nan` see [`infer`](Layout::infer).
    ///
    /// # Errors
    /// [`LayoutError::NotCanonical`], [`LayoutError::Mismatch`] or [`LayoutError::TooLarge`]; `out` is then cut back
    /// to its former length.
    pub fn render(
        &self,
        canonical: &[u8],
        nan: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), LayoutError> {
        render::render(&self.spec, &self.ready, canonical, nan, out)
    }

    /// True where [`render`](Layout::render) gives `source`. Builds nothing and ends at the first difference.
    pub fn renders_to(&self, canonical: &[u8], nan: bool, source: &[u8]) -> bool {
        self.compare(canonical, nan, source, None).is_ok()
    }

    /// The same; but where `source` is large and that would take more memory than a large source may, the answer is
    /// no.
    pub(crate) fn affordably_renders_to(&self, canonical: &[u8], nan: bool, source: &[u8]) -> bool {
        let most = sample::most_tokens(source, canonical);
        self.compare(canonical, nan, source, most).is_ok()
    }

    fn compare(
        &self,
        canonical: &[u8],
        nan: bool,
        source: &[u8],
        most: Option<usize>,
    ) -> Result<(), Parting> {
        render::compare(&self.spec, &self.ready, canonical, nan, source, most)
    }
}

impl PartialEq for Layout {
    fn eq(&self, other: &Layout) -> bool {
        self.spec == other.spec
    }
}

impl Eq for Layout {}

impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.spec.fmt(f)
    }
}
