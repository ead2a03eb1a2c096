//! Looks the galaxies up, all of them, again and again (`spec/drivers.md` section 8).

use super::core::Core;
use crate::{
    drivers::udp::{galaxies, shared::Shared},
    limits,
};
use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    sync::Weak,
};
use tokio::task::JoinSet;

/// Looks up the galaxies under a domain until it is aborted, or the driver is gone.
pub(crate) async fn run(shared: Weak<Shared<Core>>, domain: String) {
    loop {
        round(&domain, system, |galaxy, address| {
            if let Some(shared) = shared.upgrade() {
                shared.core().resolved(&domain, galaxy, address);
            }
        })
        .await;
        tokio::time::sleep(limits::AMES_DNS_EVERY).await;
    }
}

/// The system's own resolver, as in vere.
async fn system(host: String) -> Option<Ipv4Addr> {
    let mut addresses = tokio::net::lookup_host((host.as_str(), 0)).await.ok()?;
    addresses.find_map(|address| match address {
        SocketAddr::V4(address) => Some(*address.ip()),
        SocketAddr::V6(_) => None,
    })
}

/// Looks all of them up, so many at once.
async fn round<F: Future<Output = Option<Ipv4Addr>> + Send + 'static>(
    domain: &str,
    resolve: fn(String) -> F,
    mut found: impl FnMut(u8, Option<Ipv4Addr>),
) {
    // Dropped with this future: what was not answered is answered to nobody.
    let mut lookups = JoinSet::new();
    for galaxy in 0..=u8::MAX {
        if lookups.len() >= limits::AMES_DNS_AT_ONCE
            && let Some(Ok((galaxy, address))) = lookups.join_next().await
        {
            found(galaxy, address);
        }
        let lookup = resolve(galaxies::host(galaxy, domain));
        lookups.spawn(async move { (galaxy, lookup.await) });
    }
    while let Some(done) = lookups.join_next().await {
        if let Ok((galaxy, address)) = done {
            found(galaxy, address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static AT_ONCE: AtomicUsize = AtomicUsize::new(0);

    async fn first_letter(host: String) -> Option<Ipv4Addr> {
        assert!(AT_ONCE.fetch_add(1, Ordering::SeqCst) < limits::AMES_DNS_AT_ONCE);
        tokio::task::yield_now().await;
        AT_ONCE.fetch_sub(1, Ordering::SeqCst);
        assert!(host.ends_with(".urbit.org."));
        host.starts_with('z')
            .then_some(Ipv4Addr::new(10, 0, 0, host.as_bytes()[1]))
    }

    #[tokio::test]
    async fn every_galaxy_is_looked_up_once_and_few_at_once() {
        let mut seen = [0; 256];
        let mut zod = None;
        round("urbit.org", first_letter, |galaxy, address| {
            seen[usize::from(galaxy)] += 1;
            if galaxy == 0 {
                zod = address;
            }
        })
        .await;
        assert_eq!(seen, [1; 256]);
        assert_eq!(zod, Some(Ipv4Addr::new(10, 0, 0, b'o')));
    }
}
