//! What the roller is asked about the contract's state, and what it answers: JSON-RPC (`spec/boot.md` section 6).

use super::{
    fetch::{FetchError, Fetcher},
    hoon_map,
    keys::Pass,
    rank::name,
};
use crate::limits;
use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error as _};
use serde_json::{Value, json};
use serf_ipc::{Noun, n};
use std::collections::{BTreeMap, BTreeSet};

/// Where the contract's state is asked for, unless `-e` names another address.
pub const DEFAULT_URL: &str = "https://roller.urbit.org/v1/azimuth";

/// A roller.
#[derive(Clone, Debug)]
pub struct Roller {
    url: String,
    fetcher: Fetcher,
}

/// Why it told nothing.
#[derive(Debug, thiserror::Error)]
pub enum RollerError {
    /// No answer.
    #[error("{0}")]
    Fetch(#[from] FetchError),
    /// An answer of another shape.
    #[error(
        "the roller at {url} answered {method} with what is no such answer: {error}; name another with -e, or try again later"
    )]
    Malformed {
        /// The address.
        url: String,
        /// What was asked.
        method: &'static str,
        /// What is wrong with it.
        error: String,
    },
    /// A refusal.
    #[error(
        "the roller at {url} refused {method}: {error}; see whether the ship's name is right, name another roller with -e, or try again later"
    )]
    Refused {
        /// The address.
        url: String,
        /// What was asked.
        method: &'static str,
        /// What it said.
        error: String,
    },
}

/// What the contract has of a ship (`point:azimuth`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    own: [Noun; 4],
    spawn: Noun,
    /// Its keys and its sponsor; None for one that has no keys yet.
    pub net: Option<Net>,
}

/// The network's side of a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Net {
    /// How often its keys were set.
    pub life: u64,
    /// How often it breached.
    pub rift: u64,
    /// Its public key.
    pub pass: Pass,
    /// Whether it has a sponsor, and who is or was that.
    pub sponsor: (bool, u128),
}

impl Point {
    /// `[own net kid]`, for the ship of this number.
    #[must_use]
    pub fn to_noun(&self, ship: u128) -> Noun {
        let [owner, management, voting, transfer] = self.own.clone();
        let net = self.net.as_ref().map(|net| {
            let sponsor = n![Noun::loob(net.sponsor.0), Noun::from_u128(net.sponsor.1)];
            n![net.life, net.pass.to_noun(), net.rift, sponsor, Noun::ZERO]
        });
        let kid = (ship > 0xffff).then(|| n![self.spawn.clone(), Noun::ZERO]);
        n![
            n![owner, management, voting, transfer],
            Noun::unit(net),
            Noun::unit(kid)
        ]
    }
}

impl Roller {
    /// The one at this address.
    #[must_use]
    pub fn new(url: &str, fetcher: Fetcher) -> Roller {
        Roller {
            url: url.to_owned(),
            fetcher,
        }
    }

    /// What the contract has of a ship.
    ///
    /// # Errors
    /// When the roller does not tell.
    pub fn point(&self, ship: u128) -> Result<Point, RollerError> {
        let reply: Reply<PointJson> = self.ask("getPoint", &request("", "getPoint", point_of(ship)))?;
        let point = self.result("getPoint", reply)?;
        let OwnershipJson {
            spawn_proxy,
            owner,
            management_proxy,
            voting_proxy,
            transfer_proxy,
        } = point.ownership;
        let NetworkJson { rift, keys, sponsor } = point.network;
        Ok(Point {
            own: [owner, management_proxy, voting_proxy, transfer_proxy].map(|proxy| proxy.address.0),
            spawn: spawn_proxy.address.0,
            net: (keys.life.0 != 0).then(|| Net {
                life: keys.life.0,
                rift: rift.0,
                pass: keys.pass(),
                sponsor: (sponsor.has, sponsor.who.into()),
            }),
        })
    }

    /// The galaxies that have keys, `(map ship [rift life pass])`.
    ///
    /// # Errors
    /// When the roller does not tell.
    pub fn galaxies(&self) -> Result<Noun, RollerError> {
        let all = (0..=255).map(|galaxy| request(&format!("gal-{galaxy}"), "getPoint", point_of(galaxy)));
        let replies: Vec<Reply<GalaxyJson>> = self.ask("getPoint", &Value::Array(all.collect()))?;
        let mut table = BTreeMap::new();
        for reply in replies {
            let galaxy = galaxy_of(&reply.id).ok_or_else(|| {
                self.malformed(
                    "getPoint",
                    "an answer to what was not asked, by its id".to_owned(),
                )
            })?;
            let GalaxyJson {
                network: GalaxyNetworkJson { rift, keys },
            } = self.result("getPoint", reply)?;
            if keys.life.0 != 0 {
                table.insert(galaxy, n![rift.0, keys.life.0, keys.pass().to_noun()]);
            }
        }
        if table.is_empty() {
            return Err(self.malformed("getPoint", "no galaxy has keys by it".to_owned()));
        }
        Ok(hoon_map::map(&table))
    }

    /// The network's domains, `(list turf)`.
    ///
    /// # Errors
    /// When the roller does not tell.
    pub fn domains(&self) -> Result<Noun, RollerError> {
        let reply: Reply<Vec<String>> = self.ask("getDns", &request("turf", "getDns", json!({})))?;
        let domains = self.result("getDns", reply)?;
        let mut seen = BTreeSet::new();
        let mut turfs = Vec::new();
        for domain in domains.iter().filter(|domain| seen.insert(domain.as_str())) {
            match turf(domain) {
                Some(Host::Turf(turf)) => turfs.push(turf),
                Some(Host::Address) => {}
                None => return Err(self.malformed("getDns", format!("{:?} is no domain", told(domain)))),
            }
        }
        Ok(Noun::list(turfs))
    }

