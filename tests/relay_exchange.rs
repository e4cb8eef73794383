//! A real exchange: ffmpeg publishes to nginx through the relay, another ffmpeg plays it through the same relay.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/lib.rs"]
mod support;

use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use support::{Server, until};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;
use yizhan::relay::Relay;
use yizhan::relay::report::{End, Session};
use yizhan::relay::url::Target;

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);
/// What is published: three seconds of a moving picture and of a tone.
const SOURCE: &str = "-f lavfi -i testsrc=size=320x180:rate=25:duration=3 -f lavfi -i sine=frequency=440:duration=3 \
     -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -c:a aac -f flv";
const FRAMES: u64 = 75;
/// What each side says before the first message, bytes.
const HANDSHAKE: u64 = 1 + 2 * 1536;

#[tokio::test]
async fn ffmpeg_publishes_and_plays_through_the_relay() {
    let Some(tools) = Tools::find() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let (source, recorded, played) = (file("source.flv"), file("room.flv"), file("played.flv"));
    tools.ffmpeg(&format!("{SOURCE} {source}")).await;

    let mut nginx = Nginx::start(&tools, dir.path()).await;
    let target = Target::parse(&format!("rtmp://{}/live", nginx.addr)).unwrap();
    let relay = Relay::start((Ipv4Addr::LOCALHOST, 0).into(), target).unwrap();
    let room = format!("rtmp://{}/live/room?key=secret", relay.addr());

    let player = tools.run_ffmpeg(&format!(
        "-rw_timeout 20000000 -i {room} -c copy -f flv {played}"
    ));
    let plays = |session: &Arc<Session>| told(session).contains(&"Up play room".to_string());
    soon(relay.until(|report| report.sessions.iter().any(plays))).await;
    tools
        .ffmpeg(&format!("-i {source} -c copy -f flv {room}"))
        .await;
    succeeded(player).await;
    soon(relay.until(|report| report.open() == 0)).await;
    nginx.stop().await;

    let published = tools.hashes(&source).await;
    assert_eq!(published.len(), 2, "{published:?}");
    assert_eq!(tools.hashes(&recorded).await, published, "the recording");
    assert_eq!(tools.hashes(&played).await, published, "what was played");

    let report = relay.report();
    let [player, publisher] = &report.sessions[..] else {
        panic!("there were two sessions: {report:#?}");
    };
    assert_eq!(
        told(publisher),
        [
            "Up connect app=live",
            "Down _result NetConnection.Connect.Success",
            "Up releaseStream room",
            "Up FCPublish room",
            "Up createStream",
            "Down _result 1",
            "Up publish room",
            "Down onStatus NetStream.Publish.Start",
            "Up FCUnpublish room",
            "Up deleteStream 1",
            "Down onStatus NetStream.Unpublish.Success",
        ]
    );
    assert_in_order(
        &told(player),
        &[
            "Up connect app=live",
            "Up play room",
            "Down onStatus NetStream.Play.Start",
            "Down onStatus NetStream.Play.UnpublishNotify",
        ],
    );
    for session in [player, publisher] {
        let (_, end) = session.end.as_ref().unwrap();
        assert_eq!((end, session.commands_left_out), (&End::Closed, 0));
        assert_eq!((session.up_lost, session.down_lost), (None, None));
    }
    // A header with the codec's settings goes before the frames, and a mark of their end may follow.
    let (up, down) = (&publisher.up, &player.down);
    assert!(
        (FRAMES + 1..=FRAMES + 2).contains(&up.video.messages),
        "{up}"
    );
    assert!(up.audio.messages > 100 && up.data.messages == 1, "{up}");
    assert!((2900..3100).contains(&up.media_ms), "{} ms", up.media_ms);
    assert_eq!((down.video, down.audio), (up.video, up.audio));
    assert_eq!(publisher.down.video.messages + player.up.video.messages, 0);
    assert_eq!(report.totals.up.bytes, up.bytes + player.up.bytes);
    assert_eq!(report.totals.down.bytes, down.bytes + publisher.down.bytes);

    let log = fs::read_to_string(file("access.log")).unwrap();
    for (what, session) in [("PUBLISH", publisher), ("PLAY", player)] {
        let (up, down) = (session.up.bytes, session.down.bytes);
        assert_eq!(counted(&log, what), [up, down], "{log}");
    }
}

#[tokio::test]
async fn an_operator_starts_the_relay_from_the_shell_and_is_told_what_passed() {
    let Some(tools) = Tools::find() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let (source, recorded) = (file("source.flv"), file("room.flv"));
    tools.ffmpeg(&format!("{SOURCE} {source}")).await;
    let mut nginx = Nginx::start(&tools, dir.path()).await;
    let server = Server::start(&[]).await;
    let (port, url) = (free_port(), format!("rtmp://{}/live", nginx.addr));
    let run = format!("{{ok, Pid}} = rtmp_proxy:run({port}, <<\"{url}\">>), pid_to_list(Pid).");
    let pid = format!("list_to_pid({})", server.value(&run).await);
    let room = format!("rtmp://127.0.0.1:{port}/live/room");
    tools
        .ffmpeg(&format!("-i {source} -c copy -f flv {room}"))
        .await;
    let state = |of: &str| format!("#{{{of}}} = element(2, process_info({pid}, state)), ");
    let open = format!("{} N.", state("open := N"));
    until("the session ends", async || {
        server.value(&open).await == "0"
    })
    .await;
    let told = format!("{} S.", state("sessions := [S]"));
    let told = server.value(&told).await;
    for passed in [
        "client: connect app=live",
        "client: publish room",
        "NetStream.Publish.Start",
        " video, ",
        " audio, ",
        "state => <<\"closed\">>",
    ] {
        assert!(told.contains(passed), "{passed} is not in {told}");
    }
    let ended = format!("exit({pid}, normal).");
    assert_eq!(server.value(&ended).await, "true");
    let alive = format!("is_process_alive({pid}).");
    until("the relay is dead", async || {
        server.value(&alive).await == "false"
    })
    .await;
    nginx.stop().await;
    let published = tools.hashes(&source).await;
    assert_eq!(tools.hashes(&recorded).await, published, "the recording");
}

