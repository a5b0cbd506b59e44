//! Crashes while an archive is made: there is none then, and it can be made, or it is whole.

use backstory::storage::Storage;
use backstory::{Archive, ErrorKind};

use super::disk::{Disk, Fault, Image, Op};
use super::explore::{Counts, Effort};
use super::workload::{Run, document, explore};

/// Makes an archive, once more where that fails, and saves to it; `None` where the call that was to fail was never
/// made.
fn make(name: &str, fault: Option<Fault>) -> Option<Counts> {
    let disk = Disk::with(Image::default());
    if let Some(fault) = fault {
        disk.0.fail(fault);
    }
    let mut made = Archive::create_on(disk.share());
    if fault.is_some() {
        disk.0.failed()?;
        assert_eq!(made.unwrap_err().kind(), ErrorKind::Io);
        made = Archive::create_on(disk.share());
    }
    let archive = match made {
        Ok(archive) => {
            disk.0.mark(Op::Made);
            archive
        }
        Err(error) => {
            // All was done but the last sync. Nobody said that the archive is safe, until the first commit is.
            assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}");
            Archive::open_on(disk.share()).unwrap()
        }
    };
    let mut run = Run {
        disk,
        archive,
        commits: Vec::new(),
    };
    run.save("a", &document(1, 0, 100));
    run.save_all(&[("a", "1"), ("b", "2")]);
    let from = run.disk.0.failed().unwrap_or(0);
    let (mut recording, commits) = run.end();
    if fault.is_some() {
        recording.ops.truncate(from + 16);
    }
    let name = format!("{name}, {fault:?}");
    Some(explore(&name, &recording, from, &commits, Effort::brief()))
}

#[test]
fn making_an_archive() {
    make("creation", None).unwrap().at_least(25, 15, 8, 20);
}

#[test]
fn making_an_archive_after_a_failure() {
    let mut total = Counts::default();
    for fault in [Fault::Sync, Fault::SyncDir, Fault::Write] {
        let each = (0..).map_while(|after| make("creation", Some(fault(after))));
        each.for_each(|counts| total.add(&counts));
    }
    total.at_least(150, 80, 40, 80);
}

#[test]
fn a_log_that_may_have_commits_is_not_taken_for_a_remnant() {
    for others in [false, true] {
        let disk = Disk::with(Image::default());
        let archive = Archive::create_on(disk.share()).unwrap();
        let again = Archive::create_on(disk.share()).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AlreadyExists);
        let mut save = archive.save();
        save.add("a", backstory::Document::value("1")).unwrap();
        save.commit().unwrap();
        disk.remove("archive.json").unwrap();
        if others {
            disk.rename("log/00000001.seg", "log/00000002.seg").unwrap();
        }
        let image = disk.0.image();
        let opened = Archive::open_on(disk.share()).unwrap_err();
        assert_eq!(opened.kind(), ErrorKind::Corrupt);
        let again = Archive::create_on(disk.share()).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AlreadyExists);
        assert_eq!(disk.0.image(), image);
    }
}
