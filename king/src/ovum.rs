//! An event before it has a number and a date: the wire that it came in on, and a card.

use serf_ipc::Noun;

/// `[wire card]` without a date: what a driver asks the ship to compute (`spec/ipc.md` section 5).
#[derive(Clone, Debug)]
pub struct Ovum {
    /// The whole wire, the target first: `/b/behn/0v1.abcde` is `[%b %behn '0v1.abcde' ~]`.
    pub wire: Noun,
    /// The card, `[tag data]`.
    pub card: Noun,
}

impl Ovum {
    /// An ovum for `target` (a vane's letter, `ames`, or the empty string for arvo itself), on `wire` below it.
    pub fn new<W: AsRef<str>>(target: &str, wire: impl IntoIterator<Item = W>, card: Noun) -> Ovum {
        let knots = wire
            .into_iter()
            .map(|knot| Noun::cord(knot.as_ref()))
            .collect::<Vec<_>>();
        Ovum {
            wire: Noun::cell(Noun::cord(target), Noun::list(knots)),
            card,
        }
    }

    /// `[wire card]`.
    #[must_use]
    pub fn to_noun(&self) -> Noun {
        Noun::cell(self.wire.clone(), self.card.clone())
    }

    /// `[now wire card]`, what the serf computes and the log keeps.
    #[must_use]
    pub fn job(&self, now: u128) -> Noun {
        Noun::cell(Noun::from_u128(now), self.to_noun())
    }

    /// The card's tag as text, for messages.
    #[must_use]
    pub fn tag(&self) -> String {
        self.card
            .head()
            .and_then(Noun::as_cord)
            .unwrap_or_else(|| "?".to_owned())
    }

    /// The wire as a path, for messages.
    #[must_use]
    pub fn path(&self) -> String {
        wire_path(&self.wire)
    }
}

/// A wire as text, `/b/behn`; what is not a list of knots is shown as `?`.
#[must_use]
pub fn wire_path(wire: &Noun) -> String {
    let mut path = String::new();
    for knot in wire.iter_list() {
        path.push('/');
        path.push_str(
            &knot
                .ok()
                .and_then(Noun::as_cord)
                .unwrap_or_else(|| "?".to_owned()),
        );
    }
    if path.is_empty() { "/".to_owned() } else { path }
}
