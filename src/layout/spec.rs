//! What a layout says: plain data, as it is encoded. See `docs/layout.md` for the meaning of every field.

use super::collate::Collation;

/// Most decimals a number can be padded to.
pub(super) const MAX_DECIMALS: u8 = 32;

/// Largest decimal exponent, in either direction, up to which a number may be written without one.
pub(super) const MAX_PLAIN_EXPONENT: u16 = 400;

/// Longest unit of indentation, in bytes.
pub(super) const MAX_UNIT: usize = 64;

/// White space between two tokens: `text`, then, if `indented`, one unit of indentation per level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) text: Vec<u8>,
    pub(super) indented: bool,
}

/// The white space of a container that is not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) open: Gap,
    pub(super) before_comma: Gap,
    pub(super) after_comma: Gap,
    pub(super) close: Gap,
}

impl Style {
    pub(super) fn gaps(&self) -> [&Gap; 4] {
        [
            &self.open,
            &self.before_comma,
            &self.after_comma,
            &self.close,
        ]
    }

    /// What is inside stands one level deeper.
    pub(super) fn indents(&self) -> bool {
        self.gaps().iter().any(|gap| gap.indented)
    }
}

/// Which containers of a kind are flat: written in the second style of their kind, usually on one line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Flat {
    #[default]
    None = 0,
    /// Those that hold no array and no object.
    Leaves = 1,
    /// Those that hold numbers only.
    Numbers = 2,
    All = 3,
}

/// How a character of a string is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Spelling {
    /// As the canonical form does.
    #[default]
    Canonical = 0,
    /// `\uXXXX`.
    Unicode = 1,
    /// `\/`.
    Backslash = 2,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Escapes {
    /// Hexadecimal digits of `\uXXXX` are upper case.
    pub(super) upper: bool,
    /// ASCII characters not written as the canonical form does, ascending.
    pub(super) ascii: Vec<(u8, Spelling)>,
    /// Code points beyond ASCII written as `\uXXXX`: first and last, ascending, neither touching nor overlapping.
    pub(super) ranges: Vec<(u32, u32)>,
}

/// How floating point numbers are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Floats {
    /// Decimal exponents (of scientific notation) from `low` to `high` are written without an exponent.
    pub(super) low: i16,
    pub(super) high: i16,
    /// `E` instead of `e`.
    pub(super) upper: bool,
    /// A `+` stands before an exponent that is not negative.
    pub(super) plus: bool,
    /// A single digit before an exponent is followed by `.0`.
    pub(super) point: bool,
    /// Least number of digits of an exponent.
    pub(super) digits: u8,
}

impl Floats {
    /// ECMA-262, section 6.1.6.1.20: the canonical form.
    pub(super) const ECMASCRIPT: Floats = Floats::new(-6, 20, b'e', true, false, 1);

    pub(super) const fn new(
        low: i16,
        high: i16,
        letter: u8,
        plus: bool,
        point: bool,
        digits: u8,
    ) -> Self {
        Floats {
            low,
            high,
            upper: letter == b'E',
            plus,
            point,
            digits,
        }
    }
}

impl Default for Floats {
    fn default() -> Self {
        Floats::ECMASCRIPT
    }
}

/// What differs from the rules at one token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The text of a scalar or a member name.
    Text(Vec<u8>),
    /// The members of an object, as positions in the canonical order.
    Order(Vec<u32>),
    /// The container is flat where the rules say it is not, or the other way round.
    Flip,
    /// The white space before a member name or an element, back to the bracket or the comma.
    Before(Vec<u8>),
    /// The white space between a value and the comma behind it.
    Comma(Vec<u8>),
    /// The white space between a member name and its colon.
    ColonBefore(Vec<u8>),
    /// The white space between the colon of a member name and the value.
    ColonAfter(Vec<u8>),
    /// The white space before the closing bracket of a container.
    Close(Vec<u8>),
}

/// Number of kinds of [`What`].
pub(super) const KINDS: u8 = 8;

impl What {
    pub(super) fn kind(&self) -> u8 {
        match self {
            What::Text(_) => 0,
            What::Order(_) => 1,
            What::Flip => 2,
            What::Before(_) => 3,
            What::Comma(_) => 4,
            What::ColonBefore(_) => 5,
            What::ColonAfter(_) => 6,
            What::Close(_) => 7,
        }
    }

    pub(super) fn text(&self) -> &[u8] {
        match self {
            What::Text(text)
            | What::Before(text)
            | What::Comma(text)
            | What::ColonBefore(text)
            | What::ColonAfter(text)
            | What::Close(text) => text,
            What::Order(_) | What::Flip => &[],
        }
    }
}

/// An exception from the rules; `token` counts values and member names in canonical document order, from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exception {
    pub(super) token: u32,
    pub(super) what: What,
}

pub(super) const OBJECT: usize = 0;
pub(super) const ARRAY: usize = 1;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spec {
    /// White space before and after the document's value.
    pub(super) before: Vec<u8>,
    pub(super) after: Vec<u8>,
    /// One level of indentation.
    pub(super) unit: Vec<u8>,
    /// White space before and after a colon.
    pub(super) colon: [Vec<u8>; 2],
    /// By kind ([`OBJECT`], [`ARRAY`]), then by whether the container is flat.
    pub(super) styles: [[Style; 2]; 2],
    /// Inside an empty object and an empty array.
    pub(super) empty: [Gap; 2],
    /// Which objects and which arrays are flat.
    pub(super) flat: [Flat; 2],
    /// Containers inside this many others, or more, are flat too.
    pub(super) flat_from: Option<u32>,
    pub(super) escapes: Escapes,
    pub(super) floats: Floats,
    /// Least decimals of numbers outside every object.
    pub(super) root_decimals: u8,
    /// Member names in canonical spelling, without quotes; the rest of the layout means them by their index.
    pub(super) names: Vec<Vec<u8>>,
    /// Names in an order that most objects follow.
    pub(super) precedence: Vec<u32>,
    /// How names that are not in `precedence` come, behind those that are.
    pub(super) collation: Collation,
    /// Orders of the sets of names that do not follow `precedence`.
    pub(super) orders: Vec<Vec<u32>>,
    /// Least decimals of the numbers of a member, by name, ascending; 0 is left out.
    pub(super) decimals: Vec<(u32, u8)>,
    /// Members whose containers are flat where `flat` and `flat_from` say they are not, or the other way round.
    pub(super) flips: Vec<u32>,
    /// Ascending by token, then by kind.
    pub(super) exceptions: Vec<Exception>,
}
