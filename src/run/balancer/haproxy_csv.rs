//! HAProxy's statistics as comma-separated values: a line of column names, and one a server ("Statistics and monitoring",
//! section 9.1 of its management guide).

use std::collections::BTreeMap;

use crate::measure::BalancerView;

/// The backend that has the app nodes.
const BACKEND: &str = "apps";

/// By app node.
pub fn read(text: &str) -> BTreeMap<String, BalancerView> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.trim_start_matches("# ").as_bytes());
    let names = reader.headers().cloned().unwrap_or_default();
    let view_of = |row: csv::StringRecord| {
        let cell = |name: &str| row.get(names.iter().position(|column| column == name)?);
        let number = |name: &str| cell(name).and_then(|text| text.parse().ok()).unwrap_or_default();
        let view = BalancerView {
            is_up: cell("status")?.starts_with("UP"),
            times_down: number("chkdown"),
            down_s: number("downtime"),
            retries: number("wretr"),
            redispatches: number("wredis"),
        };
        (cell("pxname")? == BACKEND).then_some((cell("svname")?.to_owned(), view))
    };
    reader.records().filter_map(Result::ok).filter_map(view_of).filter(|(name, _)| name.starts_with("app-")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statistics_of_haproxy_are_read_by_the_names_of_their_columns() {
        let text = "# pxname,svname,scur,wretr,wredis,status,chkdown,downtime,\n\
            clients,FRONTEND,3,,,OPEN,,,\n\
            apps,app-1,1,4,2,UP,1,7,\n\
            apps,app-2,0,0,0,DOWN 1/2,2,9,\n\
            apps,BACKEND,1,4,2,UP,0,0,\n";
        let views = read(text);
        let up = BalancerView { is_up: true, times_down: 1, down_s: 7, retries: 4, redispatches: 2 };
        let down = BalancerView { is_up: false, times_down: 2, down_s: 9, retries: 0, redispatches: 0 };
        assert_eq!(views, BTreeMap::from([("app-1".to_owned(), up), ("app-2".to_owned(), down)]));
        assert!(read("").is_empty() && read("<html>").is_empty());
    }
}
