//! The server is killed at random moments under load, and nothing it said turns out untrue.
//! `YIZHAN_KILL_ROUNDS=100 cargo test --test kill` kills it more often.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use fastrand::Rng;
use futures_util::future::join_all;
use support::{End, Pulse, Reader, Sender, Server};
use tokio::{sync::mpsc, task::JoinSet, time::sleep};

const PAIRS: u64 = 6;
const WINDOW: usize = 32;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_said_holds_after_it_was_killed() {
    let mut rng = Rng::with_seed(support::seed());
    let rounds: u32 =
        std::env::var("YIZHAN_KILL_ROUNDS").map_or(10, |rounds| rounds.parse().unwrap());
    let mut server = Server::start(&[]).await;
    let mut pairs: Vec<_> = (0..PAIRS)
        .map(|at| Pair::new(3000 + 2 * at, rng.fork()))
        .collect();

    for round in 1..=rounds {
        // Most kills come under load; some before everybody has recovered from the one before.
        let impatient = round > 1 && rng.u8(..4) == 0;
        let pulse = Arc::new(Pulse::new());
        let (recovered, mut all_recovered) = mpsc::channel::<()>(1);
        let mut working = JoinSet::new();
        for pair in pairs.drain(..) {
            let pulse = Arc::clone(&pulse);
            working.spawn(pair.work_until_killed(server.public, pulse, recovered.clone()));
        }
        drop(recovered);

        // As often a short stretch as a long one.
        let beats = 1 << rng.u32(0..17);
        let kill_time = async {
            if impatient {
                pulse.after(beats % 200).await;
            } else {
                // Closed when the last pair has let go of its end.
                all_recovered.recv().await;
                pulse.after(beats).await;
            }
        };
        tokio::select! {
            () = kill_time => {}
            // No pair ends before the kill, except by a panic.
            Some(ended) = working.join_next() => { ended.unwrap(); panic!("a pair stopped working"); }
        }
        // A little later at random, so that the kill is not tied to the moment a client hears something.
        sleep(Duration::from_micros(rng.u64(..5000))).await;
        server.kill9().await;

        while let Some(pair) = working.join_next().await {
            pairs.push(pair.unwrap());
        }
        pairs.sort_by_key(|pair| pair.uid);
        let accepted: usize = pairs.iter().map(|pair| pair.sender.accepted_count()).sum();
        println!("round {round}: killed after {accepted} accepted");
        server.restart().await;
    }

    for pair in &mut pairs {
        pair.settle(server.public).await;
    }
}

/// One who writes and one who reads, on one device or two, with all they know.
struct Pair {
    uid: u64,
    sender: Sender,
    devices: Vec<Reader>,
    rng: Rng,
}

impl Pair {
    fn new(uid: u64, mut rng: Rng) -> Self {
        let dids: &[&str] = if uid.is_multiple_of(4) {
            &["phone"]
        } else {
            &["phone", "tablet"]
        };
        Self {
            uid,
            sender: Sender::new(uid, uid + 1),
            devices: dids
                .iter()
                .map(|did| Reader::new(uid + 1, did, rng.fork()))
                .collect(),
            rng,
        }
    }

    async fn work_until_killed(
        mut self,
        listener: SocketAddr,
        pulse: Arc<Pulse>,
        recovered: mpsc::Sender<()>,
    ) -> Self {
        let Some(()) = self.recover(listener, &pulse).await else {
            return self;
        };
        drop(recovered);
        let reading = self.devices.iter_mut().map(|device| async {
            match device.login(listener).await {
                Some(mut client) => device.read(&mut client, &pulse, |_| false).await,
                None => End::Closed(None),
            }
        });
        let writing = self.sender.stream(listener, WINDOW, u64::MAX, &pulse);
        let (end, ends) = tokio::join!(writing, join_all(reading));
        assert!(end == End::Closed(None) && ends.iter().all(|end| *end == End::Closed(None)));
        self
    }

    /// Holds the restarted server to what the killed one said. None if it is killed meanwhile.
    async fn recover(&mut self, listener: SocketAddr, pulse: &Pulse) -> Option<()> {
        self.sender
            .check_status(listener, &self.devices, &mut self.rng)
            .await?;
        self.sender.repeat_some(listener, 5, &mut self.rng).await?;
        pulse.beat();
        let accepted = self.sender.accepted();
        for device in &mut self.devices {
            let mut client = device.login(listener).await?;
            device.drain(&mut client, &accepted, pulse).await?;
        }
        Some(())
    }

    /// Brings everything to its end: all is accepted, received once by each device, confirmed, and known to be delivered.
    async fn settle(&mut self, listener: SocketAddr) {
        let pulse = Pulse::new();
        self.recover(listener, &pulse)
            .await
            .expect("nobody kills it any more");
        assert_eq!(self.sender.finish(listener, &pulse).await, End::Done);
        let accepted = self.sender.accepted();
        for device in &mut self.devices {
            device.finish(listener, &accepted).await;
            device.assert_gapless();
            device.assert_nothing_waits(listener).await;
        }
        self.sender
            .check_status(listener, &self.devices, &mut self.rng)
            .await
            .expect("nobody kills it any more");
    }
}
