//! The charts of a trial over time: throughput and errors, response times, and lost sessions, with its faults as bands.

use std::ops::Range;

use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;

use super::Chart;
use super::chart::{Area, Axes, BAND, MUTED, Plot, colour, decade_below, draw, paint_axes, words};
use crate::history::FaultRecord;
use crate::measure::Interval;
use crate::record::TrialEvidence;
use crate::report::ReportError;

const HEIGHT: u32 = 230;
/// Room for the name at the end of a line.
const LABEL_WIDTH: u32 = 74;

/// A line with its name; a point is `None` if its interval has no value.
struct ChartLine {
    name: &'static str,
    points: Vec<Option<(f64, f64)>>,
}

/// A fault, with its start and end in seconds.
struct Band {
    from: f64,
    to: f64,
    name: String,
}

/// The charts of one trial; empty if it was not measured.
pub fn charts(trial: &TrialEvidence) -> Result<Vec<Chart>, ReportError> {
    let Some(measurements) = trial.measurements.as_ref().filter(|measurements| measurements.intervals.len() > 1) else {
        return Ok(Vec::new());
    };
    let intervals = &measurements.intervals;
    let last_s = intervals.last().map_or(0, |last| last.at_s);
    let end = last_s as f64 + 1.0;
    let faults = trial.context.as_ref().map_or(&[][..], |context| &context.timeline.faults);
    let bands: Vec<Band> = faults.iter().filter_map(|fault| band(fault, end)).collect();
    let line = |name: &'static str, of: &dyn Fn(&Interval) -> Option<f64>| ChartLine {
        name,
        points: intervals.iter().map(|interval| Some((interval.at_s as f64 + 0.5, of(interval)?))).collect(),
    };
    // All intervals have the same length: the smallest distance between two neighbours.
    let step = intervals.windows(2).filter_map(|pair| Some(pair.get(1)?.at_s - pair.first()?.at_s)).min().unwrap_or(1);
    let per_second = move |count: u64| Some(count as f64 / step.max(1) as f64);
    let throughput = [
        line("sent/s", &|interval| per_second(interval.sent)),
        line("ok/s", &|interval| per_second(interval.ok)),
        line("errors/s", &|interval| per_second(interval.failed)),
    ];
    let ms = |us: u64| (us > 0).then(|| us as f64 / 1000.0);
    let response = [
        line("p50", &|interval| ms(interval.p50_us)),
        line("p99", &|interval| ms(interval.p99_us)),
        line("p99.9", &|interval| ms(interval.p999_us)),
    ];
    let mut charts = vec![
        Chart {
            title: "Operations a second".to_owned(),
            caption: in_words(&bands),
            svg: plot(&format!("operations a second of {}", trial.id), &throughput, &bands, end, false)?,
        },
        Chart {
            title: "Response time, ms, from the scheduled instant".to_owned(),
            caption: "Of the operations that were to start in that second and ended well; the axis is logarithmic."
                .to_owned(),
            svg: plot(&format!("response times of {}", trial.id), &response, &bands, end, true)?,
        },
    ];
    if !measurements.losses.is_empty() {
        let mut lost = 0;
        let mut points = vec![Some((0.0, 0.0))];
        for second in 0..=last_s {
            lost += measurements.losses.get(&second).copied().unwrap_or_default();
            points.push(Some((second as f64 + 0.5, lost as f64)));
        }
        let all: u64 = measurements.losses.values().sum();
        let late = all - lost;
        let late = if late > 0 { format!(" {late} more showed in the final read alone.") } else { String::new() };
        charts.push(Chart {
            title: "Sessions lost so far".to_owned(),
            caption: format!("By the second of the reply that showed the loss.{late}"),
            svg: plot(
                &format!("sessions lost by {}", trial.id),
                &[ChartLine { name: "lost", points }],
                &bands,
                end,
                false,
            )?,
        });
    }
    Ok(charts)
}

fn band(fault: &FaultRecord, end: f64) -> Option<Band> {
    let seconds = |ns: u64| ns as f64 / 1e9;
    let from = seconds(fault.effective_from_ns()?);
    let to = fault.healed_ns.map_or(end, seconds).min(end);
    Some(Band { from, to, name: format!("{} of {}", fault.kind, fault.node) })
}

