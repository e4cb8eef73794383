//! The schedule, walked by the real processes while the test turns the clock, one millisecond at a time where it matters.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "schedule/processes.rs"]
mod processes;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc;
use std::time::Duration;

use actix::System;
use arc_swap::ArcSwap;
use futures_util::StreamExt;
use tokio::task::JoinHandle;
use tokio::time::advance;
use yizhan::actor::device::{Ask, Renew, Report, Services};
use yizhan::actor::diary::Diary;
use yizhan::actor::dispatch::{Dispatch, Pages};
use yizhan::actor::login::{Attachment, attach};
use yizhan::actor::mailroom::DeviceRef;
use yizhan::actor::outbox::Frames;
use yizhan::actor::presence::Board;
use yizhan::actor::processes::Processes;
use yizhan::actor::registry::Registry;
use yizhan::clock::Clock;
use yizhan::code::{Close, Code};
use yizhan::id::{Did, MsgId, Uid};
use yizhan::machine::access::Pass;
use yizhan::machine::device::Rules;
use yizhan::machine::inbox::Bounds;
use yizhan::machine::schedule::Schedule;
use yizhan::message::chat::Chat;
use yizhan::message::{Ack, Command, Draft, Event, Notice, SignalDraft, State, Target};
use yizhan::metrics::Metrics;
use yizhan::store::durable::Durable;
use yizhan::store::ledger::{Ledger, People, Policy, prepare};
use yizhan::store::memory::MemoryEngine;
use yizhan::store::reader::Keeps;
use yizhan::store::{committer, reader};

const ALICE: Uid = Uid(1);
const BOB: Uid = Uid(108);

/// Gaps, as in config/default.toml.
const GAPS: [u64; 7] = [0, 1500, 1500, 3000, 1000, 3000, 5000];
/// When copies leave, milliseconds after the first.
const LEAVES: [u64; 7] = [0, 1500, 3000, 6000, 7000, 10_000, 15_000];
const LAST: u64 = LEAVES[6];
const HOUR: u64 = 3_600_000;
const MINUTE: u64 = 60_000;

/// More turns of the runtime than any chain of messages between processes on it has links.
const TURNS: usize = 64;
/// How long a test may wait for another thread before it is called stuck; one that passes never waits it out.
const STUCK: Duration = Duration::from_secs(60);

/// A server without sockets, on a clock that stands still until the test moves it.
struct World {
    services: Arc<Services>,
    /// While a blocking task runs, the clock does not move by itself.
    stuck: JoinHandle<bool>,
    _calm: mpsc::Sender<()>,
}

fn in_virtual_time<T: Future<Output = ()>>(gaps: &[u64], story: impl FnOnce(World) -> T) {
    in_virtual_time_within(u64::MAX, gaps, story);
}

/// As `in_virtual_time`, where a client has so long to take a frame, milliseconds.
fn in_virtual_time_within<T: Future<Output = ()>>(
    write_deadline_ms: u64,
    gaps: &[u64],
    story: impl FnOnce(World) -> T,
) {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap()
    };
    System::with_tokio_rt(runtime).block_on(async {
        story(World::start(gaps, write_deadline_ms)).await;
    });
}

impl World {
    fn start(gaps: &[u64], write_deadline_ms: u64) -> World {
        let (calm, waiting) = mpsc::channel();
        let stuck = tokio::task::spawn_blocking(move || {
            let ended: Result<(), _> = waiting.recv_timeout(STUCK);
            ended == Err(mpsc::RecvTimeoutError::Timeout)
        });
        let policy = Policy {
            bounds: Bounds {
                max_messages: 1_000,
                max_devices: 10,
                forget_ms: u64::MAX,
            },
            ttl_ms: 30 * 24 * HOUR,
            people: People::DEFAULT,
        };
        let clock = Clock::start();
        let metrics = Metrics::new().unwrap();
        let registry: Arc<Registry<DeviceRef>> = Arc::default();
        let engine = Arc::new(MemoryEngine::new());
        prepare(&*engine).unwrap();
        let ledger = Ledger::new(engine.clone(), policy);
        let dispatch = Dispatch::new(registry.clone(), metrics.clone(), Diary::none());
        let (commits, _) = committer::start(
            engine.clone(),
            ledger,
            clock.clone(),
            metrics.clone(),
            dispatch,
        )
        .unwrap();
        let keeps = Keeps {
            ttl_ms: policy.ttl_ms,
            history_ms: policy.people.keep_ms,
        };
        let (reads, _) =
            reader::start(engine, clock.clone(), keeps, Durable::default(), Pages).unwrap();
        let rules = Rules {
            deliver_window: 64,
            send_window: 256,
            page_bytes: 130_000,
            token_notice_ms: 5 * MINUTE,
            read_retry_ms: 200,
            retry_ms: 1_000,
            seen_every_ms: 365 * 24 * HOUR,
            ttl_ms: policy.ttl_ms,
            write_deadline_ms,
            silence_ms: u64::MAX,
        };
        let services = Arc::new(Services {
            commits,
            reads,
            registry,
            metrics,
            clock,
            schedule: ArcSwap::from_pointee(Schedule::from_gaps(gaps)),
            rules: rules.into(),
            processes: Processes::default(),
            diary: Diary::none(),
            presence: Board::default(),
            tells: false,
            epochs: AtomicU64::new(1),
        });
        World {
            services,
            stuck,
            _calm: calm,
        }
    }

