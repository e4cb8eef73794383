//! What one client, or a crowd of them, can ask of a server: rates, numbers of connections, file descriptors, patience.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use std::{net::SocketAddr, time::Duration};

use support::{
    ADMIN_TOKEN, ALICE, Answer, BOB, CAROL, Call, Client, DEADLINE, Frame, ONCE, SEED, Server,
    User, field,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};

// ---- rates ----

#[tokio::test]
async fn a_device_that_sends_too_fast_is_told_when_to_come_back_and_loses_nothing() {
    let server = Server::start(&[ONCE, "limits.messages_per_s=2"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    let ids: Vec<_> = (0..12).map(|n| format!("m{n}")).collect();
    for id in &ids {
        alice.send_c2c(id, BOB, id).await;
    }
    let mut refused = Vec::new();
    for _ in &ids {
        let answer = alice
            .expect("an answer", |f| f.is("C2C_SERVER_ACK") || f.is("ERROR"))
            .await;
        if answer.is("ERROR") {
            assert_eq!(answer.num("code"), 429);
            assert_eq!(answer.str("to"), User::new(BOB).name);
            assert!((1..=1000).contains(&answer.num("retry_ms")), "{answer:?}");
            refused.push(answer.id());
        }
    }
    assert!(refused.len() >= 5, "only {refused:?} were refused");

    // The connection goes on, and who obeys is let through: the first of them is, after exactly what it was told.
    for id in &refused {
        alice.send_c2c(id, BOB, id).await;
        while let Some(wait) = too_fast(&mut alice, id).await {
            sleep(wait).await;
            alice.send_c2c(id, BOB, id).await;
        }
    }
    for id in &ids {
        bob.takes(id).await;
    }
    let limited = r#"yizhan_limited_total{limit="messages_per_s"}"#;
    assert!(server.metric(limited).await >= 5.0);
}

#[tokio::test]
async fn what_was_refused_is_taken_after_the_time_that_was_told() {
    let server = Server::start(&[ONCE, "limits.messages_per_s=1"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let wait = loop {
        alice.send_c2c("m1", BOB, "again and again").await;
        if let Some(wait) = too_fast(&mut alice, "m1").await {
            break wait;
        }
    };
    sleep(wait).await;
    alice.send_c2c("m2", BOB, "once").await;
    assert_eq!(too_fast(&mut alice, "m2").await, None);
}

#[tokio::test]
async fn signals_count_as_messages_and_nothing_else_does() {
    let server = Server::start(&[ONCE, "limits.messages_per_s=1"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    bob.send_c2c("b1", ALICE, "hello").await;
    alice.takes("b1").await;
    let to = User::new(BOB).name;
    let refused = loop {
        alice
            .send(format!(
                r#"{{"id":"w1","type":"WEBRTC_OFFER","to":"{to}","payload":1}}"#
            ))
            .await;
        let answer = alice
            .expect("an answer", |f| f.is("WEBRTC_SERVER_ACK") || f.is("ERROR"))
            .await;
        if answer.is("ERROR") {
            break answer;
        }
    };
    assert_eq!((refused.num("code"), refused.id()), (429, "w1".to_owned()));
    assert_eq!(refused.str("to"), to);
    for _ in 0..20 {
        alice.ack_text("b1").await;
        alice.ack_ok("b1").await;
        alice.ping().await;
        alice.sync(0, 10).await;
        alice.status(&[(BOB, "nothing")]).await;
    }
}

#[tokio::test]
async fn a_frame_longer_than_a_second_of_bytes_passes_and_is_paid_off_by_what_follows() {
    let server = Server::start(&[ONCE, "limits.bytes_per_s=1000"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    alice.send_c2c("m1", BOB, &"x".repeat(60_000)).await;
    alice.accepted("m1").await;

    // A minute of silence is owed now, by every frame, and the refusals say how much of it is left.
    alice.send_c2c("m2", BOB, "short").await;
    let refused = alice.error(429).await;
    assert_eq!(refused.id(), "m2");
    assert_eq!(refused.str("to"), User::new(BOB).name);
    let owed = refused.num("retry_ms");
    assert!((20_000..=61_000).contains(&owed), "{refused:?}");
    alice.send("CLIENT_ACK,C2C,b1,a-phone").await;
    assert_eq!(alice.error(429).await.id(), "b1");
    for useless in ["ping", r#"{"type":"STATUS","of":[]}"#, "{", "[]"] {
        alice.send(useless).await;
        alice.error(429).await;
    }
    alice.send(r#"{"id":"m9","to":"7b4v1b""#).await;
    alice.error(429).await;
    alice.send_binary(b"12345").await;
    assert!(alice.error(429).await.num("retry_ms") <= owed);

    // Others pay nothing for it.
    let mut bob = server.login(BOB, "b-phone").await;
    bob.takes("m1").await;
    bob.send_c2c("b2", ALICE, "I am here").await;
    bob.accepted("b2").await;
}

#[tokio::test]
async fn an_ack_refused_for_its_bytes_has_no_effect_and_is_taken_when_it_is_repeated() {
    let server = Server::start(&[ONCE, "limits.bytes_per_s=64"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    alice.send_c2c("m1", BOB, "hello").await;
    alice.accepted("m1").await;
    let mut bob = server.login(BOB, "b-phone").await;
    bob.receives("m1").await;
    let wait = loop {
        bob.send("CLIENT_ACK,C2C,m0,b-phone").await;
        let told = bob.expect("an ERROR", |f| f.is("ERROR")).await;
        if told.num("code") == 429 {
            assert_eq!(told.id(), "m0");
            break told.num("retry_ms");
        }
        assert_eq!(told.num("code"), 404);
    };
    bob.ack_text("m1").await;
    let mut wait = bob
        .expect("an answer to the ack", |f| f.is_about("m1"))
        .await
        .is("ERROR")
        .then_some(wait);
    while let Some(ms) = wait {
        sleep(Duration::from_millis(ms)).await;
        bob.ack_text("m1").await;
        let told = bob
            .expect("an answer to the ack", |f| f.is_about("m1"))
            .await;
        wait = told.is("ERROR").then(|| told.num("retry_ms"));
    }
    alice.delivered("m1").await;
}

#[tokio::test]
async fn coming_back_does_not_refill_what_a_device_may_send() {
    let server = Server::start(&[ONCE, "limits.bytes_per_s=1000"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    alice.send_c2c("m1", BOB, &"x".repeat(60_000)).await;
    alice.accepted("m1").await;
    alice.leave().await;
    let mut alice = server.login(ALICE, "a-phone").await;
    alice.send_c2c("m2", BOB, "back").await;
    alice.error(429).await;
    let mut laptop = server.login(ALICE, "a-laptop").await;
    laptop.send_c2c("m3", BOB, "another device").await;
    laptop.accepted("m3").await;
}

#[tokio::test]
async fn logins_above_the_rate_are_told_when_to_come_back_and_strangers_use_up_none() {
    let server = Server::start(&["limits.handshakes_per_s=1"]).await;
    for _ in 0..20 {
        let stranger = Call::upgrade(server.public, "/ws?authorization=no&did=d")
            .send()
            .await;
        assert_eq!(stranger.refusal(401), 706);
    }
    let alice = User::new(ALICE);
    let mut clients = vec![server.login(ALICE, "a-phone").await];
    let refused = loop {
        match upgrade(&server, &alice, "a-laptop").await {
            // The one answer that is no refusal is that of an upgrade.
            answer if answer.status == 101 => {}
            answer => break answer,
        }
    };
    let wait = retry(&refused, 429);
    assert!(wait <= 1000);
    sleep(Duration::from_millis(wait)).await;
    clients.push(server.login(ALICE, "a-tablet").await);
    assert!(
        server
            .metric(r#"yizhan_limited_total{limit="handshakes_per_s"}"#)
            .await
            >= 1.0
    );
}

// ---- numbers of connections ----

#[tokio::test]
async fn a_user_has_as_many_devices_connected_as_allowed_and_a_device_that_reconnects_is_none_more()
{
    let server = Server::start(&["limits.connections_per_user=2"]).await;
    let alice = User::new(ALICE);
    let mut phone = server.login(ALICE, "a-phone").await;
    let laptop = server.login(ALICE, "a-laptop").await;

    let refused = upgrade(&server, &alice, "a-tablet").await;
    assert_eq!(retry(&refused, 429), 1000);
    let path = format!(
        "/ws?authorization={}&did=a-tablet&errors=close",
        alice.token
    );
    let mut browser = Client::open(server.public, &path).await;
    let error = browser.error(429).await;
    assert_eq!(error.num("retry_ms"), 1000);
    assert_eq!(browser.closed().await, Some(4054));

    // The same device again, and other users, are let in.
    let mut again = server.login(ALICE, "a-phone").await;
    assert_eq!(phone.closed().await, Some(4008));
    again.ping().await;
    server.login(BOB, "b-phone").await.ping().await;

    laptop.leave().await;
    let mut tablet = comes_in(&server, ALICE, "a-tablet").await;
    tablet.ping().await;
    assert!(
        server
            .metric(r#"yizhan_limited_total{limit="connections_per_user"}"#)
            .await
            >= 2.0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_at_the_same_moment_are_not_more_than_allowed() {
    let server = Server::start(&["limits.connections_per_user=3", "device.max_per_user=100"]).await;
    let alice = User::new(ALICE);
    for round in 0..5 {
        let logins: Vec<_> = (0..24)
            .map(|n| {
                let (alice, listener) = (alice.clone(), server.public);
                tokio::spawn(async move {
                    Client::try_login(listener, &alice, &format!("d{round}-{n}")).await
                })
            })
            .collect();
        let mut inside = Vec::new();
        for login in logins {
            inside.extend(login.await.unwrap());
        }
        assert_eq!(inside.len(), 3, "in round {round}");
        for client in inside {
            client.leave().await;
        }
        let nobody = async { while server.metric("yizhan_online_devices").await > 0.0 {} };
        timeout(DEADLINE, nobody).await.expect("somebody stays");
    }
}

#[tokio::test]
async fn an_address_holds_as_many_connections_as_allowed_and_others_are_not_concerned() {
    let server = Server::start(&["limits.connections_per_address=3"]).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    let carol = server.login(CAROL, "c-phone").await;

    let refused = upgrade(&server, &User::new(ALICE), "a-laptop").await;
    assert_eq!(retry(&refused, 429), 1000);
    let mut probe = connect(server.public, 1).await;
    write(
        &mut probe,
        "GET /v1/token/refresh HTTP/1.1\r\nhost: x\r\n\r\n",
    )
    .await;
    let head = rest(&mut probe).await.to_lowercase();
    assert!(head.starts_with("http/1.1 429 "), "{head}");
    assert!(head.contains("\r\nretry-after: 1\r\n"), "{head}");
    assert!(head.contains("\r\nconnection: close\r\n"), "{head}");
    let mut elsewhere = connect(server.public, 2).await;
    assert!(asks(&mut elsewhere).await.starts_with("HTTP/1.1 200 "));

    // Those who say nothing are refused too, and more of them than allowed are not even waited for.
    let mut silent = Vec::new();
    for _ in 0..10 {
        silent.push(connect(server.public, 1).await);
    }
    let last = rest(silent.last_mut().unwrap()).await;
    assert!(last.starts_with("HTTP/1.1 429 "), "{last}");
    assert!(last.contains(r#""code":429"#) && last.contains(r#""retry_ms":1000"#));

    alice.send_c2c("m1", BOB, "we are inside").await;
    bob.takes("m1").await;
    // Refused connections take nobody's place: one that leaves makes room at once.
    carol.leave().await;
    comes_in(&server, CAROL, "c-phone").await.ping().await;
    assert!(
        server
            .metric(r#"yizhan_limited_total{limit="connections_per_address"}"#)
            .await
            >= 10.0
    );
}

// ---- file descriptors ----

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_descriptors_clients_are_served_on_and_new_ones_refused_until_some_are_free() {
    let few = ["sh", "-c", "ulimit -n 128; exec \"$0\" \"$@\""];
    let sets = [ONCE, "device.max_per_user=1000"];
    let server = Server::start_under(&few, &["--config", SEED], &sets).await;
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;

    let carol = User::new(CAROL);
    let mut crowd = Vec::new();
    while let Some(client) =
        Client::try_login(server.public, &carol, &format!("c{}", crowd.len())).await
    {
        crowd.push(client);
        assert!(crowd.len() < 128, "nobody was refused");
    }
    assert!(crowd.len() > 30, "only {} came in", crowd.len());
    for _ in 0..20 {
        let refused = upgrade(&server, &carol, "one-more").await;
        assert_eq!(retry(&refused, 503), 1000);
    }

    // A crowd at the door, of those who ask and those who say nothing: each hears something, and soon.
    let mut door = Vec::new();
    for n in 0..200 {
        let mut stream = connect(server.public, 1).await;
        if n % 2 == 0 {
            write(
                &mut stream,
                "GET /v1/token/refresh HTTP/1.1\r\nhost: x\r\n\r\n",
            )
            .await;
        }
        door.push(stream);
    }
    exchange(&mut alice, &mut bob, 0..20).await;
    assert!(server.metric("yizhan_connections").await >= crowd.len() as f64);
    for stream in &mut door {
        let heard = rest(stream).await;
        let refused = heard.starts_with("HTTP/1.1 503 ") && heard.contains(r#""code":503"#);
        assert!(refused || heard.starts_with("HTTP/1.1 408 "), "{heard}");
    }
    exchange(&mut alice, &mut bob, 20..40).await;
    let posted = format!(
        r#"{{"id":"p1","from":"{}","to":"{}","payload":"{}"}}"#,
        User::new(ALICE).name,
        User::new(BOB).name,
        "x".repeat(60_000)
    );
    let posted = Call::post(server.admin, "/v1/messages", &posted).bearer(ADMIN_TOKEN);
    posted.send().await.payload();
    bob.takes("p1").await;
    let limited = r#"yizhan_limited_total{limit="descriptors"}"#;
    assert!(server.metric(limited).await >= 20.0);

    for client in crowd {
        client.leave().await;
    }
    comes_in(&server, CAROL, "back").await.ping().await;
    exchange(&mut alice, &mut bob, 40..45).await;
}

#[tokio::test]
async fn a_server_that_may_open_more_files_than_it_does_takes_them() {
    let soft = ["sh", "-c", "ulimit -S -n 80; exec \"$0\" \"$@\""];
    let server = Server::start_under(&soft, &["--config", SEED], &[]).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let files = limits.lines().find(|l| l.starts_with("Max open files"));
    let numbers: Vec<_> = files.unwrap().split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers[0], numbers[1], "{limits}");
}

// ---- patience ----

#[tokio::test]
async fn a_request_whose_head_does_not_come_in_time_is_cut_however_it_trickles() {
    let server = Server::start(&[]).await;
    let silent = tokio::spawn(late(server.public, ""));
    let trickle = tokio::spawn(late(server.public, "GET /ws HTTP/1.1\r\nx: "));
    for cut in [silent, trickle] {
        let heard = cut.await.unwrap();
        assert!(heard.starts_with("HTTP/1.1 408 "), "{heard}");
    }
}

#[tokio::test]
async fn a_second_request_cannot_trickle_behind_a_good_one() {
    let server = Server::start(&[]).await;
    let two = "GET /health/live HTTP/1.1\r\nhost: x\r\n\r\nGET /health/live HTTP/1.1\r\nx: ";
    let heard = late(server.public, two).await;
    assert!(heard.starts_with("HTTP/1.1 200 "), "{heard}");
}

#[tokio::test]
async fn a_body_that_does_not_end_is_cut() {
    let server = Server::start_with(&["--dev", "--config", SEED], &[]).await;
    for path in ["/v1/token/refresh", "/v1/dev/token", "/nothing", "/ws"] {
        for framing in ["transfer-encoding: chunked", "content-length: 1000000000"] {
            let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\n");
            let mut flood = connect(server.public, 1).await;
            write(&mut flood, &head).await;
            let chunk = format!("{:x}\r\n{}\r\n", 8192, "x".repeat(8192));
            let chunks = chunk.repeat(8);
            let poured = async { while flood.write_all(chunks.as_bytes()).await.is_ok() {} };
            timeout(DEADLINE, poured)
                .await
                .unwrap_or_else(|_| panic!("{path}, {framing}: it is read for ever"));
        }
    }
}

#[tokio::test]
async fn a_body_that_trickles_is_cut() {
    let server = Server::start(&[]).await;
    let chunked =
        "POST /v1/token/refresh HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nfff\r\n";
    let counted = "POST /v1/token/refresh HTTP/1.1\r\nhost: x\r\ncontent-length: 5000\r\n\r\n";
    let upgrade = "GET /ws HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\ntransfer-encoding: chunked\r\n\r\nfff\r\n";
    let late = [chunked, counted, upgrade].map(|head| tokio::spawn(late(server.public, head)));
    for cut in late {
        let heard = cut.await.unwrap();
        assert!(heard.starts_with("HTTP/1.1 400 "), "{heard}");
        assert!(heard.contains(r#""code":400"#), "{heard}");
    }
}

#[tokio::test]
async fn a_request_with_a_whole_body_is_answered_in_either_framing() {
    let server = Server::start_with(&["--dev", "--config", SEED], &[]).await;
    for body in [
        "content-length: 9\r\n\r\n{\"uid\":1}",
        "transfer-encoding: chunked\r\n\r\n4\r\n{\"ui\r\n5\r\nd\":1}\r\n0\r\n\r\n",
    ] {
        let mut stream = connect(server.public, 1).await;
        let head = "POST /v1/dev/token HTTP/1.1\r\nhost: x\r\n";
        write(&mut stream, &format!("{head}{body}")).await;
        let heard = rest(&mut stream).await;
        assert!(heard.starts_with("HTTP/1.1 200 "), "{heard}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused_before_it_ends() {
    let server = Server::start(&[]).await;
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let long = "y".repeat(1024);
    for headers in [format!("{many}\r\n"), long.repeat(256)] {
        let mut stream = connect(server.public, 1).await;
        write(&mut stream, "GET /health/live HTTP/1.1\r\nx: ").await;
        // The server may close before it has read all of it.
        let _ = stream.write_all(headers.as_bytes()).await;
        let heard = rest(&mut stream).await;
        assert!(
            heard.is_empty() || heard.starts_with("HTTP/1.1 431 "),
            "{heard}"
        );
    }
    assert_eq!(server.get("/health/live").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_half_open_connections_keep_nobody_out_and_hold_nobody_up() {
    let server = Server::start(&[ONCE]).await;
    half_open(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_limit_to_each_address_hundreds_of_half_open_connections_are_a_few() {
    let server = Server::start(&[ONCE, "limits.connections_per_address=20"]).await;
    half_open(&server).await;
    // Of one address twenty are waited for, and twenty more get the patience of a refusal.
    assert!(server.metric("yizhan_connections").await <= 45.0);
}

/// A pair exchanges messages and newcomers log in, while 500 connections of another address send half a request.
async fn half_open(server: &Server) {
    let mut alice = server.login(ALICE, "a-phone").await;
    let mut bob = server.login(BOB, "b-phone").await;
    let mut held = Vec::new();
    for _ in 0..500 {
        let mut stream = connect(server.public, 2).await;
        // It may be cut already.
        let _ = stream
            .write_all(b"GET /ws HTTP/1.1\r\nhost: x\r\nx: ")
            .await;
        held.push(stream);
    }
    exchange(&mut alice, &mut bob, 0..20).await;
    let mut carol = server.login(CAROL, "c-phone").await;
    carol.send_c2c("c1", BOB, "I am new").await;
    bob.takes("c1").await;
    carol.delivered("c1").await;
    for stream in &mut held {
        let heard = rest(stream).await;
        let cut = heard.starts_with("HTTP/1.1 408 ") || heard.starts_with("HTTP/1.1 429 ");
        // A connection shut in the middle of a request may be reset, and then nothing is heard.
        assert!(cut || heard.is_empty(), "{heard}");
    }
    exchange(&mut alice, &mut bob, 20..25).await;
}

// ---- words ----

/// Whether the answer to this message is 429, and then how long to wait.
async fn too_fast(client: &mut Client, id: &str) -> Option<Duration> {
    let of_id = |f: &Frame| f.is_about(id) && (f.is("C2C_SERVER_ACK") || f.is("ERROR"));
    let answer = client.expect("an answer", of_id).await;
    answer.is("ERROR").then(|| {
        assert_eq!(answer.num("code"), 429, "{answer:?}");
        Duration::from_millis(answer.num("retry_ms"))
    })
}

async fn exchange(alice: &mut Client, bob: &mut Client, numbers: std::ops::Range<u64>) {
    for n in numbers {
        let (there, back) = (format!("a{n}"), format!("b{n}"));
        alice.send_c2c(&there, BOB, "ping").await;
        bob.takes(&there).await;
        alice.delivered(&there).await;
        bob.send_c2c(&back, ALICE, "pong").await;
        alice.takes(&back).await;
        bob.delivered(&back).await;
    }
}

/// Logs in as soon as there is room.
async fn comes_in(server: &Server, uid: u64, did: &str) -> Client {
    let user = User::new(uid);
    let tries = async {
        loop {
            if let Some(client) = Client::try_login(server.public, &user, did).await {
                return client;
            }
        }
    };
    timeout(DEADLINE, tries).await.expect("there is no room")
}

/// A login by hand, to see the answer.
async fn upgrade(server: &Server, user: &User, did: &str) -> Answer {
    let path = format!("/ws?authorization={}&did={did}", user.token);
    Call::upgrade(server.public, &path).send().await
}

/// Holds that this is a refusal that says when to come back, and gives the milliseconds.
fn retry(answer: &Answer, status: u16) -> u64 {
    assert_eq!(answer.refusal(status), u64::from(status));
    field(&answer.json()["payload"], "retry_ms")
}

/// A connection from the loopback address with this last number.
async fn connect(listener: SocketAddr, from: u8) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, from], 0).into()).unwrap();
    let connected = timeout(DEADLINE, socket.connect(listener)).await;
    connected.expect("the listener does not answer").unwrap()
}

async fn write(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

async fn asks(stream: &mut TcpStream) -> String {
    write(stream, "GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await;
    rest(stream).await
}

/// Everything that comes until the server closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    let reading = async { while matches!(stream.read_buf(&mut heard).await, Ok(1..)) {} };
    timeout(DEADLINE, reading)
        .await
        .expect("the connection stays open");
    String::from_utf8(heard).unwrap()
}

/// Begins a request and lets bytes follow, one after the other, until the server has enough of it.
async fn late(listener: SocketAddr, beginning: &str) -> String {
    let stream = connect(listener, 1).await;
    let (mut reading, mut writing) = stream.into_split();
    writing.write_all(beginning.as_bytes()).await.unwrap();
    let trickle = !beginning.is_empty();
    let trickling = tokio::spawn(async move {
        // The pauses are what is tested: each byte must renew nothing.
        while trickle && writing.write_all(b"y").await.is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
        writing
    });
    let mut heard = Vec::new();
    let until_cut = async { while matches!(reading.read_buf(&mut heard).await, Ok(1..)) {} };
    timeout(DEADLINE, until_cut)
        .await
        .expect("it is waited for for ever");
    trickling.abort();
    String::from_utf8(heard).unwrap()
}
