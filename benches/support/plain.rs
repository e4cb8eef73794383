//! The same WebSocket stack and the same frames over a plain log, or over nothing.
//!
//! A message is appended, synced with whatever else waits, answered and passed on; its acknowledgement the same. There is no
//! store, no dedupe, no registry that doubts itself, no window, no retry and no delivery: what it does in a second is what
//! the stack, the frames and the disk allow. It speaks enough of the protocol for loads of full loops, to devices with
//! one connection each. A message to a group goes to everybody who has come, and nobody counts who has it.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use actix::{Actor, ActorContext, Addr, AsyncContext, Handler, StreamHandler};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use actix_web_actors::ws::{self, Message, ProtocolError, WebsocketContext};
use xxhash_rust::xxh3::xxh3_64;
use yizhan::clock::wall_ms;
use yizhan::codec::json::Json;
use yizhan::codec::{Bounds, Inbound};
use yizhan::config::{Settings, Sources, keys};
use yizhan::id::{Did, Hashids, MsgId, Seq, Uid};
use yizhan::message::chat::Chat;
use yizhan::message::{
    Ack, Command, Draft, Event, Fate, Kind, Message as Stored, Notice, Row, What,
};
use yizhan::token::Tokens;

/// What it is told on the command line.
#[derive(Clone, Debug, clap::Args)]
pub struct Plain {
    /// A settings file, as for the server
    #[arg(long = "config")]
    files: Vec<std::path::PathBuf>,
    /// One setting, as for the server
    #[arg(long = "set")]
    pub sets: Vec<String>,
    /// Threads that serve connections
    #[arg(long, default_value_t = 2)]
    workers: usize,
}

/// Requests that may wait for the log, and that share one sync.
const QUEUE: usize = 65_536;
const GATHER: usize = 1024;

/// Serves until the process ends, over the log at `path` if there is one.
pub fn serve(options: &Plain, path: Option<&Path>) -> anyhow::Result<()> {
    let settings = Settings::load(&Sources {
        files: options.files.clone(),
        env: Vec::new(),
        sets: options.sets.clone(),
    })?;
    let hashids = Hashids::new(&settings.ids).map_err(anyhow::Error::msg)?;
    let (keys, _) = keys::resolve(&settings)?;
    let house = Arc::new(House {
        tokens: Tokens::new(keys.jwt_key.expose(), hashids.clone()),
        log: start_log(path)?,
    });
    let listener = TcpListener::bind(settings.listen.public_addr()?)?;
    println!("reference ready public={}", listener.local_addr()?);
    actix_web::rt::System::new().block_on(async {
        HttpServer::new(move || {
            App::new()
                .app_data(web::Data::from(house.clone()))
                .app_data(Dialect::new(RefCell::new(json(hashids.clone()))))
                .route("/ws", web::get().to(connect))
                .route("/ws/", web::get().to(connect))
        })
        .workers(options.workers)
        .tcp_nodelay(true)
        .listen(listener)?
        .run()
        .await
    })?;
    Ok(())
}

fn json(hashids: Hashids) -> Json {
    let bounds = Bounds {
        max_payload: 65_536,
        max_page: 100,
        max_status: 256,
    };
    Json::new(hashids, bounds)
}

type Dialect = web::Data<RefCell<Json>>;

struct House {
    tokens: Tokens,
    log: SyncSender<(Addr<Socket>, Entry)>,
}

/// Something to be made durable.
enum Entry {
    Send(Uid, Draft),
    /// Of a message of that user, by a device of this one.
    Ack(Uid, Uid, MsgId, Did),
    /// Somebody is there, who hears of what is sent to them.
    Come(Uid),
}

#[derive(actix::Message)]
#[rtype(result = "()")]
struct Told(Vec<Event>);

struct Socket {
    uid: Uid,
    did: Did,
    house: web::Data<House>,
    json: Dialect,
    /// Who sent what was passed on here and is not acknowledged.
    senders: HashMap<MsgId, Uid>,
}

