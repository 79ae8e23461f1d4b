//! Positions that only rise, kept for policies. Pure.

use crate::vocabulary::vocabulary;
use crate::wire;
use serde::{Deserialize, Serialize};

vocabulary! {
    /// How two positions compare.
    Order, "order" {
        /// The first component that differs decides.
        Lexicographic = "lexicographic",
        /// Every component by itself may only rise.
        ComponentWise = "component-wise",
    }
}

/// Where a watermark stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Watermark {
    /// The position, one to eight components.
    #[serde(with = "wire::decimal_list")]
    pub position: Vec<u64>,
    /// What it is taken by, at most 64 bytes.
    #[serde(with = "wire::bytes")]
    pub identity: Vec<u8>,
}

/// What `advance` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advance {
    /// It moves.
    Moved,
    /// It stands there already, with this identity.
    Same,
    /// It stands higher, here.
    Regression(Vec<u64>),
    /// It stands there with another identity.
    Conflict,
    /// It stands at a position of another length: a fault of the policy.
    Length,
}

/// What moving a watermark would do.
#[must_use]
pub fn advance(stands: Option<&Watermark>, position: &[u64], identity: &[u8], order: Order) -> Advance {
    let Some(stands) = stands else { return Advance::Moved };
    if stands.position.len() != position.len() {
        return Advance::Length;
    }
    if stands.position == position {
        return if stands.identity == identity {
            Advance::Same
        } else {
            Advance::Conflict
        };
    }
    let rises = match order {
        Order::Lexicographic => position > stands.position.as_slice(),
        Order::ComponentWise => position.iter().zip(&stands.position).all(|(new, old)| new >= old),
    };
    if rises {
        Advance::Moved
    } else {
        Advance::Regression(stands.position.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn the_two_orders_differ_where_one_component_falls() {
        let stands = Watermark {
            position: vec![3, 5],
            identity: vec![1],
        };
        let with = |position: &[u64], order| advance(Some(&stands), position, &[1], order);
        assert_eq!(with(&[4, 0], Order::Lexicographic), Advance::Moved);
        assert_eq!(with(&[4, 0], Order::ComponentWise), Advance::Regression(vec![3, 5]));
        assert_eq!(with(&[3, 6], Order::ComponentWise), Advance::Moved);
        assert_eq!(with(&[3, 5], Order::Lexicographic), Advance::Same);
        assert_eq!(advance(Some(&stands), &[3, 5], &[2], Order::Lexicographic), Advance::Conflict);
        assert_eq!(with(&[3], Order::Lexicographic), Advance::Length);
        assert_eq!(advance(None, &[0], &[], Order::Lexicographic), Advance::Moved);
    }
}
