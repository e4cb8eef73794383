//! The binary: everything is in the library.

use std::process::ExitCode;

use mimalloc::MiMalloc;

// Messages are made on one thread and dropped on another, which costs glibc's allocator dearly.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match yizhan::cli::run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("yizhan: {error:#}");
            ExitCode::FAILURE
        }
    }
}
