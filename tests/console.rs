//! The console page, in a real browser, as an operator uses it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use support::{ADMIN_TOKEN, ALICE, BOB, Browser, Page, Server};

/// Sends far enough apart to be seen one by one on a page that looks once a second, and one that never comes.
const SLOW_STEPS: &str = "delivery.schedule_ms=[0,2500,2500,600000]";

const READ_ONLY_TOKEN: &str = "the-tests-own-read-only-token";
const READ_ONLY: &str = "admin.read_token=the-tests-own-read-only-token";

/// A page that is logged in and has seen the node once.
async fn console(browser: &Browser, server: &Server) -> Page {
    let mut page = browser.start().await;
    page.open(&format!("http://{}/", server.admin)).await;
    log_in(&mut page, ADMIN_TOKEN).await;
    page.wait_for(&says("#state-text", "Ready")).await;
    page.wait_for(&says("#shell-state", "connected, <0.")).await;
    page
}

async fn log_in(page: &mut Page, token: &str) {
    page.type_into("#token", token).await;
    page.press("Enter").await;
}

/// That an element's text has these words.
fn says(css: &str, words: &str) -> String {
    format!("document.querySelector({css:?})?.textContent.includes({words:?})")
}

/// That a panel has a row with these words, or has none.
fn row(panel: &str, words: &str) -> String {
    format!(
        "[...document.querySelectorAll('{panel} tbody tr')].some((row) => row.textContent.includes({words:?}))"
    )
}

/// Evaluates a line at the page's shell and waits until it is done.
async fn evaluates(page: &mut Page, line: &str) {
    page.type_into("#line", line).await;
    page.press("Enter").await;
    page.wait_for("document.querySelector('#interrupt').ariaDisabled === 'true' && document.querySelector('#line').value === ''")
        .await;
}

#[tokio::test]
async fn a_wrong_token_is_refused_and_the_right_one_opens_the_console() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let server = Server::start(&[]).await;
    let mut page = browser.start().await;
    page.open(&format!("http://{}/", server.admin)).await;
    log_in(&mut page, "not-the-token").await;
    page.wait_for(&says("#login-error", "Invalid token")).await;
    // The browser itself notes a refused request, and nothing else is wrong.
    let complaints = page.console_errors().await;
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(complaints[0].contains("401"), "{complaints:?}");
    page.picture("login", 1440, 900).await;
    page.evaluate("document.querySelector('#token').value = ''")
        .await;
    log_in(&mut page, ADMIN_TOKEN).await;
    page.wait_for(&says("#state-text", "Ready")).await;
    let address = page.evaluate("location.href").await.to_string();
    assert!(!address.contains(ADMIN_TOKEN), "{address}");
    let kept = page.evaluate("JSON.stringify(localStorage)").await;
    assert!(!kept.to_string().contains(ADMIN_TOKEN), "{kept}");
    page.click("#forget").await;
    page.wait_for("document.querySelector('#login')?.hidden === false")
        .await;
    assert_eq!(page.evaluate("sessionStorage.length").await, 0);
    page.no_complaints().await;
}

#[tokio::test]
async fn a_line_is_evaluated_and_comes_back_with_the_arrow() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let server = Server::start(&[]).await;
    let mut page = console(&browser, &server).await;
    evaluates(&mut page, "20 + 22.").await;
    assert_eq!(page.text(".entry .told").await.trim(), "42");
    page.press("ArrowUp").await;
    page.wait_for("document.querySelector('#line').value === '20 + 22.'")
        .await;
    page.press("Control+c").await;
    page.wait_for("document.querySelector('#line').value === ''")
        .await;
    // Without a dot Enter begins another line of the same sentence.
    page.type_into("#line", "1 +").await;
    page.press("Enter").await;
    page.wait_for("document.querySelector('#line').value === '1 +\\n'")
        .await;
    evaluates(&mut page, "2.").await;
    page.wait_for(&says(".entry:last-child .told", "3")).await;
    page.type_into("#line", "yizhan:ki").await;
    page.press("Tab").await;
    page.wait_for("document.querySelector('#line').value.startsWith('yizhan:kick')")
        .await;
    page.no_complaints().await;
}

