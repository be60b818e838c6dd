//! Who takes which partition. Pure: what is seen, and the time, are given in.
//!
//! Every member computes the same from what it sees, so they need no talk; where they see
//! differently for a moment, the leases keep two from having one partition.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Add;
use std::time::Duration;

/// The entries of one role as last seen, `T` being moments of one monotonic clock.
#[derive(Debug)]
pub(crate) struct View<T> {
    /// Member → when last heard.
    members: BTreeMap<String, T>,
    /// Partition → holder, when last heard.
    held: BTreeMap<u32, (String, T)>,
    /// After this long unheard an entry is forgotten, as the servers do.
    lease: Duration,
}

/// What one member is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Partitions to stop working on.
    pub(crate) give_up: Vec<u32>,
    /// Partitions that seem free, in the order to try them.
    pub(crate) free: Vec<u32>,
    /// How many of them to take.
    pub(crate) room: usize,
}

impl<T: Copy + Ord + Add<Duration, Output = T>> View<T> {
    pub(crate) fn new(lease: Duration) -> Self {
        Self { members: BTreeMap::new(), held: BTreeMap::new(), lease }
    }

    pub(crate) fn member_lives(&mut self, member: &str, now: T) {
        self.members.insert(member.to_owned(), now);
    }

    pub(crate) fn member_left(&mut self, member: &str) {
        self.members.remove(member);
    }

    pub(crate) fn is_held(&mut self, partition: u32, holder: &str, now: T) {
        self.held.insert(partition, (holder.to_owned(), now));
    }

    pub(crate) fn is_free(&mut self, partition: u32) {
        self.held.remove(&partition);
    }

    /// Forgets what was not heard of for the length of a lease.
    pub(crate) fn forget(&mut self, now: T) {
        let lease = self.lease;
        self.members.retain(|_, heard| now < *heard + lease);
        self.held.retain(|_, (_, heard)| now < *heard + lease);
    }

    /// What `me` is to do, working on `mine` of `count` partitions, of which it was told already to
    /// give up `leaving`.
    pub(crate) fn plan(
        &self,
        me: &str,
        mine: &BTreeSet<u32>,
        leaving: &BTreeSet<u32>,
        count: u32,
    ) -> Plan {
        let quota = self.quota(me, mine.len(), count);
        let staying: Vec<u32> = mine.difference(leaving).copied().collect();
        let give_up = staying.iter().skip(quota).copied().collect();
        let taken = |p: &u32| mine.contains(p) || self.held.contains_key(p);
        let free = (0..count).filter(|p| !taken(p)).collect();
        Plan { give_up, free, room: quota.saturating_sub(mine.len()) }
    }

