//! The walk over a document in the order of its writer.

use super::number::{self, Spelled, ZEROS};
use super::ready::{Line, Lines, Ready, Rules, exception};
use super::render::{Sink, Stop};
use super::shapes::{NO_SHAPE, Planned, Shapes};
use super::spec::{ARRAY, Flat, OBJECT, Spec, What};
use super::tape::{self, HOLDS_CONTAINERS, HOLDS_OTHERS, Kind, Portion, Span, Token, tag_literal};

/// A container that is open.
pub(super) struct Frame {
    /// The container's token.
    token: u32,
    /// The value last written.
    last: u32,
    /// What comes next, and where it ends: tokens, or entries of the plan.
    at: u32,
    end: u32,
    object: bool,
    /// `at` and `end` are entries of the plan.
    planned: bool,
    /// Length of the plan without this container's part.
    plan: u32,
    flat: bool,
    /// The level of the container's last line, and that of what is inside.
    level: u32,
    inner: u32,
    /// Those of the elements of an array.
    rules: Rules,
    /// The shape of the object last met inside.
    hint: u32,
    /// Length of the tape without this container's inside, where that was left out.
    tape: u32,
    /// Where in the text the elements are that are not on the tape yet.
    text_at: u32,
    text_end: u32,
}

pub(super) struct Walk<'a, S> {
    pub(super) spec: &'a Spec,
    pub(super) ready: &'a Ready,
    pub(super) text: &'a [u8],
    pub(super) tape: &'a mut Vec<Token>,
    pub(super) open: &'a mut Vec<tape::Open>,
    pub(super) nan: bool,
    pub(super) portion: Portion,
    pub(super) sink: &'a mut S,
    pub(super) frames: &'a mut Vec<Frame>,
    pub(super) plan: &'a mut Vec<Planned>,
    pub(super) members: &'a mut Vec<u32>,
    pub(super) shapes: &'a mut Shapes,
    pub(super) buffer: &'a mut Vec<u8>,
    /// No name says anything.
    pub(super) plain: bool,
}

