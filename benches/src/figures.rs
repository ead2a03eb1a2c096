//! Latencies and rates, and medians of them over rounds.

use std::time::{Duration, Instant};

/// How long one measurement of a round takes.
pub const SLICE: Duration = Duration::from_millis(700);
/// Rounds where the command line names no number.
const ROUNDS: usize = 7;

/// What one measurement gave, or the median of several.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// The median latency, microseconds.
    pub p50_us: f64,
    /// The latency that 99 of 100 stay below, microseconds.
    pub p99_us: f64,
    /// Events a second.
    pub rate: f64,
}

impl Figures {
    /// The figures of some operations that took `elapsed` together, each of which was of so many events.
    ///
    /// # Panics
    /// Where there was no operation: there is nothing to take figures of.
    #[must_use]
    pub fn of(latencies: &[Duration], events_each: usize, elapsed: Duration) -> Figures {
        let mut micros: Vec<f64> = latencies.iter().map(|one| one.as_secs_f64() * 1e6).collect();
        Figures {
            p50_us: quantile(&mut micros, 0.5),
            p99_us: quantile(&mut micros, 0.99),
            rate: (latencies.len() * events_each) as f64 / elapsed.as_secs_f64(),
        }
    }

    /// Does something over and over for a slice of time, and takes its figures.
    ///
    /// # Errors
    /// The first that `operation` gives.
    pub fn take<E>(events_each: usize, mut operation: impl FnMut() -> Result<(), E>) -> Result<Figures, E> {
        let began = Instant::now();
        let mut latencies = Vec::new();
        while began.elapsed() < SLICE {
            let one = Instant::now();
            operation()?;
            latencies.push(one.elapsed());
        }
        Ok(Figures::of(&latencies, events_each, began.elapsed()))
    }

    /// The median of each figure over rounds.
    ///
    /// # Panics
    /// Where there was no round.
    #[must_use]
    pub fn median(rounds: &[Figures]) -> Figures {
        let median = |figure: fn(&Figures) -> f64| {
            let mut all: Vec<f64> = rounds.iter().map(figure).collect();
            quantile(&mut all, 0.5)
        };
        Figures {
            p50_us: median(|round| round.p50_us),
            p99_us: median(|round| round.p99_us),
            rate: median(|round| round.rate),
        }
    }
}

/// The value that the share `q` of all values does not exceed. Sorts them.
///
/// # Panics
/// Where there are no values.
#[must_use]
pub fn quantile(values: &mut [f64], q: f64) -> f64 {
    assert!(!values.is_empty(), "nothing was measured");
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * q) as usize]
}

/// How many rounds the command line asks for: its first number.
#[must_use]
pub fn rounds() -> usize {
    std::env::args()
        .skip(1)
        .find_map(|word| word.parse().ok())
        .filter(|rounds| *rounds > 0)
        .unwrap_or(ROUNDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_all_operations() {
        let latencies: Vec<Duration> = (1..=100).rev().map(Duration::from_micros).collect();
        let figures = Figures::of(&latencies, 10, Duration::from_millis(500));
        assert_eq!(figures.p50_us.round(), 50.0);
        assert_eq!(figures.p99_us.round(), 99.0);
        assert_eq!(figures.rate, 2000.0);
    }

    #[test]
    fn a_median_is_of_each_figure_by_itself() {
        let round = |p50_us, p99_us, rate| Figures { p50_us, p99_us, rate };
        let rounds = [round(1.0, 9.0, 5.0), round(2.0, 7.0, 6.0), round(3.0, 8.0, 4.0)];
        assert_eq!(Figures::median(&rounds), round(2.0, 8.0, 5.0));
    }
}
