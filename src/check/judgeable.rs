//! What can be judged of an app by what it shows of its sessions. A guarantee that an app shows nothing of is not judged, and a
//! report says so: a pass of three guarantees is not a pass of nine.

use super::Guarantee;
use crate::mapping::{Evidence, OperationsShown};

/// The guarantees that replies with this evidence can break in sight, in the order of reports.
#[must_use]
pub fn judgeable(evidence: Evidence) -> Vec<Guarantee> {
    Guarantee::ALL.into_iter().filter(|guarantee| why_not(evidence, *guarantee).is_none()).collect()
}

/// Why a guarantee cannot be judged with this evidence; none where it can.
#[must_use]
pub fn why_not(evidence: Evidence, guarantee: Guarantee) -> Option<&'static str> {
    match guarantee {
        Guarantee::SessionSurvives => None,
        Guarantee::LogoutIsFinal => (!evidence.logs_out).then_some("nobody logs out"),
        Guarantee::LoginSticks | Guarantee::IdRotates => Some("a mapping has no session of a visitor"),
        Guarantee::ExpiresInTime => Some("nobody tells the app when its sessions end"),
        Guarantee::NoAdoptedId => Some("a mapping has no log-in with a made-up id"),
        Guarantee::Owned => (!evidence.shows_owner).then_some("a read shows no owner"),
        Guarantee::ReadYourWrites | Guarantee::MonotonicReads | Guarantee::NoLostUpdate | Guarantee::AppliedOnce => {
            (evidence.operations == OperationsShown::Nothing).then_some("a read shows neither operations nor a counter")
        }
        Guarantee::NoPhantom => match evidence.operations {
            OperationsShown::Listed | OperationsShown::Set => None,
            OperationsShown::Counted => Some("a counter does not say which operations there are"),
            OperationsShown::Nothing => Some("a read shows no operations"),
        },
        Guarantee::OneHistory => match evidence.operations {
            OperationsShown::Listed => None,
            OperationsShown::Set => Some("a set has no order"),
            OperationsShown::Counted => Some("a counter has no order"),
            OperationsShown::Nothing => Some("a read shows no operations"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_less_an_app_shows_the_fewer_guarantees_are_judged() {
        let count = |shows_owner, operations| judgeable(Evidence { shows_owner, operations, logs_out: true }).len();
        let with_owner =
            [OperationsShown::Listed, OperationsShown::Set, OperationsShown::Counted, OperationsShown::Nothing]
                .map(|operations| count(true, operations));
        assert_eq!(with_owner, [9, 8, 7, 3]);
        assert_eq!(count(false, OperationsShown::Nothing), 2);
        let nobody = Evidence { shows_owner: false, operations: OperationsShown::Nothing, logs_out: false };
        assert_eq!(judgeable(nobody), [Guarantee::SessionSurvives]);
    }
}
