//! Frames on their way from a device to the adapter of one connection.
//!
//! The bound is kept by the device's machine, which counts what it puts in and learns here what was taken out.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use parking_lot::Mutex;

use crate::message::Event;

/// Frames that one poll takes: what leaves here sits in the WebSocket's own queue, which has no bound. A turn of its
/// actor has up to 16 polls.
const TAKE_MAX: usize = 4;

/// The device's end.
#[derive(Debug)]
pub struct Outbox(Arc<Mutex<State>>);

/// The adapter's end: a stream of the frames that wait, ending when the device's end is gone.
#[derive(Debug)]
pub struct Frames(Arc<Mutex<State>>);

/// Frames taken at once.
#[derive(Debug)]
pub struct Taken {
    /// In order.
    pub events: Vec<Event>,
    /// Whether the device waits for the room this made.
    pub wanted: bool,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Event>,
    taken: u64,
    room_wanted: bool,
    ended: bool,
    waker: Option<Waker>,
}

/// Makes both ends.
pub fn outbox() -> (Outbox, Frames) {
    let state = Arc::new(Mutex::new(State::default()));
    (Outbox(state.clone()), Frames(state))
}

impl Outbox {
    /// Puts a frame in.
    pub fn push(&self, event: Event) {
        let waker = {
            let mut state = self.0.lock();
            state.queue.push_back(event);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// How many frames were taken out since the beginning.
    pub fn taken(&self) -> u64 {
        self.0.lock().taken
    }

    /// Asks to hear when the frames that wait have been taken; false if they have been already.
    pub fn want_room(&self) -> bool {
        let mut state = self.0.lock();
        state.room_wanted = !state.queue.is_empty();
        state.room_wanted
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.ended = true;
        if let Some(waker) = state.waker.take() {
            drop(state);
            waker.wake();
        }
    }
}

impl Frames {
    /// Takes some of the frames that wait, none if none does.
    pub fn take(&mut self) -> Option<Taken> {
        self.0.lock().take()
    }
}

impl Stream for Frames {
    type Item = Taken;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Taken>> {
        let mut state = self.0.lock();
        if let Some(taken) = state.take() {
            return Poll::Ready(Some(taken));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl State {
    fn take(&mut self) -> Option<Taken> {
        if self.queue.is_empty() {
            return None;
        }
        let count = self.queue.len().min(TAKE_MAX);
        let events: Vec<Event> = self.queue.drain(..count).collect();
        self.taken += count as u64;
        let wanted = self.room_wanted && self.queue.is_empty();
        if wanted {
            self.room_wanted = false;
        }
        Some(Taken { events, wanted })
    }
}
