//! Amounts of 256 bits, counted in rate limits, which count in 64.

use crate::number::U256;

/// What an amount is counted in, so that it fits a bucket: the unit is a power of ten, the amount at most 10^12 of them. What is
/// spent is rounded up, which takes at most one part in 10^11 of the amount too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Scale {
    unit: U256,
    capacity: u64,
}

/// Enough that rounding is no matter, and far from the end of a `u64`.
const UNITS_MAX: u64 = 1_000_000_000_000;

impl Scale {
    /// The scale of an amount; none of 0.
    #[must_use]
    pub fn of(amount: U256) -> Option<Self> {
        let powers = std::iter::successors(Some(U256::from(1u64)), |unit| unit.checked_mul(U256::from(10u64)));
        let mut scales = powers.filter_map(|unit| Some((unit, amount.checked_div(unit)?.to_u64()?)));
        let (unit, capacity) = scales.find(|(_, capacity)| *capacity <= UNITS_MAX)?;
        (capacity > 0).then_some(Self { unit, capacity })
    }

    /// The whole amount in units, rounded down: what a bucket holds when full.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// What is spent in units, rounded up; none if that is over the capacity.
    #[must_use]
    pub fn units(&self, spent: U256) -> Option<u64> {
        let units = spent.checked_div_ceil(self.unit)?.to_u64()?;
        (units <= self.capacity).then_some(units)
    }

    /// What so many units are.
    #[must_use]
    pub fn amount(&self, units: u64) -> U256 {
        self.unit.checked_mul(units.into()).unwrap_or(U256::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_amount_is_counted_exactly() {
        let scale = Scale::of(U256::from(7u64)).unwrap();
        assert_eq!(
            (scale.capacity(), scale.units(U256::from(7u64)), scale.units(U256::from(8u64))),
            (7, Some(7), None)
        );
        assert_eq!(Scale::of(U256::ZERO), None);
    }

    #[test]
    fn a_large_amount_is_rounded_against_the_spender() {
        let ether = U256::from(1_000_000_000_000_000_000u64);
        let scale = Scale::of(ether).unwrap();
        assert_eq!(scale.capacity(), UNITS_MAX);
        assert_eq!((scale.units(U256::from(1u64)), scale.units(ether)), (Some(1), Some(UNITS_MAX)));
        assert_eq!(scale.units(ether.checked_add(1u64.into()).unwrap()), None);
        assert_eq!(scale.amount(UNITS_MAX), ether);
        assert_eq!((scale.units(U256::ZERO), scale.amount(0)), (Some(0), U256::ZERO));
    }

    #[test]
    fn the_largest_amounts_have_a_scale() {
        let scale = Scale::of(U256::MAX).unwrap();
        assert!(scale.capacity() <= UNITS_MAX && scale.capacity() > UNITS_MAX / 10);
        assert_eq!(Scale::of(U256::from(1_000_000_000_000u64 * 1_000)).unwrap().units(U256::MAX), None);
    }
}
