//! The tables for terminals: at most 100 columns wide.

use tabled::builder::Builder;
use tabled::settings::object::{Columns, Rows};
use tabled::settings::{Alignment, Padding, Style};

use super::side_table::SideTable;
use super::view::{ScalingView, View};

const HEADS: [&str; 13] = [
    "target",
    "verdict",
    "sessions\nlost",
    "writes\nlost",
    "p50\nms",
    "p99\nsteady",
    "p99\nfault",
    "front\nKB/op",
    "cluster\nKB/op",
    "store\nKB/op",
    "MiB\n/node",
    "skew",
    "last\nerr s",
];

/// Width of the first column, so that all columns fit.
const NAME_WIDTH: usize = 22;

const SCALING_HEADS: [&str; 7] =
    ["nodes", "measured\nKB/op", "predicted\nKB/op", "ratio", "p50\nms", "p99\nms", "MiB\n/node"];

const RECOVERY_HEADS: [&str; 9] = [
    "target",
    "fault",
    "its\nlost",
    "others\nlost",
    "writes\nlost",
    "last\nerror s",
    "longest\nwait s",
    "success\nback s",
    "p99\nback s",
];

/// Explains the columns of the table of faults, where the heads are too short.
pub const RECOVERY_NOTE: &str = "Times are from the order. * another fault went on at the same time. never: not before the next fault or the end. ?: cannot be said.";

/// Explains the table of sessions that are bound to a node.
pub const AFFINITY_NOTE: &str = "Targets whose requests stayed with the node of the session: before the first fault fewer than one in ten was answered elsewhere.";

/// The heads of the table of sessions that are bound to a node.
const AFFINITY_HEADS: [&str; 6] =
    ["target", "fault", "requests\nelsewhere", "moved of\nthe victim", "moved of\nothers", "moved by\nthe heal"];

/// Width of the column with the faults, so that all columns fit.
const FAULT_WIDTH: usize = 20;

/// Renders a view for a terminal.
#[must_use]
pub fn table(view: &View) -> String {
    let mut text = String::new();
    if !view.notices.is_empty() {
        text.push_str(&format!("{}\n\n", view.notices.join("\n")));
    }
    if !view.rows.is_empty() {
        text.push_str(&format!("{}\n\n", rows(view)));
    }
    for scaling in &view.scaling {
        text.push_str(&format!(
            "{}: claimed are {}\n{}\n  {}\n\n",
            scaling.target,
            scaling.claim,
            scaling_rows(scaling),
            scaling.fit
        ));
    }
    if view.has_several_faults {
        text.push_str(&format!(
            "Each fault: sessions lost of those that the victim had answered last, and of all others.\n{}\n{}\n\n",
            recoveries(view),
            RECOVERY_NOTE
        ));
    }
    if view.affinity.iter().any(|row| row.moved_of_others != "–") {
        text.push_str(&format!("Sessions that moved to another node.\n{}\n\n", affinity(view)));
    }
    for table in &view.side_tables {
        text.push_str(&format!("{}.\n{}\n\n", table.title, side_table(table)));
    }
    text.push_str(&format!("{}\n", view.outcome));
    for sentence in &view.sentences {
        text.push_str(&format!("  {sentence}\n"));
    }
    for breach in &view.breaches {
        text.push_str(&format!("breached: {breach}\n"));
    }
    text
}

fn rows(view: &View) -> String {
    let mut builder = Builder::default();
    builder.push_record(HEADS);
    for row in &view.rows {
        builder.push_record([
            &folded(&row.target, NAME_WIDTH),
            &row.verdict,
            &row.lost,
            &row.writes_lost,
            &row.p50_ms,
            &row.p99_ms,
            &row.p99_fault_ms,
            &row.front_kb,
            &row.cluster_kb,
            &row.store_kb,
            &row.memory_mib,
            &row.skew,
            &row.recovery_s,
        ]);
    }
    lay_out(builder, 2)
}

fn recoveries(view: &View) -> String {
    let mut builder = Builder::default();
    builder.push_record(RECOVERY_HEADS);
    let mut last = "";
    for row in &view.recoveries {
        let target = if row.target == last { String::new() } else { folded(&row.target, NAME_WIDTH) };
        last = &row.target;
        builder.push_record([
            &target,
            &folded(&row.fault, FAULT_WIDTH),
            &row.lost_of_victim,
            &row.lost_of_others,
            &row.writes_lost.replace(" (", "\n("),
            &row.last_error_s,
            &row.gap_s,
            &row.success_back,
            &row.p99_back,
        ]);
    }
    lay_out(builder, 2)
}

