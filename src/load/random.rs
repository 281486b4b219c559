//! Random streams from one seed: one for each kind of draw, so that they are independent of each other and of the
//! number of threads.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The kinds of draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// When operations start, where that is random.
    Starts = 1,
    /// Which user acts next.
    Users = 2,
    /// Whether a user reads or writes.
    Kinds = 3,
    /// How long users think.
    ThinkTimes = 4,
    /// How long sessions last.
    Lifetimes = 5,
    /// Which client address a session has.
    Addresses = 6,
}

/// The stream of one kind of draw.
#[must_use]
pub fn stream(seed: u64, draw: Draw) -> ChaCha8Rng {
    stream_of(seed, draw, 0)
}

/// The stream of one kind of draw for one worker, user or other numbered item.
#[must_use]
pub fn stream_of(seed: u64, draw: Draw, number: u32) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream((draw as u64) << 32 | u64::from(number));
    rng
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    #[test]
    fn each_kind_of_draw_and_each_number_has_a_stream_of_its_own() {
        let draws = [Draw::Starts, Draw::Users, Draw::Kinds, Draw::ThinkTimes, Draw::Lifetimes, Draw::Addresses];
        let mut first: Vec<u64> =
            draws.iter().flat_map(|draw| [0, 1].map(|number| stream_of(7, *draw, number).random())).collect();
        assert_eq!(stream(7, Draw::Starts).random::<u64>(), first[0], "the same seed gives the same stream");
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), 12);
    }
}
