//! The name of a ship that is to be booted.

use serf_ipc::text::p;

/// Why a name is not that of a ship that can be booted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShipError {
    /// Not a `@p`.
    #[error(
        "boot: malformed -F ship {0}: write a ship's name, with or without its ~, as in ~zod or sampel-palnet"
    )]
    Malformed(String),
    /// Not a `@p` either.
    #[error(
        "dawn: invalid ship specified with -w {0}: write a ship's name, with or without its ~, as in ~sampel-palnet"
    )]
    Invalid(String),
    /// Comets have no fake form.
    #[error("fake comets are forbidden: {0} is a comet; take a galaxy, star, planet or moon, as in ~zod")]
    Comet(String),
}

/// The number of the ship that `-w` names, with or without `~`.
///
/// # Errors
/// When it is no ship's name.
pub fn named_ship(name: &str) -> Result<u128, ShipError> {
    let bare = name.strip_prefix('~').unwrap_or(name);
    p::parse(&format!("~{bare}")).map_err(|_| ShipError::Invalid(name.to_owned()))
}

/// The number of the ship that `-F` names, with or without `~`.
///
/// # Errors
/// When it is no ship's name, or a comet's (`spec/boot.md` section 4).
pub fn fake_ship(name: &str) -> Result<u128, ShipError> {
    let bare = name.strip_prefix('~').unwrap_or(name);
    let ship = p::parse(&format!("~{bare}")).map_err(|_| ShipError::Malformed(name.to_owned()))?;
    if ship > u128::from(u64::MAX) {
        Err(ShipError::Comet(name.to_owned()))
    } else {
        Ok(ship)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_with_and_without_their_sig() {
        for (name, number) in [
            ("zod", 0),
            ("~zod", 0),
            ("nec", 1),
            ("~marzod", 0x100),
            ("dapnep-ronmyl", 0x1_0000),
        ] {
            assert_eq!(fake_ship(name), Ok(number), "{name}");
        }
    }

    #[test]
    fn what_is_no_ship_is_refused() {
        for name in ["", "~", "zodd", "~~zod", "zod ", "~sample", "nec-zod-nec"] {
            assert_eq!(
                fake_ship(name),
                Err(ShipError::Malformed(name.to_owned())),
                "{name:?}"
            );
        }
    }

    #[test]
    fn any_ship_can_have_keys() {
        let comet = "~sampel-sampel-sampel-sampel--sampel-sampel-sampel-sampel";
        assert_eq!(named_ship("marzod"), Ok(0x100));
        assert!(named_ship(comet).is_ok_and(|ship| ship > u128::from(u64::MAX)));
        assert_eq!(named_ship("zodd"), Err(ShipError::Invalid("zodd".to_owned())));
    }

    #[test]
    fn fake_comets_are_forbidden() {
        let comet = "~sampel-sampel-sampel-sampel--sampel-sampel-sampel-sampel";
        assert_eq!(fake_ship(comet), Err(ShipError::Comet(comet.to_owned())));
    }
}
