//! JSON objects whose members come out in the order in which they are put in.

use serde_json::{Map, Value};

/// An object under construction.
pub(super) struct Object {
    text: String,
}

impl Object {
    pub fn new() -> Object {
        Object {
            text: "{".to_owned(),
        }
    }

    /// A member whose value is JSON text already.
    pub fn raw(&mut self, name: &str, json: &str) -> &mut Object {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        self.text.push_str(&string(name));
        self.text.push(':');
        self.text.push_str(json);
        self
    }

    pub fn text(&mut self, name: &str, value: &str) -> &mut Object {
        self.raw(name, &string(value))
    }

    /// A string, or `null`.
    pub fn optional_text(&mut self, name: &str, value: Option<&str>) -> &mut Object {
        match value {
            Some(value) => self.text(name, value),
            None => self.raw(name, "null"),
        }
    }

    /// What prints as a string, or `null`.
    pub fn optional(&mut self, name: &str, value: Option<impl ToString>) -> &mut Object {
        self.optional_text(name, value.map(|value| value.to_string()).as_deref())
    }

    pub fn number(&mut self, name: &str, value: u64) -> &mut Object {
        self.raw(name, &value.to_string())
    }

    /// A number, or `null`.
    pub fn optional_number(&mut self, name: &str, value: Option<u64>) -> &mut Object {
        match value {
            Some(value) => self.number(name, value),
            None => self.raw(name, "null"),
        }
    }

    pub fn boolean(&mut self, name: &str, value: bool) -> &mut Object {
        self.raw(name, if value { "true" } else { "false" })
    }

    pub fn map(&mut self, name: &str, value: &Map<String, Value>) -> &mut Object {
        let members: Vec<String> = value
            .iter()
            .map(|(key, value)| format!("{}:{value}", string(key)))
            .collect();
        self.raw(name, &format!("{{{}}}", members.join(",")))
    }

    /// The finished text, without a line end.
    pub fn finish(&self) -> String {
        format!("{}}}", self.text)
    }
}

/// An array of values that are JSON text already.
pub(super) fn array(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(","))
}

fn string(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order_and_are_escaped() {
        let mut object = Object::new();
        object
            .text("z", "a\"\n")
            .number("a", 1)
            .optional_text("n", None)
            .boolean("b", true);
        assert_eq!(object.finish(), r#"{"z":"a\"\n","a":1,"n":null,"b":true}"#);
        assert_eq!(Object::new().finish(), "{}");
    }
}
