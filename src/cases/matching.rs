//! Which of the things that came is which of those that were expected.

use super::expect::Times;

/// For each thing that came, which of the expected ones it is, so that as many as possible of what is expected are there
/// and then as few as possible are left over. `fits(want, came)` says whether one may be the other; with `is_ordered` both
/// come in the same order.
pub(super) fn assign(
    wants: &[Times],
    came: usize,
    is_ordered: bool,
    fits: impl Fn(usize, usize) -> bool,
) -> Vec<Option<usize>> {
    if is_ordered { in_order(wants, came, fits) } else { in_any_order(wants, came, fits) }
}

/// A matching by augmenting paths: first as far as each expected thing is required, then as far as it is allowed. What has
/// its place once keeps one.
fn in_any_order(wants: &[Times], came: usize, fits: impl Fn(usize, usize) -> bool) -> Vec<Option<usize>> {
    let mut matching = Matching { of: vec![None; came], holders: vec![Vec::new(); wants.len()] };
    for limit in [|times: &Times| times.least, |times: &Times| times.most] {
        let room: Vec<usize> = wants.iter().map(limit).collect();
        // Where one search found no room, no later one of the same limits finds any.
        let mut full = vec![false; wants.len()];
        for one in 0..came {
            if matching.of[one].is_none() {
                let mut visited = full.clone();
                if !matching.place(one, &room, &mut visited, &fits) {
                    full = visited;
                }
            }
        }
    }
    matching.of
}

struct Matching {
    of: Vec<Option<usize>>,
    /// What each expected thing has.
    holders: Vec<Vec<usize>>,
}

impl Matching {
    /// Finds a place for `one`, moving others to where they fit as well.
    fn place(
        &mut self,
        one: usize,
        room: &[usize],
        visited: &mut [bool],
        fits: &impl Fn(usize, usize) -> bool,
    ) -> bool {
        for want in 0..room.len() {
            if visited[want] || room[want] == 0 || !fits(want, one) {
                continue;
            }
            visited[want] = true;
            if self.holders[want].len() < room[want] {
                self.hold(want, one);
                return true;
            }
            // The depth is that of the expected things, which somebody has written by hand.
            for at in 0..self.holders[want].len() {
                let holder = self.holders[want][at];
                if self.place(holder, room, visited, fits) {
                    self.holders[want].retain(|held| *held != holder);
                    self.hold(want, one);
                    return true;
                }
            }
        }
        false
    }

    fn hold(&mut self, want: usize, one: usize) {
        self.holders[want].push(one);
        self.of[one] = Some(want);
    }
}

/// A place in an order for something that is expected.
#[derive(Clone, Copy)]
struct Place {
    want: usize,
    weight: u32,
    /// Any number of things may take it, one after the other.
    repeats: bool,
}

/// The best assignment that keeps the order: `best[place][one]` is what can be had of all places and things from there on.
fn in_order(wants: &[Times], came: usize, fits: impl Fn(usize, usize) -> bool) -> Vec<Option<usize>> {
    // What is required weighs more than all that is not.
    let required = u32::try_from(came).unwrap_or(u32::MAX / 2) + 1;
    let mut places = Vec::new();
    for (want, times) in wants.iter().enumerate() {
        let place = |nth: usize| {
            let weight = if nth < times.least { required } else { 1 };
            Place { want, weight, repeats: false }
        };
        // More than came need not be counted.
        if times.most >= came {
            places.extend((0..times.least.min(came)).map(place));
            places.push(Place { want, weight: 1, repeats: true });
        } else {
            places.extend((0..times.most.min(came)).map(place));
        }
    }
    let mut best = vec![vec![0; came + 1]; places.len() + 1];
    let taken = |best: &[Vec<u32>], at: usize, one: usize| {
        let Place { weight, repeats, .. } = places[at];
        best[if repeats { at } else { at + 1 }][one + 1].saturating_add(weight)
    };
    for (at, place) in places.iter().enumerate().rev() {
        for one in (0..came).rev() {
            let skipped = best[at + 1][one].max(best[at][one + 1]);
            let taken = if fits(place.want, one) { taken(&best, at, one) } else { 0 };
            best[at][one] = skipped.max(taken);
        }
    }
    let mut of = vec![None; came];
    let (mut at, mut one) = (0, 0);
    while at < places.len() && one < came {
        let Place { want, repeats, .. } = places[at];
        if fits(want, one) && best[at][one] == taken(&best, at, one) {
            of[one] = Some(want);
            (at, one) = (if repeats { at } else { at + 1 }, one + 1);
        } else if best[at][one] == best[at + 1][one] {
            at += 1;
        } else {
            one += 1;
        }
    }
    of
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONCE: Times = Times::ONCE;

    #[test]
    fn a_pattern_that_fits_many_leaves_each_its_own() {
        // `*` comes first and fits both; `b` fits only the first of them.
        let fits = |want: usize, one: usize| want == 0 || one == 0;
        assert_eq!(assign(&[ONCE, ONCE], 2, false, fits), [Some(1), Some(0)]);
        assert_eq!(assign(&[ONCE, ONCE], 2, true, fits), [Some(0), None]);
    }

    #[test]
    fn what_is_required_comes_first() {
        let any = Times { least: 0, most: usize::MAX };
        for is_ordered in [false, true] {
            let of = assign(&[any, Times { least: 2, most: 2 }], 3, is_ordered, |_, _| true);
            assert_eq!(of.iter().filter(|of| **of == Some(1)).count(), 2, "{of:?}");
            assert!(of.iter().all(Option::is_some), "{of:?}");
        }
        assert_eq!(assign(&[Times { least: 0, most: 0 }], 1, false, |_, _| true), [None]);
        assert_eq!(assign(&[Times { least: 0, most: 0 }], 1, true, |_, _| true), [None]);
    }

    /// Without bounds on the places, 300 million of them would be looked at.
    #[test]
    fn many_that_may_be_there_are_a_few_places() {
        let wants = vec![Times { least: 0, most: 10_000 }; 300];
        for is_ordered in [false, true] {
            let of = assign(&wants, 1000, is_ordered, |_, _| true);
            assert!(of.iter().all(Option::is_some));
        }
    }

    proptest::proptest! {
        #[test]
        fn both_ways_hold_what_they_promise(input in proptest::collection::vec(0u8.., 0..40)) {
            crate::cases::fuzz::assignment(&input);
        }
    }
}