#[tokio::test]
async fn an_endless_line_is_interrupted_by_escape() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let server = Server::start(&[]).await;
    let mut page = console(&browser, &server).await;
    page.type_into("#line", "(fun Loop() -> Loop() end)().")
        .await;
    page.press("Enter").await;
    page.wait_for(&says("#shell-state", "running")).await;
    page.press("Escape").await;
    page.wait_for("document.querySelector('.entry.failed') !== null")
        .await;
    evaluates(&mut page, "20 + 22.").await;
    page.wait_for(&says(".entry:last-child .told", "42")).await;
    page.no_complaints().await;
}

#[tokio::test]
async fn a_device_is_kicked_by_keyboard_alone() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let server = Server::start(&[]).await;
    let mut page = console(&browser, &server).await;
    let mut alice = server.login(ALICE, "phone").await;
    page.wait_for(&row("#devices", "phone")).await;
    let mut steps = 0;
    while page
        .evaluate("document.activeElement.matches('#devices tbody .act button')")
        .await
        != true
    {
        page.press("Tab").await;
        steps += 1;
        assert!(steps < 100, "Tab never comes to the button");
    }
    page.press("Enter").await;
    page.wait_for("document.activeElement.id === 'confirm-no'")
        .await;
    page.press("Tab").await;
    page.wait_for("document.activeElement.id === 'confirm-yes'")
        .await;
    page.press("Enter").await;
    alice.closed().await;
    page.wait_for(&format!("!{}", row("#devices", "phone")))
        .await;
    // The button went with its row; the focus stays where it was.
    page.wait_for("document.activeElement.matches('#devices .grid')")
        .await;
    page.no_complaints().await;
}

#[tokio::test]
async fn a_line_with_a_token_is_not_kept_after_a_reload() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let server = Server::start(&[]).await;
    let mut page = console(&browser, &server).await;
    evaluates(&mut page, "1 + 1.").await;
    evaluates(
        &mut page,
        &format!("token_ds:decrypt_token(<<\"{ADMIN_TOKEN}\">>)."),
    )
    .await;
    evaluates(
        &mut page,
        "token_ds:decrypt_token(<<\"eyJhbGciOiJIUzI1NiJ9.e30.c2ln\">>).",
    )
    .await;
    let kept = page
        .evaluate("localStorage.getItem('yizhan.history')")
        .await;
    assert_eq!(kept, "[\"1 + 1.\"]");
}

#[tokio::test]
async fn a_device_appears_and_vanishes() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let server = Server::start(&[]).await;
    let mut page = console(&browser, &server).await;
    page.wait_for(&says("#devices .empty", "No device")).await;
    let alice = server.login(ALICE, "alice-phone").await;
    page.wait_for(&row("#devices", "alice-phone")).await;
    page.wait_for(&row("#processes", "alice-phone")).await;
    page.click("#devices tbody .did button").await;
    page.wait_for(&says("#details-value", "alice-phone")).await;
    alice.leave().await;
    page.wait_for(&format!("!{}", row("#devices", "alice-phone")))
        .await;
    page.no_complaints().await;
}

#[tokio::test]
async fn an_unacknowledged_delivery_steps_through_its_attempts() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let server = Server::start(&[SLOW_STEPS]).await;
    let mut page = console(&browser, &server).await;
    let mut alice = server.login(ALICE, "phone").await;
    let mut bob = server.login(BOB, "desk").await;
    bob.send_c2c("m1", ALICE, "never acknowledged").await;
    bob.accepted("m1").await;
    alice.receives("m1").await;
    for attempt in 1..=3 {
        let text = format!("{attempt} of 4");
        page.wait_for(&row("#deliveries", &text)).await;
        let made = page
            .evaluate("document.querySelectorAll('#deliveries .steps .made').length")
            .await;
        assert_eq!(made, attempt);
    }
    page.click("#deliveries tbody .message button").await;
    page.wait_for(&says("#details-title", "Message m1")).await;
    page.wait_for(&says("#details-value", "verdict")).await;
    page.no_complaints().await;
}

#[tokio::test]
async fn a_device_is_kicked_by_a_click_that_is_confirmed() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let server = Server::start(&[]).await;
    let mut page = console(&browser, &server).await;
    let mut alice = server.login(ALICE, "phone").await;
    page.wait_for(&row("#devices", "phone")).await;
    page.click("#devices tbody .act button").await;
    page.wait_for("document.querySelector('#confirm').open")
        .await;
    let line = page.text("#confirm-expression").await;
    assert_eq!(line, "yizhan:kick(<<\"kybqdp\">>, <<\"phone\">>).");
    page.click("#confirm-no").await;
    page.wait_for("!document.querySelector('#confirm').open")
        .await;
    assert_eq!(page.evaluate(&row("#devices", "phone")).await, true);
    page.click("#devices tbody .act button").await;
    page.click("#confirm-yes").await;
    alice.closed().await;
    page.wait_for(&format!("!{}", row("#devices", "phone")))
        .await;
    page.no_complaints().await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_said_to_be_silent() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let mut server = Server::start(&[]).await;
    let mut page = console(&browser, &server).await;
    server.kill9().await;
    page.wait_for(&says("#state-text", "does not answer")).await;
    page.wait_for(&says("#shell-state", "not connected")).await;
    page.picture("silent", 1440, 900).await;
    page.picture("silent", 390, 844).await;
}

