//! Crashes in commits: of one path, of several, of several at once.

use backstory::storage::Storage;
use backstory::{Archive, Document};

use super::disk::Op;
use super::explore::Effort;
use super::history::Commit;
use super::workload::{Run, document, explore};

#[test]
fn single_saves() {
    let mut run = Run::begin(None);
    for n in 0..3 {
        run.save("a/b.json", &document(1, n, 60));
    }
    run.reopen();
    run.save("c.json", &document(2, 0, 700));
    run.save("a/b.json", &document(1, 9, 60));
    run.reopen();
    // More than leave a note each.
    for n in 0..10 {
        run.save("c.json", &document(3, n + 1, 40));
    }
    run.explore("single saves").at_least(80, 150, 40, 80);
}

#[test]
fn saves_of_several_paths() {
    let mut run = Run::begin(None);
    for n in 0..3 {
        let (a, b, c) = (
            document(1, n, 300),
            document(2, n, 2000),
            document(3, n, 50),
        );
        run.save_all(&[("a", &a), ("b", &b), ("d/c", &c)]);
    }
    run.reopen();
    // The objects of one commit over many blocks.
    let texts: Vec<String> = (0..5).map(|n| document(10 + n, n, 2500)).collect();
    let paths = ["a", "x/1", "x/2", "x/3", "x/4"];
    let documents: Vec<(&str, &str)> = paths
        .into_iter()
        .zip(texts.iter().map(String::as_str))
        .collect();
    run.save_all(&documents);
    // So many that the changes stand in records of their own.
    let texts: Vec<String> = (0..40).map(|n| document(100 + n, n, 20)).collect();
    let paths: Vec<String> = (0..40).map(|n| format!("many/{n}")).collect();
    let documents: Vec<(&str, &str)> = paths
        .iter()
        .map(String::as_str)
        .zip(texts.iter().map(String::as_str))
        .collect();
    run.save_all(&documents);
    run.explore("saves of several paths")
        .at_least(35, 45, 10, 10);
}

#[test]
fn batches() {
    let mut run = Run::begin(None);
    run.save("a", &document(1, 0, 100));
    for round in 1..4u64 {
        let mut commits = Vec::new();
        for n in 0..3 {
            let (a, b) = (document(1, round * 10 + n, 100), document(round, n, 600));
            commits.push(Commit::of(&[("a", Some(&*a)), ("b", Some(&*b))]));
        }
        let batch = commits.clone();
        run.commit(commits, |archive| {
            let mut all = archive.batch();
            for commit in &batch {
                let mut save = archive.save();
                for (path, text) in &commit.changes {
                    save.add(path, Document::source(text.clone().unwrap()))?;
                }
                all.push(save);
            }
            all.commit()
        });
        if round == 2 {
            run.reopen();
        }
    }
    run.explore("batches").at_least(20, 30, 8, 5);
}

/// Threads of one handle, which share syncs, and of handles of their own, which take turns.
#[test]
fn several_threads() {
    const THREADS: usize = 4;
    const SAVES: usize = 3;
    let run = Run::begin(Some(1024));
    let text = |thread: usize, n: usize| document(thread as u64, n as u64, 80);
    let disk = run.disk.clone();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (disk, mut archive) = (disk.clone(), run.archive.clone());
            scope.spawn(move || {
                if thread >= 2 {
                    archive = Archive::open_on(disk.share()).unwrap();
                }
                for n in 0..SAVES {
                    let number = thread * SAVES + n;
                    disk.0.mark(Op::Begin(number));
                    let mut save = archive.save();
                    let document = Document::source(text(thread, n));
                    save.add(&format!("t/{thread}"), document).unwrap();
                    save.commit().unwrap();
                    disk.0.mark(Op::Acknowledge(number));
                }
            });
        }
    });
    // Commits are numbered as the log has them.
    let mut order = vec![0; THREADS * SAVES];
    for thread in 0..THREADS {
        for n in 0..SAVES {
            let number = backstory::Spec::Number(n as u64 + 1);
            let version = run.archive.resolve(&format!("t/{thread}"), &number);
            order[thread * SAVES + n] = version.unwrap().seq as usize - 1;
        }
    }
    assert!(disk.list("log").unwrap().len() > 2, "no segment was full");
    let mut recording = disk.0.recording();
    for op in &mut recording.ops {
        if let Op::Begin(number) | Op::Acknowledge(number) = op {
            *number = order[*number];
        }
    }
    let mut commits = vec![Commit::default(); order.len()];
    for (number, place) in order.into_iter().enumerate() {
        let (thread, n) = (number / SAVES, number % SAVES);
        commits[place] = Commit::save(&format!("t/{thread}"), &text(thread, n));
    }
    explore("several threads", &recording, 0, &commits, Effort::usual()).at_least(60, 100, 25, 80);
}
