//! The canonical form of documents: bytes of input a second, on one core.

use std::hint::black_box;

use backstory::canon::{Canonicalizer, NanMode};

use crate::corpus::{Corpus, Entry};
use crate::measure::{interleave, seconds};
use crate::table::Amount::Speed;
use crate::table::Target;
use crate::{Bench, Result};

/// Bytes of documents in a round: so many that the clock does not count.
const ROUND: usize = 1 << 20;

pub fn run(bench: &mut Bench) -> Result<()> {
    let room = &bench.room;
    let rounds = room.pick(150, 30);
    let fires = Corpus::fires(&room.data, room.quick)?;
    let results = Corpus::results(&room.data, room.quick)?;
    for (what, corpus, target) in [
        ("fires", &fires, Target::AtLeast(Speed(600e6))),
        ("results", &results, Target::AtLeast(Speed(400e6))),
    ] {
        let rounds: Vec<&[Entry]> = spread(&corpus.entries, rounds);
        let [ours, serde, hash] = race(&rounds)?;
        let what = format!("canonical form, {what}");
        let table = &mut bench.table;
        table.bound(&what, Speed(ours), target);
        let serde = ("serde_json + canonicalizer", Speed(serde));
        table.compare(&what, Speed(ours), serde, Target::AtLeast(5.0));
        let hash = ("BLAKE3 of the same bytes alone", Speed(hash));
        table.compare(&what, Speed(ours), hash, Target::None);
    }
    Ok(())
}

/// Stretches of the history from its start to its end.
fn spread(entries: &[Entry], count: usize) -> Vec<&[Entry]> {
    let starts = (0..count).map(|n| &entries[n * entries.len() / count..]);
    starts
        .map(|rest| {
            let mut bytes = 0;
            let enough = rest.iter().position(|entry| {
                bytes += entry.text.len();
                bytes >= ROUND
            });
            &rest[..enough.map_or(rest.len(), |last| last + 1)]
        })
        .collect()
}

fn race(rounds: &[&[Entry]]) -> Result<[f64; 3]> {
    for entry in rounds.iter().filter_map(|round| round.first()) {
        same(&entry.text)?;
    }
    let mut canonicalizer = Canonicalizer::new();
    let mut out = Vec::new();
    interleave(
        rounds.len(),
        [
            Box::new(|round| {
                speed(rounds[round], |text| {
                    out.clear();
                    canonicalizer.canonicalize(text.as_bytes(), NanMode::Reject, &mut out)?;
                    black_box(&out);
                    Ok(())
                })
            }),
            Box::new(|round| {
                speed(rounds[round], |text| {
                    black_box(by_serde(text)?);
                    Ok(())
                })
            }),
            Box::new(|round| {
                speed(rounds[round], |text| {
                    black_box(blake3::hash(text.as_bytes()));
                    Ok(())
                })
            }),
        ],
    )
}

/// Bytes a second.
fn speed(round: &[Entry], mut work: impl FnMut(&str) -> Result<()>) -> Result<f64> {
    let bytes: usize = round.iter().map(|entry| entry.text.len()).sum();
    let time = seconds(|| round.iter().try_for_each(|entry| work(&entry.text)))?;
    Ok(bytes as f64 / time)
}

fn by_serde(text: &str) -> Result<Vec<u8>> {
    let value: serde_json::Value = serde_json::from_str(text)?;
    Ok(serde_json_canonicalizer::to_vec(&value)?)
}

/// Who does something else is no peer. Backstory keeps digits that a double does not hold, so it is as doubles that
/// the two have to be the same.
fn same(text: &str) -> Result<()> {
    let value = |canonical: &[u8]| serde_json::from_slice::<serde_json::Value>(canonical);
    let ours = backstory::canon::canonicalize(text.as_bytes())?;
    if value(&ours)? != value(&by_serde(text)?)? {
        return Err("the two canonical forms differ".into());
    }
    Ok(())
}
