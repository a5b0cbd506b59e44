//! Where a version comes from: the program that made it, the code it ran, and on which machine.
//!
//! Nothing here reads the environment: callers say what they know. The command line is recorded only without what looks
//! like a secret, see [`without_secrets`].

mod arguments;
mod git;

pub use arguments::{MASK, without_secrets};
pub use git::{Git, git_state};

use serde_json::{Map, Value};

/// The member of a commit's metadata that holds a provenance.
pub const META_KEY: &str = "provenance";

/// Where a version comes from. What is not known is left out of the metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    command: Vec<String>,
    /// The code that ran.
    pub git: Option<Git>,
    /// The name of the machine.
    pub host: Option<String>,
    /// The login name.
    pub user: Option<String>,
    /// The version of Python.
    pub python: Option<String>,
}

impl Provenance {
    /// Of a command line, which is kept without its secrets.
    pub fn of_command<T: AsRef<str>>(arguments: &[T]) -> Provenance {
        Provenance {
            command: without_secrets(arguments),
            ..Provenance::default()
        }
    }

    /// The value of [`META_KEY`]: `{"git":{"commit","branch","dirty"},"command":[…],"host","user","python","backstory"}`,
    /// where `backstory` is the version of this library.
    pub fn to_value(&self) -> Value {
        let mut members = Map::new();
        if let Some(git) = &self.git {
            members.insert("git".to_owned(), git.to_value());
        }
        if !self.command.is_empty() {
            members.insert("command".to_owned(), self.command.clone().into());
        }
        let texts = [
            ("host", &self.host),
            ("user", &self.user),
            ("python", &self.python),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                members.insert(name.to_owned(), Value::String(text.clone()));
            }
        }
        let version = env!("CARGO_PKG_VERSION");
        members.insert("backstory".to_owned(), Value::String(version.to_owned()));
        Value::Object(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_left_out() {
        let empty = Provenance::default().to_value();
        assert_eq!(
            empty,
            serde_json::json!({"backstory": env!("CARGO_PKG_VERSION")})
        );
        let mut full = Provenance::of_command(&["train", "--token", "x"]);
        full.host = Some("lab-3".to_owned());
        full.git = Some(Git {
            commit: Some("9f2c".to_owned()),
            branch: None,
            dirty: true,
        });
        let value = full.to_value();
        assert_eq!(
            value["command"],
            serde_json::json!(["train", "--token", MASK])
        );
        assert_eq!(value["host"], "lab-3");
        assert_eq!(
            value["git"],
            serde_json::json!({"commit": "9f2c", "dirty": true})
        );
        assert!(value.get("user").is_none());
    }
}
