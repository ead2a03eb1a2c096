//! The head of a request, from bytes: what vere's server library takes and refuses (`spec/drivers.md` section 6).

use super::{reply::Reply, shapes::Header};
use crate::limits::{HTTP_BODY_BYTES, HTTP_HEAD_BYTES, HTTP_HEADERS};

/// The methods that eyre knows. The first that begins with the received one is meant, as in the C, which compares
/// only as many characters as came.
const METHODS: [&str; 8] = [
    "GET", "PUT", "POST", "HEAD", "CONNECT", "DELETE", "OPTIONS", "TRACE",
];

/// Taken out of a request's headers: `host` comes first of all instead, the others are the connection's business.
const TAKEN_OUT: [&[u8]; 5] = [
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"expect",
    b"upgrade",
];

/// What a client that names no host is taken to mean.
const DEFAULT_HOST: &[u8] = b"default";

/// What the first bytes of a connection, or those after a request, are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// Not yet a whole head.
    Partial,
    /// A head, and how many bytes it took.
    Head(Box<Head>, usize),
    /// Not HTTP, or more of it than is taken.
    Bad,
}

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// The method as received.
    pub(crate) method: Vec<u8>,
    /// The target as received.
    pub(crate) target: Vec<u8>,
    /// Whether it is of HTTP/1.1, not 1.0.
    pub(crate) is_1_1: bool,
    /// As the kernel is to have them: `host` first, the others in order, names in lower case.
    pub(crate) headers: Vec<Header>,
    /// Whether the client would go on with this connection.
    pub(crate) keep_alive: bool,
    /// How the body is framed.
    pub(crate) body: BodyFraming,
    /// Whether the client waits for a `100 Continue` before it sends the body.
    pub(crate) expects_continue: bool,
}

/// How a request's body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFraming {
    /// There is none.
    None,
    /// By its length.
    Length(usize),
    /// By itself.
    Chunked,
    /// Not so that it could be read: the request is answered with this.
    Refused(&'static Reply),
}

impl Head {
    /// The method by its full name; None for those that eyre does not know.
    pub(crate) fn method_name(&self) -> Option<&'static str> {
        METHODS
            .into_iter()
            .find(|name| name.as_bytes().starts_with(&self.method))
    }

    /// A head that came in frames, whose body they end. `headers` are the client's, names in lower case; `authority` is what
    /// it says of its host apart from them.
    pub(crate) fn framed(method: &str, target: &str, authority: Option<&str>, headers: Vec<Header>) -> Head {
        let is_host = |(name, _): &&Header| name == b"host";
        let named = headers.iter().find(is_host).map(|(_, value)| value.clone());
        let host = authority.map(|host| host.as_bytes().to_vec()).or(named);
        let host = host.unwrap_or_else(|| DEFAULT_HOST.to_vec());
        let others = headers
            .into_iter()
            .filter(|(name, _)| !matches!(name.as_slice(), b"host" | b"content-length"));
        Head {
            method: method.as_bytes().to_vec(),
            target: target.as_bytes().to_vec(),
            is_1_1: true,
            headers: std::iter::once((b"host".to_vec(), host)).chain(others).collect(),
            keep_alive: true,
            body: BodyFraming::None,
            expects_continue: false,
        }
    }

    /// Whether the method is HEAD, and no prefix of it.
    pub(crate) fn is_head(&self) -> bool {
        self.method == b"HEAD"
    }
}

/// Parses the head at the beginning of `bytes`.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    let mut places = [httparse::EMPTY_HEADER; HTTP_HEADERS];
    let mut request = httparse::Request::new(&mut places);
    let limit = bytes.len().min(HTTP_HEAD_BYTES);
    match request.parse(&bytes[..limit]) {
        Ok(httparse::Status::Complete(len)) => match (request.method, request.path) {
            (Some(method), Some(target)) => {
                let head = fix_up(method, target, request.version == Some(1), request.headers);
                Parsed::Head(Box::new(head), len)
            }
            _ => Parsed::Bad,
        },
        Ok(httparse::Status::Partial) if limit < HTTP_HEAD_BYTES => Parsed::Partial,
        Ok(httparse::Status::Partial) | Err(_) => Parsed::Bad,
    }
}

