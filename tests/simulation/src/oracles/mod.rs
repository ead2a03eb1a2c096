//! Who judges a run. Each oracle knows one promise; it sees every fact, and says when the promise is broken.

mod dates;
mod durability;
mod health;
mod kept;
mod logs_equal;
mod monotonic;
mod one_leader;
mod one_releases;
mod order;
mod outcomes;
mod reads;
mod released;
mod saved;

use crate::fact::Fact;
use std::fmt;

/// A promise that was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The oracle that says so.
    pub oracle: &'static str,
    /// When, simulated milliseconds.
    pub at: u64,
    /// What is wrong.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {} ms: {}", self.oracle, self.at, self.text)
    }
}

/// One promise.
trait Oracle: fmt::Debug {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Judges a fact.
    fn see(&mut self, fact: &Fact) -> Result<(), String>;

    /// Judges the whole, when everybody has agreed on all that happened.
    fn end(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// All of them.
#[derive(Debug)]
pub struct Oracles(Vec<Box<dyn Oracle>>);

impl Oracles {
    /// The oracles of a cluster of `members`.
    #[must_use]
    pub fn new(members: usize) -> Oracles {
        Oracles(vec![
            Box::new(durability::Durability::default()),
            Box::new(logs_equal::LogsEqual::default()),
            Box::new(order::Order::new(members)),
            Box::new(one_leader::OneLeader::new(members)),
            Box::new(monotonic::Monotonic::new(members)),
            Box::new(kept::Kept::new(members)),
            Box::new(health::Health::new(members)),
            Box::new(outcomes::Outcomes::default()),
            Box::new(released::Released::default()),
            Box::new(one_releases::OneReleases::default()),
            Box::new(reads::Reads::default()),
            Box::new(dates::Dates::default()),
            Box::new(saved::Saved),
        ])
    }

    /// Judges a fact.
    ///
    /// # Errors
    /// When it breaks a promise.
    pub fn see(&mut self, fact: &Fact) -> Result<(), Violation> {
        for oracle in &mut self.0 {
            oracle.see(fact).map_err(|text| Violation {
                oracle: oracle.name(),
                at: fact.at,
                text: match fact.member {
                    Some(member) => format!("m{member}: {text}"),
                    None => text,
                },
            })?;
        }
        Ok(())
    }

    /// Judges the whole, `at` its end.
    ///
    /// # Errors
    /// When it breaks a promise.
    pub fn end(&mut self, at: u64) -> Result<(), Violation> {
        for oracle in &mut self.0 {
            oracle.end().map_err(|text| Violation {
                oracle: oracle.name(),
                at,
                text,
            })?;
        }
        Ok(())
    }
}

/// An oracle's note about a member; a member that there is not is a mistake of the simulation.
fn of<'n, T>(notes: &'n mut [T], fact: &Fact) -> Result<Option<(usize, &'n mut T)>, String> {
    let count = notes.len();
    match fact.member {
        None => Ok(None),
        Some(member) => match notes.get_mut(member) {
            Some(note) => Ok(Some((member, note))),
            None => Err(format!("there is no such member among {count}")),
        },
    }
}
