//! `status PIER`: asks the member that runs there.

use super::StatusArgs;
use crate::{console, control_socket, pier::PierStatus};
use replog::Role;

/// Prints the state of the member that runs on this pier.
pub(super) fn main(args: &StatusArgs) -> anyhow::Result<u8> {
    let status = control_socket::ask_status(&args.pier)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else {
        println!("{}", table(&status));
    }
    Ok(0)
}

/// The role in a word or two.
pub(crate) fn role(role: &Role) -> String {
    match role {
        Role::Joining => "joining".to_owned(),
        Role::Learner { .. } => "learner".to_owned(),
        Role::Follower { .. } => "follower".to_owned(),
        Role::Candidate => "candidate".to_owned(),
        Role::Leader { term, .. } => format!("leader (term {term})"),
    }
}

/// The same on the console, as vere reports on SIGUSR1.
pub(super) fn report(status: &PierStatus) {
    for line in table(status).lines() {
        tracing::info!(target: console::TARGET, "{}", line.trim_end());
    }
}

fn table(status: &PierStatus) -> String {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    let mut row = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    let count = |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    row("ship", status.ship.clone());
    row("pier", status.pier.clone());
    row(
        "role",
        format!(
            "{}{}",
            role(&status.log.role),
            if status.live { ", live" } else { "" }
        ),
    );
    row("term", status.log.term.to_string());
    row(
        "leader",
        status.log.leader.as_ref().map_or_else(
            || "none".to_owned(),
            |leader| format!("{} {}", leader.id, address(leader)),
        ),
    );
    for member in &status.log.members {
        let kind = if member.voter { "voter" } else { "learner" };
        let own = if member.id == status.log.id {
            ", this one"
        } else {
            ""
        };
        let matched = member
            .matched
            .map(|index| format!(", has entry {index}"))
            .unwrap_or_default();
        row(
            "member",
            format!("{} {} ({kind}{own}{matched})", member.id, address(member)),
        );
    }
    row("computed", status.computed.to_string());
    row("committed", status.committed.to_string());
    row("released", count(status.released));
    row("played", count(status.played));
    row("lag", status.lag.to_string());
    row(
        "run-ahead",
        format!(
            "{} in the serf, {} uncommitted, {} waiting",
            status.in_serf, status.run_ahead, status.waiting
        ),
    );
    row(
        "serf",
        format!(
            "{} (pid {}, {}, mug {})",
            status.serf.program,
            status
                .serf
                .pid
                .map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
            if status.serf.awake {
                "awake"
            } else {
                "not answering"
            },
            status.serf.mug
        ),
    );
    row("snapshot", count(status.snapshot));
    row(
        "event log",
        format!(
            "durable to {}, epochs {:?}, {} bytes",
            status.log.durable, status.log.epochs, status.log.event_log_bytes
        ),
    );
    row(
        "raft log",
        format!(
            "entry {}, purged to {}, {} bytes",
            status.log.last_log_index, status.log.purged_index, status.log.raft_log_bytes
        ),
    );
    row(
        "quorum",
        status
            .log
            .millis_since_quorum
            .map_or_else(|| "-".to_owned(), |millis| format!("{millis} ms ago")),
    );
    row(
        "disk free",
        status
            .disk_free_bytes
            .map_or_else(|| "-".to_owned(), |bytes| format!("{bytes} bytes")),
    );
    row("process", format!("pid {}, up {} s", status.pid, status.uptime_s));
    table.to_string()
}

fn address(member: &replog::Member) -> String {
    member
        .address
        .map_or_else(|| "(alone)".to_owned(), |address| address.to_string())
}