fn affinity(view: &View) -> String {
    let mut builder = Builder::default();
    builder.push_record(AFFINITY_HEADS);
    let mut last = "";
    for row in &view.affinity {
        let target = if row.target == last { String::new() } else { folded(&row.target, NAME_WIDTH) };
        last = &row.target;
        builder.push_record([
            &target,
            &folded(&row.fault, FAULT_WIDTH),
            &row.breaks,
            &row.moved_of_victim,
            &row.moved_of_others,
            &row.moved_by_heal,
        ]);
    }
    lay_out(builder, 2)
}

fn side_table(table: &SideTable) -> String {
    let mut builder = Builder::default();
    builder.push_record(["target"].into_iter().chain(table.heads.iter().map(|head| head.narrow)));
    for row in &table.rows {
        let name = folded(&row.target, NAME_WIDTH);
        builder.push_record([name.as_str()].into_iter().chain(row.cells.iter().map(String::as_str)));
    }
    lay_out(builder, 1 + table.heads.iter().filter(|head| head.is_of_words).count())
}

fn scaling_rows(scaling: &ScalingView) -> String {
    let mut builder = Builder::default();
    builder.push_record(SCALING_HEADS);
    for row in &scaling.rows {
        builder.push_record(row.cells());
    }
    let lines: Vec<String> = lay_out(builder, 0).lines().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}

