//! Inference: what the rules of a layout leave over becomes exceptions.

use super::Layout;
use super::infer::{Document, Object, list_children};
use super::number::spelled;
use super::ready::{Line, Rules};

use super::short::equal;
use super::space::Gaps;
use super::spec::{ARRAY, Exception, OBJECT, What};
use super::tape::{Kind, Token};
use super::walk::is_flat;

/// Exceptions may take this many bytes, and a sixteenth of the source.
const MAX_EXCEPTIONS: usize = 256;

/// Bytes an exception takes beside its text.
const HEAD: usize = 3;

struct Differ<'a> {
    document: &'a Document<'a>,
    layout: &'a Layout,
    exceptions: Vec<Exception>,
    /// Bytes left.
    budget: usize,
    /// By name of the document.
    known: Vec<Option<u32>>,
}

/// `layout` with the exceptions that make it fit; `None` if they would take too much.
pub(super) fn with_exceptions(document: &Document, layout: Layout) -> Option<Layout> {
    let known = document.names.iter().map(|name| {
        let hash = layout.ready.hash(name);
        layout.ready.find(name, hash)
    });
    let mut differ = Differ {
        document,
        layout: &layout,
        exceptions: Vec::new(),
        budget: MAX_EXCEPTIONS + document.source.len() / 16,
        known: known.collect(),
    };
    differ.orders()?;
    differ.tokens()?;
    let mut exceptions = differ.exceptions;
    if exceptions.is_empty() {
        return Some(layout);
    }
    exceptions.sort_unstable_by_key(|e| (e.token, e.what.kind()));
    let mut spec = layout.spec;
    spec.exceptions = exceptions;
    Some(Layout {
        spec,
        ready: layout.ready,
    })
}

