//! Crashes while a damaged archive is repaired. What could be loaded before can be loaded behind it, at once or when
//! repair has run again; the damaged bytes are kept; what is saved then is there.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use backstory::repair::{RepairOptions, repair_on};
use backstory::verify::{VerifyOptions, verify};
use backstory::{Archive, CommitId, CompactOptions, Document, ErrorKind, HistoryQuery, Spec};

use super::disk::{Disk, Fault, Image, Op, Recording, Shared};
use super::explore::{guarded, torture};
use super::loss::tears;
use super::power::{self, Limits, Model, Random};
use super::workload::{Run, document};

type Key = (String, u64);

/// An archive, damaged, and what it was.
struct Sample {
    image: Image,
    texts: BTreeMap<Key, String>,
    ids: BTreeMap<u64, CommitId>,
    /// The files that are hit, as the damage has left them.
    damaged: BTreeMap<String, Vec<u8>>,
    /// What loads before it is repaired.
    before: BTreeSet<Key>,
}

type Change<'a> = &'a dyn Fn(&mut Vec<u8>);

/// What is done to an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    /// Bytes in the middle of this segment, counted from the front of the list.
    Middle(usize),
    Missing(usize),
    /// The same in the one that takes commits.
    Active,
    List,
    NoList,
    Identity,
    Everything,
}

impl Sample {
    fn new(compact: bool, harm: Harm) -> Sample {
        let mut run = Run::begin(Some(1024));
        for n in 0..5 {
            let (a, b) = (document(n, n, 400), document(n, 9, 300));
            run.save_all(&[("a", &a), (&format!("b/{}", n % 2), &b)]);
            if n == 2 && compact {
                run.archive.compact(&CompactOptions::default()).unwrap();
            }
        }
        for n in 0..5 {
            run.save("c", &format!("[1,  {n}]"));
        }
        let mut sample = Sample {
            image: Image::default(),
            texts: BTreeMap::new(),
            ids: BTreeMap::new(),
            damaged: BTreeMap::new(),
            before: BTreeSet::new(),
        };
        for version in run.archive.history(HistoryQuery::default()).unwrap() {
            let version = version.unwrap();
            let source = run.archive.load(&version).unwrap().source();
            let text = String::from_utf8(source).unwrap();
            sample.ids.insert(version.seq, version.commit);
            sample.texts.insert((version.path, version.version), text);
        }
        drop(run.archive);
        let disk = run.disk;
        sample.image = disk.0.image();
        sample.hit(harm);
        sample.before = match Archive::open_on(Disk::with(sample.image.clone()).share()) {
            Ok(archive) => sample.loads(&archive).unwrap(),
            Err(_) => BTreeSet::new(),
        };
        sample
    }

    fn hit(&mut self, harm: Harm) {
        let segments: Vec<String> = self.image.files.keys().cloned().collect();
        let segments: Vec<String> = segments
            .into_iter()
            .filter(|name| name.ends_with(".seg"))
            .collect();
        assert!(segments.len() >= 3, "{segments:?}");
        let active = {
            let list = &self.image.files["log/MANIFEST"].bytes;
            let list = String::from_utf8_lossy(list).into_owned();
            let number = list.rsplit_once("\"number\":").unwrap().1;
            let digits = number.chars().take_while(char::is_ascii_digit);
            let number: u64 = digits.collect::<String>().parse().unwrap();
            format!("log/{number:08}.seg")
        };
        let middle = |bytes: &mut Vec<u8>| {
            let at = bytes.len() / 2;
            bytes[at..at + 3].fill(0x55);
        };
        let (name, change): (String, Change<'_>) = match harm {
            Harm::Middle(at) => (segments[at].clone(), &middle),
            Harm::Active => (active, &|bytes| bytes[200..220].fill(0x55)),
            Harm::List => ("log/MANIFEST".to_owned(), &middle),
            Harm::Identity => ("archive.json".to_owned(), &middle),
            Harm::Missing(at) => {
                self.image.files.remove(&segments[at]);
                return;
            }
            Harm::NoList => {
                self.image.files.remove("log/MANIFEST");
                return;
            }
            Harm::Everything => {
                for harm in [Harm::Identity, Harm::List, Harm::Active, Harm::Middle(0)] {
                    self.hit(harm);
                }
                return;
            }
        };
        let file = self.image.files.get_mut(&name).unwrap();
        change(&mut file.bytes);
        self.damaged.insert(name, file.bytes.clone());
    }

    /// What loads, and that it is what was saved.
    fn loads(&self, archive: &Archive) -> Result<BTreeSet<Key>, String> {
        let mut found = BTreeSet::new();
        for (key, text) in &self.texts {
            let read = archive
                .resolve(&key.0, &Spec::Number(key.1))
                .and_then(|version| archive.load(&version));
            let Ok(loaded) = read else { continue };
            if loaded.source() != text.as_bytes() {
                return Err(format!("{key:?} is another document"));
            }
            found.insert(key.clone());
        }
        Ok(found)
    }

