//! Fetching over HTTP and HTTPS what a boot needs: no redirects and no caches, with tries, patience and a limit, as vere does
//! it (`spec/boot.md` sections 2 and 6). Blocks its caller.

use crate::{console, limits};
use std::{
    io::{self, Read},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};
use ureq::{Agent, Body, http::Response};

/// What fetches. Servers are believed that show a certificate of Mozilla's list, which is compiled in, as vere's own is: a
/// machine that has none of its own boots a ship as well. The usual variables (`HTTPS_PROXY` and the like) name a proxy.
#[derive(Clone, Debug)]
pub struct Fetcher {
    agent: Agent,
    tries: u32,
    pause: Duration,
    patience: Duration,
    /// Who says how far it is, on the console.
    speaker: &'static str,
}

/// Why it was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The address is none.
    #[error("{url} is no address to fetch from: {error}; it should be like https://host/path")]
    Address {
        /// The address.
        url: String,
        /// What is wrong with it.
        error: String,
    },
    /// No whole answer.
    #[error(
        "failed to fetch {url}, tried {tries} times: {error}; see whether this machine reaches that address, and try again"
    )]
    Unreachable {
        /// The address.
        url: String,
        /// How often it was tried.
        tries: u32,
        /// What went wrong the last time.
        error: String,
    },
    /// An answer that says no.
    #[error("error fetching {url}: HTTP {status}; see whether the address is right, or try again later")]
    Status {
        /// The address.
        url: String,
        /// The status.
        status: u16,
    },
    /// More than is taken.
    #[error(
        "error fetching {url}: it has more than {most} bytes, which cannot be what was meant; see whether the address is right"
    )]
    TooLarge {
        /// The address.
        url: String,
        /// The limit.
        most: u64,
    },
}

/// What went wrong in one try.
enum Failure {
    /// It will go wrong again.
    Lasting(FetchError),
    /// It may go better.
    Passing(FetchError),
}

impl Default for Fetcher {
    fn default() -> Fetcher {
        Fetcher::new(limits::FETCH_TRIES, limits::FETCH_PAUSE, limits::FETCH_PATIENCE)
    }
}

impl Fetcher {
    /// One that tries so often, waits `pause` more before each further try, and gives up on a server that is silent for
    /// `patience`.
    #[must_use]
    pub fn new(tries: u32, pause: Duration, patience: Duration) -> Fetcher {
        let config = Agent::config_builder()
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_resolve(Some(patience))
            .timeout_connect(Some(patience))
            .timeout_send_request(Some(patience))
            .timeout_send_body(Some(patience))
            .timeout_recv_response(Some(patience))
            .user_agent(concat!("seguro/", env!("CARGO_PKG_VERSION")));
        Fetcher {
            agent: config.build().into(),
            tries: tries.max(1),
            pause,
            patience,
            speaker: "boot",
        }
    }

    /// One whose lines on the console begin with this name instead of `boot`.
    #[must_use]
    pub fn speaking_as(self, speaker: &'static str) -> Fetcher {
        Fetcher { speaker, ..self }
    }

    /// One that tries once.
    #[must_use]
    pub fn once(&self) -> Fetcher {
        Fetcher {
            tries: 1,
            ..self.clone()
        }
    }

    /// What is at an address, `most` bytes at most. Where `what` is named, the console says how far it is.
    ///
    /// # Errors
    /// When it cannot be had.
    pub fn get(&self, url: &str, most: u64, what: Option<&str>) -> Result<Vec<u8>, FetchError> {
        self.tried(url, |agent| {
            let answer = agent.get(url).call().map_err(|error| self.failed(url, &error))?;
            self.body(url, answer, most, what)
        })
    }

    /// The answer to a JSON text.
    ///
    /// # Errors
    /// When there is none.
    pub fn post_json(&self, url: &str, json: &str, most: u64) -> Result<Vec<u8>, FetchError> {
        self.tried(url, |agent| {
            let request = agent
                .post(url)
                .header("Accept", "application/json")
                .header("Content-Type", "application/json")
                .header("charsets", "utf-8");
            let answer = request.send(json).map_err(|error| self.failed(url, &error))?;
            self.body(url, answer, most, None)
        })
    }

