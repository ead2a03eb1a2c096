//! The nouns of iris's effects and events (`spec/drivers.md` section 7), as types.

use super::response::Response;
use serf_ipc::{FromNoun, Noun, Octs, ShapeError, ToNoun as _, n};

/// A header: name and value.
pub(super) type Header = (Vec<u8>, Vec<u8>);

/// An effect on a wire of ours.
#[derive(Debug)]
pub(super) enum Command {
    /// Ask for something, under a number.
    Request(u32, Request),
    /// Whatever was asked under this number is not wanted any more.
    Cancel(u32),
}

/// `[method url headers body=(unit octs)]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: Vec<u8>,
    pub(super) url: Vec<u8>,
    /// In the kernel's order.
    pub(super) headers: Vec<Header>,
    pub(super) body: Option<Vec<u8>>,
}

impl Command {
    /// Reads a card; None where the tag is none of iris's.
    pub(super) fn read(tag: &str, data: &Noun) -> Option<Result<Command, ShapeError>> {
        Some(match tag {
            "request" => {
                <(u32, Request)>::from_noun(data).map(|(number, request)| Command::Request(number, request))
            }
            "cancel-request" => u32::from_noun(data).map(Command::Cancel),
            _ => return None,
        })
    }
}

impl FromNoun for Request {
    fn from_noun(noun: &Noun) -> Result<Request, ShapeError> {
        let (method, url, list, body): (Noun, Noun, Noun, Option<Octs>) = FromNoun::from_noun(noun)?;
        let header = |item: Result<&Noun, ShapeError>| {
            let (name, value) = item?.split()?;
            Ok((bytes(name)?, bytes(value)?))
        };
        Ok(Request {
            method: bytes(&method)?,
            url: bytes(&url)?,
            headers: list.iter_list().map(header).collect::<Result<_, ShapeError>>()?,
            body: body.map(|octs| octs.data),
        })
    }
}

/// A cord's bytes, which need not be text.
fn bytes(cord: &Noun) -> Result<Vec<u8>, ShapeError> {
    let bytes = cord.atom_bytes();
    bytes.map_or_else(
        || Err(ShapeError::new("a cord", cord)),
        |bytes| Ok(bytes.into_owned()),
    )
}

/// `[%born ~]`.
pub(super) fn born() -> Noun {
    n!["born", ()]
}

/// `[%receive number [%start [status headers] (unit octs) complete=&]]`: all at once, as vere does.
pub(super) fn receive(number: u32, response: Response) -> Noun {
    let cord = |bytes: &[u8]| Noun::from_le_bytes(bytes);
    let headers = response
        .headers
        .iter()
        .map(|(name, value)| Noun::cell(cord(name), cord(value)));
    let head = Noun::cell(Noun::atom(u64::from(response.status)), Noun::list(headers));
    let body = (!response.body.is_empty()).then(|| Octs::from(response.body).to_noun());
    n!["receive", number, "start", head, Noun::unit(body), true]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effects_are_read() {
        let headers = Noun::list([n!["accept", "x/y"], n!["", 0xff_u64]]);
        let card = |body: Noun| n![5_u64, n!["GET", "http://h/", headers.clone(), body]];
        let Some(Ok(Command::Request(5, request))) = Command::read("request", &card(Noun::ZERO)) else {
            panic!("no request")
        };
        assert_eq!(request.method, b"GET");
        assert_eq!(request.url, b"http://h/");
        assert_eq!(
            request.headers,
            [(b"accept".to_vec(), b"x/y".to_vec()), (vec![], vec![0xff])]
        );
        assert_eq!(request.body, None);
        let body = card(n![0_u64, 4_u64, "ab"]);
        let Some(Ok(Command::Request(5, request))) = Command::read("request", &body) else {
            panic!("no request")
        };
        assert_eq!(request.body.unwrap(), b"ab\0\0");
        assert!(matches!(
            Command::read("cancel-request", &Noun::atom(7)),
            Some(Ok(Command::Cancel(7)))
        ));
        assert!(matches!(
            Command::read("request", &n![1_u64, 2_u64]),
            Some(Err(_))
        ));
        assert!(matches!(
            Command::read("request", &n![u64::MAX, n!["GET", "u", 0_u64, 0_u64]]),
            Some(Err(_))
        ));
        assert!(Command::read("sing", &Noun::ZERO).is_none());
    }

    #[test]
    fn answers_are_one_event() {
        let response = Response {
            status: 200,
            headers: vec![(b"a".to_vec(), b"b".to_vec())],
            body: b"hi\0".to_vec(),
        };
        let head = n![200_u64, n![n!["a", "b"], 0_u64]];
        let expected = n!["receive", 9_u64, "start", head, n![0_u64, 3_u64, "hi"], 0_u64];
        assert_eq!(receive(9, response), expected);
        let empty = n!["receive", 9_u64, "start", n![504_u64, 0_u64], 0_u64, 0_u64];
        assert_eq!(receive(9, Response::failed()), empty);
    }
}
