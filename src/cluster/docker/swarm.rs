//! Docker's swarm, which gives several engines networks in common: what each engine says of it, what is wrong, and how one is
//! formed. Services are not used: they restart what a fault has killed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::models::{LocalNodeState, SwarmInitRequest, SwarmJoinRequest, SystemInfo};
use bollard::query_parameters::ListNodesOptions;
use futures::future::join_all;
use tokio::time::timeout;

use super::Engine;
use crate::cluster::ClusterError;
use crate::hosts::{Host, Hosts};

/// How often an engine is asked for its time; the answer that came soonest counts.
const CLOCK_TRIES: usize = 5;
/// Beyond this the clocks of two hosts are too far apart to read their logs side by side.
const MAX_CLOCK_OFFSET_MS: f64 = 1000.0;
/// How long an engine may take to join.
const JOIN_TIMEOUT: Duration = Duration::from_secs(60);
/// Where managers take workers in.
const PORT: u16 = 2377;

/// What to look for where a container does not get into an overlay network.
pub const NEEDED_TO_ATTACH: &str = "if it does not get into its network: the host's kernel needs VXLAN (`modprobe vxlan`), the manager must be \
    up, and hosts must reach each other at the ports 7946 (TCP and UDP) and 4789 (UDP); `steadfast doctor --hosts FILE` asks the swarm";

const NO_SWARM: &str = "Podman has no swarm; install Docker 20.10 or later there";
const NO_ROOT: &str = "an engine without root has no overlay networks; run it as root";

/// What an engine says of its swarm and its clock.
#[derive(Clone, Debug, PartialEq)]
pub struct Membership {
    /// By which two engines are told apart. Their ids alone do not: engines of one machine share a key, and so do copies of a
    /// machine (20.10 keeps it in /etc/docker/key.json).
    pub identity: Identity,
    /// The engine's id in the swarm, if it is a member.
    pub node_id: Option<String>,
    /// Whether it can make networks.
    pub is_manager: bool,
    /// What it keeps of its swarm: `inactive`, `active`, `pending`, `error`, `locked`.
    pub state: String,
    /// The swarm's problem, in the engine's words.
    pub problem: Option<String>,
    /// Whether containers outlive the engine, which a swarm excludes.
    pub has_live_restore: bool,
    /// Why it cannot have overlay networks, and what to do.
    pub unfit: Option<&'static str>,
    /// Its clock against this machine's, and how far that may be wrong, in milliseconds.
    pub clock_ms: Option<(f64, f64)>,
}

/// One engine, as its swarm's manager sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwarmNode {
    /// Its id in the swarm.
    pub id: String,
    /// Whether it may run anything: `active`, `pause` or `drain`.
    pub availability: String,
    /// Whether the manager hears of it: `ready`, `down` or `unknown`.
    pub state: String,
}

/// The engines of a manager's swarm.
///
/// # Errors
/// When the engine is no manager, or does not answer.
pub async fn nodes(manager: &Engine) -> Result<Vec<SwarmNode>, ClusterError> {
    let nodes = manager.docker.list_nodes(None::<ListNodesOptions>).await;
    let nodes = nodes.map_err(|error| ClusterError::new("listing the engines of a swarm", error.to_string()))?;
    let node = |node: bollard::models::Node| {
        let availability = node.spec.and_then(|spec| spec.availability);
        let state = node.status.and_then(|status| status.state);
        Some(SwarmNode {
            id: node.id?,
            availability: availability.map(|availability| availability.to_string()).unwrap_or_default(),
            state: state.map(|state| state.to_string()).unwrap_or_default(),
        })
    };
    Ok(nodes.into_iter().filter_map(node).collect())
}

/// An engine's id, machine and folder, which are the same for each address of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    id: String,
    machine: String,
    folder: String,
    node_id: Option<String>,
}

impl Membership {
    /// Whether it is a member of a swarm that works.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state == LocalNodeState::ACTIVE.to_string()
    }

    fn is_member(&self) -> bool {
        !matches!(self.state.as_str(), "" | "inactive")
    }
}

/// A host whose engine has answered.
#[derive(Clone)]
pub struct Member {
    /// The host.
    pub host: Host,
    /// Its engine.
    pub engine: Engine,
    /// What the engine says.
    pub membership: Membership,
}

