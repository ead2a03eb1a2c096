//! What the members left behind: their logs, and what they printed.

use super::load::MARK;
use crate::local_cluster::LocalCluster;
use anyhow::Context;
use serf_ipc::{Noun, cue};
use std::{
    collections::BTreeMap,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
};

/// The evidence.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// How often each of the load's events stands in the log.
    pub(super) logged: BTreeMap<u64, usize>,
    /// How often each of the load's effects was seen outside, over all members.
    pub(super) released: BTreeMap<u64, usize>,
    /// Events that two members hold with different bytes.
    pub(super) differing: Vec<u64>,
    /// Events that are missing between those that a member holds.
    pub(super) gaps: usize,
    /// Events that all members hold.
    pub(super) common: usize,
}

pub(super) fn gather(cluster: &LocalCluster) -> anyhow::Result<Evidence> {
    let mut evidence = Evidence::default();
    let mut digests: Vec<BTreeMap<u64, u64>> = Vec::new();
    for member in &cluster.members {
        let mut digest = BTreeMap::new();
        let mut marks = BTreeMap::new();
        let mut expected = None;
        replog::inspect::for_each_event(&member.pier, |event| {
            if expected.is_some_and(|expected| expected != event.number) {
                evidence.gaps += 1;
            }
            expected = Some(event.number.next());
            let mut hasher = DefaultHasher::new();
            (event.mug.0, &event.jam).hash(&mut hasher);
            digest.insert(event.number.0, hasher.finish());
            if let Some(mark) = mark(&event.jam) {
                *marks.entry(mark).or_insert(0) += 1;
            }
        })
        .with_context(|| format!("the log of {}", member.pier.display()))?;
        for (mark, count) in marks {
            let most = evidence.logged.entry(mark).or_insert(0);
            *most = count.max(*most);
        }
        digests.push(digest);
        let printed =
            fs::read(&member.stdout).with_context(|| format!("what {} printed", member.pier.display()))?;
        for line in String::from_utf8_lossy(&printed).lines() {
            if let Some(number) = line
                .trim()
                .strip_prefix(MARK)
                .and_then(|number| number.parse().ok())
            {
                *evidence.released.entry(number).or_insert(0) += 1;
            }
        }
    }
    if let Some((first, rest)) = digests.split_first() {
        for (event, digest) in first {
            if rest
                .iter()
                .any(|other| other.get(event).is_some_and(|other| other != digest))
            {
                evidence.differing.push(*event);
            }
            if rest.iter().all(|other| other.contains_key(event)) {
                evidence.common += 1;
            }
        }
    }
    Ok(evidence)
}

/// The load's number of a logged event: the last knot of its wire.
fn mark(jam: &[u8]) -> Option<u64> {
    /// The load's events are small; a pill need not be unpacked to see that it is none of them.
    const LARGEST: usize = 4096;
    if jam.len() > LARGEST {
        return None;
    }
    let event = cue(jam).ok()?;
    let wire = event.tail()?.head()?;
    let last = wire
        .iter_list()
        .filter_map(Result::ok)
        .last()
        .and_then(Noun::as_cord)?;
    last.strip_prefix(MARK)?.parse().ok()
}
