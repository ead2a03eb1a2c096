//! Troubles of the network between three members.

use super::{Dice, pause};
use crate::network::{Link, Network};
use std::time::Duration;

/// How long a member that is cut off again and again is away or back, at the most.
const FLAP: Duration = Duration::from_millis(700);
/// How often it is cut off: at least so often, and fewer than so many times more.
const FLAPS: (u64, u64) = (3, 6);
/// How late packets are in a storm, and how much more or less.
const LATE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(30));
/// How many of a hundred are lost in a storm: at least, and fewer than so many more.
const LOST: (u64, u64) = (5, 16);
/// Bytes a second that pass where few do: at least; it is this once, or doubled fewer than so many times.
const FEW: (u64, u64) = (8192, 4);

/// A trouble of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NetworkTrouble {
    /// The leader is cut off from both others.
    CutLeader,
    /// A follower is cut off from both others.
    CutFollower,
    /// Two members cannot speak to each other; the third speaks to both.
    CutLink,
    /// The leader hears and is not heard.
    LeaderUnheard,
    /// The leader is heard and does not hear.
    LeaderDeaf,
    /// A follower hears and is not heard.
    FollowerUnheard,
    /// A follower is heard and does not hear.
    FollowerDeaf,
    /// A member is cut off and let in again, several times.
    Flap,
    /// A member's packets, both ways, are late, overtake each other, and are lost now and then.
    Storm,
    /// Few bytes pass to and from a member.
    Narrow,
}

impl NetworkTrouble {
    /// All of them.
    pub const ALL: [NetworkTrouble; 10] = [
        NetworkTrouble::CutLeader,
        NetworkTrouble::CutFollower,
        NetworkTrouble::CutLink,
        NetworkTrouble::LeaderUnheard,
        NetworkTrouble::LeaderDeaf,
        NetworkTrouble::FollowerUnheard,
        NetworkTrouble::FollowerDeaf,
        NetworkTrouble::Flap,
        NetworkTrouble::Storm,
        NetworkTrouble::Narrow,
    ];
}

/// Begins one that lasts until the network is healed.
pub(super) fn begin(
    network: &Network,
    trouble: NetworkTrouble,
    leader: usize,
    follower: usize,
    dice: &mut Dice,
) -> anyhow::Result<()> {
    let any = usize::try_from(dice.below(3))?;
    match trouble {
        NetworkTrouble::CutLeader => network.around(leader, Link::CUT),
        NetworkTrouble::CutFollower => network.around(follower, Link::CUT),
        NetworkTrouble::CutLink => network.between((any + 1) % 3, (any + 2) % 3, Link::CUT),
        NetworkTrouble::LeaderUnheard => network.outward(leader, Link::CUT),
        NetworkTrouble::LeaderDeaf => network.inward(leader, Link::CUT),
        NetworkTrouble::FollowerUnheard => network.outward(follower, Link::CUT),
        NetworkTrouble::FollowerDeaf => network.inward(follower, Link::CUT),
        NetworkTrouble::Flap => return flap(network, dice),
        NetworkTrouble::Storm => {
            let (delay, jitter) = LATE;
            let storm = Link {
                delay,
                jitter,
                loss_percent: LOST.0 + dice.below(LOST.1),
                ..Link::GOOD
            };
            network.around(any, storm);
        }
        NetworkTrouble::Narrow => {
            let narrow = Link {
                bytes_per_second: Some(FEW.0 << dice.below(FEW.1)),
                ..Link::GOOD
            };
            network.around(any, narrow);
        }
    }
    Ok(())
}

/// Cuts a member off and lets it in again, several times.
fn flap(network: &Network, dice: &mut Dice) -> anyhow::Result<()> {
    let any = usize::try_from(dice.below(3))?;
    for _ in 0..FLAPS.0 + dice.below(FLAPS.1) {
        network.around(any, Link::CUT);
        pause(dice.time(FLAP));
        network.heal();
        pause(dice.time(FLAP));
    }
    Ok(())
}
