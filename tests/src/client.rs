//! Clients: what they were told, by whom, and whether it was what was sent.

mod load;

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};

use crate::{netns::Netns, topology::Host};

pub use load::Load;

/// How long anything may take that should take milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes that tell their position: one block of noise, of a prime length, again and again. A lost, doubled or moved
/// piece shows, and comparing costs no more than `memcmp`.
pub struct Pattern {
    block: Vec<u8>,
    at: usize,
}

impl Default for Pattern {
    fn default() -> Self {
        Self::new()
    }
}

impl Pattern {
    /// From the beginning.
    pub fn new() -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let noise = || {
            // Xorshift (Marsaglia 2003).
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        };
        Self { block: std::iter::repeat_with(noise).take(65_521).collect(), at: 0 }
    }

    /// The next bytes, at most `limit` of them.
    fn next(&mut self, limit: usize) -> &[u8] {
        let from = self.at;
        let to = self.block.len().min(from.saturating_add(limit));
        self.at = to % self.block.len();
        &self.block[from..to]
    }

    /// Writes the next `bytes` bytes.
    pub fn send(&mut self, writer: &mut impl Write, mut bytes: u64) -> std::io::Result<()> {
        while bytes > 0 {
            let piece = self.next(bytes as usize);
            writer.write_all(piece)?;
            bytes -= piece.len() as u64;
        }
        Ok(())
    }

    /// Reads as many bytes and compares: `same`, or `differs at BYTE`.
    pub fn compare(&mut self, reader: &mut impl Read, bytes: u64) -> std::io::Result<String> {
        let (mut buffer, mut done, mut difference) = (vec![0; 64 * 1024], 0_u64, None);
        while done < bytes {
            let limit = buffer.len().min((bytes - done) as usize);
            let got = reader.read(&mut buffer[..limit])?;
            if got == 0 {
                return Err(std::io::Error::new(ErrorKind::UnexpectedEof, format!("ended after {done} bytes")));
            }
            let mut read = &buffer[..got];
            while !read.is_empty() {
                let expected = self.next(read.len());
                let (now, rest) = read.split_at(expected.len());
                if now != expected && difference.is_none() {
                    let at = now.iter().zip(expected).position(|(a, b)| a != b).unwrap_or(0);
                    difference = Some(done + at as u64);
                }
                done += now.len() as u64;
                read = rest;
            }
        }
        Ok(difference.map_or_else(|| "same".to_owned(), |at| format!("differs at {at}")))
    }
}

/// What a target says of itself and of the peer it sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Talk {
    /// The target's name.
    pub target: String,
    /// The client's address, as the target sees it.
    pub seen: SocketAddr,
}

impl Talk {
    /// From `NAME PEER`; what follows does not matter.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        Some(Self { target: words.next()?.to_owned(), seen: words.next()?.parse().ok()? })
    }
}

/// A TCP connection to a [`crate::server::TcpServer`] that has said its greeting.
#[derive(Debug)]
pub struct Connection {
    /// The socket.
    pub stream: TcpStream,
    /// Who answered.
    pub talk: Talk,
}

impl Connection {
    /// Connects from a host.
    pub fn open(from: &Host, to: SocketAddr) -> Result<Self> {
        from.ns.run(|| Self::open_here(to)).with_context(|| format!("from {} to {to}", from.name))
    }

    /// Connects from the calling thread's namespace.
    pub fn open_here(to: SocketAddr) -> Result<Self> {
        let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let line = read_line(&mut stream)?;
        let talk = Talk::parse(&line).with_context(|| format!("unknown greeting {line:?}"))?;
        Ok(Self { stream, talk })
    }

    /// Sends a line and returns the one that comes back.
    pub fn ask(&mut self, line: &str) -> std::io::Result<String> {
        self.stream.write_all(format!("{line}\n").as_bytes())?;
        read_line(&mut self.stream)
    }

    /// Sends a line that is not answered now.
    pub fn say(&mut self, line: &str) -> std::io::Result<()> {
        self.stream.write_all(format!("{line}\n").as_bytes())
    }

    /// Reads one line.
    pub fn hear(&mut self) -> std::io::Result<String> {
        read_line(&mut self.stream)
    }

