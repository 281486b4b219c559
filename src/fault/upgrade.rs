//! Upgrade: a rolling upgrade to another setting of the app's image. Every app node in turn is drained, stopped, configured anew
//! and started, so that for a while old and new nodes serve side by side, and sessions cross from one to the other in both
//! directions. After `back_after` the nodes go back, as in a rollback.

use std::collections::BTreeMap;
use std::time::Instant;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kind::{Hurts, Nodes};
use super::parameters::default_grace;
use super::steps::{drain, ended, in_turn};
use super::{Definition, FaultKind, Place, Site, Unfit, Verified};
use crate::cluster::{Ability, Cluster, ClusterError, running_apps};
use crate::topology::{self, Tier};
use crate::values::Time;

/// What the nodes become.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Upgrade {
    /// Settings of the app's image with their new values.
    pub to: BTreeMap<String, String>,
    /// How long after the last node is ready the nodes go back, one after the other; without it they stay as they are.
    #[serde(default)]
    pub back_after: Option<Time>,
    /// How long a node has to end, before it is killed.
    #[serde(default = "default_grace")]
    pub grace: Time,
}

impl Definition for Upgrade {
    const KIND: FaultKind = FaultKind {
        tiers: &[Tier::App],
        nodes: Nodes::EachAppInTurn,
        hurts: Hurts::Everybody,
        heals_by_itself: true,
        ..FaultKind::new(
            "upgrade",
            "stops every app node, and starts it with other settings, one after the other has become ready",
            &[Ability::Signals],
        )
    };

    fn detail(&self) -> String {
        let settings: Vec<String> = self.to.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        let back = self.back_after.map_or(String::new(), |after| format!(", and back after {after}"));
        format!("to {}{back}", settings.join(", "))
    }

    fn fit(self, place: &Place<'_>) -> Result<Self, Unfit> {
        let unfit = |message: String| Err(Unfit::new("to", message));
        let target = place.inventory.target;
        if target.compose.is_some() || target.attached.is_some() {
            let message =
                "the app has no settings that this program knows; a `command` fault can deploy another version";
            return Err(Unfit::new("fault", message));
        }
        let Some(app) = target.tiers.get(&Tier::App) else { return Ok(self) };
        let name = &app.image.name;
        if self.to.is_empty() {
            return unfit(format!(
                "say which settings of the image `{name}` change; it has: {}",
                keys(&app.image.settings)
            ));
        }
        for (key, value) in &self.to {
            if let Err(reason) = app.image.check_setting(key, value) {
                return unfit(format!("`{key}`: {reason}"));
            }
        }
        let mut tiers = target.tiers.clone();
        if let Some(app) = tiers.get_mut(&Tier::App) {
            app.settings.extend(self.to.clone());
        }
        if let Some(unmet) = topology::unmet(&tiers) {
            return unfit(format!("`{}`: {}", unmet.setting, unmet.problem));
        }
        if self.to.iter().all(|(key, value)| app.settings.get(key) == Some(value)) {
            return unfit(format!("the nodes of {} are like that already, so it would show nothing", target.name));
        }
        Ok(self)
    }

    async fn inject<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        let mut verified = Verified::default();
        self.roll(site, &self.to, &mut verified).await?;
        if let Some(after) = self.back_after {
            tokio::time::sleep(after.get()).await;
            self.roll(site, &BTreeMap::new(), &mut verified).await?;
        }
        Ok(verified)
    }

    async fn heal<C: Cluster>(&self, site: &Site<'_, C>) -> Result<Verified, ClusterError> {
        in_turn::heal(site).await
    }
}

impl Upgrade {
    /// Takes the running nodes one after the other to these settings; those that are left out are as in the target.
    async fn roll<C: Cluster>(
        &self,
        site: &Site<'_, C>,
        settings: &BTreeMap<String, String>,
        verified: &mut Verified,
    ) -> Result<(), ClusterError> {
        let (began, topology) = (Instant::now(), site.cluster.topology());
        for node in running_apps(site.cluster).await? {
            let files = topology.files_with(node, settings)?;
            let site = Site { node, ..*site };
            drain::drain(&site).await?;
            let ended = ended::stop(&site, self.grace).await?;
            verified.unix_ns = verified.unix_ns.or(ended.unix_ns);
            site.cluster.configure(&node.name, &files).await?;
            ended::start_again(&site).await?;
            drain::admit(&site).await?;
            verified.seen.push(format!(
                "{} was configured {} and ready after {:.1} s",
                node.name,
                if settings.is_empty() { "as before" } else { "anew" },
                began.elapsed().as_secs_f64()
            ));
        }
        Ok(())
    }
}

fn keys(settings: &BTreeMap<String, Vec<String>>) -> String {
    settings.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::testing::at_app_2;
    use super::super::{Inventory, Place};
    use super::*;
    use crate::cluster::fake::FakeCluster;
    use crate::topology::Target;

    fn upgrade(to: &[(&str, &str)]) -> Upgrade {
        let to = to.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Upgrade { to, back_after: None, grace: Time::from_millis(1000) }
    }

    #[tokio::test]
    async fn every_app_node_is_configured_anew_while_it_is_ended_and_goes_back() {
        let cluster = FakeCluster::of("tomcat-delta");
        let there = upgrade(&[("replication", "asynchronous")]);
        let back = Upgrade { back_after: Some(Time::from_millis(1)), ..there.clone() };
        at_app_2(&cluster, async |site| {
            there.inject(&site).await.unwrap();
            let configured =
                |node: &str| cluster.configured.lock().unwrap()[node]["/srv/tomcat/conf/server.xml"].clone();
            for node in ["app-1", "app-2", "app-3"] {
                assert!(configured(node).contains(r#"channelSendOptions="8""#));
                assert!(configured(node).contains(node), "each has its own file");
            }
            let seen = back.inject(&site).await.unwrap().seen;
            assert_eq!(seen.len(), 6);
            assert!(seen[5].starts_with("app-3 was configured as before"), "{seen:?}");
            assert!(configured("app-3").contains(r#"channelSendOptions="6""#));
            assert_eq!(cluster.running().len(), 4);
        })
        .await;
    }

    #[test]
    fn an_upgrade_to_what_is_there_or_to_what_there_is_not_is_refused() {
        let target = Target::find("tomcat-delta").unwrap();
        let place = Place { inventory: Inventory { target: &target, app_nodes: 3 }, node: "app-1" };
        let refused = |to: &[(&str, &str)]| upgrade(to).fit(&place).unwrap_err().message;
        insta::assert_snapshot!(refused(&[]), @"say which settings of the image `tomcat` change; it has: connector, manager, primary, replication, route, state_class, store");
        insta::assert_snapshot!(refused(&[("colour", "red")]), @"`colour`: the image `tomcat` has no such setting; it has: connector, manager, primary, replication, route, state_class, store");
        insta::assert_snapshot!(refused(&[("replication", "never")]), @"`replication`: `never` is not one of synchronous, asynchronous");
        insta::assert_snapshot!(refused(&[("replication", "synchronous")]), @"the nodes of tomcat-delta are like that already, so it would show nothing");
        insta::assert_snapshot!(refused(&[("manager", "store")]), @"`manager`: `store` needs a `[store]` with one of these images: redis, valkey, memcached, postgres");
        assert!(upgrade(&[("replication", "asynchronous")]).fit(&place).is_ok());
    }
}
