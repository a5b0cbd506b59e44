//! What the system tells of changes; where it does not, looking now and then.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::super::context::Context;
use super::files::Root;

/// How often it is looked where the system does not tell.
const POLL: Duration = Duration::from_secs(1);

/// What was heard.
pub(super) enum Told {
    Nothing,
    /// Something may have happened to these.
    Changed(Vec<PathBuf>),
    /// Something happened: look at everything.
    Look,
}

/// Where changes are heard of.
pub(super) struct Events {
    /// Dropped, it is silent.
    _watcher: Option<RecommendedWatcher>,
    heard: Option<Receiver<notify::Result<Event>>>,
    poll: Duration,
    next_look: Instant,
    /// Why the system no longer tells.
    lost: Option<String>,
}

impl Events {
    /// Begins to listen. With `poll`, or where the system does not tell, it is looked instead.
    pub fn begin(roots: &[Root], poll: Option<Duration>, context: &Context) -> Events {
        if poll.is_none() {
            match listen(roots) {
                Ok((watcher, heard)) => {
                    return Events {
                        _watcher: Some(watcher),
                        heard: Some(heard),
                        poll: POLL,
                        next_look: Instant::now(),
                        lost: None,
                    };
                }
                Err(error) => context.notice(&not_told(&error.to_string())),
            }
        }
        let poll = poll.unwrap_or(POLL);
        Events {
            _watcher: None,
            heard: None,
            poll,
            next_look: Instant::now() + poll,
            lost: None,
        }
    }

    /// What is to be said of it; once.
    pub fn take_note(&mut self) -> Option<String> {
        let lost = self.lost.take()?;
        Some(not_told(&lost))
    }

    /// From now on it is looked: a new folder, say, is one too many for the system.
    fn stop_listening(&mut self, why: String) -> Told {
        (self.heard, self._watcher) = (None, None);
        self.next_look = Instant::now() + self.poll;
        self.lost = Some(why);
        Told::Look
    }

    /// Waits at most this long.
    pub fn wait(&mut self, at_most: Duration) -> Told {
        let Some(heard) = &self.heard else {
            return self.wait_to_look(at_most);
        };
        let mut next = match heard.recv_timeout(at_most) {
            Ok(event) => Some(event),
            Err(RecvTimeoutError::Timeout) => return Told::Nothing,
            Err(RecvTimeoutError::Disconnected) => {
                return self.stop_listening("it has stopped".to_owned());
            }
        };
        let mut paths = Vec::new();
        while let Some(event) = next {
            match event {
                Ok(event) if event.need_rescan() => return Told::Look,
                Ok(event) if is_change(&event.kind) => paths.extend(event.paths),
                Ok(_) => {}
                Err(error) => return self.stop_listening(error.to_string()),
            }
            next = heard.try_recv().ok();
        }
        match paths.is_empty() {
            true => Told::Nothing,
            false => Told::Changed(paths),
        }
    }

    fn wait_to_look(&mut self, at_most: Duration) -> Told {
        let now = Instant::now();
        if now < self.next_look {
            std::thread::sleep(at_most.min(self.next_look - now));
            return Told::Nothing;
        }
        self.next_look = now + self.poll;
        Told::Look
    }
}

fn not_told(why: &str) -> String {
    format!("note: the system does not tell of changes here ({why}); looking every second instead")
}

fn listen(roots: &[Root]) -> notify::Result<(RecommendedWatcher, Receiver<notify::Result<Event>>)> {
    let (sender, heard) = channel();
    let mut watcher = notify::recommended_watcher(sender)?;
    for root in roots {
        match root {
            Root::Folder(folder) => watcher.watch(folder, RecursiveMode::Recursive)?,
            // Editors put another file in its place: the folder tells of that.
            Root::File(file) => {
                if let Some(folder) = file.parent() {
                    watcher.watch(folder, RecursiveMode::NonRecursive)?;
                }
            }
        }
    }
    Ok((watcher, heard))
}

/// Opening and reading is no change.
fn is_change(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}
