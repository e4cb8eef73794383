//! The binary: everything is in the library.

use std::process::ExitCode;

use mimalloc::MiMalloc;

// Messages are made on one thread and dropped on another, which costs glibc's allocator dearly.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // What the allocator holds lies apart: a page of 2 MB for each of it would nearly double what an idle connection takes.
    // A kernel that cannot be told so has no such pages.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    match yizhan::cli::run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("yizhan: {error:#}");
            ExitCode::FAILURE
        }
    }
}
