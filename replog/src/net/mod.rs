//! The members' conversations: frames, messages, connections, the listener, and openraft's network on top.

mod appending;
pub(crate) mod connection;
pub(crate) mod detour;
pub(crate) mod frame;
pub(crate) mod join;
pub(crate) mod limits;
pub(crate) mod link;
pub(crate) mod receiving;
pub(crate) mod server;
pub(crate) mod snapshot;
pub(crate) mod stream;
pub(crate) mod wire;

/// Any bytes as what a peer sends: first as a stream, then, since a stream seldom has a right checksum by chance, as the body
/// of every kind of message, and as a log record under a right checksum.
pub(crate) fn fuzz(size: usize, bytes: &[u8]) {
    let whole = fuzz_stream(std::iter::once(bytes));
    assert!(
        whole == fuzz_stream(bytes.chunks(size)),
        "reads of {size} bytes make a difference"
    );
    let Some((kind, body)) = bytes.split_first() else {
        return;
    };
    let body = bytes::Bytes::copy_from_slice(body);
    wire::fuzz(&frame::Message {
        kind: *kind,
        body: body.clone(),
    });
    snapshot::fuzz(&body);
    crate::raft::record::fuzz(&body);
}

/// The messages of a stream and how it ends.
fn fuzz_stream<'a>(
    reads: impl Iterator<Item = &'a [u8]>,
) -> (Vec<frame::Message>, Option<frame::FrameError>) {
    const LIMIT: usize = 1 << 16;
    let mut decoder = frame::Decoder::new(LIMIT);
    let mut messages = Vec::new();
    for read in reads {
        decoder.buffer().extend_from_slice(read);
        loop {
            match decoder.next() {
                Ok(Some(message)) => {
                    assert!(message.body.len() <= LIMIT);
                    messages.push(message);
                }
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, None)
}
