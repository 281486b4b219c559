//! Address ranges that this machine already reaches elsewhere, such as a VPN or a company network. A cluster in one
//! would silently cut the machine off from that network during the run.

use std::net::Ipv4Addr;

use crate::topology::Subnet;

/// The kernel's routing table.
const ROUTES: &str = "/proc/net/route";

/// The destinations of this machine's routes, without the default route. Empty if unknown.
#[must_use]
pub fn known() -> Vec<Subnet> {
    parse(&std::fs::read_to_string(ROUTES).unwrap_or_default())
}

/// Parses the kernel's table: interface, destination, gateway, flags, …, mask; addresses are hexadecimal numbers in the
/// machine's byte order (proc(5)).
fn parse(table: &str) -> Vec<Subnet> {
    let of_line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let address = |field: &str| Some(Ipv4Addr::from(u32::from_str_radix(field, 16).ok()?.to_ne_bytes()));
        let (base, mask) = (address(fields.get(1)?)?, address(fields.get(7)?)?);
        let prefix = u8::try_from(u32::from(mask).leading_ones()).ok()?;
        (prefix > 0).then_some(Subnet { base, prefix })
    };
    table.lines().skip(1).filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn routes_are_read_and_the_default_route_is_left_out() {
        let table = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                     eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     tun0\t00004D0A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                     tun0\t0500580A\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n";
        let shown: Vec<String> = parse(table).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.77.0.0/16", "10.88.0.5/32"]);
    }
}
