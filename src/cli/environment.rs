//! What the command takes from its environment: the only place that reads it.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::archive::IndexPlace;

/// Where systems keep the login name.
const LOGIN_NAMES: [&str; 3] = ["USER", "LOGNAME", "USERNAME"];

/// The environment of a call. Empty variables count as not set.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    /// `BACKSTORY_ARCHIVE`
    pub archive: Option<PathBuf>,
    /// `BACKSTORY_INDEX`
    pub index: Option<PathBuf>,
    /// `BACKSTORY_AUTHOR`, else the login name.
    pub author: Option<String>,
    /// The login name.
    pub user: Option<String>,
    /// Where the user's caches are.
    cache: Option<PathBuf>,
}

impl Environment {
    pub fn read() -> Environment {
        let text = |name| variable(name).and_then(|value| value.into_string().ok());
        let user = LOGIN_NAMES.into_iter().find_map(text);
        Environment {
            archive: variable("BACKSTORY_ARCHIVE").map(PathBuf::from),
            index: variable("BACKSTORY_INDEX").map(PathBuf::from),
            author: text("BACKSTORY_AUTHOR").or_else(|| user.clone()),
            user,
            cache: variable("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .filter(|folder| folder.is_absolute())
                .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".cache"))),
        }
    }

    /// The name of the machine.
    pub fn host(&self) -> Option<String> {
        let system = rustix::system::uname();
        let name = system.nodename().to_string_lossy().into_owned();
        (!name.is_empty()).then_some(name)
    }

    /// Where the index is kept.
    pub fn index_place(&self) -> IndexPlace {
        match &self.index {
            Some(file) => IndexPlace::At(file.clone()),
            None => self.index_place_of_another(),
        }
    }

    /// Where that of a second archive is kept: `BACKSTORY_INDEX` is for one.
    pub fn index_place_of_another(&self) -> IndexPlace {
        match &self.cache {
            Some(cache) => IndexPlace::BesideOr(cache.join("backstory")),
            None => IndexPlace::Beside,
        }
    }
}

fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}
