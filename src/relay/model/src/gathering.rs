//! Things put in order. Sorting is done by one function for all types: of the standard library's algorithm the components
//! would hold a copy of four or five kilobytes for every type that it sorts.

use std::cmp::Ordering;

/// A map or a set of these, in which the later of two equals counts. `collect` would sort them first; what inserts one after
/// the other is there anyway.
pub fn gathered<C: Default + Extend<T>, T>(items: impl IntoIterator<Item = T>) -> C {
    let mut gathered = C::default();
    gathered.extend(items);
    gathered
}

/// The places of so many things in their order, by what is the order of the things at two places. Which of two equals is
/// first is not said.
pub fn in_order(count: usize, order: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut places: Vec<usize> = (0..count).collect();
    places.sort_unstable_by(|one, other| order(*one, *other));
    places
}

/// These in their order.
pub fn sorted<T: Clone + Ord>(things: &[T]) -> Vec<T> {
    let places = in_order(things.len(), &|one, other| things[one].cmp(&things[other]));
    places.into_iter().map(|place| things[place].clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::{gathered, in_order, sorted};
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    proptest! {
        #[test]
        fn things_are_put_in_order(things in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut expected = things.clone();
            expected.sort_unstable();
            prop_assert_eq!(sorted(&things), expected.clone());
            expected.reverse();
            let places = in_order(things.len(), &|one, other| things[other].cmp(&things[one]));
            let reversed: Vec<u8> = places.into_iter().map(|place| things[place]).collect();
            prop_assert_eq!(reversed, expected);
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
