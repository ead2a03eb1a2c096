//! Eyre's wires: `/http-server/<sev>[/<conn>[/<seq>]]` (`spec/drivers.md` section 6).

use crate::driver::Effect;
use serf_ipc::text::{self, Aura};

/// The first knot.
pub(crate) const HEAD: &str = "http-server";

/// Names one request of one server: what the kernel sends its response to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RequestId {
    /// The server: the driver's instance number for the first one, one more for each later one.
    pub(crate) server: u32,
    /// The connection, from 1; 0 where the wire ends before it.
    pub(crate) connection: u64,
    /// The request on it, from 1; 0 where the wire ends before it.
    pub(crate) sequence: u64,
}

impl RequestId {
    /// The whole wire, without the vane.
    pub(crate) fn knots(self) -> [String; 4] {
        [
            HEAD.to_owned(),
            server_knot(self.server),
            text::ud(self.connection),
            text::ud(self.sequence),
        ]
    }

    /// Reads an effect's wire; None for those that are not ours, or not readable, which are other drivers' to take.
    pub(crate) fn of(effect: &Effect<'_>) -> Option<RequestId> {
        if !effect.wire_starts(HEAD) {
            return None;
        }
        let knots = effect.knots()?;
        let server = u32::try_from(read(Aura::Uv, knots.get(1)?)?).ok()?;
        let number = |at: usize| knots.get(at).map_or(Some(0), |knot| read(Aura::Ud, knot));
        let id = RequestId {
            server,
            connection: number(2)?,
            sequence: number(3)?,
        };
        (knots.len() <= 4).then_some(id)
    }
}

/// The number in a knot.
fn read(aura: Aura, knot: &str) -> Option<u64> {
    text::slaw(aura, knot).ok()?.as_u64()
}

/// The knot of a server, or of the driver, whose number is the first server's.
pub(crate) fn server_knot(number: u32) -> String {
    text::uv(u64::from(number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Token;
    use seguro_event::EventNumber;
    use serf_ipc::Noun;

    fn id(knots: &[&str]) -> Option<RequestId> {
        let wire = Noun::list(knots.iter().map(|knot| Noun::cord(knot)));
        RequestId::of(&Effect {
            event: EventNumber(1),
            wire: &wire,
            tag: "response",
            data: &Noun::ZERO,
            _released: Token::for_test(),
        })
    }

    #[test]
    fn a_wire_is_read_as_it_is_written() {
        let expected = RequestId {
            server: 0x5175_309e,
            connection: 1_234_567,
            sequence: 1,
        };
        let knots = expected.knots();
        assert_eq!(knots, ["http-server", "0v18.nac4u", "1.234.567", "1"]);
        assert_eq!(id(&knots.each_ref().map(String::as_str)), Some(expected));
    }

    #[test]
    fn knots_may_be_missing_and_count_as_zero() {
        let expected = RequestId {
            server: 1,
            connection: 0,
            sequence: 0,
        };
        assert_eq!(id(&["http-server", "0v1"]), Some(expected));
        assert_eq!(
            id(&["http-server", "0v1", "3"]),
            Some(RequestId {
                connection: 3,
                ..expected
            })
        );
    }

    #[test]
    fn others_wires_are_not_ours() {
        let strange: [&[&str]; 10] = [
            &[],
            &["http-server"],
            &["http-client", "0v1"],
            &["http-server", "1"],
            &["http-server", "0v01"],
            &["http-server", "0vwx"],
            &["http-server", "0v1", "1000"],
            &["http-server", "0v1", "-1"],
            &["http-server", "0v1", "1", "1", "1"],
            &["http-server", "0vfffff.fffff.fffff", "1", "1"],
        ];
        for knots in strange {
            assert_eq!(id(knots), None, "{knots:?}");
        }
    }
}