    /// Is every damaged file still somewhere as it was? What takes commits may be longer now.
    fn kept(&self, disk: &Shared) -> Result<(), String> {
        let image = disk.0.image();
        for (name, bytes) in &self.damaged {
            let is_it = |(place, file): (&String, &super::disk::File)| {
                (place == name || place.starts_with("log/damaged/"))
                    && file.bytes.starts_with(bytes)
            };
            if !image.files.iter().any(is_it) {
                return Err(format!("{name} is not kept"));
            }
        }
        Ok(())
    }

    fn whole(&self, disk: &Shared, saved: bool) -> Result<(), String> {
        self.kept(disk)?;
        let archive = Archive::open_on(disk.share()).map_err(|error| format!("open: {error}"))?;
        let report =
            verify(&archive, &VerifyOptions::default()).map_err(|error| error.to_string())?;
        if !report.ok {
            return Err(format!("not whole: {report:?}"));
        }
        let after = self.loads(&archive)?;
        if let Some(lost) = self.before.iter().find(|key| !after.contains(*key)) {
            return Err(format!("{lost:?} is lost"));
        }
        for (seq, id) in &self.ids {
            let there = archive.find_commit(&seq.to_string());
            if there.is_ok_and(|there| there.commit != *id) {
                return Err(format!("commit {seq} has another id"));
            }
        }
        let there = archive
            .resolve("after", &Spec::Number(1))
            .and_then(|version| archive.load(&version));
        match (there, saved) {
            (Err(_), true) => Err("what was saved behind it is lost".to_owned()),
            _ => Ok(()),
        }
    }

    /// What is saved is acknowledged.
    fn save(&self, disk: &Shared) -> Result<(), String> {
        let save = || {
            let archive = Archive::open_on(disk.share())?;
            let mut save = archive.save();
            save.add("after", Document::source("[\"after\"]"))?;
            save.commit()
        };
        save().map(drop).map_err(|error| format!("save: {error}"))
    }

    /// Repairs what a crash has left, saves to it, and lets the power go behind that.
    fn recover(&self, disk: &Shared, random: &mut Random, deep: bool) -> Result<(), String> {
        self.kept(disk)?;
        let early = deep && Archive::open_on(disk.share()).is_ok();
        if early {
            self.save(disk)?;
            self.survives(disk, random)?;
        }
        let again = repair_on(disk.share(), &RepairOptions::default())
            .map_err(|error| format!("repair: {error}"))?;
        if !again.report.ok {
            return Err(format!("repair: {:?}", again.report));
        }
        self.whole(disk, early)?;
        self.save(disk)?;
        self.whole(disk, true)?;
        match deep {
            true => self.survives(disk, random),
            false => Ok(()),
        }
    }

    /// The power goes behind a save that was acknowledged.
    fn survives(&self, disk: &Shared, random: &mut Random) -> Result<(), String> {
        let recording = disk.0.recording();
        let limits = Limits {
            states: 3,
            names: 6,
            contents: 4,
            notes: 0,
        };
        let mut seen = HashSet::from([bare(&disk.0.image())]);
        for model in [Model::Ordered, Model::Strict] {
            let mut images = Vec::new();
            let end = recording.ops.len();
            power::states(
                &recording,
                end,
                model,
                limits,
                random,
                &mut |image, lost| {
                    images.push((image, lost));
                },
            );
            images.retain(|(image, _)| seen.insert(bare(image)));
            for (image, lost) in images {
                let disk = Disk::with(image);
                self.shows_what_was_saved(&disk)
                    .map_err(|error| format!("{error}, after a later crash: {lost}"))?;
                let result = repair_on(disk.share(), &RepairOptions::default())
                    .map_err(|error| format!("repair: {error}"))
                    .and_then(|_| self.whole(&disk, true));
                result.map_err(|error| format!("{error}, after a later crash: {lost}"))?;
            }
        }
        Ok(())
    }

    /// An acknowledged commit is in every archive that can be opened, without a repair.
    fn shows_what_was_saved(&self, disk: &Shared) -> Result<(), String> {
        let Ok(archive) = Archive::open_on(disk.share()) else {
            return Ok(());
        };
        let there = archive
            .resolve("after", &Spec::Number(1))
            .and_then(|version| archive.load(&version));
        match there {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("what was saved does not show: {error}")),
        }
    }

    fn repair(&self) -> Recording {
        let disk = Disk::with(self.image.clone());
        let repaired = repair_on(disk.share(), &RepairOptions::default()).unwrap();
        assert!(repaired.report.ok && !repaired.steps.is_empty());
        self.whole(&disk, false).unwrap();
        disk.0.recording()
    }
}

/// The hash of what is in the files.
fn bare(image: &Image) -> [u8; 32] {
    let mut image = image.clone();
    image.note.clear();
    image.files.values_mut().for_each(|file| file.changed = 0);
    image.hash()
}

