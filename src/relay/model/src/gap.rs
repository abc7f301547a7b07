//! A place in a list of the PIM behind which an entity cannot be read, not even alone, and what is known of where that
//! place ends (contract 4.4, 4.5).
//!
//! The end is found by asking for the one entity behind other points of the list: a gap keeps what came of that, and
//! says where to ask next. It may assume that whoever asks has made sure that the PIM answers other searches, since one
//! that answers nothing would look like a gap. A gap is kept between ticks.

use crate::entity::{Kind, uuid_bytes, uuid_text};
use crate::path::parameter;
use crate::time;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What the points of a gap are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// UUIDs, which are the cursors of products (contract 4.4), so that any point can be asked for.
    Uuid,
    /// Seconds in which entities were created. Other cursors than UUIDs cannot be made up, but a search can be bounded
    /// by these (contract 4.4, 4.5).
    #[default]
    Creation,
    /// Numbers of pages of one entity each.
    Number,
}

/// A place in a list behind which the next entity cannot be read, not even alone, and what is known of where it ends.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gap {
    /// What its points are.
    pub measure: Measure,
    /// The point at which the gap begins.
    pub begins: Point,
    /// The furthest point behind which nothing came.
    pub fails: Point,
    /// The nearest point behind which something came; none before there was one.
    pub comes: Option<Point>,
    /// A point at which an entity is known: the gap may end there.
    pub hint: Option<Point>,
    /// The points of those entities that were found already and cannot be read.
    pub left_out: Vec<Point>,
    /// Whether the list is to be asked for next without the entities that were found: what else lies there may be good,
    /// or as bad.
    pub is_left_out: bool,
    /// How many numbered pages in a row were passed over already.
    pub row: usize,
    /// Whether it is certain that something cannot be read there, since the PIM has answered another search meanwhile.
    pub is_begun: bool,
    /// Why nothing came where the list was last asked, until it is known whether the PIM answers other searches.
    pub doubt: Option<String>,
}

/// A point of a gap. It is kept in the form of a UUID, so that nobody who reads it rounds it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Point(pub u128);

impl From<String> for Point {
    fn from(text: String) -> Point {
        Point(uuid_bytes(&text).map_or(0, u128::from_be_bytes))
    }
}

impl From<Point> for String {
    fn from(mark: Point) -> String {
        uuid_text(&mark.0.to_be_bytes())
    }
}

impl Gap {
    /// The gap behind a cursor of a list, or at the list's beginning, of which nothing else is known yet.
    pub fn behind(kind: Kind, cursor: Option<&str>) -> Gap {
        let after = cursor.map(|cursor| parameter(cursor, "search_after").and_then(uuid_bytes));
        let (measure, begins) = match (kind, after) {
            (Kind::Category, _) => (Measure::Number, 0),
            (Kind::Product, None) => (Measure::Uuid, 0),
            (Kind::Product, Some(Some(uuid))) => (Measure::Uuid, u128::from_be_bytes(uuid)),
            _ => (Measure::Creation, 0),
        };
        Gap {
            measure,
            begins: Point(begins),
            fails: Point(begins),
            ..Gap::default()
        }
    }

    /// The UUID behind which to look up the first entity that is known otherwise, if that would help to find the end:
    /// it may be the one that cannot be read.
    pub fn wants_hint(&self) -> Option<[u8; 16]> {
        let is_new = self.measure == Measure::Uuid && self.is_begun && self.comes.is_none() && self.hint.is_none();
        is_new.then(|| self.begins.0.to_be_bytes())
    }

    /// Takes note of the first entity that is known otherwise behind the gap's beginning, by its UUID.
    pub fn hint(&mut self, uuid: [u8; 16]) {
        self.hint = Some(Point(u128::from_be_bytes(uuid)));
    }

    /// The point behind which to ask next; none once the end is known to the point, which is the nearest one behind
    /// which something came. `end` is a point behind which no list has anything. The first question is asked at the
    /// entity that is known otherwise, then one at the end of the list, and then others ever closer to the gap's
    /// beginning: behind the gap another entity may be as bad, and from before that one nothing comes, either.
    pub fn next(&self, end: u128) -> Option<u128> {
        let (begins, fails, hint) = (self.begins.0, self.fails.0, self.hint.map_or(0, |hint| hint.0));
        let Some(Point(comes)) = self.comes else {
            return Some(if hint > fails { hint } else { end });
        };
        if comes.saturating_sub(fails) <= 1 {
            return None;
        }
        if comes == hint {
            return Some(comes - 1);
        }
        let bits = |far: u128| u128::BITS - (far - begins).leading_zeros();
        let near = begins.checked_add(1 << ((bits(fails) + bits(comes)) / 2).min(u128::BITS - 1));
        let near = near.filter(|near| self.measure == Measure::Uuid && fails < *near && *near < comes);
        let is_far = bits(comes) > bits(fails) + 2;
        Some(near.filter(|_| is_far).unwrap_or(fails + (comes - fails) / 2))
    }

