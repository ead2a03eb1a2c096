//! etcd, to be measured beside: members as processes of its own on loopback with its default settings, and a client.

mod call;
mod message;

use crate::figures::{Figures, SLICE};
use anyhow::{Context, bail, ensure};
use call::Channel;
use message::{put_request, status_response, txn_request};
use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// Connections to the leader over which the puts in flight are spread, so that none of them is what limits the rate.
const CONNECTIONS: usize = 4;
/// How large a member's database may grow, bytes. By default it refuses puts from 2 GiB on, which a long run reaches.
const QUOTA_BYTES: u64 = 8 << 30;
/// How long an election may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the members are asked who leads.
const POLL: Duration = Duration::from_millis(20);
/// How much of a member's log an error shows, bytes.
const TAIL: usize = 2000;

/// The `etcd` on the PATH, if there is one.
#[must_use]
pub fn program() -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|directory| directory.join("etcd"))
        .find(|path| path.is_file())
}

/// Members that run. They are killed when this is dropped, and what they stored goes.
#[derive(Debug)]
pub struct Etcd {
    members: Vec<Member>,
    next_key: Arc<AtomicU64>,
    directory: TempDir,
}

/// A member's process.
#[derive(Debug)]
struct Member {
    child: Child,
    clients: SocketAddr,
    log: PathBuf,
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Etcd {
    /// Starts so many members, and waits until they have a leader.
    ///
    /// # Errors
    /// When they do not come up: with the end of a member's log.
    pub async fn start(program: &Path, members: usize) -> anyhow::Result<Etcd> {
        let directory = tempfile::tempdir()?;
        // Held together until all are chosen, so that none is given out twice.
        let listeners: Vec<TcpListener> = (0..2 * members)
            .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .collect::<Result<_, _>>()
            .context("no loopback port is free")?;
        let ports: Vec<SocketAddr> = listeners
            .iter()
            .map(TcpListener::local_addr)
            .collect::<Result<_, _>>()?;
        drop(listeners);
        let (clients, peers) = ports.split_at(members);
        let cluster: Vec<String> = (1..)
            .zip(peers)
            .map(|(number, peer)| format!("member-{number}=http://{peer}"))
            .collect();
        let mut etcd = Etcd {
            members: Vec::new(),
            next_key: Arc::default(),
            directory,
        };
        for (number, (client, peer)) in (1..).zip(clients.iter().zip(peers)) {
            let place = etcd.directory.path().join(format!("member-{number}"));
            let member = spawn(program, &place, number, *client, *peer, &cluster.join(","))?;
            etcd.members.push(member);
        }
        etcd.leader().await?;
        Ok(etcd)
    }

    /// Where the leader takes clients' calls, once all members know the same one.
    async fn leader(&mut self) -> anyhow::Result<SocketAddr> {
        let end = Instant::now() + PATIENCE;
        loop {
            for member in &mut self.members {
                if let Some(status) = member.child.try_wait()? {
                    bail!("etcd has ended with {status}: {}", tail(&member.log));
                }
            }
            if let Ok(Some(leader)) = self.agreed_leader().await {
                return Ok(leader);
            }
            if Instant::now() > end {
                let logs: Vec<String> = self.members.iter().map(|member| tail(&member.log)).collect();
                bail!(
                    "no leader of etcd in {} s: {}",
                    PATIENCE.as_secs(),
                    logs.join("\n")
                );
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn agreed_leader(&self) -> anyhow::Result<Option<SocketAddr>> {
        let mut standings = Vec::new();
        for member in &self.members {
            let channel = Channel::connect(member.clients).await?;
            let answer = channel.call("/etcdserverpb.Maintenance/Status", &[]).await?;
            let standing = status_response(&answer).context("etcd's status cannot be read")?;
            standings.push((standing, member.clients));
        }
        let leader = standings.first().map_or(0, |(standing, _)| standing.leader);
        let agreed = standings.iter().all(|(standing, _)| standing.leader == leader);
        let found = standings
            .iter()
            .find(|(standing, _)| agreed && standing.member == leader && leader != 0);
        Ok(found.map(|(_, clients)| *clients))
    }

    /// Puts values of so many bytes for a slice of time, so many requests in flight and so many puts in each, every one
    /// under a key of its own.
    ///
    /// # Errors
    /// When a put fails, as those in flight do where the leader changes.
    pub async fn measure(
        &mut self,
        in_flight: usize,
        puts_each: usize,
        size: usize,
    ) -> anyhow::Result<Figures> {
        let leader = self.leader().await?;
        let mut channels = Vec::new();
        for _ in 0..CONNECTIONS {
            channels.push(Channel::connect(leader).await?);
        }
        let began = Instant::now();
        let mut clients = JoinSet::new();
        for channel in channels.iter().cycle().take(in_flight) {
            let (channel, keys) = (channel.clone(), self.next_key.clone());
            clients.spawn(async move {
                let value = vec![7; size];
                let mut latencies = Vec::new();
                while began.elapsed() < SLICE {
                    let first = keys.fetch_add(puts_each as u64, Ordering::Relaxed);
                    let mut puts =
                        (first..first + puts_each as u64).map(|key| put_request(&key.to_be_bytes(), &value));
                    let (path, message) = match puts_each {
                        1 => ("/etcdserverpb.KV/Put", puts.next().unwrap_or_default()),
                        _ => ("/etcdserverpb.KV/Txn", txn_request(puts)),
                    };
                    let sent = Instant::now();
                    channel.call(path, &message).await?;
                    latencies.push(sent.elapsed());
                }
                anyhow::Ok(latencies)
            });
        }
        let mut latencies = Vec::new();
        while let Some(client) = clients.join_next().await {
            latencies.extend(client??);
        }
        let elapsed = began.elapsed();
        ensure!(!latencies.is_empty(), "etcd took nothing in a slice of time");
        Ok(Figures::of(&latencies, puts_each, elapsed))
    }
}

fn spawn(
    program: &Path,
    place: &Path,
    number: usize,
    clients: SocketAddr,
    peers: SocketAddr,
    cluster: &str,
) -> anyhow::Result<Member> {
    fs::create_dir(place).with_context(|| format!("the directory {}", place.display()))?;
    let log = place.join("log");
    let mut command = Command::new(program);
    // Its settings can also come from the environment, and these here are all that it shall have.
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"ETCD_") {
            command.env_remove(name);
        }
    }
    let child = command
        .arg(format!("--name=member-{number}"))
        .arg("--data-dir")
        .arg(place.join("data"))
        .arg(format!("--listen-client-urls=http://{clients}"))
        .arg(format!("--advertise-client-urls=http://{clients}"))
        .arg(format!("--listen-peer-urls=http://{peers}"))
        .arg(format!("--initial-advertise-peer-urls=http://{peers}"))
        .arg(format!("--initial-cluster={cluster}"))
        .arg("--initial-cluster-token=seguro-benches")
        .arg(format!("--quota-backend-bytes={QUOTA_BYTES}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&log).with_context(|| format!("the file {}", log.display()))?)
        .spawn()
        .with_context(|| format!("{} cannot be started", program.display()))?;
    Ok(Member { child, clients, log })
}

fn tail(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let from = bytes.len().saturating_sub(TAIL);
    String::from_utf8_lossy(&bytes[from..]).into_owned()
}
