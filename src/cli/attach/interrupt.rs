//! Ctrl-C outside of the line editor.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::thread;

use signal_hook::consts::SIGINT;
use signal_hook::low_level::pipe;

use super::link::{Event, Sink};

/// Makes an event of every SIGINT of this process, from here on.
pub(super) fn watch(sink: Sink) -> io::Result<()> {
    let (mut signals, raised) = UnixStream::pair()?;
    pipe::register(SIGINT, raised)?;
    thread::Builder::new()
        .name("interrupts".into())
        .spawn(move || {
            let mut bytes = [0; 16];
            while let Ok(1..) = signals.read(&mut bytes) {
                sink(Event::Interrupt);
            }
        })?;
    Ok(())
}
