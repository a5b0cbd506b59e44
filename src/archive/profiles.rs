//! Diff profiles: what a comparison of certain paths leaves out, kept beside the log.

use std::io::ErrorKind;

use serde_json::{Map, Value, json};

use super::Archive;
use crate::diff::{DiffOptions, Pattern, Tolerance};
use crate::error::{Error, Result};
use crate::log::format::{ARCHIVE_FOLDER, PROFILES_FILE};
use crate::storage::{Storage, replace};

/// How the versions of some paths are compared unless said otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct DiffProfile {
    /// Which paths: `*` stands for any part of a name, `?` for one character, and `**` for any number of folders.
    pub paths: String,
    /// What is left out and what counts as equal there.
    pub options: DiffOptions,
}

impl DiffProfile {
    /// Does it hold for this path?
    pub fn matches(&self, path: &str) -> bool {
        let pattern: Vec<&str> = self.paths.split('/').collect();
        let path: Vec<&str> = path.split('/').collect();
        wild(
            &pattern,
            &path,
            |part| *part == "**",
            |pattern, name| {
                let (pattern, name): (Vec<char>, Vec<char>) =
                    (pattern.chars().collect(), name.chars().collect());
                wild(&pattern, &name, |c| *c == '*', |a, b| *a == '?' || a == b)
            },
        )
    }
}

/// Does a pattern stand for a text, where some of its parts stand for any number of parts? In steps of at most the product
/// of the two lengths.
fn wild<T>(
    pattern: &[T],
    text: &[T],
    any: impl Fn(&T) -> bool,
    one: impl Fn(&T, &T) -> bool,
) -> bool {
    let (mut p, mut t) = (0, 0);
    // The last part that stands for any number, and how much of the text it stands for.
    let mut back: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && any(&pattern[p]) {
            back = Some((p, t));
            p += 1;
        } else if p < pattern.len() && one(&pattern[p], &text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star, upto)) = back {
            back = Some((star, upto + 1));
            p = star + 1;
            t = upto + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(any)
}

impl Archive {
    /// All diff profiles, in the order of their patterns.
    ///
    /// # Errors
    /// `Usage` where the file that holds them is not what this program wrote.
    pub fn diff_profiles(&self) -> Result<Vec<DiffProfile>> {
        read(&*self.engine.storage)
    }

    /// How versions of this path are compared: all profiles that hold for it, together.
    ///
    /// # Errors
    /// As [`Archive::diff_profiles`].
    pub fn diff_options(&self, path: &str) -> Result<DiffOptions> {
        let mut all = DiffOptions::default();
        for profile in self.diff_profiles()? {
            if profile.matches(path) {
                all.extend(profile.options);
            }
        }
        Ok(all)
    }

    /// Keeps a profile, instead of the one with the same pattern. It is no part of the history.
    ///
    /// # Errors
    /// Where the archive cannot be written; `Busy` where another writer has the lock for too long.
    pub fn set_diff_profile(&self, profile: DiffProfile) -> Result<()> {
        self.change_profiles(|profiles| {
            profiles.retain(|old| old.paths != profile.paths);
            profiles.push(profile);
            Ok(())
        })
    }

    /// Forgets the profile with this pattern.
    ///
    /// # Errors
    /// `NotFound` where there is none; otherwise as [`Archive::set_diff_profile`].
    pub fn delete_diff_profile(&self, paths: &str) -> Result<()> {
        self.change_profiles(|profiles| {
            let before = profiles.len();
            profiles.retain(|old| old.paths != paths);
            match profiles.len() < before {
                true => Ok(()),
                false => Err(Error::not_found(format!("no diff profile for {paths}"))),
            }
        })
    }

    fn change_profiles(
        &self,
        change: impl FnOnce(&mut Vec<DiffProfile>) -> Result<()>,
    ) -> Result<()> {
        let engine = &self.engine;
        engine.check_writable()?;
        let failed = |error| Error::io(format!("write {ARCHIVE_FOLDER}/{PROFILES_FILE}"), error);
        let _lock = engine
            .storage
            .lock(engine.wait)
            .map_err(failed)?
            .ok_or_else(|| Error::Busy(engine.wait.as_secs_f64()))?;
        let mut profiles = read(&*engine.storage)?;
        change(&mut profiles)?;
        profiles.sort_by(|a, b| a.paths.cmp(&b.paths));
        let text = format!(
            "{:#}\n",
            json!({"profiles": Vec::from_iter(profiles.iter().map(to_json))})
        );
        replace(&*engine.storage, "", PROFILES_FILE, text.as_bytes()).map_err(failed)
    }
}

fn read(storage: &dyn Storage) -> Result<Vec<DiffProfile>> {
    let bytes = match storage.read(PROFILES_FILE) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            return Err(Error::io(
                format!("read {ARCHIVE_FOLDER}/{PROFILES_FILE}"),
                error,
            ));
        }
    };
    let bad = |what: &str| Error::invalid(format!("{ARCHIVE_FOLDER}/{PROFILES_FILE}: {what}"));
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| bad(&error.to_string()))?;
    let profiles = value["profiles"].as_array();
    profiles
        .ok_or_else(|| bad("an array `profiles` is expected"))?
        .iter()
        .map(|profile| {
            of_json(profile).ok_or_else(|| bad(&format!("this is no profile: {profile}")))
        })
        .collect()
}

