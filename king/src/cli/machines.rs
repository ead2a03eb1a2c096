//! Which machines a ship lives on, and which of them this is.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

/// Why a list of machines does not do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum MachinesError {
    /// One address stands twice.
    #[error("--machines names {0} twice")]
    Twice(SocketAddr),
    /// This machine's place in the list is not plain.
    #[error(
        "which of --machines ({list}) is this machine? {found} of them are its own addresses; say it with --bind IP:PORT"
    )]
    NotPlain {
        /// The list.
        list: String,
        /// How many match.
        found: usize,
    },
    /// `--bind` is not in the list.
    #[error("--bind {bind} is not among --machines ({list})")]
    NotListed {
        /// What was given.
        bind: SocketAddr,
        /// The list.
        list: String,
    },
    /// `--bind` alone.
    #[error("--bind {0} goes with --machines")]
    Alone(SocketAddr),
}

/// This machine's own address among `machines`; None for a ship on one machine.
///
/// # Errors
/// When the list is not one, or does not tell.
pub(super) fn own_address(
    machines: &[SocketAddr],
    bind: Option<SocketAddr>,
    local: &BTreeSet<IpAddr>,
) -> Result<Option<SocketAddr>, MachinesError> {
    let list = || {
        machines
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",")
    };
    let mut seen = BTreeSet::new();
    if let Some(twice) = machines.iter().find(|address| !seen.insert(**address)) {
        return Err(MachinesError::Twice(*twice));
    }
    match (machines.is_empty(), bind) {
        (true, Some(bind)) => Err(MachinesError::Alone(bind)),
        (true, None) => Ok(None),
        (false, Some(bind)) if machines.contains(&bind) => Ok(Some(bind)),
        (false, Some(bind)) => Err(MachinesError::NotListed { bind, list: list() }),
        (false, None) => {
            let own: Vec<_> = machines
                .iter()
                .filter(|address| local.contains(&address.ip()))
                .collect();
            match own.as_slice() {
                [one] => Ok(Some(**one)),
                many => Err(MachinesError::NotPlain {
                    list: list(),
                    found: many.len(),
                }),
            }
        }
    }
}

/// The addresses of this machine's interfaces.
#[must_use]
pub(super) fn local_addresses() -> BTreeSet<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else {
        return BTreeSet::new();
    };
    interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &str) -> Vec<SocketAddr> {
        list.split(',').map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn one_of_ours_is_plain() {
        let local = BTreeSet::from(["127.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()]);
        let machines = addresses("10.0.0.1:7000,10.0.0.2:7000,10.0.0.3:7000");
        assert_eq!(
            own_address(&machines, None, &local),
            Ok(Some("10.0.0.2:7000".parse().unwrap()))
        );
        assert_eq!(own_address(&[], None, &local), Ok(None));
    }

    #[test]
    fn what_is_not_plain_must_be_said() {
        let local = BTreeSet::from(["127.0.0.1".parse().unwrap()]);
        let machines = addresses("127.0.0.1:7000,127.0.0.1:7001");
        let error = own_address(&machines, None, &local).unwrap_err();
        assert_eq!(
            error,
            MachinesError::NotPlain {
                list: "127.0.0.1:7000,127.0.0.1:7001".into(),
                found: 2
            }
        );
        let second = "127.0.0.1:7001".parse().unwrap();
        assert_eq!(own_address(&machines, Some(second), &local), Ok(Some(second)));
        let other = "127.0.0.1:7002".parse().unwrap();
        assert!(matches!(
            own_address(&machines, Some(other), &local),
            Err(MachinesError::NotListed { .. })
        ));
        assert_eq!(
            own_address(&[], Some(other), &local),
            Err(MachinesError::Alone(other))
        );
        let twice = addresses("127.0.0.1:7000,127.0.0.1:7000");
        assert!(matches!(
            own_address(&twice, None, &local),
            Err(MachinesError::Twice(_))
        ));
    }
}
