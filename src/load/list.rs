//! What the list of load models becomes: one type that is any of them, and hands each call to its file.

/// Makes `Schedule` and `Schedule::ALL` from `module::Type` of each model.
macro_rules! models {
    ($($module:ident::$Name:ident),* $(,)?) => {
        /// Starts that wait for nothing.
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "model", rename_all = "kebab-case")]
        #[expect(missing_docs, reason = "each is described where its file defines it")]
        pub enum Schedule {
            $($Name($module::$Name),)*
            /// One schedule after the other.
            Stages(Stages),
        }

        impl Schedule {
            /// The models of the list: name, description, keys.
            #[must_use]
            pub fn all() -> Vec<(&'static str, &'static str, crate::parameters::Keys)> {
                vec![$((
                    <$module::$Name as Model>::NAME,
                    <$module::$Name as Model>::DESCRIPTION,
                    crate::parameters::Keys::of::<<$module::$Name as Model>::Keys>(),
                )),*]
            }

            /// A model of the list from its keys in a profile; none where there is no model of this name.
            ///
            /// # Errors
            /// Which key is missing or wrong, and why.
            pub fn read(
                name: &str,
                given: &std::collections::BTreeMap<String, toml::Value>,
                length: crate::values::Time,
            ) -> Result<Option<Self>, crate::parameters::BadParameter> {
                $(if name == <$module::$Name as Model>::NAME {
                    return <$module::$Name as Model>::read(given, length).map(Self::$Name).map(Some);
                })*
                Ok(None)
            }

            /// What it is laid out of over `length_ns`: each piece with its own length.
            #[must_use]
            pub fn pieces(&self, length_ns: u64) -> Vec<(Piece, u64)> {
                match self {
                    $(Self::$Name(model) => Model::pieces(model, length_ns),)*
                    Self::Stages(stages) => stages.pieces(),
                }
            }

            /// Its rate at its start, in operations a second: what the warm-up has.
            #[must_use]
            pub fn first_rate(&self) -> f64 {
                match self {
                    $(Self::$Name(model) => Model::first_rate(model),)*
                    Self::Stages(stages) => stages.first_rate(),
                }
            }

            /// The same schedule, so many times as dense.
            #[must_use]
            pub fn times(&self, factor: f64) -> Self {
                match self {
                    $(Self::$Name(model) => Self::$Name(Model::times(model, factor)),)*
                    Self::Stages(stages) => Self::Stages(stages.times(factor)),
                }
            }

            /// The same schedule in so many times the time, at the same rates.
            #[must_use]
            pub fn in_time(&self, times: f64) -> Self {
                match self {
                    $(Self::$Name(model) => Self::$Name(Model::in_time(model, times)),)*
                    Self::Stages(stages) => Self::Stages(stages.in_time(times)),
                }
            }

            /// The same with another rate, where it has just one.
            #[must_use]
            pub fn at_rate(&self, per_second: f64) -> Option<Self> {
                match self {
                    $(Self::$Name(model) => Model::at_rate(model, per_second).map(Self::$Name),)*
                    Self::Stages(_) => None,
                }
            }

            /// In words, for plans and reports.
            #[must_use]
            pub fn describe(&self) -> String {
                match self {
                    $(Self::$Name(model) => Model::describe(model),)*
                    Self::Stages(stages) => stages.describe(),
                }
            }
        }
    };
}

pub(super) use models;