    /// A device logs in; what the summary says waits for it comes with it.
    async fn login(&mut self, uid: Uid, did: &str) -> Client {
        let good_until = self.services.clock.now_ms() + 1_000 * HOUR;
        self.login_until(uid, did, good_until).await
    }

    async fn login_until(&mut self, uid: Uid, did: &str, good_until: u64) -> Client {
        let did = Did::parse(did).unwrap();
        let attachment = tokio::select! {
            attachment = attach(&self.services, uid, &did, Pass::until(good_until)) => attachment,
            _ = &mut self.stuck => panic!("the login of {did} is stuck"),
        };
        let mut attachment = attachment.expect("the login was refused");
        let frames = attachment.take_frames().unwrap();
        let mut client = Client {
            did,
            attachment,
            frames,
            heard: Vec::new(),
            waiting: 0,
        };
        match self.next(&mut client).await {
            Event::Notice {
                notice: Notice::OfflineSummary { count, .. },
                ..
            } => client.waiting = count,
            other => panic!("the first frame was {other:?}"),
        }
        client
    }

    /// The next frame for a client, from whatever thread it comes; the clock stands still meanwhile.
    async fn next(&mut self, client: &mut Client) -> Event {
        if client.heard.is_empty() {
            tokio::select! {
                taken = client.frames.next() => client.heard.extend(taken.unwrap().events),
                _ = &mut self.stuck => panic!("nothing comes for {}", client.did),
            }
        }
        client.heard.remove(0)
    }

    async fn takes_copy(&mut self, client: &mut Client, id: &str) {
        let event = self.next(client).await;
        assert_eq!(copy_of(&event), Some(id), "{event:?}");
    }

    /// Alice's device sends a message that is durable, and known to every device of Bob, when this returns.
    async fn sends(&mut self, alice: &mut Client, id: &str) {
        alice
            .asks(Command::Send(Draft {
                id: MsgId::parse(id).unwrap(),
                to: Chat::User(BOB),
                payload: "{}".into(),
                created_at: None,
                expires_at: None,
            }))
            .await;
        match self.next(alice).await {
            Event::Accepted { id: accepted, .. } => assert_eq!(accepted.as_str(), id),
            other => panic!("{id} was answered with {other:?}"),
        }
    }

    async fn acks(&mut self, client: &mut Client, id: &str) {
        let ack = Ack::Id {
            id: MsgId::parse(id).unwrap(),
            did: client.did.clone(),
        };
        client.asks(Command::Ack(ack.clone())).await;
        assert_eq!(self.next(client).await, Event::AckOk(ack));
    }

    async fn state(&mut self, alice: &mut Client, id: &str) -> State {
        let target = Target {
            to: Chat::User(BOB),
            id: MsgId::parse(id).unwrap(),
        };
        alice.asks(Command::Status(vec![target])).await;
        match self.next(alice).await {
            Event::Status(states) => states[0].1,
            other => panic!("the status was answered with {other:?}"),
        }
    }

    fn metric(&self, name: &str) -> i64 {
        let text = String::from_utf8(self.services.metrics.render().unwrap()).unwrap();
        let line = text
            .lines()
            .find(|line| line.split_once(' ').is_some_and(|(found, _)| found == name));
        line.and_then(|line| line.split(' ').nth(1))
            .unwrap()
            .parse()
            .unwrap()
    }

