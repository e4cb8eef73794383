//! The chat page, in real browsers, as people use it: real clicks and keys, and a real server that is killed.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use std::net::TcpListener;

use support::{ADMIN_TOKEN, Browser, Call, Client, Page, SEED, Server, User, c2c, text_payload};

const ALICE: u64 = 1;
const BOB: u64 = 2;
const CAROL: u64 = 3;

/// How many messages a device has under way while it writes many.
const UNDER_WAY: usize = 100;

/// A server that gives anybody a token, and comes back at its address when it is started again.
async fn server() -> Server {
    let port = {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap().port()
    };
    let public = format!("listen.public=127.0.0.1:{port}");
    let arguments = ["--config", SEED, "--dev"];
    Server::start_with(&arguments, &[&public, "store.min_free_bytes=0"]).await
}

/// The page of this user, with the chat with another open or none.
async fn page_of(browser: &Browser, server: &Server, user: u64, with: Option<u64>) -> Page {
    let mut page = browser.start().await;
    page.open(&address(server, user, with)).await;
    page.wait_for(READY).await;
    page
}

fn address(server: &Server, user: u64, with: Option<u64>) -> String {
    let chat = with.map_or_else(String::new, |other| format!("&chat={}", chat_with(other)));
    format!("http://{}/#user={user}&lang=en{chat}", server.public)
}

fn chat_with(other: u64) -> String {
    format!("C2C/{}", User::new(other).name)
}

const READY: &str = "document.body?.dataset.ready === '1'";

/// Loads the page again, and waits until it can be used.
async fn reload(page: &mut Page) {
    page.evaluate("void (globalThis.isOld = true, setTimeout(() => location.reload()))")
        .await;
    page.wait_for(&format!("!globalThis.isOld && {READY}"))
        .await;
}

fn hook(name: &str) -> String {
    format!("[data-test=\"{name}\"]")
}

async fn click(page: &mut Page, name: &str) {
    page.click(&hook(name)).await;
}

async fn write(page: &mut Page, text: &str) {
    page.type_into(&hook("composer"), text).await;
    page.press("Enter").await;
}

/// The messages with this text, as rows of the page.
fn rows(text: &str) -> String {
    format!(
        "[...document.querySelectorAll('[data-test=message]')].filter((row) => row.querySelector('.text').textContent === {text:?})"
    )
}

/// That the page has exactly one message with this text, in this state.
fn has(text: &str, state: &str) -> String {
    let rows = rows(text);
    format!("(({{length, 0: row}}) => length === 1 && row.dataset.state === {state:?})({rows})")
}

/// That an attribute of the first element with this name has this value.
fn is(name: &str, attribute: &str, value: &str) -> String {
    format!(
        "document.querySelector({:?})?.getAttribute({attribute:?}) === {value:?}",
        hook(name)
    )
}

/// What the open chat shows, in its order.
async fn texts(page: &mut Page) -> Vec<String> {
    let texts = page
        .evaluate("[...document.querySelectorAll('[data-test=message] .text')].map((text) => text.textContent)")
        .await;
    serde_json::from_value(texts).unwrap()
}

/// Opens a message's menu with the mouse and presses one of its items.
async fn choose(page: &mut Page, text: &str, item: &str) {
    let rows = rows(text);
    let marked = format!("({rows}[0].querySelector('.more').id = 'wanted', true)");
    page.evaluate(&marked).await;
    page.evaluate("document.querySelector('#wanted').closest('[data-id]').focus()")
        .await;
    page.click("#wanted").await;
    click(page, item).await;
    page.evaluate("document.querySelector('#wanted').id = ''")
        .await;
}

