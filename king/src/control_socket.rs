//! The operator's socket of a running member, `.urb/seguro.sock`: a JSON object a line each way.
//!
//! Requests: `{"ask":"status"}`, `{"ask":"save"}` and `{"ask":"roll","keep":2}`. Whoever may write to the pier's directory may ask (mode 0600).

use crate::{
    limits,
    pier::{PierHandle, PierStatus},
    unix_socket,
};
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt},
    net::UnixListener,
    sync::Semaphore,
    time::timeout,
};

/// The socket's name below `.urb`.
const NAME: &str = "seguro.sock";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ask")]
enum Request {
    Status,
    Save,
    Roll { keep: usize },
}

impl Request {
    /// How long its answer may take.
    fn patience(&self) -> Duration {
        match self {
            Request::Status | Request::Save => limits::CONTROL_PATIENCE,
            Request::Roll { .. } => limits::CONTROL_ROLL_PATIENCE,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer {
    Status(Box<PierStatus>),
    Done,
    Rolled(u64),
    Error(String),
}

/// A socket that is served until it is ended.
pub struct ControlSocket {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl ControlSocket {
    /// Stops serving, and removes the socket.
    pub fn end(self) {
        self.task.abort();
        let _ = fs::remove_file(&self.path);
    }
}

/// Serves the operator's socket of `pier`.
///
/// # Errors
/// When the socket cannot be made.
pub fn serve(pier: &Path, handle: PierHandle) -> anyhow::Result<ControlSocket> {
    let path = pier.join(".urb").join(NAME);
    let listener = unix_socket::listen(&path)
        .and_then(UnixListener::from_std)
        .with_context(|| format!("the control socket {}", path.display()))?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))
        .with_context(|| format!("the control socket {}", path.display()))?;
    let places = Arc::new(Semaphore::new(limits::CONTROL_CONNECTIONS));
    let task = tokio::spawn(async move {
        loop {
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                continue;
            };
            let handle = handle.clone();
            tokio::spawn(async move {
                let _ = converse(stream, handle).await;
                drop(place);
            });
        }
    });
    Ok(ControlSocket { path, task })
}

async fn converse(stream: tokio::net::UnixStream, handle: PierHandle) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = tokio::io::BufReader::new(read.take(limits::CONTROL_BYTES)).lines();
    while let Some(line) = timeout(limits::CONTROL_PATIENCE, lines.next_line()).await?? {
        let answer = match serde_json::from_str(&line) {
            Ok(Request::Status) => match timeout(limits::CONTROL_PATIENCE, handle.status()).await? {
                Some(status) => Answer::Status(Box::new(status)),
                None => Answer::Error("the pier is leaving".to_owned()),
            },
            Ok(Request::Save) => {
                timeout(limits::CONTROL_PATIENCE, handle.save()).await?;
                Answer::Done
            }
            Ok(Request::Roll { keep }) => {
                match timeout(limits::CONTROL_ROLL_PATIENCE, handle.roll(keep)).await? {
                    Ok(event) => Answer::Rolled(event.0),
                    Err(error) => Answer::Error(error),
                }
            }
            Err(error) => Answer::Error(format!("not a request: {error}")),
        };
        let mut text = serde_json::to_vec(&answer)?;
        text.push(b'\n');
        timeout(limits::CONTROL_PATIENCE, write.write_all(&text)).await??;
    }
    Ok(())
}

/// Whether a member runs on `pier`, as far as its control socket tells.
#[must_use]
pub fn is_served(pier: &Path) -> bool {
    unix_socket::connect(&pier.join(".urb").join(NAME)).is_ok()
}

/// Asks the member that runs on `pier` how it stands.
///
/// # Errors
/// When no member runs there, or it does not answer.
pub fn ask_status(pier: &Path) -> anyhow::Result<PierStatus> {
    match ask(pier, &Request::Status)? {
        Answer::Status(status) => Ok(*status),
        Answer::Error(error) => bail!("the member on {}: {error}", pier.display()),
        Answer::Done | Answer::Rolled(_) => bail!("the member on {} answered something else", pier.display()),
    }
}

/// Asks the member that runs on `pier` for a snapshot as soon as it may be.
///
/// # Errors
/// When no member runs there, or it does not answer.
pub fn ask_save(pier: &Path) -> anyhow::Result<()> {
    match ask(pier, &Request::Save)? {
        Answer::Error(error) => bail!("the member on {}: {error}", pier.display()),
        _ => Ok(()),
    }
}

/// Asks the member that runs on `pier` for a new epoch, and that only the newest `keep` epochs stay; the new epoch's
/// number.
///
/// # Errors
/// When no member runs there, or it has no new epoch to make.
pub fn ask_roll(pier: &Path, keep: usize) -> anyhow::Result<u64> {
    match ask(pier, &Request::Roll { keep })? {
        Answer::Rolled(event) => Ok(event),
        Answer::Error(error) => bail!("the member on {}: {error}", pier.display()),
        _ => bail!("the member on {} answered something else", pier.display()),
    }
}

fn ask(pier: &Path, request: &Request) -> anyhow::Result<Answer> {
    let path = pier.join(".urb").join(NAME);
    let nobody = || {
        format!(
            "no member runs on {} (its control socket {} does not answer)",
            pier.display(),
            path.display()
        )
    };
    let mut stream = unix_socket::connect(&path).with_context(nobody)?;
    stream.set_read_timeout(Some(request.patience()))?;
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    stream.write_all(&text).with_context(nobody)?;
    let mut line = String::new();
    BufReader::new(stream.take(limits::CONTROL_ANSWER_BYTES))
        .read_line(&mut line)
        .with_context(nobody)?;
    serde_json::from_str(&line).with_context(|| {
        format!(
            "the member on {} gave an answer that this program does not understand",
            pier.display()
        )
    })
}

/// Reads bytes as lines that come over the socket, in either direction, for a fuzzer.
///
/// # Panics
/// When what was read is not what is written.
pub(crate) fn fuzz(bytes: &[u8]) {
    fn same<T: Serialize + DeserializeOwned>(line: &str) {
        let Ok(read) = serde_json::from_str::<T>(line) else {
            return;
        };
        let written = serde_json::to_value(&read).unwrap_or_default();
        assert!(!written.is_null(), "what was read can be written");
        let again =
            serde_json::from_value::<T>(written.clone()).map(|again| serde_json::to_value(again).ok());
        assert_eq!(again.ok().flatten(), Some(written), "and read again is the same");
    }
    for line in String::from_utf8_lossy(bytes).lines() {
        same::<Request>(line);
        same::<Answer>(line);
    }
}
