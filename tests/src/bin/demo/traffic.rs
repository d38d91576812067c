//! Requests and datagrams from all clients at once, at a pace that lets one watch.

use std::{
    collections::BTreeSet,
    io::{self, BufRead, BufReader, Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpStream},
    sync::atomic::{AtomicU64, Ordering},
    thread::{self, sleep},
    time::{Duration, Instant},
};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use nlb_tests::{
    client::{PATIENCE, Spread, UdpClient},
    topology::Host,
};

use crate::{
    scene,
    stop::{self, say},
};

/// Threads of a client.
const THREADS: usize = 4;
/// UDP flows of a thread.
const FLOWS: usize = 25;

/// The four ways to the same servers.
#[derive(Clone, Copy)]
pub struct Way {
    /// Over IPv6.
    pub v6: bool,
    /// To the load balancer that preserves client addresses.
    pub preserving: bool,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self { v6: false, preserving: true },
        Self { v6: true, preserving: true },
        Self { v6: false, preserving: false },
        Self { v6: true, preserving: false },
    ];

    /// Where it begins.
    pub fn http(self) -> SocketAddr {
        SocketAddr::new(scene::address(self), scene::HTTP)
    }
}

/// What came of it.
#[derive(Default)]
pub struct Tally {
    /// Answers of each target.
    pub targets: Spread,
    /// Flows of each target.
    pub flows: Spread,
    /// Clients as the targets saw them, of load balancers that preserve their addresses.
    pub preserved: BTreeSet<IpAddr>,
    /// And of those that do not.
    pub translated: BTreeSet<IpAddr>,
    /// What went wrong.
    pub failed: Vec<String>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        for (sum, part) in [(&mut self.targets, other.targets), (&mut self.flows, other.flows)] {
            part.into_iter().for_each(|(target, count)| *sum.entry(target).or_default() += count);
        }
        self.preserved.extend(other.preserved);
        self.translated.extend(other.translated);
        self.failed.extend(other.failed);
    }
}

/// How far it is.
pub struct Progress {
    total: u64,
    pace: Duration,
    start: Instant,
    taken: AtomicU64,
    bar: ProgressBar,
}

impl Progress {
    /// So many in all, at most so many a second.
    pub fn new(total: u64, per_second: u32) -> Self {
        let bar = ProgressBar::new(total);
        let style = ProgressStyle::with_template("  {bar:40.cyan/dim} {human_pos} of {human_len}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━─"));
        let pace = Duration::from_secs(1) / per_second;
        Self { total, pace, start: Instant::now(), taken: AtomicU64::new(0), bar }
    }

    /// The next one's number, once its time has come.
    fn next(&self) -> Option<u64> {
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        if number >= self.total || stop::asked() {
            return None;
        }
        sleep((self.start + self.pace * number as u32).saturating_duration_since(Instant::now()));
        Some(number)
    }

    /// Waits until a part of all is done.
    pub fn reach(&self, percent: u64) -> Result<()> {
        while self.bar.position() * 100 < self.total * percent {
            stop::check()?;
            sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// How many are done.
    pub fn done(&self) -> u64 {
        self.bar.position()
    }

    /// Prints a line above the bar.
    pub fn say(&self, line: &str) {
        self.bar.suspend(|| say!("{line}"));
    }

    fn abandon(&self) {
        self.taken.store(self.total, Ordering::Relaxed);
    }
}

/// HTTP requests, each on a connection of its own, over all ways in turn; `meanwhile` runs beside them.
pub fn http(clients: &[Host], progress: &Progress, meanwhile: impl FnOnce() -> Result<()>) -> Result<Tally> {
    let worker = || {
        let mut tally = Tally::default();
        while let Some(number) = progress.next() {
            let way = Way::ALL[number as usize % Way::ALL.len()];
            match Http::open(way.http()).and_then(|mut http| http.get()) {
                Ok(answer) => {
                    *tally.targets.entry(answer.target).or_default() += 1;
                    (if way.preserving { &mut tally.preserved } else { &mut tally.translated }).insert(answer.seen);
                }
                Err(error) => tally.failed.push(format!("{}: {error}", way.http())),
            }
            progress.bar.inc(1);
        }
        Ok(tally)
    };
    everywhere(clients, progress, worker, meanwhile)
}

/// UDP datagrams, each answered before the next of its flow.
pub fn udp(clients: &[Host], progress: &Progress) -> Result<Tally> {
    let worker = || {
        // Over IPv4: load balancers with IPv6 addresses serve TCP only, as the reference's do.
        let vip = SocketAddr::new(scene::address(Way::ALL[0]), scene::ECHO);
        let flows = (0..FLOWS).map(|_| UdpClient::open_here(vip));
        let flows = flows.collect::<Result<Vec<_>>>()?;
        let (mut targets, mut tally) = (vec![None; FLOWS], Tally::default());
        let mut turn = (0..FLOWS).cycle();
        while let (Some(number), Some(flow)) = (progress.next(), turn.next()) {
            match flows[flow].ask(&format!("datagram {number}")) {
                Ok(talk) => {
                    if *targets[flow].get_or_insert_with(|| talk.target.clone()) != talk.target {
                        tally.failed.push(format!("a flow went to another target, {}", talk.target));
                    }
                    tally.preserved.insert(talk.seen.ip());
                    *tally.targets.entry(talk.target).or_default() += 1;
                }
                Err(error) => tally.failed.push(format!("datagram {number}: {error}")),
            }
            progress.bar.inc(1);
        }
        targets.into_iter().flatten().for_each(|target| *tally.flows.entry(target).or_default() += 1);
        Ok(tally)
    };
    everywhere(clients, progress, worker, || Ok(()))
}

/// Runs a worker in several threads of each client, and sums up.
fn everywhere(
    clients: &[Host],
    progress: &Progress,
    worker: impl Fn() -> Result<Tally> + Sync,
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<Tally> {
    let tally = thread::scope(|scope| {
        let threads = clients.iter().flat_map(|client| (0..THREADS).map(move |_| client)).map(|client| {
            let worker = &worker;
            scope.spawn(move || client.ns.enter().and_then(|()| worker()))
        });
        let threads: Vec<_> = threads.collect();
        let beside = meanwhile().inspect_err(|_| progress.abandon());
        let mut sum = Tally::default();
        for thread in threads {
            sum.add(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        beside.map(|()| sum)
    });
    progress.bar.finish_and_clear();
    stop::check()?;
    tally
}

/// What a target says.
pub struct Answer {
    /// Its name.
    pub target: String,
    /// The client's address, as it sees it.
    pub seen: IpAddr,
}

/// An HTTP connection.
pub struct Http(BufReader<TcpStream>);

impl Http {
    /// Connects from the calling thread's namespace.
    pub fn open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::with_capacity(1024, stream)))
    }

    /// One request; the connection stays open.
    pub fn get(&mut self) -> io::Result<Answer> {
        self.0.get_mut().write_all(b"GET / HTTP/1.1\r\nHost: demo\r\n\r\n")?;
        let (mut line, mut length) = (String::new(), 0);
        loop {
            line.clear();
            if self.0.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if line.trim_end().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        parse(&String::from_utf8_lossy(&body)).ok_or_else(|| io::Error::other("an answer that no target gives"))
    }
}

/// `NAME CLIENT-ADDRESS`.
fn parse(body: &str) -> Option<Answer> {
    let (target, seen) = body.trim().split_once(' ')?;
    Some(Answer { target: target.to_owned(), seen: seen.parse().ok()? })
}