/// Writes so many messages and waits until the server has them.
async fn write_many(server: &Server, from: u64, to: u64, count: usize) {
    let mut device = Client::login(server.public, &User::new(from), "writer").await;
    let to = User::new(to).name;
    let mut accepted = 0;
    for n in 1..=count {
        let frame = c2c(&format!("n{n}"), &to, &text_payload(&format!("number {n}")));
        device.send(frame).await;
        if n >= UNDER_WAY {
            accepted += 1;
            device.accepted(&format!("n{accepted}")).await;
        }
    }
    for n in accepted + 1..=count {
        device.accepted(&format!("n{n}")).await;
    }
    device.leave().await;
}

#[tokio::test]
async fn two_pages_talk_and_each_sees_how_far_its_messages_came() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let server = server().await;
    let mut alice = page_of(&browser, &server, ALICE, Some(BOB)).await;
    write(&mut alice, "hello").await;
    alice.wait_for(&has("hello", "accepted")).await;
    let mut bob = page_of(&browser, &server, BOB, None).await;
    alice.wait_for(&has("hello", "delivered")).await;
    bob.wait_for(&is("chat-item", "data-unread", "1")).await;
    click(&mut bob, "chat-item").await;
    bob.wait_for(&has("hello", "received")).await;
    alice.wait_for(&has("hello", "read")).await;
    bob.wait_for(&is("chat-item", "data-unread", "0")).await;

    bob.type_into(&hook("composer"), "and to you").await;
    alice
        .wait_for(&is("chat-sub", "data-state", "typing"))
        .await;
    bob.press("Enter").await;
    alice.wait_for(&has("and to you", "received")).await;
    bob.wait_for(&has("and to you", "read")).await;
    for page in [&mut alice, &mut bob] {
        assert_eq!(texts(page).await, ["hello", "and to you"]);
        reload(page).await;
        assert_eq!(texts(page).await, ["hello", "and to you"]);
        page.no_complaints().await;
    }
    alice.wait_for(&has("hello", "read")).await;
}

#[tokio::test]
async fn a_server_that_is_killed_loses_nothing_and_shows_nothing_twice() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let mut server = server().await;
    let mut alice = page_of(&browser, &server, ALICE, Some(BOB)).await;
    let mut bob = page_of(&browser, &server, BOB, Some(ALICE)).await;
    let mut wanted = Vec::new();
    for n in 1..=12 {
        if n == 5 {
            server.kill9().await;
        }
        for (page, name) in [(&mut alice, "alice"), (&mut bob, "bob")] {
            let text = format!("{name} {n}");
            write(page, &text).await;
            wanted.push(text);
        }
        if n == 8 {
            alice
                .wait_for("document.querySelector('[data-test=connection]').dataset.queued >= 4")
                .await;
            alice
                .wait_for("!document.querySelector('[data-test=banner]').hidden")
                .await;
            server.restart().await;
        }
    }
    for text in &wanted {
        let (mine, others) = if text.starts_with("alice") {
            (&mut alice, &mut bob)
        } else {
            (&mut bob, &mut alice)
        };
        others.wait_for(&has(text, "received")).await;
        mine.wait_for(&has(text, "read")).await;
    }
    let order = texts(&mut alice).await;
    assert_eq!(texts(&mut bob).await, order);
    for name in ["alice", "bob"] {
        let own: Vec<_> = order.iter().filter(|text| text.starts_with(name)).collect();
        let sent: Vec<_> = wanted
            .iter()
            .filter(|text| text.starts_with(name))
            .collect();
        assert_eq!(own, sent);
    }
    for page in [&mut alice, &mut bob] {
        page.wait_for(&is("connection", "data-queued", "0")).await;
        reload(page).await;
        assert_eq!(texts(page).await, order);
    }
}

