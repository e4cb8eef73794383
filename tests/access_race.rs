//! Logins while bans come and go: once a ban is answered, nobody it concerns is connected, whichever moment it chose.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use support::token::{now_ms, token};
use support::{
    ADMIN_TOKEN, Call, Client, DEADLINE, End, ONCE, Pulse, Reader, Sender, Server, User,
};
use tokio::{sync::watch, task::JoinSet, time::timeout};

const SENDER: u64 = 2001;
const READER: u64 = 2003;
const MESSAGES: u64 = 4000;
const WINDOW: usize = 32;
const DEVICES: usize = 6;
const BANS: u64 = 60;
const INVALIDATIONS: usize = 40;

/// Even: everybody may come. Odd: the ban has been answered. It moves on when the next request begins.
type Round = watch::Sender<u64>;

#[derive(Default)]
struct Seen {
    admitted: AtomicU64,
    cut: AtomicU64,
    refused: AtomicU64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_login_slips_past_a_ban_whichever_moment_it_chooses() {
    let mut rng = Rng::with_seed(support::seed());
    let server = Server::start(&[ONCE]).await;
    let listener = server.public;
    let sending = tokio::spawn(async move {
        let mut sender = Sender::new(SENDER, READER);
        let end = sender
            .stream(listener, WINDOW, MESSAGES, &Pulse::new())
            .await;
        assert_eq!(end, End::Done);
        sender.accepted()
    });

    let reader = User::new(READER);
    let path = format!("/v1/users/{}/ban", reader.name);
    let round: Arc<Round> = Arc::default();
    let seen = Arc::new(Seen::default());
    let mut devices = JoinSet::new();
    let mut sent_away = Vec::new();
    for n in 0..DEVICES {
        let (away, hears) = watch::channel(0);
        sent_away.push(hears);
        let (reader, round, seen) = (reader.clone(), round.clone(), seen.clone());
        devices.spawn(async move {
            let did = format!("device-{n}");
            while *round.borrow() < 2 * BANS {
                let begun = *round.borrow();
                let Some(mut client) = Client::try_login(listener, &reader, &did).await else {
                    seen.refused.fetch_add(1, Ordering::Relaxed);
                    if begun % 2 == 1 {
                        away.send_replace(begun);
                        // There is nothing to see before the ban is lifted.
                        let mut rounds = round.subscribe();
                        rounds.wait_for(|now| *now > begun).await.unwrap();
                    }
                    continue;
                };
                // It may have begun before the ban, and may then have been let in before it too, but never after it.
                assert_eq!(begun % 2, 0, "{did} was let in after a ban was answered");
                seen.admitted.fetch_add(1, Ordering::Relaxed);
                assert_eq!(client.closed().await, Some(4013), "{did}");
                seen.cut.fetch_add(1, Ordering::Relaxed);
            }
        });
    }

    for ban in 0..BANS {
        // Somewhere in the midst of the logins that the end of the ban before has let loose.
        tokio::time::sleep(Duration::from_micros(rng.u64(0..6_000))).await;
        put(&server, &path).await;
        let banned = 2 * ban + 1;
        round.send_replace(banned);
        for (n, hears) in sent_away.iter_mut().enumerate() {
            let refused = hears.wait_for(|round| *round == banned);
            let refused = timeout(DEADLINE, refused).await;
            refused
                .unwrap_or_else(|_| panic!("device {n} is still connected"))
                .unwrap();
        }
        if ban + 1 < BANS {
            lift(&server, &path).await;
        }
        round.send_replace(banned + 1);
    }
    while let Some(device) = devices.join_next().await {
        device.unwrap();
    }
    let [admitted, cut, refused] =
        [&seen.admitted, &seen.cut, &seen.refused].map(|count| count.load(Ordering::Relaxed));
    println!("{admitted} logins, {cut} of them cut by a ban, {refused} refused");
    assert!(cut > 0, "no ban met a connection");

    lift(&server, &path).await;
    let accepted = sending.await.unwrap();
    let mut everything = Reader::new(READER, "device-0", rng.fork());
    everything.finish(listener, &accepted).await;
    everything.assert_gapless();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_bought_with_an_old_one_outlives_an_invalidation() {
    let mut rng = Rng::with_seed(support::seed());
    let server = Server::start(&[ONCE]).await;
    let listener = server.public;
    let path = format!("/v1/users/{}/tokens/invalidate", User::new(READER).name);
    for _ in 0..INVALIDATIONS {
        let rtk = token(READER, "rtk", Some(now_ms()));
        let mut buyers = JoinSet::new();
        for _ in 0..DEVICES {
            let rtk = rtk.clone();
            buyers.spawn(async move {
                let mut last = None;
                loop {
                    let call = Call::post(listener, "/v1/token/refresh", "");
                    let answer = call.bearer(&rtk).send().await;
                    if answer.status != 200 {
                        assert_eq!(answer.refusal(401), 706);
                        return last;
                    }
                    let token = answer.payload()["token"].as_str().unwrap().to_owned();
                    last = Some(token);
                }
            });
        }
        tokio::time::sleep(Duration::from_micros(rng.u64(0..6_000))).await;
        let call = Call::post(server.admin, &path, "").bearer(ADMIN_TOKEN);
        call.send().await.payload();
        while let Some(bought) = buyers.join_next().await {
            if let Some(token) = bought.unwrap() {
                let path = format!("/ws?did=phone&authorization={token}");
                let refused = Call::upgrade(listener, &path).send().await;
                assert_eq!(refused.refusal(401), 706);
            }
        }
    }
}

async fn put(server: &Server, path: &str) {
    let call = Call::put(server.admin, path).bearer(ADMIN_TOKEN);
    call.send().await.payload();
}

async fn lift(server: &Server, path: &str) {
    let call = Call::delete(server.admin, path).bearer(ADMIN_TOKEN);
    call.send().await.payload();
}
