//! What the list of faults becomes: one type that is any of them, and hands each call to its file.

/// Makes `Fault` and `FaultKind::ALL` from `module::Type` of each fault.
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
            /// All of them, in the order of the list.
            pub const ALL: &'static [&'static Self] = &[$(&<$module::$Name as Definition>::KIND),*];

            /// The keys that it takes in a profile, beside those that all take.
            #[must_use]
            pub fn keys(&self) -> crate::parameters::Keys {
                $(if self.name == <$module::$Name as Definition>::KIND.name {
                    return crate::parameters::Keys::of::<$module::$Name>();
                })*
                crate::parameters::Keys::default()
            }
        }

        impl Fault {
            /// A fault from its keys in a profile; keys that it does not have are left aside.
            ///
            /// # Errors
            /// Which key is missing or wrong, and why.
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

            /// How much of it, in words; empty where the name says it all.
            #[must_use]
            pub fn detail(&self) -> String {
                match self {
                    $(Self::$Name(fault) => fault.detail()),*
                }
            }

            /// Its parameters as data.
            #[must_use]
            pub fn parameters(&self) -> serde_json::Value {
                match self {
                    $(Self::$Name(fault) => serde_json::to_value(fault).unwrap_or_default()),*
                }
            }

            /// The same for one node of a target, with what depends on them filled in.
            ///
            /// # Errors
            /// Why it cannot be done there.
            pub fn fit(self, place: &Place<'_>) -> Result<Self, Unfit> {
                match self {
                    $(Self::$Name(fault) => fault.fit(place).map(Self::$Name)),*
                }
            }

            /// What undoes it when the driver is gone, where it reaches beyond the cluster.
            ///
            /// # Errors
            /// When it cannot be readied: then the fault must not be done.
            pub fn guard(
                &self,
                node: &crate::topology::Node,
            ) -> Result<Option<crate::cluster::reaper::Reaper>, crate::cluster::ClusterError> {
                match self {
                    $(Self::$Name(fault) => fault.guard(node)),*
                }
            }

            /// Does it, and returns once its effect has been seen.
            ///
            /// # Errors
            /// When it cannot be done, or its effect cannot be seen in time.
            pub async fn inject<C: crate::cluster::Cluster>(
                &self,
                site: &Site<'_, C>,
            ) -> Result<Verified, crate::cluster::ClusterError> {
                match self {
                    $(Self::$Name(fault) => fault.inject(site).await),*
                }
            }

            /// Undoes it, and returns once that has been seen. Safe to call again.
            ///
            /// # Errors
            /// When it cannot be undone, or that cannot be seen in time.
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
