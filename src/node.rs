//! The composition root: puts a server together, says where it listens, and takes it down in order.

mod descriptors;
mod hooks;
mod lock;
mod parts;
mod random;
pub mod restore;
mod tls;
mod unfinished;
pub mod upkeep;

use std::cell::RefCell;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::Duration;

use actix::Arbiter;
use actix_web::dev::{Extensions, Server, ServerHandle};
use actix_web::http::KeepAlive;
use actix_web::middleware::from_fn;
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpServer, web};
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::actor::device::{Drain, Services};
use crate::actor::diary::Diary;
use crate::actor::dispatch::{Asker, Dispatch, Pages};
use crate::actor::events::{self, Horizon};
use crate::actor::mailroom::DeviceRef;
use crate::actor::presence::{Board, Teller};
use crate::actor::processes::Processes;
use crate::actor::registry::Registry;
use crate::clock::{Clock, Wall, wall_ms};
use crate::codec::Bounds as FrameBounds;
use crate::codec::json::Json;
use crate::config::{self, Engine as EngineKind, Settings};
use crate::gateway::admission::{self, Gate};
use crate::gateway::wire::Wire;
use crate::gateway::ws::Dialect;
use crate::http::state::AppState;
use crate::http::{admin, door, public};
use crate::id::Hashids;
use crate::machine::device::Rules;
use crate::machine::inbox::Bounds;
use crate::machine::schedule::Schedule;
use crate::message::Op;
use crate::metrics::Metrics;
use crate::shell::Shell;
use crate::shell::audit::Audit;
use crate::store::backup::Recorder;
use crate::store::journal::{Journal, Keeping};
use crate::store::ledger::{self, Ledger, People, Policy};
use crate::store::memory::MemoryEngine;
use crate::store::reader::Keeps;
use crate::store::trace::{Keep, Tracer};
use crate::store::{Engine, EngineError, committer, reader, record, space};
use crate::token::Tokens;
use crate::webhook::{self, Sender, What};

use descriptors::Budget;
use lock::DirLock;
use unfinished::Work;

pub use tls::Certificates;

/// How long a connection may take to send the head of its first request, all of it.
const HEAD_DEADLINE: Duration = Duration::from_secs(5);
/// How long clients have to answer the close of a server that goes down.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// How often it is looked whether they have.
const DRAIN_LOOK: Duration = Duration::from_millis(10);
/// How long before its token ends a client is asked for a new one.
const TOKEN_NOTICE_MS: u64 = 5 * 60 * 1000;
/// How long a client that is too fast is told to wait.
const RETRY_MS: u64 = 1000;
/// How long a failed read waits.
const READ_RETRY_MS: u64 = 200;
/// Rows of one page at most.
pub const PAGE_MAX: usize = 100;
/// Messages of one status question at most.
pub const STATUS_MAX: usize = 256;
/// What the frame around a page takes, bytes.
const PAGE_FRAME: usize = 256;
/// The directory of the lives of messages, in `store.path`.
const TRACE: &str = "trace";
/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;
/// How long a client may take over its TLS handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// TLS handshakes of one worker at once: peers that never finish one hold up nobody else until there are so many of them.
const HANDSHAKES: usize = 4096;

/// Why a server does not start, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(String);

/// A server that accepts connections.
pub struct Node {
    public: SocketAddr,
    admin: SocketAddr,
    state: web::Data<AppState>,
    shell: web::Data<Shell>,
    /// Where the shell has things done.
    desk: Arbiter,
    /// An operator ends the server here.
    stop: Arc<Notify>,
    tracer: Option<Tracer>,
    sender: Option<Sender>,
    servers: Vec<Server>,
    committer: JoinHandle<()>,
    certificates: Certificates,
    _lock: Option<DirLock>,
}

