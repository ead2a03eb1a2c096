//! The nouns of eyre's effects and events (`spec/drivers.md` section 6), as types.

use super::{ports::Kind, request::Head};
use bytes::Bytes;
use serf_ipc::{AtPath, FromNoun, Noun, ShapeError, ToNoun, n, noun_struct, noun_union, text::Path};
use std::{
    borrow::Cow,
    collections::{HashSet, VecDeque},
    net::Ipv4Addr,
};

/// A header: its name and its value, bytes as they came or as they go.
pub(crate) type Header = (Vec<u8>, Vec<u8>);

/// Below this a body is copied rather than shared with its noun.
const SHARE_FROM: usize = 1024;

/// Zeros for bodies that are longer than their atom.
static ZEROS: [u8; 65_536] = [0; 65_536];

/// An effect on a wire of ours.
#[derive(Debug)]
pub(crate) enum Command {
    /// How to serve, from now on.
    SetConfig(Config),
    /// The tokens of the sessions that are logged in.
    Sessions(HashSet<Vec<u8>>),
    /// A page that may be answered without an event.
    Grow(Grown),
    /// Part of a response.
    Response(Response),
}

impl Command {
    /// Reads a card.
    ///
    /// # Errors
    /// When it is none of eyre's, or has another shape: the text names the place.
    pub(crate) fn read(tag: &str, data: &Noun) -> Result<Command, ShapeError> {
        match tag {
            "set-config" => Config::from_noun(data).at("set-config").map(Command::SetConfig),
            "sessions" => read_set(data).at("sessions").map(Command::Sessions),
            "grow" => Grown::from_noun(data).at("grow").map(Command::Grow),
            "response" => Response::from_noun(data).at("response").map(Command::Response),
            _ => Err(ShapeError::new(
                "%set-config, %sessions, %grow or %response",
                &Noun::cord(tag),
            )),
        }
    }
}

noun_struct! {
    /// `%set-config`'s data.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct Config {
        /// The ship's key and its certificates, each a list of lines, if it has them.
        pub(crate) secure: Option<(Noun, Noun)>,
        /// Whether a proxy stands before the ship: other default ports.
        pub(crate) proxy: bool,
        /// Whether to keep an access log: vere takes no notice.
        pub(crate) log: bool,
        /// Whether to send everybody to HTTPS: eyre does it itself; vere takes no notice.
        pub(crate) redirect: bool,
    }
}

noun_union! {
    /// Part of the answer to a request.
    #[derive(Debug)]
    pub(crate) enum Response {
        /// The head, and how the body begins.
        "start" => Start(Start),
        /// More of the body.
        "continue" => Continue {
            /// The bytes.
            data: Option<Body>,
            /// Whether the response ends with them.
            complete: bool,
        },
        /// There will be no (more) response.
        "cancel" => Cancel(()),
    }
}

/// `/cache/<aeon>/<url>`: where a page is now. The aeon is another one whenever it changes.
#[derive(Debug)]
pub(crate) struct Grown {
    /// The whole path.
    pub(crate) path: Path,
    /// The target that it answers, as a knot (`@t`).
    pub(crate) url: String,
}

impl FromNoun for Grown {
    fn from_noun(noun: &Noun) -> Result<Grown, ShapeError> {
        let path = Path::from_noun(noun)?;
        match path.0.get(2).cloned() {
            Some(url) => Ok(Grown { path, url }),
            None => Err(ShapeError::new("/cache/<aeon>/<url>", noun)),
        }
    }
}

/// A page of the ship's: `[auth=? %payload [status headers] data=(unit octs)]`.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Whether it is for those only who are logged in.
    pub(crate) auth: bool,
    /// The whole response.
    pub(crate) start: Start,
}

impl FromNoun for Entry {
    fn from_noun(noun: &Noun) -> Result<Entry, ShapeError> {
        let (auth, _, head, data): (bool, Noun, Noun, Noun) = FromNoun::from_noun(noun)?;
        let start = Start::from_noun(&n![head, data, true])?;
        Ok(Entry { auth, start })
    }
}

/// `[[status headers] data=(unit octs) complete=?]`.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    /// The status, at most three digits.
    pub(crate) status: u16,
    /// The headers, in the kernel's order.
    pub(crate) headers: Vec<Header>,
    /// The body, or how it begins.
    pub(crate) data: Option<Body>,
    /// Whether this is the whole response.
    pub(crate) complete: bool,
}

impl Start {
    /// A whole response that is a status and nothing else.
    pub(crate) fn bare(status: u16) -> Start {
        Start {
            status,
            headers: Vec::new(),
            data: None,
            complete: true,
        }
    }
}

impl ToNoun for Start {
    fn to_noun(&self) -> Noun {
        n![
            (self.status, header_list(&self.headers)),
            self.data,
            self.complete
        ]
    }
}

impl FromNoun for Start {
    fn from_noun(noun: &Noun) -> Result<Start, ShapeError> {
        let ((status, list), data, complete): ((u16, Noun), _, _) = FromNoun::from_noun(noun)?;
        if status > 999 {
            return Err(
                ShapeError::new("a status of at most three digits", &Noun::from(status)).at("status"),
            );
        }
        let header = |item: Result<&Noun, ShapeError>| {
            let (name, value) = <(Noun, Noun)>::from_noun(item?)?;
            Ok((read_bytes(&name)?, read_bytes(&value)?))
        };
        let items = list
            .iter_list()
            .enumerate()
            .map(|(at, item)| header(item).at_item(at));
        let headers = items.collect::<Result<Vec<Header>, ShapeError>>().at("headers")?;
        Ok(Start {
            status,
            headers,
            data,
            complete,
        })
    }
}

