//! The units of figures: how profiles write values, and how reports show them.

use serde::{Deserialize, Serialize};

/// What a figure is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Things.
    Count,
    /// A share or a multiple.
    Ratio,
    /// Things per second.
    PerSecond,
    /// Microseconds.
    Microseconds,
    /// Bytes.
    Bytes,
}

const TIMES: [(&str, f64); 4] = [("us", 1.0), ("ms", 1e3), ("s", 1e6), ("min", 60e6)];
const BYTES: [(&str, f64); 7] = [
    ("B", 1.0),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
];

impl Unit {
    /// Reads a value such as `250ms`, `8 KiB`, `0.2` or `20 %`.
    ///
    /// # Errors
    /// A message with an example of an allowed value.
    pub fn parse(self, text: &str) -> Result<f64, String> {
        let text = text.trim();
        let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-'))).unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let not_a_number = || format!("`{text}` is not {}", self.example());
        let number = number.parse::<f64>().ok().filter(|number| number.is_finite()).ok_or_else(not_a_number)?;
        let suffix = suffix.trim();
        let suffixes: &[(&str, f64)] = match self {
            Self::Microseconds => &TIMES,
            Self::Bytes => &BYTES,
            Self::Ratio => &[("", 1.0), ("%", 0.01)],
            Self::Count => &[("", 1.0)],
            Self::PerSecond => &[("", 1.0), ("/s", 1.0)],
        };
        let factor = suffixes.iter().find(|(name, _)| *name == suffix).map(|(_, factor)| *factor);
        factor.map(|factor| number * factor).ok_or_else(not_a_number)
    }

    const fn example(self) -> &'static str {
        match self {
            Self::Count => "a number",
            Self::Ratio => "a share such as 0.2 or 20%",
            Self::PerSecond => "a rate such as 100 or 100/s",
            Self::Microseconds => "a time such as 250ms, 5s or 80us",
            Self::Bytes => "a size such as 500B, 8KiB or 2MB",
        }
    }

    /// Formats a value with its unit and about three significant digits. Infinity is `never`.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        if value.is_infinite() {
            return "never".to_owned();
        }
        match self {
            Self::Count => format!("{value:.0}"),
            Self::Ratio => digits(value),
            Self::PerSecond => format!("{}/s", digits(value)),
            Self::Microseconds => match value {
                us if us < 1e3 => format!("{us:.0} us"),
                us if us < 1e6 => format!("{} ms", digits(us / 1e3)),
                us => format!("{} s", digits(us / 1e6)),
            },
            Self::Bytes => match value {
                bytes if bytes < 1e3 => format!("{bytes:.0} B"),
                bytes if bytes < 1e6 => format!("{} KB", digits(bytes / 1e3)),
                bytes => format!("{} MB", digits(bytes / 1e6)),
            },
        }
    }
}

fn digits(value: f64) -> String {
    let text = match value.abs() {
        big if big >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        middle if middle >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_people_write_them() {
        assert_eq!(Unit::Microseconds.parse("250ms"), Ok(250_000.0));
        assert_eq!(Unit::Microseconds.parse("5 s"), Ok(5e6));
        assert_eq!(Unit::Bytes.parse("8 KiB"), Ok(8192.0));
        assert_eq!(Unit::Ratio.parse("20 %"), Ok(0.2));
        assert_eq!(Unit::Count.parse("0"), Ok(0.0));
        insta::assert_snapshot!(Unit::Microseconds.parse("250").unwrap_err(), @"`250` is not a time such as 250ms, 5s or 80us");
        insta::assert_snapshot!(Unit::Count.parse("none").unwrap_err(), @"`none` is not a number");
    }

    #[test]
    fn values_are_shown_with_about_three_digits() {
        let shown = [
            Unit::Microseconds.show(840.0),
            Unit::Microseconds.show(12_345.0),
            Unit::Microseconds.show(5_000_000.0),
            Unit::Microseconds.show(f64::INFINITY),
            Unit::Bytes.show(1234.0),
            Unit::Ratio.show(0.3333),
            Unit::PerSecond.show(149.7),
        ];
        assert_eq!(shown, ["840 us", "12.3 ms", "5 s", "never", "1.23 KB", "0.333", "150/s"]);
    }

    #[test]
    fn a_thousand_of_a_unit_is_one_of_the_next() {
        let times = [999.0, 1e3, 999e3, 1e6].map(|us| Unit::Microseconds.show(us));
        assert_eq!(times, ["999 us", "1 ms", "999 ms", "1 s"]);
        let sizes = [999.0, 1e3, 999e3, 1e6].map(|bytes| Unit::Bytes.show(bytes));
        assert_eq!(sizes, ["999 B", "1 KB", "999 KB", "1 MB"]);
    }
}