impl Node {
    /// Opens the store and both listeners; must run inside an actix system.
    pub fn start(settings: Settings, dev: bool) -> Result<Node, StartError> {
        Node::start_by(Arc::new(wall_ms), settings, dev)
    }

    /// The same, by another wall clock than this machine's.
    pub fn start_by(wall: Wall, settings: Settings, dev: bool) -> Result<Node, StartError> {
        Node::start_with(wall, settings, dev, None)
    }

    /// The same, over this engine instead of the one that the settings name: nothing is locked, and no disk is watched.
    pub fn start_over(engine: Arc<dyn Engine>, settings: Settings) -> Result<Node, StartError> {
        Node::start_with(Arc::new(wall_ms), settings, false, Some(engine))
    }

    fn start_with(
        wall: Wall,
        mut settings: Settings,
        dev: bool,
        engine: Option<Arc<dyn Engine>>,
    ) -> Result<Node, StartError> {
        let addr = |addr: Result<SocketAddr, config::Impossible>| {
            addr.map_err(|e| StartError(format!("{}: {}", e.key, e.reason)))
        };
        let public_addr = addr(settings.listen.public_addr())?;
        let admin_addr = addr(settings.listen.admin_addr())?;
        if dev && !(public_addr.ip().is_loopback() && admin_addr.ip().is_loopback()) {
            return Err(StartError(format!(
                "--dev gives a token to anybody, so every listener must be on a loopback address, and these are {public_addr} and {admin_addr}"
            )));
        }
        if dev {
            log::warn!("--dev: POST /v1/dev/token gives anybody a token for any user");
        }
        // Of two reasons not to start, the directory says more than the port.
        let is_on_disk = settings.store.engine == EngineKind::Sled && engine.is_none();
        let lock = match is_on_disk {
            false => None,
            true => Some(DirLock::take(&settings.store.path).map_err(StartError)?),
        };
        if lock.is_some() {
            // Before anything is written beside it.
            for work in [Work::Restore, Work::Salvage] {
                work.refuse_unfinished(&settings.store.path)
                    .map_err(StartError)?;
            }
        }
        let budget = Budget::take().map_err(StartError)?;
        let public_listener = bind("listen.public", public_addr)?;
        let admin_listener = bind("listen.admin", admin_addr)?;
        let metrics = Metrics::new().map_err(|e| StartError(format!("metrics: {e}")))?;
        let mut certificates = Certificates::new(metrics.clone());
        let public_tls = settings
            .listen
            .public_tls()
            .map(|files| certificates.add("public", ["listen.tls_cert", "listen.tls_key"], files));
        let public_tls = public_tls.transpose().map_err(StartError)?;
        let admin_tls = settings.listen.admin_tls().map(|files| {
            let settings = ["listen.admin_tls_cert", "listen.admin_tls_key"];
            certificates.add("admin", settings, files)
        });
        let admin_tls = admin_tls.transpose().map_err(StartError)?;
        let hashids = Hashids::new(&settings.ids).map_err(StartError)?;
        let (keys, written) = config::keys::resolve(&settings)
            .map_err(|e| StartError(format!("the keys cannot be had: {e}")))?;
        if let Some(file) = written {
            log::info!(
                "made {}, with what the settings leave out: a signing key, an admin token",
                file.display()
            );
        }
        let (store, journal) = match engine {
            Some(engine) => (engine, None),
            None => open_store(&settings, &metrics)?,
        };
        let recorder = Arc::new(Recorder::new(store));
        let engine: Arc<dyn Engine> = recorder.clone();
        metrics.found_rows(take_stock(&*engine, &settings)?);
        budget.log();
        let mark = match committer::read_mark(&*engine) {
            // It helps to keep the time, and a server can do without.
            Err(EngineError::Damaged(why)) => {
                log::warn!("the server's time begins anew: {why}");
                None
            }
            mark => mark.map_err(|e| StartError(e.to_string()))?,
        };
        let clock = Clock::resume(wall, mark.as_ref());
        if let Some(journal) = journal {
            let (of_entries, policy) = (clock.clone(), policy(&settings));
            journal.forget(Box::new(move |entry| {
                ledger::is_forgotten(entry, of_entries.now_ms(), &policy)
            }));
            let of_days = clock.clone();
            journal.keep(Keeping {
                now: Box::new(move || of_days.now_ms()),
                keep_ms: settings.history_ms(),
            });
        }

        let tracer = start_trace(&settings, is_on_disk, &clock);
        let diary = match &tracer {
            Some(tracer) => Diary::new(tracer.clone()),
            None => Diary::none(),
        };
        let per_user = match settings.limits.connections_per_user {
            0 => usize::MAX,
            most => most,
        };
        let registry: Arc<Registry<DeviceRef>> = Arc::new(Registry::with_max(per_user));
        let mut ledger = Ledger::new(engine.clone(), policy(&settings));
        let hooks = hooks::hooks(&settings, &registry);
        let tells = hooks.is_some();
        if let Some(hooks) = hooks {
            ledger.tell_receiver(hooks);
        }
        let last = events::last(&*engine).map_err(|e| StartError(e.to_string()))?;
        let horizon = Horizon::at(last);
        let (commits, committer) = committer::start(
            engine.clone(),
            ledger,
            clock.clone(),
            metrics.clone(),
            Dispatch::with_events(
                registry.clone(),
                metrics.clone(),
                diary.clone(),
                horizon.clone(),
            ),
        )
        .map_err(|e| StartError(format!("the committer cannot be started: {e}")))?;
        if is_on_disk {
            let (path, least) = (&settings.store.path, settings.store.min_free_bytes);
            space::watch(path.clone(), least, commits.health(), metrics.clone())
                .map_err(|e| StartError(format!("the disk cannot be watched: {e}")))?;
        }
        let keeps = Keeps {
            ttl_ms: settings.inbox.ttl_ms,
            history_ms: settings.history_ms(),
        };
        let durable = commits.durable().clone();
        let (reads, _) = reader::start(engine.clone(), clock.clone(), keeps, durable, Pages)
            .map_err(|e| StartError(format!("the readers cannot be started: {e}")))?;
        let told = webhook::Board::default();
        let sender = match keys.webhook_secret.clone().filter(|_| tells) {
            Some(secret) => {
                let parts = hooks::Parts {
                    settings: &settings,
                    secret,
                    hashids: &hashids,
                    engine: &engine,
                    commits: &commits,
                    horizon: &horizon,
                    clock: &clock,
                    metrics: &metrics,
                    board: &told,
                };
                let sender = hooks::start(parts)
                    .map_err(|e| StartError(format!("webhook.url cannot be told: {e}")))?;
                let (nobody, _) = oneshot::channel();
                // The first of all events of this run.
                let started = commits.submit(Asker::Waiting(nobody), Op::Tell(What::Started));
                drop(started);
                Some(sender)
            }
            None => None,
        };
        let presence = Board::default();
        let teller = Teller {
            registry: registry.clone(),
            engine: engine.clone(),
            clock: clock.clone(),
            linger_ms: settings.presence.linger_ms,
            per_second: settings.presence.notices_per_s,
        };
        teller
            .start(presence.clone())
            .map_err(|e| StartError(format!("nobody can be told who is online: {e}")))?;
        let services = Arc::new(Services {
            commits,
            reads,
            registry,
            metrics,
            clock,
            schedule: ArcSwap::from_pointee(Schedule::from_gaps(&settings.delivery.schedule_ms)),
            rules: rules(&settings).into(),
            processes: Processes::default(),
            diary: diary.clone(),
            presence,
            tells,
            epochs: AtomicU64::new(1),
        });
        let bounds = FrameBounds {
            max_payload: settings.listen.max_payload,
            max_page: PAGE_MAX,
            max_status: STATUS_MAX,
        };
        let audit = Audit::open(is_on_disk.then_some(settings.store.path.as_path()));
        let audit =
            audit.map_err(|e| StartError(format!("the audit log cannot be written: {e}")))?;
        // Ports that the system chose are told as they are.
        settings.listen.public = public_listener.1.to_string();
        settings.listen.admin = admin_listener.1.to_string();
        let state = web::Data::new(AppState::new(
            settings,
            services,
            Tokens::new(keys.jwt_key.expose(), hashids.clone()),
            Json::new(hashids.clone(), bounds),
            hashids,
            keys,
        ));
        let stop = Arc::new(Notify::new());
        let desk = Arbiter::new();
        let shell = Shell::new(state.clone(), engine, audit, desk.handle(), stop.clone());
        let shell = web::Data::new(shell);
        parts::enter(&state, sender.as_ref().map(|_| (told, horizon)));
        let (public, public_server) =
            listen_public(public_listener, public_tls, state.clone(), dev, budget)?;
        let (admin, admin_server) = listen_admin(
            admin_listener,
            admin_tls,
            shell.clone(),
            recorder.into(),
            budget,
        )?;
        Ok(Node {
            public,
            admin,
            state,
            shell,
            desk,
            stop,
            tracer,
            sender,
            servers: vec![public_server, admin_server],
            committer,
            certificates,
            _lock: lock,
        })
    }

