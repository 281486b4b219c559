//! Response times by percentile, all targets in one chart. Both axes are logarithmic, so that the tail has enough room.

use base64::Engine as _;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use plotters::prelude::*;

use super::Chart;
use super::chart::{Axes, GRID, WIDTH, colour, decade_below, draw, paint_axes, words};
use crate::record::Evidence;
use crate::report::ReportError;

const HEIGHT: u32 = 300;
const LABEL_WIDTH: u32 = 200;
/// The percentiles of the curve; they are denser towards the tail.
const PERCENTILES: [f64; 12] = [0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.9, 99.95, 99.99];

/// The chart over all trials of each target together. Targets with several numbers of nodes are left out.
pub fn distribution(evidence: &Evidence) -> Result<Option<Chart>, ReportError> {
    let mut lines: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for target in &evidence.summary.targets {
        let mut whole: Option<Histogram<u64>> = None;
        let is_swept = evidence.summary.is_swept(target);
        for trial in evidence.trials.iter().filter(|trial| !is_swept && trial.target() == target.target) {
            let Some(histogram) =
                trial.measurements.as_ref().and_then(|measurements| read(&measurements.response_us.histogram))
            else {
                continue;
            };
            match &mut whole {
                Some(whole) => whole.add(&histogram).map_err(ReportError::chart)?,
                None => whole = Some(histogram),
            }
        }
        if let Some(whole) = whole.filter(|whole| whole.len() > 1) {
            lines.push((evidence.summary.label(target), points(&whole)));
        }
    }
    if lines.is_empty() {
        return Ok(None);
    }
    let captions = lines.iter().map(|(name, points)| {
        let at = |x: f64| points.iter().find(|(other, _)| (other - x).abs() < 1e-9).map_or(0.0, |(_, ms)| *ms);
        format!("{name}: {:.1} at 50 %, {:.1} at 99 %", at(nines(50.0)), at(nines(99.0)))
    });
    let caption =
        format!("In ms, of operations that ended well, waits included. {}.", captions.collect::<Vec<_>>().join("; "));
    Ok(Some(Chart { title: "Response time by percentile".to_owned(), caption, svg: plot(&lines)? }))
}

fn read(text: &str) -> Option<Histogram<u64>> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
    Deserializer::new().deserialize(&mut bytes.as_slice()).ok()
}

/// Position of a percentile on the axis, as its number of nines: 1 for 90 %, 2 for 99 %.
fn nines(percentile: f64) -> f64 {
    -(1.0 - percentile / 100.0).log10()
}

fn points(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    // With less than one value above a percentile, it is the same as the highest value.
    let is_distinct = |percentile: &f64| (1.0 - percentile / 100.0) * histogram.len() as f64 >= 1.0;
    let at = |percentile: f64| (nines(percentile), histogram.value_at_percentile(percentile).max(1) as f64 / 1000.0);
    PERCENTILES.into_iter().filter(is_distinct).map(at).collect()
}

fn plot(lines: &[(String, Vec<(f64, f64)>)]) -> Result<String, ReportError> {
    let all = || lines.iter().flat_map(|(_, points)| points);
    let furthest = all().map(|(x, _)| *x).fold(1.0, f64::max);
    let highest = all().map(|(_, y)| *y).fold(0.01, f64::max) * 1.25;
    let lowest = decade_below(all().map(|(_, y)| *y).fold(highest, f64::min));
    draw(HEIGHT, "response time by percentile, a line a target", |area| {
        let (left, _) = area.split_horizontally(WIDTH - LABEL_WIDTH);
        let mut chart = ChartBuilder::on(&left)
            .margin_top(8)
            .x_label_area_size(34)
            .y_label_area_size(54)
            .build_cartesian_2d(0.0..furthest, (lowest..highest).log_scale())
            .map_err(ReportError::chart)?;
        let axes = Axes {
            x_labels: 5,
            y_labels: 6,
            x_name: None,
            x_label: &|x| format!("{} %", percent(*x)),
            y_label: &|ms| if *ms >= 1.0 { format!("{ms:.0}") } else { format!("{ms:.1}") },
        };
        paint_axes(&mut chart, &axes)?;
        let mut ends = Vec::new();
        for (number, (name, points)) in lines.iter().enumerate() {
            let colour = colour(number);
            chart
                .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))
                .map_err(ReportError::chart)?;
            // The size of the marks helps where colours repeat or look alike.
            let size = if number % 2 == 0 { 3 } else { 2 };
            let marks = points.iter().map(|point| Circle::new(*point, size, colour.filled()));
            chart.draw_series(marks).map_err(ReportError::chart)?;
            if let Some(last) = points.last() {
                ends.push((chart.backend_coord(last), name.clone(), colour));
            }
        }
        ends.sort_by_key(|((_, y), ..)| *y);
        let mut free = 2;
        let edge = i32::try_from(WIDTH - LABEL_WIDTH).unwrap_or_default() + 8;
        for ((x, y), name, colour) in ends {
            let at = (y - 7).max(free);
            free = at + 18;
            area.draw(&PathElement::new([(x + 3, y), (edge, at + 7)], GRID)).map_err(ReportError::chart)?;
            area.draw(&Text::new(name, (edge + 3, at), words(15, colour))).map_err(ReportError::chart)?;
        }
        Ok(())
    })
}

fn percent(nines: f64) -> String {
    let percent = 100.0 - 100.0 / 10f64.powf(nines);
    let text = format!("{percent:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_of_percentiles_counts_nines() {
        assert!((nines(99.0) - 2.0).abs() < 1e-9 && (nines(99.9) - 3.0).abs() < 1e-9 && nines(0.0).abs() < 1e-9);
        assert_eq!([percent(0.0), percent(1.0), percent(2.0), percent(3.0)], ["0", "90", "99", "99.9"]);
    }
}