#[tokio::test]
async fn what_was_written_offline_is_sent_by_the_page_that_comes_after() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let server = server().await;
    let mut alice = page_of(&browser, &server, ALICE, Some(BOB)).await;
    click(&mut alice, "offline-toggle").await;
    alice
        .wait_for(&is("connection", "data-state", "offline"))
        .await;
    for text in ["one", "two"] {
        write(&mut alice, text).await;
        alice.wait_for(&has(text, "queued")).await;
    }
    alice.wait_for(&is("connection", "data-queued", "2")).await;
    let banner = alice.text(&hook("banner")).await;
    assert!(banner.contains('2'), "{banner}");
    reload(&mut alice).await;
    for text in ["one", "two"] {
        alice.wait_for(&has(text, "accepted")).await;
    }
    // Back without a reload.
    click(&mut alice, "offline-toggle").await;
    alice
        .wait_for(&is("connection", "data-state", "offline"))
        .await;
    write(&mut alice, "three").await;
    alice.wait_for(&has("three", "queued")).await;
    click(&mut alice, "offline-toggle").await;
    alice.wait_for(&has("three", "accepted")).await;
    let mut bob = page_of(&browser, &server, BOB, Some(ALICE)).await;
    bob.wait_for(&has("three", "received")).await;
    assert_eq!(texts(&mut bob).await, ["one", "two", "three"]);
    bob.no_complaints().await;
}

#[tokio::test]
async fn ticks_of_what_another_device_wrote_come_from_the_server() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let server = server().await;
    write_many(&server, ALICE, BOB, 2).await;
    let mut alice = page_of(&browser, &server, ALICE, Some(BOB)).await;
    for text in ["number 1", "number 2"] {
        alice.wait_for(&has(text, "accepted")).await;
    }
    let mut device = server.login(BOB, "phone").await;
    for id in ["n1", "n2"] {
        device.takes(id).await;
    }
    for text in ["number 1", "number 2"] {
        alice.wait_for(&has(text, "delivered")).await;
    }
    reload(&mut alice).await;
    alice.wait_for(&has("number 2", "delivered")).await;
    alice
        .wait_for(
            "document.querySelector('[data-test=chat-item] .ticks')?.dataset.tick === 'delivered'",
        )
        .await;
}

#[tokio::test]
async fn a_group_of_three_talks() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let server = server().await;
    let mut alice = page_of(&browser, &server, ALICE, None).await;
    let mut bob = page_of(&browser, &server, BOB, None).await;
    let mut carol = page_of(&browser, &server, CAROL, None).await;
    click(&mut alice, "new-group").await;
    alice.type_into(&hook("new-group-name"), "Crew").await;
    alice.type_into(&hook("new-group-members"), "2, 3").await;
    click(&mut alice, "new-group-dialog-submit").await;
    alice
        .wait_for("document.querySelector('#chat').dataset.chat?.startsWith('C2G/')")
        .await;
    write(&mut alice, "all hands").await;
    alice
        .wait_for(&format!(
            "{}[0]?.querySelector('.ticks .count')?.textContent === '2'",
            rows("all hands")
        ))
        .await;
    for page in [&mut bob, &mut carol] {
        click(page, "chat-item").await;
        page.wait_for(&has("all hands", "received")).await;
        page.wait_for(&format!(
            "document.querySelector('{}').textContent.includes('Crew')",
            hook("chat-title")
        ))
        .await;
        page.wait_for("document.querySelector('[data-test=notice]') !== null")
            .await;
    }
    write(&mut bob, "aye").await;
    write(&mut carol, "aye aye").await;
    for text in ["aye", "aye aye"] {
        alice.wait_for(&has(text, "received")).await;
    }
    carol.wait_for(&has("aye", "received")).await;
    bob.wait_for(&has("aye aye", "received")).await;
    alice.picture("chat", 1440, 900).await;
    click(&mut alice, "members").await;
    alice
        .wait_for("document.querySelectorAll('[data-test=member]').length === 3")
        .await;
    alice.press("Escape").await;
    choose(&mut alice, "all hands", "menu-info").await;
    alice
        .wait_for("document.querySelectorAll('[data-test=receipt][data-state=read]').length === 2")
        .await;
    alice.press("Escape").await;
    // How many have it is known after a reload too, which the page does not remember.
    reload(&mut alice).await;
    alice
        .wait_for(&format!(
            "{}[0]?.querySelector('.ticks .count')?.textContent === '2'",
            rows("all hands")
        ))
        .await;
    for page in [&mut alice, &mut bob, &mut carol] {
        page.no_complaints().await;
    }
}

