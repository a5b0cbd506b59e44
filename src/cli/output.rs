//! Standard output. Whoever reads it may stop at any time: then the rest is dropped without a word.

use std::io::{self, BufWriter, Stdout, Write};

use anstyle::Style;

/// Bytes gathered before they are handed to the system.
const BUFFER: usize = 64 * 1024;

/// Standard output.
pub(super) struct Output {
    stdout: BufWriter<Stdout>,
    color: bool,
    closed: bool,
    failed: Option<io::Error>,
}

impl Output {
    /// `color`: whether [`Output::paint`] does anything.
    pub fn new(color: bool) -> Output {
        Output {
            stdout: BufWriter::with_capacity(BUFFER, io::stdout()),
            color,
            closed: false,
            failed: None,
        }
    }

    pub fn color(&self) -> bool {
        self.color
    }

    /// The text in a style, where output is coloured.
    pub fn paint(&self, style: Style, text: &str) -> String {
        if self.color {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    pub fn line(&mut self, text: &str) {
        self.bytes(text.as_bytes());
        self.bytes(b"\n");
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        if !self.ended() {
            let result = self.stdout.write_all(bytes);
            self.note(result);
        }
    }

    pub fn flush(&mut self) {
        if !self.ended() {
            let result = self.stdout.flush();
            self.note(result);
        }
    }

    /// Nothing more will be read, or can be written: a command that only prints may stop.
    pub fn ended(&self) -> bool {
        self.closed || self.failed.is_some()
    }

    /// Why output was lost; a closed pipe is no reason to complain.
    pub fn take_error(&mut self) -> Option<io::Error> {
        self.failed.take()
    }

    fn note(&mut self, result: io::Result<()>) {
        match result {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.closed = true,
            Err(error) => self.failed = Some(error),
        }
    }
}

/// The styles in use.
pub(super) mod style {
    use anstyle::{AnsiColor, Style};

    pub const NAME: Style = Style::new().bold();
    pub const ID: Style = AnsiColor::Yellow.on_default();
    pub const DIM: Style = Style::new().dimmed();
    pub const GOOD: Style = AnsiColor::Green.on_default();
    pub const BAD: Style = AnsiColor::Red.on_default();
}
