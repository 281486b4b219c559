//! What all charts share: a canvas that becomes SVG, colours that follow the page, and axes.

use plotters::coord::Shift;
use plotters::coord::ranged1d::ValueFormatter;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::report::ReportError;

/// A canvas.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A chart over seconds, or whatever stands below, with some axis beside it.
pub type Plot<'a, 'b, Y> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, Y>>;

/// Placeholders for the page's colours, which are light or dark with the reader's system.
pub const INK: RGBColor = RGBColor(1, 0, 0);
pub const MUTED: RGBColor = RGBColor(2, 0, 0);
pub const GRID: RGBColor = RGBColor(3, 0, 0);
pub const BAND: RGBColor = RGBColor(4, 0, 0);
/// For lines and bars, in turn.
pub const SERIES: [RGBColor; 6] =
    [RGBColor(5, 0, 0), RGBColor(6, 0, 0), RGBColor(7, 0, 0), RGBColor(8, 0, 0), RGBColor(9, 0, 0), RGBColor(10, 0, 0)];
/// Each with the page's light colour, for readers whose server lets no page bring its own style (Jenkins).
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

/// The width of all charts; the page scales them.
pub const WIDTH: u32 = 600;
const FONT: &str = "sans-serif";

/// The colour of the series with this number.
pub fn colour(number: usize) -> RGBColor {
    SERIES.get(number % SERIES.len()).copied().unwrap_or(INK)
}

/// How words are written.
pub fn words(size: u32, colour: RGBColor) -> TextStyle<'static> {
    TextStyle { color: colour.to_backend_color(), ..TextStyle::from((FONT, size).into_font()) }
}

/// The power of ten at or below a value: where a logarithmic axis begins, so that it has marks to read it by.
pub fn decade_below(value: f64) -> f64 {
    10f64.powf(value.max(0.001).log10().floor())
}

/// Draws on a canvas of this height and gives the SVG. `label` says in words what is drawn, for who cannot see it.
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
    // It is as wide as the page lets it be.
    Ok(format!("<svg role=\"img\" aria-label=\"{label}\"{body}"))
}

/// How axes are marked.
pub struct Axes<'a> {
    /// How many marks there may be below.
    pub x_labels: usize,
    /// How many beside.
    pub y_labels: usize,
    /// What is counted below, where the marks do not say it.
    pub x_name: Option<&'a str>,
    pub x_label: &'a dyn Fn(&f64) -> String,
    pub y_label: &'a dyn Fn(&f64) -> String,
}

/// Paints axes and the lines across that values are read by.
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