fn in_words(bands: &[Band]) -> String {
    if bands.is_empty() {
        return "No fault was injected.".to_owned();
    }
    let texts: Vec<String> =
        bands.iter().map(|band| format!("{} from {:.1} s to {:.1} s", band.name, band.from, band.to)).collect();
    format!("Bands: {}.", texts.join("; "))
}

fn plot(
    label: &str,
    lines: &[ChartLine],
    bands: &[Band],
    end: f64,
    is_logarithmic: bool,
) -> Result<String, ReportError> {
    let values = || lines.iter().flat_map(|line| &line.points).flatten().map(|(_, y)| *y);
    let highest = values().fold(0.0, f64::max).max(1.0);
    draw(HEIGHT, label, |area| {
        let (left, right) = area.split_horizontally(super::chart::WIDTH - LABEL_WIDTH);
        drop(right);
        let mut builder = ChartBuilder::on(&left);
        builder.margin_top(8).x_label_area_size(42).y_label_area_size(52);
        if is_logarithmic {
            let range = decade_below(values().fold(highest, f64::min))..highest * 1.25;
            let chart = builder.build_cartesian_2d(0.0..end, range.clone().log_scale()).map_err(ReportError::chart)?;
            paint(chart, range, bands, lines, area)
        } else {
            let range = 0.0..highest * 1.08;
            let chart = builder.build_cartesian_2d(0.0..end, range.clone()).map_err(ReportError::chart)?;
            paint(chart, range, bands, lines, area)
        }
    })
}

/// Paints the bands first, then the axes, then the lines, so that the lines are on top.
fn paint<Y>(
    mut chart: Plot<'_, '_, Y>,
    range: Range<f64>,
    bands: &[Band],
    lines: &[ChartLine],
    area: &Area<'_>,
) -> Result<(), ReportError>
where
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    paint_bands(&mut chart, bands, range.start, range.end)?;
    let axes = Axes {
        x_labels: 8,
        y_labels: 5,
        x_name: Some("s"),
        x_label: &|seconds| format!("{seconds:.0}"),
        y_label: &|value| short(*value),
    };
    paint_axes(&mut chart, &axes)?;
    paint_lines(&mut chart, area, lines)
}

fn paint_bands<Y>(chart: &mut Plot<'_, '_, Y>, bands: &[Band], low: f64, high: f64) -> Result<(), ReportError>
where
    Y: Ranged<ValueType = f64>,
{
    for band in bands {
        let shape = Rectangle::new([(band.from, low), (band.to.max(band.from + 0.05), high)], BAND.filled());
        chart.draw_series([shape]).map_err(ReportError::chart)?;
        // The name identifies a band without its colour. Many names would cover each other.
        if bands.len() <= 4 {
            let at = (band.from, high);
            let text = Text::new(band.name.clone(), at, words(14, MUTED));
            chart.draw_series([text]).map_err(ReportError::chart)?;
        }
    }
    Ok(())
}

fn short(value: f64) -> String {
    match value {
        value if value >= 1000.0 => format!("{:.0}k", value / 1000.0),
        value if value >= 10.0 || value.fract() == 0.0 => format!("{value:.0}"),
        value => format!("{value:.1}"),
    }
}

/// Paints each line with its name at its end. Names that would overlap are moved down.
fn paint_lines<Y>(chart: &mut Plot<'_, '_, Y>, area: &Area<'_>, lines: &[ChartLine]) -> Result<(), ReportError>
where
    Y: Ranged<ValueType = f64>,
{
    const LINE_HEIGHT: i32 = 17;
    let mut ends = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let style = colour(number).stroke_width(if number == 0 { 1 } else { 2 });
        for part in line.points.split(Option::is_none).filter(|part| !part.is_empty()) {
            chart.draw_series(LineSeries::new(part.iter().flatten().copied(), style)).map_err(ReportError::chart)?;
        }
        if let Some(last) = line.points.iter().flatten().next_back() {
            ends.push((chart.backend_coord(last), line.name, colour(number)));
        }
    }
    ends.sort_by_key(|((_, y), ..)| *y);
    let mut free = i32::MIN;
    for ((x, y), name, colour) in ends {
        let y = (y - LINE_HEIGHT / 2).max(free);
        free = y + LINE_HEIGHT;
        area.draw(&Text::new(name, (x + 6, y), words(15, colour))).map_err(ReportError::chart)?;
    }
    Ok(())
}
