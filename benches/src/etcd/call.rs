//! gRPC's unary calls over HTTP/2: a message there, a message back, and a status in the trailers.

use anyhow::{Context, bail, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use h2::client::{self, SendRequest};
use http::{HeaderMap, Request};
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// Bytes that a gRPC message has before it: whether it is compressed, and its length in four bytes, the highest first.
const PREFIX: usize = 5;

/// A connection to a server, which takes many calls at once.
#[derive(Clone)]
pub(super) struct Channel {
    address: SocketAddr,
    requests: SendRequest<Bytes>,
}

impl Channel {
    pub(super) async fn connect(address: SocketAddr) -> anyhow::Result<Channel> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (requests, connection) = client::handshake(stream).await?;
        // It ends with the last channel that can make requests, or with the server; calls hear of that.
        tokio::spawn(connection);
        Ok(Channel { address, requests })
    }

    /// Calls `path` with a message, and gives the answer's message.
    pub(super) async fn call(&self, path: &str, message: &[u8]) -> anyhow::Result<Bytes> {
        self.exchange(path, message)
            .await
            .with_context(|| format!("{path} at {}", self.address))
    }

    async fn exchange(&self, path: &str, message: &[u8]) -> anyhow::Result<Bytes> {
        let mut requests = self.requests.clone().ready().await?;
        let request = Request::post(format!("http://{}{path}", self.address))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        let (response, mut sending) = requests.send_request(request, false)?;
        sending.send_data(framed(message)?, true)?;
        let (head, mut body) = response.await?.into_parts();
        ensure!(head.status.is_success(), "HTTP status {}", head.status);
        let mut answer = BytesMut::new();
        while let Some(chunk) = body.data().await {
            let chunk = chunk?;
            body.flow_control().release_capacity(chunk.len())?;
            answer.extend_from_slice(&chunk);
        }
        // A call that fails at once has its status in the only headers that there are.
        check(&body.trailers().await?.unwrap_or(head.headers))?;
        unframed(answer.freeze())
    }
}

fn framed(message: &[u8]) -> anyhow::Result<Bytes> {
    let mut frame = BytesMut::with_capacity(PREFIX + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).context("the message is too long")?);
    frame.put_slice(message);
    Ok(frame.freeze())
}

fn unframed(frame: Bytes) -> anyhow::Result<Bytes> {
    match frame.split_first_chunk::<PREFIX>() {
        Some(([0, length @ ..], message)) if u32::from_be_bytes(*length) as usize == message.len() => {
            Ok(frame.slice(PREFIX..))
        }
        _ => bail!(
            "the answer is not one message without compression: {} bytes",
            frame.len()
        ),
    }
}

fn check(trailers: &HeaderMap) -> anyhow::Result<()> {
    let text = |name| {
        trailers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("none")
    };
    let status = text("grpc-status");
    ensure!(status == "0", "grpc-status {status}: {}", text("grpc-message"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_holds_its_message() -> anyhow::Result<()> {
        assert_eq!(framed(b"abc")?, &b"\0\0\0\0\x03abc"[..]);
        assert_eq!(unframed(framed(&[7; 1024])?)?, [7; 1024][..]);
        Ok(())
    }

    #[test]
    fn what_is_not_one_plain_message_is_refused() {
        for bad in [
            &b""[..],
            b"\0\0\0\0",
            b"\0\0\0\0\x01",
            b"\x01\0\0\0\x01a",
            b"\0\0\0\0\x01ab",
        ] {
            assert!(unframed(Bytes::copy_from_slice(bad)).is_err(), "{bad:02x?}");
        }
    }

    #[test]
    fn only_status_zero_is_good() {
        let mut trailers = HeaderMap::new();
        assert!(check(&trailers).is_err());
        trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
        assert!(check(&trailers).is_ok());
        trailers.insert("grpc-status", http::HeaderValue::from_static("14"));
        assert!(check(&trailers).is_err());
    }
}
