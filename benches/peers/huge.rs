//! One document as large as they come: the speed of a save, and the memory that save, load and verify take.

use std::fmt::Write as _;
use std::fs;

use backstory::Archive;

use crate::child::with_memory;
use crate::measure::{Dice, median};
use crate::room::settle;
use crate::table::Amount::{Bytes, Speed};
use crate::table::Target;
use crate::{Bench, Result, ours};

pub fn run(bench: &mut Bench) -> Result<()> {
    let room = &bench.room;
    let first = document(room.pick(200_000_000, 20_000_000));
    let second = changed(&first);
    let calls = [
        ("save, first version", vec!["save", "big.json"]),
        ("save, next version", vec!["save", "big.json"]),
        ("load -o", vec!["load", "big.json@1", "-o", "out.json"]),
        ("verify", vec!["verify"]),
    ];
    let mut times = [const { Vec::new() }; 4];
    let mut peaks = [f64::NAN; 4];
    for _ in 0..room.pick(3, 1) {
        let folder = room.folder()?;
        drop(Archive::create(folder.path())?);
        for (which, (name, arguments)) in calls.iter().enumerate() {
            let text = if which == 0 { &first } else { &second };
            if name.starts_with("save") {
                fs::write(folder.path().join("big.json"), text)?;
            }
            settle();
            let (time, peak) = with_memory(ours::command(folder.path()).args(arguments))?;
            times[which].push(time);
            peaks[which] = peak.map_or(f64::NAN, |peak| peak.max(peaks[which]));
        }
        if fs::read(folder.path().join("out.json"))? != first.as_bytes() {
            return Err("what was loaded is not what was saved".into());
        }
    }
    let bytes = first.len() as f64;
    let table = &mut bench.table;
    for (((name, _), times), peak) in calls.iter().zip(times).zip(peaks) {
        let speed = Speed(bytes / median(times));
        let target = match name.starts_with("save") {
            true => Target::AtLeast(Speed(150e6)),
            false => Target::None,
        };
        table.bound(format!("huge document, {name}"), speed, target);
        table.compare(
            format!("huge document, memory of {name}"),
            Bytes(peak),
            ("the document", Bytes(bytes)),
            Target::AtMost(3.0),
        );
    }
    Ok(())
}

/// An array of objects, two spaces to a level. Floats that are whole have their `.0`, so that the text is neither the
/// canonical form nor the plain pretty one.
fn document(len: usize) -> String {
    let mut dice = Dice(12);
    let mut text = String::with_capacity(len + 1000);
    text.push('[');
    for id in 0.. {
        let (a, b, c) = (dice.next(), dice.next(), dice.next());
        let _ = write!(
            text,
            "\n  {{\n    \"id\": {id},\n    \"name\": \"station-{:04x}\",\n    \"kind\": \"{}\",\n    \"value\": {}.0,\n    \
             \"position\": [\n      {:.6},\n      {:.6}\n    ],\n    \"count\": {},\n    \"valid\": {}\n  }}",
            a % 65536,
            ["rain", "wind", "heat", "snow"][(b % 4) as usize],
            b % 1000,
            (c % 180_000_000) as f64 / 1e6 - 90.0,
            (a % 360_000_000) as f64 / 1e6 - 180.0,
            c % 100_000,
            a.is_multiple_of(7),
        );
        if text.len() >= len {
            break;
        }
        text.push(',');
    }
    text.push_str("\n]\n");
    text
}

/// The same document with another value in one object of a thousand.
fn changed(text: &str) -> String {
    let name = "\"value\": ";
    let mut out = String::with_capacity(text.len() + text.len() / 1000);
    for (number, piece) in text.split(name).enumerate() {
        if number > 0 {
            out.push_str(name);
        }
        if number % 1000 == 1 {
            out.push('4');
        }
        out.push_str(piece);
    }
    out
}
