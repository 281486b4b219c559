//! Parses HAProxy's statistics in CSV: a line of column names, then one line per server ("Statistics and monitoring",
//! section 9.1 of its management guide).

use super::Page;
use crate::measure::{BalancerTotals, BalancerView};

/// The backend of the app nodes.
const BACKEND: &str = "apps";
/// The frontend that takes the clients' requests.
const FRONTEND: &str = "clients";

/// Lines that have other columns are left out.
pub fn read(text: &str) -> Page {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.trim_start_matches("# ").as_bytes());
    let names = reader.headers().cloned().unwrap_or_default();
    let mut page = Page::default();
    for row in reader.records().filter_map(Result::ok) {
        let cell = |name: &str| row.get(names.iter().position(|column| column == name)?);
        let number = |name: &str| cell(name).and_then(|text| text.parse().ok()).unwrap_or_default();
        match (cell("pxname"), cell("svname"), cell("status")) {
            (Some(BACKEND), Some(node), Some(status)) if node.starts_with("app-") => {
                let view = BalancerView {
                    is_up: status.starts_with("UP"),
                    times_down: number("chkdown"),
                    down_s: number("downtime"),
                    retries: number("wretr"),
                    redispatches: number("wredis"),
                };
                page.nodes.insert(node.to_owned(), view);
            }
            (Some(FRONTEND), Some("FRONTEND"), _) => {
                page.totals = Some(BalancerTotals {
                    connections: number("conn_tot"),
                    refused_connections: number("dcon"),
                    requests: number("req_tot"),
                });
            }
            _ => {}
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_statistics_of_haproxy_are_read_by_the_names_of_their_columns() {
        let text = "# pxname,svname,scur,wretr,wredis,status,chkdown,downtime,req_tot,conn_tot,dcon,\n\
            clients,FRONTEND,3,,,OPEN,,,120,12,1,\n\
            apps,app-1,1,4,2,UP,1,7,,,,\n\
            apps,app-2,0,0,0,DOWN 1/2,2,9,,,,\n\
            apps,BACKEND,1,4,2,UP,0,0,,,,\n";
        let page = read(text);
        let up = BalancerView { is_up: true, times_down: 1, down_s: 7, retries: 4, redispatches: 2 };
        let down = BalancerView { is_up: false, times_down: 2, down_s: 9, retries: 0, redispatches: 0 };
        assert_eq!(page.nodes, BTreeMap::from([("app-1".to_owned(), up), ("app-2".to_owned(), down)]));
        let totals = BalancerTotals { connections: 12, refused_connections: 1, requests: 120 };
        assert_eq!(page.totals, Some(totals));
        assert!(read("") == Page::default() && read("<html>") == Page::default());
    }
}
