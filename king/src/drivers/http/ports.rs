//! Which ports the servers take, and what the world is told of them (`spec/drivers.md` section 6).

use crate::limits::HTTP_LOOPBACK_PORT;
use std::{io, net::Ipv4Addr};

/// One of the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Open to others, without TLS.
    Public,
    /// Open to others, through TLS.
    Secure,
    /// For this machine only; its requests are `%request-local`.
    Loopback,
}

impl Kind {
    /// Where it binds; public servers go by `--http-ip`.
    pub(crate) fn address(self, public: Ipv4Addr) -> Ipv4Addr {
        match self {
            Kind::Public | Kind::Secure => public,
            Kind::Loopback => Ipv4Addr::LOCALHOST,
        }
    }

    /// What its console line calls it.
    fn label(self) -> &'static str {
        match self {
            Kind::Public | Kind::Secure => "web interface",
            Kind::Loopback => "loopback",
        }
    }

    /// The console's line when it listens.
    pub(crate) fn live_line(self, port: u16) -> String {
        let scheme = match self {
            Kind::Secure => "https",
            Kind::Public | Kind::Loopback => "http",
        };
        format!("http: {} live on {scheme}://localhost:{port}", self.label())
    }

    /// Its line in `.http.ports`.
    pub(crate) fn file_line(self, port: u16) -> String {
        let reach = match self {
            Kind::Public => "insecure public",
            Kind::Secure => "secure public",
            Kind::Loopback => "insecure loopback",
        };
        format!("{port} {reach}\n")
    }
}

/// A port to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Which.
    pub(crate) port: u16,
    /// Whether no other will do.
    pub(crate) is_fixed: bool,
    /// Whether it was reached by counting up: a public server's is kept for its next start, as if it had been given.
    pub(crate) is_counted: bool,
}

/// What a port that could not be had means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Setback {
    /// Try this one.
    Next(Choice),
    /// Go on without this server; the console's line.
    Without(String),
    /// The ship cannot run; the console's line.
    Fatal(String),
}

impl Choice {
    /// The port to begin with. `fixed` was given on the command line, or reached earlier by counting up.
    pub(crate) fn first(kind: Kind, fixed: Option<u16>, behind_proxy: bool) -> Choice {
        let given = fixed.filter(|port| *port != 0 && kind != Kind::Loopback);
        let port = match kind {
            Kind::Loopback => HTTP_LOOPBACK_PORT,
            Kind::Public if behind_proxy => 8080,
            Kind::Public => 80,
            Kind::Secure if behind_proxy => 8443,
            Kind::Secure => 443,
        };
        Choice {
            port: given.unwrap_or(port),
            is_fixed: given.is_some(),
            is_counted: false,
        }
    }

    /// What follows from its failure.
    pub(crate) fn after(self, kind: Kind, error: &io::Error) -> Setback {
        let Choice { port, is_fixed, .. } = self;
        let reason = reason(error);
        match error.kind() {
            io::ErrorKind::AddrNotAvailable => Setback::Fatal("http: ip address not available".to_owned()),
            _ if is_fixed => Setback::Fatal(format!("http: listen ({port}): {reason}")),
            io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => {
                match (kind, port, port.checked_add(1)) {
                    (Kind::Public, 80, _) => Setback::Next(Choice { port: 8080, ..self }),
                    (Kind::Secure, 443, _) => Setback::Next(Choice { port: 8443, ..self }),
                    (_, _, Some(port)) => Setback::Next(Choice {
                        port,
                        is_counted: true,
                        ..self
                    }),
                    (_, _, None) => Setback::Without(format!("http: listen: {reason}")),
                }
            }
            _ => Setback::Without(format!("http: listen: {reason}")),
        }
    }
}

