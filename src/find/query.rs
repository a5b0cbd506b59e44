//! A JSONPath query (RFC 9535), or a filter, over one canonical document. Pure.

use serde_json::{Map, Number, Value as Json};
use serde_json_path::{JsonPath, PathElement};

use crate::diff::NotCanonical;
use crate::diff::value::{Kind, Value};
use crate::pointer::Pointer;

/// Most brackets and parentheses that may be open at once in a query.
const MAX_OPEN: usize = 100;

/// A JSONPath query (RFC 9535), or a filter on the whole document.
///
/// What starts with `$` and is a query is taken as one. Everything else is what stands in a filter selector, with or
/// without its `?`, and is applied to the document itself: `@.status == "failed"`, `?@.a > 1`, `$.a > 1 && !$.b`; in it
/// `@` and `$` are both the document. Such a filter selects the whole document or nothing.
///
/// Numbers are compared as doubles, whatever their digits; those that no double can hold count as the largest or
/// smallest one. What is selected is given as it stands in the canonical form, with every digit.
///
/// ```
/// use backstory::find::Query;
///
/// let nodes = Query::parse("$.runs[?@.loss < 0.5].id")?.select(br#"{"runs":[{"id":7,"loss":0.25}]}"#)?;
/// assert_eq!((nodes[0].pointer.as_str(), &*nodes[0].value), ("/runs/0/id", "7"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Query {
    path: JsonPath,
    /// The document is the only element of an array, to which a filter is applied.
    filter: bool,
}

/// A value that a query selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it is.
    pub pointer: Pointer,
    /// Its canonical text.
    pub value: Box<str>,
}

/// The text is neither a query nor a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}, at character {} of the query", offset + 1)]
pub struct QueryError {
    /// Where it went wrong: characters from 0.
    pub offset: usize,
    message: String,
}

impl Query {
    /// Reads a query or a filter.
    ///
    /// # Errors
    /// Where it is neither.
    pub fn parse(text: &str) -> Result<Query, QueryError> {
        check_nesting(text)?;
        let failed = match JsonPath::parse(text) {
            Ok(path) => {
                return Ok(Query {
                    path,
                    filter: false,
                });
            }
            Err(error) => QueryError {
                offset: error.position(),
                message: error.message().to_owned(),
            },
        };
        let filter = text.trim();
        let filter = filter.strip_prefix('?').unwrap_or(filter);
        // An empty one would not be seen as such inside the brackets.
        match JsonPath::parse(&format!("$[?({})]", root_inside(filter))) {
            Ok(path) if !filter.trim().is_empty() => Ok(Query { path, filter: true }),
            _ if text.starts_with('$') => Err(failed),
            _ => Err(QueryError {
                offset: 0,
                message: "neither a JSONPath query such as $.runs[0] nor a filter such as \
                          @.status == \"failed\""
                    .to_owned(),
            }),
        }
    }

    /// Is it a filter on the whole document, and no query?
    pub fn is_filter(&self) -> bool {
        self.filter
    }

    /// The values that the query selects in a canonical document, in the order of RFC 9535.
    ///
    /// # Errors
    /// [`NotCanonical`] where the bytes are no canonical document.
    pub fn select(&self, canonical: &[u8]) -> Result<Vec<Node>, NotCanonical> {
        let value = Value::parse(canonical)?;
        let mut json = tree(&value);
        if self.filter {
            json = Json::Array(vec![json]);
        }
        let found = self.path.query_located(&json);
        let skip = usize::from(self.filter);
        Ok(found
            .iter()
            .filter_map(|node| locate(&value, node.location().iter().skip(skip)))
            .collect())
    }
}

/// The value at a place, with its text.
fn locate<'p>(value: &Value<'_>, place: impl Iterator<Item = &'p PathElement<'p>>) -> Option<Node> {
    let mut pointer = Pointer::root();
    let mut at = value;
    for element in place {
        at = match (at.kind(), element) {
            (Kind::Array(items), PathElement::Index(index)) => {
                pointer.push(&index.to_string());
                items.get(*index)?
            }
            (Kind::Object(members), PathElement::Name(name)) => {
                pointer.push(name);
                let member = members
                    .binary_search_by(|(other, _)| crate::diff::value::compare_names(other, name));
                &members.get(member.ok()?)?.1
            }
            _ => return None,
        };
    }
    Some(Node {
        pointer,
        value: at.text().into(),
    })
}