#[tokio::test]
async fn a_page_that_nobody_looks_at_does_not_ask() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let server = Server::start(&[]).await;
    let mut page = console(&browser, &server).await;
    let hidden = |hidden: bool| {
        format!(
            "Object.defineProperty(document, 'hidden', {{ configurable: true, value: {hidden} }}); \
             document.dispatchEvent(new Event('visibilitychange'))"
        )
    };
    page.evaluate(&hidden(true)).await;
    page.wait_for(&says("#state-text", "Paused")).await;
    page.evaluate(&hidden(false)).await;
    page.wait_for(&says("#state-text", "Ready")).await;
    page.no_complaints().await;
}

#[tokio::test]
async fn with_the_read_only_token_nothing_can_be_changed_by_a_click() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let server = Server::start(&[READ_ONLY]).await;
    let _alice = server.login(ALICE, "phone").await;
    let mut page = browser.start().await;
    page.open(&format!("http://{}/", server.admin)).await;
    log_in(&mut page, READ_ONLY_TOKEN).await;
    page.wait_for(&row("#devices", "phone")).await;
    assert_eq!(page.text("#rights").await, "read-only token");
    page.click("#devices tbody .act button").await;
    let open = page
        .evaluate("document.querySelector('#confirm').open")
        .await;
    assert_eq!(open, false);
    let reason = page.text("#devices-refusal").await;
    assert_eq!(reason, "This token may only read");
    page.no_complaints().await;
}

#[tokio::test]
async fn a_name_chosen_by_a_stranger_is_shown_as_text() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let server = Server::start(&[]).await;
    let mut page = console(&browser, &server).await;
    let name = "<b id=x>\"\\ \u{202e}é";
    let encoded = "%3Cb%20id=x%3E%22%5C%20%E2%80%AE%C3%A9";
    let _alice = server.login(ALICE, encoded).await;
    page.wait_for(&row("#devices", "<b id=x>\"\\ \\x{202e}é"))
        .await;
    assert_eq!(
        page.evaluate("document.querySelector('#x')").await,
        serde_json::Value::Null
    );
    page.click("#devices tbody .act button").await;
    let line = page.text("#confirm-expression").await;
    let expected = format!(
        "yizhan:kick(<<\"kybqdp\">>, <<\"{}\"/utf8>>).",
        name.replace('\\', "\\\\").replace('"', "\\\"")
    );
    assert_eq!(line, expected);
    page.no_complaints().await;
}

#[tokio::test]
async fn every_view_is_pictured_at_both_widths_without_a_complaint() {
    let Some(browser) = Browser::find() else {
        return;
    };
    let server = Server::start(&[]).await;
    let mut page = console(&browser, &server).await;
    let mut alice = server.login(ALICE, "phone").await;
    let mut bob = server.login(BOB, "desk").await;
    bob.send_c2c("m1", ALICE, "never acknowledged").await;
    bob.accepted("m1").await;
    alice.receives("m1").await;
    page.wait_for(&row("#deliveries", "m1")).await;
    evaluates(&mut page, "20 + 22.").await;
    page.click("#deliveries tbody .message button").await;
    page.wait_for(&says("#details-value", "verdict")).await;
    page.picture("console", 1440, 900).await;
    page.click("#details-close").await;
    page.resize(390, 844).await;
    for view in ["shell", "flow", "devices", "inboxes", "processes"] {
        page.click(&format!("#views [data-to={view}]")).await;
        page.wait_for(&format!(
            "document.querySelector('#app').dataset.view === '{view}'"
        ))
        .await;
        page.picture(view, 390, 844).await;
        // Nothing is wider than the phone.
        let wide = page.evaluate("document.documentElement.scrollWidth").await;
        assert_eq!(wide, 390, "{view}");
    }
    page.no_complaints().await;
}
