//! A relay between clients and a server that is only a socket: what one side says is what the other one hears.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use yizhan::relay::chunk::Confusion;
use yizhan::relay::report::{COMMANDS_MAX, End, Session};
use yizhan::relay::url::Target;
use yizhan::relay::{Handle, Relay, RelayError};

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);
/// More than the buffers of both sockets and the relay hold.
const MUCH: usize = 32 << 20;

fn loopback() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// A relay to a server of which nothing but its listener is there.
async fn relay() -> (Handle, TcpListener) {
    let server = TcpListener::bind(loopback()).await.unwrap();
    (relay_to(server.local_addr().unwrap()), server)
}

fn relay_to(server: SocketAddr) -> Handle {
    let target = Target::parse(&format!("rtmp://{server}/live")).unwrap();
    Relay::start(loopback(), target).unwrap()
}

/// A client, and its connection at the server.
async fn pair(relay: &Handle, server: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(relay.addr()).await.unwrap();
    let (far, _) = soon(server.accept()).await.unwrap();
    (client, far)
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(DEADLINE, what).await.expect("it never came")
}

async fn heard(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    soon(stream.read_exact(&mut bytes)).await.unwrap();
    bytes
}

/// Waits until nothing more can come, which a broken connection is as good for as a closed one.
async fn is_over(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let _ = soon(stream.read_to_end(&mut rest)).await;
    assert!(rest.is_empty(), "{rest:?}");
}

/// The sessions once the relay has ended.
async fn afterwards(relay: &Handle) -> Vec<Session> {
    relay.stop();
    soon(relay.ended()).await;
    assert!(!relay.is_running());
    let sessions = relay.report().sessions;
    sessions.iter().map(|one| Session::clone(one)).collect()
}

fn end(session: &Session) -> &End {
    let (_, end) = session.end.as_ref().expect("the session has ended");
    end
}

fn noise(count: usize, mut seed: u64) -> Vec<u8> {
    let next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 56) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

// ---- what passes ----

#[tokio::test]
async fn bytes_pass_both_ways_unchanged_at_once() {
    let (relay, server) = relay().await;
    let (client, far) = pair(&relay, &server).await;
    let (up, down) = (noise(5 << 20, 1), noise(3 << 20, 2));
    let say_and_hear = async |stream: TcpStream, said: &[u8], count: usize| {
        let (mut read, mut write) = stream.into_split();
        let mut heard = Vec::new();
        let say = async {
            write.write_all(said).await.unwrap();
            write.shutdown().await.unwrap();
        };
        let hear = read.read_to_end(&mut heard);
        let (_, counted) = tokio::join!(say, hear);
        assert_eq!(counted.unwrap(), count);
        heard
    };
    let (at_client, at_server) = soon(async {
        tokio::join!(
            say_and_hear(client, &up, down.len()),
            say_and_hear(far, &down, up.len())
        )
    })
    .await;
    assert!(at_client == down && at_server == up);
    let report = soon(relay.until(|report| report.open() == 0)).await;
    assert_eq!(end(&report.sessions[0]), &End::Closed);
    assert_eq!(report.totals.up.bytes, up.len() as u64);
    assert_eq!(report.totals.down.bytes, down.len() as u64);
}

#[tokio::test]
async fn a_side_that_has_said_everything_still_hears_the_other() {
    for client_first in [true, false] {
        let (relay, server) = relay().await;
        let (mut client, mut far) = pair(&relay, &server).await;
        let (first, second) = match client_first {
            true => (&mut client, &mut far),
            false => (&mut far, &mut client),
        };
        first.write_all(b"all").await.unwrap();
        first.shutdown().await.unwrap();
        let mut all = Vec::new();
        soon(second.read_to_end(&mut all)).await.unwrap();
        assert_eq!(all, b"all");
        second.write_all(b"answer").await.unwrap();
        assert_eq!(heard(first, 6).await, b"answer");
        assert_eq!(relay.report().open(), 1);
        second.shutdown().await.unwrap();
        is_over(first).await;
        let report = soon(relay.until(|report| report.open() == 0)).await;
        assert_eq!(end(&report.sessions[0]), &End::Closed);
    }
}

