//! A row of commits on a disk that is crashed afterwards.

use backstory::storage::Storage;
use backstory::{Archive, Document, ErrorKind};

use super::disk::{Disk, Image, Op, Recording, Shared};
use super::explore::{Counts, Effort, Explorer, torture};
use super::history::{Commit, Verify, check};

pub struct Run {
    pub disk: Shared,
    pub archive: Archive,
    pub commits: Vec<Commit>,
}

impl Run {
    /// A new archive that is safely on disk. Segments take no more commits beyond so many bytes.
    pub fn begin(segment_bytes: Option<u64>) -> Run {
        let disk = Disk::with(Image::default());
        Archive::create_on(disk.share()).unwrap();
        if let Some(bytes) = segment_bytes {
            let file = disk.create("settings.json").unwrap();
            let text = format!("{{\"segment_bytes\": {bytes}}}");
            file.write_all_at(text.as_bytes(), 0).unwrap();
        }
        let disk = Disk::with(disk.0.image());
        disk.0.mark(Op::Made);
        Run {
            archive: Archive::open_on(disk.share()).unwrap(),
            disk,
            commits: Vec::new(),
        }
    }

    /// Does what makes these commits; were they acknowledged?
    pub fn commit<T>(
        &mut self,
        commits: Vec<Commit>,
        act: impl FnOnce(&Archive) -> backstory::Result<T>,
    ) -> bool {
        let numbers = self.commits.len()..self.commits.len() + commits.len();
        self.commits.extend(commits);
        numbers.clone().for_each(|n| self.disk.0.mark(Op::Begin(n)));
        match act(&self.archive) {
            Ok(_) => {
                numbers.for_each(|n| self.disk.0.mark(Op::Acknowledge(n)));
                true
            }
            Err(error) => {
                let kinds = [ErrorKind::Io, ErrorKind::OutcomeUnknown];
                assert!(kinds.contains(&error.kind()), "{error}");
                if error.kind() == ErrorKind::OutcomeUnknown {
                    self.reopen();
                }
                false
            }
        }
    }

    pub fn save_all(&mut self, documents: &[(&str, &str)]) -> bool {
        let changes: Vec<_> = documents
            .iter()
            .map(|(path, text)| (*path, Some(*text)))
            .collect();
        self.commit(vec![Commit::of(&changes)], |archive| {
            let mut save = archive.save();
            for (path, text) in documents {
                save.add(path, Document::source(*text))?;
            }
            save.commit()
        })
    }

    pub fn save(&mut self, path: &str, text: &str) -> bool {
        self.save_all(&[(path, text)])
    }

    /// Goes on with a new handle.
    pub fn reopen(&mut self) {
        self.archive = Archive::open_on(self.disk.share()).unwrap();
    }

    /// Begins a save; the process is killed between its write and its sync, and another one goes on.
    pub fn killed_save(&mut self, path: &str, text: &str) {
        self.save(path, text);
        let mut recording = self.disk.0.recording();
        let is_write = |op: &Op| matches!(op, Op::Write { .. });
        let last = recording.ops.iter().rposition(is_write).unwrap();
        recording.ops.truncate(last + 1);
        self.disk = Disk::replay(&recording);
        self.reopen();
    }

    /// Ends the handle and gives what was done.
    pub fn end(self) -> (Recording, Vec<Commit>) {
        let Run {
            disk,
            archive,
            commits,
        } = self;
        let marks = super::explore::marks(&disk.0.recording().ops);
        check(&archive, &commits, &marks, Verify::All).unwrap();
        drop(archive);
        let next = Archive::open_on(disk.share()).unwrap();
        check(&next, &commits, &marks, Verify::All).unwrap();
        drop(next);
        (disk.0.recording(), commits)
    }

    /// Crashes everywhere; how many states there were.
    pub fn explore(self, name: &str) -> Counts {
        let (recording, commits) = self.end();
        explore(name, &recording, 0, &commits, Effort::usual())
    }
}

/// Crashes everywhere from call number `from` on.
pub fn explore(
    name: &str,
    recording: &Recording,
    from: usize,
    commits: &[Commit],
    effort: Effort,
) -> Counts {
    let start = std::time::Instant::now();
    let mut explorer = Explorer::new(name, effort);
    let result = explorer.explore(recording, from, commits, 0);
    let counts = explorer.counts;
    // The test harness shows it where the test fails.
    let calls = recording.ops.len() - from;
    let text = format!("{name}: {calls} calls, {counts:?}, {:.1?}", start.elapsed());
    match torture() {
        Some(_) => eprintln!("{text}"),
        None => println!("{text}"),
    }
    if let Err(error) = result {
        panic!("{name}: {error}");
    }
    counts
}

impl Shared {
    /// Another handle of the same disk.
    pub fn share(&self) -> std::sync::Arc<Shared> {
        std::sync::Arc::new(self.clone())
    }
}

/// A document that differs in a few places from that of another `n`, and wholly from that of another `seed`. It takes
/// about `len` bytes, also when it is compressed.
pub fn document(seed: u64, n: u64, len: usize) -> String {
    let mut random = super::power::Random(seed);
    let mut words = vec![format!("\"n\": {n}")];
    let mut total = 0;
    while total < len {
        let word = format!("\"{:x}\":  \"{:x}\"", words.len(), random.next());
        total += word.len();
        words.push(word);
    }
    format!("{{{}}}\n", words.join(",\n "))
}