    /// Waits for other threads until so many deliveries walk, whoever reads; the clock stands still meanwhile.
    async fn until_in_flight(&self, deliveries: i64) {
        while self.in_flight() != deliveries {
            assert!(!self.stuck.is_finished(), "{} walk", self.in_flight());
            settle().await;
        }
    }

    fn in_flight(&self) -> i64 {
        self.metric("yizhan_deliveries_in_flight")
    }

    fn parked(&self) -> i64 {
        self.metric("yizhan_parked_total")
    }
}

/// One connection, from its adapter's side.
struct Client {
    did: Did,
    attachment: Attachment,
    frames: Frames,
    heard: Vec<Event>,
    /// How many messages the first frame said wait.
    waiting: u64,
}

impl Client {
    async fn asks(&self, command: Command) {
        let ask = Ask {
            epoch: self.attachment.epoch(),
            commands: vec![command],
        };
        self.attachment.device().addr().send(ask).await.unwrap();
    }

    async fn reports(&self, report: Report) {
        self.attachment.device().addr().send(report).await.unwrap();
    }

    async fn renews(&self, pass: Pass, expire_at: u64) {
        let renew = Renew {
            epoch: self.attachment.epoch(),
            pass,
            expire_at,
        };
        self.attachment.device().addr().send(renew).await.unwrap();
    }

    /// What came by now, without waiting for more.
    fn heard(&mut self) -> Vec<Event> {
        while let Some(taken) = Frames::take(&mut self.frames) {
            self.heard.extend(taken.events);
        }
        std::mem::take(&mut self.heard)
    }

    /// How many copies of the message came by now, and that nothing else did.
    fn copies(&mut self, id: &str) -> usize {
        let heard = self.heard();
        for event in &heard {
            assert_eq!(copy_of(event), Some(id), "{event:?}");
        }
        heard.len()
    }
}

fn copy_of(event: &Event) -> Option<&str> {
    match event {
        Event::Deliver(row) => Some(row.message.id.as_str()),
        Event::Signal(signal) => Some(signal.id.as_str()),
        _ => None,
    }
}

/// Lets every process do what it can do without another thread.
async fn settle() {
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}

async fn pass(ms: u64) {
    advance(Duration::from_millis(ms)).await;
    settle().await;
}

/// Walks the clients, who have their first copy, through the rest of the schedule, and counts their copies.
async fn walk(clients: &mut [&mut Client], id: &str) -> usize {
    let mut sends = 1;
    for step in LEAVES.windows(2) {
        pass(step[1] - step[0] - 1).await;
        for client in &mut *clients {
            assert_eq!(client.copies(id), 0, "a copy came before {} ms", step[1]);
        }
        pass(1).await;
        for client in &mut *clients {
            assert_eq!(client.copies(id), 1, "no copy came at {} ms", step[1]);
        }
        sends += 1;
    }
    sends
}

#[test]
fn an_unacked_message_leaves_at_its_times_exactly_and_is_parked() {
    in_virtual_time(&GAPS, |mut world| async move {
        let mut alice = world.login(ALICE, "a-phone").await;
        let mut bob = world.login(BOB, "b-phone").await;
        world.sends(&mut alice, "m1").await;
        world.takes_copy(&mut bob, "m1").await;
        settle().await;
        assert_eq!((world.in_flight(), world.parked()), (1, 0));

        assert_eq!(walk(&mut [&mut bob], "m1").await, 7);
        assert_eq!((world.in_flight(), world.parked()), (0, 1));
        assert_eq!(world.metric("yizhan_redelivered_total"), 6);

        for _ in 0..60 {
            pass(MINUTE).await;
            bob.reports(Report::Alive).await;
            settle().await;
            assert_eq!(bob.copies("m1"), 0, "it waits for a login");
        }
        assert_eq!((world.in_flight(), world.parked()), (0, 1));
        assert_eq!(world.state(&mut alice, "m1").await, State::Accepted);
    });
}