    fn tried(
        &self,
        url: &str,
        get: impl Fn(&Agent) -> Result<Vec<u8>, Failure>,
    ) -> Result<Vec<u8>, FetchError> {
        let mut tried = 1;
        loop {
            match get(&self.agent) {
                Ok(bytes) => return Ok(bytes),
                Err(Failure::Passing(error)) if tried < self.tries => {
                    tracing::info!(target: console::TARGET, "{}: {url}: {}; trying again", self.speaker, reason(&error));
                    thread::sleep(self.pause.saturating_mul(tried));
                    tried += 1;
                }
                Err(Failure::Passing(error) | Failure::Lasting(error)) => return Err(error),
            }
        }
    }

    /// No answer came.
    fn failed(&self, url: &str, error: &ureq::Error) -> Failure {
        match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => Failure::Lasting(FetchError::Address {
                url: url.to_owned(),
                error: error.to_string(),
            }),
            error => self.unreachable(url, error.to_string()),
        }
    }

    fn unreachable(&self, url: &str, error: String) -> Failure {
        Failure::Passing(FetchError::Unreachable {
            url: url.to_owned(),
            tries: self.tries,
            error,
        })
    }

    /// Reads a body. A thread of its own waits for the server, so that this one sees when that is silent for too long.
    fn body(
        &self,
        url: &str,
        answer: Response<Body>,
        most: u64,
        what: Option<&str>,
    ) -> Result<Vec<u8>, Failure> {
        let status = answer.status().as_u16();
        if status >= 300 {
            let error = FetchError::Status {
                url: url.to_owned(),
                status,
            };
            return Err(match status {
                408 | 429 | 500.. => Failure::Passing(error),
                _ => Failure::Lasting(error),
            });
        }
        let too_large = || {
            Failure::Lasting(FetchError::TooLarge {
                url: url.to_owned(),
                most,
            })
        };
        let body = answer.into_body();
        let whole = body.content_length();
        if whole.is_some_and(|whole| whole > most) {
            return Err(too_large());
        }
        let (sender, pieces) = mpsc::sync_channel(limits::FETCH_PIECES);
        let read = move || read_pieces(body.into_reader(), &sender);
        thread::Builder::new()
            .name("fetch".to_owned())
            .spawn(read)
            .map_err(|error| self.unreachable(url, error.to_string()))?;
        let mut bytes = Vec::new();
        let mut said = Instant::now();
        loop {
            match pieces.recv_timeout(self.patience) {
                Ok(Ok(piece)) if piece.is_empty() => return Ok(bytes),
                Ok(Ok(piece)) => bytes.extend_from_slice(&piece),
                Ok(Err(error)) => return Err(self.unreachable(url, error.to_string())),
                Err(_) => {
                    let error = format!("the server fell silent after {} bytes", bytes.len());
                    return Err(self.unreachable(url, error));
                }
            }
            if bytes.len() as u64 > most {
                return Err(too_large());
            }
            if let Some(what) = what
                && said.elapsed() >= limits::PROGRESS_EVERY
            {
                said = Instant::now();
                tracing::info!(target: console::TARGET, "{}: {what}: {}", self.speaker, progress(bytes.len() as u64, whole));
            }
        }
    }
}

/// Hands on what is read, and an empty piece at the end; it ends too when nobody takes it any more.
fn read_pieces(mut reader: impl Read, pieces: &mpsc::SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut piece = vec![0; limits::FETCH_READ_BYTES];
        let read = reader.read(&mut piece).map(|length| {
            piece.truncate(length);
            piece
        });
        let ends = read.as_ref().map_or(true, Vec::is_empty);
        if pieces.send(read).is_err() || ends {
            return;
        }
    }
}

/// `12 of 50 MB (24%)`.
fn progress(have: u64, whole: Option<u64>) -> String {
    let megabytes = |bytes: u64| bytes / 1_000_000;
    match whole {
        Some(whole) if whole > 0 => {
            let percent = have.saturating_mul(100) / whole;
            format!("{} of {} MB ({percent}%)", megabytes(have), megabytes(whole))
        }
        _ => format!("{} MB", megabytes(have)),
    }
}

/// What went wrong, without the address and the advice.
fn reason(error: &FetchError) -> String {
    match error {
        FetchError::Unreachable { error, .. } | FetchError::Address { error, .. } => error.clone(),
        FetchError::Status { status, .. } => format!("HTTP {status}"),
        FetchError::TooLarge { most, .. } => format!("more than {most} bytes"),
    }
}
