//! The macro that turns the list of faults into one enum, which forwards each call to the fault's file.

/// Generates `Fault` and `FaultKind::ALL` from the `module::Type` of each fault.
macro_rules! faults {
    ($($module:ident::$Name:ident),* $(,)?) => {
        /// A fault with its parameters.
        #[derive(Clone, Debug, PartialEq, serde::Serialize)]
        #[serde(tag = "fault", rename_all = "kebab-case")]
        #[expect(missing_docs, reason = "each is described where its file defines it")]
        pub enum Fault {
            $($Name($module::$Name)),*
        }

        impl FaultKind {
            /// All faults, in the order of the list.
            pub const ALL: &'static [&'static Self] = &[$(&<$module::$Name as Definition>::KIND),*];

            /// Its parameters in a profile, without the keys that all faults have.
            #[must_use]
            pub fn keys(&self) -> crate::parameters::Keys {
                $(if self.name == <$module::$Name as Definition>::KIND.name {
                    return crate::parameters::Keys::of::<$module::$Name>();
                })*
                crate::parameters::Keys::default()
            }
        }

        impl Fault {
            /// Reads a fault from its keys in a profile; ignores keys that it does not have.
            ///
            /// # Errors
            /// Names the key that is missing or wrong, and why.
            pub fn read(
                kind: &FaultKind,
                given: &std::collections::BTreeMap<String, toml::Value>,
            ) -> Result<Self, crate::parameters::BadParameter> {
                $(if kind.name == <$module::$Name as Definition>::KIND.name {
                    return crate::parameters::read(kind.name, given).map(Self::$Name);
                })*
                Err(crate::parameters::BadParameter { key: None, message: format!("no fault is called `{kind}`") })
            }

            /// Its facts.
            #[must_use]
            pub const fn kind(&self) -> &'static FaultKind {
                match self {
                    $(Self::$Name(_) => &<$module::$Name as Definition>::KIND),*
                }
            }

            /// Describes the parameters; empty if there is nothing to add to the name.
            #[must_use]
            pub fn detail(&self) -> String {
                match self {
                    $(Self::$Name(fault) => fault.detail()),*
                }
            }

            /// Its parameters as JSON.
            #[must_use]
            pub fn parameters(&self) -> serde_json::Value {
                match self {
                    $(Self::$Name(fault) => serde_json::to_value(fault).unwrap_or_default()),*
                }
            }

            /// Checks that the fault can be injected into a node, and fills in values that depend on node and target.
            ///
            /// # Errors
            /// Why it cannot be injected there.
            pub fn fit(self, place: &Place<'_>) -> Result<Self, Unfit> {
                match self {
                    $(Self::$Name(fault) => fault.fit(place).map(Self::$Name)),*
                }
            }

            /// The reaper that heals the fault if the driver dies; `None` if the fault stays inside the cluster.
            ///
            /// # Errors
            /// If the reaper cannot be started. The fault must not be injected then.
            pub fn guard(
                &self,
                node: &crate::topology::Node,
            ) -> Result<Option<crate::cluster::reaper::Reaper>, crate::cluster::ClusterError> {
                match self {
                    $(Self::$Name(fault) => fault.guard(node)),*
                }
            }

            /// Injects the fault, and returns when its effect has been seen.
            ///
            /// # Errors
            /// If it cannot be injected, or its effect is not seen in time.
            pub async fn inject<C: crate::cluster::Cluster>(
                &self,
                site: &Site<'_, C>,
            ) -> Result<Verified, crate::cluster::ClusterError> {
                match self {
                    $(Self::$Name(fault) => fault.inject(site).await),*
                }
            }

            /// Heals the fault, and returns when that has been seen. Safe to call again.
            ///
            /// # Errors
            /// If it cannot be healed, or that is not seen in time.
            pub async fn heal<C: crate::cluster::Cluster>(
                &self,
                site: &Site<'_, C>,
            ) -> Result<Verified, crate::cluster::ClusterError> {
                match self {
                    $(Self::$Name(fault) => fault.heal(site).await),*
                }
            }
        }
    };
}

pub(super) use faults;