#[test]
fn two_silent_devices_see_seven_sends_each() {
    in_virtual_time(&GAPS, |mut world| async move {
        let mut alice = world.login(ALICE, "a-phone").await;
        let mut phone = world.login(BOB, "b-phone").await;
        let mut web = world.login(BOB, "b-web").await;
        world.sends(&mut alice, "m1").await;
        world.takes_copy(&mut phone, "m1").await;
        world.takes_copy(&mut web, "m1").await;
        settle().await;
        assert_eq!(world.in_flight(), 2);

        assert_eq!(walk(&mut [&mut phone, &mut web], "m1").await, 7);
        assert_eq!((world.in_flight(), world.parked()), (0, 2));
        pass(HOUR).await;
        assert_eq!((phone.copies("m1"), web.copies("m1")), (0, 0));
    });
}

#[test]
fn an_ack_stops_the_chain_of_its_own_device_and_no_other() {
    in_virtual_time(&GAPS, |mut world| async move {
        let mut alice = world.login(ALICE, "a-phone").await;
        let mut phone = world.login(BOB, "b-phone").await;
        let mut web = world.login(BOB, "b-web").await;
        world.sends(&mut alice, "m1").await;
        world.takes_copy(&mut phone, "m1").await;
        world.takes_copy(&mut web, "m1").await;
        pass(LEAVES[1]).await;
        assert_eq!((phone.copies("m1"), web.copies("m1")), (1, 1));

        world.acks(&mut phone, "m1").await;
        settle().await;
        assert_eq!(world.in_flight(), 1);
        match world.next(&mut alice).await {
            Event::Delivered { did, .. } => assert_eq!(did, Some(phone.did.clone())),
            other => panic!("no receipt but {other:?}"),
        }
        let mut sends = 2;
        for step in LEAVES[1..].windows(2) {
            pass(step[1] - step[0]).await;
            sends += web.copies("m1");
        }
        assert_eq!(sends, 7);
        assert_eq!(phone.copies("m1"), 0);
        assert_eq!((world.in_flight(), world.parked()), (0, 1));
    });
}

#[test]
fn an_ack_between_two_copies_is_the_end_of_them() {
    in_virtual_time(&GAPS, |mut world| async move {
        let mut alice = world.login(ALICE, "a-phone").await;
        let mut bob = world.login(BOB, "b-phone").await;
        world.sends(&mut alice, "m1").await;
        world.takes_copy(&mut bob, "m1").await;
        pass(LEAVES[1] - 1).await;
        world.acks(&mut bob, "m1").await;
        settle().await;
        assert_eq!(world.in_flight(), 0);
        pass(HOUR).await;
        assert_eq!(bob.copies("m1"), 0);
        assert_eq!(world.parked(), 0);
    });
}

#[test]
fn a_connection_that_ends_takes_its_deliveries_with_it() {
    in_virtual_time(&GAPS, |mut world| async move {
        let mut alice = world.login(ALICE, "a-phone").await;
        let mut phone = world.login(BOB, "b-phone").await;
        let mut web = world.login(BOB, "b-web").await;
        for id in ["m1", "m2", "m3"] {
            world.sends(&mut alice, id).await;
            world.takes_copy(&mut phone, id).await;
            world.takes_copy(&mut web, id).await;
        }
        settle().await;
        assert_eq!(world.in_flight(), 6);
        drop(phone);
        settle().await;
        assert_eq!(world.in_flight(), 3);
        assert_eq!(world.metric("yizhan_online_devices"), 2);
        pass(LEAVES[1]).await;
        assert_eq!(web.heard().len(), 3);
        drop(web);
        settle().await;
        assert_eq!((world.in_flight(), world.parked()), (0, 6));
        for id in ["m1", "m2", "m3"] {
            assert_eq!(world.state(&mut alice, id).await, State::Accepted);
        }
    });
}

#[test]
fn a_newer_connection_of_the_device_starts_the_schedule_anew() {
    in_virtual_time(&GAPS, |mut world| async move {
        let mut alice = world.login(ALICE, "a-phone").await;
        let mut older = world.login(BOB, "b-phone").await;
        world.sends(&mut alice, "m1").await;
        world.takes_copy(&mut older, "m1").await;
        pass(LEAVES[1] - 1).await;

        let mut newer = world.login(BOB, "b-phone").await;
        assert_eq!(newer.waiting, 1);
        world.takes_copy(&mut newer, "m1").await;
        settle().await;
        assert_eq!(older.heard(), [Event::Close(Close::Replaced)]);
        assert_eq!(world.in_flight(), 1);
        assert_eq!(walk(&mut [&mut newer], "m1").await, 7);
        assert!(older.heard().is_empty());
    });
}