/// Connects to the engines of all hosts at once, and asks each; an error names its host.
pub async fn ask(hosts: &Hosts) -> Vec<Result<Member, ClusterError>> {
    join_all(hosts.iter().map(async |host| {
        let asked = async {
            let engine = Engine::of_host(host, &hosts.file).await?;
            let membership = membership(&engine).await?;
            Ok(Member { host: host.clone(), engine, membership })
        };
        asked.await.map_err(|error: ClusterError| error.of_host(Some(&host.name)))
    }))
    .await
}

/// What is wrong with these members, as [`problems`] says; the manager is asked for what it sees.
///
/// # Errors
/// When the manager does not answer.
pub async fn problems_of(hosts: &Hosts, members: &[Member]) -> Result<Vec<String>, ClusterError> {
    let manager = members.iter().find(|member| hosts.is_manager(&member.host) && member.membership.is_manager);
    let nodes = match manager {
        Some(manager) => nodes(&manager.engine).await?,
        None => Vec::new(),
    };
    let members: Vec<_> = members.iter().map(|member| (member.host.clone(), member.membership.clone())).collect();
    Ok(problems(hosts, &members, &nodes))
}

/// How far one clock is ahead of another, in nanoseconds; zero if that is within what is not known of either.
#[expect(clippy::cast_possible_truncation, reason = "nanoseconds of clocks that are less than seconds apart")]
#[must_use]
pub fn ahead_ns(one: Option<(f64, f64)>, other: Option<(f64, f64)>) -> i64 {
    let Some(((one, its_error), (other, error_of_other))) = one.zip(other) else { return 0 };
    let ahead_ms = one - other;
    if ahead_ms.abs() <= its_error + error_of_other { 0 } else { (ahead_ms * 1e6) as i64 }
}

/// Asks an engine.
///
/// # Errors
/// When it does not answer.
async fn membership(engine: &Engine) -> Result<Membership, ClusterError> {
    let mut best: Option<(SystemInfo, Option<(f64, f64)>)> = None;
    for _ in 0..CLOCK_TRIES {
        let sent = SystemTime::now();
        let info = engine.docker.info().await;
        let info = info.map_err(|error| ClusterError::new("asking the engine for its swarm", error.to_string()))?;
        let clock = offset_ms(info.system_time.as_deref(), sent, SystemTime::now());
        let error_of = |clock: Option<(f64, f64)>| clock.map_or(f64::INFINITY, |(_, error)| error);
        if best.as_ref().is_none_or(|(_, so_far)| error_of(clock) < error_of(*so_far)) {
            best = Some((info, clock));
        }
    }
    let (info, clock_ms) = best.unwrap_or_default();
    let swarm = info.swarm.unwrap_or_default();
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let node_id = given(swarm.node_id);
    Ok(Membership {
        identity: Identity {
            id: info.id.unwrap_or_default(),
            machine: info.name.unwrap_or_default(),
            folder: info.docker_root_dir.unwrap_or_default(),
            node_id: node_id.clone(),
        },
        node_id,
        is_manager: swarm.control_available.unwrap_or_default(),
        state: swarm.local_node_state.map(|state| state.to_string()).unwrap_or_default(),
        problem: given(swarm.error),
        has_live_restore: info.live_restore_enabled.unwrap_or_default(),
        unfit: match engine.facts() {
            facts if facts.is_podman() => Some(NO_SWARM),
            facts if facts.is_rootless => Some(NO_ROOT),
            _ => None,
        },
        clock_ms,
    })
}

/// The other clock minus this one, in the middle of the question and its answer, and half of the time between them.
fn offset_ms(theirs: Option<&str>, sent: SystemTime, received: SystemTime) -> Option<(f64, f64)> {
    let theirs: jiff::Timestamp = theirs?.parse().ok()?;
    let ms = |time: SystemTime| Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs_f64() * 1e3);
    let (sent, received) = (ms(sent)?, ms(received)?);
    let theirs = theirs.as_nanosecond() as f64 / 1e6;
    Some((theirs - f64::midpoint(sent, received), (received - sent) / 2.0))
}