    /// The gap once it turned out that the PIM answers no other search: then it means nothing that nothing came where
    /// the list was last asked. None where nothing else was known of the gap, so that its place is asked for as any
    /// other.
    pub fn believed(self) -> Option<Gap> {
        let is_known = self.is_begun || self.row > 0;
        is_known.then_some(Gap { doubt: None, ..self })
    }

    /// The gap to be measured once more, since without the entities that were found already nothing comes, either.
    pub fn again(&self) -> Gap {
        Gap {
            measure: self.measure,
            begins: self.begins,
            fails: self.begins,
            hint: self.left_out.last().copied().filter(|_| self.measure == Measure::Uuid),
            left_out: self.left_out.clone(),
            is_begun: true,
            ..Gap::default()
        }
    }

    /// Adds to a search which entities it leaves out and, unless the points are UUIDs or the search only leaves out,
    /// that it begins behind the point `at`. Of UUIDs the cursor tells where it begins.
    pub fn criteria(&self, search: &mut Value, at: u128) {
        if self.measure == Measure::Uuid {
            if !self.left_out.is_empty() {
                let uuids: Vec<String> = self.left_out.iter().map(|mark| String::from(*mark)).collect();
                search["uuid"] = json!([{ "operator": "NOT IN", "value": uuids }]);
            }
            return;
        }
        let moment = |second: u128| time::filter_text(u64::try_from(second).unwrap_or(time::LATEST_S));
        let left_out = self
            .left_out
            .iter()
            .map(|mark| json!({ "operator": "!=", "value": moment(mark.0) }));
        let mut created: Vec<Value> = left_out.collect();
        if !self.is_left_out {
            created.push(json!({ "operator": ">", "value": moment(at) }));
        }
        search["created"] = json!(created);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Where the search for the end of a gap ends, and after how many questions. Behind a point something comes unless
    /// the next entity there is a broken one.
    fn search(begins: u128, broken: &[u128], good: &[u128], hint: Option<u128>) -> (u128, usize) {
        let comes = |at: u128| {
            let next = |all: &[u128]| all.iter().copied().filter(|one| *one > at).min();
            match (next(broken), next(good)) {
                (Some(broken), Some(good)) => good < broken,
                (broken, _) => broken.is_none(),
            }
        };
        let mut gap = Gap {
            measure: Measure::Uuid,
            begins: Point(begins),
            fails: Point(begins),
            hint: hint.map(Point),
            ..Gap::default()
        };
        for asked in 0..400 {
            match gap.next(u128::MAX) {
                None => return (gap.comes.expect("an end").0, asked),
                Some(at) if comes(at) => gap.comes = Some(Point(at)),
                Some(at) => gap.fails = Point(at),
            }
        }
        panic!("no end");
    }

    proptest! {
        #[test]
        fn the_end_of_a_gap_is_what_cannot_be_read_to_the_point(
            begins: u128, others in proptest::collection::vec(any::<u128>(), 0..50), is_hinted: bool
        ) {
            let broken = others.iter().copied().filter(|one| *one > begins).min().unwrap_or(u128::MAX);
            prop_assume!(broken > begins && broken < u128::MAX);
            let good: Vec<u128> = others.into_iter().filter(|one| *one != broken).collect();
            let (found, asked) = search(begins, &[broken], &good, is_hinted.then_some(broken));
            prop_assert_eq!(found, broken);
            prop_assert!(asked <= if is_hinted { 2 } else { 140 }, "{} questions", asked);
        }

        #[test]
        fn of_several_one_is_found(
            begins in 0..u128::MAX - 1, others in proptest::collection::vec((any::<u128>(), any::<bool>()), 2..60), nearest: u128
        ) {
            let nearest = begins + 1 + nearest % (u128::MAX - 1 - begins);
            let behind = others.into_iter().filter(|(one, _)| *one > nearest && *one < u128::MAX);
            let (mut broken, good): (Vec<_>, Vec<_>) = behind.partition(|(_, is_broken)| *is_broken);
            broken.push((nearest, true));
            let [broken, good] = [broken, good].map(|all| all.into_iter().map(|(one, _)| one).collect::<Vec<u128>>());
            let (found, _) = search(begins, &broken, &good, good.iter().copied().min());
            prop_assert!(broken.contains(&found));
        }

        #[test]
        fn a_point_reads_back(number: u128) {
            let gap = Gap { fails: Point(number), comes: Some(Point(number)), ..Gap::default() };
            let read: Gap = serde_json::from_value(json!(gap)).expect("a gap");
            prop_assert_eq!(read, gap);
        }
    }
}