/// `octs` of a response: a length, and an atom whose bytes are shared, not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body {
    len: usize,
    atom: Noun,
}

impl Body {
    /// These bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Body {
        Body {
            len: bytes.len(),
            atom: Noun::from_le_bytes(bytes),
        }
    }

    /// How many bytes it has.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Its bytes: the atom's, cut or followed by zeros to its length.
    pub(crate) fn into_chunks(self) -> VecDeque<Bytes> {
        let mut bytes = match self.atom.atom_bytes() {
            Some(Cow::Borrowed(shared)) if shared.len() >= SHARE_FROM => {
                Bytes::from_owner(AtomBytes(self.atom.clone()))
            }
            Some(bytes) => Bytes::from(bytes.into_owned()),
            None => Bytes::new(),
        };
        bytes.truncate(self.len);
        let mut padding = self.len - bytes.len();
        let mut chunks = VecDeque::new();
        if !bytes.is_empty() {
            chunks.push_back(bytes);
        }
        while padding > 0 {
            let zeros = &ZEROS[..padding.min(ZEROS.len())];
            chunks.push_back(Bytes::from_static(zeros));
            padding -= zeros.len();
        }
        chunks
    }
}

impl ToNoun for Body {
    fn to_noun(&self) -> Noun {
        n![self.len as u64, self.atom]
    }
}

impl FromNoun for Body {
    fn from_noun(noun: &Noun) -> Result<Body, ShapeError> {
        let (len, atom) = <(Noun, Noun)>::from_noun(noun)?;
        if atom.is_cell() {
            return Err(ShapeError::new("an atom", &atom).at("data"));
        }
        // The C takes lengths below 2^31 only.
        match len.as_u64().map(usize::try_from) {
            Some(Ok(len)) if len < 1 << 31 => Ok(Body { len, atom }),
            _ => Err(ShapeError::new("a length below 2^31", &len).at("len")),
        }
    }
}

/// An atom of many bytes, as the owner of a [`Bytes`].
struct AtomBytes(Noun);

impl AsRef<[u8]> for AtomBytes {
    fn as_ref(&self) -> &[u8] {
        match self.0.atom_bytes() {
            Some(Cow::Borrowed(bytes)) => bytes,
            _ => &[],
        }
    }
}

/// A request on its way to the kernel: `[secure=? [%ipv4 ip] [method url headers body]]`.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Whether it came through TLS.
    pub(crate) secure: bool,
    /// Whether it came to the loopback server.
    pub(crate) local: bool,
    /// The client; 0 if it has no IPv4 address.
    pub(crate) address: Ipv4Addr,
    /// One of eyre's methods.
    pub(crate) method: &'static str,
    /// The request target as received.
    pub(crate) url: Vec<u8>,
    /// `host` first, then the others in the client's order, names in lower case.
    pub(crate) headers: Vec<Header>,
    /// Its body; an empty one is none.
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// A request that came to a server of this kind.
    pub(crate) fn new(
        head: Head,
        method: &'static str,
        body: Vec<u8>,
        kind: Kind,
        address: Ipv4Addr,
    ) -> Request {
        Request {
            secure: kind == Kind::Secure,
            local: kind == Kind::Loopback,
            address,
            method,
            url: head.target,
            headers: head.headers,
            body,
        }
    }

    /// The card, `[%request ..]` or `[%request-local ..]`. The body's bytes are moved, not copied.
    pub(crate) fn into_card(self) -> Noun {
        let tag = if self.local { "request-local" } else { "request" };
        let address = n!["ipv4", u32::from(self.address)];
        let headers = header_list(&self.headers);
        let url = Noun::from_le_bytes(&self.url);
        let body = match self.body.len() as u64 {
            0 => Noun::ZERO,
            len => Noun::unit(Some(Noun::cell(Noun::atom(len), Noun::from_le_vec(self.body)))),
        };
        n![tag, self.secure, address, self.method, url, headers, body]
    }
}

/// `[%born ~]`.
pub(crate) fn born() -> Noun {
    n!["born", ()]
}

/// `[%cancel-request ~]`.
pub(crate) fn cancel_request() -> Noun {
    n!["cancel-request", ()]
}

/// `[%live port (unit https-port)]`.
pub(crate) fn live(http: u16, https: Option<u16>) -> Noun {
    n!["live", http, https]
}

/// `(list [key=@t value=@t])`.
fn header_list(headers: &[Header]) -> Noun {
    let cord = |bytes: &[u8]| Noun::from_le_bytes(bytes);
    Noun::list(
        headers
            .iter()
            .map(|(name, value)| Noun::cell(cord(name), cord(value))),
    )
}

/// The significant bytes of a cord.
fn read_bytes(noun: &Noun) -> Result<Vec<u8>, ShapeError> {
    noun.atom_bytes()
        .map(Cow::into_owned)
        .ok_or_else(|| ShapeError::new("a cord", noun))
}

/// The items of a `(set @t)`: a tree of `[item left right]`.
fn read_set(set: &Noun) -> Result<HashSet<Vec<u8>>, ShapeError> {
    let mut items = HashSet::new();
    let mut rest = vec![set.clone()];
    while let Some(tree) = rest.pop() {
        if tree.as_u64() != Some(0) {
            let (item, left, right): (Noun, Noun, Noun) = FromNoun::from_noun(&tree)?;
            items.insert(read_bytes(&item)?);
            rest.extend([left, right]);
        }
    }
    Ok(items)
}
