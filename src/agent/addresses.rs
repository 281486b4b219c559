//! Adds client addresses to the agent's interface, so that a balancer sees as many clients as a test needs. Needs the
//! capability `NET_ADMIN` in the agent's own network namespace, and no other.

use std::net::Ipv4Addr;

/// Adds `addresses` to the interface `eth0`. Does nothing if all of them are loopback addresses.
#[cfg(target_os = "linux")]
pub async fn add(addresses: &[Ipv4Addr]) -> Result<(), String> {
    use futures::TryStreamExt;

    if addresses.is_empty() || addresses.iter().all(Ipv4Addr::is_loopback) {
        return Ok(());
    }
    let (connection, handle, _) = rtnetlink::new_connection().map_err(|error| format!("netlink: {error}"))?;
    tokio::spawn(connection);
    let mut links = handle.link().get().match_name("eth0".to_owned()).execute();
    let link = links.try_next().await.map_err(|error| format!("interface eth0: {error}"))?;
    let index = link.ok_or("there is no interface eth0")?.header.index;
    for address in addresses {
        let added = handle.address().add(index, (*address).into(), 32).execute().await;
        added.map_err(|error| format!("client address {address}: {error}"))?;
    }
    Ok(())
}

/// Other systems have no netlink, so only loopback addresses are possible; the agent runs on Linux.
#[cfg(not(target_os = "linux"))]
pub async fn add(addresses: &[Ipv4Addr]) -> Result<(), String> {
    if addresses.iter().all(Ipv4Addr::is_loopback) { Ok(()) } else { Err("client addresses need Linux".to_owned()) }
}
