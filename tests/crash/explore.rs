//! Crashes a recording everywhere, and checks what is left and what is made of it.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::disk::{Disk, Op, Recording, Shared, folder_of};
use super::history::{Commit, Marks};
use super::loss::tears;
use super::power::{self, Limits, Model, Random};
use super::recovery::{Next, recover};

/// How thorough to be.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    pub limits: Limits,
    /// Of so many states one is saved to and crashed again.
    pub again: usize,
    /// Of so many states whose unsynced bytes were lost unseen one is crashed at all points of its recovery; the
    /// others at its end.
    pub again_lost: usize,
    /// Of so many points of a recovery one is a crash point.
    pub sparse: usize,
    pub limits_again: Limits,
}

impl Effort {
    /// A few seconds for a workload of some dozen calls; far more where the environment asks for it.
    pub fn usual() -> Effort {
        let torture = torture().is_some();
        let times = if torture { 12 } else { 1 };
        let limits = Limits {
            states: 7 * times,
            names: 8 * times,
            contents: 16 * times,
            notes: if torture { 6 } else { 1 },
        };
        Effort {
            limits,
            again: if torture { 6 } else { 150 },
            again_lost: if torture { 2 } else { 8 },
            sparse: if torture { 1 } else { 2 },
            limits_again: Limits {
                states: if torture { 8 } else { 3 },
                notes: 0,
                ..limits
            },
        }
    }
}

impl Effort {
    /// For one of a row of workloads that are much alike.
    pub fn brief() -> Effort {
        let mut effort = Effort::usual();
        effort.limits.states = effort.limits.states * 4 / 7;
        effort.again *= 2;
        effort.again_lost *= 2;
        effort
    }

    /// For few calls after which much is unsynced.
    pub fn dense() -> Effort {
        let mut effort = Effort::usual();
        effort.limits.states *= 8;
        effort.limits.contents *= 4;
        effort.again = effort.again.min(12);
        effort
    }
}

/// The seed that the environment asks for, with more effort.
pub fn torture() -> Option<u64> {
    let value = std::env::var("BACKSTORY_TORTURE").ok()?;
    Some(value.parse().unwrap_or(1))
}

/// The commits that have begun and were acknowledged in these calls.
pub fn marks(ops: &[Op]) -> Marks {
    let mut marks = Marks::default();
    for op in ops {
        match op {
            Op::Made => marks.made = true,
            Op::Begin(number) => {
                marks.begun.insert(*number);
            }
            Op::Acknowledge(number) => {
                marks.acknowledged.insert(*number);
            }
            _ => {}
        }
    }
    marks
}

/// One way of crashing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Crash {
    Killed,
    /// Killed, and what was not synced was then lost by the system while its cache still shows it.
    KilledAndNotWritten,
    Power(Model),
}

/// Is there a file or a name that no sync has covered?
fn has_unsynced(ops: &[Op]) -> bool {
    ops.iter().enumerate().any(|(at, op)| {
        let mut behind = ops[at..].iter();
        match op {
            Op::Write { inode, .. } | Op::SetLen { inode, .. } => {
                let (inode, ok) = (*inode, true);
                !behind.any(|op| *op == Op::Sync { inode, ok })
            }
            _ => op.name().is_some_and(|name| {
                let (folder, ok) = (folder_of(name).to_owned(), true);
                !behind.any(|op| {
                    *op == Op::SyncDir {
                        folder: folder.clone(),
                        ok,
                    }
                })
            }),
        }
    })
}

/// How many different states were checked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub killed: usize,
    pub ordered: usize,
    pub strict: usize,
    /// Of crashes in recoveries.
    pub again: usize,
}

impl Counts {
    fn of(&mut self, crash: Crash, depth: usize) -> &mut usize {
        match crash {
            _ if depth > 0 => &mut self.again,
            Crash::Killed | Crash::KilledAndNotWritten => &mut self.killed,
            Crash::Power(Model::Ordered) => &mut self.ordered,
            Crash::Power(Model::Strict) => &mut self.strict,
        }
    }
}

impl Counts {
    pub fn add(&mut self, other: &Counts) {
        self.killed += other.killed;
        self.ordered += other.ordered;
        self.strict += other.strict;
        self.again += other.again;
    }

    /// No test may check nothing without anybody noticing.
    pub fn at_least(&self, killed: usize, ordered: usize, strict: usize, again: usize) {
        assert!(
            self.killed >= killed
                && self.ordered >= ordered
                && self.strict >= strict
                && self.again >= again,
            "only {self:?}"
        );
    }
}

pub struct Explorer {
    effort: Effort,
    random: Random,
    seen: HashSet<[u8; 32]>,
    pub counts: Counts,
    /// States found, for choosing those that are crashed again.
    met: usize,
}