impl<S: Sink> Walk<'_, S> {
    pub(super) fn run(&mut self) -> Result<(), Stop> {
        let mut at = 0u32;
        let mut rules = Rules {
            decimals: self.spec.root_decimals,
            flip: false,
        };
        let mut level = 0u32;
        'value: loop {
            let token = self.token(at)?;
            if token.holds_tokens(at) {
                (at, rules, level) = self.open(at, token, rules, level)?;
                continue 'value;
            }
            self.leaf(at, token, rules, level)?;
            loop {
                let Some(frame) = self.frames.last_mut() else {
                    return Ok(());
                };
                frame.last = at;
                if frame.at < frame.end {
                    level = frame.inner;
                    (at, rules) = self.next()?;
                    continue 'value;
                }
                if frame.text_at < frame.text_end {
                    // The token of the last element is gone.
                    at = frame.token;
                    self.next_portion()?;
                    continue;
                }
                let (closed, frame_level) = (frame.token, frame.level);
                let lines = &self.ready.lines[if frame.object { OBJECT } else { ARRAY }]
                    [frame.flat as usize];
                let bracket: &[u8] = if frame.object { b"}" } else { b"]" };
                self.plan.truncate(frame.plan as usize);
                self.tape.truncate(frame.tape as usize);
                self.frames.pop();
                let token = self.token(closed)?;
                if !self.excepted(closed, token, 7)? {
                    self.line(&lines.close, frame_level)?;
                }
                self.sink.put(bracket)?;
                at = closed;
            }
        }
    }

    #[inline(always)]
    fn token(&self, at: u32) -> Result<Token, Stop> {
        self.tape
            .get(at as usize)
            .copied()
            .ok_or(Stop::NotCanonical)
    }

    #[inline(always)]
    fn line(&mut self, line: &Line, level: u32) -> Result<(), Stop> {
        let (piece, more) = line.at(level as usize);
        self.sink.put(piece)?;
        for _ in 0..more {
            self.sink.put(&self.spec.unit)?;
        }
        Ok(())
    }

    /// Writes the text of the exception of kind `kind` at `at`, if there is one.
    #[inline(always)]
    fn excepted(&mut self, at: u32, token: Token, kind: u8) -> Result<bool, Stop> {
        if token.marks & 1 << kind == 0 {
            return Ok(false);
        }
        let found = exception(&self.spec.exceptions, at, kind).ok_or(Stop::Mismatch)?;
        self.sink.put(found.what.text())?;
        Ok(true)
    }

    /// Writes a scalar or an empty container.
    #[inline(always)]
    fn leaf(&mut self, at: u32, token: Token, rules: Rules, level: u32) -> Result<(), Stop> {
        if self.excepted(at, token, 0)? {
            return Ok(());
        }
        match token.kind {
            Kind::String => self.string(token),
            Kind::Word => self.sink.put(token.text(self.text)),
            Kind::Number => self.number(token, rules.decimals),
            Kind::Tag => self.sink.put(tag_literal(token.text(self.text))),
            Kind::Object | Kind::Array => {
                let (kind, brackets) = match token.kind {
                    Kind::Object => (OBJECT, b"{}"),
                    _ => (ARRAY, b"[]"),
                };
                let [open, close] = brackets;
                if token.marks & 1 << 7 != 0 {
                    self.sink.put(&[*open])?;
                    self.excepted(at, token, 7)?;
                } else {
                    let ready = self.ready;
                    self.line(&ready.empty[kind], level)?;
                }
                self.sink.put(&[*close])
            }
        }
    }

    #[inline(always)]
    fn string(&mut self, token: Token) -> Result<(), Stop> {
        let text = token.text(self.text);
        if self.ready.table.canonical {
            return self.sink.put(text);
        }
        // The opening quote ends no run; the closing one does if it is special, and is none of the string.
        let body = text.len().saturating_sub(1);
        let text = text.get(..body).unwrap_or_default();
        let mut from = 0;
        let mut at = self.ready.table.run_end(text, 1);
        while at < body {
            self.sink.put(text.get(from..at).unwrap_or_default())?;
            self.buffer.clear();
            from = self.ready.table.write(text, at, self.buffer);
            self.sink.put(self.buffer)?;
            at = self.ready.table.run_end(text, from);
        }
        self.sink.put(text.get(from..).unwrap_or_default())?;
        self.sink.put(b"\"")
    }

    #[inline(always)]
    fn number(&mut self, token: Token, decimals: u8) -> Result<(), Stop> {
        let text = token.text(self.text);
        self.buffer.clear();
        match number::spell(text, decimals, &self.spec.floats, self.buffer) {
            Spelled::Verbatim => self.sink.put(text),
            Spelled::Padded(length) => {
                self.sink.put(text)?;
                self.sink.put(ZEROS.get(..length).unwrap_or_default())
            }
            Spelled::Rewritten => self.sink.put(self.buffer),
        }
    }

    /// Opens a container that is not empty; returns its first value.
    #[inline(always)]
    fn open(
        &mut self,
        at: u32,
        token: Token,
        rules: Rules,
        level: u32,
    ) -> Result<(u32, Rules, u32), Stop> {
        let flat = is_flat(self.spec, token, self.frames.len() as u32, rules)
            ^ (token.marks & 1 << 2 != 0);
        let object = token.kind == Kind::Object;
        let ready = self.ready;
        let lines = &ready.lines[if object { OBJECT } else { ARRAY }][flat as usize];
        let inner = level + lines.indents as u32;
        let mut frame = Frame {
            token: at,
            last: at,
            at: at + 1,
            end: token.next,
            object,
            planned: false,
            plan: self.plan.len() as u32,
            flat,
            level,
            inner,
            rules,
            hint: NO_SHAPE,
            tape: self.tape.len() as u32,
            text_at: 0,
            text_end: 0,
        };
        let (mut at, mut token) = (at, token);
        if token.left_out {
            (at, token) = self.fetch(at, token, &mut frame)?;
        }
        if object {
            self.plan(at, token, &mut frame)?;
        }
        let first = if frame.planned {
            self.plan
                .get(frame.at as usize)
                .ok_or(Stop::NotCanonical)?
                .name
        } else {
            frame.at
        };
        self.frames.push(frame);
        let first_token = self.token(first)?;
        if first_token.marks & 1 << 3 != 0 {
            self.sink.put(if object { b"{" } else { b"[" })?;
            self.excepted(first, first_token, 3)?;
        } else {
            self.line(&lines.open, inner)?;
        }
        let (value, rules) = self.step()?;
        Ok((value, rules, inner))
    }

    /// Puts the inside of a container on the tape that was left out: of an array the first portion. Gives back the
    /// container's token, as far as its members go by that.
    #[cold]
    fn fetch(&mut self, at: u32, token: Token, frame: &mut Frame) -> Result<(u32, Token), Stop> {
        let span = Span {
            at: token.start as usize,
            end: token.end as usize,
            depth: self.frames.len(),
        };
        if frame.object {
            self.put_on_tape(span)?;
            let there = self.token(frame.tape)?;
            if there.end != token.end || there.left_out {
                return Err(Stop::NotCanonical);
            }
            (frame.at, frame.end) = (frame.tape + 1, there.next);
            return Ok((frame.tape, there));
        }
        let elements = Span {
            at: span.at + 1,
            end: span.end.saturating_sub(1),
            depth: span.depth + 1,
        };
        let next = self.put_on_tape(elements)?;
        (frame.text_at, frame.text_end) = (next as u32, elements.end as u32);
        (frame.at, frame.end) = (frame.tape, self.tape.len() as u32);
        Ok((at, token))
    }

    /// Puts the next portion of the innermost container's elements on the tape, in the place of the last one.
    #[cold]
    fn next_portion(&mut self) -> Result<(), Stop> {
        let depth = self.frames.len();
        let frame = self.frames.last().ok_or(Stop::NotCanonical)?;
        self.tape.truncate(frame.tape as usize);
        let span = Span {
            at: frame.text_at as usize,
            end: frame.text_end as usize,
            depth,
        };
        let next = self.put_on_tape(span)?;
        let end = self.tape.len() as u32;
        let frame = self.frames.last_mut().ok_or(Stop::NotCanonical)?;
        (frame.at, frame.end, frame.text_at) = (frame.tape, end, next as u32);
        Ok(())
    }

    fn put_on_tape(&mut self, span: Span) -> Result<usize, Stop> {
        tape::values(
            self.text,
            span,
            self.nan,
            self.portion,
            self.tape,
            self.open,
        )
        .map_err(|_| Stop::NotCanonical)
    }

    /// Goes on to the next value of the innermost container, with its comma.
    #[inline(always)]
    fn next(&mut self) -> Result<(u32, Rules), Stop> {
        let ready = self.ready;
        let frame = self.frames.last().ok_or(Stop::NotCanonical)?;
        let lines: &Lines =
            &ready.lines[if frame.object { OBJECT } else { ARRAY }][frame.flat as usize];
        let inner = frame.inner;
        if lines.split || !self.spec.exceptions.is_empty() {
            let last = frame.last;
            let next = if frame.planned {
                let planned = self.plan.get(frame.at as usize);
                planned.ok_or(Stop::NotCanonical)?.name
            } else {
                frame.at
            };
            let last_token = self.token(last)?;
            if !self.excepted(last, last_token, 4)? {
                self.line(&lines.before_comma, inner)?;
            }
            self.sink.put(b",")?;
            let next_token = self.token(next)?;
            if !self.excepted(next, next_token, 3)? {
                self.line(&lines.after_comma, inner)?;
            }
        } else {
            self.line(&lines.comma, inner)?;
        }
        self.step()
    }

    /// Takes the next element or member of the innermost container; writes the name and the colon of a member.
    #[inline(always)]
    fn step(&mut self) -> Result<(u32, Rules), Stop> {
        let frame = self.frames.last_mut().ok_or(Stop::NotCanonical)?;
        if !frame.object {
            let element = frame.at;
            let token = self.tape.get(element as usize).ok_or(Stop::NotCanonical)?;
            frame.at = token.next;
            return Ok((element, frame.rules));
        }
        let member = if frame.planned {
            let member = self.plan.get(frame.at as usize).copied();
            frame.at += 1;
            member.ok_or(Stop::NotCanonical)?
        } else {
            let name = frame.at;
            let value = self.tape.get(name as usize + 1).ok_or(Stop::NotCanonical)?;
            frame.at = value.next;
            Planned {
                name,
                rules: Rules::default(),
            }
        };
        let token = self.token(member.name)?;
        if !self.excepted(member.name, token, 0)? {
            self.string(token)?;
        }
        if token.marks & (1 << 5 | 1 << 6) == 0 {
            self.sink.put(&self.ready.colon)?;
        } else {
            let spec = self.spec;
            if !self.excepted(member.name, token, 5)? {
                self.sink.put(&spec.colon[0])?;
            }
            self.sink.put(b":")?;
            if !self.excepted(member.name, token, 6)? {
                self.sink.put(&spec.colon[1])?;
            }
        }
        Ok((member.name + 1, member.rules))
    }

    /// Plans the members of the object `at`, unless they come as they are.
    #[inline(always)]
    fn plan(&mut self, at: u32, token: Token, frame: &mut Frame) -> Result<(), Stop> {
        let ordered = token.marks & 1 << 1 != 0;
        if self.plain && !ordered {
            return Ok(());
        }
        self.members.clear();
        let mut name = at + 1;
        while name < token.next {
            self.members.push(name);
            name = self.token(name + 1)?.next;
        }
        let hint = self.frames.last().map_or(NO_SHAPE, |outer| outer.hint);
        let index = self.shapes.find(
            self.spec,
            self.ready,
            self.text,
            self.tape,
            self.members,
            hint,
        );
        if let Some(outer) = self.frames.last_mut() {
            outer.hint = index;
        }
        let shape = self
            .shapes
            .shapes
            .get(index as usize)
            .ok_or(Stop::NotCanonical)?;
        if shape.plain && !ordered {
            return Ok(());
        }
        let start = self.plan.len();
        let members = self
            .shapes
            .members
            .get(shape.members..shape.members + shape.count)
            .unwrap_or_default();
        let planned = |member: &Planned| {
            Some(Planned {
                name: *self.members.get(member.name as usize)?,
                rules: member.rules,
            })
        };
        self.plan.extend(members.iter().filter_map(planned));
        if ordered {
            self.reorder(at, start)?;
        }
        frame.planned = true;
        frame.at = start as u32;
        frame.end = self.plan.len() as u32;
        Ok(())
    }

    /// Applies the order that holds for the object `at` alone to its plan.
    #[cold]
    fn reorder(&mut self, at: u32, start: usize) -> Result<(), Stop> {
        let found = exception(&self.spec.exceptions, at, 1).ok_or(Stop::Mismatch)?;
        let What::Order(order) = &found.what else {
            return Err(Stop::Mismatch);
        };
        // By name, so that the position in the canonical order is the index.
        let mut members = self.plan.split_off(start);
        members.sort_unstable_by_key(|member| member.name);
        if order.len() != members.len() {
            return Err(Stop::Mismatch);
        }
        let sorted = order
            .iter()
            .filter_map(|&position| members.get(position as usize));
        self.plan.extend(sorted);
        Ok(())
    }
}

/// What the rules say of a container that is not empty, inside `depth` others.
#[inline(always)]
pub(super) fn is_flat(spec: &Spec, token: Token, depth: u32, rules: Rules) -> bool {
    let kind = if token.kind == Kind::Object {
        OBJECT
    } else {
        ARRAY
    };
    let flat = spec.flat_from.is_some_and(|from| depth >= from)
        || match spec.flat[kind] {
            Flat::None => false,
            Flat::Leaves => token.holds & HOLDS_CONTAINERS == 0,
            Flat::Numbers => token.holds & HOLDS_OTHERS == 0,
            Flat::All => true,
        };
    flat ^ rules.flip
}
