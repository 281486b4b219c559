//! The part of a load that one of several agents sends. Users are dealt out by their client addresses, because two agents
//! cannot have the same address; every user stays with one agent, so that its session is judged on one clock.

use serde::{Deserialize, Serialize};

/// The users of one agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Which agent this is, counted from 0.
    agent: u32,
    /// How many agents there are, at least one.
    agents: u32,
    /// For each user of a period, its rank among those of the same agent; none for another agent's. Users of the next period
    /// follow them in the same pattern.
    ranks: Vec<Option<u32>>,
    /// The users of a period that are this agent's, ascending.
    turns: Vec<u32>,
}

impl Default for Share {
    /// All users, for an agent that is alone.
    fn default() -> Self {
        Self::of(0, &[0])
    }
}

impl Share {
    /// The share of the agent with this number, from 0. `agents` names the agent of each user of a period.
    #[must_use]
    pub fn of(agent: u32, agents: &[u32]) -> Self {
        let (mut ranks, mut turns) = (Vec::with_capacity(agents.len()), Vec::new());
        for (user, of_user) in (0..).zip(agents) {
            let is_own = *of_user == agent;
            ranks.push(is_own.then(|| u32::try_from(turns.len()).unwrap_or(u32::MAX)));
            turns.extend(is_own.then_some(user));
        }
        let agents = agents.iter().max().map_or(1, |last| last + 1);
        Self { agent, agents, ranks, turns }
    }

    /// Which agent this is, counted from 0.
    #[must_use]
    pub const fn agent(&self) -> usize {
        self.agent as usize
    }

    /// How many agents there are.
    #[must_use]
    pub const fn agents(&self) -> usize {
        self.agents as usize
    }

    /// The rank of a user among those of this agent; `None` for another agent's.
    #[must_use]
    pub fn rank(&self, user: usize) -> Option<usize> {
        let period = self.ranks.len().max(1);
        let within = (*self.ranks.get(user % period)?)? as usize;
        Some(user / period * self.turns.len() + within)
    }

    /// The user with a rank. Without users there is no rank, and the answer means nothing.
    #[must_use]
    pub fn user(&self, rank: usize) -> usize {
        let turns = self.turns.len().max(1);
        let within = self.turns.get(rank % turns).map_or(0, |turn| *turn as usize);
        rank / turns * self.ranks.len() + within
    }

    /// How many of the first `count` users are this agent's.
    #[must_use]
    pub fn size(&self, count: usize) -> usize {
        let period = self.ranks.len().max(1);
        let rest = count % period;
        count / period * self.turns.len() + self.turns.iter().filter(|turn| (**turn as usize) < rest).count()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_user_is_one_agents_and_ranks_have_no_gaps(agents in prop::collection::vec(0u32..4, 1..20), count in 0usize..200) {
            let last = *agents.iter().max().unwrap();
            let shares: Vec<Share> = (0..=last).map(|agent| Share::of(agent, &agents)).collect();
            prop_assert_eq!(shares.iter().map(|share| share.size(count)).sum::<usize>(), count);
            for share in &shares {
                prop_assert_eq!(share.agents(), last as usize + 1);
                let users: Vec<usize> = (0..count).filter(|user| share.rank(*user).is_some()).collect();
                prop_assert_eq!(users.len(), share.size(count));
                for (rank, user) in users.into_iter().enumerate() {
                    prop_assert_eq!((share.rank(user), share.user(rank)), (Some(rank), user));
                }
            }
        }
    }

    #[test]
    fn an_agent_that_is_alone_has_all_users() {
        let share = Share::default();
        assert_eq!((share.rank(7), share.user(7), share.size(7), share.agents()), (Some(7), 7, 7, 1));
    }

    #[test]
    fn an_agent_may_have_nobody() {
        let share = Share::of(2, &[0, 1, 3]);
        assert_eq!((share.rank(5), share.size(100), share.agents()), (None, 0, 4));
    }
}
