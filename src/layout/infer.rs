//! From a source and its canonical form to the layout.

use std::collections::HashMap;

use super::escape;
use super::spec::Spec;
use super::tape::{self, Kind, Token};
use super::{Layout, differ, figures, letters, members, space};

/// A layout may take this many bytes and a quarter of the source.
const MAX_LAYOUT: usize = 4096;

/// A layout that extends a former one may take this many bytes more than twice those of one of its own.
const MAX_GROWTH: usize = 256;

pub(super) fn infer(
    previous: Option<&Spec>,
    source: &[u8],
    canonical: &[u8],
    nan: bool,
) -> Option<Layout> {
    let empty = Spec::default();
    let document = Document::new(previous.unwrap_or(&empty), source, canonical, nan)?;
    let mut spec = Spec::default();
    let mut names = Names::new(previous, &document);
    space::derive(&document, previous, &mut spec);
    letters::derive(&document, previous, &mut spec.escapes);
    members::derive(&document, previous, &mut names, &mut spec);
    figures::derive(&document, previous, &mut names, &mut spec);
    space::derive_flips(&document, previous, &mut names, &mut spec);
    spec.names = names.table;
    let layout = differ::with_exceptions(&document, Layout::new(spec))?;
    let small = layout.encode().len() <= MAX_LAYOUT + source.len() / 4;
    (small && layout.renders_to(canonical, nan, source)).then_some(layout)
}

pub(super) fn infer_from(
    previous: &Layout,
    source: &[u8],
    canonical: &[u8],
    nan: bool,
) -> Option<Layout> {
    let fresh = infer(None, source, canonical, nan);
    let mut base = previous.spec.clone();
    base.exceptions.clear();
    let Some(extended) = infer(Some(&base), source, canonical, nan) else {
        return fresh;
    };
    match fresh {
        // What the former layout knew has become a burden: names that never come back, a writer that has changed.
        Some(fresh) if extended.encode().len() > 2 * fresh.encode().len() + MAX_GROWTH => {
            Some(fresh)
        }
        _ => Some(extended),
    }
}

/// No name: the value is outside every object.
pub(super) const NO_NAME: u32 = u32::MAX;

/// The order of the members of one object.
pub(super) struct Object {
    /// The object in the source.
    pub(super) token: u32,
    pub(super) set: u32,
    /// Index in [`Set::orders`].
    pub(super) order: u32,
}

/// A set of member names.
pub(super) struct Set {
    /// In canonical order.
    pub(super) names: Vec<u32>,
    /// The orders met, as positions in `names`, and how often.
    pub(super) orders: Vec<(Vec<u32>, u32)>,
}

/// Orders of a set that are compared with a new one; a set with more has no order worth finding.
const MAX_ORDERS: usize = 16;

/// A source, its canonical form, and which token is which.
pub(super) struct Document<'a> {
    pub(super) source: &'a [u8],
    pub(super) canonical: &'a [u8],
    pub(super) tokens: Vec<Token>,
    pub(super) tape: Vec<Token>,
    /// Of each source token, the canonical one.
    pub(super) twins: Vec<u32>,
    /// Of each source token that is a value, the name that rules its numbers and its containers.
    pub(super) ruler: Vec<u32>,
    /// Of each source token, the number of containers around it.
    pub(super) depth: Vec<u16>,
    /// Distinct names; those of the former layout come first, with the indexes they have there.
    pub(super) names: Vec<&'a [u8]>,
    /// The objects of two members or more.
    pub(super) objects: Vec<Object>,
    pub(super) sets: Vec<Set>,
}