async fn connect(
    req: HttpRequest,
    payload: web::Payload,
    query: web::Query<HashMap<String, String>>,
    house: web::Data<House>,
    json: Dialect,
) -> Result<HttpResponse, actix_web::Error> {
    let header = |name: &str| Some(req.headers().get(name)?.to_str().ok()?.to_string());
    let named = |name: &str| header(name).or_else(|| query.get(name).cloned());
    let token = named("authorization").unwrap_or_default();
    let token = token.strip_prefix("Bearer ").unwrap_or(&token);
    let Ok(claims) = house.tokens.verify(token, wall_ms(), 0) else {
        return Ok(HttpResponse::Unauthorized().finish());
    };
    let did = Did::parse(&named("did").unwrap_or_else(|| "did".into()));
    let Ok(did) = did else {
        return Ok(HttpResponse::BadRequest().finish());
    };
    let socket = Socket {
        uid: claims.uid,
        did,
        house,
        json,
        senders: HashMap::new(),
    };
    ws::start(socket, &req, payload)
}

impl Socket {
    fn append(&self, entry: Entry, ctx: &WebsocketContext<Self>) {
        let sent = self.house.log.send((ctx.address(), entry));
        sent.expect("the log has ended");
    }
}

impl Actor for Socket {
    type Context = WebsocketContext<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(1024);
        let notice = Notice::OfflineSummary {
            count: 0,
            from_seq: 1,
            to_seq: 0,
        };
        let event = Event::Notice {
            id: MsgId::parse("summary").unwrap(),
            to: self.uid,
            notice,
            server_ts: wall_ms(),
        };
        ctx.text(self.json.borrow_mut().encode(&event).unwrap());
        self.append(Entry::Come(self.uid), ctx);
    }
}

impl Handler<Told> for Socket {
    type Result = ();

    fn handle(&mut self, Told(events): Told, ctx: &mut Self::Context) {
        let mut json = self.json.borrow_mut();
        for event in &events {
            if let Event::Deliver(row) = event {
                let message = &row.message;
                self.senders.insert(message.id.clone(), message.from);
            }
            ctx.text(json.encode(event).unwrap());
        }
    }
}

impl StreamHandler<Result<Message, ProtocolError>> for Socket {
    fn handle(&mut self, message: Result<Message, ProtocolError>, ctx: &mut Self::Context) {
        let text = match message {
            Ok(Message::Text(text)) => text,
            Ok(Message::Ping(bytes)) => return ctx.pong(&bytes),
            Ok(Message::Pong(_)) => return,
            _ => return ctx.stop(),
        };
        let decoded = self.json.borrow_mut().decode(&text);
        match decoded {
            Ok(Inbound::Command(Command::Send(draft))) => {
                self.append(Entry::Send(self.uid, draft), ctx);
            }
            Ok(Inbound::Command(Command::Ack(Ack::Id { id, .. }))) => {
                if let Some(from) = self.senders.remove(&id) {
                    let did = self.did.clone();
                    self.append(Entry::Ack(self.uid, from, id, did), ctx);
                }
            }
            // Of messages to a group, which are remembered nowhere.
            Ok(Inbound::Command(Command::Ack(form))) => {
                ctx.text(self.json.borrow_mut().encode(&Event::AckOk(form)).unwrap());
            }
            Ok(Inbound::Ping) => ctx.text("pong"),
            // A client asks when its last message is on its way; the receipt comes by itself.
            Ok(Inbound::Command(Command::Status(_))) => {}
            _ => ctx.stop(),
        }
    }
}

/// Starts the thread that writes the log; it ends with the process.
fn start_log(path: Option<&Path>) -> std::io::Result<SyncSender<(Addr<Socket>, Entry)>> {
    let file = path.map(File::create).transpose()?;
    let (entries, waiting) = sync_channel(QUEUE);
    std::thread::Builder::new()
        .name("log".into())
        .spawn(move || write_log(file, &waiting))?;
    Ok(entries)
}

