//! How an object is cut into parts.

use super::{LARGEST_PUT, LEAST_PART, MOST_PARTS, Refused};
use crate::config::Bucket;

/// The parts of an object: all of one length, but the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The object's length in bytes.
    pub length: u64,
    /// A part's.
    pub part_size: u64,
}

/// Parts grow in steps of this, where there would be too many.
const STEP: u64 = 1 << 20;

impl Plan {
    /// By the bucket's `part_size`, or larger where there would be more than 10,000.
    #[must_use]
    pub fn new(bucket: &Bucket, length: u64) -> Self {
        let least = length.div_ceil(u64::from(MOST_PARTS)).next_multiple_of(STEP);
        Self { length, part_size: bucket.part_size.max(least) }
    }

    /// What a ticket says of it.
    ///
    /// # Errors
    /// Parts that no storage takes.
    pub fn of(length: u64, part_size: u64, parts: u16) -> Result<Self, Refused> {
        let plan = Self { length, part_size };
        let good = (LEAST_PART..=LARGEST_PUT).contains(&part_size) && plan.parts() == Some(parts);
        if good { Ok(plan) } else { Err(Refused::Part) }
    }

    /// How many there are: 1 to 10,000.
    #[must_use]
    pub fn parts(&self) -> Option<u16> {
        let parts = self.length.div_ceil(self.part_size.max(1)).max(1);
        u16::try_from(parts).ok().filter(|parts| *parts <= MOST_PARTS)
    }

    /// The length of a part, if there is one of this number.
    #[must_use]
    pub fn length_of(&self, number: u16) -> Option<u64> {
        let parts = self.parts().filter(|parts| (1..=*parts).contains(&number))?;
        let before = self.part_size * u64::from(number - 1);
        Some(if number == parts { self.length - before } else { self.part_size })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Plan;
    use crate::config::tests::bucket;
    use crate::storage::{LARGEST_OBJECT, LARGEST_PUT, LEAST_PART};

    proptest! {
        #[test]
        fn parts_make_the_whole(length in 1..=LARGEST_OBJECT, part_size in LEAST_PART..=LARGEST_PUT) {
            let bucket = crate::config::Bucket { part_size, ..bucket("") };
            let plan = Plan::new(&bucket, length);
            let parts = plan.parts().expect("no more than 10,000");
            let lengths: Vec<u64> = (1..=parts).map(|number| plan.length_of(number).expect("a part")).collect();
            prop_assert_eq!(lengths.iter().sum::<u64>(), length);
            prop_assert!(lengths.iter().all(|length| *length > 0 && *length <= LARGEST_PUT));
            prop_assert!(lengths.iter().rev().skip(1).all(|length| *length == plan.part_size && *length >= LEAST_PART));
            prop_assert!(plan.length_of(0).is_none() && plan.length_of(parts + 1).is_none());
            prop_assert_eq!(Plan::of(length, plan.part_size, parts), Ok(plan));
        }
    }

    #[test]
    fn tickets_that_were_changed() {
        let (length, size) = (200 << 20, 16 << 20);
        assert!(Plan::of(length, size, 13).is_ok());
        for (length, size, parts) in
            [(length, size, 12), (length, size, 14), (length, 0, 1), (length, 1 << 20, 200), (0, size, 0)]
        {
            assert!(Plan::of(length, size, parts).is_err(), "{length} {size} {parts}");
        }
        assert_eq!(Plan::of(0, size, 1).map(|plan| plan.length_of(1)), Ok(Some(0)));
    }
}