    /// Fetches `bytes` bytes and checks each.
    pub fn download(&mut self, bytes: u64) -> Result<()> {
        self.say(&format!("download {bytes}"))?;
        let result = Pattern::new().compare(&mut self.stream, bytes)?;
        ensure!(result == "same", "download {result}");
        Ok(())
    }

    /// Sends `bytes` bytes and has the target check each.
    pub fn upload(&mut self, bytes: u64) -> Result<()> {
        self.say(&format!("upload {bytes}"))?;
        Pattern::new().send(&mut self.stream, bytes)?;
        let result = self.hear()?;
        ensure!(result == "same", "upload {result}");
        Ok(())
    }
}

/// Reads a line byte by byte, so that nothing behind it is taken, without its end.
fn read_line(stream: &mut impl Read) -> std::io::Result<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    loop {
        stream.read_exact(&mut byte)?;
        if byte[0] == b'\n' {
            return Ok(String::from_utf8_lossy(&line).into_owned());
        }
        line.push(byte[0]);
    }
}

/// An answer over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// Status code.
    pub status: u16,
    /// Body.
    pub body: String,
}

/// One HTTP request on a connection of its own, from the calling thread's namespace.
pub fn http_get_here(to: SocketAddr) -> Result<HttpResponse> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("cut short: {text:?}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(HttpResponse { status: status.with_context(|| format!("no status: {head:?}"))?, body: body.to_owned() })
}

/// One HTTP request on a connection of its own.
pub fn http_get(from: &Host, to: SocketAddr) -> Result<HttpResponse> {
    from.ns.run(|| http_get_here(to))
}

/// A UDP socket that talks to a [`crate::server::UdpServer`]: one flow.
#[derive(Debug)]
pub struct UdpClient(pub UdpSocket);

impl UdpClient {
    /// A flow from a host.
    pub fn open(from: &Host, to: SocketAddr) -> Result<Self> {
        from.ns.run(|| Self::open_here(to))
    }

    /// A flow from the calling thread's namespace.
    pub fn open_here(to: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        Ok(Self(socket))
    }

    /// Sends a datagram and returns who answered; the answer must hold what was sent.
    pub fn ask(&self, payload: &str) -> Result<Talk> {
        self.0.send(payload.as_bytes())?;
        let mut buffer = [0; 65536];
        let len = self.0.recv(&mut buffer)?;
        let answer = String::from_utf8_lossy(&buffer[..len]);
        ensure!(answer.ends_with(payload), "sent {payload:?}, got {answer:?}");
        Talk::parse(&answer).with_context(|| format!("unknown answer {answer:?}"))
    }
}

/// How many connections each target got.
pub type Spread = BTreeMap<String, u64>;

/// Opens `count` connections from a host, `parallel` at a time, each closed after it has heard who answers.
pub fn spread(from: &Host, to: SocketAddr, count: usize, parallel: usize) -> Result<Spread> {
    many(&from.ns, count, parallel, || Ok(Connection::open_here(to)?.talk.target))
}

/// Does `work` `count` times in a namespace, `parallel` times at once, and counts its results. The first error ends it.
pub fn many(ns: &Netns, count: usize, parallel: usize, work: impl Fn() -> Result<String> + Sync) -> Result<Spread> {
    let next = AtomicU64::new(0);
    let worker = || -> Result<Spread> {
        ns.enter()?;
        let mut spread = Spread::new();
        while next.fetch_add(1, Ordering::Relaxed) < count as u64 {
            match work() {
                Ok(result) => *spread.entry(result).or_default() += 1,
                Err(error) => {
                    next.store(count as u64, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        Ok(spread)
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..parallel).map(|_| scope.spawn(worker)).collect();
        let mut sum = Spread::new();
        for worker in workers {
            for (target, count) in worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))? {
                *sum.entry(target).or_default() += count;
            }
        }
        Ok(sum)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_tells_what_is_missing() {
        let mut sent = Vec::new();
        Pattern::new().send(&mut sent, 200_000).unwrap();
        let compare = |bytes: &[u8]| Pattern::new().compare(&mut &bytes[..], bytes.len() as u64).unwrap();
        assert_eq!(compare(&sent), "same");
        sent.remove(150_000);
        let differs = compare(&sent);
        let at: usize = differs.strip_prefix("differs at ").unwrap().parse().unwrap();
        assert!((150_000..150_010).contains(&at), "{differs}");
        assert!(Pattern::new().compare(&mut &sent[..], 1_000_000).is_err());
    }
}
