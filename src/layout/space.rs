//! Inference: white space, and which containers are flat.
//!
//! A container is spread if there is a line end among its own separators, and flat otherwise; each kind has one style
//! for either.

use std::collections::{HashMap, HashSet};

use super::infer::{Document, NO_NAME, Names, list_children};
use super::ready::Rules;

use super::short::equal;
use super::spec::{ARRAY, Flat, Gap, MAX_UNIT, OBJECT, Spec, Style};
use super::tape::{Kind, Token};
use super::walk::is_flat;

/// Texts that are told apart at one place; further ones are exceptions.
const MAX_CANDIDATES: usize = 16;

/// A gap as it stands in the source.
#[derive(Clone, Copy)]
struct Vote<'a> {
    text: &'a [u8],
    indented: bool,
}

/// Counts gaps and finds the most frequent one, the first of equals.
#[derive(Default)]
struct Votes<'a>(Vec<(Vote<'a>, u32)>);

impl<'a> Votes<'a> {
    fn add(&mut self, vote: Vote<'a>) {
        let same = |known: &Vote| known.indented == vote.indented && equal(known.text, vote.text);
        if let Some((_, count)) = self.0.iter_mut().find(|(known, _)| same(known)) {
            *count += 1;
        } else if self.0.len() < MAX_CANDIDATES {
            self.0.push((vote, 1));
        }
    }

    fn best(&self) -> Option<Gap> {
        let mut best: Option<&(Vote, u32)> = None;
        for candidate in &self.0 {
            if best.is_none_or(|(_, count)| candidate.1 > *count) {
                best = Some(candidate);
            }
        }
        best.map(|(vote, _)| Gap {
            text: vote.text.to_vec(),
            indented: vote.indented,
        })
    }
}

fn kind_of(token: &Token) -> usize {
    if token.kind == Kind::Object {
        OBJECT
    } else {
        ARRAY
    }
}

/// The white space of a container that is not empty, in the source.
pub(super) struct Gaps<'a> {
    pub(super) open: &'a [u8],
    pub(super) close: &'a [u8],
    /// Around each comma.
    pub(super) commas: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Gaps<'a> {
    /// `children` are those of `container`, and not none.
    pub(super) fn new(
        document: &Document<'a>,
        container: &Token,
        children: &[u32],
    ) -> Option<Gaps<'a>> {
        let object = u32::from(container.kind == Kind::Object);
        let token = |at: u32| document.tokens.get(at as usize);
        let first = token(*children.first()?)?;
        let last = token(*children.last()? + object)?;
        let mut commas = Vec::with_capacity(children.len());
        for pair in children.windows(2) {
            let value = token(pair[0] + object)?;
            commas.push(document.around(value.end, token(pair[1])?.start, b','));
        }
        Some(Gaps {
            open: document.between(container.start + 1, first.start),
            close: document.between(last.end, container.end - 1),
            commas,
        })
    }

    pub(super) fn spread(&self) -> bool {
        let line_end = |text: &[u8]| !text.is_empty() && text.contains(&b'\n');
        line_end(self.open)
            || line_end(self.close)
            || self.commas.iter().any(|(a, b)| line_end(a) || line_end(b))
    }
}

/// What comes behind the last line end.
fn indentation(text: &[u8]) -> Option<&[u8]> {
    let line_end = text.iter().rposition(|&b| b == b'\n')?;
    text.get(line_end + 1..)
}

pub(super) fn derive(document: &Document, previous: Option<&Spec>, spec: &mut Spec) {
    if let Some(root) = document.tokens.first() {
        spec.before = document.between(0, root.start).to_vec();
        spec.after = document
            .between(root.end, document.source.len() as u32)
            .to_vec();
    }
    let mut units = Votes::default();
    let mut children = Vec::new();
    for (at, token) in document.tokens.iter().enumerate() {
        if !token.is_container() {
            continue;
        }
        list_children(&document.tokens, at as u32, &mut children);
        if let Some(gaps) = Gaps::new(document, token, &children)
            && let (Some(inside), Some(outside)) = (indentation(gaps.open), indentation(gaps.close))
            && let Some(unit) = inside.strip_prefix(outside)
            && unit.len() <= MAX_UNIT
        {
            units.add(Vote {
                text: unit,
                indented: false,
            });
        }
    }
    spec.unit = match (units.best(), previous) {
        (Some(unit), _) => unit.text,
        (None, Some(former)) => former.unit.clone(),
        (None, None) => b"  ".to_vec(),
    };
    let seen = look(document, &spec.unit);
    spec.flat = flat(&seen, previous, &mut spec.flat_from);
    settle(&seen, previous, spec);
}

/// A container that is not empty.
struct Seen {
    kind: usize,
    flat: bool,
    token: Token,
    depth: u32,
}