#[tokio::test]
async fn scrolling_up_brings_the_whole_history_in_order() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let server = server().await;
    write_many(&server, BOB, ALICE, 300).await;
    let mut alice = page_of(&browser, &server, ALICE, Some(BOB)).await;
    alice.wait_for(&has("number 300", "received")).await;
    assert!(!texts(&mut alice).await.contains(&"number 1".to_owned()));
    // Every look scrolls to the top again, as a finger does that does not stop.
    alice
        .wait_for(&format!(
            "(document.querySelector('#log').scrollTop = 0, {})",
            has("number 1", "received")
        ))
        .await;
    alice.wait_for(&is("older", "data-state", "begin")).await;
    let shown = texts(&mut alice).await;
    assert!(shown.len() <= 170, "{} rows", shown.len());
    let wanted: Vec<_> = (1..=shown.len()).map(|n| format!("number {n}")).collect();
    assert_eq!(shown, wanted);
    click(&mut alice, "to-end").await;
    alice.wait_for(&has("number 300", "received")).await;
    alice.no_complaints().await;
}

#[tokio::test]
async fn messages_are_edited_and_taken_back() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let server = server().await;
    let mut alice = page_of(&browser, &server, ALICE, Some(BOB)).await;
    let mut bob = page_of(&browser, &server, BOB, Some(ALICE)).await;
    write(&mut alice, "helo").await;
    write(&mut alice, "oops").await;
    bob.wait_for(&has("oops", "received")).await;
    alice.wait_for(&has("oops", "read")).await;
    choose(&mut alice, "helo", "menu-edit").await;
    alice
        .wait_for("document.querySelector('[data-test=composer]').value === 'helo'")
        .await;
    alice.evaluate("document.execCommand('selectAll')").await;
    write(&mut alice, "hello").await;
    choose(&mut alice, "oops", "menu-revoke").await;
    for page in [&mut alice, &mut bob] {
        page.wait_for(&format!("{}[0]?.dataset.edited === '1'", rows("hello")))
            .await;
        page.wait_for("document.querySelectorAll('[data-revoked=\"1\"]').length === 1")
            .await;
        reload(page).await;
        page.wait_for(&format!("{}[0]?.dataset.edited === '1'", rows("hello")))
            .await;
        let seen = page.text(&hook("messages")).await;
        assert!(!seen.contains("oops") && !seen.contains("helo\n"), "{seen}");
        page.no_complaints().await;
    }
}