    /// Where clients connect; port 0 is resolved.
    pub fn public_addr(&self) -> SocketAddr {
        self.public
    }

    /// Where operators connect; port 0 is resolved.
    pub fn admin_addr(&self) -> SocketAddr {
        self.admin
    }

    /// The certificates of both listeners, to have them read again.
    pub fn certificates(&self) -> Certificates {
        self.certificates.clone()
    }

    /// Serves until `stop` is ready, then drains: nobody new, everybody is told to come back, what is in hand is
    /// committed.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let handles: Vec<ServerHandle> = self.servers.iter().map(Server::handle).collect();
        for server in self.servers {
            actix_web::rt::spawn(server);
        }
        tokio::select! {
            () = stop => {}
            () = self.stop.notified() => {}
        }
        log::info!("draining");
        self.state.drain();
        self.shell.end();
        for handle in &handles {
            handle.pause().await;
        }
        let services = &self.state.services;
        let until = Instant::now() + DRAIN_MAX;
        loop {
            // Again for those who were just logging in; to the others it is nothing new.
            let devices = services.registry.all();
            if devices.is_empty() || Instant::now() >= until {
                break;
            }
            for device in devices {
                device.addr().do_send(Drain);
            }
            tokio::time::sleep(DRAIN_LOOK).await;
        }
        for handle in handles {
            handle.stop(false).await;
        }
        self.shell.end();
        services.presence.stop();
        if let Some(sender) = self.sender {
            let ended = web::block(move || sender.stop()).await;
            if !matches!(ended, Ok(true)) {
                log::warn!("the webhook's sender was left behind");
            }
        }
        services.commits.end();
        let committer = self.committer;
        let ended = web::block(move || committer.join()).await;
        if !matches!(ended, Ok(Ok(()))) {
            log::error!("the committer did not end in order");
        }
        if let Some(tracer) = self.tracer {
            let _ = web::block(move || tracer.end()).await;
        }
        self.desk.stop();
        log::info!("drained");
    }
}

