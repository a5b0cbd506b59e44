//! The `backstory` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(backstory::cli::run(std::env::args_os()))
}
