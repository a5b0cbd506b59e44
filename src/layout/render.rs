//! Canonical bytes in, source bytes out, or compared on the way.

use std::cell::Cell;

use super::LayoutError;
use super::collate::Collation;
use super::ready::Ready;
use super::shapes::{Planned, Shapes};
use super::short::equal;
use super::spec::{ARRAY, Flat, Spec};
use super::tape::{self, Portion, Token};
use super::walk::{Frame, Walk};

/// A canonical form of this many bytes or more is on the tape in portions …
const LONG: usize = 16 << 20;
/// … of so many tokens (a mebibyte), where nothing is addressed by index.
const PORTION: usize = 1 << 16;
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
    let result = lay_out(
        spec,
        ready,
        canonical,
        nan,
        portion(spec, canonical),
        &mut sink,
    );
    result.map_err(|stop| {
        out.truncate(former);
        match stop {
            Stop::NotCanonical => LayoutError::NotCanonical,
            Stop::TooLarge => LayoutError::TooLarge,
            Stop::Mismatch | Stop::Differs => LayoutError::Mismatch,
        }
    })
}

/// Where a rendering and a source part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parting {
    /// From this byte of the source on.
    At(usize),
    /// There is no rendering, or none that may be afforded.
    None,
}

/// Compares a rendering with a source. With `most`, there are never more tokens than that in memory.
pub(super) fn compare(
    spec: &Spec,
    ready: &Ready,
    canonical: &[u8],
    nan: bool,
    source: &[u8],
    most: Option<usize>,
) -> Result<(), Parting> {
    let mut portion = portion(spec, canonical);
    if let Some(most) = most {
        let portion = portion.get_or_insert(Portion {
            tokens: usize::MAX,
            most,
        });
        portion.most = most;
    }
    let mut sink = Compare { rest: source };
    let result = lay_out(spec, ready, canonical, nan, portion, &mut sink);
    match result {
        Ok(()) if sink.rest.is_empty() => Ok(()),
        Ok(()) | Err(Stop::Differs) => Err(Parting::At(source.len() - sink.rest.len())),
        Err(Stop::NotCanonical | Stop::Mismatch | Stop::TooLarge) => Err(Parting::None),
    }
}

/// How a canonical form is put on the tape: whole where there is nothing else said.
fn portion(spec: &Spec, canonical: &[u8]) -> Option<Portion> {
    (canonical.len() >= LONG && spec.exceptions.is_empty()).then_some(Portion {
        tokens: PORTION,
        most: usize::MAX,
    })
}

fn lay_out<S: Sink>(
    spec: &Spec,
    ready: &Ready,
    canonical: &[u8],
    nan: bool,
    portion: Option<Portion>,
    sink: &mut S,
) -> Result<(), Stop> {
    // A thread that is ending has none, and neither has a call inside a call.
    let mut scratch = SCRATCH
        .try_with(Cell::take)
        .ok()
        .flatten()
        .unwrap_or_default();
    let result = lay_out_in(&mut scratch, spec, ready, canonical, nan, portion, sink);
    let longest = scratch.tape.capacity().max(scratch.plan.capacity());
    if longest <= MAX_KEPT && scratch.shapes.is_small() {
        let _ = SCRATCH.try_with(|slot| slot.set(Some(scratch)));
    }
    result
}

/// Is it an array that can be opened without knowing what it holds?
fn can_be_left_out(spec: &Spec, canonical: &[u8]) -> bool {
    canonical.len() > 2
        && canonical.starts_with(b"[")
        && canonical.ends_with(b"]")
        && matches!(spec.flat[ARRAY], Flat::None | Flat::All)
        && spec.exceptions.is_empty()
}