/// An engine; and again, if it is the one on disk.
type Opened = (Arc<dyn Engine>, Option<Arc<Journal>>);

/// Opens what the settings name.
fn open_store(settings: &Settings, metrics: &Metrics) -> Result<Opened, StartError> {
    match settings.store.engine {
        EngineKind::Memory => {
            log::warn!("store.engine is memory: every message is gone when this process ends");
            Ok((Arc::new(MemoryEngine::new()), None))
        }
        EngineKind::Sled => {
            let path = &settings.store.path;
            let engine = Journal::at(path, metrics.clone()).map_err(|e| {
                StartError(format!(
                    "the store in {} cannot be opened: {e}",
                    path.display()
                ))
            })?;
            let engine = Arc::new(engine);
            Ok((engine.clone(), Some(engine)))
        }
    }
}

/// Goes on with the lives of messages, if they are to be written down.
fn start_trace(settings: &Settings, is_on_disk: bool, clock: &Clock) -> Option<Tracer> {
    let keep = Keep {
        ms: settings.trace.keep_ms,
        bytes: settings.trace.max_bytes,
        free: settings.store.min_free_bytes,
    };
    if keep.bytes == 0 {
        return None;
    }
    let dir = settings.store.path.join(TRACE);
    let clock = clock.clone();
    let now = Arc::new(move || clock.now_ms());
    let tracer = Tracer::start(is_on_disk.then_some(dir.as_path()), keep, now);
    // Messages must not wait for what only explains them.
    tracer
        .inspect_err(|error| {
            let dir = dir.display();
            log::error!("the lives of messages are not written down: {dir}: {error}");
        })
        .ok()
}

