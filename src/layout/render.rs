//! Canonical bytes in, source bytes out, or compared on the way.

use std::cell::Cell;

use super::LayoutError;
use super::collate::Collation;
use super::ready::Ready;
use super::shapes::{Planned, Shapes};
use super::short::equal;
use super::spec::Spec;
use super::tape::{self, Token};
use super::walk::{Frame, Walk};

/// A rendering may be this many times the size of the canonical form, and [`MAX_EXTRA`] bytes larger.
const MAX_FACTOR: usize = 64;
const MAX_EXTRA: usize = 64 * 1024;

/// Why rendering ends early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    NotCanonical,
    Mismatch,
    TooLarge,
    Differs,
}

/// Takes the rendering piece by piece.
pub(super) trait Sink {
    fn put(&mut self, piece: &[u8]) -> Result<(), Stop>;
}

struct Write<'a> {
    out: &'a mut Vec<u8>,
    limit: usize,
}

impl Sink for Write<'_> {
    #[inline(always)]
    fn put(&mut self, piece: &[u8]) -> Result<(), Stop> {
        if piece.len() > self.limit - self.out.len() {
            return Err(Stop::TooLarge);
        }
        self.out.extend_from_slice(piece);
        Ok(())
    }
}

struct Compare<'a> {
    rest: &'a [u8],
}

impl Sink for Compare<'_> {
    #[inline(always)]
    fn put(&mut self, piece: &[u8]) -> Result<(), Stop> {
        match self.rest.split_at_checked(piece.len()) {
            Some((head, tail)) if equal(head, piece) => {
                self.rest = tail;
                Ok(())
            }
            _ => Err(Stop::Differs),
        }
    }
}

/// Working memory, kept from call to call by each thread.
#[derive(Default)]
struct Scratch {
    tape: Vec<Token>,
    open: Vec<tape::Open>,
    frames: Vec<Frame>,
    plan: Vec<Planned>,
    members: Vec<u32>,
    shapes: Shapes,
    buffer: Vec<u8>,
}

/// Tokens for which the working memory is kept: those of a document of a few megabytes.
const MAX_KEPT: usize = 1 << 17;

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

pub(super) fn render(
    spec: &Spec,
    ready: &Ready,
    canonical: &[u8],
    nan: bool,
    out: &mut Vec<u8>,
) -> Result<(), LayoutError> {
    let former = out.len();
    out.reserve(canonical.len() + canonical.len() / 4);
    let limit = canonical
        .len()
        .saturating_mul(MAX_FACTOR)
        .saturating_add(MAX_EXTRA)
        .saturating_add(former);
    let mut sink = Write { out, limit };
    let result = lay_out(spec, ready, canonical, nan, &mut sink);
    result.map_err(|stop| {
        out.truncate(former);
        match stop {
            Stop::NotCanonical => LayoutError::NotCanonical,
            Stop::TooLarge => LayoutError::TooLarge,
            Stop::Mismatch | Stop::Differs => LayoutError::Mismatch,
        }
    })
}

pub(super) fn renders_to(
    spec: &Spec,
    ready: &Ready,
    canonical: &[u8],
    nan: bool,
    source: &[u8],
) -> bool {
    let mut sink = Compare { rest: source };
    lay_out(spec, ready, canonical, nan, &mut sink).is_ok() && sink.rest.is_empty()
}

fn lay_out<S: Sink>(
    spec: &Spec,
    ready: &Ready,
    canonical: &[u8],
    nan: bool,
    sink: &mut S,
) -> Result<(), Stop> {
    // A thread that is ending has none, and neither has a call inside a call.
    let mut scratch = SCRATCH
        .try_with(Cell::take)
        .ok()
        .flatten()
        .unwrap_or_default();
    let result = lay_out_in(&mut scratch, spec, ready, canonical, nan, sink);
    if scratch.tape.capacity() <= MAX_KEPT {
        let _ = SCRATCH.try_with(|slot| slot.set(Some(scratch)));
    }
    result
}

fn lay_out_in<S: Sink>(
    scratch: &mut Scratch,
    spec: &Spec,
    ready: &Ready,
    canonical: &[u8],
    nan: bool,
    sink: &mut S,
) -> Result<(), Stop> {
    sink.put(&spec.before)?;
    tape::canonical(canonical, nan, &mut scratch.tape, &mut scratch.open)
        .map_err(|_| Stop::NotCanonical)?;
    for e in &spec.exceptions {
        match scratch.tape.get_mut(e.token as usize) {
            Some(token) => token.marks |= 1 << e.what.kind(),
            None => return Err(Stop::Mismatch),
        }
    }
    let mut walk = Walk {
        spec,
        ready,
        text: canonical,
        tape: &scratch.tape,
        sink,
        frames: &mut scratch.frames,
        plan: &mut scratch.plan,
        members: &mut scratch.members,
        shapes: &mut scratch.shapes,
        buffer: &mut scratch.buffer,
        plain: spec.names.is_empty() && spec.collation == Collation::Canonical,
    };
    walk.frames.clear();
    walk.plan.clear();
    walk.shapes.clear();
    walk.run()?;
    sink.put(&spec.after)
}
