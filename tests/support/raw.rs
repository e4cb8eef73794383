use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};

use super::{DEADLINE, Server, User};

/// The smallest receive buffer there is.
const SMALLEST: u32 = 4096;

/// A device that completes the handshake, and then takes what it is told to and answers nothing, not even pings.
pub struct Deaf {
    stream: TcpStream,
}

impl Deaf {
    /// Logs in with as little room for what comes as there can be.
    pub async fn login(listener: SocketAddr, user: &User, did: &str) -> Self {
        Self::login_from(Ipv4Addr::LOCALHOST, SMALLEST, listener, user, did).await
    }

    /// As `login`, from this address of the machine and with so much room.
    pub async fn login_from(
        address: Ipv4Addr,
        room: u32,
        listener: SocketAddr,
        user: &User,
        did: &str,
    ) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(room).unwrap();
        let from = SocketAddr::new(IpAddr::V4(address), 0);
        socket.bind(from).unwrap();
        let connecting = timeout(DEADLINE, socket.connect(listener));
        let mut stream = connecting.await.expect("nobody accepts").unwrap();
        let request = format!(
            "GET /ws?authorization={}&did={did} HTTP/1.1\r\nhost: {listener}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            user.token
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut deaf = Self { stream };
        let mut head = Vec::new();
        // Byte by byte: what follows stays where it is.
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(deaf.take(1).await.expect("an answer"));
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "no upgrade");
        deaf
    }

    /// Takes so many bytes at most, at least one; none at the end of the connection.
    pub async fn take(&mut self, most: usize) -> Option<Vec<u8>> {
        self.try_take(most).await.ok().flatten()
    }

    /// As `take`, where a connection that was cut is not the same as one that was ended.
    pub async fn try_take(&mut self, most: usize) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = vec![0; most];
        let read = timeout(DEADLINE, self.stream.read(&mut bytes)).await;
        let read = read.expect("nothing comes")?;
        bytes.truncate(read);
        Ok((read > 0).then_some(bytes))
    }

    /// Whether the server's end of the connection is gone for good. Nothing has to be read to see that.
    pub fn is_cut(&self) -> bool {
        self.stream.take_error().unwrap().is_some()
            // An unasked pong, which means nothing to a server that is there.
            || self.stream.try_write(&[0x8a, 0x80, 0, 0, 0, 0]).is_err_and(|error| {
                error.kind() != io::ErrorKind::WouldBlock
            })
    }
}

/// Waits until this holds, and looks often.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < 3 * DEADLINE, "it never came: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// What a process has in memory, bytes.
pub fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("a process has memory");
    let kb = line.trim().strip_suffix(" kB").unwrap();
    kb.parse::<u64>().unwrap() * 1024
}

/// Waits until so many devices are connected, as the server's own gauge has it.
pub async fn until_online(server: &Server, devices: u64) {
    let online = async || server.metric("yizhan_online_devices").await == devices as f64;
    until("the others are offline", online).await;
}
