//! What the rules cost: a message that passes the machine of its reader's device, and that of its sender's; a delivery that
//! walks its schedule; the judgement on a repeat; and a look into the registry.
//!
//! `cargo bench --bench machine`; a part of a name after `--` takes only those.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use yizhan::actor::registry::{Member, Registry};
use yizhan::id::{Did, MsgId, Seq, Uid};
use yizhan::machine::access::Pass;
use yizhan::machine::dedupe::{self, Entry};
use yizhan::machine::delivery::Delivery;
use yizhan::machine::device::{Device, Effect, Rules, Ticket};
use yizhan::machine::ranges::Ranges;
use yizhan::machine::schedule::Schedule;
use yizhan::message::chat::Chat;
use yizhan::message::{
    Accepted, Ack, Acked, Answer, Attached, Command, Draft, Fate, Kind, Message, Row, State, What,
};

const NOW: u64 = 1_668_877_742_828;
const EPOCH: u64 = 1;
const RULES: Rules = Rules {
    deliver_window: 64,
    send_window: 256,
    page_bytes: 1 << 20,
    token_notice_ms: 0,
    read_retry_ms: 200,
    retry_ms: 1_000,
    seen_every_ms: 1 << 40,
    ttl_ms: 1 << 40,
    write_deadline_ms: 30_000,
    silence_ms: 256_000,
};

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = device, delivery, judge, registry
}
criterion_main!(benches);

/// Each turn is one message, with all that the machine hears of it and says to it.
fn device(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("device");
    group.bench_function("a message read: hint, copy, ack, durable", |bencher| {
        let (mut device, mut written) = logged_in();
        let mut seq: Seq = 0;
        let mut next = || {
            seq += 1;
            row(seq)
        };
        bencher.iter_batched(
            &mut next,
            |row| {
                let (seq, id) = (row.seq, row.message.id.clone());
                device.hint(seq, vec![row]);
                obey(&mut device, &mut written);
                let did = device.name().1.clone();
                device.command(NOW, EPOCH, Command::Ack(Ack::Id { id, did }));
                let ticket = obey(&mut device, &mut written).unwrap();
                device.answered(NOW, ticket, Answer::Acked(Acked { fresh: 1 }));
                obey(&mut device, &mut written);
            },
            BatchSize::NumIterations(1),
        );
    });
    group.bench_function("a message sent: command, accepted", |bencher| {
        let (mut device, mut written) = logged_in();
        let mut number = 0;
        let mut next = || {
            number += 1;
            draft(number)
        };
        bencher.iter_batched(
            &mut next,
            |draft| {
                device.command(NOW, EPOCH, Command::Send(draft));
                let ticket = obey(&mut device, &mut written).unwrap();
                let answer = Answer::Accepted(Accepted {
                    seq: 1,
                    cseq: 1,
                    server_ts: NOW,
                    state: State::Accepted,
                    count: 0,
                    repeat: false,
                });
                device.answered(NOW, ticket, answer);
                obey(&mut device, &mut written);
            },
            BatchSize::NumIterations(1),
        );
    });
}

fn delivery(criterion: &mut Criterion) {
    let schedule = Schedule::from_gaps(&[0, 1500, 1500, 3000, 1000, 3000, 5000]);
    let mut group = criterion.benchmark_group("delivery");
    group.bench_function("made and acked before the second copy", |bencher| {
        bencher.iter(|| black_box(Delivery::after_first(schedule.clone())).due());
    });
    group.bench_function("walks all of its schedule", |bencher| {
        bencher.iter(|| {
            let mut delivery = Delivery::after_first(schedule.clone());
            while let Some(due) = delivery.due() {
                black_box(delivery.fire(due));
            }
        });
    });
}

fn judge(criterion: &mut Criterion) {
    let entry = Entry {
        seq: 7,
        digest: 1,
        server_ts: NOW,
        expired: false,
        delivered: false,
        cseq: 7,
        revoked: false,
    };
    let mut group = criterion.benchmark_group("dedupe");
    for (name, found) in [("new", None), ("repeat", Some(entry))] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| dedupe::judge(black_box(found), black_box(1), NOW, 1_000));
        });
    }
}

fn registry(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("registry");
    for users in [1_u64, 1_000, 100_000] {
        let registry = Registry::default();
        let did = Did::parse("a-phone").unwrap();
        for uid in 0..users {
            registry.find_or_insert(Uid(uid), &did, || Process);
            registry.register(Uid(uid), &did, 1, EPOCH);
        }
        let mut uid = 0;
        group.bench_function(format!("lookup among {users}"), |bencher| {
            bencher.iter(|| {
                uid = (uid + 7919) % users;
                registry.lookup(Uid(uid), |process| {
                    black_box(process);
                });
            });
        });
    }
}

#[derive(Clone)]
struct Process;

impl Member for Process {
    fn is_alive(&self) -> bool {
        true
    }

    fn serial(&self) -> u64 {
        1
    }
}

fn logged_in() -> (Device, u64) {
    let mut device = Device::new(Uid(108), Did::parse("a-phone").unwrap(), RULES);
    device.connect(EPOCH, Pass::until(u64::MAX));
    let attached = Attached {
        acks: Ranges::new(),
        resync: false,
    };
    device.answered(NOW, Ticket::Attach(EPOCH), Answer::Attached(attached));
    device.answered(NOW, Ticket::Head(EPOCH), Answer::Head(0));
    let mut written = 0;
    obey(&mut device, &mut written);
    (device, written)
}

/// Takes every effect, as the actor does, with an adapter that writes at once: `written` is what it has written. Returns the
/// ticket of what was submitted.
fn obey(device: &mut Device, written: &mut u64) -> Option<Ticket> {
    let (mut submitted, before) = (None, *written);
    while let Some(effect) = device.next_effect() {
        match effect {
            Effect::Push { .. } | Effect::Notify { .. } => *written += 1,
            Effect::Submit { ticket, .. } => submitted = Some(ticket),
            effect => drop(black_box(effect)),
        }
    }
    if *written > before {
        device.taken(EPOCH, *written);
    }
    submitted
}

fn row(seq: Seq) -> Row {
    Row {
        reader: Uid(108),
        seq,
        since: NOW,
        what: What::Message,
        message: Arc::new(Message {
            id: MsgId::parse(&format!("m{seq}")).unwrap(),
            kind: Kind::Words,
            from: Uid(1),
            to: Chat::User(Uid(108)),
            payload: "1".repeat(256).into(),
            created_at: None,
            server_ts: NOW,
            expires_at: None,
            fate: Fate::Whole,
            cseq: 0,
        }),
    }
}

fn draft(number: u64) -> Draft {
    Draft {
        id: MsgId::parse(&format!("m{number}")).unwrap(),
        to: Chat::User(Uid(1)),
        payload: "1".repeat(256).into(),
        created_at: None,
        expires_at: None,
    }
}
