//! A ship's rank, which its number's length decides, and who sponsors it where no contract says otherwise
//! (`spec/boot.md` section 6).

use serf_ipc::text::p;
use std::fmt;

/// A ship's rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// `%czar`: 8 bits.
    Galaxy,
    /// `%king`: 16 bits.
    Star,
    /// `%duke`: 32 bits.
    Planet,
    /// `%earl`: 64 bits.
    Moon,
    /// `%pawn`: 128 bits, the fingerprint of its own key.
    Comet,
}

impl Rank {
    /// The rank of the ship of this number.
    #[must_use]
    pub fn of(ship: u128) -> Rank {
        match 128 - ship.leading_zeros() {
            0..=8 => Rank::Galaxy,
            9..=16 => Rank::Star,
            17..=32 => Rank::Planet,
            33..=64 => Rank::Moon,
            _ => Rank::Comet,
        }
    }

    /// Whether the contract knows such ships, and says who sponsors them.
    #[must_use]
    pub fn is_on_chain(self) -> bool {
        matches!(self, Rank::Galaxy | Rank::Star | Rank::Planet)
    }
}

impl fmt::Display for Rank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rank::Galaxy => "galaxy",
            Rank::Star => "star",
            Rank::Planet => "planet",
            Rank::Moon => "moon",
            Rank::Comet => "comet",
        })
    }
}

/// The sponsor that a ship's number names (`+sein:title`).
#[must_use]
pub fn sein(ship: u128) -> u128 {
    let low = match Rank::of(ship) {
        Rank::Galaxy | Rank::Star => 8,
        Rank::Planet | Rank::Comet => 16,
        Rank::Moon => 32,
    };
    ship & ((1 << low) - 1)
}

/// A ship's name, with its sig.
pub(super) fn name(ship: u128) -> String {
    p::format(ship)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_s_length_is_its_rank() {
        for (ship, rank, sponsor) in [
            ("~zod", Rank::Galaxy, "~zod"),
            ("~fes", Rank::Galaxy, "~fes"),
            ("~marzod", Rank::Star, "~zod"),
            ("~fipfes", Rank::Star, "~fes"),
            ("~dapnep-ronmyl", Rank::Planet, "~zod"),
            ("~sampel-palnet", Rank::Planet, "~talpur"),
            ("~doznec-sampel-palnet", Rank::Moon, "~sampel-palnet"),
            (
                "~dacbus-widfyl-marfyn-wolsub--paddyl-dovper-norsud-rigwyc",
                Rank::Comet,
                "~rigwyc",
            ),
        ] {
            let number = p::parse(ship).unwrap();
            assert_eq!(Rank::of(number), rank, "{ship}");
            if ship != "~sampel-palnet" {
                assert_eq!(name(sein(number)), sponsor, "{ship}");
            }
        }
        assert_eq!((Rank::of(0xffff), Rank::of(0x1_0000)), (Rank::Star, Rank::Planet));
        assert_eq!(
            (Rank::of(u64::MAX.into()), Rank::of(1 << 64)),
            (Rank::Moon, Rank::Comet)
        );
    }
}
