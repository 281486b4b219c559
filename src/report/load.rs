//! The output of `steadfast load`: a table for terminals, and a JSON object for programs.

use std::collections::BTreeMap;

use serde::Serialize;
use tabled::builder::Builder;
use tabled::settings::object::{Columns, Rows};
use tabled::settings::{Alignment, Padding, Style};

use crate::history::Phase;
use crate::measure::{ErrorFigures, GeneratorFigures, Interval, Latency, Measurements};

/// The figures of a load against one endpoint.
#[derive(Clone, Debug, Serialize)]
pub struct LoadView<'a> {
    /// The URL that was requested.
    pub url: &'a str,
    /// A description of the traffic.
    pub traffic: &'a str,
    /// Requests sent per second, after the warm-up.
    pub sent_per_second: f64,
    /// Requests that were answered with 2xx or 304, after the warm-up.
    pub ok: u64,
    /// All other requests after the warm-up.
    pub failed: u64,
    /// From the scheduled instant to the last byte of the reply, of requests that were answered.
    pub response_us: &'a Latency,
    /// From the send, of the same requests.
    pub service_us: &'a Latency,
    /// Time to connect, of requests that needed a new connection.
    pub connect_us: &'a Latency,
    /// Errors by kind.
    pub errors: &'a BTreeMap<String, ErrorFigures>,
    /// Bytes of HTTP in both directions, per request.
    pub bytes_per_request: f64,
    /// How well the generator kept its schedule.
    pub generator: &'a GeneratorFigures,
    /// Why these figures are invalid.
    pub invalid: Option<&'a str>,
    /// The load, interval by interval.
    pub intervals: &'a [Interval],
}

impl<'a> LoadView<'a> {
    /// The view of a load without faults.
    #[must_use]
    pub fn of(url: &'a str, traffic: &'a str, measurements: &'a Measurements, invalid: Option<&'a str>) -> Self {
        let steady = measurements.phases.get(&Phase::Steady);
        let operations = &measurements.operations;
        Self {
            url,
            traffic,
            sent_per_second: steady.map_or(0.0, |phase| phase.sent_per_second),
            ok: operations.ok,
            failed: operations.fail + operations.indeterminate,
            response_us: &measurements.response_us,
            service_us: &measurements.service_us,
            connect_us: &measurements.connect_us,
            errors: &measurements.errors,
            bytes_per_request: measurements.http_bytes_per_request,
            generator: &measurements.generator,
            invalid,
            intervals: &measurements.intervals,
        }
    }
}

/// Renders the view as JSON, for programs.
///
/// # Errors
/// Cannot happen with these types.
pub fn load_json(view: &LoadView) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(view)
}

/// Renders the view as a table, for terminals.
#[must_use]
pub fn load_table(view: &LoadView) -> String {
    let mut text = format!("{}\n{}\n\n", view.url, view.traffic);
    if let Some(reason) = view.invalid {
        text.push_str(&format!("INVALID: {reason}\n\n"));
    }
    text.push_str(&format!(
        "{} ok, {} failed, {:.1} sent a second, {:.0} bytes there and back each\n\n",
        view.ok, view.failed, view.sent_per_second, view.bytes_per_request
    ));
    let mut builder = Builder::default();
    builder.push_record(["ms", "count", "p50", "p90", "p99", "p99.9", "max"]);
    let mut push = |name: &str, latency: &Latency| {
        let ms = |us: u64| format!("{:.2}", us as f64 / 1000.0);
        let Latency { count, p50, p90, p99, p999, max, .. } = latency;
        builder.push_record([name.to_owned(), count.to_string(), ms(*p50), ms(*p90), ms(*p99), ms(*p999), ms(*max)]);
    };
    push("response", view.response_us);
    push("service", view.service_us);
    push("connect", view.connect_us);
    view.errors.iter().for_each(|(kind, figures)| push(kind, &figures.response_us));
    let mut table = builder.build();
    table.with(Style::blank()).with(Padding::new(0, 2, 0, 0)).modify(Columns::new(1..), Alignment::right());
    table.modify(Rows::first(), Alignment::left()).modify(Columns::new(1..), Alignment::right());
    text.push_str(&table.to_string());
    let GeneratorFigures { offered, started, shed, lag, cpu_us_per_operation, busiest_core, .. } = view.generator;
    text.push_str(&format!(
        "\n\nthe generator started {started} of {offered} ({shed} dropped), {} µs late at the median, {} µs at p99, {} µs at most;\nit took {cpu_us_per_operation:.1} µs of processor time a request, {:.0} % of its busiest core",
        lag.p50_us,
        lag.p99_us,
        lag.max_us,
        busiest_core * 100.0
    ));
    text
}
