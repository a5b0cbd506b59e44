//! The canonical form of a JSON document: RFC 8785 (JSON Canonicalization Scheme), except that no number ever
//! changes its decimal value.
//!
//! One pass over the input bytes writes canonical bytes; no tree of values is built. Spans that are canonical
//! already are copied as they are, objects whose members come in order cost nothing more, and all other objects
//! are permuted together in one last pass over the output. Time is linear in the input, plus the sorting of member
//! names; memory is the output once more, plus a few words for each member of an object that is still open or
//! was found out of order.
//!
//! | file | subject |
//! | --- | --- |
//! | `parse` | the pass: RFC 8259 grammar in, canonical bytes out |
//! | `scan` | finding the end of runs, eight bytes at a time |
//! | `string` | escapes: reading them, writing the canonical ones |
//! | `number` | the layout of numbers, and why no float is involved |
//! | `order` | the order of member names, and the final permutation |
//! | `render` | canonical bytes as text for people, and back to bare `NaN` |
//! | `error` | what is wrong, where, and what to do about it |
//! | `locate` | line, column and JSON Pointer of an offset |

mod error;
mod locate;
mod number;
mod order;
mod parse;
mod render;
mod scan;
mod string;

pub use error::{CanonError, CanonErrorKind};
pub use render::{Form, render, renders_to};
pub(crate) use scan::digits_end;

/// Deepest nesting accepted: a document may hold this many arrays and objects inside one another, its root included.
///
/// RFC 8259, section 9, leaves the limit to the implementation.
pub const MAX_DEPTH: usize = 1024;

/// What becomes of the literals `NaN`, `Infinity` and `-Infinity`, which RFC 8259 does not have but which Python
/// and others write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NanMode {
    /// They are an error, [`CanonErrorKind::NonFinite`].
    #[default]
    Reject,
    /// Each becomes an object: `{"$number":"NaN"}`, `{"$number":"Infinity"}` or `{"$number":"-Infinity"}`.
    ///
    /// [`render()`] with `untag` turns them back. A document that holds such a literal and also a genuine object of
    /// exactly that content is refused with [`CanonErrorKind::AmbiguousTag`].
    Tag,
}

/// What a successful canonicalization did beyond writing bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// At least one `NaN`, `Infinity` or `-Infinity` was turned into a `{"$number":…}` object.
    ///
    /// False for a document that merely contains genuine objects of that shape: those must not be untagged.
    pub tagged: bool,
}

/// Canonicalizes documents one after the other and reuses its working memory: after the first documents, a call
/// allocates only where `out` has to grow.
///
/// ```
/// use backstory::canon::{Canonicalizer, NanMode};
///
/// let mut canonicalizer = Canonicalizer::new();
/// let mut out = Vec::new();
/// canonicalizer.canonicalize(br#"{ "b": 1.50, "a": [] }"#, NanMode::Reject, &mut out)?;
/// assert_eq!(out, br#"{"a":[],"b":1.5}"#);
/// # Ok::<(), backstory::canon::CanonError>(())
/// ```
#[derive(Default, Debug)]
pub struct Canonicalizer {
    scratch: parse::Scratch,
}

impl Canonicalizer {
    /// A canonicalizer that holds no memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the canonical form of `input` to `out`.
    ///
    /// # Errors
    /// See [`CanonErrorKind`]. On error `out` is cut back to its former length. Invalid UTF-8 is looked for first,
    /// in the whole input; of other errors the first one met is reported, duplicate names at the end of their object.
    pub fn canonicalize(
        &mut self,
        input: &[u8],
        nan: NanMode,
        out: &mut Vec<u8>,
    ) -> Result<Outcome, CanonError> {
        let former = out.len();
        parse::document(&mut self.scratch, input, nan, out).map_err(|fault| {
            out.truncate(former);
            fault.locate(input)
        })
    }
}

/// The canonical form of `input`; `NaN` and the infinities are rejected. See [`Canonicalizer::canonicalize`].
///
/// # Errors
/// See [`CanonErrorKind`].
pub fn canonicalize(input: &[u8]) -> Result<Vec<u8>, CanonError> {
    canonicalize_with(input, NanMode::Reject).map(|(canonical, _)| canonical)
}

/// The canonical form of `input`, with a choice for `NaN` and the infinities. See [`Canonicalizer::canonicalize`].
///
/// # Errors
/// See [`CanonErrorKind`].
pub fn canonicalize_with(input: &[u8], nan: NanMode) -> Result<(Vec<u8>, Outcome), CanonError> {
    let mut out = Vec::new();
    let outcome = Canonicalizer::new().canonicalize(input, nan, &mut out)?;
    Ok((out, outcome))
}
