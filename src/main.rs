//! The binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    match yizhan::cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("yizhan: {error:#}");
            ExitCode::FAILURE
        }
    }
}
