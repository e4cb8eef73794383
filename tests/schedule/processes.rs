//! What the process of a device does for its machine, where the frames of a quiet day would not show the difference.

use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker};

use actix::prelude::SendError;
use futures_util::{FutureExt, Stream};
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use yizhan::actor::fence;
use yizhan::actor::mailroom::Letter;
use yizhan::machine::access::{Access, Change};
use yizhan::message::Receipt;

use super::*;

/// An adapter that takes every frame in the moment it is put into the outbox, as one on a quicker thread may.
struct Quick {
    frames: Mutex<Frames>,
    device: DeviceRef,
    written: UnboundedSender<Event>,
}

impl Quick {
    fn take_over(client: Client) -> (Attachment, UnboundedReceiver<Event>) {
        let (written, events) = unbounded_channel();
        let quick = Arc::new(Quick {
            frames: Mutex::new(client.frames),
            device: client.attachment.device().clone(),
            written,
        });
        quick.wake();
        (client.attachment, events)
    }
}

impl Wake for Quick {
    fn wake(self: Arc<Self>) {
        let waker = Waker::from(self.clone());
        let mut frames = self.frames.lock();
        let mut poll = || Pin::new(&mut *frames).poll_next(&mut Context::from_waker(&waker));
        while let Poll::Ready(Some(taken)) = poll() {
            for event in taken.events {
                let _ = self.written.send(event);
            }
            if taken.wanted {
                self.device.addr().do_send(Report::Alive);
            }
        }
    }
}

fn receipt(n: usize) -> Letter {
    Letter::Receipt(Receipt {
        sender: BOB,
        id: MsgId::parse(&format!("r{n}")).unwrap(),
        reader: ALICE,
        did: Did::parse("a-phone").unwrap(),
        server_ts: 1,
    })
}

/// How many processes of a user are announced to.
fn announced_to(world: &World, uid: Uid) -> usize {
    let mut found = 0;
    world.services.registry.lookup(uid, |_| found += 1);
    found
}

#[test]
fn a_wake_up_reaches_a_device_whose_mailbox_is_full() {
    in_virtual_time(&GAPS, |mut world| async move {
        let mut bob = world.login(BOB, "b-phone").await;
        let device = bob.attachment.device().clone();
        let full = loop {
            match device.addr().try_send(Report::Alive) {
                Ok(()) => {}
                Err(error) => break error,
            }
        };
        assert!(matches!(full, SendError::Full(_)), "{full:?}");
        device.post(Letter::Lagging);
        settle().await;
        assert_eq!(notices(&bob.heard()), [Notice::Resync]);
        // And whoever comes later is not left alone with an earlier wake-up that never came.
        device.post(Letter::Lagging);
        settle().await;
        assert_eq!(notices(&bob.heard()), [Notice::Resync]);
    });
}

fn notices(events: &[Event]) -> Vec<Notice> {
    let notices = events.iter().map(|event| match event {
        Event::Notice { notice, .. } => notice.clone(),
        other => panic!("no notice: {other:?}"),
    });
    notices.collect()
}

#[test]
fn a_message_that_found_the_outbox_full_comes_though_the_adapter_was_quicker_than_the_device() {
    in_virtual_time(&GAPS, |mut world| async move {
        let mut alice = world.login(ALICE, "a-phone").await;
        let bob = world.login(BOB, "b-phone").await;
        let (attachment, mut written) = Quick::take_over(bob);
        let device = attachment.device().clone();
        // All of it is opened in one go: the receipts fill the outbox before the message is looked at, and by the time
        // the device asks to hear of room there is nothing left that could make some.
        let frames = world.services.rules.deliver_window;
        for n in 0..frames {
            assert_eq!(device.leave(receipt(n)), n == 0);
        }
        world.sends(&mut alice, "m1").await;
        device.wake();
        for _ in 0..frames {
            let event = written.recv().await.unwrap();
            assert!(matches!(event, Event::Delivered { .. }), "{event:?}");
        }
        let event = tokio::select! {
            event = written.recv() => event.unwrap(),
            _ = &mut world.stuck => panic!("the message never comes"),
        };
        assert_eq!(copy_of(&event), Some("m1"));
    });
}

#[test]
fn nothing_is_kept_of_a_connection_that_has_ended_while_its_device_goes_on() {
    in_virtual_time(&GAPS, |mut world| async move {
        let older = world.login(BOB, "b-phone").await;
        let mut newer = world.login(BOB, "b-phone").await;
        let Client {
            attachment,
            mut frames,
            ..
        } = older;
        settle().await;
        let last = frames.next().now_or_never().flatten().unwrap();
        assert_eq!(last.events, [Event::Close(Close::Replaced)]);
        assert!(frames.next().now_or_never().is_none(), "it may go on");
        drop(attachment);
        settle().await;
        assert!(
            matches!(frames.next().now_or_never(), Some(None)),
            "the device still holds the outbox"
        );
        newer.attachment.device().post(Letter::Lagging);
        settle().await;
        assert_eq!(newer.heard().len(), 1, "the newer one goes on");
    });
}

#[test]
fn a_device_that_lives_on_for_late_acks_alone_is_announced_to_no_more() {
    in_virtual_time(&GAPS, |mut world| async move {
        let mut alice = world.login(ALICE, "a-phone").await;
        let older = world.login(BOB, "b-phone").await;
        let newer = world.login(BOB, "b-phone").await;
        assert_eq!(announced_to(&world, BOB), 1);
        assert_eq!(world.metric("yizhan_online_devices"), 2);
        drop(newer);
        settle().await;
        assert!(older.attachment.device().addr().connected());
        assert_eq!(announced_to(&world, BOB), 0);
        assert_eq!(world.metric("yizhan_online_devices"), 1);

        calls(&alice, "call").await;
        let heard = world.next(&mut alice).await;
        assert_eq!(refused(&heard), Some(("call", Code::NotFound)));
        world.sends(&mut alice, "m1").await;
        assert_eq!(world.parked(), 1, "it was counted as nobody's");
    });
}

#[test]
fn the_fence_is_passed_when_every_letter_left_before_is_open() {
    in_virtual_time(&GAPS, |mut world| async move {
        let mut phone = world.login(BOB, "b-phone").await;
        let mut web = world.login(BOB, "b-web").await;
        let mut access = Access::default();
        access.change(&Change::Ban).unwrap();
        let access = Arc::new(access);
        for client in [&phone, &web] {
            // Whoever was the first to leave a letter has not come to wake the device yet.
            let letter = Letter::Restricted(access.clone());
            assert!(client.attachment.device().leave(letter));
        }
        fence::opened(&world.services, BOB).await;
        for client in [&mut phone, &mut web] {
            assert_eq!(client.heard(), [Event::Close(Close::Kicked)]);
        }
    });
}