/// The reason as vere words it.
fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "address already in use".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use io::ErrorKind::{AddrInUse, AddrNotAvailable, PermissionDenied};

    /// The ports that are tried while each is refused in this way.
    fn tried(
        kind: Kind,
        fixed: Option<u16>,
        proxy: bool,
        refused: io::ErrorKind,
    ) -> (Vec<u16>, Option<Setback>) {
        let mut choice = Choice::first(kind, fixed, proxy);
        let mut ports = vec![choice.port];
        while ports.len() < 4 {
            match choice.after(kind, &refused.into()) {
                Setback::Next(next) => choice = next,
                end => return (ports, Some(end)),
            }
            ports.push(choice.port);
        }
        (ports, None)
    }

    #[test]
    fn public_servers_go_from_80_to_8080_and_then_count() {
        assert_eq!(
            tried(Kind::Public, None, false, AddrInUse),
            (vec![80, 8080, 8081, 8082], None)
        );
        assert_eq!(
            tried(Kind::Public, None, false, PermissionDenied),
            (vec![80, 8080, 8081, 8082], None)
        );
        assert_eq!(
            tried(Kind::Public, Some(0), true, AddrInUse),
            (vec![8080, 8081, 8082, 8083], None)
        );
        assert_eq!(
            tried(Kind::Secure, None, false, AddrInUse),
            (vec![443, 8443, 8444, 8445], None)
        );
        assert_eq!(
            tried(Kind::Secure, None, true, PermissionDenied),
            (vec![8443, 8444, 8445, 8446], None)
        );
    }

    #[test]
    fn the_loopback_server_counts_from_12321_whatever_is_given() {
        assert_eq!(
            tried(Kind::Loopback, Some(5000), true, AddrInUse),
            (vec![12321, 12322, 12323, 12324], None)
        );
    }

    #[test]
    fn only_numbers_that_were_counted_are_kept() {
        let first = Choice::first(Kind::Public, None, false);
        let Setback::Next(second) = first.after(Kind::Public, &AddrInUse.into()) else {
            panic!()
        };
        let Setback::Next(third) = second.after(Kind::Public, &AddrInUse.into()) else {
            panic!()
        };
        assert_eq!(
            [first, second, third].map(|choice| choice.is_counted),
            [false, false, true]
        );
    }

    #[test]
    fn a_fixed_port_that_is_taken_ends_the_ship() {
        let fatal = |line: &str| Some(Setback::Fatal(line.to_owned()));
        let line = "http: listen (5000): address already in use";
        assert_eq!(
            tried(Kind::Public, Some(5000), false, AddrInUse),
            (vec![5000], fatal(line))
        );
        let line = "http: listen (5): permission denied";
        assert_eq!(
            tried(Kind::Public, Some(5), false, PermissionDenied),
            (vec![5], fatal(line))
        );
    }

    #[test]
    fn an_address_that_is_not_ours_ends_the_ship() {
        let fatal = Some(Setback::Fatal("http: ip address not available".to_owned()));
        assert_eq!(
            tried(Kind::Public, None, false, AddrNotAvailable),
            (vec![80], fatal)
        );
    }

    #[test]
    fn other_failures_cost_the_server_only() {
        let (ports, end) = tried(Kind::Public, None, false, io::ErrorKind::OutOfMemory);
        assert_eq!(ports, [80]);
        assert!(matches!(end, Some(Setback::Without(line)) if line.starts_with("http: listen: ")));
        let last = Choice {
            port: 65535,
            is_fixed: false,
            is_counted: true,
        };
        assert!(matches!(
            last.after(Kind::Loopback, &AddrInUse.into()),
            Setback::Without(_)
        ));
    }

    #[test]
    fn the_world_reads_these_lines() {
        assert_eq!(
            Kind::Public.live_line(80),
            "http: web interface live on http://localhost:80"
        );
        assert_eq!(
            Kind::Loopback.live_line(12321),
            "http: loopback live on http://localhost:12321"
        );
        assert_eq!(
            Kind::Secure.live_line(443),
            "http: web interface live on https://localhost:443"
        );
        assert_eq!(Kind::Public.file_line(80), "80 insecure public\n");
        assert_eq!(Kind::Secure.file_line(8443), "8443 secure public\n");
        assert_eq!(Kind::Loopback.file_line(12321), "12321 insecure loopback\n");
    }
}