/// Whether `bytes`, of which `seen` were looked at before, hold an empty line: only then is a head that was not
/// whole parsed again, so that a client which sends it byte by byte costs no more than others.
pub(crate) fn has_empty_line(bytes: &[u8], seen: usize) -> bool {
    // The empty line may have begun with the last three bytes before.
    let fresh = &bytes[seen.saturating_sub(3)..];
    fresh.windows(2).any(|pair| pair == b"\n\n") || fresh.windows(3).any(|three| three == b"\n\r\n")
}

/// Sorts the headers out.
fn fix_up(method: &str, target: &str, is_1_1: bool, received: &[httparse::Header<'_>]) -> Head {
    let mut host = DEFAULT_HOST.to_vec();
    let mut connection = None;
    let mut expect = None;
    let mut lengths = Vec::new();
    let mut codings = Vec::new();
    let mut others = Vec::with_capacity(received.len() + 1);
    for header in received {
        let name = header.name.to_ascii_lowercase().into_bytes();
        let value = header.value.to_vec();
        match name.as_slice() {
            b"host" => host.clone_from(&value),
            b"connection" => connection = Some(value.clone()),
            b"expect" => expect = Some(value.clone()),
            b"content-length" => lengths.push(value.clone()),
            b"transfer-encoding" => codings.push(value.clone()),
            _ => {}
        }
        if !TAKEN_OUT.contains(&name.as_slice()) {
            others.push((name, value));
        }
    }
    let has_body = !(lengths.is_empty() && codings.is_empty());
    // Without a body an expectation is not looked at.
    let expects_continue = expect
        .as_ref()
        .is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"));
    let body = match has_body && expect.is_some() && !expects_continue {
        true => BodyFraming::Refused(&Reply::EXPECTATION),
        false => framing(&lengths, &codings),
    };
    let mut headers = vec![(b"host".to_vec(), host)];
    headers.append(&mut others);
    let keep_alive = match connection {
        Some(value) => has_token(&value, b"keep-alive"),
        None => is_1_1,
    };
    Head {
        method: method.as_bytes().to_vec(),
        target: target.as_bytes().to_vec(),
        is_1_1,
        headers,
        // Whoever says both how long a body is and that it says so itself may be trying to have the rest of it taken
        // for another request, by us or by a proxy before us: such a connection serves no other (RFC 9112, 6.1).
        keep_alive: keep_alive && (lengths.is_empty() || codings.is_empty()),
        body,
        expects_continue: has_body && expects_continue,
    }
}

/// How the body is framed by its `content-length` and `transfer-encoding` headers. The C takes the first length and
/// the last coding; ones that contradict each other are refused here, for two readers could understand them in two ways.
fn framing(lengths: &[Vec<u8>], codings: &[Vec<u8>]) -> BodyFraming {
    match (lengths, codings) {
        ([], []) => BodyFraming::None,
        (_, [coding]) if coding.eq_ignore_ascii_case(b"chunked") => BodyFraming::Chunked,
        ([first, rest @ ..], []) if rest.iter().all(|other| other == first) => match parse_length(first) {
            Some(length) if length > HTTP_BODY_BYTES => BodyFraming::Refused(&Reply::TOO_LARGE),
            Some(length) => BodyFraming::Length(length),
            None => BodyFraming::Refused(&Reply::BROKEN_LENGTH),
        },
        (_, []) => BodyFraming::Refused(&Reply::BROKEN_LENGTH),
        (_, _) => BodyFraming::Refused(&Reply::UNKNOWN_CODING),
    }
}

/// A decimal of at most 19 digits, as the library of vere takes it.
fn parse_length(value: &[u8]) -> Option<usize> {
    let digits = value.len() <= 19 && !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(value).ok()?.parse().ok())?
}