/// What is wrong with hosts that are to run a cluster together, each with what to do: of several engines that are one, of
/// engines without a swarm, of clocks. `nodes` are those of the manager's swarm. Empty if nothing is wrong.
#[must_use]
pub fn problems(hosts: &Hosts, members: &[(Host, Membership)], nodes: &[SwarmNode]) -> Vec<String> {
    let mut problems = Vec::new();
    for (at, (host, member)) in members.iter().enumerate() {
        let name = &host.name;
        if let Some((other, _)) = members[..at].iter().find(|(_, other)| other.identity == member.identity) {
            problems.push(format!(
                "{} and {name} are one engine, that of {} in {}: give each host an engine of its own in {}",
                other.name, member.identity.machine, member.identity.folder, hosts.file
            ));
        }
        problems.extend(member.unfit.map(|why| format!("{name}: {why}")));
        if member.has_live_restore && !member.is_member() {
            problems.push(format!(
                "{name}: `live-restore` and a swarm exclude each other; remove it from /etc/docker/daemon.json there, and start the engine again"
            ));
        }
        if let Some(problem) = &member.problem {
            problems.push(format!("{name}: its engine says of the swarm: {problem}"));
        }
        if let Some((offset, error)) =
            member.clock_ms.filter(|(offset, error)| offset.abs() - error > MAX_CLOCK_OFFSET_MS)
        {
            problems.push(format!(
                "{name}: its clock is {:.1} s {} this machine's (± {:.1} s); set it, for example with chrony",
                offset.abs() / 1e3,
                if offset > 0.0 { "ahead of" } else { "behind" },
                error / 1e3
            ));
        }
    }
    if members.len() > 1 {
        problems.extend(of_the_swarm(hosts, members, nodes));
    }
    problems
}

fn of_the_swarm(hosts: &Hosts, members: &[(Host, Membership)], nodes: &[SwarmNode]) -> Vec<String> {
    let Some((manager, managing)) = members.iter().find(|(host, _)| hosts.is_manager(host)) else { return Vec::new() };
    let (manager, file) = (&manager.name, &hosts.file);
    if !managing.is_member() {
        return vec![format!("there is no swarm yet: `steadfast hosts join {file}` makes one")];
    }
    if !managing.is_manager {
        return vec![format!(
            "{manager} is a worker of its swarm, and only managers make networks: give the tag `manager` to the host that manages it"
        )];
    }
    let of_host = |(host, member): &(Host, Membership)| {
        let name = &host.name;
        if !member.is_member() {
            return Some(format!("{name} is in no swarm: `steadfast hosts join {file}` takes it in"));
        }
        let id = member.node_id.as_deref().unwrap_or_default();
        let Some(node) = nodes.iter().find(|node| node.id == id) else {
            return Some(format!(
                "{name} is in another swarm than {manager}: `docker swarm leave --force` there, if nothing needs that one, then `steadfast hosts join {file}`"
            ));
        };
        if node.availability != "active" {
            return Some(format!(
                "{name} is not active in the swarm ({}): `docker node update --availability active {id}` on {manager}",
                node.availability
            ));
        }
        (node.state != "ready").then(|| {
            format!("{manager} does not see {name} ({}): {}", node.state, needed_ports("they must reach each other"))
        })
    };
    members.iter().filter_map(of_host).collect()
}

/// What a swarm needs of the network between its hosts.
fn needed_ports(of: &str) -> String {
    format!("{of} at the ports 2377 (TCP, the manager's), 7946 (TCP and UDP) and 4789 (UDP)")
}

