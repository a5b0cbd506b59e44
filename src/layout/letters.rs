//! Inference: escapes.

use std::collections::HashMap;

use super::escape::character;
use super::infer::Document;
use super::spec::{Escapes, Spec, Spelling};
use super::tape::Kind;

const LAST: u32 = 0x10_ffff;

/// U+2028 and U+2029, which JavaScript once took for line ends: some writers escape them and nothing else.
const LINE_ENDS: (u32, u32) = (0x2028, 0x2029);

/// Characters that writers for HTML pages escape together.
const HTML: [u8; 3] = [b'<', b'>', b'&'];

/// How often a character was written in each spelling.
#[derive(Clone, Copy, Default)]
struct Tally([u32; 3]);

impl Tally {
    fn best(&self) -> Option<Spelling> {
        let [canonical, unicode, backslash] = self.0;
        if canonical + unicode + backslash == 0 {
            None
        } else if unicode > canonical && unicode >= backslash {
            Some(Spelling::Unicode)
        } else if backslash > canonical {
            Some(Spelling::Backslash)
        } else {
            Some(Spelling::Canonical)
        }
    }
}

struct Census {
    ascii: [Tally; 128],
    beyond: HashMap<u32, Tally>,
    upper: u32,
    lower: u32,
}

pub(super) fn derive(document: &Document, previous: Option<&Spec>, escapes: &mut Escapes) {
    let census = take(document);
    let former = previous.map(|spec| &spec.escapes);
    escapes.upper = match census.upper.cmp(&census.lower) {
        std::cmp::Ordering::Equal => former.is_some_and(|former| former.upper),
        more => more.is_gt(),
    };
    escapes.ascii = ascii(&census, former);
    escapes.ranges = ranges(&census, former, escapes);
}

fn take(document: &Document) -> Census {
    let mut census = Census {
        ascii: [Tally::default(); 128],
        beyond: HashMap::new(),
        upper: 0,
        lower: 0,
    };
    for (at, token) in document.tokens.iter().enumerate() {
        if token.kind != Kind::String {
            continue;
        }
        let text = token.inside(document.source);
        let same = document
            .twin(at as u32)
            .is_some_and(|twin| twin.inside(document.canonical) == text);
        if same && text.is_ascii() && !text.contains(&b'\\') {
            for &b in text {
                if let Some(tally) = census.ascii.get_mut(b as usize) {
                    tally.0[Spelling::Canonical as usize] += 1;
                }
            }
            continue;
        }
        let mut from = 0;
        while from < text.len() {
            let (c, end) = character(text, from);
            census.count(c, text.get(from..end).unwrap_or_default());
            from = end;
        }
    }
    census
}

impl Census {
    fn count(&mut self, c: char, written: &[u8]) {
        let spelling = match written {
            // U+0000 to U+001F have `\u00xx` for their canonical spelling, but for five of them.
            [b'\\', b'u', digits @ ..] => {
                self.upper += u32::from(digits.iter().any(|b| (b'A'..=b'F').contains(b)));
                self.lower += u32::from(digits.iter().any(|b| (b'a'..=b'f').contains(b)));
                match c {
                    '\u{8}' | '\t' | '\n' | '\u{c}' | '\r' => Spelling::Unicode,
                    '\0'..='\u{1f}' => Spelling::Canonical,
                    _ => Spelling::Unicode,
                }
            }
            b"\\/" => Spelling::Backslash,
            _ => Spelling::Canonical,
        };
        let tally = match self.ascii.get_mut(c as usize) {
            Some(tally) => tally,
            None => self.beyond.entry(c as u32).or_default(),
        };
        tally.0[spelling as usize] += 1;
    }
}

fn ascii(census: &Census, former: Option<&Escapes>) -> Vec<(u8, Spelling)> {
    let mut spellings: [Option<Spelling>; 128] = [None; 128];
    if let Some(former) = former {
        spellings = [Some(Spelling::Canonical); 128];
        for &(c, spelling) in &former.ascii {
            if let Some(slot) = spellings.get_mut(c as usize) {
                *slot = Some(spelling);
            }
        }
    }
    for (slot, tally) in spellings.iter_mut().zip(&census.ascii) {
        *slot = tally.best().or(*slot);
    }
    if former.is_none() {
        let shared = |group: &[u8]| {
            group
                .iter()
                .any(|&c| spellings[c as usize] == Some(Spelling::Unicode))
        };
        let (html, controls) = (shared(&HTML), shared(&[8, 12]));
        for (group, escaped) in [(&HTML[..], html), (&[8, 12], controls)] {
            for &c in group.iter().filter(|_| escaped) {
                let slot = &mut spellings[c as usize];
                *slot = slot.or(Some(Spelling::Unicode));
            }
        }
    }
    let spelled = (0..128u8).zip(spellings);
    spelled
        .filter_map(|(c, spelling)| Some((c, spelling?)))
        .filter(|(_, spelling)| *spelling != Spelling::Canonical)
        .collect()
}

fn ranges(census: &Census, former: Option<&Escapes>, escapes: &Escapes) -> Vec<(u32, u32)> {
    let mut seen: Vec<(u32, bool)> = census
        .beyond
        .iter()
        .map(|(&code, tally)| (code, tally.best() == Some(Spelling::Unicode)))
        .collect();
    seen.sort_unstable();
    if let Some(former) = former {
        let agrees = |&(code, escaped): &(u32, bool)| {
            let index = former.ranges.partition_point(|&(_, last)| last < code);
            let range = former.ranges.get(index);
            range.is_some_and(|&(first, _)| first <= code) == escaped
        };
        if seen.iter().all(agrees) {
            return former.ranges.clone();
        }
    }
    let line_end = |code: u32| (LINE_ENDS.0..=LINE_ENDS.1).contains(&code);
    if !seen.iter().any(|&(_, escaped)| escaped) {
        // Go escapes these three of HTML, in lower case, and the line ends.
        let go = !escapes.upper
            && HTML
                .iter()
                .all(|&c| escapes.ascii.contains(&(c, Spelling::Unicode)))
            && !seen.iter().any(|&(code, _)| line_end(code));
        return if go { vec![LINE_ENDS] } else { Vec::new() };
    }
    if seen
        .iter()
        .all(|&(code, escaped)| escaped == line_end(code))
    {
        return vec![LINE_ENDS];
    }
    if seen.iter().all(|&(_, escaped)| escaped) {
        return vec![(0x80, LAST)];
    }
    if seen
        .iter()
        .all(|&(code, escaped)| escaped == (code > 0xffff))
    {
        return vec![(0x1_0000, LAST)];
    }
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    // A range goes on as long as nothing inside is raw.
    let mut apart = true;
    for &(code, escaped) in &seen {
        match ranges.last_mut() {
            Some((_, last)) if escaped && !apart => *last = code,
            _ if escaped => ranges.push((code, code)),
            _ => {}
        }
        apart = !escaped;
    }
    ranges
}