/// Crashes a repair everywhere; how many states there were.
fn explore(name: &str, sample: &Sample) -> usize {
    let recording = sample.repair();
    let mut random = Random(torture().unwrap_or(0) + name.len() as u64);
    let mut seen: HashSet<[u8; 32]> = HashSet::new();
    let much = torture().is_some();
    let limits = Limits {
        states: if much { 60 } else { 4 },
        names: if much { 40 } else { 8 },
        contents: if much { 40 } else { 8 },
        notes: 0,
    };
    for end in 0..=recording.ops.len() {
        let mut states: Vec<(Shared, String)> = Vec::new();
        let mut cut = recording.clone();
        cut.ops.truncate(end);
        let killed = "killed".to_owned();
        states.push((Disk::replay(&cut), killed.clone()));
        if let Some(Op::Write {
            inode,
            offset,
            bytes,
        }) = recording.ops.get(end)
        {
            for len in tears(*offset, bytes.len()) {
                let mut cut = cut.clone();
                cut.ops.push(Op::Write {
                    inode: *inode,
                    offset: *offset,
                    bytes: bytes[..len].into(),
                });
                states.push((Disk::replay(&cut), killed.clone()));
            }
        }
        cut.ops.push(Op::WritebackFailed);
        states.push((Disk::replay(&cut), "killed, not written".to_owned()));
        for model in [Model::Ordered, Model::Strict] {
            power::states(
                &recording,
                end,
                model,
                limits,
                &mut random,
                &mut |image, lost| {
                    states.push((Disk::with(image), format!("{model:?}: {lost}")));
                },
            );
        }
        for (disk, lost) in states {
            let killed = lost.starts_with("killed");
            // Behind a kill the power can still go; that is looked into here and there.
            let near = |at: usize| matches!(recording.ops.get(at), Some(Op::Rename { .. }));
            let deep = killed && (much || near(end.saturating_sub(1)) || random.below(6) == 0);
            if !seen.insert(bare(&disk.0.image())) && !deep {
                continue;
            }
            if let Err(error) = guarded(|| sample.recover(&disk, &mut random, deep)) {
                let ops = recording.ops.iter().enumerate();
                let ops: Vec<String> = ops
                    .map(|(at, op)| format!("  {at}: {}", op.short()))
                    .collect();
                panic!(
                    "{name}: {error}\ncrashed in front of call {end}, {lost}\n{}",
                    ops.join("\n")
                );
            }
        }
    }
    println!(
        "{name}: {} calls, {} states",
        recording.ops.len(),
        seen.len()
    );
    seen.len()
}

const HARMS: [Harm; 10] = [
    Harm::Middle(0),
    Harm::Active,
    Harm::NoList,
    Harm::Everything,
    Harm::Missing(0),
    Harm::Identity,
    Harm::List,
    Harm::Middle(1),
    Harm::Middle(2),
    Harm::Missing(1),
];

/// Archives with plain segments and with a packed one, each with its damage.
fn samples() -> impl Iterator<Item = (String, Sample)> {
    let few = [
        (false, Harm::Active),
        (false, Harm::Everything),
        (true, Harm::Middle(0)),
        (true, Harm::NoList),
        (true, Harm::Missing(0)),
    ];
    let all = [false, true]
        .into_iter()
        .flat_map(|compact| HARMS.map(|harm| (compact, harm)));
    let all = all.filter(move |one| torture().is_some() || few.contains(one));
    all.map(|(compact, harm)| {
        let name = format!("repair, compact {compact}, {harm:?}");
        (name, Sample::new(compact, harm))
    })
}

#[test]
fn a_repair_that_is_crashed() {
    let mut total = 0;
    for (name, sample) in samples() {
        total += explore(&name, &sample);
    }
    assert!(total > 120, "only {total}");
}

/// Each call of a kind fails in turn: an error, nothing lost, and repair works again.
#[test]
fn a_repair_of_which_a_call_fails() {
    let mut failed = 0;
    for (name, sample) in samples() {
        for fault in [Fault::Sync, Fault::SyncDir, Fault::Write] {
            for after in 0.. {
                let disk = Disk::with(sample.image.clone());
                disk.0.fail(fault(after));
                let result = repair_on(disk.share(), &RepairOptions::default());
                if disk.0.failed().is_none() {
                    break;
                }
                failed += 1;
                let what = format!("{name}, {:?}", fault(after));
                let error = result.expect_err(&what);
                assert_eq!(error.kind(), ErrorKind::Io, "{what}: {error}");
                let mut random = Random(after as u64);
                let deep = matches!(fault(after), Fault::SyncDir(_));
                let result = guarded(|| sample.recover(&disk, &mut random, deep));
                result.unwrap_or_else(|error| panic!("{what}: {error}"));
            }
        }
    }
    assert!(failed > 30, "only {failed}");
}