/// Checks the store and says what is in it; returns how many rows wait.
fn take_stock(engine: &dyn Engine, settings: &Settings) -> Result<i64, StartError> {
    let failed = |e: EngineError| StartError(e.to_string());
    let path = settings.store.path.display();
    let version = env!("CARGO_PKG_VERSION");
    let is_new = ledger::prepare(engine).map_err(failed)?;
    random::once(engine, record::NOTICES_KEY, |random: [u8; 16]| random).map_err(failed)?;
    let rows = ledger::rows(engine).map_err(failed)?;
    match is_new {
        true => log::info!("yizhan {version}: began a new, empty store in {path}"),
        false => log::info!("yizhan {version}: the store in {path} has {rows} messages waiting"),
    }
    Ok(rows)
}

fn policy(settings: &Settings) -> Policy {
    Policy {
        bounds: Bounds {
            max_messages: settings.inbox.max_messages,
            max_devices: settings.device.max_per_user,
            forget_ms: settings.device.forget_ms,
        },
        ttl_ms: settings.inbox.ttl_ms,
        people: People {
            keep_ms: settings.history_ms(),
            revoke_ms: settings.message.revoke_ms,
            edit_ms: settings.message.edit_ms,
            contacts_required: settings.contacts.required,
            max_contacts: settings.contacts.max_per_user,
            max_members: settings.group.max_members,
            max_groups: settings.group.max_per_user,
            typing_members: settings.group.typing_members,
            history_before_join: settings.group.history_before_join,
        },
    }
}

fn rules(settings: &Settings) -> Rules {
    Rules {
        deliver_window: settings.device.deliver_window,
        send_window: settings.device.send_window,
        page_bytes: settings.listen.max_frame - PAGE_FRAME,
        token_notice_ms: TOKEN_NOTICE_MS,
        read_retry_ms: READ_RETRY_MS,
        retry_ms: RETRY_MS,
        seen_every_ms: (settings.device.forget_ms / 4).max(1),
        ttl_ms: settings.inbox.ttl_ms,
        write_deadline_ms: settings.device.write_deadline_ms,
        // An adapter that works is the first to see that its client is silent.
        silence_ms: settings.device.idle_timeout_ms.saturating_mul(2),
    }
}

