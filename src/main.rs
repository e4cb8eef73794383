//! The binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    match yizhan::cli::run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("yizhan: {error:#}");
            ExitCode::FAILURE
        }
    }
}