/// Makes a swarm of these engines where there is none, and takes in those that are in none. A swarm that is there stays as it is.
///
/// # Returns
/// One line for each engine that has joined.
///
/// # Errors
/// When a host's address is not known, or an engine refuses.
pub async fn join(hosts: &Hosts, members: &[Member]) -> Result<Vec<String>, ClusterError> {
    let mut done = Vec::new();
    let Some(managing) = members.iter().find(|member| hosts.is_manager(&member.host)) else { return Ok(done) };
    let (host, manager) = (&managing.host, &managing.engine);
    if !managing.membership.is_member() {
        let request = SwarmInitRequest {
            listen_addr: Some(format!("0.0.0.0:{PORT}")),
            advertise_addr: Some(address(host)?),
            ..SwarmInitRequest::default()
        };
        let made = timeout(JOIN_TIMEOUT, manager.docker.init_swarm(request)).await;
        let failed = |reason: String| ClusterError::new(format!("making a swarm on {}", host.name), reason);
        made.map_err(|_| failed(late()))?.map_err(|error| failed(error.to_string()))?;
        done.push(format!("{} manages a new swarm", host.name));
    }
    let failed = |reason: String| ClusterError::new(format!("reading the join token of {}", host.name), reason);
    let swarm = manager.docker.inspect_swarm().await.map_err(|error| failed(error.to_string()))?;
    let token = swarm
        .join_tokens
        .and_then(|tokens| tokens.worker)
        .ok_or_else(|| failed("the swarm has no token for workers".to_owned()))?;
    let info = manager.docker.info().await.map_err(|error| failed(error.to_string()))?;
    let at = info.swarm.and_then(|swarm| swarm.node_addr).filter(|address| !address.is_empty());
    let at = at.ok_or_else(|| failed("its engine does not tell its address".to_owned()))?;
    let is_alone = |member: &&Member| !hosts.is_manager(&member.host) && !member.membership.is_member();
    for Member { host, engine, .. } in members.iter().filter(is_alone) {
        let request = SwarmJoinRequest {
            listen_addr: Some(format!("0.0.0.0:{PORT}")),
            advertise_addr: Some(address(host)?),
            remote_addrs: Some(vec![format!("{at}:{PORT}")]),
            join_token: Some(token.clone()),
            ..SwarmJoinRequest::default()
        };
        let failed = |reason: String| {
            ClusterError::new(format!("taking {} into the swarm", host.name), reason)
                .advise(needed_ports(&format!("it and {at} must reach each other")))
        };
        let joined = timeout(JOIN_TIMEOUT, engine.docker.join_swarm(request)).await;
        joined.map_err(|_| failed(late()))?.map_err(|error| failed(error.to_string()))?;
        done.push(format!("{} has joined", host.name));
    }
    Ok(done)
}

fn late() -> String {
    format!("it has not answered within {} s", JOIN_TIMEOUT.as_secs())
}

