//! A difference as a JSON Merge Patch (RFC 7396).

use std::cmp::Ordering;

use super::value::{Kind, Value, compare_names};
use super::{DiffError, NotCanonical};
use crate::escape::write_string;
use crate::pointer::{Pointer, push_token};

/// Writes the merge patch that makes `new` of `old`, both in canonical form: on one line, without a line feed.
///
/// An array that differs is given whole: a merge patch has no other way. Where nothing differs the patch is `{}`, or
/// the document itself where it is no object.
///
/// # Errors
/// [`DiffError::NoMergePatch`] where `new` has a member that is `null` and was not so in `old`: in a merge patch `null`
/// stands for removal. [`DiffError::NotCanonical`] where either is not in canonical form.
///
/// ```
/// use backstory::diff::merge::write_merge_patch;
///
/// let mut patch = Vec::new();
/// write_merge_patch(br#"{"a":1,"b":{"c":2,"d":3}}"#, br#"{"b":{"c":4,"d":3}}"#, &mut patch)?;
/// assert_eq!(patch, br#"{"a":null,"b":{"c":4}}"#);
/// # Ok::<(), backstory::diff::DiffError>(())
/// ```
pub fn write_merge_patch(old: &[u8], new: &[u8], out: &mut Vec<u8>) -> Result<(), DiffError> {
    let (old, new) = (parse(old)?, parse(new)?);
    let start = out.len();
    let mut path = String::new();
    let done = match (old.kind(), new.kind()) {
        (Kind::Object(a), Kind::Object(b)) => members(a, b, &mut path, out),
        _ => whole(&new, &mut path, out),
    };
    if done.is_err() {
        out.truncate(start);
    }
    done
}

fn parse(canonical: &[u8]) -> Result<Value<'_>, NotCanonical> {
    Value::parse(canonical)
}

type Members<'a> = [(std::borrow::Cow<'a, str>, Value<'a>)];

/// Recurses as deep as the document: 1,024 levels at most.
fn members(
    old: &Members<'_>,
    new: &Members<'_>,
    path: &mut String,
    out: &mut Vec<u8>,
) -> Result<(), DiffError> {
    out.push(b'{');
    let start = out.len();
    let (mut i, mut j) = (0, 0);
    loop {
        let order = match (old.get(i), new.get(j)) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, _)), Some((b, _))) => compare_names(a, b),
        };
        let comma = |out: &mut Vec<u8>| {
            if out.len() > start {
                out.push(b',');
            }
        };
        match order {
            Ordering::Less => {
                comma(out);
                write_string(out, &old[i].0);
                out.extend_from_slice(b":null");
                i += 1;
            }
            Ordering::Greater => {
                comma(out);
                member(&new[j].0, None, &new[j].1, path, out)?;
                j += 1;
            }
            Ordering::Equal => {
                if old[i].1.text() != new[j].1.text() {
                    comma(out);
                    member(&new[j].0, Some(&old[i].1), &new[j].1, path, out)?;
                }
                i += 1;
                j += 1;
            }
        }
    }
    out.push(b'}');
    Ok(())
}

fn member(
    name: &str,
    old: Option<&Value<'_>>,
    new: &Value<'_>,
    path: &mut String,
    out: &mut Vec<u8>,
) -> Result<(), DiffError> {
    let base = path.len();
    push_token(path, name);
    write_string(out, name);
    out.push(b':');
    match (old.map(Value::kind), new.kind()) {
        (Some(Kind::Object(a)), Kind::Object(b)) => members(a, b, path, out)?,
        (_, Kind::Null) => return Err(no_merge_patch(path)),
        _ => whole(new, path, out)?,
    }
    path.truncate(base);
    Ok(())
}

/// A value that is put in place of another. What is `null` in an object would not arrive; in an array it does.
fn whole(value: &Value<'_>, path: &mut String, out: &mut Vec<u8>) -> Result<(), DiffError> {
    check_nulls(value, path)?;
    out.extend_from_slice(value.raw());
    Ok(())
}

fn check_nulls(value: &Value<'_>, path: &mut String) -> Result<(), DiffError> {
    let Kind::Object(members) = value.kind() else {
        return Ok(());
    };
    for (name, value) in members {
        let base = path.len();
        push_token(path, name);
        if matches!(value.kind(), Kind::Null) {
            return Err(no_merge_patch(path));
        }
        check_nulls(value, path)?;
        path.truncate(base);
    }
    Ok(())
}

fn no_merge_patch(path: &str) -> DiffError {
    DiffError::NoMergePatch(Pointer::from_escaped(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, Value as Json};

    /// RFC 7396, section 2.
    fn apply(target: &Json, patch: &Json) -> Json {
        let Json::Object(patch) = patch else {
            return patch.clone();
        };
        let mut target = match target {
            Json::Object(members) => members.clone(),
            _ => Map::new(),
        };
        for (name, value) in patch {
            match value {
                Json::Null => {
                    target.remove(name);
                }
                value => {
                    let before = target.get(name).cloned().unwrap_or(Json::Null);
                    target.insert(name.clone(), apply(&before, value));
                }
            }
        }
        Json::Object(target)
    }

    fn patch(old: &str, new: &str) -> Result<String, String> {
        let mut out = Vec::new();
        match write_merge_patch(old.as_bytes(), new.as_bytes(), &mut out) {
            Ok(()) => Ok(String::from_utf8(out).unwrap()),
            Err(DiffError::NoMergePatch(at)) => Err(at.to_string()),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn what_it_makes_applies() {
        let documents = [
            "{}",
            r#"{"a":1}"#,
            r#"{"a":{"b":[1,null],"c":2}}"#,
            r#"{"a":{"c":3},"z":[]}"#,
            r#"{"a":"x","b":{"c":{}}}"#,
            "[1,2]",
            "null",
            "7",
        ];
        for old in documents {
            for new in documents {
                let made = patch(old, new).unwrap();
                let json = |text: &str| serde_json::from_str::<Json>(text).unwrap();
                assert_eq!(
                    apply(&json(old), &json(&made)),
                    json(new),
                    "{old} {new} {made}"
                );
            }
        }
        assert_eq!(patch(r#"{"a":1}"#, r#"{"a":1}"#).unwrap(), "{}");
    }

    #[test]
    fn what_it_cannot_express_is_an_error() {
        for (old, new, at) in [
            ("{}", r#"{"a":null}"#, "/a"),
            (r#"{"a":1}"#, r#"{"a":null}"#, "/a"),
            (r#"{"a":1}"#, r#"{"a":{"b/c":{"d":null}}}"#, "/a/b~1c/d"),
            ("[]", r#"{"a":null}"#, "/a"),
        ] {
            assert_eq!(patch(old, new).unwrap_err(), at);
        }
        // What was null before and still is needs no word.
        assert_eq!(
            patch(r#"{"a":null,"b":1}"#, r#"{"a":null,"b":2}"#).unwrap(),
            r#"{"b":2}"#
        );
    }
}
