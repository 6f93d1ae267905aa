//! Counts of durations with 3 % resolution in 16 KiB, whatever the range.

use std::time::Duration;

/// Buckets per power of two.
const STEPS: usize = 32;

#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: Duration,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Histogram { buckets: vec![0; STEPS * 64], count: 0, max: Duration::ZERO }
    }

    pub(crate) fn record(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(micros)] += 1;
        self.count += 1;
        self.max = self.max.max(duration);
    }

    /// The smallest duration that `share` (0 to 1) of the samples do not exceed; its bucket's upper end, never above the
    /// maximum. Zero without samples.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let wanted = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut below = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            below += count;
            if below >= wanted {
                return Duration::from_micros(upper_end(index)).min(self.max);
            }
        }
        Duration::ZERO
    }

    pub(crate) fn max(&self) -> Duration {
        self.max
    }
}

/// Below 64 every microsecond has its bucket; above, each power of two is cut into [`STEPS`].
fn bucket(micros: u64) -> usize {
    if micros < 2 * STEPS as u64 {
        return micros as usize;
    }
    let shift = 63 - micros.leading_zeros() - STEPS.trailing_zeros();
    STEPS * shift as usize + (micros >> shift) as usize
}

fn upper_end(bucket: usize) -> u64 {
    if bucket < 2 * STEPS {
        return bucket as u64;
    }
    let shift = bucket / STEPS - 1;
    let step = (bucket - STEPS * shift) as u64;
    ((step + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_within_three_percent() {
        let mut histogram = Histogram::new();
        for micros in 1..=100_000 {
            histogram.record(Duration::from_micros(micros));
        }
        for (share, expected) in [(0.5, 50_000.0), (0.99, 99_000.0), (0.0001, 10.0)] {
            let got = histogram.quantile(share).as_micros() as f64;
            assert!((got / expected - 1.0).abs() < 0.032, "{share}: {got}");
        }
        assert_eq!(histogram.quantile(1.0), Duration::from_micros(100_000));
        assert_eq!(histogram.max(), Duration::from_micros(100_000));
    }

    #[test]
    fn every_duration_has_a_bucket_whose_end_is_not_below_it() {
        for micros in (0..64).map(|b| 1u64 << b).chain(0..5000).chain([u64::MAX - 1]) {
            let index = bucket(micros);
            assert!(index < STEPS * 64, "{micros}");
            if micros < 1 << 60 {
                assert!(
                    upper_end(index) >= micros && (index == 0 || upper_end(index - 1) < micros),
                    "{micros}"
                );
            }
        }
    }
}
