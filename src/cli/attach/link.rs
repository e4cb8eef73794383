//! One connection, served by a thread of its own: what is asked goes out and what is told comes in at any time.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Error, Message};

use super::connect::Socket;
use super::wire::{self, Request, Told};

/// After how much silence the server is asked for a sign of life, and after how much more it is given up.
const SILENCE: Duration = Duration::from_secs(20);
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// What happens while a shell is open.
#[derive(Debug)]
pub(super) enum Event {
    Told(Told),
    /// The connection is lost.
    Lost {
        why: String,
        /// Whether a person was told already.
        told: bool,
    },
    /// Ctrl-C outside of the line editor.
    Interrupt,
}

/// Where events go, from whatever thread.
pub(super) type Sink = Arc<dyn Fn(Event) + Send + Sync>;

/// An open connection; it is closed when this is dropped.
pub(super) struct Link {
    requests: Option<Sender<String>>,
    wake: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Link {
    /// Starts the thread; its last event is [`Event::Lost`], unless the link is dropped before.
    pub(super) fn start(socket: Socket, sink: Sink) -> io::Result<Link> {
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let (requests, asked) = mpsc::channel();
        let mut served = Served {
            socket,
            asked,
            woken,
            sink,
            goodbye: None,
        };
        let thread = thread::Builder::new()
            .name("attach".into())
            .spawn(move || served.run())?;
        Ok(Link {
            requests: Some(requests),
            wake,
            thread: Some(thread),
        })
    }

    /// Asks the server; on a connection that is lost this does nothing, because the loss is an event.
    pub(super) fn ask(&self, request: &Request<'_>) {
        if let Some(requests) = &self.requests {
            let _ = requests.send(request.encode());
        }
        // A full pipe wakes as well as one byte more.
        let _ = (&self.wake).write(&[0]);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.requests = None;
        let _ = self.wake.shutdown(std::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Served {
    socket: Socket,
    asked: Receiver<String>,
    woken: UnixStream,
    sink: Sink,
    /// What the server said when it closed.
    goodbye: Option<String>,
}

/// Whether all that was asked is on its way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    All,
    Some,
}

impl Served {
    fn run(&mut self) {
        if let Err(error) = self.serve() {
            let said = self.goodbye.take();
            let why = said.unwrap_or_else(|| describe(&error));
            (self.sink)(Event::Lost { why, told: false });
        }
    }

    /// Returns when the link is dropped.
    fn serve(&mut self) -> Result<(), Error> {
        let mut heard = Instant::now();
        let mut asked_for_life = false;
        loop {
            match self.take_requests()? {
                TryRecvError::Empty => {}
                TryRecvError::Disconnected => {
                    self.leave();
                    return Ok(());
                }
            }
            let mut written = self.flush()?;
            // An answer to a ping is written while reading; after the last flush nothing may be left unread.
            while self.read()? {
                (heard, asked_for_life) = (Instant::now(), false);
                written = self.flush()?;
            }
            let silent = heard.elapsed();
            if silent >= 2 * SILENCE {
                return Err(io::Error::from(ErrorKind::TimedOut).into());
            }
            if silent >= SILENCE && !asked_for_life {
                self.write(Message::Ping(Vec::new().into()))?;
                written = self.flush()?;
                asked_for_life = true;
            }
            let next = if asked_for_life { 2 * SILENCE } else { SILENCE };
            self.wait(written, next.saturating_sub(silent))?;
        }
    }

    fn take_requests(&mut self) -> Result<TryRecvError, Error> {
        loop {
            match self.asked.try_recv() {
                Ok(request) => self.write(Message::text(request))?,
                Err(nothing) => return Ok(nothing),
            }
        }
    }

    fn write(&mut self, message: Message) -> Result<(), Error> {
        match self.socket.messages.write(message) {
            // It is kept and goes with the next flush.
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            written => written,
        }
    }

    fn flush(&mut self) -> Result<Written, Error> {
        match self.socket.messages.flush() {
            Ok(()) => Ok(Written::All),
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Ok(Written::Some),
            Err(error) => Err(error),
        }
    }

    /// Reads all that is there; whether there was anything.
    fn read(&mut self) -> Result<bool, Error> {
        let mut any = false;
        loop {
            match self.socket.messages.read() {
                Ok(Message::Text(text)) => self.hear(&text),
                Ok(Message::Close(frame)) => self.goodbye = Some(said(frame.as_ref())),
                Ok(_) => {}
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return Ok(any),
                Err(error) => return Err(error),
            }
            any = true;
        }
    }

    fn hear(&self, text: &str) {
        let told = wire::decode(text).unwrap_or_else(|msg| Told::Error { id: None, msg });
        (self.sink)(Event::Told(told));
    }

    fn wait(&mut self, written: Written, patience: Duration) -> Result<(), Error> {
        let wanted = match written {
            Written::All => PollFlags::IN,
            Written::Some => PollFlags::IN | PollFlags::OUT,
        };
        let mut fds = [
            PollFd::new(&self.socket.tcp, wanted),
            PollFd::new(&self.woken, PollFlags::IN),
        ];
        let patience = Timespec::try_from(patience).ok();
        match poll(&mut fds, patience.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(io::Error::from(error).into()),
        }
        let mut bytes = [0; 64];
        while matches!(self.woken.read(&mut bytes), Ok(1..)) {}
        Ok(())
    }

    /// Says goodbye and waits a moment for the answer, so that neither what was asked last nor what was told last is cut off.
    fn leave(&mut self) {
        let close = CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        let tcp = &self.socket.tcp;
        let blocking = tcp
            .set_nonblocking(false)
            .and_then(|()| tcp.set_read_timeout(Some(GOODBYE)))
            .and_then(|()| tcp.set_write_timeout(Some(GOODBYE)));
        if blocking.is_err() || self.socket.messages.close(Some(close)).is_err() {
            return;
        }
        let until = Instant::now() + GOODBYE;
        while Instant::now() < until
            && let Ok(message) = self.socket.messages.read()
        {
            if let Message::Text(text) = message {
                self.hear(&text);
            }
        }
    }
}

fn said(frame: Option<&CloseFrame>) -> String {
    match frame {
        Some(frame) if !frame.reason.is_empty() => {
            format!("the server closed it ({}): {}", frame.code, frame.reason)
        }
        Some(frame) => format!("the server closed it ({})", frame.code),
        None => "the server closed it".into(),
    }
}

fn describe(error: &Error) -> String {
    match error {
        Error::Io(error) if error.kind() == ErrorKind::TimedOut => "the server is silent".into(),
        Error::Io(error) => error.to_string(),
        error => error.to_string(),
    }
}