#[tokio::test]
async fn a_sender_waits_for_a_receiver_that_does_not_read() {
    let (relay, server) = relay().await;
    let (mut client, mut far) = pair(&relay, &server).await;
    let bytes = noise(MUCH, 3);
    let mut said = 0;
    // The clock stands still but for this: it turns once every socket on the way is full and nothing can go on.
    tokio::time::pause();
    while let Ok(count) = timeout(Duration::from_secs(1), client.write(&bytes[said..])).await {
        said += count.unwrap();
    }
    tokio::time::resume();
    let passed = relay.report().totals.up.bytes as usize;
    assert!(said < MUCH && passed < said, "{passed} of {said}");
    let (mut read, mut write) = client.split();
    let heard = soon(async {
        let mut heard = Vec::new();
        let say = async {
            write.write_all(&bytes[said..]).await.unwrap();
            write.shutdown().await.unwrap();
        };
        let (_, all) = tokio::join!(say, far.read_to_end(&mut heard));
        all.unwrap();
        heard
    })
    .await;
    assert!(heard == bytes);
    drop(far);
    let mut nothing = Vec::new();
    soon(read.read_to_end(&mut nothing)).await.unwrap();
}

#[tokio::test]
async fn a_client_that_breaks_off_ends_at_the_server_too() {
    let (relay, server) = relay().await;
    let (client, mut far) = pair(&relay, &server).await;
    soon(relay.until(|report| report.sessions[0].server.is_some())).await;
    client.set_zero_linger().unwrap();
    drop(client);
    is_over(&mut far).await;
    let report = soon(relay.until(|report| report.open() == 0)).await;
    let End::Broken(how) = end(&report.sessions[0]) else {
        panic!("{:?}", report.sessions[0]);
    };
    assert!(how.starts_with("the client: "), "{how}");
}

// ---- what it tells ----

#[tokio::test]
async fn commands_are_told_in_order_and_in_the_log_without_keys() {
    let log = Log::keep();
    let (relay, server) = relay().await;
    let (mut client, mut far) = pair(&relay, &server).await;
    for stream in [&mut client, &mut far] {
        stream.write_all(&[3; 1 + 2 * 1536]).await.unwrap();
    }
    heard(&mut client, 1 + 2 * 1536).await;
    heard(&mut far, 1 + 2 * 1536).await;
    let connect = b"\x03\0\x03app\x02\0\x0clive?token=x\0\0\x09";
    let started = b"\x05\x03\0\x04code\x02\0\x17NetStream.Publish.Start\0\0\x09";
    let said: [(bool, &str, &[u8]); 5] = [
        (true, "connect", connect),
        (false, "_result", b"\x05\x05"),
        (true, "createStream", b"\x05"),
        (true, "publish", b"\x05\x02\0\x11secretive-key-123"),
        (false, "onStatus", started),
    ];
    for (is_up, name, arguments) in said {
        let chunk = command(name, arguments);
        let (from, to) = match is_up {
            true => (&mut client, &mut far),
            false => (&mut far, &mut client),
        };
        from.write_all(&chunk).await.unwrap();
        assert_eq!(heard(to, chunk.len()).await, chunk);
    }
    let snapshot = relay.report();
    let session = &snapshot.sessions[0];
    let told: Vec<String> = session
        .commands
        .iter()
        .map(|said| format!("{:?} {}", said.way, said.command))
        .collect();
    assert_eq!(
        told,
        [
            "Up connect app=live",
            "Down _result",
            "Up createStream",
            "Up publish secr…",
            "Down onStatus NetStream.Publish.Start"
        ]
    );
    assert_eq!(session.up.commands.messages, 3);
    let from = client.local_addr().unwrap();
    for _ in 0..COMMANDS_MAX {
        client.write_all(&command("again", b"\x05")).await.unwrap();
    }
    heard(&mut far, COMMANDS_MAX * command("again", b"\x05").len()).await;
    let [session] = &afterwards(&relay).await[..] else {
        panic!("there was one session");
    };
    assert_eq!(session.commands.len(), COMMANDS_MAX);
    assert_eq!(session.commands_left_out, 5);
    assert_eq!(snapshot.sessions[0].commands.len(), 5);

    let lines = log.lines_about(from);
    let says = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
    assert_eq!(says("is relayed to"), 1, "{lines:#?}");
    assert_eq!(says("the client says connect app=live"), 1);
    assert_eq!(says("the server says onStatus NetStream.Publish.Start"), 1);
    assert_eq!(says(" says "), COMMANDS_MAX);
    assert_eq!(says("the others are only counted"), 1);
    assert_eq!(says("the relay was stopped"), 1);
    assert_eq!(says("67 command"), 1);
    assert_eq!(says("secretive") + says("token"), 0);
}

