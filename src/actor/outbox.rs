//! Frames on their way from a device to the adapter of one connection.
//!
//! The bound is kept by the device's machine, which counts what it puts in and learns here what was taken out.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use parking_lot::Mutex;

use crate::message::Event;

/// Frames that one poll takes: what leaves here sits in the WebSocket's own queue, which has no bound. A turn of its
/// actor has up to 16 polls.
const TAKE_MAX: usize = 4;
/// Bytes of frames that one turn takes at most, or one frame.
const TURN_BYTES: usize = 32 << 10;

/// The device's end.
#[derive(Debug)]
pub struct Outbox(Arc<Shared>);

/// The adapter's end: a stream of the frames that wait, ending when the device's end is gone.
#[derive(Debug)]
pub struct Frames {
    shared: Arc<Shared>,
    /// Bytes taken in the turn at hand.
    turn: usize,
}

/// Tells how many frames wait, for those who look.
#[derive(Clone, Debug)]
pub struct Meter(Arc<Shared>);

impl Meter {
    /// Frames that wait.
    pub fn waiting(&self) -> usize {
        self.0.state.lock().queue.len()
    }
}

/// Frames taken at once.
#[derive(Debug)]
pub struct Taken {
    /// In order.
    pub events: Vec<Event>,
    /// Whether the device waits for the room this made.
    pub wanted: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Written under the lock, and read without it.
    taken: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Event>,
    room_wanted: bool,
    ended: bool,
    waker: Option<Waker>,
}

/// Makes both ends.
pub fn outbox() -> (Outbox, Frames) {
    let shared = Arc::<Shared>::default();
    // An idle connection was sent one frame.
    shared.state.lock().queue.reserve_exact(1);
    let frames = Frames {
        shared: shared.clone(),
        turn: 0,
    };
    (Outbox(shared), frames)
}

impl Outbox {
    /// Puts a frame in.
    pub fn push(&self, event: Event) {
        let waker = {
            let mut state = self.0.state.lock();
            state.queue.push_back(event);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// How many frames were taken out since the beginning.
    pub fn taken(&self) -> u64 {
        self.0.taken.load(Ordering::Acquire)
    }

    /// What tells how many frames wait.
    pub fn meter(&self) -> Meter {
        Meter(self.0.clone())
    }

    /// Asks to hear when the frames that wait have been taken; false if they have been already.
    pub fn want_room(&self) -> bool {
        let mut state = self.0.state.lock();
        state.room_wanted = !state.queue.is_empty();
        state.room_wanted
    }

    /// Throws away what waits, and says only this from here on.
    pub fn abandon(&self, last: Event) {
        let waiting = {
            let mut state = self.0.state.lock();
            std::mem::take(&mut state.queue)
        };
        drop(waiting);
        self.push(last);
    }

    /// Throws away the messages that wait.
    pub fn discard(&self) {
        let is_message = |event: &Event| {
            matches!(
                event,
                Event::Deliver(_)
                    | Event::Signal(_)
                    | Event::Text(_)
                    | Event::SyncPage { .. }
                    | Event::WaitingPage { .. }
                    | Event::HistoryPage { .. }
                    | Event::ChatsPage { .. }
            )
        };
        let mut state = self.0.state.lock();
        state.queue.retain(|event| !is_message(event));
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
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
        let mut state = self.shared.state.lock();
        let taken = self.shared.take(&mut state, TURN_BYTES)?;
        Some(taken.0)
    }
}

impl Stream for Frames {
    type Item = Taken;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Taken>> {
        let frames = &mut *self;
        let mut state = frames.shared.state.lock();
        if state.queue.is_empty() {
            frames.turn = 0;
            if state.ended {
                return Poll::Ready(None);
            }
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if frames.turn >= TURN_BYTES {
            // What was taken is handed on first: a client that does not read stops this here.
            frames.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let taken = frames.shared.take(&mut state, TURN_BYTES - frames.turn);
        Poll::Ready(taken.map(|(taken, bytes)| {
            frames.turn += bytes;
            taken
        }))
    }
}

impl Shared {
    /// Takes frames of about so many bytes, at least one if there is one; tells how many bytes they were.
    fn take(&self, state: &mut State, most: usize) -> Option<(Taken, usize)> {
        let (mut events, mut bytes) = (Vec::with_capacity(TAKE_MAX), 0);
        while events.len() < TAKE_MAX
            && (events.is_empty() || bytes < most)
            && let Some(event) = state.queue.pop_front()
        {
            bytes += event.weight();
            events.push(event);
        }
        if events.is_empty() {
            return None;
        }
        self.taken.fetch_add(events.len() as u64, Ordering::Release);
        let wanted = state.room_wanted && state.queue.is_empty();
        if wanted {
            state.room_wanted = false;
        }
        Some((Taken { events, wanted }, bytes))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::task::Wake;

    use super::*;
    use crate::code::Close;
    use crate::id::{MsgId, Uid};
    use crate::message::Signal;

    struct Still;

    impl Wake for Still {
        fn wake(self: Arc<Self>) {}
    }

    fn frame(payload: usize) -> Event {
        let signal = Signal {
            id: MsgId::parse("s1").unwrap(),
            kind: "WEBRTC_OFFER".into(),
            from: Uid(1),
            to: Uid(2),
            payload: "x".repeat(payload).into(),
            created_at: None,
            bare: false,
        };
        Event::Signal(Arc::new(signal))
    }

    /// How many frames one turn of the adapter takes.
    fn turn(frames: &mut Frames) -> usize {
        let waker = Waker::from(Arc::new(Still));
        let mut cx = Context::from_waker(&waker);
        let mut count = 0;
        while let Poll::Ready(Some(taken)) = Pin::new(&mut *frames).poll_next(&mut cx) {
            count += taken.events.len();
        }
        count
    }

    #[test]
    fn a_turn_takes_large_frames_one_by_one_and_small_ones_together() {
        let (outbox, mut frames) = outbox();
        for _ in 0..3 {
            outbox.push(frame(TURN_BYTES));
        }
        for _ in 0..20 {
            outbox.push(frame(100));
        }
        assert_eq!(turn(&mut frames), 1);
        assert_eq!(turn(&mut frames), 1);
        assert_eq!(turn(&mut frames), 1);
        assert_eq!(turn(&mut frames), 20);
        assert_eq!(outbox.taken(), 23);
    }

    #[test]
    fn an_abandoned_outbox_says_its_last_word_only() {
        let (outbox, mut frames) = outbox();
        outbox.push(frame(10));
        let close = Event::Close(Close::TooSlow);
        outbox.abandon(close.clone());
        drop(outbox);
        assert_eq!(frames.take().unwrap().events, [close]);
        assert!(frames.take().is_none());
    }
}
