//! Percentiles and medians.

/// The value below which `share` of the samples lie (nearest rank). Sorts the samples.
pub fn percentile(samples: &mut [f64], share: f64) -> f64 {
    assert!(!samples.is_empty(), "a percentile of nothing");
    samples.sort_by(f64::total_cmp);
    let rank = ((samples.len() as f64 * share).ceil() as usize).clamp(1, samples.len());
    samples[rank - 1]
}

/// Least, middle and greatest of several repetitions.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Spread {
    /// Least.
    pub least: f64,
    /// Median.
    pub median: f64,
    /// Greatest.
    pub greatest: f64,
}

impl Spread {
    /// Of the samples.
    pub fn of(samples: impl IntoIterator<Item = f64>) -> Self {
        let mut samples = samples.into_iter().collect::<Vec<_>>();
        let median = percentile(&mut samples, 0.5);
        Self { least: samples[0], median, greatest: samples[samples.len() - 1] }
    }
}