fn listen_public(
    (listener, addr): (TcpListener, SocketAddr),
    tls: Option<ServerConfig>,
    state: web::Data<AppState>,
    dev: bool,
    budget: Budget,
) -> Result<(SocketAddr, Server), StartError> {
    let deadline = Duration::from_millis(state.settings.device.write_deadline_ms);
    let is_plain = tls.is_none();
    let services = &state.services;
    let gate = Gate::new(
        budget.marks,
        state.settings.limits.connections_per_address,
        services.rules.retry_ms,
        services.metrics.clone(),
    );
    let server = HttpServer::new(move || {
        let listen = &state.settings.listen;
        let (origins, max_payload) = (&listen.cors_origins, listen.max_payload);
        App::new()
            .wrap(from_fn(admission::admitted))
            .app_data(state.clone())
            .app_data(Dialect::new(RefCell::new(state.json.clone())))
            .configure(|config| public::routes(config, dev, origins, max_payload))
    })
    .workers(budget.workers)
    .max_connections(budget.clients_per_worker)
    .client_request_timeout(HEAD_DEADLINE)
    // The deadline above is that of the first request alone: a second one could come for ever.
    .keep_alive(KeepAlive::Disabled)
    .tcp_nodelay(true)
    .backlog(BACKLOG)
    // A WebSocket that has been closed would wait for its client to hang up first.
    .client_disconnect_timeout(Duration::ZERO)
    .disable_signals()
    .max_connection_rate(HANDSHAKES)
    .tls_handshake_timeout(HANDSHAKE_MAX)
    .on_connect(move |connection, extensions: &mut Extensions| {
        if let Some(stream) = tls::tcp_of(connection) {
            prepare(stream, extensions, deadline);
            gate.admit(stream, is_plain, extensions);
        }
    });
    let server = match tls {
        Some(tls) => server.listen_rustls_0_23(listener, tls),
        None => server.listen(listener),
    };
    let server = server.map_err(|e| StartError(format!("listen.public {addr}: {e}")))?;
    Ok((addr, server.run()))
}

fn listen_admin(
    (listener, addr): (TcpListener, SocketAddr),
    tls: Option<ServerConfig>,
    shell: web::Data<Shell>,
    recorder: web::Data<Recorder>,
    budget: Budget,
) -> Result<(SocketAddr, Server), StartError> {
    let state = shell.state.clone();
    let max_payload = state.settings.listen.max_payload;
    let deadline = Duration::from_millis(state.settings.device.write_deadline_ms);
    let server = HttpServer::new(move || {
        App::new()
            .wrap(from_fn(door::own_site))
            .app_data(state.clone())
            .app_data(shell.clone())
            .app_data(recorder.clone())
            .configure(|config| admin::routes(config, max_payload))
    })
    .workers(1)
    .max_connections(budget.operators)
    .client_request_timeout(HEAD_DEADLINE)
    .tcp_nodelay(true)
    .disable_signals()
    .max_connection_rate(HANDSHAKES)
    .tls_handshake_timeout(HANDSHAKE_MAX)
    // Somebody who takes no more of a backup would keep everybody else from taking one.
    .on_connect(move |connection, extensions: &mut Extensions| {
        if let Some(stream) = tls::tcp_of(connection) {
            prepare(stream, extensions, deadline);
        }
    });
    let server = match tls {
        Some(tls) => server.listen_rustls_0_23(listener, tls),
        None => server.listen(listener),
    };
    let server = server.map_err(|e| StartError(format!("listen.admin {addr}: {e}")))?;
    Ok((addr, server.run()))
}

fn bind(key: &str, addr: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |e: std::io::Error| StartError(format!("{key} {addr} cannot be bound: {e}"));
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(addr),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )
    .map_err(failed)?;
    // A restart must not wait for connections of the process before it.
    socket.set_reuse_address(true).map_err(failed)?;
    socket.bind(&addr.into()).map_err(failed)?;
    socket.listen(BACKLOG as i32).map_err(failed)?;
    let listener = TcpListener::from(socket);
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Gives requests on the connection the socket that it stands on, which ends when nothing is taken for `deadline`.
fn prepare(stream: &TcpStream, known: &mut Extensions, deadline: Duration) {
    match Wire::prepare(stream, deadline) {
        Ok(wire) => drop(known.insert(wire)),
        Err(error) => log::warn!("a connection has no write deadline: {error}"),
    }
}