    /// An even share. Where it does not divide, one more each for those who have most already, so
    /// that the least is moved.
    fn quota(&self, me: &str, mine: usize, count: u32) -> usize {
        let mut living: BTreeMap<&str, usize> =
            self.members.keys().map(|member| (member.as_str(), 0)).collect();
        for (holder, _) in self.held.values() {
            if let Some(holds) = living.get_mut(holder.as_str()) {
                *holds += 1;
            }
        }
        living.insert(me, mine);
        let holds_me = (std::cmp::Reverse(mine), me);
        let before_me = living
            .iter()
            .filter(|(member, holds)| (std::cmp::Reverse(**holds), **member) < holds_me)
            .count();
        let (each, over) = (count as usize / living.len(), count as usize % living.len());
        each + usize::from(before_me < over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(10);

    /// A view in which `members` live and hold what is given.
    fn view(members: &[(&str, &[u32])]) -> View<Duration> {
        let mut view = View::new(LEASE);
        for (member, held) in members {
            view.member_lives(member, Duration::ZERO);
            for partition in *held {
                view.is_held(*partition, member, Duration::ZERO);
            }
        }
        view
    }

    #[test]
    fn each_takes_an_even_share_of_what_is_free() {
        type Members<'a> = &'a [(&'a str, &'a [u32])];
        // Who, among whom, of how many → gives up, has room for.
        type Case<'a> = (&'a str, &'a str, Members<'a>, u32, &'a [u32], usize);
        let cases: [Case<'_>; 9] = [
            ("alone", "a", &[("a", &[])], 4, &[], 4),
            ("not yet seen itself", "a", &[], 4, &[], 4),
            ("first of three", "a", &[("a", &[]), ("b", &[]), ("c", &[])], 8, &[], 3),
            ("last of three", "c", &[("a", &[]), ("b", &[]), ("c", &[])], 8, &[], 2),
            ("one joins", "a", &[("a", &[0, 1, 2, 3]), ("b", &[])], 4, &[2, 3], 0),
            ("who has more keeps more", "b", &[("a", &[0]), ("b", &[1, 2])], 3, &[], 0),
            ("who has less takes no more", "a", &[("a", &[0]), ("b", &[1, 2])], 3, &[], 0),
            ("more members than work", "c", &[("a", &[0]), ("b", &[1]), ("c", &[])], 2, &[], 0),
            ("the dead one's is free", "a", &[("a", &[0, 1]), ("b", &[])], 4, &[], 0),
        ];
        for (name, me, members, count, give_up, room) in cases {
            let view = view(members);
            let mine = members.iter().find(|(member, _)| *member == me);
            let mine: BTreeSet<u32> =
                mine.map_or(&[][..], |(_, held)| held).iter().copied().collect();
            let plan = view.plan(me, &mine, &BTreeSet::new(), count);
            assert_eq!((&plan.give_up[..], plan.room), (give_up, room), "{name}");
            assert!(plan.free.iter().all(|p| !mine.contains(p)), "{name}");
        }
    }

    #[test]
    fn what_is_told_once_is_not_told_again_and_counts_until_it_is_over() {
        let view = view(&[("a", &[0, 1, 2, 3]), ("b", &[])]);
        let mine = BTreeSet::from([0, 1, 2, 3]);
        let told = BTreeSet::from([2, 3]);
        let plan = view.plan("a", &mine, &told, 4);
        assert_eq!(plan, Plan { give_up: vec![], free: vec![], room: 0 });
    }

    #[test]
    fn what_is_not_heard_of_for_a_lease_is_forgotten() {
        let mut view = view(&[("a", &[]), ("b", &[0, 1])]);
        view.member_lives("a", LEASE / 2);
        view.forget(LEASE - Duration::from_millis(1));
        assert!(view.plan("a", &BTreeSet::new(), &BTreeSet::new(), 2).free.is_empty());
        view.forget(LEASE);
        let plan = view.plan("a", &BTreeSet::new(), &BTreeSet::new(), 2);
        assert_eq!((plan.free, plan.room), (vec![0, 1], 2));
    }

    #[test]
    fn whoever_comes_and_goes_it_settles_evenly() {
        // Members act in turn on what they see; the bucket is the view.
        let mut members: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
        for (joins, leaves) in [
            ("d", ""),
            ("a", ""),
            ("c", ""),
            ("b", ""),
            ("", "a"),
            ("e", "d"),
            ("", "b"),
            ("", "c"),
        ] {
            if !joins.is_empty() {
                members.insert(joins, BTreeSet::new());
            }
            members.remove(leaves);
            for count in [8_u32, 5] {
                for _ in 0..6 {
                    for me in members.keys().copied().collect::<Vec<_>>() {
                        let seen: Vec<(&str, Vec<u32>)> = members
                            .iter()
                            .map(|(m, held)| (*m, held.iter().copied().collect()))
                            .collect();
                        let seen: Vec<(&str, &[u32])> =
                            seen.iter().map(|(m, held)| (*m, &held[..])).collect();
                        let plan = view(&seen).plan(me, &members[me], &BTreeSet::new(), count);
                        let mine = members.get_mut(me).unwrap();
                        mine.retain(|p| *p < count && !plan.give_up.contains(p));
                        mine.extend(plan.free.iter().take(plan.room));
                    }
                }
                let sizes: Vec<usize> = members.values().map(BTreeSet::len).collect();
                assert_eq!(sizes.iter().sum::<usize>(), count as usize, "{members:?}");
                let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
                assert!(most - least <= 1, "{members:?}");
            }
        }
    }
}