impl<'a> Document<'a> {
    fn new(
        previous: &'a Spec,
        source: &'a [u8],
        canonical: &'a [u8],
        nan: bool,
    ) -> Option<Document<'a>> {
        let tokens = tape::source(source).ok()?;
        let mut tape = Vec::new();
        tape::canonical(canonical, nan, &mut tape, &mut Vec::new()).ok()?;
        if tokens.len() != tape.len() {
            return None;
        }
        let count = tokens.len();
        let mut document = Document {
            source,
            canonical,
            tokens,
            tape,
            twins: vec![0; count],
            ruler: vec![NO_NAME; count],
            depth: vec![0; count],
            names: previous.names.iter().map(Vec::as_slice).collect(),
            objects: Vec::new(),
            sets: Vec::new(),
        };
        document.pair()?;
        Some(document)
    }

    /// Pairs the tokens; `None` if the two texts are not of one document.
    fn pair(&mut self) -> Option<()> {
        let mut index: HashMap<&[u8], u32> = HashMap::new();
        for (id, name) in self.names.iter().enumerate() {
            index.insert(name, id as u32);
        }
        let mut sets: HashMap<Vec<u32>, u32> = HashMap::new();
        // By name: the object it was last met in, and its position there.
        let mut places: Vec<(u32, u32)> = vec![(u32::MAX, 0); self.names.len()];
        let (mut children, mut twins) = (Vec::new(), Vec::new());
        let mut respelled = Vec::new();
        for at in 0..self.tokens.len() as u32 {
            let token = *self.tokens.get(at as usize)?;
            let twin = *self.twins.get(at as usize)?;
            let twin_token = *self.tape.get(twin as usize)?;
            if token.kind != twin_token.kind {
                return None;
            }
            if !token.is_container() {
                continue;
            }
            list_children(&self.tokens, at, &mut children);
            list_children(&self.tape, twin, &mut twins);
            if children.len() != twins.len() {
                return None;
            }
            let depth = self.depth.get(at as usize)? + 1;
            if token.kind == Kind::Array {
                let ruler = *self.ruler.get(at as usize)?;
                for (&child, &twin) in children.iter().zip(&twins) {
                    *self.twins.get_mut(child as usize)? = twin;
                    *self.ruler.get_mut(child as usize)? = ruler;
                    *self.depth.get_mut(child as usize)? = depth;
                }
                continue;
            }
            let mut set = Vec::with_capacity(twins.len());
            for (position, &twin) in twins.iter().enumerate() {
                let name = self.tape.get(twin as usize)?.inside(self.canonical);
                let id = *index.entry(name).or_insert_with(|| {
                    self.names.push(name);
                    places.push((u32::MAX, 0));
                    self.names.len() as u32 - 1
                });
                *places.get_mut(id as usize)? = (at, position as u32);
                set.push(id);
            }
            let mut order = Vec::with_capacity(children.len());
            for &child in &children {
                let mut name = self.tokens.get(child as usize)?.inside(self.source);
                if memchr::memchr(b'\\', name).is_some() {
                    respelled.clear();
                    let mut at = 0;
                    while at < name.len() {
                        let (c, end) = escape::character(name, at);
                        escape::write_canonical(c, &mut respelled);
                        at = end;
                    }
                    name = &respelled;
                }
                let id = *index.get(name)?;
                let (object, position) = *places.get(id as usize)?;
                if object != at {
                    return None;
                }
                let twin = *twins.get(position as usize)?;
                *self.twins.get_mut(child as usize)? = twin;
                *self.twins.get_mut(child as usize + 1)? = twin + 1;
                *self.ruler.get_mut(child as usize + 1)? = id;
                *self.depth.get_mut(child as usize)? = depth;
                *self.depth.get_mut(child as usize + 1)? = depth;
                order.push(position);
            }
            if order.len() > 1 {
                let set = match sets.get(&set) {
                    Some(&set) => set,
                    None => {
                        let id = self.sets.len() as u32;
                        sets.insert(set.clone(), id);
                        self.sets.push(Set {
                            names: set,
                            orders: Vec::new(),
                        });
                        id
                    }
                };
                let orders = &mut self.sets.get_mut(set as usize)?.orders;
                let known = orders
                    .iter_mut()
                    .take(MAX_ORDERS)
                    .position(|(o, _)| *o == order);
                let order = known.unwrap_or_else(|| {
                    orders.push((order, 0));
                    orders.len() - 1
                });
                orders.get_mut(order)?.1 += 1;
                self.objects.push(Object {
                    token: at,
                    set,
                    order: order as u32,
                });
            }
        }
        Some(())
    }

    pub(super) fn name(&self, name: u32) -> &'a [u8] {
        self.names.get(name as usize).copied().unwrap_or_default()
    }

    /// The canonical token of a source token.
    pub(super) fn twin(&self, at: u32) -> Option<Token> {
        let twin = *self.twins.get(at as usize)?;
        self.tape.get(twin as usize).copied()
    }

    /// The source from `from` to before `to`.
    pub(super) fn between(&self, from: u32, to: u32) -> &'a [u8] {
        self.source
            .get(from as usize..to as usize)
            .unwrap_or_default()
    }

    /// The white space around the comma or colon between two tokens.
    pub(super) fn around(&self, from: u32, to: u32, separator: u8) -> (&'a [u8], &'a [u8]) {
        let text = self.between(from, to);
        let at = memchr::memchr(separator, text).unwrap_or(text.len());
        (
            text.get(..at).unwrap_or_default(),
            text.get(at + 1..).unwrap_or_default(),
        )
    }
}

/// The elements of an array, or the names of an object's members.
pub(super) fn list_children(tokens: &[Token], container: u32, children: &mut Vec<u32>) {
    children.clear();
    let Some(token) = tokens.get(container as usize) else {
        return;
    };
    let object = u32::from(token.kind == Kind::Object);
    let mut child = container + 1;
    while child < token.next {
        children.push(child);
        match tokens.get((child + object) as usize) {
            Some(value) => child = value.next,
            None => return,
        }
    }
}

/// The layout's table of names while it grows.
pub(super) struct Names {
    pub(super) table: Vec<Vec<u8>>,
    /// By the name's index in the document.
    ids: Vec<Option<u32>>,
}

impl Names {
    fn new(previous: Option<&Spec>, document: &Document) -> Names {
        let table = previous.map_or(Vec::new(), |spec| spec.names.clone());
        let mut ids: Vec<Option<u32>> = (0..table.len() as u32).map(Some).collect();
        ids.resize(document.names.len(), None);
        Names { table, ids }
    }

    /// The index in the table of a name of the document, which is added if it is new.
    pub(super) fn id(&mut self, document: &Document, name: u32) -> u32 {
        let next = self.table.len() as u32;
        match self.ids.get_mut(name as usize) {
            Some(Some(id)) => *id,
            Some(slot) => {
                *slot = Some(next);
                self.table.push(document.name(name).to_vec());
                next
            }
            None => next,
        }
    }
}
