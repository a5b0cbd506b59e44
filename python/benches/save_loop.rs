//! Times the library's durable save for `speed.py`: for each line of standard input, a JSON text in which
//! line feeds are escaped as a JSON string, saves it and prints how long that took, in nanoseconds.

use std::io::{BufRead, Write};
use std::time::Instant;

use backstory::{Archive, Document};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("a folder is expected")?;
    let archive = Archive::open_or_create(folder, &Default::default())?.0;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let text: String = serde_json::from_str(&line?)?;
        let begun = Instant::now();
        let mut save = archive.save();
        save.add("run.json", Document::source(text).file())?;
        save.commit()?;
        writeln!(out, "{}", begun.elapsed().as_nanos())?;
        out.flush()?;
    }
    Ok(())
}