/// What is said, and nothing else.
fn to_json(profile: &DiffProfile) -> Value {
    let mut object = Map::new();
    object.insert("paths".to_owned(), profile.paths.as_str().into());
    let options = &profile.options;
    let mut list = |name: &str, values: Vec<Value>| {
        if !values.is_empty() {
            object.insert(name.to_owned(), values.into());
        }
    };
    list(
        "ignore",
        options.ignore.iter().map(|at| at.as_str().into()).collect(),
    );
    let tolerance = |tolerance: &Tolerance| {
        let mut object = Map::new();
        if let Some(at) = &tolerance.at {
            object.insert("at".to_owned(), at.as_str().into());
        }
        for (name, value) in [
            ("absolute", tolerance.absolute),
            ("relative", tolerance.relative),
        ] {
            if value > 0.0 {
                object.insert(name.to_owned(), value.into());
            }
        }
        Value::Object(object)
    };
    list(
        "tolerances",
        options.tolerances.iter().map(tolerance).collect(),
    );
    let key = |(at, member): &(Pattern, String)| json!({"at": at.as_str(), "member": member});
    list("keys", options.keys.iter().map(key).collect());
    Value::Object(object)
}

fn of_json(value: &Value) -> Option<DiffProfile> {
    let list = |name: &str| match value.get(name) {
        None => Some([].as_slice()),
        Some(list) => list.as_array().map(Vec::as_slice),
    };
    let pattern = |value: &Value| Pattern::parse(value.as_str()?).ok();
    let number = |value: Option<&Value>| match value {
        None => Some(0.0),
        Some(value) => value.as_f64().filter(|number| *number >= 0.0),
    };
    let known = ["paths", "ignore", "tolerances", "keys"];
    if !value
        .as_object()?
        .keys()
        .all(|name| known.contains(&name.as_str()))
    {
        return None;
    }
    let tolerance = |value: &Value| {
        Some(Tolerance {
            at: match value.get("at") {
                None => None,
                Some(at) => Some(pattern(at)?),
            },
            absolute: number(value.get("absolute"))?,
            relative: number(value.get("relative"))?,
        })
    };
    Some(DiffProfile {
        paths: value["paths"].as_str()?.to_owned(),
        options: DiffOptions {
            ignore: list("ignore")?.iter().map(pattern).collect::<Option<_>>()?,
            tolerances: list("tolerances")?
                .iter()
                .map(tolerance)
                .collect::<Option<_>>()?,
            keys: list("keys")?
                .iter()
                .map(|key| Some((pattern(&key["at"])?, key["member"].as_str()?.to_owned())))
                .collect::<Option<_>>()?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(paths: &str) -> DiffProfile {
        DiffProfile {
            paths: paths.to_owned(),
            options: DiffOptions {
                ignore: vec![Pattern::parse("/runs/*/at").unwrap()],
                tolerances: vec![
                    Tolerance {
                        at: None,
                        absolute: 0.5,
                        relative: 0.0,
                    },
                    Tolerance {
                        at: Some(Pattern::parse("/a").unwrap()),
                        absolute: 0.0,
                        relative: 1e-6,
                    },
                ],
                keys: vec![(Pattern::parse("/hosts").unwrap(), "host".to_owned())],
            },
        }
    }

    #[test]
    fn patterns() {
        for (pattern, path, expected) in [
            ("a.json", "a.json", true),
            ("a.json", "b/a.json", false),
            ("*.json", "a.json", true),
            ("*.json", "b/a.json", false),
            ("**/*.json", "a.json", true),
            ("**/*.json", "b/c/a.json", true),
            ("**", "b/c/a.json", true),
            ("runs/*/m?.json", "runs/1/m1.json", true),
            ("runs/*/m?.json", "runs/1/2/m1.json", false),
            ("runs/**/m.json", "runs/m.json", true),
            ("r*s/*x*", "runs/axb", true),
            ("", "a", false),
        ] {
            assert_eq!(profile(pattern).matches(path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn what_is_kept_is_what_is_read() {
        let archive = Archive::in_memory().unwrap();
        assert_eq!(archive.diff_profiles().unwrap(), []);
        archive.set_diff_profile(profile("runs/*.json")).unwrap();
        let plain = DiffProfile {
            options: DiffOptions::default(),
            ..profile("**")
        };
        archive.set_diff_profile(plain.clone()).unwrap();
        archive.set_diff_profile(profile("runs/*.json")).unwrap();
        assert_eq!(
            archive.diff_profiles().unwrap(),
            [plain, profile("runs/*.json")]
        );
        assert_eq!(
            archive.diff_options("runs/1.json").unwrap(),
            profile("").options
        );
        assert!(archive.diff_options("1.json").unwrap().is_default());
        assert!(archive.delete_diff_profile("x").unwrap_err().is_not_found());
        archive.delete_diff_profile("runs/*.json").unwrap();
        assert!(archive.diff_options("runs/1.json").unwrap().is_default());
    }
}