fn write_log(mut file: Option<File>, waiting: &Receiver<(Addr<Socket>, Entry)>) {
    let mut users: HashMap<Uid, Addr<Socket>> = HashMap::new();
    let mut heads: HashMap<Uid, Seq> = HashMap::new();
    while let Ok(first) = waiting.recv() {
        let mut batch = vec![first];
        while batch.len() < GATHER
            && let Ok(next) = waiting.try_recv()
        {
            batch.push(next);
        }
        if let Some(file) = &mut file {
            let bytes = records(&batch);
            if !bytes.is_empty() {
                file.write_all(&bytes).expect("the log can be written");
                file.sync_data().expect("the log can be synced");
            }
        }
        publish(batch, &mut users, &mut heads);
    }
}

/// What the log has of them.
fn records(batch: &[(Addr<Socket>, Entry)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(batch.len() * 512);
    for (_, entry) in batch {
        match entry {
            Entry::Send(from, draft) => record(
                &mut bytes,
                b'm',
                &[from.0, draft.to.number()],
                &[draft.id.as_str(), &draft.payload],
            ),
            Entry::Ack(reader, from, id, did) => {
                record(
                    &mut bytes,
                    b'a',
                    &[reader.0, from.0],
                    &[id.as_str(), did.as_str()],
                );
            }
            Entry::Come(_) => {}
        }
    }
    bytes
}

/// One message to each connection concerned, whatever the batch has for it.
fn publish(
    batch: Vec<(Addr<Socket>, Entry)>,
    users: &mut HashMap<Uid, Addr<Socket>>,
    heads: &mut HashMap<Uid, Seq>,
) {
    let server_ts = wall_ms();
    let mut told: HashMap<Uid, Vec<Event>> = HashMap::new();
    for (addr, entry) in batch {
        match entry {
            Entry::Come(uid) => drop(users.insert(uid, addr)),
            Entry::Send(from, draft) => {
                let readers: Vec<Uid> = match draft.to {
                    Chat::User(reader) => vec![reader],
                    Chat::Group(_) => users.keys().copied().filter(|uid| *uid != from).collect(),
                };
                let (id, to) = (draft.id.clone(), draft.to);
                let cseq = readers
                    .first()
                    .and_then(|reader| heads.get(reader))
                    .map_or(1, |head| head + 1);
                let accepted = Event::Accepted {
                    id,
                    to,
                    cseq,
                    server_ts,
                };
                told.entry(from).or_default().push(accepted);
                let message = Arc::new(Stored {
                    id: draft.id,
                    kind: Kind::Words,
                    from,
                    to,
                    payload: draft.payload,
                    created_at: draft.created_at,
                    server_ts,
                    expires_at: None,
                    fate: Fate::Whole,
                    cseq,
                });
                for reader in readers {
                    let head = heads.entry(reader).or_default();
                    *head += 1;
                    let row = Event::Deliver(Row {
                        reader,
                        seq: *head,
                        since: server_ts,
                        what: What::Message,
                        message: message.clone(),
                    });
                    told.entry(reader).or_default().push(row);
                }
            }
            Entry::Ack(reader, from, id, did) => {
                let form = Ack::Id {
                    id: id.clone(),
                    did: did.clone(),
                };
                told.entry(reader).or_default().push(Event::AckOk(form));
                let delivered = Event::Delivered {
                    id,
                    reader,
                    did: Some(did),
                    server_ts,
                };
                told.entry(from).or_default().push(delivered);
            }
        }
    }
    for (uid, events) in told {
        if let Some(addr) = users.get(&uid) {
            addr.do_send(Told(events));
        }
    }
}

/// Length, checksum, kind, numbers, texts with their lengths.
fn record(out: &mut Vec<u8>, kind: u8, numbers: &[u64], texts: &[&str]) {
    let start = out.len();
    out.extend([0; 12]);
    out.push(kind);
    for number in numbers {
        out.extend(number.to_le_bytes());
    }
    for text in texts {
        out.extend((text.len() as u32).to_le_bytes());
        out.extend(text.as_bytes());
    }
    let length = (out.len() - start - 12) as u32;
    let checksum = xxh3_64(&out[start + 12..]);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..start + 12].copy_from_slice(&checksum.to_le_bytes());
}