/// The address at which other hosts reach this one: as the file says, or its engine's.
fn address(host: &Host) -> Result<String, ClusterError> {
    if let Some(address) = host.address {
        return Ok(address.to_string());
    }
    let place = host.engine.split_once("://").map_or("", |(_, rest)| rest);
    let place = place.rsplit_once('@').map_or(place, |(_, rest)| rest);
    let place = place.split(['/', ':']).next().unwrap_or_default();
    if !host.engine.starts_with("unix://") && !place.is_empty() {
        return Ok(place.to_owned());
    }
    Err(ClusterError::new(format!("taking {} into the swarm", host.name), "where other hosts reach it is not known")
        .advise(format!("write `address = \"…\"` below its name, `{}`", host.name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Source;

    fn hosts(names: &[&str]) -> Hosts {
        let table = |name: &&str| format!("[[hosts]]\nname = \"{name}\"\nengine = \"unix:///{name}.sock\"\n");
        let text = names.iter().map(table).collect();
        Hosts::from_source(&Source { name: "hosts".into(), file: "hosts.toml".into(), text }).unwrap()
    }

    fn member(name: &str, change: impl FnOnce(&mut Membership)) -> Membership {
        let mut member = Membership {
            identity: Identity {
                id: "the same".to_owned(),
                machine: name.to_owned(),
                folder: "/var/lib/docker".to_owned(),
                node_id: None,
            },
            node_id: Some(name.to_owned()),
            is_manager: name == "a",
            state: "active".to_owned(),
            problem: None,
            has_live_restore: false,
            unfit: None,
            clock_ms: Some((0.2, 1.0)),
        };
        change(&mut member);
        member
    }

    fn node(id: &str) -> SwarmNode {
        SwarmNode { id: id.to_owned(), availability: "active".to_owned(), state: "ready".to_owned() }
    }

    fn said_of(change_b: impl FnOnce(&mut Membership), nodes: &[SwarmNode]) -> String {
        let hosts = hosts(&["a", "b"]);
        let members = [member("a", |_| {}), member("b", change_b)];
        problems(&hosts, &hosts.iter().cloned().zip(members).collect::<Vec<_>>(), nodes).join("\n")
    }

    fn said(change_a: impl FnOnce(&mut Membership), change_b: impl FnOnce(&mut Membership)) -> String {
        let hosts = hosts(&["a", "b"]);
        let members = [member("a", change_a), member("b", change_b)];
        let nodes = [node("a"), node("b")];
        problems(&hosts, &hosts.iter().cloned().zip(members).collect::<Vec<_>>(), &nodes).join("\n")
    }

    #[test]
    fn engines_of_one_swarm_have_no_problem() {
        assert_eq!(said(|_| {}, |_| {}), "");
    }

    #[test]
    fn each_problem_is_named_with_its_host_and_what_to_do() {
        let leave = |member: &mut Membership| member.state = "inactive".to_owned();
        insta::assert_snapshot!(said(leave, leave), @"there is no swarm yet: `steadfast hosts join hosts.toml` makes one");
        insta::assert_snapshot!(said(|_| {}, leave), @"b is in no swarm: `steadfast hosts join hosts.toml` takes it in");
        insta::assert_snapshot!(said(|_| {}, |member| member.identity.machine = "a".to_owned()), @"a and b are one engine, that of a in /var/lib/docker: give each host an engine of its own in hosts.toml");
        insta::assert_snapshot!(said(|member| member.is_manager = false, |_| {}), @"a is a worker of its swarm, and only managers make networks: give the tag `manager` to the host that manages it");
        insta::assert_snapshot!(said_of(|_| {}, &[node("a")]), @"b is in another swarm than a: `docker swarm leave --force` there, if nothing needs that one, then `steadfast hosts join hosts.toml`");
        let drained = SwarmNode { availability: "drain".to_owned(), ..node("b") };
        insta::assert_snapshot!(said_of(|_| {}, &[node("a"), drained]), @"b is not active in the swarm (drain): `docker node update --availability active b` on a");
        let unheard = SwarmNode { state: "down".to_owned(), ..node("b") };
        insta::assert_snapshot!(said_of(|_| {}, &[node("a"), unheard]), @"a does not see b (down): they must reach each other at the ports 2377 (TCP, the manager's), 7946 (TCP and UDP) and 4789 (UDP)");
        insta::assert_snapshot!(said(|_| {}, |member| member.clock_ms = Some((-90_000.0, 4.0))), @"b: its clock is 90.0 s behind this machine's (± 0.0 s); set it, for example with chrony");
        insta::assert_snapshot!(said(|_| {}, |member| member.unfit = Some(NO_SWARM)), @"b: Podman has no swarm; install Docker 20.10 or later there");
        let restoring = |member: &mut Membership| {
            member.has_live_restore = true;
            member.state = "inactive".to_owned();
        };
        insta::assert_snapshot!(said(|_| {}, restoring), @r#"
        b: `live-restore` and a swarm exclude each other; remove it from /etc/docker/daemon.json there, and start the engine again
        b is in no swarm: `steadfast hosts join hosts.toml` takes it in
        "#);
        insta::assert_snapshot!(said(|member| member.problem = Some("no quorum".to_owned()), |_| {}), @"a: its engine says of the swarm: no quorum");
    }

    #[test]
    fn a_clock_is_compared_in_the_middle_of_question_and_answer() {
        let at = |ms: u64| UNIX_EPOCH + Duration::from_millis(ms);
        let offset = offset_ms(Some("1970-01-01T00:00:12.500Z"), at(10_000), at(10_006)).unwrap();
        assert!((offset.0 - 2497.0).abs() < 0.001 && (offset.1 - 3.0).abs() < 0.001, "{offset:?}");
        assert_eq!(offset_ms(Some("now"), at(1), at(2)), None);
        assert_eq!(offset_ms(None, at(1), at(2)), None);
    }

    #[test]
    fn a_clock_that_may_be_right_is_not_corrected() {
        assert_eq!(ahead_ns(Some((-3.0, 4.0)), Some((2.0, 3.0))), 0);
        assert_eq!(ahead_ns(Some((-300.0, 4.0)), Some((200.0, 3.0))), -500_000_000);
        assert_eq!(ahead_ns(None, Some((200.0, 3.0))), 0);
    }

    #[test]
    fn the_address_of_a_host_is_the_files_or_its_engines() {
        let of = |engine: &str, given: Option<&str>| {
            let address_of = Host {
                name: "a".to_owned(),
                engine: engine.to_owned(),
                certificates: None,
                address: given.map(|text| text.parse().unwrap()),
                cores: None,
                tags: Vec::new(),
            };
            address(&address_of).map_err(|error| error.to_string())
        };
        assert_eq!(of("ssh://root@b.example:22", None), Ok("b.example".to_owned()));
        assert_eq!(of("tcp://10.0.0.2:2376", None), Ok("10.0.0.2".to_owned()));
        assert_eq!(of("unix:///a.sock", Some("10.0.0.3")), Ok("10.0.0.3".to_owned()));
        insta::assert_snapshot!(of("unix:///a.sock", None).unwrap_err(), @r#"
        taking a into the swarm: where other hosts reach it is not known
          write `address = "…"` below its name, `a`
        "#);
    }
}
