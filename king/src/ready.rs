//! Telling whoever started this process that the ship is up: systemd's notification protocol, `READY=1` to the datagram
//! socket that `NOTIFY_SOCKET` names.

/// The variable that names the socket.
pub(crate) const SOCKET: &str = "NOTIFY_SOCKET";

/// Says so. Nobody may be there to hear it, which is no error.
pub(crate) fn say() {
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        tracing::warn!(%error, "whoever started this process cannot be told that the ship is up");
    }
}

/// Whether a message says so.
pub(crate) fn is_ready(message: &[u8]) -> bool {
    message
        .split(|byte| *byte == b'\n')
        .any(|line| line == b"READY=1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_line_among_others() {
        assert!(is_ready(b"READY=1"));
        assert!(is_ready(b"STATUS=up\nREADY=1\n"));
        assert!(!is_ready(b"READY=10"));
        assert!(!is_ready(b"STATUS=READY=1"));
    }
}