#[derive(Default)]
struct Sights<'a> {
    containers: Vec<Seen>,
    /// By kind, flatness and place: open, before and after a comma, close.
    gaps: [[[Votes<'a>; 4]; 2]; 2],
    empty: [Votes<'a>; 2],
    colon: [Votes<'a>; 2],
}

fn look<'a>(document: &Document<'a>, unit: &[u8]) -> Sights<'a> {
    let mut sights = Sights::default();
    let mut children = Vec::new();
    // The level of what is inside, by container; of spread containers only the insides stand deeper.
    let mut levels: Vec<u32> = vec![0; document.tokens.len()];
    for (at, token) in document.tokens.iter().enumerate() {
        if !token.is_container() {
            continue;
        }
        let level = levels.get(at).copied().unwrap_or(0);
        list_children(&document.tokens, at as u32, &mut children);
        let kind = kind_of(token);
        let Some(gaps) = Gaps::new(document, token, &children) else {
            let text = document.between(token.start + 1, token.end - 1);
            sights.empty[kind].add(read_gap(text, unit, level));
            continue;
        };
        let spread = gaps.spread();
        let inner = level + u32::from(spread);
        for &child in &children {
            let value = child as usize + usize::from(kind == OBJECT);
            if let Some(level) = levels.get_mut(value) {
                *level = inner;
            }
            if kind == OBJECT
                && let (Some(name), Some(value)) =
                    (document.tokens.get(value - 1), document.tokens.get(value))
            {
                let (before, after) = document.around(name.end, value.start, b':');
                for (votes, text) in sights.colon.iter_mut().zip([before, after]) {
                    votes.add(Vote {
                        text,
                        indented: false,
                    });
                }
            }
        }
        let votes = &mut sights.gaps[kind][usize::from(!spread)];
        votes[0].add(read_gap(gaps.open, unit, inner));
        for (before, after) in &gaps.commas {
            votes[1].add(read_gap(before, unit, inner));
            votes[2].add(read_gap(after, unit, inner));
        }
        votes[3].add(read_gap(gaps.close, unit, level));
        if let Some(twin) = document.twin(at as u32) {
            sights.containers.push(Seen {
                kind,
                flat: !spread,
                token: twin,
                depth: u32::from(document.depth.get(at).copied().unwrap_or(0)),
            });
        }
    }
    sights
}

/// The gap that gives `text` at `level`: indented if a line end is followed by just so many units.
fn read_gap<'a>(text: &'a [u8], unit: &[u8], level: u32) -> Vote<'a> {
    let plain = Vote {
        text,
        indented: false,
    };
    let Some(tail) = indentation(text) else {
        return plain;
    };
    let length = unit.len() * level as usize;
    if unit.is_empty() || tail.len() < length {
        return plain;
    }
    let (head, indentation) = text.split_at(text.len() - length);
    if indentation.chunks(unit.len()).all(|part| equal(part, unit)) {
        Vote {
            text: head,
            indented: true,
        }
    } else {
        plain
    }
}

/// The rules of flatness with the least exceptions.
fn flat(sights: &Sights, previous: Option<&Spec>, from: &mut Option<u32>) -> [Flat; 2] {
    let any_spread = sights.containers.iter().any(|seen| !seen.flat);
    let wrong = |spec: &Spec, kind: usize| {
        sights
            .containers
            .iter()
            .filter(|seen| {
                seen.kind == kind
                    && is_flat(spec, seen.token, seen.depth, Rules::default()) != seen.flat
            })
            .count()
    };
    let with = |flat: Flat| Spec {
        flat: [flat; 2],
        ..Spec::default()
    };
    let preferred = if any_spread {
        [Flat::None, Flat::Leaves, Flat::Numbers, Flat::All]
    } else {
        [Flat::All, Flat::None, Flat::Leaves, Flat::Numbers]
    };
    let mut flat = [preferred[0]; 2];
    let mut errors = 0;
    for kind in [OBJECT, ARRAY] {
        let mut candidates = preferred.to_vec();
        if let Some(former) = previous {
            candidates.insert(0, former.flat[kind]);
        }
        let counted = candidates
            .into_iter()
            .map(|flat| (wrong(&with(flat), kind), flat))
            .min_by_key(|(wrong, _)| *wrong);
        if let Some((wrong, best)) = counted {
            flat[kind] = best;
            errors += wrong;
        }
    }
    if let Some(former) = previous
        && (wrong(former, OBJECT) + wrong(former, ARRAY)) <= errors
    {
        *from = former.flat_from;
        return former.flat;
    }
    if errors > 0
        && let Some((depth, depth_errors)) = best_depth(sights)
        && depth_errors < errors
    {
        *from = Some(depth);
        return [Flat::None; 2];
    }
    if sights.containers.is_empty() {
        flat = [Flat::None; 2];
    }
    flat
}

