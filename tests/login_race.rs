//! A reader who comes and goes while messages keep arriving misses none, whichever moment they choose.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use support::{ALICE, BOB, End, ONCE, Pulse, Reader, Sender, Server};

const SENDERS: [u64; 2] = [2001, 2002];
const READER: u64 = 2003;
const MESSAGES: u64 = 1500;
const WINDOW: usize = 32;
const RACES: usize = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_who_logs_in_and_out_under_load_gets_every_message_once_in_order() {
    let mut rng = fastrand::Rng::with_seed(support::seed());
    // Without resends a message the login missed would never come.
    let server = Server::start(&[ONCE]).await;
    let listener = server.public;
    let pulse = Arc::new(Pulse::new());

    let sending: Vec<_> = SENDERS
        .map(|uid| {
            let pulse = Arc::clone(&pulse);
            tokio::spawn(async move {
                let mut sender = Sender::new(uid, READER);
                let end = sender.stream(listener, WINDOW, MESSAGES, &pulse).await;
                assert_eq!(end, End::Done);
                sender
            })
        })
        .into_iter()
        .collect();

    let mut reader = Reader::new(READER, "phone", rng.fork());
    let total = SENDERS.len() * MESSAGES as usize;
    let mut logins = 0;
    while reader.received_count() < total {
        logins += 1;
        let mut client = reader.login(listener).await.expect("the server is there");
        let stay = rng.usize(0..60);
        let mut asked = 0;
        let end = reader
            .read(&mut client, &pulse, |reader| {
                asked += 1;
                asked > stay || reader.received_count() == total
            })
            .await;
        assert_eq!(end, End::Done);
        if rng.bool() {
            client.vanish();
        } else {
            client.leave().await;
        }
    }
    println!("{logins} logins");

    let mut accepted = support::Messages::new();
    for sender in sending {
        accepted.extend(sender.await.unwrap().accepted());
    }
    assert_eq!(accepted.len(), total);
    reader.finish(listener, &accepted).await;
    reader.assert_gapless();
    reader.assert_nothing_waits(listener).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_message_at_the_very_moment_of_a_login_is_not_missed() {
    let mut rng = fastrand::Rng::with_seed(support::seed());
    // Nothing follows the message that could make up for it: no resend, and no other message whose announcement would show
    // that one is missing.
    let server = Server::start(&[ONCE]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    let mut usual = Duration::from_millis(1);
    for race in 0..RACES {
        bob.vanish();
        let id = format!("race-{race}");
        let begun = Instant::now();
        let send_at = usual.mul_f64(1.2 * rng.f64());
        let sending = async {
            // Shorter than any timer.
            while begun.elapsed() < send_at {
                tokio::task::yield_now().await;
            }
            alice.send_c2c(&id, BOB, "now or never").await;
        };
        let logging_in = async {
            let bob = server.login(BOB, "b-phone").await;
            usual = begun.elapsed();
            bob
        };
        bob = tokio::join!(logging_in, sending).0;
        bob.takes(&id).await;
        alice.delivered(&id).await;
    }
}