impl Differ<'_> {
    fn add(&mut self, source_token: u32, what: What) -> Option<()> {
        let size = match &what {
            What::Order(order) => order.len(),
            what => what.text().len(),
        };
        self.budget = self.budget.checked_sub(HEAD + size)?;
        let token = *self.document.twins.get(source_token as usize)?;
        self.exceptions.push(Exception { token, what });
        Some(())
    }

    /// The objects whose members do not come as the layout says.
    fn orders(&mut self) -> Option<()> {
        let document = self.document;
        let mut expected = Vec::with_capacity(document.sets.len());
        let (mut order, mut keys) = (Vec::new(), Vec::new());
        for set in &document.sets {
            let names: Vec<Option<u32>> = set.names.iter().map(|&name| self.name(name)).collect();
            let layout = self.layout;
            let text = |position: u32| {
                let name = set.names.get(position as usize);
                name.map_or(&[][..], |&name| document.name(name))
            };
            layout
                .ready
                .arrange(&layout.spec, &names, text, &mut order, &mut keys);
            expected.push(order.clone());
        }
        for &Object { token, set, order } in &document.objects {
            let found = document
                .sets
                .get(set as usize)?
                .orders
                .get(order as usize)?;
            if expected.get(set as usize)? != &found.0 {
                self.add(token, What::Order(found.0.clone()))?;
            }
        }
        Some(())
    }

    fn name(&self, name: u32) -> Option<u32> {
        self.known.get(name as usize).copied().flatten()
    }

    fn rules(&self, at: u32) -> Option<Rules> {
        let ruler = *self.document.ruler.get(at as usize)?;
        let spec = &self.layout.spec;
        Some(if ruler == super::infer::NO_NAME {
            Rules {
                decimals: spec.root_decimals,
                flip: false,
            }
        } else {
            self.layout.ready.rules(self.name(ruler))
        })
    }

    /// Everything but the order of members.
    fn tokens(&mut self) -> Option<()> {
        let document = self.document;
        let mut children = Vec::new();
        let mut levels: Vec<u32> = vec![0; document.tokens.len()];
        for at in 0..document.tokens.len() as u32 {
            let token = *document.tokens.get(at as usize)?;
            let twin = document.twin(at)?;
            let level = *levels.get(at as usize)?;
            match token.kind {
                Kind::Object | Kind::Array => {
                    list_children(&document.tokens, at, &mut children);
                    let inner = self.container(at, token, twin, &children, level)?;
                    let object = usize::from(token.kind == Kind::Object);
                    for &child in &children {
                        *levels.get_mut(child as usize + object)? = inner;
                    }
                }
                Kind::Word if token.text(document.source) != twin.text(document.canonical) => {
                    return None;
                }
                Kind::Word | Kind::Tag => {}
                Kind::String | Kind::Number => self.scalar(at, token, twin)?,
            }
        }
        Some(())
    }

    fn scalar(&mut self, at: u32, token: Token, twin: Token) -> Option<()> {
        let document = self.document;
        let layout = self.layout;
        let (text, canonical) = (token.text(document.source), twin.text(document.canonical));
        let expected = if token.kind == Kind::Number {
            let decimals = self.rules(at)?.decimals;
            if decimals == 0 && equal(text, canonical) && text.iter().all(u8::is_ascii_digit) {
                return Some(());
            }
            spelled(canonical, decimals, &layout.spec.floats)
        } else if layout.ready.table.canonical {
            if equal(text, canonical) {
                return Some(());
            }
            canonical.to_vec()
        } else {
            let mut expected = vec![b'"'];
            let inside = twin.inside(document.canonical);
            layout.ready.table.write_all(inside, &mut expected);
            expected.push(b'"');
            expected
        };
        if !equal(&expected, text) {
            self.add(at, What::Text(text.to_vec()))?;
        }
        Some(())
    }

    /// Compares the separators of a container; returns the level of what is inside.
    fn container(
        &mut self,
        at: u32,
        token: Token,
        twin: Token,
        children: &[u32],
        level: u32,
    ) -> Option<u32> {
        let document = self.document;
        let layout = self.layout;
        let kind = if token.kind == Kind::Object {
            OBJECT
        } else {
            ARRAY
        };
        let Some(gaps) = Gaps::new(document, &token, children) else {
            let text = document.between(token.start + 1, token.end - 1);
            let (line, bracket) = (&layout.ready.empty[kind], 1);
            if !self.matches(line, bracket, level, text) {
                self.add(at, What::Close(text.to_vec()))?;
            }
            return Some(level);
        };
        let depth = u32::from(*document.depth.get(at as usize)?);
        let flat = !gaps.spread();
        if is_flat(&layout.spec, twin, depth, self.rules(at)?) != flat {
            self.add(at, What::Flip)?;
        }
        let lines = &layout.ready.lines[kind][usize::from(flat)];
        let inner = level + u32::from(lines.indents);
        if !self.matches(&lines.open, 1, inner, gaps.open) {
            self.add(*children.first()?, What::Before(gaps.open.to_vec()))?;
        }
        if !self.matches(&lines.close, 0, level, gaps.close) {
            self.add(at, What::Close(gaps.close.to_vec()))?;
        }
        let object = u32::from(kind == OBJECT);
        for (pair, (before, after)) in children.windows(2).zip(&gaps.commas) {
            if !self.matches(&lines.before_comma, 0, inner, before) {
                self.add(pair[0] + object, What::Comma(before.to_vec()))?;
            }
            if !self.matches(&lines.after_comma, 0, inner, after) {
                self.add(pair[1], What::Before(after.to_vec()))?;
            }
        }
        if kind == OBJECT {
            for &child in children {
                let name = document.tokens.get(child as usize)?;
                let value = document.tokens.get(child as usize + 1)?;
                let (before, after) = document.around(name.end, value.start, b':');
                if !equal(before, &layout.spec.colon[0]) {
                    self.add(child, What::ColonBefore(before.to_vec()))?;
                }
                if !equal(after, &layout.spec.colon[1]) {
                    self.add(child, What::ColonAfter(after.to_vec()))?;
                }
            }
        }
        Some(inner)
    }

    /// True where `line` at `level`, without its first `skip` bytes, is `text`.
    fn matches(&self, line: &Line, skip: usize, level: u32, text: &[u8]) -> bool {
        let (piece, more) = line.at(level as usize);
        let piece = piece.get(skip..).unwrap_or_default();
        let unit = &self.layout.spec.unit;
        let Some((head, rest)) = text.split_at_checked(piece.len()) else {
            return false;
        };
        equal(head, piece)
            && rest.len() == unit.len() * more
            && (more == 0 || rest.chunks(unit.len().max(1)).all(|part| equal(part, unit)))
    }
}
