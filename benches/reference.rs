//! The reference for the speed of delivery: the same WebSocket stack and the same frames over a plain log. It serves until
//! it is ended:
//!
//!     cargo bench --bench reference -- --log FILE --config config/seed.toml --set listen.public=127.0.0.1:0
//!
//! Without `--log` (under `cargo test --benches`) it does nothing.

#[path = "support/plain.rs"]
mod plain;

use std::path::PathBuf;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Serves full loops over an append-only log
#[derive(Parser)]
struct Options {
    /// The log, which is made anew
    #[arg(long)]
    log: Option<PathBuf>,
    #[command(flatten)]
    plain: plain::Plain,
    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    match &options.log {
        Some(log) => plain::serve(&options.plain, Some(log)),
        None => Ok(()),
    }
}
