//! The cost of each added node: the figures of a target by number of app nodes, and what the claim about its strategy
//! predicts. Pure: summaries in, lines out.
//!
//! The claims (docs/methodology.md): `replicate-all` sends each change to the N−1 others, so its bytes per operation
//! are (N−1) times those to one node; `primary-backup` sends it to one backup, and a store receives it once, for any N.
//! The prediction for each N is the claim, scaled from the smallest N that was measured.

use serde::{Deserialize, Serialize};

use super::TargetSummary;
use crate::topology::{Network, Strategy};

/// A target's figures with one number of nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Point {
    /// App nodes.
    pub nodes: u8,
    /// Bytes that nodes and store exchanged, per operation; none where not measured.
    pub bytes_per_operation: Option<f64>,
    /// What is claimed they would be.
    pub predicted_bytes: Option<f64>,
    /// The median response time.
    pub response_p50_us: u64,
    /// Its 99th percentile.
    pub response_p99_us: u64,
    /// Resident memory of an app node.
    pub memory_bytes: Option<u64>,
}

/// A straight line through points, by least squares.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Line {
    /// Its value with one node.
    pub at_one_node: f64,
    /// What each further node adds.
    pub per_added_node: f64,
    /// The share of the variance that it explains; none where nothing varies.
    pub r_squared: Option<f64>,
}

/// A target against its number of nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Scaling {
    /// The target.
    pub target: String,
    /// Where its sessions live.
    pub strategy: Strategy,
    /// In the order of the number of nodes.
    pub points: Vec<Point>,
    /// Bytes per operation.
    pub bytes: Option<Line>,
    /// The median response time, in µs.
    pub response_p50: Option<Line>,
    /// Resident memory of an app node, in bytes.
    pub memory: Option<Line>,
}

/// The scaling of every target that was run with several numbers of nodes.
#[must_use]
pub fn scaling(targets: &[TargetSummary]) -> Vec<Scaling> {
    let mut names: Vec<&str> = Vec::new();
    for target in targets {
        if !names.contains(&target.target.as_str()) {
            names.push(&target.target);
        }
    }
    names.into_iter().filter_map(|name| of_target(targets.iter().filter(|target| target.target == name))).collect()
}

fn of_target<'a>(summaries: impl Iterator<Item = &'a TargetSummary>) -> Option<Scaling> {
    let mut summaries: Vec<&TargetSummary> = summaries.collect();
    summaries.sort_by_key(|summary| summary.nodes);
    let first = *summaries.first().filter(|_| summaries.len() > 1)?;
    let smallest = exchanged_bytes(first).map(|bytes| (first.nodes, bytes));
    let point = |summary: &&TargetSummary| Point {
        nodes: summary.nodes,
        bytes_per_operation: exchanged_bytes(summary),
        predicted_bytes: smallest.map(|smallest| predict(summary.strategy, smallest, summary.nodes)),
        response_p50_us: summary.response_us.p50,
        response_p99_us: summary.response_us.p99,
        memory_bytes: summary.memory_bytes_per_node,
    };
    let points: Vec<Point> = summaries.iter().map(point).collect();
    Some(Scaling {
        target: first.target.clone(),
        strategy: first.strategy,
        bytes: line(&points, |point| point.bytes_per_operation),
        response_p50: line(&points, |point| Some(point.response_p50_us as f64)),
        memory: line(&points, |point| point.memory_bytes.map(|bytes| bytes as f64)),
        points,
    })
}

/// Bytes that app nodes and store exchange, per operation; `None` if one of the networks was not measured.
fn exchanged_bytes(summary: &TargetSummary) -> Option<f64> {
    let on = |network| summary.network_bytes_per_request.get(&network).copied();
    Some(on(Network::Cluster)? + on(Network::Store)?)
}

/// Predicts the bytes per operation with `nodes` nodes from those measured with the fewest nodes.
fn predict(strategy: Strategy, (fewest, bytes): (u8, f64), nodes: u8) -> f64 {
    match strategy {
        Strategy::ReplicateAll => bytes * (f64::from(nodes) - 1.0) / (f64::from(fewest) - 1.0).max(1.0),
        Strategy::None
        | Strategy::StickyCookie
        | Strategy::StickyIp
        | Strategy::PrimaryBackup
        | Strategy::Store
        | Strategy::ClientSide => bytes,
    }
}

/// Fits a line over the number of added nodes, N−1, by ordinary least squares.
fn line(points: &[Point], of: impl Fn(&Point) -> Option<f64>) -> Option<Line> {
    let pairs: Vec<(f64, f64)> =
        points.iter().filter_map(|point| Some((f64::from(point.nodes) - 1.0, of(point)?))).collect();
    if pairs.len() < 2 {
        return None;
    }
    let count = pairs.len() as f64;
    let (mean_x, mean_y) =
        (pairs.iter().map(|(x, _)| x).sum::<f64>() / count, pairs.iter().map(|(_, y)| y).sum::<f64>() / count);
    let of_x: f64 = pairs.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    let of_y: f64 = pairs.iter().map(|(_, y)| (y - mean_y).powi(2)).sum();
    let of_both: f64 = pairs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    if of_x <= 0.0 {
        return None;
    }
    let slope = of_both / of_x;
    Some(Line {
        at_one_node: mean_y - slope * mean_x,
        per_added_node: slope,
        r_squared: (of_y > 0.0).then(|| slope * of_both / of_y),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(nodes: u8, bytes: f64) -> Point {
        Point {
            nodes,
            bytes_per_operation: Some(bytes),
            predicted_bytes: None,
            response_p50_us: 1,
            response_p99_us: 2,
            memory_bytes: None,
        }
    }

    #[test]
    fn a_straight_line_is_found_again() {
        let points: Vec<Point> = [2, 4, 8].map(|nodes| point(nodes, 10.0 + 300.0 * (f64::from(nodes) - 1.0))).into();
        let line = line(&points, |point| point.bytes_per_operation).unwrap();
        assert!((line.at_one_node - 10.0).abs() < 1e-6, "{line:?}");
        assert!((line.per_added_node - 300.0).abs() < 1e-6, "{line:?}");
        assert!((line.r_squared.unwrap() - 1.0).abs() < 1e-9, "{line:?}");
    }

    #[test]
    fn constant_values_have_no_r_squared() {
        let line = line(&[point(2, 5.0), point(4, 5.0)], |point| point.bytes_per_operation).unwrap();
        assert!(line.per_added_node.abs() < 1e-9 && (line.at_one_node - 5.0).abs() < 1e-9, "{line:?}");
        assert_eq!(line.r_squared, None);
    }

    #[test]
    fn one_point_makes_no_line() {
        assert_eq!(line(&[point(2, 5.0)], |point| point.bytes_per_operation), None);
        assert_eq!(line(&[point(2, 5.0), point(2, 6.0)], |point| point.bytes_per_operation), None);
    }

    #[test]
    fn replicate_all_is_predicted_to_grow_with_the_other_nodes_and_other_strategies_to_stay() {
        for (strategy, fewest, nodes, expected) in [
            (Strategy::ReplicateAll, 2, 32, 3100.0),
            (Strategy::ReplicateAll, 3, 5, 200.0),
            (Strategy::PrimaryBackup, 2, 32, 100.0),
            (Strategy::Store, 2, 32, 100.0),
        ] {
            assert!((predict(strategy, (fewest, 100.0), nodes) - expected).abs() < 1e-9, "{strategy} {nodes}");
        }
    }
}