#[tokio::test]
async fn what_is_not_understood_is_relayed_all_the_same() {
    let (relay, server) = relay().await;
    let (mut client, mut far) = pair(&relay, &server).await;
    let said = b"GET / HTTP/1.1\r\n\r\n";
    client.write_all(said).await.unwrap();
    assert_eq!(heard(&mut far, said.len()).await, said);
    let [session] = &afterwards(&relay).await[..] else {
        panic!("there was one session");
    };
    assert_eq!(session.up_lost, Some(Confusion::Version(b'G')));
    assert_eq!(session.down_lost, None);
    assert_eq!(session.up.bytes, said.len() as u64);
    assert!(session.commands.is_empty());
}

#[tokio::test]
async fn the_sessions_that_ended_last_are_remembered_and_all_are_counted() {
    let (relay, server) = relay().await;
    for _ in 0..40 {
        let (client, far) = pair(&relay, &server).await;
        drop((client, far));
        soon(relay.until(|report| report.open() == 0)).await;
    }
    let report = relay.report();
    assert_eq!(report.totals.sessions, 40);
    let numbers: Vec<u64> = report.sessions.iter().map(|one| one.number).collect();
    assert_eq!(numbers, (9..=40).collect::<Vec<u64>>());
}

// ---- how it ends ----

#[tokio::test]
async fn a_stop_ends_the_listener_and_every_session_in_use() {
    let (relay, server) = relay().await;
    assert!(relay.is_running());
    let (mut client, mut far) = pair(&relay, &server).await;
    client.write_all(b"on its way").await.unwrap();
    heard(&mut far, 10).await;
    // This session has its connection, and that one has bytes waiting.
    let (mut other, deaf) = pair(&relay, &server).await;
    tokio::time::pause();
    let bytes = noise(1 << 20, 4);
    while timeout(Duration::from_secs(1), other.write(&bytes))
        .await
        .is_ok()
    {}
    tokio::time::resume();
    let sessions = afterwards(&relay).await;
    assert_eq!(sessions.len(), 2);
    assert!(sessions.iter().all(|one| end(one) == &End::Stopped));
    is_over(&mut client).await;
    is_over(&mut far).await;
    drop((other, deaf));
    assert!(TcpStream::connect(relay.addr()).await.is_err());
}

#[tokio::test]
async fn a_relay_ends_with_the_last_of_its_handles() {
    let (relay, server) = relay().await;
    let (mut client, mut far) = pair(&relay, &server).await;
    drop(relay.clone());
    client.write_all(b"still").await.unwrap();
    assert_eq!(heard(&mut far, 5).await, b"still");
    assert!(relay.is_running());
    drop(relay);
    is_over(&mut client).await;
    is_over(&mut far).await;
}

#[test]
fn a_relay_ends_with_its_runtime() {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().build().unwrap()
    };
    let first = runtime();
    let (relay, client) = first.block_on(async {
        let (relay, server) = relay().await;
        let (client, _) = pair(&relay, &server).await;
        (relay, client)
    });
    assert!(relay.is_running());
    drop(first);
    assert!(!relay.is_running());
    assert_eq!(end(&relay.report().sessions[0]), &End::Stopped);
    drop(client);
    runtime().block_on(relay.ended());
}

#[tokio::test]
async fn a_session_in_which_nothing_passes_ends() {
    let (relay, server) = relay().await;
    let (mut client, mut far) = pair(&relay, &server).await;
    client.write_all(b"x").await.unwrap();
    heard(&mut far, 1).await;
    // A clock that stands still turns to the next deadline when there is nothing else to do.
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let report = relay.until(|report| report.open() == 0).await;
    assert_eq!(end(&report.sessions[0]), &End::Idle);
    let waited = began.elapsed().as_secs();
    assert!((299..=301).contains(&waited), "{waited}");
    tokio::time::resume();
    is_over(&mut client).await;
    is_over(&mut far).await;
}

// ---- who is not relayed ----

#[tokio::test]
async fn a_client_is_closed_if_the_server_refuses() {
    let closed = TcpListener::bind(loopback()).await.unwrap();
    let addr = closed.local_addr().unwrap();
    drop(closed);
    let relay = relay_to(addr);
    let mut client = TcpStream::connect(relay.addr()).await.unwrap();
    is_over(&mut client).await;
    let report =
        soon(relay.until(|report| report.open() == 0 && report.totals.sessions == 1)).await;
    let End::Unreachable(why) = end(&report.sessions[0]) else {
        panic!("{:?}", report.sessions[0]);
    };
    assert!(why.contains("refused"), "{why}");
    assert_eq!(report.totals.unreachable, 1);
    assert!(relay.is_running());
}

