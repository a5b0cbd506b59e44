//! Numbers as a line of bars.

/// Bars of a line, at most.
const BARS: usize = 48;
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A line of bars, one for each value or for the mean of several neighbours; a space where there is no value.
pub(super) fn sparkline(values: &[Option<f64>]) -> String {
    let bars = values.len().min(BARS);
    let means: Vec<Option<f64>> = (0..bars)
        .map(|bar| {
            let (start, end) = (bar * values.len() / bars, (bar + 1) * values.len() / bars);
            let there: Vec<f64> = values[start..end].iter().copied().flatten().collect();
            // Divided before they are added: the sum of two huge numbers may be none.
            let mean = there.iter().map(|v| v / there.len() as f64).sum();
            (!there.is_empty()).then_some(mean)
        })
        .collect();
    let there = means.iter().copied().flatten();
    let (low, high) = there.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
        (low.min(v), high.max(v))
    });
    let range = high / 2.0 - low / 2.0;
    let bar = |mean: &Option<f64>| match mean {
        None => ' ',
        Some(_) if range <= 0.0 => LEVELS[0],
        Some(mean) => {
            let level = (mean / 2.0 - low / 2.0) / range * (LEVELS.len() - 1) as f64;
            LEVELS[(level.round() as usize).min(LEVELS.len() - 1)]
        }
    };
    means.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_is_low_and_the_greatest_high() {
        let line = |values: &[f64]| sparkline(&values.iter().map(|v| Some(*v)).collect::<Vec<_>>());
        assert_eq!(line(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]), "▁▂▃▄▅▆▇█");
        assert_eq!(line(&[3.0, 3.0]), "▁▁");
        assert_eq!(line(&[f64::MIN, f64::MAX]), "▁█");
        assert_eq!(sparkline(&[Some(1.0), None, Some(2.0)]), "▁ █");
        assert_eq!(sparkline(&[]), "");
        let many: Vec<Option<f64>> = (0..1000).map(|n| Some(f64::from(n))).collect();
        assert_eq!(sparkline(&many).chars().count(), BARS);
    }
}
