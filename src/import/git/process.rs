//! A child process that is read from, written to, and ended.

use std::io::{self, BufReader, BufWriter, Read};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use crate::error::{Error, Result};

/// As much of what it has to say about a failure is kept, in bytes.
const COMPLAINT: u64 = 4096;
const BUFFER: usize = 256 << 10;

/// A child process. It ends with this.
pub(super) struct Process {
    name: &'static str,
    child: Child,
    complaint: Option<JoinHandle<Vec<u8>>>,
}

impl Process {
    pub fn start(name: &'static str, command: &mut Command) -> Result<Process> {
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.map_err(|error| Error::io("run git", error))?;
        let stderr = child.stderr.take();
        let read = move || {
            let mut kept = Vec::new();
            if let Some(mut stderr) = stderr {
                // What cannot be read is not missed.
                let _ = (&mut stderr).take(COMPLAINT).read_to_end(&mut kept);
                let _ = io::copy(&mut stderr, &mut io::sink());
            }
            kept
        };
        let complaint = std::thread::Builder::new().spawn(read).ok();
        Ok(Process {
            name,
            child,
            complaint,
        })
    }

    pub fn stdin(&mut self) -> Result<BufWriter<ChildStdin>> {
        let stdin = self.child.stdin.take().ok_or_else(no_pipe)?;
        Ok(BufWriter::with_capacity(BUFFER, stdin))
    }

    pub fn raw_stdout(&mut self) -> Result<ChildStdout> {
        self.child.stdout.take().ok_or_else(no_pipe)
    }

    pub fn stdout(&mut self) -> Result<BufReader<ChildStdout>> {
        Ok(BufReader::with_capacity(BUFFER, self.raw_stdout()?))
    }

    pub fn finish(mut self) -> Result<()> {
        match self.child.wait() {
            Ok(status) if status.success() => Ok(()),
            _ => Err(self.failure()),
        }
    }

    /// Ends it, and says what it complained of.
    pub fn failure(&mut self) -> Error {
        self.end();
        let complaint = self.complaint.take().and_then(|thread| thread.join().ok());
        let complaint = last_line(&complaint.unwrap_or_default());
        let why = match complaint.is_empty() {
            true => "it ended early".to_owned(),
            false => complaint,
        };
        Error::io(format!("run git {}", self.name), io::Error::other(why))
    }

    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

pub(super) fn last_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let line = text.lines().rev().find(|line| !line.trim().is_empty());
    let line = line.unwrap_or_default();
    line.strip_prefix("fatal: ").unwrap_or(line).to_owned()
}

fn no_pipe() -> Error {
    Error::io("run git", io::Error::other("a pipe is missing"))
}