#[test]
fn a_parked_message_comes_again_at_every_login_until_it_is_acked() {
    in_virtual_time(&GAPS, |mut world| async move {
        let mut alice = world.login(ALICE, "a-phone").await;
        let mut bob = world.login(BOB, "b-phone").await;
        world.sends(&mut alice, "m1").await;
        world.takes_copy(&mut bob, "m1").await;
        for login in 1..=3 {
            assert_eq!(walk(&mut [&mut bob], "m1").await, 7);
            assert_eq!((world.in_flight(), world.parked()), (0, login));
            drop(bob);
            pass(HOUR).await;
            bob = world.login(BOB, "b-phone").await;
            assert_eq!(bob.waiting, 1);
            world.takes_copy(&mut bob, "m1").await;
            settle().await;
        }
        world.acks(&mut bob, "m1").await;
        drop(bob);
        settle().await;

        let mut bob = world.login(BOB, "b-phone").await;
        assert_eq!(bob.waiting, 0);
        pass(HOUR).await;
        assert_eq!(bob.copies("m1"), 0);
        assert_eq!(alice.heard().len(), 1, "the receipt");
        assert_eq!(world.state(&mut alice, "m1").await, State::Delivered);
    });
}

#[test]
fn a_late_ack_of_a_parked_message_counts() {
    in_virtual_time(&GAPS, |mut world| async move {
        let mut alice = world.login(ALICE, "a-phone").await;
        let mut bob = world.login(BOB, "b-phone").await;
        world.sends(&mut alice, "m1").await;
        world.takes_copy(&mut bob, "m1").await;
        walk(&mut [&mut bob], "m1").await;
        pass(HOUR).await;
        world.acks(&mut bob, "m1").await;
        assert!(matches!(
            world.next(&mut alice).await,
            Event::Delivered { .. }
        ));
        drop(bob);
        settle().await;
        assert_eq!(world.login(BOB, "b-phone").await.waiting, 0);
    });
}

#[test]
fn a_copy_that_still_waits_to_be_written_is_not_doubled() {
    in_virtual_time(&GAPS, |mut world| async move {
        let mut alice = world.login(ALICE, "a-phone").await;
        let mut bob = world.login(BOB, "b-phone").await;
        world.sends(&mut alice, "m1").await;
        world.takes_copy(&mut bob, "m1").await;
        pass(LEAVES[1]).await;
        pass(LAST - LEAVES[1]).await;
        assert_eq!(bob.copies("m1"), 1, "the second copy, and no third");
        assert_eq!((world.in_flight(), world.parked()), (0, 1));
    });
}

#[test]
fn a_jammed_readers_deliveries_keep_their_schedule_until_the_list_ends() {
    in_virtual_time_within(2 * LAST, &GAPS, |mut world| async move {
        let mut alice = world.login(ALICE, "a-phone").await;
        let mut bob = world.login(BOB, "b-phone").await;
        world.sends(&mut alice, "m1").await;
        world.until_in_flight(1).await;
        for step in LEAVES.windows(2) {
            assert_eq!((world.in_flight(), world.parked()), (1, 0));
            pass(step[1] - step[0]).await;
        }
        assert_eq!((world.in_flight(), world.parked()), (0, 1));
        assert_eq!(world.metric("yizhan_redelivered_total"), 0);
        assert_eq!(bob.copies("m1"), 1, "nothing is written twice");
        assert_eq!(world.metric("yizhan_online_devices"), 2);
    });
}