/// Renders a table. The columns from `first_number` on are numbers and aligned right.
fn lay_out(builder: Builder, first_number: usize) -> String {
    let mut table = builder.build();
    table
        .with(Style::blank().horizontals([(1, tabled::settings::style::HorizontalLine::new('─').intersection('─'))]))
        .with(Padding::new(0, 0, 0, 0))
        .modify(Columns::new(first_number..), Alignment::right())
        .modify(Rows::first(), Alignment::center());
    if first_number > 0 {
        table.modify(Columns::first(), Alignment::left());
    }
    let lines: Vec<String> = table.to_string().lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// Breaks a name that is wider than `width` into two lines, after a hyphen or a space.
fn folded(name: &str, width: usize) -> String {
    if name.chars().count() <= width {
        return name.to_owned();
    }
    let fits = |at: &usize| name[..*at].chars().count() < width;
    match name.rmatch_indices(['-', ' ']).map(|(at, _)| at).find(fits) {
        Some(at) => format!("{}\n  {}", &name[..=at], &name[at + 1..]),
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::View;
    use super::*;
    use crate::cluster::RuntimeName;
    use crate::measure::{Affinity, Back, ByVictim, CatchUp, InFlight, Race, Races, Rebound, RecoveryFigures};
    use crate::record::{Line, Point, RecoverySummary, Scaling, Summary, TargetSummary};

    pub fn example() -> Summary {
        serde_json::from_str(include_str!("example-summary.json")).unwrap()
    }

    #[test]
    fn what_overtaken_requests_undid_is_a_table_of_its_own_and_fits_100_columns() {
        let mut summary = example();
        let undone = |undone| Race { tried: 1098, undone };
        summary.targets[0].races = Races {
            log_outs_over_writes: undone(317),
            log_ins_over_writes: undone(0),
            old_ids_after_log_ins: undone(781),
            ..Races::default()
        };
        let text = side_table(&View::of(&summary).side_tables[0]);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        insta::assert_snapshot!(text);
        let markdown = super::super::markdown(&View::of(&summary));
        let (_, section) = markdown.split_once("## What overtaken requests undid").unwrap();
        insta::assert_snapshot!(section.lines().take(6).collect::<Vec<_>>().join("\n"));
        assert!(!super::super::markdown(&View::of(&example())).contains("overtaken"));
    }

    #[test]
    fn the_table_of_a_run_is_what_people_read_and_fits_100_columns() {
        let text = table(&View::of(&example()));
        for line in text.lines().take(8) {
            assert!(line.chars().count() <= 100, "{line}");
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn the_markdown_of_a_run_is_what_people_read() {
        insta::assert_snapshot!(super::super::markdown(&View::of(&example())));
    }

    /// A run with two faults for each of two targets.
    fn with_faults() -> Summary {
        let mut summary = example();
        summary.targets.truncate(2);
        let recovery = |fault: &str, node: &str, last_error_ms| RecoverySummary {
            gap_p50_ms: 10,
            gap_p99_ms: 1200,
            gap_max_ms: 5880,
            figures: RecoveryFigures {
                fault: fault.to_owned(),
                node: node.to_owned(),
                detail: String::new(),
                overlaps: fault == "loss",
                marked_down_ms: Some(1200),
                marked_up_ms: Some(4900),
                first_error_ms: Some(40),
                last_error_ms,
                first_success_ms: Some(12),
                healed_ms: Some(3400),
                success: last_error_ms.map_or(Back::AfterMs(0), |_| Back::AfterMs(6000)),
                p99: if fault == "loss" { Back::Never } else { Back::Unknown },
                alive: ByVictim { of_victim: 100, of_others: 200 },
                lost: ByVictim { of_victim: 100, of_others: 0 },
                acknowledged_writes_lost: 174,
                oldest_lost_write_ms: Some(8200),
                in_flight: InFlight { ok: 3, fail: 0, indeterminate: 2 },
                rebound: Some(Rebound {
                    seen: ByVictim { of_victim: 33, of_others: 67 },
                    by_fault: ByVictim { of_victim: 33, of_others: 5 },
                    by_heal: ByVictim { of_victim: 20, of_others: 0 },
                }),
                catch_up: Some(CatchUp { bytes: 5_250_000, ms: 2000 }),
            },
        };
        for target in &mut summary.targets {
            target.recoveries = vec![
                recovery("kill", "app-2", Some(5900)),
                recovery("loss", "app-1", None),
                recovery("rolling-restart", "every app node", Some(900)),
            ];
        }
        summary
    }

    #[test]
    fn what_each_fault_did_is_a_table_of_its_own_and_fits_100_columns() {
        let view = View::of(&with_faults());
        let text = recoveries(&view);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        insta::assert_snapshot!(text);
        let markdown = super::super::markdown(&view);
        let start = markdown.find("## What each fault did").unwrap();
        insta::assert_snapshot!(&markdown[start..markdown.find("## What held").unwrap()]);
    }

    #[test]
    fn sessions_that_moved_are_shown_where_they_were_bound_to_a_node() {
        let mut summary = with_faults();
        summary.targets[0].affinity =
            Some(Affinity { requests: 900, breaks: 60, requests_before: 400, breaks_before: 0 });
        summary.targets[1].affinity =
            Some(Affinity { requests: 900, breaks: 600, requests_before: 400, breaks_before: 266 });
        let view = View::of(&summary);
        let text = affinity(&view);
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        insta::assert_snapshot!(text, @r"
        target             fault        requests  moved of   moved of moved by
                                        elsewhere the victim others   the heal
        ──────────────────────────────────────────────────────────────────────
        tomcat-none the whole run          60/900          –        –        –
                    kill of app-2               –      33/33     5/67   20/100
                    loss of app-1               –      33/33     5/67   20/100
                    rolling-restart of          –      33/33     5/67   20/100
                      every app node
        ");
        assert!(table(&view).contains("Sessions that moved to another node."));
        assert!(super::super::markdown(&view).contains("## Which sessions moved to another node"));
    }

    #[test]
    fn of_an_app_that_shows_no_writes_nobody_knows_whether_one_was_lost() {
        let mut summary = with_faults();
        let target = &mut summary.targets[0];
        target.by_counter_only = true;
        target.guarantees.retain(|guarantee, _| *guarantee == crate::check::Guarantee::SessionSurvives);
        let view = View::of(&summary);
        assert_eq!((view.rows[0].writes_lost.as_str(), view.recoveries[0].writes_lost.as_str()), ("–", "–"));
        assert_ne!(view.rows[1].writes_lost, "–");
    }

    /// A sweep without an engine, with one stand-in.
    fn sweep() -> Summary {
        let mut summary = example();
        let mut target = summary.targets.remove(0);
        target.target = "reference-primary-backup-sticky".to_owned();
        (target.is_reference, target.runtime) = (true, RuntimeName::Process);
        let point = |nodes: u8, bytes: f64| Point {
            nodes,
            bytes_per_operation: Some(bytes),
            predicted_bytes: Some(110.0),
            response_p50_us: 800,
            response_p99_us: 12_000,
            memory_bytes: Some(1 << 20),
        };
        let line = Line { at_one_node: 105.0, per_added_node: 5.0, r_squared: Some(0.997) };
        summary.scaling = vec![Scaling {
            target: target.target.clone(),
            strategy: target.strategy,
            points: vec![point(2, 110.0), Point { bytes_per_operation: None, ..point(32, 0.0) }],
            bytes: Some(line),
            response_p50: None,
            memory: Some(Line { per_added_node: -5.0, r_squared: None, ..line }),
        }];
        summary.targets = vec![TargetSummary { nodes: 2, ..target.clone() }, TargetSummary { nodes: 32, ..target }];
        summary.expectations.clear();
        summary.runtime = RuntimeName::Process;
        summary.stand_ins = [("tomcat-backup-sticky".to_owned(), "reference-primary-backup-sticky".to_owned())].into();
        summary
    }

    #[test]
    fn a_sweep_shows_measured_beside_predicted_and_says_first_what_stood_in() {
        insta::assert_snapshot!(table(&View::of(&sweep())));
    }

    #[test]
    fn the_markdown_of_a_sweep_shows_the_same() {
        insta::assert_snapshot!(super::super::markdown(&View::of(&sweep())));
    }
}
