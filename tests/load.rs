//! `yizhan load` against a real server: each mode ends well, and says numbers that add up.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "load/liar.rs"]
mod liar;
#[path = "load/losing.rs"]
mod losing;
#[path = "support/lib.rs"]
mod support;

use std::process::{Output, Stdio};

use liar::{Liar, Sin};
use losing::LosingServer;
use serde_json::Value;
use support::{Authority, DEADLINE, Pair, SEED, Server};
use tokio::process::Command;
use tokio::time::timeout;

#[tokio::test]
async fn pairs_close_loops_and_the_numbers_add_up() {
    let server = Server::start(&[]).await;
    let pid = server.pid().to_string();
    let args = [
        "pairs",
        "--pairs",
        "3",
        "--window",
        "4",
        "--seconds",
        "0.5",
        "--warm-up",
        "0.1",
        "--server-pid",
        &pid,
    ];
    let report = report(&server, &args).await;
    assert!(count(&report, "sent") > 0);
    adds_up(&report, 1);
    assert_eq!(count(&report, "loops"), count(&report, "sent"));
    let latency = &report["latency"];
    assert_eq!(latency["full_loop"]["count"], report["measured"]["loops"]);
    let at = |what: &str, p: &str| latency[what][p].as_f64().unwrap();
    assert!(at("accept", "p50_us") <= at("full_loop", "p50_us"));
    assert!(at("full_loop", "p99_us") <= at("full_loop", "max_us"));
    assert!(report["server_usage"]["rss_peak_mb"].as_f64().unwrap() > 1.0);
    assert!(report["measured_s"].as_f64().unwrap() >= 0.5);
}

#[tokio::test]
async fn the_page_has_its_plots_in_it_and_names_no_other_host() {
    let server = Server::start(&[]).await;
    let pid = server.pid().to_string();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("report.html");
    let args = [
        "pairs",
        "--pairs",
        "2",
        "--seconds",
        "1",
        "--warm-up",
        "0",
        "--server-pid",
        &pid,
        "--html",
        file.to_str().unwrap(),
    ];
    report(&server, &args).await;
    let page = std::fs::read_to_string(file).unwrap();
    for heading in [
        "Latency",
        "Rate",
        "Latency over time",
        "Server memory",
        "Method",
    ] {
        assert!(page.contains(&format!("<h2>{heading}</h2>")), "{heading}");
    }
    assert!(page.matches("<svg").count() >= 4);
    let hosts = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!hosts.contains("http:") && !hosts.contains("https:") && !hosts.contains("<script"));
}

#[tokio::test]
async fn many_senders_to_one_reader_and_several_devices_are_options_of_pairs() {
    let server = Server::start(&[]).await;
    for acks in ["each", "seqs", "up-to"] {
        let args = [
            "pairs",
            "--pairs",
            "2",
            "--senders-per-reader",
            "5",
            "--devices",
            "3",
            "--window",
            "2",
            "--seconds",
            "0.3",
            "--warm-up",
            "0",
            "--threads",
            "2",
            "--acks",
            acks,
            "--size",
            "5000",
        ];
        let report = report(&server, &args).await;
        assert!(count(&report, "loops") > 0, "{acks}");
        adds_up(&report, 3);
    }
}

#[tokio::test]
async fn a_rate_is_kept_by_a_server_that_can() {
    let server = Server::start(&[]).await;
    let args = words("rate --per-second 200 --pairs 4 --seconds 1 --warm-up 0.2");
    let report = report(&server, &args).await;
    adds_up(&report, 1);
    let sent = count(&report, "sent");
    // What is due when the end comes late is sent as well.
    assert!(sent >= 220, "{sent} of 240 messages were sent");
}

