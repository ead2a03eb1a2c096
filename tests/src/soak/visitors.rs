//! Requests by HTTP at a steady rate, on connections that come and go, some of them streams that are left open for a while.

use crate::{PATIENCE, reference_kernel};
use anyhow::{Context, ensure};
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How long an answer may take before the member is taken for gone.
const ANSWER: Duration = Duration::from_secs(3);
/// How soon the next member is tried where none serves.
const SEARCH: Duration = Duration::from_millis(20);
/// Requests on one connection before it goes.
const REQUESTS_PER_CONNECTION: u32 = 7;
/// Connections between two at whose side a stream is opened, which lasts as long as its connection.
const STREAM_EVERY: u32 = 5;
/// The largest head or body that is read.
const ANSWER_BYTES: u64 = 1 << 20;

/// What became of the requests.
#[derive(Debug, Default)]
struct Counts {
    answered: AtomicU64,
    raised: AtomicU64,
    sent_to_raise: AtomicU64,
}

/// Requests under way.
pub(super) struct Visitors {
    ports: Vec<u16>,
    counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Visitors {
    /// Begins so many requests a second on whichever of the ports is served.
    pub(super) fn start(ports: Vec<u16>, per_second: u32) -> Visitors {
        let counts = Arc::<Counts>::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped, all) = (counts.clone(), stop.clone(), ports.clone());
        let thread = std::thread::spawn(move || {
            let every = Duration::from_secs(1) / per_second;
            let (mut at, mut connections) = (0, 0_u32);
            while !stopped.load(Ordering::Relaxed) {
                let Ok(visit) = Visit::connect(all[at]) else {
                    at = (at + 1) % all.len();
                    std::thread::sleep(SEARCH);
                    continue;
                };
                connections += 1;
                let stream = (connections % STREAM_EVERY == 0).then(|| watch(all[at]));
                if stay(visit, every, &shared, &stopped).is_err() {
                    at = (at + 1) % all.len();
                }
                drop(stream);
            }
        });
        Visitors {
            ports,
            counts,
            stop,
            thread,
        }
    }

    /// How many requests were answered so far.
    pub(super) fn answered(&self) -> u64 {
        self.counts.answered.load(Ordering::Relaxed)
    }

    /// Stops, holds the ship's counter against the requests that were to raise it, and says how many were answered.
    pub(super) fn stop(self) -> anyhow::Result<u64> {
        let Visitors {
            ports,
            counts,
            stop,
            thread,
        } = self;
        stop.store(true, Ordering::Relaxed);
        let _ = thread.join();
        let end = Instant::now() + PATIENCE;
        while reference_kernel() {
            let said = ports.iter().find_map(|port| {
                let (status, body) = Visit::connect(*port).ok()?.ask("GET", "/text").ok()?;
                (status == 200).then_some(body)
            });
            if let Some(body) = said {
                let counter = body.lines().find_map(|line| line.strip_prefix("counter "));
                let counter: u64 = counter.context("a page without a counter")?.parse()?;
                let raised = counts.raised.load(Ordering::Relaxed);
                let sent = counts.sent_to_raise.load(Ordering::Relaxed);
                ensure!(
                    (raised..=sent).contains(&counter),
                    "of {sent} requests that raise the counter {raised} were acknowledged, and it is {counter}"
                );
                break;
            }
            ensure!(Instant::now() < end, "no member serves the page");
            std::thread::sleep(SEARCH);
        }
        Ok(counts.answered.load(Ordering::Relaxed))
    }
}

/// Asks again and again on one connection, then leaves it.
fn stay(mut visit: Visit, every: Duration, counts: &Counts, stop: &AtomicBool) -> anyhow::Result<()> {
    let mut due = Instant::now();
    for number in 0..REQUESTS_PER_CONNECTION {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let raises = number % 2 == 0;
        counts
            .sent_to_raise
            .fetch_add(u64::from(raises), Ordering::Relaxed);
        let (status, _) = visit.ask(if raises { "POST" } else { "GET" }, "/text")?;
        // Members that hold no office answer nothing, or 503.
        ensure!(status != 503, "no office here");
        counts.answered.fetch_add(1, Ordering::Relaxed);
        counts
            .raised
            .fetch_add(u64::from(raises && status == 200), Ordering::Relaxed);
        due += every;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

/// A stream that is open until what is returned is dropped. What it says is not read: it is little.
fn watch(port: u16) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    Ok(stream)
}

/// A connection.
struct Visit(BufReader<TcpStream>);

impl Visit {
    fn connect(port: u16) -> io::Result<Visit> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(ANSWER))?;
        Ok(Visit(BufReader::new(stream)))
    }

    /// A request, and its answer: status and body.
    fn ask(&mut self, method: &str, path: &str) -> anyhow::Result<(u16, String)> {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
        self.0.get_mut().write_all(head.as_bytes())?;
        let (mut status, mut length, mut chunked) = (None, None, false);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if status.is_none() {
                status = Some(line.split(' ').nth(1).context("no status")?.parse()?);
            }
            if let Some(text) = line.strip_prefix("content-length:") {
                length = Some(text.trim().parse::<u64>()?);
            }
            chunked |= line
                .strip_prefix("transfer-encoding:")
                .is_some_and(|text| text.trim() == "chunked");
        }
        let mut body = Vec::new();
        if chunked {
            loop {
                let length = u64::from_str_radix(&self.line()?, 16)?;
                self.bytes(length, &mut body)?;
                ensure!(self.line()?.is_empty(), "a chunk that does not end");
                if length == 0 {
                    break;
                }
            }
        } else {
            self.bytes(length.unwrap_or(0), &mut body)?;
        }
        Ok((
            status.context("no status")?,
            String::from_utf8_lossy(&body).into_owned(),
        ))
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        (&mut self.0).take(ANSWER_BYTES).read_line(&mut line)?;
        let line = line
            .strip_suffix("\r\n")
            .context("the connection ended within a line")?;
        Ok(line.to_owned())
    }

    fn bytes(&mut self, length: u64, into: &mut Vec<u8>) -> anyhow::Result<()> {
        ensure!(length <= ANSWER_BYTES, "an answer of {length} bytes");
        let read = (&mut self.0).take(length).read_to_end(into)?;
        ensure!(read as u64 == length, "the connection ended within a body");
        Ok(())
    }
}
