//! One request to one server over a connection of its own: resolve, connect, TLS, send, read (`spec/drivers.md` section 7).

use super::{
    response::{Failure, Reader, Response},
    shapes::Request,
    url::{Host, Url},
};
use crate::limits;
use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    sync::Arc,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    sync::Semaphore,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{IpAddr, ServerName},
    },
};

/// Asks servers. Its bounds are for all requests together.
pub(super) struct Client {
    tls: TlsConnector,
    /// Pages of memory that bodies may still take.
    memory: Arc<Semaphore>,
}

impl Client {
    /// A client that trusts these authorities.
    ///
    /// # Errors
    /// When TLS cannot be had with them.
    pub(super) fn new(roots: RootCertStore) -> anyhow::Result<Client> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Client {
            tls: TlsConnector::from(Arc::new(config)),
            memory: Arc::new(Semaphore::new(limits::IRIS_BYTES / limits::IRIS_PAGE_BYTES)),
        })
    }

    /// A client that trusts the world's usual authorities, which are built in, as in vere.
    ///
    /// # Errors
    /// When TLS cannot be had.
    pub(super) fn trusting_the_usual() -> anyhow::Result<Client> {
        Client::new(RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        })
    }

    /// The response to a request, or why there is none.
    pub(super) async fn ask(&self, url: &Url, request: &Request) -> Result<Response, Failure> {
        let bytes = written(url, request)?;
        let address = within(resolve(url)).await?;
        let connecting = TcpStream::connect(SocketAddrV4::new(address, url.port()));
        let stream = within(async {
            connecting
                .await
                .map_err(|error| Failure::Connect(error.to_string()))
        })
        .await?;
        // A request is written whole, and its answer waited for.
        let _ = stream.set_nodelay(true);
        let reader = Reader::new(request.method == b"HEAD");
        if !url.is_secure {
            return self.exchange(stream, &bytes, reader).await;
        }
        let failed = |why: String| Failure::Tls(why);
        let name = match &url.host {
            Host::Name(name) => {
                ServerName::try_from(name.clone()).map_err(|error| failed(error.to_string()))?
            }
            Host::Address(address) => ServerName::IpAddress(IpAddr::from(std::net::IpAddr::V4(*address))),
        };
        let shaking = self.tls.connect(name, stream);
        let stream = within(async { shaking.await.map_err(|error| failed(error.to_string())) }).await?;
        self.exchange(stream, &bytes, reader).await
    }

    /// Sends and reads at once: a server may answer before it has read everything, and hang up.
    async fn exchange<S: AsyncRead + AsyncWrite>(
        &self,
        stream: S,
        bytes: &[u8],
        mut reader: Reader,
    ) -> Result<Response, Failure> {
        let (mut from, mut to) = tokio::io::split(stream);
        let mut memory = Vec::new();
        let mut buffer = vec![0; limits::IRIS_READ_BYTES];
        let (mut rest, mut is_sending, mut is_unsent) = (bytes, true, false);
        let mut moved = Instant::now();
        while !reader.is_done() {
            tokio::select! {
                sent = send(&mut to, rest), if is_sending => match sent {
                    Ok(Some(count)) => rest = rest.get(count..).unwrap_or_default(),
                    Ok(None) => is_sending = false,
                    // What the server said before it hung up counts.
                    Err(_) => (is_sending, is_unsent) = (false, true),
                },
                count = from.read(&mut buffer) => match count {
                    Ok(count @ 1..) => {
                        reader.take(buffer.get(..count).unwrap_or_default())?;
                        while memory.len() * limits::IRIS_PAGE_BYTES < reader.held() {
                            let page = Arc::clone(&self.memory).try_acquire_owned();
                            memory.push(page.map_err(|_| Failure::TooLarge)?);
                        }
                    }
                    // An error ends a connection as well, as with vere's library; the response says whether it is whole.
                    Ok(0) | Err(_) if is_unsent => return reader.end().map_err(|_| Failure::CutShort("send request")),
                    Ok(0) | Err(_) => return reader.end(),
                },
                () = sleep_until(moved + limits::IRIS_PATIENCE) => return Err(Failure::TimedOut),
            }
            moved = Instant::now();
        }
        reader.end()
    }
}

/// Sends some of it; None when all is sent and on its way.
async fn send(to: &mut (impl AsyncWrite + Unpin), rest: &[u8]) -> io::Result<Option<usize>> {
    if rest.is_empty() {
        to.flush().await?;
        return Ok(None);
    }
    to.write(rest).await.map(Some)
}

async fn within<T>(step: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    timeout(limits::IRIS_PATIENCE, step)
        .await
        .unwrap_or(Err(Failure::TimedOut))
}

/// IPv4 only, as vere.
async fn resolve(url: &Url) -> Result<Ipv4Addr, Failure> {
    let name = match &url.host {
        Host::Address(address) => return Ok(*address),
        Host::Name(name) => name,
    };
    let found = tokio::net::lookup_host((name.as_str(), url.port())).await;
    let mut found = found.map_err(|error| Failure::Resolve(error.to_string()))?;
    let found = found.find_map(|address| match address {
        SocketAddr::V4(address) => Some(*address.ip()),
        SocketAddr::V6(_) => None,
    });
    found.ok_or_else(|| Failure::Resolve("the host has no IPv4 address".to_owned()))
}

/// The request as bytes: the kernel's headers in reverse, as vere sends them. A method or header that would begin a line of its own is not
/// sent, where vere does.
pub(super) fn written(url: &Url, request: &Request) -> Result<Vec<u8>, Failure> {
    let breaks = |text: &[u8]| text.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
    if request.method.is_empty() || !request.method.iter().all(u8::is_ascii_graphic) {
        return Err(Failure::Unsendable("the method is no word"));
    }
    if request
        .headers
        .iter()
        .any(|(name, value)| breaks(name) || breaks(value))
    {
        return Err(Failure::Unsendable("a header has a line's end in it"));
    }
    let body = request.body.as_deref().unwrap_or_default();
    let mut bytes = Vec::with_capacity(body.len() + 1024);
    let mut push = |parts: &[&[u8]]| parts.iter().for_each(|part| bytes.extend_from_slice(part));
    push(&[&request.method, b" ", &url.target, b" HTTP/1.1\r\n"]);
    push(&[b"Host: ", url.authority().as_bytes(), b"\r\n"]);
    for (name, value) in request.headers.iter().rev() {
        push(&[name, b": ", value, b"\r\n"]);
    }
    if request.body.is_some() {
        push(&[b"Content-Length: ", body.len().to_string().as_bytes(), b"\r\n"]);
    }
    push(&[b"\r\n", body]);
    Ok(bytes)
}