/// The document as the query engine knows it.
fn tree(value: &Value<'_>) -> Json {
    match value.kind() {
        Kind::Null => Json::Null,
        Kind::Bool(flag) => Json::Bool(*flag),
        Kind::Number(text) => Json::Number(number(text)),
        Kind::String(text) => Json::String(text.clone().into_owned()),
        Kind::Array(items) => Json::Array(items.iter().map(tree).collect()),
        Kind::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| (name.clone().into_owned(), tree(value)));
            Json::Object(members.collect::<Map<_, _>>())
        }
    }
}

/// The nearest double; the largest where there is none near.
fn number(text: &str) -> Number {
    if let Ok(whole) = text.parse::<i64>() {
        return whole.into();
    }
    let double: f64 = text.parse().unwrap_or(0.0);
    Number::from_f64(double.clamp(f64::MIN, f64::MAX)).unwrap_or_else(|| 0.into())
}

/// The filter with the document itself in the place of the root, which is an array around it.
fn root_inside(filter: &str) -> String {
    let mut text = String::with_capacity(filter.len() + 8);
    scan(filter, |c, quoted| {
        text.push(c);
        if c == '$' && !quoted {
            text.push_str("[0]");
        }
    });
    text
}

/// The parser of queries calls itself for what is inside brackets.
fn check_nesting(text: &str) -> Result<(), QueryError> {
    let (mut open, mut at, mut too_deep) = (0_usize, 0, None);
    scan(text, |c, quoted| {
        match c {
            '(' | '[' if !quoted => open += 1,
            ')' | ']' if !quoted => open = open.saturating_sub(1),
            _ => {}
        }
        if open > MAX_OPEN {
            too_deep.get_or_insert(at);
        }
        at += 1;
    });
    match too_deep {
        None => Ok(()),
        Some(offset) => Err(QueryError {
            offset,
            message: format!("more than {MAX_OPEN} brackets are open"),
        }),
    }
}

/// Goes through the characters; says of each whether it is inside a string.
fn scan(text: &str, mut each: impl FnMut(char, bool)) {
    let mut quote = None;
    let mut escaped = false;
    for c in text.chars() {
        let quoted = quote.is_some();
        match quote {
            _ if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(end) if c == end => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            _ => {}
        }
        each(c, quoted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(query: &str, document: &str) -> Vec<String> {
        let query = Query::parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        let nodes = query.select(document.as_bytes()).unwrap();
        let texts = nodes.iter();
        texts
            .map(|node| format!("{}={}", node.pointer, node.value))
            .collect()
    }

    #[test]
    fn queries_select_with_pointers_and_exact_text() {
        let doc = r#"{"a/b":[{"id":9007199254740993},{"id":1e+400}],"~":true}"#;
        assert_eq!(
            select("$['a/b'][*].id", doc),
            ["/a~1b/0/id=9007199254740993", "/a~1b/1/id=1e+400"]
        );
        assert_eq!(select("$['~']", doc), ["/~0=true"]);
        assert_eq!(
            select("$['a/b'][?@.id > 1e300].id", doc),
            ["/a~1b/1/id=1e+400"]
        );
        assert!(select("$.none", doc).is_empty());
    }

    #[test]
    fn a_filter_is_about_the_document() {
        let doc = r#"{"a":2,"b":2,"n":"$","status":"failed"}"#;
        for filter in [
            r#"@.status == "failed""#,
            "?@.a > 1",
            "  ? @.a",
            "@.a == $.b && $['n'] == '$'",
            "$.a > 1",
            "!@.c",
            "(@.a > 5 || @.b)",
            "length(@.status) == 6",
        ] {
            assert_eq!(select(filter, doc), [format!("={doc}")], "{filter}");
        }
        for filter in ["@.a > 2", "@.c", "$.a != $.b"] {
            assert!(select(filter, doc).is_empty(), "{filter}");
        }
        assert_eq!(select("@ == 5", "5"), ["=5"]);
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in [
            "",
            "?",
            "a",
            "$.",
            "$[",
            "@.a ==",
            "@.a)] ,$[?(@.b",
            "$.a > ",
            "status == 'x'",
        ] {
            assert!(Query::parse(text).is_err(), "{text}");
        }
        let deep = format!("{}@.a{}", "(".repeat(10_000), ")".repeat(10_000));
        assert!(Query::parse(&deep).is_err());
        assert!(Query::parse("$.a[").unwrap_err().offset > 0);
    }

    #[test]
    fn deep_documents_are_searched() {
        let deep = format!("{}{{\"a\":1}}{}", "[".repeat(1023), "]".repeat(1023));
        let nodes = Query::parse("$..a").unwrap().select(deep.as_bytes());
        assert_eq!(nodes.unwrap().len(), 1);
    }
}