#[test]
fn a_jammed_readers_deliveries_park_at_the_cut_and_wait_for_the_next_login() {
    in_virtual_time_within(LEAVES[3], &GAPS, |mut world| async move {
        let mut alice = world.login(ALICE, "a-phone").await;
        let mut bob = world.login(BOB, "b-phone").await;
        for id in ["m1", "m2"] {
            world.sends(&mut alice, id).await;
        }
        world.until_in_flight(2).await;
        pass(LEAVES[3] - 1).await;
        assert_eq!((world.in_flight(), world.parked()), (2, 0));
        assert_eq!(world.metric("yizhan_online_devices"), 2);

        // The time is over, and it is looked once more in case that everything stood still.
        pass(1).await;
        pass(100).await;
        assert_eq!((world.in_flight(), world.parked()), (0, 2));
        assert_eq!(world.metric("yizhan_online_devices"), 1);
        let online = |world: &World| {
            let mut found = 0;
            world.services.registry.lookup(BOB, |_| found += 1);
            found
        };
        assert_eq!(online(&world), 0);
        assert_eq!(bob.heard(), [Event::Close(Close::TooSlow)]);
        world.sends(&mut alice, "m3").await;
        assert_eq!(world.parked(), 3);

        let mut back = world.login(BOB, "b-phone").await;
        assert_eq!((back.waiting, online(&world)), (3, 1));
        for id in ["m1", "m2", "m3"] {
            world.takes_copy(&mut back, id).await;
        }
        // The end of the connection that was cut is reported in the end, and means nothing any more.
        drop(bob);
        settle().await;
        assert_eq!((world.in_flight(), online(&world)), (3, 1));
    });
}

#[test]
fn a_reader_who_takes_a_frame_now_and_then_is_slow_and_not_jammed() {
    in_virtual_time_within(1_000, &[0, HOUR], |mut world| async move {
        let mut alice = world.login(ALICE, "a-phone").await;
        let mut bob = world.login(BOB, "b-phone").await;
        for n in 0..64 {
            world.sends(&mut alice, &format!("m{n}")).await;
        }
        world.until_in_flight(64).await;
        // Four frames are taken at a time.
        for n in 0..16 {
            pass(999).await;
            let taken = Frames::take(&mut bob.frames).unwrap();
            assert_eq!(copy_of(&taken.events[0]), Some(&*format!("m{}", 4 * n)));
        }
        pass(HOUR / 2).await;
        assert_eq!(world.metric("yizhan_online_devices"), 2);
    });
}

#[test]
fn a_schedule_of_one_copy_sends_one() {
    in_virtual_time(&[0], |mut world| async move {
        let mut alice = world.login(ALICE, "a-phone").await;
        let mut bob = world.login(BOB, "b-phone").await;
        world.sends(&mut alice, "m1").await;
        world.takes_copy(&mut bob, "m1").await;
        settle().await;
        assert_eq!((world.in_flight(), world.parked()), (0, 1));
        pass(HOUR).await;
        assert_eq!(bob.copies("m1"), 0, "it left more than once");
    });
}

#[test]
fn a_schedule_of_one_copy_sends_one_however_quickly_it_is_written() {
    in_virtual_time(&[0], |mut world| async move {
        let mut alice = world.login(ALICE, "a-phone").await;
        let bob = world.login(BOB, "b-phone").await;
        let Client {
            mut frames,
            attachment: _attachment,
            ..
        } = bob;
        let (write, mut written) = tokio::sync::mpsc::unbounded_channel();
        // A task of its own on the device's thread, as the adapter of a WebSocket is.
        actix::spawn(async move {
            while let Some(taken) = frames.next().await {
                for event in taken.events {
                    write.send(event).unwrap();
                }
            }
        });
        world.sends(&mut alice, "m1").await;
        let first = tokio::select! {
            event = written.recv() => event.unwrap(),
            _ = &mut world.stuck => panic!("no copy comes"),
        };
        assert_eq!(copy_of(&first), Some("m1"));
        pass(HOUR).await;
        assert_eq!((world.in_flight(), world.parked()), (0, 1));
        assert!(written.try_recv().is_err(), "it left more than once");
    });
}

async fn calls(caller: &Client, id: &str) {
    caller
        .asks(Command::Signal(SignalDraft {
            id: MsgId::parse(id).unwrap(),
            kind: "WEBRTC_OFFER".into(),
            to: BOB,
            payload: "{}".into(),
            created_at: None,
        }))
        .await;
}

fn refused(event: &Event) -> Option<(&str, Code)> {
    match event {
        Event::Error { fault, .. } => Some((fault.id.as_deref()?, fault.code)),
        _ => None,
    }
}

