//! `metrics.txt`: every figure as `OpenMetrics`, for monitoring systems that compare runs. The format requires base
//! units: seconds and bytes.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::metric::Unit;
use crate::record::Summary;
use crate::report::ReportError;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    profile: String,
    target: String,
    nodes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Judged {
    profile: String,
    target: String,
    nodes: u64,
    guarantee: String,
    verdict: String,
}

type Figures = Family<Of, Gauge<f64, AtomicU64>>;

/// Renders a summary's figures: medians over trials.
///
/// # Errors
/// When they cannot be written: a defect of this program.
pub fn openmetrics(summary: &Summary) -> Result<String, ReportError> {
    let mut registry = Registry::with_prefix("steadfast");
    let mut families: BTreeMap<String, Figures> = BTreeMap::new();
    let guarantees: Family<Judged, Gauge> = Family::default();
    registry.register("guarantee", "1 for the verdict on a guarantee", guarantees.clone());
    for target in &summary.targets {
        let of = Of { profile: summary.profile.clone(), target: target.target.clone(), nodes: u64::from(target.nodes) };
        for (guarantee, verdict) in &target.guarantees {
            let Of { profile, target, nodes } = of.clone();
            let (guarantee, verdict) = (guarantee.to_string(), verdict.to_string());
            guarantees.get_or_create(&Judged { profile, target, nodes, guarantee, verdict }).set(1);
        }
        for figure in &target.figures {
            let Some(median) = figure.median else { continue };
            let (name, value) = in_base_units(&figure.metric, figure.unit, median);
            let family = families.entry(name.clone()).or_insert_with(|| {
                let family = Figures::default();
                registry.register(name, format!("{}, median over trials", figure.metric), family.clone());
                family
            });
            family.get_or_create(&of).set(value);
        }
    }
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(in_order(&text))
}

/// Sorts the figures of each family, because the library has no order, and the same record must give the same bytes.
fn in_order(text: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    for figures in lines.chunk_by_mut(|one, next| !one.starts_with('#') && !next.starts_with('#')) {
        figures.sort_unstable();
    }
    lines.into_iter().flat_map(|line| [line, "\n"]).collect()
}

fn in_base_units(metric: &str, unit: Unit, value: f64) -> (String, f64) {
    let name = metric.replace('.', "_");
    match unit {
        Unit::Microseconds => (format!("{name}_seconds"), value / 1e6),
        Unit::Bytes if name.contains("bytes") => (name, value),
        Unit::Bytes => (format!("{name}_bytes"), value),
        Unit::PerSecond => (format!("{name}_per_second"), value),
        Unit::Count | Unit::Ratio => (name, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_sorted_below_the_heading_of_their_family() {
        let text = "# TYPE a gauge\na{x=\"2\"} 1\na{x=\"1\"} 1\n# TYPE b gauge\nb{x=\"0\"} 1\n# EOF\n";
        let ordered = "# TYPE a gauge\na{x=\"1\"} 1\na{x=\"2\"} 1\n# TYPE b gauge\nb{x=\"0\"} 1\n# EOF\n";
        assert_eq!(in_order(text), ordered);
    }
}
