//! A connection between two members: its first words, then messages both ways.

use crate::{
    net::{
        frame::{Decoder, Encoder, FrameError, Message},
        limits::{HANDSHAKE_PATIENCE, MAX_SMALL_MESSAGE},
        stream::{ReadHalf, Stream, WriteHalf},
        wire::{self, Hello, PREFACE, Refusal, Welcome, WireError, kind},
    },
    types::MemberId,
};
use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout},
};

/// Why a conversation ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The system says so.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The other side closed it.
    #[error("the other side closed the connection")]
    Closed,
    /// It does not speak our protocol.
    #[error("what answers there is no member: its first bytes are {0:02x?}")]
    Stranger([u8; 8]),
    /// Bytes that are no frame.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// A message that does not belong there.
    #[error("{0}")]
    Wire(#[from] WireError),
    /// The other side will not talk to us.
    #[error("it refused: {0}")]
    Refused(Refusal),
    /// Nothing came for too long.
    #[error("it has been silent for {} ms", .0.as_millis())]
    Silent(Duration),
    /// The peer's log has lost what it said it had.
    #[error("{0}")]
    Reverted(String),
}

impl LinkError {
    /// Whether this is an ordinary end, not worth a warning.
    pub(crate) fn is_quiet(&self) -> bool {
        match self {
            LinkError::Closed => true,
            LinkError::Io(error) => matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted
            ),
            _ => false,
        }
    }
}

/// The half that hears.
#[derive(Debug)]
pub(crate) struct Reader {
    half: ReadHalf,
    decoder: Decoder,
    heard: Instant,
}

/// The half that speaks.
#[derive(Debug)]
pub(crate) struct Writer {
    half: WriteHalf,
    /// Where messages are added; [`flush`](Self::flush) sends them.
    pub(crate) encoder: Encoder,
}

/// Both halves.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Hears.
    pub(crate) reader: Reader,
    /// Speaks.
    pub(crate) writer: Writer,
}

impl Reader {
    /// The next message; None when the other side closed the connection between two messages. Loses nothing when it is not
    /// polled to the end.
    pub(crate) fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, LinkError>> {
        loop {
            if let Some(message) = self.decoder.next()? {
                return Poll::Ready(Ok(Some(message)));
            }
            if ready!(self.poll_read(cx))? == 0 {
                return Poll::Ready(if self.decoder.is_clean() {
                    Ok(None)
                } else {
                    Err(LinkError::Closed)
                });
            }
            self.heard = Instant::now();
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // The future holds no state of its own: polling a new one each time loses nothing.
        pin!(self.half.read_buf(self.decoder.buffer())).poll(cx)
    }

    /// The next message.
    pub(crate) async fn message(&mut self) -> Result<Message, LinkError> {
        poll_fn(|cx| self.poll_message(cx))
            .await?
            .ok_or(LinkError::Closed)
    }

    /// When something last came.
    pub(crate) fn heard(&self) -> Instant {
        self.heard
    }

    /// Forgets how long it was quiet, while nothing was due.
    pub(crate) fn expect_from_now(&mut self) {
        self.heard = Instant::now();
    }

    /// Takes larger messages from now on.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.decoder.set_limit(limit);
    }
}

impl Writer {
    /// Sends what waits. Loses nothing when it is not polled to the end.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        loop {
            let bytes = self.encoder.ready();
            if bytes.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let count = ready!(Pin::new(&mut self.half).poll_write(cx, bytes))?;
            if count == 0 {
                return Poll::Ready(Err(LinkError::Closed));
            }
            self.encoder.sent(count);
        }
    }

    /// Sends what waits.
    pub(crate) async fn flush(&mut self) -> Result<(), LinkError> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }
}

impl Connection {
    fn new(reader: ReadHalf, writer: WriteHalf) -> Connection {
        Connection {
            reader: Reader {
                half: reader,
                decoder: Decoder::new(MAX_SMALL_MESSAGE),
                heard: Instant::now(),
            },
            writer: Writer {
                half: writer,
                encoder: Encoder::default(),
            },
        }
    }

    /// Dials `address`, says `hello`, and hears that it is welcome.
    pub(crate) async fn dial(address: SocketAddr, hello: &Hello) -> Result<Connection, LinkError> {
        let talk = async {
            let (mut reader, mut writer) = Stream::dial(address).await?.into_halves()?;
            writer.write_all(&PREFACE).await?;
            read_preface(&mut reader).await?.map_err(LinkError::Refused)?;
            let mut connection = Connection::new(reader, writer);
            wire::push(&mut connection.writer.encoder, kind::HELLO, hello);
            connection.writer.flush().await?;
            let message = connection.reader.message().await?;
            if message.kind == kind::REFUSAL {
                return Err(LinkError::Refused(wire::read(
                    &message,
                    kind::REFUSAL,
                    "a refusal",
                )?));
            }
            let welcome: Welcome = wire::read(&message, kind::WELCOME, "a welcome")?;
            match hello.to {
                Some(to) if to != welcome.from => Err(LinkError::Refused(Refusal::NotMe(welcome.from))),
                _ => Ok(connection),
            }
        };
        timeout(HANDSHAKE_PATIENCE, talk)
            .await
            .map_err(|_| LinkError::Silent(HANDSHAKE_PATIENCE))?
    }

    /// Hears what the dialer wants. It must be answered by [`welcome`](Self::welcome) or [`refuse`](Self::refuse).
    pub(crate) async fn accept(stream: Stream) -> Result<(Connection, Hello), LinkError> {
        let talk = async {
            let (mut reader, mut writer) = stream.into_halves()?;
            let heard = read_preface(&mut reader).await;
            // Said in any case but to a stranger: a member of another version shall know why.
            if !matches!(heard, Err(LinkError::Stranger(_))) {
                writer.write_all(&PREFACE).await?;
            }
            heard?.map_err(LinkError::Refused)?;
            let mut connection = Connection::new(reader, writer);
            let message = connection.reader.message().await?;
            let hello = wire::read(&message, kind::HELLO, "a hello")?;
            Ok((connection, hello))
        };
        timeout(HANDSHAKE_PATIENCE, talk)
            .await
            .map_err(|_| LinkError::Silent(HANDSHAKE_PATIENCE))?
    }

    /// Goes on with the conversation.
    pub(crate) async fn welcome(&mut self, from: MemberId) -> Result<(), LinkError> {
        wire::push(&mut self.writer.encoder, kind::WELCOME, &Welcome { from });
        self.writer.flush().await
    }

    /// Says why there will be none.
    pub(crate) async fn refuse(mut self, refusal: &Refusal) -> Result<(), LinkError> {
        wire::push(&mut self.writer.encoder, kind::REFUSAL, refusal);
        self.writer.flush().await
    }
}

/// Reads the other side's preface: ours, another version's, or no member's.
async fn read_preface(stream: &mut ReadHalf) -> Result<Result<(), Refusal>, LinkError> {
    let mut heard = [0; 8];
    stream
        .read_exact(&mut heard)
        .await
        .map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => LinkError::Closed,
            _ => LinkError::Io(error),
        })?;
    let [name @ .., low, high] = heard;
    if name != PREFACE[..6] {
        return Err(LinkError::Stranger(heard));
    }
    let version = u16::from_le_bytes([low, high]);
    Ok(if version == wire::VERSION {
        Ok(())
    } else {
        Err(Refusal::Version(version))
    })
}
