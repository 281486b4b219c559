//! Bar charts: bytes per operation by network, one bar per target; and for each trial, operations and memory of each
//! app node. Each bar shows its number.

use plotters::prelude::*;

use super::Chart;
use super::chart::{GRID, INK, MUTED, WIDTH, colour, draw, words};
use crate::metric::Unit;
use crate::record::{Evidence, TrialEvidence};
use crate::report::ReportError;
use crate::topology::Network;

const ROW: i32 = 28;
const NAME_WIDTH: i32 = 210;
const NUMBER_WIDTH: i32 = 90;

/// One bar: its name, its parts, and its number as text.
struct Bar {
    name: String,
    parts: Vec<f64>,
    number: String,
}

/// The chart of bytes per operation of each target; `None` if nothing was measured.
pub fn network(evidence: &Evidence) -> Result<Option<Chart>, ReportError> {
    let bars: Vec<Bar> = evidence
        .summary
        .targets
        .iter()
        .filter_map(|target| {
            let of = |network: &Network| target.network_bytes_per_request.get(network).copied();
            let parts: Vec<f64> = Network::ALL.iter().map(|network| of(network).unwrap_or_default()).collect();
            let sum: f64 = parts.iter().sum();
            let number = Unit::Bytes.show(sum);
            (sum > 0.0).then(|| Bar { name: evidence.summary.label(target), parts, number })
        })
        .collect();
    if bars.is_empty() {
        return Ok(None);
    }
    let legend: Vec<String> = Network::ALL.iter().map(ToString::to_string).collect();
    Ok(Some(Chart {
        title: "Bytes per operation, by network".to_owned(),
        caption:
            "In the steady phase, from the kernel's counters: clients and app nodes on front, replication on cluster, \
                  the store on store; from left to right in this order."
                .to_owned(),
        svg: paint("bytes per operation by network and target", &bars, &legend)?,
    }))
}

/// The charts of answered operations and memory of each app node of a trial.
pub fn nodes(trial: &TrialEvidence) -> Result<Vec<Chart>, ReportError> {
    let Some(measurements) = &trial.measurements else { return Ok(Vec::new()) };
    let answered: Vec<Bar> = measurements
        .answered_per_node
        .iter()
        .map(|(node, count)| Bar { name: node.clone(), parts: vec![*count as f64], number: count.to_string() })
        .collect();
    let memory: Vec<Bar> = measurements
        .memory
        .iter()
        .filter_map(|(node, memory)| {
            let resident = memory.resident_bytes? as f64;
            let heap = memory.internals.map(|internals| internals.heap_bytes as f64).filter(|heap| *heap < resident);
            let number = match heap {
                Some(heap) => format!("{}, of it {} live", Unit::Bytes.show(resident), Unit::Bytes.show(heap)),
                None => Unit::Bytes.show(resident),
            };
            let parts = heap.map_or_else(|| vec![resident], |heap| vec![heap, resident - heap]);
            Some(Bar { name: node.clone(), parts, number })
        })
        .collect();
    let mut charts = Vec::new();
    if answered.iter().any(|bar| bar.parts.iter().sum::<f64>() > 0.0) {
        charts.push(Chart {
            title: "Operations answered by each app node".to_owned(),
            caption: "In the steady phase.".to_owned(),
            svg: paint(&format!("load of each node of {}", trial.id), &answered, &[])?,
        });
    }
    if !memory.is_empty() {
        let legend = ["live heap".to_owned(), "resident".to_owned()];
        charts.push(Chart {
            title: "Memory of each app node".to_owned(),
            caption: "Resident at the end of the steady phase, and of it the live heap after a collection in the end, where the node tells it.".to_owned(),
            svg: paint(&format!("memory of each node of {}", trial.id), &memory, &legend)?,
        });
    }
    Ok(charts)
}

#[expect(clippy::cast_possible_truncation, reason = "pixels")]
fn paint(label: &str, bars: &[Bar], legend: &[String]) -> Result<String, ReportError> {
    let top = if legend.len() > 1 { ROW } else { 4 };
    let rows = i32::try_from(bars.len()).unwrap_or(i32::MAX / ROW - 2);
    let height = u32::try_from(top + rows * ROW + 6).unwrap_or(u32::MAX);
    let room = WIDTH.cast_signed() - NAME_WIDTH - NUMBER_WIDTH;
    let room = if bars.iter().any(|bar| bar.number.len() > 12) { room - NUMBER_WIDTH } else { room };
    let longest = bars.iter().map(|bar| bar.parts.iter().sum::<f64>()).fold(f64::MIN_POSITIVE, f64::max);
    let pixels = |value: f64| (value / longest * f64::from(room)).round() as i32;
    draw(height, label, |area| {
        let mut x = NAME_WIDTH;
        for (number, name) in legend.iter().enumerate().filter(|_| legend.len() > 1) {
            area.draw(&Rectangle::new([(x, 6), (x + 10, 16)], colour(number).filled())).map_err(ReportError::chart)?;
            area.draw(&Text::new(name.clone(), (x + 15, 5), words(15, MUTED))).map_err(ReportError::chart)?;
            x += 34 + 7 * i32::try_from(name.len()).unwrap_or(20);
        }
        area.draw(&PathElement::new([(NAME_WIDTH, top), (NAME_WIDTH, top + rows * ROW)], GRID))
            .map_err(ReportError::chart)?;
        for (bar, row) in bars.iter().zip(0..) {
            let y = top + row * ROW;
            area.draw(&Text::new(bar.name.clone(), (4, y + 7), words(15, INK))).map_err(ReportError::chart)?;
            let mut from = 0.0;
            for (number, part) in bar.parts.iter().enumerate().filter(|(_, part)| **part > 0.0) {
                let (left, right) = (NAME_WIDTH + pixels(from), NAME_WIDTH + pixels(from + part));
                let shape =
                    Rectangle::new([(left, y + 5), (right.max(left + 1), y + ROW - 5)], colour(number).filled());
                area.draw(&shape).map_err(ReportError::chart)?;
                from += part;
            }
            let end = NAME_WIDTH + pixels(from) + 6;
            area.draw(&Text::new(bar.number.clone(), (end, y + 7), words(15, INK))).map_err(ReportError::chart)?;
        }
        Ok(())
    })
}
