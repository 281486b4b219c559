//! The macro that makes one type from the list of load models; it forwards each call to the file of the model.

/// Makes `Schedule` and `Schedule::all` from `module::Type` of each model.
macro_rules! models {
    ($($module:ident::$Name:ident),* $(,)?) => {
        /// Starts that do not wait for replies.
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

            /// Reads a model of the list from its keys in a profile. Returns `None` if no model has this name.
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

            /// Its pieces over `length_ns`, each with its own length in nanoseconds.
            #[must_use]
            pub fn pieces(&self, length_ns: u64) -> Vec<(Piece, u64)> {
                match self {
                    $(Self::$Name(model) => Model::pieces(model, length_ns),)*
                    Self::Stages(stages) => stages.pieces(),
                }
            }

            /// Its rate at its start, in operations per second; the warm-up has this rate.
            #[must_use]
            pub fn first_rate(&self) -> f64 {
                match self {
                    $(Self::$Name(model) => Model::first_rate(model),)*
                    Self::Stages(stages) => stages.first_rate(),
                }
            }

            /// The same schedule with its rates multiplied by `factor`.
            #[must_use]
            pub fn times(&self, factor: f64) -> Self {
                match self {
                    $(Self::$Name(model) => Self::$Name(Model::times(model, factor)),)*
                    Self::Stages(stages) => Self::Stages(stages.times(factor)),
                }
            }

            /// The same schedule with its durations multiplied by `times`, at the same rates.
            #[must_use]
            pub fn in_time(&self, times: f64) -> Self {
                match self {
                    $(Self::$Name(model) => Self::$Name(Model::in_time(model, times)),)*
                    Self::Stages(stages) => Self::Stages(stages.in_time(times)),
                }
            }

            /// The same schedule with another rate. Returns `None` if it does not have exactly one rate.
            #[must_use]
            pub fn at_rate(&self, per_second: f64) -> Option<Self> {
                match self {
                    $(Self::$Name(model) => Model::at_rate(model, per_second).map(Self::$Name),)*
                    Self::Stages(_) => None,
                }
            }

            /// A description for plans and reports.
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