/// Whether a comma-separated header value has this token, in whatever case.
fn has_token(value: &[u8], token: &[u8]) -> bool {
    value
        .split(|byte| *byte == b',')
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Head {
        match parse(text.as_bytes()) {
            Parsed::Head(head, len) => {
                assert_eq!(len, text.len());
                *head
            }
            other => panic!("{text:?}: {other:?}"),
        }
    }

    fn headers(head: &Head) -> Vec<(&str, &str)> {
        let text = |bytes| std::str::from_utf8(bytes).unwrap();
        head.headers
            .iter()
            .map(|(name, value)| (text(name.as_slice()), text(value.as_slice())))
            .collect()
    }

    #[test]
    fn a_request_without_headers_has_the_default_host() {
        let head = head("GET /a/b?c=d HTTP/1.1\r\n\r\n");
        assert_eq!(
            (head.method_name(), head.target.as_slice()),
            (Some("GET"), b"/a/b?c=d".as_slice())
        );
        assert_eq!(headers(&head), [("host", "default")]);
        assert!(head.is_1_1 && head.keep_alive && !head.is_head());
        assert_eq!(head.body, BodyFraming::None);
    }

    #[test]
    fn host_comes_first_names_are_lowered_duplicates_and_order_stay() {
        let head = head(
            "POST http://other.example/x HTTP/1.1\r\nAccept: */*\r\nX-Two: 1\r\nHOST: zod.example:8080\r\nx-two:  2 \r\n\
             Content-Length: 3\r\nUpgrade: h2c\r\nExpect: 100-continue\r\nConnection: Keep-Alive, Upgrade\r\n\r\n",
        );
        assert_eq!(head.target, b"http://other.example/x");
        assert_eq!(
            headers(&head),
            [
                ("host", "zod.example:8080"),
                ("accept", "*/*"),
                ("x-two", "1"),
                ("x-two", "2"),
                ("connection", "Keep-Alive, Upgrade"),
            ]
        );
        assert_eq!(head.body, BodyFraming::Length(3));
        assert!(head.expects_continue && head.keep_alive);
    }

    #[test]
    fn methods_are_matched_as_prefixes_of_the_known_ones() {
        let method = |name: &str| head(&format!("{name} / HTTP/1.1\r\n\r\n")).method_name();
        for name in METHODS {
            assert_eq!(method(name), Some(name));
        }
        assert_eq!(
            [method("P"), method("PO"), method("H")],
            [Some("PUT"), Some("POST"), Some("HEAD")]
        );
        assert_eq!(
            [method("PATCH"), method("get"), method("GETS"), method("PROPFIND")],
            [None; 4]
        );
        assert!(head("HEAD / HTTP/1.1\r\n\r\n").is_head() && !head("HEA / HTTP/1.1\r\n\r\n").is_head());
    }

    #[test]
    fn a_connection_is_kept_by_version_and_header() {
        let keeps =
            |version: &str, header: &str| head(&format!("GET / {version}\r\n{header}\r\n")).keep_alive;
        assert!(keeps("HTTP/1.1", "") && !keeps("HTTP/1.0", ""));
        assert!(keeps("HTTP/1.0", "Connection: keep-alive\r\n"));
        assert!(!keeps("HTTP/1.1", "Connection: close\r\n"));
        assert!(
            !keeps("HTTP/1.1", "Connection: Upgrade\r\n"),
            "as the library of vere: any other value"
        );
        assert!(!keeps(
            "HTTP/1.1",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"
        ));
    }

    #[test]
    fn bodies_are_framed_by_the_coding_then_by_the_length() {
        let body = |text: &str| head(&format!("POST / HTTP/1.1\r\n{text}\r\n")).body;
        assert_eq!(
            body("Transfer-Encoding: Chunked\r\nContent-Length: 5\r\n"),
            BodyFraming::Chunked
        );
        assert_eq!(body("Content-Length: 0\r\n"), BodyFraming::Length(0));
        assert_eq!(
            body("Content-Length: 7\r\nContent-Length: 7\r\n"),
            BodyFraming::Length(7)
        );
        assert_eq!(
            body("Content-Length: 536870912\r\n"),
            BodyFraming::Length(512 << 20)
        );
        let refusals = [
            ("Content-Length: 536870913\r\n", &Reply::TOO_LARGE),
            ("Content-Length: 9999999999999999999\r\n", &Reply::TOO_LARGE),
            ("Content-Length: 99999999999999999999\r\n", &Reply::BROKEN_LENGTH),
            (
                "Content-Length: 7\r\nContent-Length: 8\r\n",
                &Reply::BROKEN_LENGTH,
            ),
            ("Content-Length: +7\r\n", &Reply::BROKEN_LENGTH),
            ("Content-Length: 7, 7\r\n", &Reply::BROKEN_LENGTH),
            ("Content-Length: \r\n", &Reply::BROKEN_LENGTH),
            ("Transfer-Encoding: gzip, chunked\r\n", &Reply::UNKNOWN_CODING),
            (
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
                &Reply::UNKNOWN_CODING,
            ),
            ("Content-Length: 7\r\nExpect: a miracle\r\n", &Reply::EXPECTATION),
        ];
        for (text, reply) in refusals {
            assert_eq!(body(text), BodyFraming::Refused(reply), "{text}");
        }
        // Without a body nobody asks what is expected.
        assert_eq!(body("Expect: a miracle\r\n"), BodyFraming::None);
        assert!(!head("GET / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n").expects_continue);
    }

    #[test]
    fn what_is_not_a_head_is_bad_and_half_of_one_is_partial() {
        for text in [
            "",
            "GET",
            "GET / HTTP/1.1\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n",
            "\r\n",
        ] {
            assert_eq!(parse(text.as_bytes()), Parsed::Partial, "{text:?}");
        }
        for text in [
            "\0",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "GET / HTTP/1.1\r\nno colon\r\n\r\n",
            "GET /\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\nA : b\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\0c\r\n\r\n",
        ] {
            assert_eq!(parse(text.as_bytes()), Parsed::Bad, "{text:?}");
        }
    }

    #[test]
    fn a_hundred_headers_are_taken_and_no_more() {
        let request = |count| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert_eq!(head(&request(100)).headers.len(), 101, "and the default host");
        assert_eq!(parse(request(101).as_bytes()), Parsed::Bad);
    }

    #[test]
    fn a_head_is_limited_in_bytes() {
        let request = |len: usize| {
            let frame = "GET / HTTP/1.1\r\na: \r\n\r\n".len();
            format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(len - frame))
        };
        assert_eq!(head(&request(HTTP_HEAD_BYTES)).headers.len(), 2);
        assert_eq!(parse(request(HTTP_HEAD_BYTES + 1).as_bytes()), Parsed::Bad);
        assert_eq!(
            parse(&request(HTTP_HEAD_BYTES + 1).as_bytes()[..HTTP_HEAD_BYTES - 1]),
            Parsed::Partial
        );
    }

    #[test]
    fn an_empty_line_is_found_wherever_the_bytes_were_split() {
        for text in [
            "GET / HTTP/1.1\r\na: b\r\n\r\nrest",
            "GET / HTTP/1.1\na: b\n\n",
            "x\r\n\n",
        ] {
            let bytes = text.as_bytes();
            let end = text
                .find("\n\r\n")
                .map_or_else(|| text.find("\n\n").unwrap() + 2, |at| at + 3);
            for seen in 0..end {
                assert!(
                    !has_empty_line(&bytes[..end - 1], seen.min(end - 1)),
                    "{text:?} {seen}"
                );
                assert!(has_empty_line(&bytes[..end], seen), "{text:?} {seen}");
            }
        }
    }
}
