//! The stages, in the order that a request passes them.

pub mod approve;
pub mod authenticate;
pub mod authorize;
pub mod commit;
pub mod decode;
pub mod evaluate;
pub mod open;
pub mod outcome;
pub mod sign;
