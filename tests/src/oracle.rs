//! What is held against a ship once it has stopped: its logs, read from disk.

use crate::{Fate, Outcomes};
use anyhow::{Context, ensure};
use seguro_event::EventNumber;
use serf_ipc::{Noun, cue};
use std::{collections::BTreeMap, path::Path};

/// Dates from the year 1 on are from here on (`@da`).
const CHRIST: u128 = 1 << 127;

/// The logs of all members, which agree.
#[derive(Debug, Default)]
pub struct Logs {
    /// The events that the longest log holds: mug and jam.
    pub events: BTreeMap<EventNumber, (u32, Vec<u8>)>,
}

impl Logs {
    /// How often each numbered event of a load stands in the log.
    #[must_use]
    pub fn marks(&self) -> BTreeMap<u64, usize> {
        let mut marks = BTreeMap::new();
        for (_, jam) in self.events.values().filter(|(_, jam)| jam.len() < 4096) {
            let mark = cue(jam).ok().and_then(|event| {
                let wire = event.tail()?.head()?.clone();
                // A %crud in an event's place holds the event at its end.
                let last = |wire: &Noun| {
                    wire.iter_list()
                        .filter_map(Result::ok)
                        .last()
                        .and_then(Noun::as_cord)
                };
                let crud = || event.slot(31).and_then(|ovum| ovum.head()).and_then(last);
                last(&wire)
                    .filter(|knot| knot.starts_with("seguro-"))
                    .or_else(crud)?
                    .strip_prefix("seguro-")?
                    .parse()
                    .ok()
            });
            if let Some(mark) = mark {
                *marks.entry(mark).or_insert(0) += 1;
            }
        }
        marks
    }

    /// Adds the log of a stopped member, and holds it against the others.
    ///
    /// # Errors
    /// What does not hold, or cannot be read.
    pub fn add(&mut self, pier: &Path) -> anyhow::Result<()> {
        let mut last: Option<EventNumber> = None;
        let mut wrong = None;
        replog::inspect::for_each_event(pier, |event| {
            if last.is_some_and(|last| event.number != last.next()) {
                wrong.get_or_insert(format!(
                    "event {} follows {last:?} in {}",
                    event.number,
                    pier.display()
                ));
            }
            last = Some(event.number);
            let value = (event.mug.0, event.jam.to_vec());
            match self.events.get(&event.number) {
                Some(other) if *other != value => {
                    wrong.get_or_insert(format!("event {} differs in {}", event.number, pier.display()));
                }
                Some(_) => {}
                None => {
                    self.events.insert(event.number, value);
                }
            }
        })
        .with_context(|| format!("the log of {}", pier.display()))?;
        ensure!(wrong.is_none(), "{}", wrong.unwrap_or_default());
        ensure!(last.is_some(), "the log of {} is empty", pier.display());
        Ok(())
    }

    /// No event is dated before the one that it follows.
    ///
    /// # Errors
    /// The first that is.
    pub fn dates_never_go_back(&self) -> anyhow::Result<()> {
        let mut last = 0;
        for (number, (_, jam)) in &self.events {
            let date = cue(jam).ok().and_then(|event| event.head()?.as_u128());
            // The formulas at the front of a lifecycle have none.
            let Some(date) = date.filter(|date| *date >= CHRIST) else {
                continue;
            };
            ensure!(date >= last, "event {number} is dated {date:#x}, after {last:#x}");
            last = date;
        }
        Ok(())
    }

    /// The last event.
    #[must_use]
    pub fn last(&self) -> EventNumber {
        self.events.keys().next_back().copied().unwrap_or_default()
    }
}

/// Reads the logs of stopped members, and holds them to each other: no gap, and every event that two of them hold is the
/// same in both, byte for byte.
///
/// # Errors
/// What does not hold, or cannot be read.
pub fn logs(piers: &[&Path]) -> anyhow::Result<Logs> {
    let mut logs = Logs::default();
    piers.iter().try_for_each(|pier| logs.add(pier))?;
    Ok(logs)
}

/// Every acknowledged event is in the log once; none is twice; none that was refused is there.
///
/// # Errors
/// The first that is not so.
pub fn acknowledged_are_there_once(logs: &Logs, outcomes: &Outcomes) -> anyhow::Result<()> {
    let marks = logs.marks();
    if let Some((mark, count)) = marks.iter().find(|(_, count)| **count != 1) {
        anyhow::bail!("event {mark} of the load stands {count} times in the log");
    }
    for (number, fate) in &outcomes.0 {
        match fate {
            Fate::Acknowledged { .. } => ensure!(
                marks.contains_key(number),
                "event {number} was acknowledged and is lost"
            ),
            Fate::Refused => ensure!(
                !marks.contains_key(number),
                "event {number} was refused and is in the log"
            ),
            Fate::Unknown => {}
        }
    }
    Ok(())
}
