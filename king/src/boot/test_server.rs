//! A web server for tests: what it answers is chosen for each request, be it good or ill.

use super::Fetcher;
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// What a client asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The path, as it was sent.
    pub(crate) path: String,
    /// The head's lines.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// What it gets.
pub(crate) enum Answer {
    /// This, with status 200.
    Good(Vec<u8>),
    /// A status without more.
    Status(u16),
    /// The beginning of a body that is said to be longer by so much; then the connection ends.
    CutShort(Vec<u8>, usize),
    /// The same, but then there is silence.
    Stalls(Vec<u8>, usize),
    /// Nothing, and the connection stays open.
    Silence,
    /// Nothing, and it ends.
    HangUp,
}

/// The server. It ends with this.
pub(crate) struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    over: Arc<AtomicBool>,
}

impl Server {
    /// Starts one that answers so.
    pub(crate) fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let over = Arc::new(AtomicBool::new(false));
        let (log, ended, answer) = (asked.clone(), over.clone(), Arc::new(answer));
        thread::spawn(move || {
            for client in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (log, answer, ended) = (log.clone(), answer.clone(), ended.clone());
                thread::spawn(move || serve(client.unwrap(), &log, answer.as_ref(), &ended));
            }
        });
        Server { port, asked, over }
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // One more connection, so that the thread that accepts sees it.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

/// What fetches in tests: it loses no time.
pub(crate) fn impatient() -> Fetcher {
    Fetcher::new(3, Duration::from_millis(1), Duration::from_millis(500))
}

fn serve(
    mut client: TcpStream,
    log: &Mutex<Vec<Asked>>,
    answer: &(dyn Fn(&Asked) -> Answer + Send + Sync),
    over: &AtomicBool,
) {
    let Some(asked) = read(&mut client) else { return };
    log.lock().unwrap().push(asked.clone());
    let head = |status: u16, length: usize| {
        format!("HTTP/1.1 {status} As Said\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")
            .into_bytes()
    };
    let linger = || {
        while !over.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
    };
    // A client that is gone is its own affair.
    let _ = match answer(&asked) {
        Answer::Good(body) => client.write_all(&[head(200, body.len()), body].concat()),
        Answer::Status(status) => client.write_all(&head(status, 0)),
        Answer::CutShort(body, more) => client.write_all(&[head(200, body.len() + more), body].concat()),
        Answer::Stalls(body, more) => {
            let written = client.write_all(&[head(200, body.len() + more), body].concat());
            linger();
            written
        }
        Answer::Silence => {
            linger();
            Ok(())
        }
        Answer::HangUp => Ok(()),
    };
}

/// A request's head and body.
fn read(client: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let length = client.read(&mut piece).ok().filter(|length| *length > 0)?;
        bytes.extend_from_slice(&piece[..length]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
        let length = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length:")
                    .map(str::to_owned)
            })
            .map_or(0, |length| length.trim().parse::<usize>().unwrap());
        while bytes.len() < end + 4 + length {
            let more = client.read(&mut piece).ok().filter(|length| *length > 0)?;
            bytes.extend_from_slice(&piece[..more]);
        }
        return Some(Asked {
            path: head.split(' ').nth(1)?.to_owned(),
            head,
            body: bytes[end + 4..].to_vec(),
        });
    }
}