#[tokio::test]
async fn everything_is_done_by_keys() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let server = server().await;
    let mut page = browser.start().await;
    page.open(&format!("http://{}/#lang=en", server.public))
        .await;
    // The first user has the focus.
    page.wait_for("document.activeElement.dataset.test === 'login-user-1'")
        .await;
    page.press("Enter").await;
    page.wait_for(READY).await;
    let tab_to = async |page: &mut Page, name: &str| {
        for _ in 0..40 {
            let focused = page.evaluate("document.activeElement.dataset.test").await;
            if focused == name {
                return;
            }
            page.press("Tab").await;
        }
        panic!("no way to {name} by keys");
    };
    tab_to(&mut page, "new-chat").await;
    page.press("Enter").await;
    page.wait_for("document.activeElement.dataset.test === 'new-chat-number'")
        .await;
    page.type_into(&hook("new-chat-number"), "2").await;
    page.press("Enter").await;
    page.wait_for("document.activeElement.dataset.test === 'composer'")
        .await;
    write(&mut page, "one").await;
    page.wait_for(&has("one", "accepted")).await;
    // The last own message is mended by an arrow.
    page.press("ArrowUp").await;
    page.wait_for("document.querySelector('[data-test=composer]').value === 'one'")
        .await;
    write(&mut page, " and only").await;
    page.wait_for(&has("one and only", "accepted")).await;
    // Out of the chat and into it again.
    page.press("Escape").await;
    page.wait_for("document.querySelector('#chat').hidden && document.activeElement.dataset.test === 'chat-list'")
        .await;
    page.press("ArrowDown").await;
    page.press("Enter").await;
    page.wait_for(&has("one and only", "accepted")).await;
    tab_to(&mut page, "messages").await;
    page.press("ArrowUp").await;
    page.wait_for("document.activeElement.dataset.test === 'message'")
        .await;
    page.press("Enter").await;
    page.wait_for("document.activeElement.dataset.test === 'menu-copy'")
        .await;
    page.press("ArrowDown").await;
    page.press("ArrowDown").await;
    page.wait_for("document.activeElement.dataset.test === 'menu-revoke'")
        .await;
    page.press("Enter").await;
    page.wait_for("document.querySelectorAll('[data-revoked=\"1\"]').length === 1")
        .await;
    page.no_complaints().await;
}

#[tokio::test]
async fn who_is_chosen_after_a_refused_login_is_the_same_after_a_reload() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let server = server().await;
    let ban = format!("/v1/users/{}/ban", User::new(BOB).name);
    let banned = Call::put(server.admin, &ban).bearer(ADMIN_TOKEN);
    assert_eq!(banned.send().await.status, 200);
    let mut page = browser.start().await;
    page.open(&address(&server, BOB, None)).await;
    page.wait_for("document.querySelector('#login-error')?.textContent")
        .await;
    click(&mut page, "login-user-1").await;
    page.wait_for(READY).await;
    reload(&mut page).await;
    let name = User::new(ALICE).name;
    page.wait_for(&format!(
        "document.querySelector('#my-uid').textContent === {name:?}"
    ))
    .await;
}

#[tokio::test]
async fn a_phone_shows_one_pane_at_a_time() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let server = server().await;
    write_many(&server, BOB, ALICE, 30).await;
    let mut page = browser.start().await;
    page.resize(390, 844).await;
    page.open(&address(&server, ALICE, None)).await;
    page.wait_for(READY).await;
    let fits = "document.documentElement.scrollWidth <= 390";
    page.wait_for(&format!("{fits} && document.querySelector('#thread').getBoundingClientRect().width * document.querySelector('#side').getBoundingClientRect().width === 0"))
        .await;
    click(&mut page, "chat-item").await;
    page.wait_for(&has("number 30", "received")).await;
    page.wait_for(&format!(
        "{fits} && document.querySelector('#app').dataset.pane === 'thread'"
    ))
    .await;
    page.type_into(&hook("composer"), "from the road").await;
    click(&mut page, "send").await;
    page.wait_for(&has("from the road", "accepted")).await;
    page.picture("chat", 390, 844).await;
    click(&mut page, "back").await;
    page.wait_for("document.querySelector('#app').dataset.pane === 'list'")
        .await;
    page.wait_for(&is("chat-item", "data-unread", "0")).await;
    page.no_complaints().await;
}

#[tokio::test]
async fn the_newest_page_is_there_while_thousands_of_messages_still_wait() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let server = server().await;
    write_many(&server, BOB, ALICE, 10_000).await;
    let mut page = page_of(&browser, &server, ALICE, Some(BOB)).await;
    let rows = server.metric("yizhan_inbox_rows").await;
    assert!(rows > 2_000.0, "only {rows} rows still wait");
    let shown = texts(&mut page).await;
    assert_eq!(
        shown.last().map(String::as_str),
        Some("number 10000"),
        "{shown:?}"
    );
    assert!((40..=170).contains(&shown.len()), "{} rows", shown.len());
    page.no_complaints().await;
}
