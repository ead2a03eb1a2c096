//! Relays between members: TCP that can be cut, stalled or damaged.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{RwLock, watch},
};

/// What a relay does with its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Bytes go through.
    Open,
    /// Connections are closed, and none is taken.
    Cut,
    /// Connections stay and are taken, but no byte goes through: a network that swallows all.
    Stalled,
}

/// A relay to one member, for one other.
#[derive(Debug)]
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    way: watch::Sender<Way>,
    /// Held while bytes are passed on, so that none are once a change of way is done.
    passing: Arc<RwLock<()>>,
    damage: Arc<AtomicBool>,
    pub(crate) damaged: Arc<AtomicU64>,
}

impl Relay {
    pub(crate) async fn start(target: SocketAddr) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let way = watch::Sender::new(Way::Open);
        let (damage, damaged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let relay = Relay {
            address,
            way: way.clone(),
            passing: Arc::default(),
            damage: damage.clone(),
            damaged: damaged.clone(),
        };
        let passing = relay.passing.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (mut cut, way) = (way.subscribe(), way.subscribe());
                let (damage, damaged) = (damage.clone(), damaged.clone());
                let passing = passing.clone();
                tokio::spawn(async move {
                    if *way.borrow() == Way::Cut {
                        return;
                    }
                    let Ok(far) = TcpStream::connect(target).await else {
                        return;
                    };
                    let _ = (near.set_nodelay(true), far.set_nodelay(true));
                    let (near_in, near_out) = near.into_split();
                    let (far_in, far_out) = far.into_split();
                    tokio::select! {
                        () = pump(near_in, far_out, way.clone(), &passing, Some((damage, damaged))) => {}
                        () = pump(far_in, near_out, way, &passing, None) => {}
                        _ = cut.wait_for(|way| *way == Way::Cut) => {}
                    }
                });
            }
        });
        relay
    }

    /// Changes the way; when this returns no byte goes the old one.
    pub(crate) async fn set(&self, way: Way) {
        let _none_pass = self.passing.write().await;
        self.way.send_replace(way);
    }

    /// Flips a bit in the next bytes that go to the target.
    pub(crate) fn damage(&self) {
        self.damage.store(true, Ordering::SeqCst);
    }
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut way: watch::Receiver<Way>,
    passing: &RwLock<()>,
    damage: Option<(Arc<AtomicBool>, Arc<AtomicU64>)>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        // Of enough bytes to be within a frame, the middle one.
        if let Some((damage, damaged)) = &damage
            && count > 64
            && damage.swap(false, Ordering::SeqCst)
        {
            buffer[count / 2] ^= 0x10;
            damaged.fetch_add(1, Ordering::SeqCst);
        }
        let _passing = loop {
            if way.wait_for(|way| *way != Way::Stalled).await.is_err() {
                return;
            }
            let passing = passing.read().await;
            let now = *way.borrow();
            match now {
                Way::Open => break passing,
                Way::Cut => return,
                Way::Stalled => {}
            }
        };
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
