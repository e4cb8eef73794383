//! How long the chat page takes until it can be used, with 10 and with 10,000 unread messages in the chat that it opens: a
//! new browser, a new profile and another user in each round, in turns.
//!
//! `cargo bench --bench page`; `YIZHAN_CHROMIUM` names the browser.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../tests/support/lib.rs"]
mod support;

use support::{Browser, Client, SEED, Server, User, c2c, text_payload};

const ROUNDS: u64 = 5;
const UNREAD: [u64; 2] = [10, 10_000];
const AUTHOR: u64 = 500;
/// The readers are numbered from here: nobody has read anything before.
const READERS: u64 = 1000;

/// How many messages are under way while they are written.
const UNDER_WAY: u64 = 100;

#[tokio::main]
async fn main() {
    let browser = Browser::find().expect("a browser");
    let server =
        Server::start_with(&["--config", SEED, "--dev"], &["store.min_free_bytes=0"]).await;
    let mut author = Client::login(server.public, &User::new(AUTHOR), "author").await;
    let mut took: [Vec<f64>; UNREAD.len()] = Default::default();
    for round in 0..ROUNDS {
        for (at, unread) in UNREAD.into_iter().enumerate() {
            let reader = READERS + round * UNREAD.len() as u64 + at as u64;
            write(&mut author, reader, unread).await;
            took[at].push(open(&browser, &server, reader, unread).await);
        }
    }
    println!("| unread | usable after, median ms | from | to |");
    println!("|---:|---:|---:|---:|");
    for (unread, mut took) in UNREAD.into_iter().zip(took) {
        took.sort_by(f64::total_cmp);
        let (from, median, to) = (took[0], took[took.len() / 2], took[took.len() - 1]);
        println!("| {unread} | {median:.0} | {from:.0} | {to:.0} |");
    }
}

/// Writes so many messages to this user, and waits until the server has them.
async fn write(author: &mut Client, reader: u64, count: u64) {
    let to = User::new(reader).name;
    let mut accepted = 0;
    for n in 1..=count {
        let frame = c2c(&format!("n{n}"), &to, &text_payload(&format!("number {n}")));
        author.send(frame).await;
        if n >= UNDER_WAY {
            accepted += 1;
            author.accepted(&format!("n{accepted}")).await;
        }
    }
    for n in accepted + 1..=count {
        author.accepted(&format!("n{n}")).await;
    }
    author.take_aside();
}

/// Milliseconds from the begin of the navigation until the page can be used.
async fn open(browser: &Browser, server: &Server, reader: u64, unread: u64) -> f64 {
    let mut page = browser.start().await;
    let author = User::new(AUTHOR).name;
    let address = format!("http://{}/#user={reader}&chat=C2C/{author}", server.public);
    page.open(&address).await;
    page.wait_for("document.body?.dataset.ready === '1'").await;
    let shown = "[...document.querySelectorAll('[data-test=message] .text')].at(-1).textContent";
    assert_eq!(page.evaluate(shown).await, format!("number {unread}"));
    let usable = "performance.getEntriesByName('usable')[0].startTime";
    page.evaluate(usable).await.as_f64().unwrap()
}
