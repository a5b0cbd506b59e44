//! The files that are watched, and which of them have changed and are quiet.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::collect::collect;
use super::super::failure::Failure;
use crate::storage::files::{self, Stamp};
use crate::workspace::{ARCHIVE_FOLDER, find_archive};

/// A file that is never quiet is saved as it is after so many times the quiet that is asked for …
const PATIENCE: u32 = 10;
/// … but not before this.
const LEAST_PATIENCE: Duration = Duration::from_secs(2);

/// What is to be watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Root {
    Folder(PathBuf),
    File(PathBuf),
}

impl Root {
    pub fn folder(path: PathBuf) -> Root {
        Root::Folder(path)
    }

    pub fn file(path: PathBuf) -> Root {
        Root::File(path)
    }
}

/// One file.
#[derive(Default)]
struct Seen {
    /// As of the last look.
    stamp: Option<Stamp>,
    /// Since when it has changes that are not saved, and when it changed last.
    changed: Option<(Instant, Instant)>,
    /// It was said that this is no document.
    invalid: Option<Stamp>,
}

/// The files.
pub(super) struct Files {
    /// The folder that holds `.backstory`.
    folder: PathBuf,
    roots: Vec<Root>,
    no_ignore: bool,
    debounce: Duration,
    seen: BTreeMap<PathBuf, Seen>,
    /// Everything is to be looked at: since when, and when that was last asked for.
    look: Option<(Instant, Instant)>,
}

impl Files {
    pub fn new(folder: PathBuf, roots: Vec<Root>, no_ignore: bool, debounce: Duration) -> Files {
        Files {
            folder,
            roots,
            no_ignore,
            debounce,
            seen: BTreeMap::new(),
            look: None,
        }
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.seen
            .values()
            .filter(|seen| seen.stamp.is_some())
            .count()
    }

    /// Takes note of an archived file, if it is one of those that are watched.
    pub fn know(&mut self, file: &Path) {
        let watched = self.roots.iter().any(|root| match root {
            Root::Folder(folder) => file.starts_with(folder),
            Root::File(path) => path == file,
        });
        if watched && !self.seen.contains_key(file) {
            self.touch(file, true);
        }
    }

    /// Looks at every file.
    pub fn look_everywhere(&mut self) -> Result<(), Failure> {
        self.look = None;
        let mut found = Vec::new();
        for root in &self.roots {
            match root {
                Root::File(file) => found.push(file.clone()),
                Root::Folder(folder) if files::is_folder(folder) => {
                    found.extend(collect(folder, self.no_ignore)?.files);
                }
                Root::Folder(_) => {}
            }
        }
        // Those of an archive further down are its own.
        let mut ours: HashMap<PathBuf, bool> = HashMap::new();
        found.retain(|file| {
            let parent = file.parent().unwrap_or(file).to_owned();
            *ours.entry(parent).or_insert_with_key(|parent| {
                find_archive(parent).is_none_or(|nearest| nearest == self.folder)
            })
        });
        let known: Vec<PathBuf> = self.seen.keys().cloned().collect();
        for file in found.into_iter().chain(known) {
            self.touch(&file, false);
        }
        Ok(())
    }

    /// Looks at every file, where that was asked for.
    pub fn look_if_asked(&mut self) {
        if self.look.is_some() {
            self.look_now();
        }
    }

    /// Looks at every file; a folder that went while it was searched is looked at again.
    pub fn look_now(&mut self) {
        if self.look_everywhere().is_err() {
            self.look_later();
        }
    }

    /// Everything is to be looked at once it is quiet.
    pub fn look_later(&mut self) {
        let now = Instant::now();
        let since = self.look.map_or(now, |(since, _)| since);
        self.look = Some((since, now));
    }

    /// Something may have happened to these.
    pub fn changed(&mut self, paths: &[PathBuf]) {
        for path in paths {
            let ours = |part: std::path::Component<'_>| {
                part.as_os_str() == ARCHIVE_FOLDER || part.as_os_str() == ".git"
            };
            if path.components().any(ours) {
                continue;
            }
            if self.seen.contains_key(path) {
                self.touch(path, true);
            } else if self.may_matter(path) {
                self.look_later();
            }
        }
    }

    /// Is this a folder, a file that is not known yet, or what decides which files count?
    fn may_matter(&self, path: &Path) -> bool {
        let inside = self.roots.iter().any(|root| match root {
            Root::Folder(folder) => path.starts_with(folder),
            Root::File(_) => false,
        });
        let name = path.file_name().unwrap_or_default();
        let json = path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        let rules = name == ".gitignore" || name == ".ignore";
        let gone = || {
            let mut below = self.seen.range(path.to_owned()..);
            below.next().is_some_and(|(file, _)| file.starts_with(path))
        };
        inside && (json || rules || files::is_folder(path) || gone())
    }

    fn touch(&mut self, file: &Path, surely: bool) {
        let stamp = files::stamp(file);
        let is_new = !self.seen.contains_key(file);
        let seen = self.seen.entry(file.to_owned()).or_default();
        if surely || is_new || seen.stamp != stamp {
            let now = Instant::now();
            let since = seen.changed.map_or(now, |(since, _)| since);
            seen.changed = Some((since, now));
            seen.stamp = stamp;
        }
    }

    /// Has any file changes that are not saved?
    pub fn has_changed(&self) -> bool {
        self.seen.values().any(|seen| seen.changed.is_some())
    }

    /// How long until there is something to save; none where nothing has changed.
    pub fn due_in(&self) -> Option<Duration> {
        let changed = self.seen.values().filter_map(|seen| seen.changed);
        let all: Vec<(Instant, Instant)> = changed.chain(self.look).collect();
        let first = all.iter().map(|(since, _)| *since).min()?;
        let last = all.iter().map(|(_, last)| *last).max()?;
        let due = (last + self.debounce).min(first + self.patience());
        Some(due.saturating_duration_since(Instant::now()))
    }

    fn patience(&self) -> Duration {
        (self.debounce * PATIENCE).max(LEAST_PATIENCE)
    }

    /// The files to be saved now: those that are quiet, and those that never are.
    pub fn due(&self, all: bool) -> Vec<PathBuf> {
        let now = Instant::now();
        let quiet = |(since, last): (Instant, Instant)| {
            all || now >= last + self.debounce || now >= since + self.patience()
        };
        let changed = self
            .seen
            .iter()
            .filter(|(_, seen)| seen.changed.is_some_and(quiet));
        changed.map(|(file, _)| file.clone()).collect()
    }

    /// What was read of a file when it had this stamp is in the archive, or the file is known to be missing.
    pub fn done(&mut self, file: &Path, stamp: Option<Stamp>) {
        if let Some(seen) = self.seen.get_mut(file) {
            seen.stamp = stamp;
            seen.changed = None;
            seen.invalid = None;
        }
        // It may have changed since.
        self.touch(file, false);
    }

    /// What was read of a file when it had this stamp is no document. Is that news?
    pub fn is_invalid(&mut self, file: &Path, stamp: Option<Stamp>) -> bool {
        let Some(seen) = self.seen.get_mut(file) else {
            return false;
        };
        seen.stamp = stamp;
        seen.changed = None;
        let first = seen.invalid.is_none();
        seen.invalid = stamp;
        self.touch(file, false);
        first
    }
}