#[tokio::test]
async fn a_client_is_closed_if_the_server_does_not_answer() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(loopback()).unwrap();
    let server = socket.listen(1).unwrap();
    let addr = server.local_addr().unwrap();
    // The clock stands still but for this: it turns when the server has no room for one more who waits.
    tokio::time::pause();
    let mut waiting = Vec::new();
    while let Ok(one) = timeout(Duration::from_secs(1), TcpStream::connect(addr)).await {
        waiting.push(one.unwrap());
    }
    let (relay, stopped) = (relay_to(addr), relay_to(addr));
    let mut client = TcpStream::connect(relay.addr()).await.unwrap();
    client.write_all(b"anybody?").await.unwrap();
    let report =
        soon(relay.until(|report| report.open() == 0 && report.totals.sessions == 1)).await;
    let End::Unreachable(why) = end(&report.sessions[0]) else {
        panic!("{:?}", report.sessions[0]);
    };
    assert!(why.contains("5 s"), "{why}");
    is_over(&mut client).await;

    tokio::time::resume();
    let mut client = TcpStream::connect(stopped.addr()).await.unwrap();
    soon(stopped.until(|report| report.open() == 1)).await;
    assert_eq!(end(&afterwards(&stopped).await[0]), &End::Stopped);
    is_over(&mut client).await;
    drop((server, waiting));
}

#[tokio::test]
async fn the_sixty_fifth_client_is_turned_away_until_there_is_room() {
    let (relay, server) = relay().await;
    let mut pairs = Vec::new();
    for _ in 0..64 {
        pairs.push(pair(&relay, &server).await);
    }
    let mut one_more = TcpStream::connect(relay.addr()).await.unwrap();
    is_over(&mut one_more).await;
    let report = soon(relay.until(|report| report.totals.turned_away == 1)).await;
    assert_eq!((report.open(), report.totals.sessions), (64, 64));
    let (client, far) = pairs.pop().unwrap();
    drop((client, far));
    soon(relay.until(|report| report.open() == 63)).await;
    let (mut client, mut far) = pair(&relay, &server).await;
    client.write_all(b"room").await.unwrap();
    assert_eq!(heard(&mut far, 4).await, b"room");
    for (client, far) in &mut pairs {
        far.write_all(b"here").await.unwrap();
        assert_eq!(heard(client, 4).await, b"here");
    }
}

#[tokio::test]
async fn a_relay_to_itself_says_so() {
    let probe = TcpListener::bind(loopback()).await.unwrap();
    let addr = probe.local_addr().unwrap();
    drop(probe);
    let target = Target::parse(&format!("rtmp://{addr}/live")).unwrap();
    let relay = Relay::start(addr, target).unwrap();
    let mut client = TcpStream::connect(addr).await.unwrap();
    is_over(&mut client).await;
    let ended = |session: &Session| {
        session
            .end
            .as_ref()
            .is_some_and(|(_, end)| *end == End::Loop)
    };
    let report =
        soon(relay.until(|report| report.sessions.iter().any(|session| ended(session)))).await;
    assert!(report.totals.sessions <= 2, "{:?}", report.totals);
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error() {
    let (relay, _server) = relay().await;
    let target = Target::parse("rtmp://127.0.0.1/live").unwrap();
    let error = Relay::start(relay.addr(), target).unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains(&relay.addr().to_string()) && said.contains("in use"),
        "{said}"
    );
}

#[test]
fn without_a_runtime_there_is_no_relay() {
    let target = Target::parse("rtmp://127.0.0.1/live").unwrap();
    let error = Relay::start(loopback(), target).unwrap_err();
    assert!(matches!(error, RelayError::NoRuntime));
}

// ---- what these tests need ----

/// A command in one chunk.
fn command(name: &str, arguments: &[u8]) -> Vec<u8> {
    let body = [
        &[2, 0, name.len() as u8],
        name.as_bytes(),
        b"\x00\x3f\xf0\0\0\0\0\0\0",
        arguments,
    ]
    .concat();
    assert!(body.len() <= 128);
    let header = [3, 0, 0, 0, 0, 0, body.len() as u8, 20, 0, 0, 0, 0];
    [&header[..], &body].concat()
}

/// Keeps every line of the log of this process.
struct Log(Mutex<Vec<String>>);

impl Log {
    fn keep() -> &'static Log {
        static LOG: Log = Log(Mutex::new(Vec::new()));
        log::set_logger(&LOG).unwrap();
        log::set_max_level(log::LevelFilter::Info);
        &LOG
    }

    /// The lines of the session of this client.
    fn lines_about(&self, client: SocketAddr) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        let named = format!(": {client} is relayed to ");
        let first = lines.iter().find(|line| line.contains(&named)).unwrap();
        let begin = first.split(&client.to_string()).next().unwrap();
        let lines = lines.iter().filter(|line| line.starts_with(begin));
        lines.cloned().collect()
    }
}

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}