impl Explorer {
    pub fn new(name: &str, effort: Effort) -> Explorer {
        let seed = name.bytes().fold(torture().unwrap_or(0), |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        Explorer {
            effort,
            random: Random(seed),
            seen: HashSet::new(),
            counts: Counts::default(),
            met: 0,
        }
    }

    /// Crashes at each point from call number `from` on.
    pub fn explore(
        &mut self,
        recording: &Recording,
        from: usize,
        commits: &[Commit],
        depth: usize,
    ) -> Result<(), String> {
        let ops = &recording.ops;
        for end in from..=ops.len() {
            // Behind the marks that stand here more must be there.
            if ops.get(end).is_some_and(Op::is_mark) {
                continue;
            }
            if depth > 0 && end < ops.len() && self.random.below(self.effort.sparse) > 0 {
                continue;
            }
            let marks = marks(&ops[..end]);
            self.kill(recording, end, commits, &marks, depth)?;
            let limits = match depth {
                0 => self.effort.limits,
                _ => self.effort.limits_again,
            };
            for model in [Model::Ordered, Model::Strict] {
                let mut images = Vec::new();
                let mut random = self.random.clone();
                let mut take = |image, lost| images.push((image, lost));
                power::states(recording, end, model, limits, &mut random, &mut take);
                self.random = random;
                for (image, lost) in images {
                    let crash = Crash::Power(model);
                    let disk = Disk::with(image);
                    // What is known goes with the disk.
                    marks.ops().for_each(|op| disk.0.mark(op));
                    self.state(&disk, crash, commits, depth)
                        .map_err(|error| explain(&error, recording, end, crash, &lost))?;
                }
            }
        }
        Ok(())
    }

    fn kill(
        &mut self,
        recording: &Recording,
        end: usize,
        commits: &[Commit],
        marks: &Marks,
        depth: usize,
    ) -> Result<(), String> {
        let mut cut = recording.clone();
        cut.ops.truncate(end);
        let mut torn: Vec<Option<Op>> = vec![None];
        if let Some(Op::Write {
            inode,
            offset,
            bytes,
        }) = recording.ops.get(end)
        {
            torn.extend(tears(*offset, bytes.len()).into_iter().map(|len| {
                Some(Op::Write {
                    inode: *inode,
                    offset: *offset,
                    bytes: bytes[..len].into(),
                })
            }));
        }
        for torn in torn {
            let lost = format!("torn {:?}", torn.as_ref().map(Op::short));
            let mut cut = cut.clone();
            cut.ops.extend(torn);
            let torn = cut.ops.len() > end;
            debug_assert_eq!(super::explore::marks(&cut.ops), *marks);
            for crash in [Crash::Killed, Crash::KilledAndNotWritten] {
                if crash == Crash::KilledAndNotWritten {
                    // The running system shows the same.
                    let rare = torn && self.random.below(4) > 0;
                    if depth > 0 || rare || !has_unsynced(&cut.ops) {
                        continue;
                    }
                    cut.ops.push(Op::WritebackFailed);
                }
                let disk = Disk::replay(&cut);
                self.state(&disk, crash, commits, depth)
                    .map_err(|error| explain(&error, recording, end, crash, &lost))?;
            }
        }
        Ok(())
    }

    /// Checks one state, saves to it, and now and then crashes that too.
    fn state(
        &mut self,
        disk: &Shared,
        crash: Crash,
        commits: &[Commit],
        depth: usize,
    ) -> Result<(), String> {
        let recording = disk.0.recording();
        let marks = marks(&recording.ops);
        self.met += 1;
        let nest = match (depth, crash) {
            (0, Crash::KilledAndNotWritten) => true,
            (0, _) => self.met.is_multiple_of(self.effort.again),
            _ => false,
        };
        // What the disk shows is the same under all models; what comes of it later is not.
        let same = match crash {
            Crash::Power(_) => Crash::Power(Model::Ordered),
            Crash::Killed | Crash::KilledAndNotWritten => crash,
        };
        let mut key = blake3::Hasher::new();
        key.update(&disk.0.image().hash());
        key.update(format!("{marks:?} {same:?} {depth}").as_bytes());
        if !self.seen.insert(*key.finalize().as_bytes()) {
            return Ok(());
        }
        *self.counts.of(crash, depth) += 1;
        let mut commits = commits.to_vec();
        let next = match self.random.below(6) {
            0 | 1 => Next::New,
            2 => Next::Again,
            3 | 4 => Next::Retry,
            _ => Next::Compact,
        };
        guarded(|| recover(disk, &mut commits, &marks, next, depth))?;
        if nest {
            let after = disk.0.recording();
            // What was lost unseen must not be missed once the recovery was acknowledged. On the way to there is
            // looked at less often.
            let short = crash == Crash::KilledAndNotWritten
                && self.random.below(self.effort.again_lost) > 0;
            let from = match short {
                true => after.ops.len(),
                false => recording.ops.len(),
            };
            self.explore(&after, from, &commits, depth + 1)?;
        }
        Ok(())
    }
}

/// A panic is an error like others: the state that led to it must be told.
pub fn guarded(work: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(panic) => Err(match panic.downcast_ref::<String>() {
            Some(text) => format!("panic: {text}"),
            None => "panic".to_owned(),
        }),
    }
}

fn explain(error: &str, recording: &Recording, end: usize, crash: Crash, lost: &str) -> String {
    let mut text = format!("{error}\n{crash:?} in front of call {end}; {lost}\n");
    let start = end.saturating_sub(60);
    for (at, op) in recording.ops.iter().enumerate().skip(start) {
        if at == end {
            text.push_str("  ---- crash ----\n");
        }
        if at < end + 5 {
            text.push_str(&format!("  {at}: {}\n", op.short()));
        }
    }
    text
}
