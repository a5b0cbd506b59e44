//! A value of an answer.

use std::fmt;

use rusqlite::types::ValueRef;

/// A value of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// A double.
    Real(f64),
    /// Text, which may be JSON.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef<'_>) -> Value {
        match value {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => Value::Integer(number),
            ValueRef::Real(number) => Value::Real(number),
            ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
        }
    }
}

impl fmt::Display for Value {
    /// As plain text: nothing for null, hexadecimal for bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Null => Ok(()),
            Value::Integer(number) => write!(f, "{number}"),
            // JSON text, too: it has no word for infinity, and this is read back as one.
            Value::Real(number) if number.is_infinite() => {
                f.write_str(if *number > 0.0 { "9e999" } else { "-9e999" })
            }
            Value::Real(number) => write!(f, "{number:?}"),
            Value::Text(text) => f.write_str(text),
            Value::Blob(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}
