//! Rate, delay, reorder and corrupt: what a node sends goes through a queue of the kernel's that slows or spoils it.

use super::network::Queue;
use crate::history::FaultKind;
use crate::topology::Network;

/// The least that a limited node may send at once: a few packets, or nothing would fit.
const LEAST_BURST_BYTES: u64 = 5000;

/// At most so many bytes a second.
pub fn rate(networks: &[Network], bytes_per_second: u64) -> Queue<'_> {
    let burst = (bytes_per_second / 50).max(LEAST_BURST_BYTES);
    // Four times the burst cannot pass at once: the queue counts what had to wait. Nobody listens for it.
    let packets = burst * 4 / 1000 + 1;
    Queue {
        kind: FaultKind::Rate,
        networks,
        discipline: format!("tbf rate {bytes_per_second}bps burst {burst} latency 300ms"),
        proof: format!(
            "for i in $(seq {packets}); do printf '%01000d' 0 > /dev/udp/$peer/9; done 2>/dev/null\n\
             waited=$(tc -s qdisc show dev $dev | sed -n 's/.*overlimits \\([0-9]*\\).*/\\1/p')\n\
             if [ \"${{waited:-0}}\" -eq 0 ]; then echo \"nothing had to wait on $dev\"; exit 1; fi\n\
             echo \"on $dev packets had to wait $waited times\"\n"
        ),
    }
}

/// Late, more or less.
pub fn delay(networks: &[Network], delay_ms: u64, jitter_ms: u64) -> Queue<'_> {
    let least_ms = delay_ms.saturating_sub(jitter_ms) / 2;
    Queue {
        kind: FaultKind::Delay,
        networks,
        discipline: format!("netem delay {delay_ms}ms {jitter_ms}ms"),
        proof: format!(
            "from=$(date +%s%N); timeout 60 bash -c \": < /dev/tcp/$peer/$port\" 2>/dev/null; took=$((($(date +%s%N) - from) / 1000000))\n\
             if [ $took -lt {least_ms} ]; then echo \"to connect on $dev took $took ms\"; exit 1; fi\n\
             echo \"to connect on $dev took $took ms\"\n"
        ),
    }
}

/// A share goes at once, and the rest a little later.
pub fn reorder(networks: &[Network], share: f64) -> Queue<'_> {
    spoiling(FaultKind::Reorder, networks, format!("netem delay 10ms reorder {}%", share * 100.0))
}

/// A share with a wrong bit.
pub fn corrupt(networks: &[Network], share: f64) -> Queue<'_> {
    spoiling(FaultKind::Corrupt, networks, format!("netem corrupt {}%", share * 100.0))
}

/// The kernel counts neither what it reorders nor what it corrupts: that the queue stands there is what can be seen.
fn spoiling(kind: FaultKind, networks: &[Network], discipline: String) -> Queue<'_> {
    let proof = "tc qdisc show dev $dev | grep netem || { echo \"no queue on $dev\"; exit 1; }\n".to_owned();
    Queue { kind, networks, discipline, proof }
}