#[tokio::test]
async fn idle_clients_are_counted_and_each_is_alive_at_the_end() {
    let server = Server::start(&[]).await;
    let pid = server.pid().to_string();
    let args = [
        "idle",
        "--clients",
        "50",
        "--seconds",
        "0.2",
        "--server-pid",
        &pid,
    ];
    let report = report(&server, &args).await;
    assert_eq!(report["detail"]["connections"], 50);
    assert_eq!(report["detail"]["probed"], 50);
    assert!(
        report["detail"]["server_rss_connected_mb"]
            .as_f64()
            .unwrap()
            > 1.0
    );
    adds_up(&report, 1);
}

#[tokio::test]
async fn messages_to_absent_readers_wait_and_are_taken() {
    let server = Server::start(&[]).await;
    let report = report(&server, &["offline", "--messages", "500", "--readers", "7"]).await;
    assert_eq!(count(&report, "sent"), 500);
    assert_eq!(count(&report, "accepted"), 500);
    assert!(report["detail"]["stored_per_s"].as_f64().unwrap() > 0.0);
    assert!(report["detail"]["taken_per_s"].as_f64().unwrap() > 0.0);
    adds_up(&report, 1);
}

#[tokio::test]
async fn readers_who_stay_away_leave_their_messages_to_wait() {
    let server = Server::start(&[]).await;
    let args = words("offline --messages 100 --readers 5 --stay-away");
    let report = report(&server, &args).await;
    assert_eq!(count(&report, "accepted"), 100);
    assert_eq!(count(&report, "delivered"), 0);
    assert_eq!(server.metric("yizhan_inbox_rows").await, 100.0);
}