    fn ask<T: DeserializeOwned>(&self, method: &'static str, request: &Value) -> Result<T, RollerError> {
        let answer = self
            .fetcher
            .post_json(&self.url, &request.to_string(), limits::ROLLER_BYTES)?;
        serde_json::from_slice(&answer).map_err(|error| self.malformed(method, error.to_string()))
    }

    fn result<T>(&self, method: &'static str, reply: Reply<T>) -> Result<T, RollerError> {
        match (reply.result, reply.error) {
            (Some(result), None) => Ok(result),
            (_, Some(error)) => Err(RollerError::Refused {
                url: self.url.clone(),
                method,
                error: told(error.message.as_deref().unwrap_or("no reason")),
            }),
            (None, None) => Err(self.malformed(method, "neither a result nor an error".to_owned())),
        }
    }

    fn malformed(&self, method: &'static str, error: String) -> RollerError {
        RollerError::Malformed {
            url: self.url.clone(),
            method,
            error: told(&error),
        }
    }
}

/// A server's words, as far as a line takes them, without what a terminal would obey.
fn told(words: &str) -> String {
    let plain = words
        .chars()
        .map(|char| if char.is_control() { ' ' } else { char });
    plain.take(limits::TOLD_CHARS).collect()
}

fn request(id: &str, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn point_of(ship: u128) -> Value {
    json!({ "ship": name(ship) })
}

/// `gal-7`
fn galaxy_of(id: &Value) -> Option<u128> {
    let number = decimal(id.as_str()?.strip_prefix("gal-")?)?;
    (number <= 255).then_some(number.into())
}

/// What stands for a host.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Host {
    /// A domain: its labels, the last one first.
    Turf(Noun),
    /// An address of numbers.
    Address,
}

/// Reads a host (`thos:de-purl:html`).
pub(super) fn turf(host: &str) -> Option<Host> {
    let labels = host.split('.').map(str::to_ascii_lowercase).collect::<Vec<_>>();
    let is_label = |label: &String| {
        let bytes = label.as_bytes();
        let alphanumeric = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        alphanumeric(bytes.first())
            && alphanumeric(bytes.last())
            && bytes
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    let top = labels.last()?;
    if labels.iter().all(is_label) && top.starts_with(|char: char| char.is_ascii_lowercase()) {
        return Some(Host::Turf(Noun::list(
            labels.iter().rev().map(|label| Noun::cord(label)),
        )));
    }
    host.parse::<std::net::Ipv4Addr>().ok().map(|_| Host::Address)
}

#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Reply<T> {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    result: Option<T>,
    #[serde(default)]
    error: Option<RefusalJson>,
}

#[derive(Deserialize)]
struct RefusalJson {
    message: Option<String>,
}

#[derive(Deserialize)]
struct PointJson {
    ownership: OwnershipJson,
    network: NetworkJson,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OwnershipJson {
    spawn_proxy: ProxyJson,
    owner: ProxyJson,
    management_proxy: ProxyJson,
    voting_proxy: ProxyJson,
    transfer_proxy: ProxyJson,
}

#[derive(Deserialize)]
struct ProxyJson {
    address: Hex,
}

#[derive(Deserialize)]
struct NetworkJson {
    rift: Decimal,
    keys: KeysJson,
    sponsor: SponsorJson,
}

#[derive(Deserialize)]
struct GalaxyJson {
    network: GalaxyNetworkJson,
}

#[derive(Deserialize)]
struct GalaxyNetworkJson {
    rift: Decimal,
    keys: KeysJson,
}

#[derive(Deserialize)]
struct SponsorJson {
    has: bool,
    who: u32,
}

#[derive(Deserialize)]
struct KeysJson {
    life: Decimal,
    crypt: Key,
    auth: Key,
    suite: Decimal,
}

impl KeysJson {
    fn pass(&self) -> Pass {
        Pass::from_contract(self.crypt.0, self.auth.0, self.suite.0)
    }
}

/// A number as text, without dots (`dim:ag`).
struct Decimal(u64);

/// A number as text like `0x1f`.
struct Hex(Noun);

/// The same of 32 bytes at most, lowest first.
struct Key([u8; 32]);

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = decimal(&text);
        number
            .map(Decimal)
            .ok_or_else(|| D::Error::custom("a decimal number in a text is wanted"))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hex, D::Error> {
        let Key(bytes) = Key::deserialize(deserializer)?;
        Ok(Hex(Noun::from_le_bytes(&bytes)))
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Key, D::Error> {
        let text = String::deserialize(deserializer)?;
        hex(&text)
            .map(Key)
            .ok_or_else(|| D::Error::custom("a number like 0x1f of 32 bytes at most is wanted"))
    }
}

fn decimal(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || text.len() > 1 && text.starts_with('0') {
        return None;
    }
    text.parse().ok()
}

fn hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.strip_prefix("0x")?;
    if digits.is_empty() || digits.len() > 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (place, digit) in digits.chars().rev().enumerate() {
        let value = u8::try_from(digit.to_digit(16)?).ok()?;
        bytes[place / 2] |= value << (4 * (place % 2));
    }
    Some(bytes)
}
