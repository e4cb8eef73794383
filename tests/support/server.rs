use std::{
    fs::{File, OpenOptions},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Output, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::{interval, timeout},
};

use super::{
    DEADLINE, User,
    client::Client,
    http::{Answer, Call},
};

/// The configuration that makes the lines of the notes work as typed.
pub const SEED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/seed.toml");

/// What every server of these tests takes for its admin token.
pub const ADMIN_TOKEN: &str = "the-tests-own-admin-token";

/// How long between two looks at something that has no event.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

const BINARY: &str = env!("CARGO_BIN_EXE_yizhan");

/// A running server: a process, its two addresses, its data directory. Dropped, it is killed.
pub struct Server {
    pub public: SocketAddr,
    pub admin: SocketAddr,
    /// The command that the server is started by, with its arguments; empty if it is started as it is.
    under: Vec<String>,
    arguments: Vec<String>,
    home: TempDir,
    child: Child,
    // Held open: a server whose standard output is gone could not print another line.
    _stdout: Lines<BufReader<ChildStdout>>,
}

/// How a start ended that was not to succeed.
pub struct Refusal {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Server {
    /// A server with the seed configuration and these settings (`section.key=value`) over it.
    pub async fn start(sets: &[&str]) -> Self {
        Self::start_with(&["--config", SEED], sets).await
    }

    /// A server with the built-in configuration and these settings over it.
    pub async fn start_plain(sets: &[&str]) -> Self {
        Self::start_with(&[], sets).await
    }

    /// A server with these arguments after `serve` and these settings after the ones every test needs.
    pub async fn start_with(arguments: &[&str], sets: &[&str]) -> Self {
        Self::start_under(&[], arguments, sets).await
    }

    /// As `start_with`, by this command, which must become the server: `sh -c 'ulimit -n 128; exec "$0" "$@"'` does.
    pub async fn start_under(under: &[&str], arguments: &[&str], sets: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let under: Vec<String> = under.iter().map(|&word| word.to_owned()).collect();
        let arguments = serve_arguments(arguments, &home.path().join("data"), sets);
        let (child, stdout, public, admin) = launch(&under, &arguments, home.path()).await;
        Self {
            public,
            admin,
            under,
            arguments,
            home,
            child,
            _stdout: stdout,
        }
    }

