//! Other programs: are they there, how did they end, how much memory did they take.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Result;
use crate::measure::timed;

/// Can this program be called?
pub fn installed(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs to the end; what was printed goes nowhere, unless it failed.
pub fn finish(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// What a call prints.
pub fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {}, {}", output.status, said.trim()).into());
    }
    Ok(output.stdout)
}

/// Runs to the end: the seconds, and the most memory that it held at a time, where the system says so.
pub fn with_memory(command: &mut Command) -> Result<(f64, Option<f64>)> {
    let mut child = command.stdout(Stdio::null()).spawn()?;
    let file = format!("/proc/{}/status", child.id());
    let mut peak = None;
    let (seconds, status) = timed(|| {
        loop {
            // The kernel keeps the high-water mark: only what is added in the last millisecond can be missed. A wait
            // for the process would give the mark of its parent as well, from before it became this program.
            peak = high_water(&file).or(peak);
            match child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
                ended => return ended,
            }
        }
    });
    match status? {
        Some(status) if status.success() => Ok((seconds, peak)),
        status => Err(format!("{command:?}: {status:?}").into()),
    }
}

fn high_water(status_file: &str) -> Option<f64> {
    let status = fs::read_to_string(status_file).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024.0)
}
