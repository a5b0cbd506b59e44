//! Backstory beside git, SQLite and the bare disk: each thing that has a target is measured with its peers, in turn,
//! in one run, so that what counts is a ratio.
//!
//! `benches/peers/run` prepares the data and runs this.

mod batches;
mod canon;
mod child;
mod corpus;
mod git;
mod history;
mod huge;
mod imports;
mod loads;
mod measure;
mod ours;
mod processes;
mod room;
mod saves;
mod scale;
mod sizes;
mod sqlite;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::child::installed;
use crate::room::Room;
use crate::table::Table;

type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// What every row is given.
struct Bench {
    room: Room,
    table: Table,
    git: bool,
    sqlite3: bool,
}

/// A name for `--rows`, what it measures, and how.
type Row = (&'static str, &'static str, fn(&mut Bench) -> Result<()>);

const ROWS: &[Row] = &[
    ("canon", "canonical form, one core", canon::run),
    ("save", "one durable save in process", saves::one),
    ("threads", "16 threads saving at once", saves::threads),
    ("save-process", "one `backstory save FILE`", processes::save),
    ("batch", "1,000 commits and one sync", batches::run),
    ("import", "a whole history from git", imports::run),
    ("size", "bytes of the log and of the index", sizes::plain),
    ("compact", "the same after `compact`", sizes::compact),
    ("load", "one version in process", loads::run),
    ("load-process", "one `backstory load REV`", processes::load),
    ("history", "the versions of a path", history::run),
    ("million", "opening a long history", scale::run),
    ("huge", "one document of 200 MB", huge::run),
];

#[derive(Default)]
struct Options {
    data: Option<PathBuf>,
    rows: Vec<String>,
    quick: bool,
    list: bool,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("error: {message}");
            return ExitCode::from(2);
        }
    };
    if options.list {
        for (name, what, _) in ROWS {
            println!("{name:13} {what}");
        }
        return ExitCode::SUCCESS;
    }
    let Some(data) = &options.data else {
        println!("peers: benches/peers/run measures Backstory beside git and SQLite");
        return ExitCode::SUCCESS;
    };
    match measure_rows(&options, data) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Without `--data` this is one of the benches that cargo runs, and arguments are for the others.
fn options(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    let mut unknown = None;
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--data" => {
                options.data = Some(arguments.next().ok_or("--data needs a folder")?.into())
            }
            "--rows" => {
                let names = arguments.next().ok_or("--rows needs names")?;
                options.rows.extend(names.split(',').map(str::to_owned));
            }
            "--quick" => options.quick = true,
            "--list" => options.list = true,
            // Cargo says so to every bench.
            "--bench" | "--test" => {}
            _ => unknown = Some(argument),
        }
    }
    if let Some(argument) = unknown
        && options.data.is_some()
    {
        return Err(format!("what is {argument}?"));
    }
    let known = |name: &String| ROWS.iter().any(|row| row.0 == name);
    if let Some(name) = options.rows.iter().find(|name| !known(name)) {
        return Err(format!("no row is called {name}; --list names them"));
    }
    Ok(options)
}

/// Prints the table; false where a row failed.
fn measure_rows(options: &Options, data: &std::path::Path) -> Result<bool> {
    let mut bench = Bench {
        room: Room::new(data, options.quick)?,
        table: Table::new(options.quick),
        git: installed("git"),
        sqlite3: installed("sqlite3"),
    };
    for (program, there) in [("git", bench.git), ("sqlite3", bench.sqlite3)] {
        if !there {
            bench
                .table
                .note(format!("{program} is not installed and was left out."));
        }
    }
    let mut whole = true;
    for (name, what, run) in ROWS {
        if !options.rows.is_empty() && !options.rows.iter().any(|row| row == name) {
            continue;
        }
        eprintln!("{name}: {what}");
        if let Err(error) = run(&mut bench) {
            whole = false;
            bench.table.note(format!("{name} failed: {error}"));
            eprintln!("    failed: {error}");
        }
    }
    println!("{}", bench.table);
    Ok(whole)
}