    /// Kills the process with SIGKILL: it gets no chance to do anything more.
    pub async fn kill9(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks the process to end (SIGTERM) and tells how it did.
    pub async fn term(&mut self) -> ExitStatus {
        self.signal_term();
        self.ended().await
    }

    /// Waits until the process has ended and tells how it did.
    pub async fn ended(&mut self) -> ExitStatus {
        timeout(DEADLINE, self.child.wait())
            .await
            .unwrap_or_else(|_| panic!("the server did not end\n{}", self.log_tail()))
            .unwrap()
    }

    pub fn signal_term(&self) {
        self.signal("TERM");
    }

    /// Tells the process to read its certificates again.
    pub fn signal_hup(&self) {
        self.signal("HUP");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().expect("the server is running");
        // The shell's own `kill`: a bare machine may have no other.
        let sent = std::process::Command::new("sh")
            .args(["-c", &format!("kill -{name} {pid}")])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Starts it again on the same data directory, with the same settings. Its ports change.
    pub async fn restart(&mut self) {
        let running = self.child.try_wait().unwrap().is_none();
        assert!(!running, "kill it or end it first");
        let (child, stdout, public, admin) =
            launch(&self.under, &self.arguments, self.home.path()).await;
        self.child = child;
        self._stdout = stdout;
        self.public = public;
        self.admin = admin;
    }

    /// A device of a user of the seed configuration logs in.
    pub async fn login(&self, uid: u64, did: &str) -> Client {
        Client::login(self.public, &User::new(uid), did).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        Call::get(self.public, path).send().await
    }

    /// The number behind a name on the admin listener's `/metrics`.
    pub async fn metric(&self, name: &str) -> f64 {
        let page = Call::get(self.admin, "/metrics")
            .bearer(ADMIN_TOKEN)
            .send()
            .await;
        assert_eq!(page.status, 200);
        page.body
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            .unwrap_or_else(|| panic!("no `{name}` in\n{}", page.body))
            .trim()
            .parse()
            .unwrap()
    }

    /// Asks again until the server says that it is ready, or that it is not for a reason like this one.
    pub async fn until_ready_is(&self, status: u16, like: impl Fn(&str) -> bool) -> Answer {
        let mut turns = interval(LOOK_AGAIN);
        let asking = async {
            loop {
                let answer = self.get("/health/ready").await;
                if answer.status == status && like(&answer.body) {
                    return answer;
                }
                turns.tick().await;
            }
        };
        timeout(DEADLINE, asking)
            .await
            .unwrap_or_else(|_| panic!("never {status} in the way wanted\n{}", self.log_tail()))
    }

    /// Everything that it has written to standard error.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("stderr.log")).unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("the server is running")
    }

    pub fn data_dir(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Waits until the server's log has this, and gives the line. What is asked meanwhile goes to the admin listener.
    pub async fn logs(&self, text: &str) -> String {
        let path = self.home.path().join("stderr.log");
        let looking = async {
            loop {
                let log = std::fs::read_to_string(&path).unwrap();
                if let Some(line) = log.lines().find(|line| line.contains(text)) {
                    return line.to_owned();
                }
                Call::get(self.admin, "/health/live").send().await;
            }
        };
        timeout(DEADLINE, looking)
            .await
            .unwrap_or_else(|_| panic!("the log never says {text:?}\n{}", self.log_tail()))
    }

    fn log_tail(&self) -> String {
        log_tail(self.home.path())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A killed process keeps its files until it is gone: kill first, then let the directory go.
        let _ = self.child.start_kill();
        let log = std::fs::read_to_string(self.home.path().join("stderr.log")).unwrap_or_default();
        if thread::panicking() {
            eprintln!("{}", self.log_tail());
        } else {
            assert!(!log.contains("panicked at"), "the server panicked:\n{log}");
        }
    }
}

impl Refusal {
    /// Runs `yizhan` with these arguments until it ends by itself.
    pub async fn of(arguments: &[&str]) -> Self {
        let ran = Command::new(BINARY)
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let Output {
            status,
            stdout,
            stderr,
        } = timeout(DEADLINE, ran)
            .await
            .unwrap_or_else(|_| panic!("`yizhan {}` is still running", arguments.join(" ")))
            .unwrap();
        Self {
            status,
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
        }
    }

    /// Tries to serve on this data directory, with these arguments after `serve` and these settings.
    pub async fn of_serving(arguments: &[&str], data: &Path, sets: &[&str]) -> Self {
        let arguments = serve_arguments(arguments, data, sets);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        Self::of(&arguments).await
    }

    /// Holds that the start failed with exactly one line on standard error, and gives that line.
    pub fn one_line(&self) -> &str {
        assert!(!self.status.success(), "it started: {}", self.stdout);
        assert!(
            !self.stdout.contains("yizhan ready"),
            "it was ready: {}",
            self.stdout
        );
        let line = self.stderr.trim_end();
        assert!(!line.is_empty(), "it did not say why");
        assert!(!line.contains('\n'), "more than one line:\n{line}");
        line
    }
}

/// Runs one `yizhan` command that must succeed and gives its standard output.
pub fn cli(arguments: &[&str]) -> String {
    let output = std::process::Command::new(BINARY)
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "yizhan {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn serve_arguments(arguments: &[&str], data: &Path, sets: &[&str]) -> Vec<String> {
    let mut all = vec!["serve".to_owned()];
    all.extend(arguments.iter().map(|&argument| argument.to_owned()));
    let ours = [
        "listen.public=127.0.0.1:0".to_owned(),
        "listen.admin=127.0.0.1:0".to_owned(),
        format!("store.path={}", data.display()),
        format!("admin.token={ADMIN_TOKEN}"),
    ];
    for set in ours
        .into_iter()
        .chain(sets.iter().map(|&set| set.to_owned()))
    {
        all.push("--set".to_owned());
        all.push(set);
    }
    all
}

async fn launch(
    under: &[String],
    arguments: &[String],
    home: &Path,
) -> (Child, Lines<BufReader<ChildStdout>>, SocketAddr, SocketAddr) {
    let log: File = OpenOptions::new()
        .create(true)
        .append(true)
        .open(home.join("stderr.log"))
        .unwrap();
    let mut words = under.iter().map(String::as_str).chain([BINARY]);
    let mut child = Command::new(words.next().unwrap())
        .args(words)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
    let ready = async {
        while let Some(line) = stdout.next_line().await.unwrap() {
            if let Some(addresses) = line.strip_prefix("yizhan ready ") {
                return Some(addresses.to_owned());
            }
        }
        None
    };
    let addresses = match timeout(DEADLINE, ready).await {
        Ok(Some(addresses)) => addresses,
        Ok(None) => panic!("the server ended before it was ready\n{}", log_tail(home)),
        Err(_) => panic!("the server is not ready\n{}", log_tail(home)),
    };
    let address = |name: &str| {
        addresses
            .split(' ')
            .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or_else(|| panic!("no {name} address in the ready line: {addresses}"))
            .parse()
            .unwrap()
    };
    let (public, admin) = (address("public"), address("admin"));
    (child, stdout, public, admin)
}

fn log_tail(home: &Path) -> String {
    let log = std::fs::read_to_string(home.join("stderr.log")).unwrap_or_default();
    let lines: Vec<_> = log.lines().collect();
    let tail = &lines[lines.len().saturating_sub(40)..];
    format!("--- the server's last lines ---\n{}", tail.join("\n"))
}