/// The depth from which on all is flat, with its number of exceptions.
fn best_depth(sights: &Sights) -> Option<(u32, usize)> {
    let deepest = sights.containers.iter().map(|seen| seen.depth).max()?;
    // By depth: spread containers and flat ones.
    let mut counts = vec![(0usize, 0usize); deepest as usize + 1];
    for seen in &sights.containers {
        if let Some(count) = counts.get_mut(seen.depth as usize) {
            count.0 += usize::from(!seen.flat);
            count.1 += usize::from(seen.flat);
        }
    }
    let mut errors: usize = counts.iter().map(|count| count.0).sum();
    let mut best = (0, errors);
    for (depth, (spread, flat)) in counts.into_iter().enumerate() {
        errors = errors + flat - spread;
        if errors < best.1 {
            best = (depth as u32 + 1, errors);
        }
    }
    Some(best)
}

/// Puts the separators into `spec`; what was not seen comes from the former layout, the other kind, or the defaults.
fn settle(sights: &Sights, previous: Option<&Spec>, spec: &mut Spec) {
    let any_spread = sights.containers.iter().any(|seen| !seen.flat);
    let comma = [OBJECT, ARRAY]
        .iter()
        .find_map(|&kind| sights.gaps[kind][1][2].best());
    let space = match (sights.colon[1].best(), &comma) {
        (Some(colon), _) => colon.text,
        (None, Some(comma)) => comma.text.clone(),
        (None, None) => b" ".to_vec(),
    };
    let compact = space.is_empty();
    for (index, colon) in spec.colon.iter_mut().enumerate() {
        *colon = match (sights.colon[index].best(), previous) {
            (Some(seen), _) => seen.text,
            (None, Some(former)) => former.colon[index].clone(),
            (None, None) if index == 0 || compact => Vec::new(),
            (None, None) => b" ".to_vec(),
        };
    }
    let line = |sights: &Sights| {
        let seen = |kind: usize| sights.gaps[kind][0][0].best();
        seen(OBJECT).or(seen(ARRAY)).unwrap_or(Gap {
            text: b"\n".to_vec(),
            indented: !spec.unit.is_empty(),
        })
    };
    let line = line(sights);
    for kind in [OBJECT, ARRAY] {
        for flat in [0, 1] {
            let gap = |place: usize| {
                if let Some(seen) = sights.gaps[kind][flat][place].best() {
                    return seen;
                }
                if let Some(former) = previous {
                    let former = &former.styles[kind][flat];
                    return former.gaps()[place].clone();
                }
                if let Some(other) = sights.gaps[1 - kind][flat][place].best() {
                    return other;
                }
                match (flat, place) {
                    (_, 1) => Gap::default(),
                    (0, _) => line.clone(),
                    // Separators of one line are those of the other places, but for lines that are spread elsewhere.
                    (_, 2) if !compact || any_spread => Gap {
                        text: b" ".to_vec(),
                        indented: false,
                    },
                    _ => Gap::default(),
                }
            };
            spec.styles[kind][flat] = Style {
                open: gap(0),
                before_comma: gap(1),
                after_comma: gap(2),
                close: gap(3),
            };
        }
        spec.empty[kind] = match (sights.empty[kind].best(), previous) {
            (Some(seen), _) => seen,
            (None, Some(former)) => former.empty[kind].clone(),
            (None, None) => sights.empty[1 - kind].best().unwrap_or_default(),
        };
    }
}

/// Finds the members whose containers mostly go against the rules of flatness.
pub(super) fn derive_flips(
    document: &Document,
    previous: Option<&Spec>,
    names: &mut Names,
    spec: &mut Spec,
) {
    // By name: containers that follow the rules, and those that do not.
    let mut counts: HashMap<u32, (u32, u32)> = HashMap::new();
    let mut children = Vec::new();
    for (at, token) in document.tokens.iter().enumerate() {
        let ruler = document.ruler.get(at).copied().unwrap_or(NO_NAME);
        if !token.is_container() || ruler == NO_NAME {
            continue;
        }
        list_children(&document.tokens, at as u32, &mut children);
        let (Some(gaps), Some(twin)) = (
            Gaps::new(document, token, &children),
            document.twin(at as u32),
        ) else {
            continue;
        };
        let depth = u32::from(document.depth.get(at).copied().unwrap_or(0));
        let count = counts.entry(ruler).or_default();
        if is_flat(spec, twin, depth, Rules::default()) == gaps.spread() {
            count.1 += 1;
        } else {
            count.0 += 1;
        }
    }
    // A name of the former layout has the same index in the document.
    let rules_hold = previous
        .is_some_and(|former| former.flat == spec.flat && former.flat_from == spec.flat_from);
    let formers: HashSet<u32> = match previous {
        Some(former) if rules_hold => former.flips.iter().copied().collect(),
        _ => HashSet::new(),
    };
    let mut flips: Vec<u32> = formers
        .iter()
        .filter(|name| counts.get(name).is_none_or(|(follow, flip)| flip >= follow))
        .copied()
        .collect();
    let mut found: Vec<u32> = counts
        .into_iter()
        .filter(|(name, (follow, flip))| flip > follow && !formers.contains(name))
        .map(|(name, _)| name)
        .collect();
    found.sort_unstable();
    flips.extend(found.into_iter().map(|name| names.id(document, name)));
    flips.sort_unstable();
    spec.flips = flips;
}
