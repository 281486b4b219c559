//! Shared parts of all charts: an SVG canvas, the colours of the page, and axes.

use plotters::coord::Shift;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::report::ReportError;

/// An SVG canvas.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A chart with a linear x axis and a y axis of type `Y`.
pub type Plot<'a, 'b, Y> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, Y>>;

/// Placeholders for the page's colours, which follow the light or dark mode of the reader's system.
pub const INK: RGBColor = RGBColor(1, 0, 0);
pub const MUTED: RGBColor = RGBColor(2, 0, 0);
pub const GRID: RGBColor = RGBColor(3, 0, 0);
pub const BAND: RGBColor = RGBColor(4, 0, 0);
/// Colours of lines and bars, in turn.
pub const SERIES: [RGBColor; 6] =
    [RGBColor(5, 0, 0), RGBColor(6, 0, 0), RGBColor(7, 0, 0), RGBColor(8, 0, 0), RGBColor(9, 0, 0), RGBColor(10, 0, 0)];
/// The CSS variable of each placeholder. The light colour is the default, for servers that block the page's own style
/// (Jenkins).
const VARIABLES: [(&str, &str); 10] = [
    ("#010000", "var(--ink, #1b1f24)"),
    ("#020000", "var(--muted, #57606a)"),
    ("#030000", "var(--grid, #d8dee4)"),
    ("#040000", "var(--band, #d0701a33)"),
    ("#050000", "var(--series-1, #0072b2)"),
    ("#060000", "var(--series-2, #b35900)"),
    ("#070000", "var(--series-3, #007a5a)"),
    ("#080000", "var(--series-4, #a0287f)"),
    ("#090000", "var(--series-5, #6b5b00)"),
    ("#0A0000", "var(--series-6, #3b4252)"),
];

/// Width of all charts, in pixels; the page scales them.
pub const WIDTH: u32 = 600;
const FONT: &str = "sans-serif";

/// The colour of the series with this number.
pub fn colour(number: usize) -> RGBColor {
    SERIES.get(number % SERIES.len()).copied().unwrap_or(INK)
}

/// The style of text.
pub fn words(size: u32, colour: RGBColor) -> TextStyle<'static> {
    TextStyle { color: colour.to_backend_color(), ..TextStyle::from((FONT, size).into_font()) }
}

/// The power of ten at or below a value. A logarithmic axis begins there, so that it has at least one mark.
pub fn decade_below(value: f64) -> f64 {
    10f64.powf(value.max(0.001).log10().floor())
}

/// Draws on a canvas of this height and returns the SVG. `label` describes the chart for screen readers.
pub fn draw(
    height: u32,
    label: &str,
    paint: impl FnOnce(&Area<'_>) -> Result<(), ReportError>,
) -> Result<String, ReportError> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        paint(&area)?;
        area.present().map_err(ReportError::chart)?;
    }
    for (placeholder, variable) in VARIABLES {
        svg = svg.replace(placeholder, variable);
    }
    let label = label.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    let fixed = format!("<svg width=\"{WIDTH}\" height=\"{height}\"");
    let start = svg.find(&fixed).ok_or_else(|| ReportError::chart("it is not SVG as expected"))?;
    let body = svg.get(start + fixed.len()..).unwrap_or_default();
    // Without width and height, the SVG takes the width that the page gives it.
    Ok(format!("<svg role=\"img\" aria-label=\"{label}\"{body}"))
}

/// The marks and names of the axes.
pub struct Axes<'a> {
    /// Maximum number of marks on the x axis.
    pub x_labels: usize,
    /// Maximum number of marks on the y axis.
    pub y_labels: usize,
    /// Name of the x axis, if the marks do not say it.
    pub x_name: Option<&'a str>,
    pub x_label: &'a dyn Fn(&f64) -> String,
    pub y_label: &'a dyn Fn(&f64) -> String,
}

/// Paints the axes and the horizontal grid lines.
pub fn paint_axes<Y>(chart: &mut Plot<'_, '_, Y>, axes: &Axes<'_>) -> Result<(), ReportError>
where
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(MUTED)
        .label_style(words(15, MUTED))
        .axis_desc_style(words(15, MUTED))
        .x_labels(axes.x_labels)
        .y_labels(axes.y_labels)
        .x_label_formatter(axes.x_label)
        .y_label_formatter(axes.y_label);
    if let Some(name) = axes.x_name {
        mesh.x_desc(name);
    }
    mesh.draw().map_err(ReportError::chart)
}
