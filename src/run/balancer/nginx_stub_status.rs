//! nginx's `stub_status`: four lines of text with its counters since the start. It does not tell app nodes apart.
//! Format: <https://nginx.org/en/docs/http/ngx_http_stub_status_module.html>.

use super::Page;
use crate::measure::BalancerTotals;

/// Reads the line of numbers that follows `server accepts handled requests`.
pub fn read(text: &str) -> Page {
    let numbers = text.lines().skip_while(|line| line.trim() != "server accepts handled requests").nth(1);
    let numbers: Vec<u64> = numbers.into_iter().flat_map(str::split_whitespace).flat_map(str::parse).collect();
    let totals = match *numbers {
        [accepted, handled, requests] => Some(BalancerTotals {
            connections: accepted,
            // Accepted and dropped: a limit was reached, such as that of `worker_connections`.
            refused_connections: accepted.saturating_sub(handled),
            requests,
        }),
        _ => None,
    };
    Page { totals, ..Page::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_of_nginx_are_read_and_its_dropped_connections_are_refused_ones() {
        let text = "Active connections: 291 \nserver accepts handled requests\n 16630948 16630940 31070465 \n\
            Reading: 6 Writing: 179 Waiting: 106 \n";
        let totals = BalancerTotals { connections: 16_630_948, refused_connections: 8, requests: 31_070_465 };
        assert_eq!(read(text), Page { totals: Some(totals), ..Page::default() });
        for other in ["", "<html>404</html>", "server accepts handled requests", "server accepts handled requests\n1 2"]
        {
            assert_eq!(read(other), Page::default(), "{other}");
        }
    }
}
