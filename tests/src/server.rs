//! Servers on the targets: they say who they are and whom they saw.

use std::{
    collections::HashMap,
    io::{BufRead as _, BufReader, Write as _},
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, Result};

use crate::{
    client::Pattern,
    netns::{Netns, Process},
    topology::Host,
    wait_for,
};

/// How long a server waits for a packet before it looks whether it is to stop.
const TICK: Duration = Duration::from_millis(50);

/// What happened to a connection, as its server sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The peer, as the server saw it.
    pub peer: SocketAddr,
    /// `None` if the peer closed it; else the error of the server's kernel.
    pub error: Option<std::io::ErrorKind>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    accepted: AtomicU64,
    open: Mutex<HashMap<u64, Arc<TcpStream>>>,
    endings: Mutex<Vec<Ending>>,
}

/// A TCP server with a line protocol.
///
/// It begins with the line `NAME PEER`, and then answers each line: `download N` with N bytes of [`Pattern`];
/// `upload N`, followed by that many bytes, with `same` or with where they differ; `later MS TEXT` with TEXT after that
/// time; `ticks N MS` with as many lines `tick`, one after each such time; any other with itself.
pub struct TcpServer {
    addr: SocketAddr,
    listener: TcpListener,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl TcpServer {
    /// Starts it on all addresses of `host`, both families.
    pub fn start(host: &Host, port: u16) -> Result<Self> {
        let addr = SocketAddr::new(IpAddr::from([0_u16; 8]), port);
        let listener = host.ns.run(|| TcpListener::bind(addr)).with_context(|| format!("{} on {addr}", host.name))?;
        let shared = Arc::new(Shared::default());
        let (acceptor_listener, acceptor_shared, name) =
            (listener.try_clone()?, Arc::clone(&shared), host.name.clone());
        let acceptor = thread::spawn(move || accept(&acceptor_listener, &acceptor_shared, &name));
        Ok(Self { addr, listener, shared, acceptor: Some(acceptor) })
    }

    /// How many connections it has accepted.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// How many connections are open.
    pub fn open(&self) -> usize {
        lock(&self.shared.open).len()
    }

    /// How connections ended, in order.
    pub fn endings(&self) -> Vec<Ending> {
        lock(&self.shared.endings).clone()
    }

    /// Where it listens.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for TcpServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // On Linux this wakes a blocked accept.
        let _not_listening = nix::sys::socket::shutdown(self.listener.as_raw_fd(), nix::sys::socket::Shutdown::Both);
        if let Some(acceptor) = self.acceptor.take() {
            let _panicked = acceptor.join();
        }
        for stream in lock(&self.shared.open).values() {
            let _closed_already = stream.shutdown(Shutdown::Both);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, name: &str) {
    while let Ok((stream, peer)) = listener.accept() {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let (id, peer) = (shared.accepted.fetch_add(1, Ordering::Relaxed), plain(peer));
        let stream = Arc::new(stream);
        lock(&shared.open).insert(id, Arc::clone(&stream));
        let (shared, name) = (Arc::clone(shared), name.to_owned());
        // Small stacks: there may be thousands.
        let serving = thread::Builder::new().stack_size(128 * 1024).spawn(move || {
            let error = serve(&stream, peer, &name).err().map(|error| error.kind());
            lock(&shared.open).remove(&id);
            lock(&shared.endings).push(Ending { peer, error });
        });
        serving.expect("a thread for each connection");
    }
}

/// One connection, to its end.
fn serve(stream: &TcpStream, peer: SocketAddr, name: &str) -> std::io::Result<()> {
    let (mut reader, mut writer) = (BufReader::with_capacity(64 * 1024, stream), stream);
    stream.set_nodelay(true)?;
    writer.write_all(format!("{name} {peer}\n").as_bytes())?;
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut words = line.trim_end().splitn(3, ' ');
        let (command, number) = (words.next(), words.next().and_then(|word| word.parse::<u64>().ok()));
        match (command, number) {
            (Some("download"), Some(bytes)) => Pattern::new().send(&mut writer, bytes)?,
            (Some("upload"), Some(bytes)) => {
                let answer = Pattern::new().compare(&mut reader, bytes)?;
                writer.write_all(format!("{answer}\n").as_bytes())?;
            }
            (Some("later"), Some(ms)) => {
                thread::sleep(Duration::from_millis(ms));
                writer.write_all(format!("{}\n", words.next().unwrap_or_default()).as_bytes())?;
            }
            (Some("ticks"), Some(count)) => {
                let every = words.next().and_then(|word| word.parse().ok()).map_or(TICK, Duration::from_millis);
                for _ in 0..count {
                    thread::sleep(every);
                    writer.write_all(b"tick\n")?;
                }
            }
            _ => writer.write_all(line.as_bytes())?,
        }
    }
}

/// An IPv4 address as such, where a socket of both families has it as a mapped one.
fn plain(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// A UDP server that answers each datagram with `NAME PEER PAYLOAD`.
pub struct UdpServer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl UdpServer {
    /// Starts it on the addresses of `host`.
    pub fn start(host: &Host, port: u16) -> Result<Self> {
        let socket = host.ns.run(|| UdpSocket::bind(SocketAddr::new(IpAddr::from([0_u16; 8]), port)))?;
        socket.set_read_timeout(Some(TICK))?;
        let shared = Arc::new(Shared::default());
        let (own, name) = (Arc::clone(&shared), host.name.clone());
        let thread = thread::spawn(move || {
            let mut buffer = [0; 65536];
            while !own.stop.load(Ordering::Relaxed) {
                let Ok((len, peer)) = socket.recv_from(&mut buffer) else { continue };
                own.accepted.fetch_add(1, Ordering::Relaxed);
                let mut answer = format!("{name} {} ", plain(peer)).into_bytes();
                answer.extend_from_slice(&buffer[..len]);
                let _client_gone = socket.send_to(&answer, peer);
            }
        });
        Ok(Self { shared, thread: Some(thread) })
    }

    /// How many datagrams it has received.
    pub fn received(&self) -> u64 {
        self.shared.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for UdpServer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

/// The distribution's nginx. It answers every request with `NAME CLIENT-ADDRESS`.
pub struct Nginx {
    /// Its process.
    pub process: Process,
    log: PathBuf,
}

impl Nginx {
    /// Starts it on all addresses of `host`, both families, with its files in `dir`.
    pub fn start(host: &Host, port: u16, dir: &Path) -> Result<Self> {
        let (name, home) = (&host.name, dir.join(&host.name));
        std::fs::create_dir_all(&home)?;
        let (path, log) = (home.display(), home.join("error.log"));
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|what| format!("  {what}_temp_path {path}/{what};\n"))
            .collect();
        let config = format!(
            "daemon off;\nmaster_process off;\npid {path}/pid;\nerror_log {path}/error.log;\n\
             events {{ worker_connections 4096; }}\n\
             http {{\n  access_log off;\n{temporary}  keepalive_requests 1000000;\n  \
             server {{\n    listen {port} backlog=4096;\n    listen [::]:{port} backlog=4096;\n    \
             default_type text/plain;\n    return 200 \"{name} $remote_addr\\n\";\n  }}\n}}\n"
        );
        let file = home.join("nginx.conf");
        std::fs::write(&file, config)?;
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|path| Path::new(path).exists());
        let mut command = host.ns.command(program.unwrap_or("nginx"));
        command.arg("-e").arg(&log).arg("-p").arg(&home).arg("-c").arg(&file);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut nginx = Self { process: Process(command.spawn().context("can't run nginx (package nginx)")?), log };
        let addr = SocketAddr::new(host.v4.into(), port);
        wait_for("nginx to listen", Duration::from_secs(10), || nginx.listens(&host.ns, addr))?;
        Ok(nginx)
    }

    fn listens(&mut self, ns: &Netns, addr: SocketAddr) -> Result<bool> {
        if let Some(status) = self.process.0.try_wait()? {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            anyhow::bail!("nginx ended with {status}: {log}");
        }
        Ok(ns.run(|| TcpStream::connect(addr)).is_ok())
    }
}
