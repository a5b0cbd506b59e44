//! A document that can be changed. Scalars stay the text they are, so no number passes through a float.

use super::NotCanonical;
use super::value::{Kind, Value};
use crate::escape::write_string;

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    /// Canonical text of a scalar.
    Scalar(Box<str>),
    Array(Vec<Tree>),
    /// Members in any order, each name once.
    Object(Vec<(Box<str>, Tree)>),
}

impl Tree {
    pub fn parse(canonical: &[u8]) -> Result<Tree, NotCanonical> {
        Ok(Tree::of(&Value::parse(canonical)?))
    }

    /// Recurses as deep as the document: 1,024 levels at most.
    pub fn of(value: &Value<'_>) -> Tree {
        match value.kind() {
            Kind::Array(items) => Tree::Array(items.iter().map(Tree::of).collect()),
            Kind::Object(members) => Tree::Object(
                members
                    .iter()
                    .map(|(name, value)| (name.as_ref().into(), Tree::of(value)))
                    .collect(),
            ),
            _ => Tree::Scalar(value.text().into()),
        }
    }

    /// Appends it as JSON text, members in the order they are in.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Tree::Scalar(text) => out.extend_from_slice(text.as_bytes()),
            Tree::Array(items) => {
                out.push(b'[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Tree::Object(members) => {
                out.push(b'{');
                for (at, (name, value)) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    write_string(out, name);
                    out.push(b':');
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }

    pub fn text(&self) -> String {
        let mut out = Vec::new();
        self.write(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Tree::Scalar(text) if &**text == "null")
    }

    /// The string that it is.
    pub fn as_string(&self) -> Option<String> {
        match self {
            Tree::Scalar(text) if text.starts_with('"') => serde_json::from_str(text).ok(),
            _ => None,
        }
    }

    pub fn member(&self, name: &str) -> Option<&Tree> {
        match self {
            Tree::Object(members) => members
                .iter()
                .find(|(other, _)| &**other == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// The same document, whatever the order of members.
    pub fn same(&self, other: &Tree) -> bool {
        match (self, other) {
            (Tree::Scalar(a), Tree::Scalar(b)) => a == b,
            (Tree::Array(a), Tree::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b))
            }
            (Tree::Object(a), Tree::Object(b)) => {
                a.len() == b.len() && {
                    let sorted = |members: &Vec<(Box<str>, Tree)>| {
                        let mut order: Vec<usize> = (0..members.len()).collect();
                        order.sort_by(|x, y| members[*x].0.cmp(&members[*y].0));
                        order
                    };
                    let (x, y) = (sorted(a), sorted(b));
                    x.into_iter()
                        .zip(y)
                        .all(|(x, y)| a[x].0 == b[y].0 && a[x].1.same(&b[y].1))
                }
            }
            _ => false,
        }
    }
}
