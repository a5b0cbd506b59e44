//! The `backstory` command.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(backstory::cli::run(std::env::args_os()))
}
