//! TLS: the ship's key and certificates, and the beginning of a connection.

use serf_ipc::Noun;
use std::{future::poll_fn, io, pin::pin, sync::Arc, task::Poll};
use tokio::{net::TcpStream, sync::Mutex};
use tokio_rustls::{
    LazyConfigAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
        server::Acceptor,
        sign::{CertifiedKey, SingleCertAndKey},
    },
    server::TlsStream,
};

/// HTTP/2, as ALPN calls it (RFC 7301).
pub(crate) const HTTP2: &[u8] = b"h2";
/// HTTP/1.1.
const HTTP1: &[u8] = b"http/1.1";

/// Why the ship's key and certificates do not serve: one cause of the C king's two lines, and the reason.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// The key, by itself.
    #[error("http: load private key failed: {0}")]
    Key(Reason),
    /// The certificates, or the first of them beside the key.
    #[error("http: load certificate failed: {0}")]
    Certificate(Reason),
}

/// What is wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Reason {
    /// It is no list of lines.
    #[error("not a list of lines of text")]
    Lines,
    /// There is none in the text, or it is broken.
    #[error("{0}")]
    Pem(pem::Error),
    /// It is of a kind that is not taken: RSA below 2048 bits, say.
    #[error("{0}")]
    Tls(#[from] rustls::Error),
}

/// One server's secret, and its turn at using it.
#[derive(Debug)]
pub(crate) struct Tls {
    config: Arc<ServerConfig>,
    turn: Mutex<()>,
}

impl Tls {
    /// Takes a key and a chain of certificates, the ship's own first: PEM, each a list of lines.
    ///
    /// TLS 1.2 and 1.3; the C also takes 1.0 and 1.1, which are not safe (RFC 8996).
    ///
    /// # Errors
    /// When either cannot be used, or the certificate is of another key. (The C takes such a one, and then every
    /// connection fails.)
    pub(crate) fn new(key: &Noun, certificates: &Noun) -> Result<Tls, Unusable> {
        let provider = Arc::new(ring::default_provider());
        let key = lines(key)
            .ok_or(Reason::Lines)
            .and_then(|text| PrivateKeyDer::from_pem_slice(&text).map_err(Reason::Pem))
            .map_err(Unusable::Key)?;
        let key = provider
            .key_provider
            .load_private_key(key)
            .map_err(|error| Unusable::Key(error.into()))?;
        let chain = chain(certificates).map_err(Unusable::Certificate)?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            // Whether it matches cannot always be told beforehand.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(error) => return Err(Unusable::Certificate(error.into())),
        }
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Unusable::Key(error.into()))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        Ok(Tls {
            config: Arc::new(config),
            turn: Mutex::new(()),
        })
    }

    /// Begins a connection.
    ///
    /// # Errors
    /// When the client is gone, or speaks otherwise; it was told.
    pub(crate) async fn accept(&self, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), tcp).await?;
        let mut rest = pin!(hello.into_stream(Arc::clone(&self.config)));
        // To sign takes up to a few milliseconds of the runtime's only thread. Clients that come in a crowd do it one
        // after the other, and between any two everybody else has a turn: no crowd delays a timer by more than one.
        let signed = {
            let _turn = self.turn.lock().await;
            let signed = poll_fn(|cx| Poll::Ready(rest.as_mut().poll(cx))).await;
            tokio::task::yield_now().await;
            signed
        };
        match signed {
            Poll::Ready(done) => done,
            Poll::Pending => rest.await,
        }
    }
}

/// The certificates in a list of lines: the first must be there, and the others end with the first broken one, as in
/// the C.
fn chain(certificates: &Noun) -> Result<Vec<CertificateDer<'static>>, Reason> {
    let text = lines(certificates).ok_or(Reason::Lines)?;
    let mut found = CertificateDer::pem_slice_iter(&text);
    let first = found
        .next()
        .unwrap_or(Err(pem::Error::NoItemsFound))
        .map_err(Reason::Pem)?;
    Ok(std::iter::once(first)
        .chain(found.map_while(Result::ok))
        .collect())
}

/// The text of a `wain`.
fn lines(wain: &Noun) -> Option<Vec<u8>> {
    let lines = wain
        .iter_list()
        .map(|line| line.ok()?.atom_bytes())
        .collect::<Option<Vec<_>>>()?;
    Some(lines.join(&b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::http::tests::tls::{CERTIFICATES, KEY, OTHER_KEY, wain};

    fn refusal(key: &Noun, certificates: &Noun) -> String {
        Tls::new(key, certificates).unwrap_err().to_string()
    }

    #[test]
    fn a_key_and_its_chain_are_taken() {
        Tls::new(&wain(KEY), &wain(CERTIFICATES)).unwrap();
        assert_eq!(chain(&wain(CERTIFICATES)).unwrap().len(), 2);
        let broken = CERTIFICATES.replacen(
            "-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\n",
            "-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\n?",
            1,
        );
        assert_ne!(broken, CERTIFICATES);
        assert_eq!(chain(&wain(&broken)).unwrap().len(), 1);
    }

    #[test]
    fn what_does_not_serve_is_named() {
        let (key, certificates) = (wain(KEY), wain(CERTIFICATES));
        let nothing = Noun::ZERO;
        let cases = [
            (
                &certificates,
                &certificates,
                "http: load private key failed: no items found",
            ),
            (
                &nothing,
                &certificates,
                "http: load private key failed: no items found",
            ),
            (&key, &key, "http: load certificate failed: no items found"),
            (&key, &nothing, "http: load certificate failed: no items found"),
            (
                &wain(OTHER_KEY),
                &certificates,
                "http: load certificate failed: keys may not be consistent: KeyMismatch",
            ),
            (
                &Noun::cell(key.clone(), nothing.clone()),
                &certificates,
                "http: load private key failed: not a list of lines of text",
            ),
            (
                &Noun::atom(7),
                &certificates,
                "http: load private key failed: not a list of lines of text",
            ),
        ];
        for (key, certificates, line) in cases {
            assert_eq!(refusal(key, certificates), line);
        }
        let text = KEY.replace("-----BEGIN PRIVATE KEY-----\n", "-----BEGIN PRIVATE KEY-----\n!");
        assert!(refusal(&wain(&text), &certificates).starts_with("http: load private key failed: "));
        let cut = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
        assert!(refusal(&wain(cut), &certificates).starts_with("http: load private key failed: "));
    }
}
