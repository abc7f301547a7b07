//! Ordered maps and sets, put together without a sort.

/// A map or a set of these, in which the later of two equals counts. `collect` would sort them first, by an algorithm of
/// which the components hold a copy of five kilobytes for every type that it sorts; what inserts one after the other is
/// there anyway.
pub fn gathered<C: Default + Extend<T>, T>(items: impl IntoIterator<Item = T>) -> C {
    let mut gathered = C::default();
    gathered.extend(items);
    gathered
}

#[cfg(test)]
mod tests {
    use super::gathered;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn it_is_what_would_have_been_collected() {
        let pairs = [("b", 1), ("a", 2), ("b", 3)];
        let map: BTreeMap<&str, i32> = gathered(pairs);
        assert_eq!(map, pairs.into_iter().collect());
        let set: BTreeSet<i32> = gathered([3, 1, 3]);
        assert_eq!(set, BTreeSet::from([1, 3]));
    }
}