#[test]
fn a_signal_walks_the_same_schedule_and_fails_when_the_list_is_used_up() {
    in_virtual_time(&GAPS, |mut world| async move {
        let mut alice = world.login(ALICE, "a-phone").await;
        let mut phone = world.login(BOB, "b-phone").await;
        let mut web = world.login(BOB, "b-web").await;
        calls(&alice, "call").await;
        assert!(matches!(
            world.next(&mut alice).await,
            Event::Relayed { .. }
        ));
        world.takes_copy(&mut phone, "call").await;
        world.takes_copy(&mut web, "call").await;
        settle().await;
        assert_eq!(world.in_flight(), 2);

        let sends = walk(&mut [&mut phone, &mut web], "call").await;
        assert_eq!(sends, 7);
        let heard = alice.heard();
        assert_eq!(heard.len(), 1, "{heard:?}");
        assert_eq!(refused(&heard[0]), Some(("call", Code::NotFound)));
        assert_eq!((world.in_flight(), world.parked()), (0, 0));
        drop(phone);
        pass(HOUR).await;
        let mut phone = world.login(BOB, "b-phone").await;
        pass(HOUR).await;
        assert_eq!(phone.waiting, 0);
        assert_eq!(phone.copies("call"), 0, "a signal is never stored");
    });
}

#[test]
fn a_signal_fails_only_if_no_device_acked_it() {
    in_virtual_time(&GAPS, |mut world| async move {
        let mut alice = world.login(ALICE, "a-phone").await;
        let mut phone = world.login(BOB, "b-phone").await;
        let mut web = world.login(BOB, "b-web").await;
        calls(&alice, "call").await;
        world.next(&mut alice).await;
        world.takes_copy(&mut phone, "call").await;
        world.takes_copy(&mut web, "call").await;
        world.acks(&mut phone, "call").await;
        settle().await;
        assert_eq!(world.in_flight(), 1);
        assert_eq!(walk(&mut [&mut web], "call").await, 7);
        assert_eq!(phone.copies("call"), 0);
        assert!(alice.heard().is_empty());
    });
}

#[test]
fn a_signal_fails_with_the_last_connection_it_went_to() {
    in_virtual_time(&GAPS, |mut world| async move {
        let mut alice = world.login(ALICE, "a-phone").await;
        let mut bob = world.login(BOB, "b-phone").await;
        calls(&alice, "call").await;
        world.next(&mut alice).await;
        world.takes_copy(&mut bob, "call").await;
        drop(bob);
        let failed = world.next(&mut alice).await;
        assert_eq!(refused(&failed), Some(("call", Code::NotFound)));
        settle().await;
        assert_eq!(world.in_flight(), 0);
        calls(&alice, "again").await;
        let nobody = world.next(&mut alice).await;
        assert_eq!(refused(&nobody), Some(("again", Code::NotFound)));
    });
}

#[test]
fn a_token_is_asked_for_five_minutes_before_its_end_and_its_end_closes() {
    in_virtual_time(&GAPS, |mut world| async move {
        let good_until = world.services.clock.now_ms() + HOUR;
        let mut bob = world.login_until(BOB, "b-phone", good_until).await;
        pass(HOUR - 5 * MINUTE - 1).await;
        assert!(bob.heard().is_empty());
        pass(1).await;
        match &bob.heard()[..] {
            [
                Event::Notice {
                    notice: Notice::PleaseRefreshToken { expire_at },
                    ..
                },
            ] => assert_eq!(*expire_at, good_until),
            other => panic!("no notice but {other:?}"),
        }
        pass(5 * MINUTE - 1).await;
        assert!(bob.heard().is_empty());
        pass(1).await;
        assert_eq!(bob.heard(), [Event::Close(Close::Token)]);
    });
}

#[test]
fn a_token_renewed_in_time_keeps_the_connection() {
    in_virtual_time(&GAPS, |mut world| async move {
        let good_until = world.services.clock.now_ms() + HOUR;
        let mut bob = world.login_until(BOB, "b-phone", good_until).await;
        pass(HOUR - MINUTE).await;
        assert_eq!(bob.heard().len(), 1, "the notice");
        let (expire_at, renewed) = (good_until + HOUR, Pass::until(good_until + HOUR));
        bob.renews(renewed, expire_at).await;
        assert_eq!(world.next(&mut bob).await, Event::RefreshOk { expire_at });
        pass(HOUR - 4 * MINUTE - 1).await;
        assert!(bob.heard().is_empty());
        pass(1).await;
        assert_eq!(bob.heard().len(), 1, "the next notice");
        pass(5 * MINUTE).await;
        assert_eq!(bob.heard(), [Event::Close(Close::Token)]);
    });
}