fn lay_out_in<S: Sink>(
    scratch: &mut Scratch,
    spec: &Spec,
    ready: &Ready,
    canonical: &[u8],
    nan: bool,
    portion: Option<Portion>,
    sink: &mut S,
) -> Result<(), Stop> {
    sink.put(&spec.before)?;
    let (tape, open) = (&mut scratch.tape, &mut scratch.open);
    let scanned = match portion {
        None => tape::canonical(canonical, nan, tape, open),
        Some(_) if can_be_left_out(spec, canonical) => tape::left_out(canonical, tape),
        Some(portion) => {
            tape.clear();
            let span = tape::whole(canonical);
            let end = tape::values(canonical, span, nan, portion, tape, open);
            end.and_then(|end| tape::check_root(canonical, end, tape))
        }
    };
    scanned.map_err(|_| Stop::NotCanonical)?;
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
        tape: &mut scratch.tape,
        open: &mut scratch.open,
        nan,
        portion: portion.unwrap_or(tape::WHOLE),
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Layout;
    use super::*;
    use crate::canon::{self, NanMode};

    /// A value as its writer spells it, members in any order.
    fn value() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("1.0".to_owned()),
            Just("null".to_owned()),
            Just("NaN".to_owned()),
            Just("\"a,]}\\\"[\"".to_owned()),
            (0..100u32).prop_map(|n| n.to_string()),
            Just("[]".to_owned()),
            Just("{}".to_owned()),
        ];
        leaf.prop_recursive(12, 200, 12, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..12)
                    .prop_map(|values| format!("[\n{}\n]", values.join(",\n"))),
                prop::collection::hash_map("[a-z]{1,2}", inner, 1..12).prop_map(|members| {
                    let members: Vec<String> = members
                        .iter()
                        .map(|(name, value)| format!("\"{name}\": {value}"))
                        .collect();
                    format!("{{{}}}", members.join(", "))
                }),
            ]
        })
    }

    /// All that comes of a layout and a text, in portions or whole.
    fn rendered(
        layout: &Layout,
        canonical: &[u8],
        portion: Option<Portion>,
    ) -> Result<Vec<u8>, Stop> {
        let mut out = Vec::new();
        let mut sink = Write {
            out: &mut out,
            limit: 1 << 24,
        };
        lay_out(
            &layout.spec,
            &layout.ready,
            canonical,
            true,
            portion,
            &mut sink,
        )?;
        Ok(out)
    }

    proptest! {
        #[test]
        fn portions_give_what_the_whole_does(source in value(), other in value(), tokens in 0..20usize) {
            let canonical = |source: &str| {
                let (form, outcome) = canon::canonicalize_with(source.as_bytes(), NanMode::Tag).unwrap();
                (form, outcome.tagged)
            };
            let (form, tagged) = canonical(&source);
            let Some(layout) = Layout::infer(source.as_bytes(), &form, tagged) else {
                return Ok(());
            };
            let portion = Some(Portion { tokens, most: usize::MAX });
            // Exceptions go by index, and are for whole tapes only.
            let mut spec = layout.spec.clone();
            spec.exceptions.clear();
            let layout = Layout::new(spec);
            for (form, text) in [(&form, &source), (&canonical(&other).0, &other)] {
                let whole = rendered(&layout, form, None);
                prop_assert_eq!(rendered(&layout, form, portion), whole.clone());
                // What is no canonical form is refused, or makes something of no use, but nothing panics.
                let _ = rendered(&layout, text.as_bytes(), portion);
                let _ = rendered(&layout, &form[..form.len() / 2], portion);
                if let Ok(whole) = whole {
                    let parting = compare(&layout.spec, &layout.ready, form, true, &whole, Some(usize::MAX));
                    prop_assert_eq!(parting, Ok(()));
                }
            }
        }
    }

    #[test]
    fn a_long_array_takes_few_tokens_at_a_time() {
        let compact = br#"[{"a":1},2]"#;
        let layout = Layout::infer(compact, compact, false).unwrap();
        let rows = vec![r#"{"a":[1,2,3],"b":{"c":4}}"#; 1000].join(",");
        let members: Vec<String> = (0..1000).map(|n| format!("\"{n:04}\":[[1],2,3]")).collect();
        let texts = [
            (format!("[{rows}]"), 40),
            (format!("[[[{rows}],[{rows}]]]"), 60),
            // Its names stay.
            (format!("{{{}}}", members.join(",")), 6100),
            (format!("{{\"features\":[{rows}],\"type\":1}}"), 60),
        ];
        for (text, enough) in texts {
            let within = |most| {
                let portion = Some(Portion { tokens: 20, most });
                let rendered = rendered(&layout, text.as_bytes(), portion);
                rendered.map(|out| assert!(out == text.as_bytes()))
            };
            assert_eq!(within(enough), Ok(()), "{:.40}", text);
            assert_eq!(within(10), Err(Stop::NotCanonical), "{:.40}", text);
        }
    }

    #[test]
    fn what_is_more_or_less_than_one_value_is_refused() {
        let layout = Layout::infer(b"{}", b"{}", false).unwrap();
        for text in [
            "null,1,1",
            "{},",
            "5,1",
            "1,1,150,72{8]",
            "[1,]",
            "[1,2",
            "[[1],]",
            "",
        ] {
            for tokens in [0, 1, 5] {
                let portion = Some(Portion { tokens, most: 100 });
                let result = rendered(&layout, text.as_bytes(), portion);
                assert_eq!(result, Err(Stop::NotCanonical), "{text} {tokens}");
            }
        }
    }

    #[test]
    fn many_sets_of_names_are_not_all_remembered() {
        let layout = Layout::infer(br#"{"b":1,"a":2}"#, br#"{"a":2,"b":1}"#, false).unwrap();
        let rows: Vec<String> = (0..200_000).map(|n| format!("{{\"k{n}\":1}}")).collect();
        let text = format!("[{}]", rows.join(","));
        let portion = Some(Portion {
            tokens: 1000,
            most: 10_000,
        });
        let out = rendered(&layout, text.as_bytes(), portion).unwrap();
        assert!(out == text.as_bytes());
        let scratch = SCRATCH.take().unwrap();
        assert!((1..100_000).contains(&scratch.shapes.shapes.len()));
    }

    #[test]
    fn a_comparison_tells_where_it_ended() {
        let layout = Layout::infer(b"[1, 2]", b"[1,2]", false).unwrap();
        let parting = |source: &[u8], most| {
            let canonical = br#"[1,2,{"a":3}]"#;
            compare(&layout.spec, &layout.ready, canonical, false, source, most)
        };
        let source = br#"[1, 2, {"a": 3}]"#;
        assert_eq!(parting(source, None), Ok(()));
        assert_eq!(parting(source, Some(6)), Ok(()));
        assert_eq!(parting(source, Some(2)), Err(Parting::None));
        assert_eq!(parting(b"[1, 3", None), Err(Parting::At(4)));
        assert_eq!(parting(b"[1, 2, {\"a\": 3}] ", None), Err(Parting::At(16)));
    }
}