#[tokio::test]
async fn an_inbox_that_is_too_small_for_offline_messages_is_no_result() {
    let server = Server::start(&["inbox.max_messages=10"]).await;
    let output = load(&server, &["offline", "--messages", "100", "--readers", "1"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(one_line(&output).contains("inbox.max_messages"));
}

#[tokio::test]
async fn clients_that_are_cut_at_once_come_back_and_miss_nothing() {
    let server = Server::start(&[]).await;
    let report = report(&server, &["storm", "--clients", "40", "--rounds", "2"]).await;
    let rounds = report["detail"]["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 2);
    for round in rounds {
        assert!(
            round["all_back_s"].as_f64().unwrap() <= round["all_delivered_s"].as_f64().unwrap()
        );
        assert!(round["steady_loops"].as_u64().unwrap() > 0);
    }
    assert!(count(&report, "sent") >= 80);
    adds_up(&report, 1);
}

#[tokio::test]
async fn flaky_clients_lose_nothing_by_their_own_fault() {
    let server = Server::start(&[]).await;
    let args = words("flaky --pairs 6 --seconds 4 --seed 7");
    let report = report(&server, &args).await;
    assert!(count(&report, "logins") > 18, "nobody left and came back");
    adds_up(&report, 2);
}

#[tokio::test]
async fn a_soak_goes_on_over_the_death_of_its_server() {
    let port = quiet_port();
    let mut server = Server::start(&[&format!("listen.public=127.0.0.1:{port}")]).await;
    let url = format!("ws://127.0.0.1:{port}");
    let args = [
        "soak",
        "--pairs",
        "4",
        "--per-second",
        "100",
        "--seconds",
        "5",
        "--storm-every",
        "2",
        "--seed",
        "3",
        "--server",
        &url,
    ];
    let child = command(&args).spawn().unwrap();
    // It has begun when its messages are accepted.
    until_it_accepts(&server).await;
    server.kill9().await;
    server.restart().await;
    let output = child.wait_with_output().await.unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(count(&report, "connections_lost") > 0);
    adds_up(&report, 2);
}

#[tokio::test]
async fn a_server_with_tls_is_loaded_as_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let pair = Pair::within(dir.path());
    Authority::new().issue(&pair, 2095);
    let sets = pair.sets();
    let server = Server::start(&[&sets[0], &sets[1]]).await;
    let url = format!("wss://{}", server.public);
    // Large, so that a message takes several records.
    let args = [
        "pairs",
        "--pairs",
        "2",
        "--window",
        "3",
        "--size",
        "50000",
        "--seconds",
        "0.5",
        "--warm-up",
        "0",
        "--server",
        &url,
    ];
    let trusted = [&args[..], &["--ca", pair.cert.to_str().unwrap()]].concat();
    adds_up(&report(&server, &trusted).await, 1);
    let doubted = [&args[..], &["--patience", "0.2"]].concat();
    let output = load(&server, &doubted).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(one_line(&output).contains("invalid peer certificate"));
}

#[tokio::test]
async fn a_run_that_is_interrupted_is_judged() {
    let server = Server::start(&[]).await;
    let url = format!("ws://{}", server.public);
    let args = [
        "pairs",
        "--pairs",
        "2",
        "--seconds",
        "600",
        "--server",
        &url,
    ];
    let child = command(&args).spawn().unwrap();
    until_it_accepts(&server).await;
    let pid = child.id().unwrap();
    let kill = format!("kill -INT {pid}");
    let sent = std::process::Command::new("sh")
        .args(["-c", &kill])
        .status();
    assert!(sent.unwrap().success());
    let output = timeout(DEADLINE, child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    adds_up(&report, 1);
}

#[tokio::test]
async fn what_cannot_begin_is_said_in_one_line() {
    let server = Server::start(&[]).await;
    let refused: [(&[&str], &str); 7] = [
        (&["pairs", "--pairs", "0"], "--pairs 0: must be at least 1"),
        (
            &["pairs", "--pairs", "90000000"],
            "180000000 connections need 180000064 file descriptors",
        ),
        (&["pairs", "--size", "1"], "--size 1: a payload is"),
        (
            &["idle", "--threads", "2"],
            "--threads 2: idle has one thread",
        ),
        (
            &["rate", "--per-second", "0"],
            "--per-second 0: must be above 0",
        ),
        (
            &["pairs", "--server", "http://127.0.0.1:1"],
            "must begin with ws:// or wss://",
        ),
        (
            &["pairs", "--set", "auth.jwt_key=another-key"],
            "HTTP status 401: Invalid token",
        ),
    ];
    for (args, why) in refused {
        let output = load(&server, args).await;
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let line = one_line(&output);
        assert!(line.contains(why), "{line}");
        assert!(output.stdout.is_empty());
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_waited_for_and_then_given_up() {
    let server = Server::start(&[]).await;
    let args = words("pairs --pairs 1 --patience 0.2 --server ws://127.0.0.1:9");
    let output = load(&server, &args).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(one_line(&output).contains("no login at 127.0.0.1:9"));
}

// ---- servers that do not keep the promise ----

#[tokio::test]
async fn a_server_that_loses_one_message_in_a_thousand_is_caught_and_the_ids_are_named() {
    let server = LosingServer::start(1000);
    let url = format!("ws://{}", server.public);
    let args = [
        "offline",
        "--messages",
        "5000",
        "--readers",
        "5",
        "--drain",
        "10",
        "--server",
        &url,
    ];
    let report = broken(&args).await;
    let lost = server.lost();
    assert_eq!(lost.len(), 5);
    assert_eq!(found(&report, "lost"), lost);
    assert_eq!(report["verdict"], "BROKEN: 5 lost");
    assert_eq!(count(&report, "delivered"), 4995);
}

#[tokio::test]
async fn a_message_that_comes_again_after_its_confirmed_ack_is_caught() {
    let (report, wronged) = lied_to(Sin::Doubles, &["--window", "8"]).await;
    assert_eq!(found(&report, "doubled"), wronged);
}

#[tokio::test]
async fn messages_out_of_order_are_caught() {
    let (report, wronged) = lied_to(Sin::Swaps, &["--window", "8"]).await;
    assert_eq!(found(&report, "out_of_order"), wronged);
}

#[tokio::test]
async fn a_payload_that_was_changed_is_caught() {
    let (report, wronged) = lied_to(Sin::Spoils, &["--drain", "1"]).await;
    let wrong = found(&report, "wrong");
    assert!(!wronged.is_empty());
    for id in wronged {
        assert!(wrong.iter().any(|frame| frame.contains(&id)), "{id}");
    }
}

#[tokio::test]
async fn a_message_that_nobody_sent_is_caught() {
    let (report, wronged) = lied_to(Sin::Forges, &["--drain", "1"]).await;
    assert!(!wronged.is_empty());
    assert!(!found(&report, "wrong").is_empty());
}

#[tokio::test]
async fn a_receipt_that_was_missed_is_asked_for() {
    let server = Server::start(&[]).await;
    let liar = Liar::start(server.public, Sin::Silences, 50).await;
    let url = format!("ws://{}", liar.public);
    let args = [
        "pairs",
        "--pairs",
        "2",
        "--seconds",
        "0.5",
        "--warm-up",
        "0",
        "--server",
        &url,
    ];
    let report = report(&server, &args).await;
    assert!(!liar.wronged().is_empty());
    adds_up(&report, 1);
}

/// What a run finds out about a server behind a liar, and what the liar did.
async fn lied_to(sin: Sin, args: &[&str]) -> (Value, Vec<String>) {
    let server = Server::start(&[]).await;
    let liar = Liar::start(server.public, sin, 20).await;
    let url = format!("ws://{}", liar.public);
    // So short that there is no more than the report names.
    let mut all = vec![
        "offline",
        "--messages",
        "200",
        "--readers",
        "2",
        "--server",
        &url,
    ];
    all.extend(args);
    let report = broken(&all).await;
    (report, liar.wronged())
}

/// A port below those that the system gives out by itself: nobody takes it while the server is down.
fn quiet_port() -> u16 {
    let from = 20_000 + (std::process::id() % 10_000) as u16;
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (from..32_000).find(is_free).expect("a port is free")
}

async fn until_it_accepts(server: &Server) {
    let accepts = async { while server.metric("yizhan_accepted_total").await < 50.0 {} };
    let in_time = tokio::time::timeout(support::DEADLINE, accepts).await;
    in_time.expect("nothing is accepted");
}

/// Runs a mode that must find something.
async fn broken(args: &[&str]) -> Value {
    let output = command(args).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["kept"], false);
    report
}

/// What was found of one kind, sorted.
fn found(report: &Value, kind: &str) -> Vec<String> {
    let ids = report["proof"][kind]["ids"].as_array().unwrap();
    let mut ids: Vec<_> = ids
        .iter()
        .map(|id| id.as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

// ---- how it is run ----

/// Runs a mode that must end well, and reads what it says to machines.
async fn report(server: &Server, args: &[&str]) -> Value {
    let output = load(server, args).await;
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["kept"], true);
    report
}

/// Arguments as they are typed.
fn words(typed: &str) -> Vec<&str> {
    typed.split(' ').collect()
}

async fn load(server: &Server, args: &[&str]) -> Output {
    let url = format!("ws://{}", server.public);
    let mut args = args.to_vec();
    if !args.contains(&"--server") {
        args.extend(["--server", &url]);
    }
    command(&args).output().await.unwrap()
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_yizhan"));
    command
        .arg("load")
        .args(args)
        .args(["--config", SEED, "--json", "--quiet"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

fn one_line(output: &Output) -> String {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    said
}

fn count(report: &Value, what: &str) -> u64 {
    report["counts"][what].as_u64().unwrap()
}

/// Every message went all its ways, at each of so many devices.
fn adds_up(report: &Value, devices: u64) {
    let sent = count(report, "sent");
    assert_eq!(count(report, "accepted"), sent);
    assert_eq!(count(report, "delivered"), devices * sent);
    assert_eq!(count(report, "confirmed"), devices * sent);
    for (name, finding) in report["proof"].as_object().unwrap() {
        assert_eq!(finding["count"], 0, "{name}");
    }
}
