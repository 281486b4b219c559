//! Owner names: who a user's session belongs to. Several users may be the devices of one owner, as a telephone and a laptop
//! are, each with a session of its own.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// How many users in a row are devices of one owner: with two, users 0 and 1 are the first owner's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Owners(NonZeroU32);

impl Default for Owners {
    /// Each user has a name of its own.
    fn default() -> Self {
        Self(NonZeroU32::MIN)
    }
}

impl Owners {
    /// Owners with this number of devices each, at least one.
    #[must_use]
    pub fn with_devices(count: u32) -> Self {
        Self(NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN))
    }

    /// Whether each user has a name of its own.
    #[must_use]
    pub fn are_the_users(&self) -> bool {
        *self == Self::default()
    }

    /// The first of the users that are devices of the same owner as `user`.
    #[must_use]
    pub const fn first_device(self, user: u32) -> u32 {
        user - user % self.0.get()
    }

    /// The number of a user's owner, counted from 0.
    #[must_use]
    pub const fn number(self, user: u32) -> u32 {
        user / self.0.get()
    }

    /// The name of a user's owner.
    #[must_use]
    pub fn name(self, user: u32) -> String {
        format!("s{}", self.first_device(user))
    }

    /// Whether this is the name of the user's owner: like [`Self::name`], but without an allocation, for the agent's hot path.
    #[must_use]
    pub fn is_name(self, name: &str, user: u32) -> bool {
        let digits = name.strip_prefix('s').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let is_plain = |digits: &&str| !(digits.len() > 1 && digits.starts_with('0'));
        digits.filter(is_plain).is_some_and(|digits| digits.parse() == Ok(self.first_device(user)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_one_name_and_no_other() {
        let owners = Owners::default();
        for user in [0, 1, 17, u32::MAX] {
            assert!(owners.is_name(&owners.name(user), user));
        }
        for (name, user) in [("s1", 2), ("1", 1), ("s01", 1), ("s+1", 1), ("s", 0), ("S1", 1), ("", 0)] {
            assert!(!owners.is_name(name, user), "{name}");
        }
    }

    #[test]
    fn devices_of_one_owner_share_its_name() {
        let owners = Owners::with_devices(2);
        assert_eq!([0, 1, 2, 3].map(|user| owners.name(user)), ["s0", "s0", "s2", "s2"]);
        assert!(owners.is_name("s2", 3) && !owners.is_name("s3", 3) && !owners.is_name("s0", 3));
    }
}