fn free_port() -> u16 {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    free.local_addr().unwrap().port()
}

fn told(session: &Session) -> Vec<String> {
    let said = session.commands.iter();
    said.map(|said| format!("{:?} {}", said.way, said.command))
        .collect()
}

fn assert_in_order(told: &[String], expected: &[&str]) {
    let mut rest = told.iter();
    for line in expected {
        assert!(rest.any(|said| said == line), "{line} is not in {told:#?}");
    }
}

/// What nginx has received and sent in a session of this kind, by its log; it leaves the handshake out.
fn counted(log: &str, what: &str) -> [u64; 2] {
    let line = log.lines().find(|line| line.contains(what)).unwrap();
    let (_, numbers) = line.split_once("\" - ").unwrap();
    let mut numbers = numbers
        .split(' ')
        .map(|number| number.parse::<u64>().unwrap() + HANDSHAKE);
    [numbers.next().unwrap(), numbers.next().unwrap()]
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(DEADLINE, what).await.expect("it never came")
}

// ---- the tools ----

/// Where the programs are that this needs.
struct Tools {
    ffmpeg: PathBuf,
    nginx: PathBuf,
    module: PathBuf,
}

impl Tools {
    /// None if one is missing, which only `.ci/run` does not forgive.
    fn find() -> Option<Tools> {
        let found = || {
            Ok(Tools {
                ffmpeg: tool("YIZHAN_FFMPEG", "ffmpeg", &["/usr/bin", "/usr/local/bin"])?,
                nginx: tool("YIZHAN_NGINX", "nginx", &["/usr/sbin", "/usr/local/sbin"])?,
                module: tool(
                    "YIZHAN_NGINX_RTMP",
                    "ngx_rtmp_module.so",
                    &["/usr/lib/nginx/modules", "/usr/lib64/nginx/modules"],
                )?,
            })
        };
        match found() {
            Ok(tools) => Some(tools),
            Err(missing) if env::var_os("CI").is_some() => panic!("{missing}"),
            Err::<_, String>(missing) => {
                println!("skipped: {missing}");
                None
            }
        }
    }

    /// Starts ffmpeg with these arguments, in which a blank ends each.
    fn run_ffmpeg(&self, arguments: &str) -> Child {
        Command::new(&self.ffmpeg)
            .args("-nostdin -hide_banner -loglevel warning -y".split(' '))
            .args(arguments.split_whitespace())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    async fn ffmpeg(&self, arguments: &str) -> String {
        succeeded(self.run_ffmpeg(arguments)).await
    }

    /// A hash over the packets of each stream in a file.
    async fn hashes(&self, file: &str) -> Vec<String> {
        let hash = "-map 0:v -map 0:a -c copy -f streamhash -hash sha256 -";
        let said = self.ffmpeg(&format!("-i {file} {hash}")).await;
        said.lines().map(str::to_string).collect()
    }
}

async fn succeeded(child: Child) -> String {
    let ran = soon(child.wait_with_output()).await.unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    String::from_utf8(ran.stdout).unwrap()
}

/// A file that the environment names, or one of that name on the path or where it is usually put.
fn tool(variable: &str, name: &str, usual: &[&str]) -> Result<PathBuf, String> {
    if let Some(named) = env::var_os(variable) {
        return Ok(named.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).chain(usual.iter().map(PathBuf::from));
    let mut files = on_path.map(|dir| dir.join(name));
    files
        .find(|file| file.is_file())
        .ok_or_else(|| format!("there is no {name}, and {variable} names none"))
}

// ---- the server ----

/// nginx as an RTMP server that records what is published.
struct Nginx {
    addr: SocketAddr,
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
}

impl Nginx {
    async fn start(tools: &Tools, dir: &Path) -> Nginx {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let config = format!(
            "load_module {};
daemon off;
master_process off;
pid {dir}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 64; }}
rtmp {{
    access_log {dir}/access.log;
    server {{
        listen {addr};
        out_queue 4096;
        application live {{
            live on;
            publish_notify on;
            record all;
            record_path {dir};
        }}
    }}
}}
",
            tools.module.display(),
            dir = dir.display()
        );
        let file = dir.join("nginx.conf");
        fs::write(&file, config).unwrap();
        let mut child = Command::new(&tools.nginx)
            .args(["-e", "stderr", "-p"])
            .arg(dir)
            .arg("-c")
            .arg(&file)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        // It names itself once it listens.
        while let Some(line) = soon(log.next_line()).await.unwrap() {
            if line.contains("[notice]") && line.contains("nginx/") {
                return Nginx { addr, child, log };
            }
            println!("{line}");
        }
        panic!("nginx has not started");
    }

    async fn stop(&mut self) {
        self.child.start_kill().unwrap();
        soon(self.child.wait()).await.unwrap();
        while let Some(line) = soon(self.log.next_line()).await.unwrap() {
            println!("{line}");
        }
    }
}
