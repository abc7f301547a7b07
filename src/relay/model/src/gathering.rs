//! Ordered maps, sets and lists, made with little code.
//!
//! The standard library has a sorting algorithm of four or five kilobytes, and a component would have a copy of it for
//! every type that it sorts. So all types are sorted by one copy here, and maps and sets are made without sorting.

use std::cmp::Ordering;

/// A map or a set of these items, like that which `collect` makes: of items with one key a map has the last. `collect`
/// would sort the items first; the code that inserts one after the other is there anyway.
pub fn gathered<C: Default + Extend<T>, T>(items: impl IntoIterator<Item = T>) -> C {
    let mut gathered = C::default();
    gathered.extend(items);
    gathered
}

/// Puts things in order where they lie. Which of two equal things comes first is not said.
pub fn sort<T>(things: &mut [T], order: impl Fn(&T, &T) -> Ordering) {
    let mut places = in_order(things.len(), &|one, other| order(&things[one], &things[other]));
    for begin in 0..places.len() {
        let mut at = begin;
        // Goes round a ring of things, each of which takes the place of the next, until it is closed.
        loop {
            let from = places[at] as usize;
            places[at] = number(at);
            if from == begin {
                break;
            }
            things.swap(at, from);
            at = from;
        }
    }
}

/// The places at which so many things lie, in the order of the things. `order` compares the things at two places.
fn in_order(count: usize, order: &dyn Fn(usize, usize) -> Ordering) -> Vec<u32> {
    let mut places: Vec<u32> = (0..number(count)).collect();
    places.sort_unstable_by(|one, other| order(*one as usize, *other as usize));
    places
}

/// A place as a number of 32 bits: no component has room for more things.
fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{gathered, sort};
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    proptest! {
        #[test]
        fn things_are_put_in_order(mut things in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut expected = things.clone();
            expected.sort_unstable();
            sort(&mut things, u8::cmp);
            prop_assert_eq!(&things, &expected);
            expected.reverse();
            sort(&mut things, |one, other| other.cmp(one));
            prop_assert_eq!(things, expected);
        }
    }

    #[test]
    fn it_is_what_would_have_been_collected() {
        let pairs = [("b", 1), ("a", 2), ("b", 3)];
        let map: BTreeMap<&str, i32> = gathered(pairs);
        assert_eq!(map, pairs.into_iter().collect());
        let set: BTreeSet<i32> = gathered([3, 1, 3]);
        assert_eq!(set, BTreeSet::from([1, 3]));
    }
}
