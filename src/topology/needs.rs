//! The needs of a setting's value: images of other tiers, or values of other settings. A target that does not meet them would start and
//! then fail, or measure something else than it says. This module does not know which needs there are.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{Image, Tier, TierSpec};
use crate::files::{self, FileError, Source};

/// The needs of an image's settings, as `[needs.<setting>.<value>]` of its `image.toml` says them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs(BTreeMap<String, BTreeMap<String, BTreeMap<Subject, Vec<String>>>>);

impl Needs {
    /// The first setting, value or tier in it that does not exist; an image with it would not be checked.
    pub(super) fn unknown(&self, image: &Image) -> Option<String> {
        for (setting, values) in &self.0 {
            for (value, needs) in values {
                if let Err(problem) = image.check_setting(setting, value) {
                    return Some(format!("`needs.{setting}.{value}`: {problem}"));
                }
                for (subject, allowed) in needs {
                    let Subject::Setting(key) = subject else { continue };
                    if key.contains('.') {
                        if other_tier(key).is_none() {
                            return Some(format!("`{key}` begins with no tier: balancer, app or store"));
                        }
                        continue;
                    }
                    let unknown = allowed.iter().find_map(|one| image.check_setting(key, one).err());
                    let missing = (!image.settings.contains_key(key)).then(|| format!("there is no setting `{key}`"));
                    if let Some(problem) = missing.or(unknown) {
                        return Some(format!("`needs.{setting}.{value}`: {problem}"));
                    }
                }
            }
        }
        None
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The image of a tier, or another setting: `setting` of the same tier, or `tier.setting`. It needs one of some values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
enum Subject {
    Tier(Tier),
    Setting(String),
}

/// Where the file of a target names an image and its settings.
pub(super) struct TierSpans {
    pub(super) image: Range<usize>,
    pub(super) settings: BTreeMap<String, Range<usize>>,
}

/// Checks the settings of all tiers of a target.
///
/// # Errors
/// Names the setting, its line, what it needs and what is there instead.
pub(super) fn check(
    source: &Source,
    tiers: &BTreeMap<Tier, TierSpec>,
    spans: &BTreeMap<Tier, TierSpans>,
) -> Result<(), FileError> {
    let Some(unmet) = unmet(tiers) else { return Ok(()) };
    let spans = &spans[&unmet.tier];
    let span = spans.settings.get(&unmet.setting).unwrap_or(&spans.image).clone();
    Err(source.invalid(span, Some(&format!("{}.settings.{}", unmet.tier, unmet.setting)), unmet.problem))
}

/// A need that a target does not meet.
pub struct Unmet {
    /// The tier of the setting.
    pub tier: Tier,
    /// The setting.
    pub setting: String,
    /// Its value, what it needs, and what is there instead.
    pub problem: String,
}

/// The first need that these tiers do not meet.
#[must_use]
pub fn unmet(tiers: &BTreeMap<Tier, TierSpec>) -> Option<Unmet> {
    for (tier, spec) in tiers {
        for (setting, value) in &spec.settings {
            let Some(needs) = spec.image.needs.0.get(setting).and_then(|values| values.get(value)) else { continue };
            if let Some(problem) = needs.iter().find_map(|(subject, allowed)| problem(tiers, spec, subject, allowed)) {
                return Some(Unmet { tier: *tier, setting: setting.clone(), problem: format!("`{value}` {problem}") });
            }
        }
    }
    None
}

/// The problem with a subject, in words that follow the value that needs it.
fn problem(tiers: &BTreeMap<Tier, TierSpec>, spec: &TierSpec, subject: &Subject, allowed: &[String]) -> Option<String> {
    let list = allowed.join(", ");
    let (name, found) = match subject {
        Subject::Tier(tier) => {
            let Some(other) = tiers.get(tier) else {
                return (!allowed.is_empty()).then(|| format!("needs a `[{tier}]` with one of these images: {list}"));
            };
            if allowed.is_empty() {
                return Some(format!("uses no {tier}; remove `[{tier}]`"));
            }
            // The images that an image of the user's own can replace are not known.
            if !files::image_names().contains(&other.image.name) {
                return None;
            }
            (format!("{tier}.image"), &other.image.name)
        }
        Subject::Setting(key) => match other_tier(key) {
            Some((tier, key)) => (format!("{tier}.settings.{key}"), tiers.get(&tier)?.settings.get(key)?),
            None => (format!("settings.{key}"), spec.settings.get(key)?),
        },
    };
    (!allowed.contains(found)).then(|| format!("needs `{name}` to be one of: {list}; it is `{found}`"))
}

/// Tier and setting of `tier.setting`.
fn other_tier(key: &str) -> Option<(Tier, &str)> {
    let (tier, setting) = key.split_once('.')?;
    [Tier::Balancer, Tier::App, Tier::Store].into_iter().find(|one| one.to_string() == tier).map(|tier| (tier, setting))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Target;

    fn error_of(app: &str, store: &str) -> Option<String> {
        let text = format!(
            "strategy = \"store\"\nshows = \"x\"\n[balancer]\nimage = \"haproxy\"\nnetworks = [\"front\"]\n\
             [app]\nimage = \"php\"\nnetworks = [\"front\", \"store\"]\n{app}\n{store}\n"
        );
        let source = Source { name: "mine".into(), file: "targets/mine.toml".into(), text };
        Target::from_source(&source).err().map(|error| error.to_string())
    }

    const MEMCACHED: &str = "[store]\nimage = \"memcached\"\nnetworks = [\"store\"]";

    #[test]
    fn a_store_that_the_variant_does_not_use_is_refused() {
        let files = "settings = { handler = \"files\" }";
        insta::assert_snapshot!(error_of(files, MEMCACHED).unwrap(), @"targets/mine.toml:9: `app.settings.handler`: `files` uses no store; remove `[store]`");
        assert_eq!(error_of(files, ""), None);
    }

    #[test]
    fn a_store_of_another_kind_is_refused_with_those_that_fit() {
        insta::assert_snapshot!(error_of("settings = { handler = \"redis\" }", MEMCACHED).unwrap(), @"targets/mine.toml:9: `app.settings.handler`: `redis` needs `store.image` to be one of: redis, valkey; it is `memcached`");
        assert_eq!(error_of("settings = { handler = \"memcached\" }", MEMCACHED), None);
    }

    #[test]
    fn a_missing_store_is_missed_even_if_its_setting_is_the_default() {
        insta::assert_snapshot!(error_of("", "").unwrap(), @"targets/mine.toml:7: `app.settings.handler`: `redis` needs a `[store]` with one of these images: redis, valkey");
    }

    #[test]
    fn an_image_of_the_users_own_may_stand_for_a_store() {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("mine");
        std::fs::create_dir(&image).unwrap();
        std::fs::write(
            image.join("image.toml"),
            "port = 6379\nmemory_mib = 64\ncpus = 1.0\nready = { command = [\"true\"] }\n",
        )
        .unwrap();
        let store = format!("[store]\nimage = \"{}\"\nnetworks = [\"store\"]", image.display());
        assert_eq!(error_of("settings = { handler = \"redis\" }", &store), None);
    }

    #[test]
    fn a_need_that_names_no_setting_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = |needs: &str| {
            let text = format!(
                "port = 80\nmemory_mib = 64\ncpus = 1.0\nready = {{ http = \"/\" }}\n[settings]\nkind = [\"a\", \"b\"]\n[needs.kind]\n{needs}\n"
            );
            std::fs::write(folder.path().join("image.toml"), text).unwrap();
            Image::find(folder.path().to_str().unwrap()).err().unwrap_or_default()
        };
        assert_eq!(error("a = { store = [] }"), "");
        assert!(error("a = { sotre = [] }").contains("there is no setting `sotre`"));
        assert!(error("c = { store = [] }").contains("`c` is not one of a, b"));
        assert!(error("a = { kind = [\"c\"] }").contains("`c` is not one of a, b"));
        assert!(error("a = { \"apps.kind\" = [\"c\"] }").contains("begins with no tier"));
    }

    #[test]
    fn the_needs_of_bundled_images_name_settings_values_and_images_that_exist() {
        let images = Image::names();
        let mut count = 0;
        for name in &images {
            let image = Image::find(name).unwrap();
            for (setting, values) in &image.needs.0 {
                for (value, needs) in values {
                    assert_eq!(image.check_setting(setting, value), Ok(()), "{name}");
                    for (subject, allowed) in needs {
                        for one in allowed {
                            count += 1;
                            match subject {
                                Subject::Tier(_) => assert!(images.contains(one), "{name}: {one}"),
                                Subject::Setting(key) if key.contains('.') => {
                                    let (tier, key) = other_tier(key).unwrap();
                                    let others = needs[&Subject::Tier(tier)].iter();
                                    for other in others.map(|other| Image::find(other).unwrap()) {
                                        assert_eq!(other.check_setting(key, one), Ok(()), "{name}");
                                    }
                                }
                                Subject::Setting(key) => assert_eq!(image.check_setting(key, one), Ok(()), "{name}"),
                            }
                        }
                    }
                }
            }
        }
        assert!(count > 10, "only {count}");
    }
}
