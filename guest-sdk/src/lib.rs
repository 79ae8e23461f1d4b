#![doc = include_str!("../README.md")]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "tests"
    )
)]

// The generated code names this crate from outside.
extern crate self as sigwarden_guest;

#[doc(hidden)]
pub mod bindings;

mod address;
mod config;
mod export;
mod fact_table;
mod facts;
mod hex_bytes;
mod host;
mod key_pattern;
mod label;
mod list;
mod number;
#[cfg(target_arch = "wasm32")]
mod panics;
mod period;
mod policy;
mod problems;
mod scale;
mod serde_text;
mod state_name;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod utc;
mod view;
mod vocabulary;

pub use address::{Address, AddressError, AddressSet};
pub use bindings::sigwarden::policy::limits::{Exceeded, Remaining};
pub use bindings::sigwarden::policy::log::Level;
pub use bindings::sigwarden::policy::types::{
    Denial, Fact, Key, KeyState, Network, Operation, Problem, Request, Role, Scalar, Scheme, SigningInput, Value,
};
pub use bindings::sigwarden::policy::watermarks::{Advanced, Order, Refused};
pub use config::parse as parse_config;
#[doc(hidden)]
pub use export::Exported;
pub use fact_table::{FactKind, FactSchema, facts_of};
pub use facts::FactError;
pub use hex_bytes::{HexBytes, HexError};
pub use host::{Host, Rate};
pub use key_pattern::{KeyPattern, KeyPatternError};
pub use label::{Label, LabelError};
pub use list::{AllOr, OneOrMore, shown};
pub use number::{NumberError, U256};
pub use period::{Period, PeriodError};
pub use policy::{Allowed, Denied, Manifest, Policy, Verdict, all, allow, allow_with, deny, deny_until, problem};
pub use problems::Problems;
pub use scale::Scale;
pub use state_name::state_name;
pub use utc::{DAY_MS, TimeError, TimeOfDay, UtcTime, Weekday};
pub use view::{AccessList, CometbftBlock, CometbftPosition, CometbftProposal, CometbftStep, CometbftVote};
pub use view::{Authority, Authorization, Authorizations, AuthorizedChain, Blobs, Carries, Delegate, RawBytes, RawLayout};
pub use view::{Erc20, Erc20Error, EvmTransaction, Fees, Input, PolRound, Recipient, Timestamp, VoteExtension};
pub use view::{HotstuffPosition, HotstuffProposal, HotstuffQc, HotstuffStep, HotstuffTimeout, HotstuffVote};
pub use view::{SignedMessage, TypedChain, TypedContract, TypedData, TypedDomain, TypedValue};
pub use view::{TaggedDomain, TaggedMessage};
pub use vocabulary::{FORMATS, Family, FormatPattern, FormatPatternError, UnknownName};

/// What nearly every policy names: `use sigwarden_guest::prelude::*;`.
pub mod prelude {
    pub use crate::{
        Address, AddressSet, Fees, Host, Manifest, Policy, Problem, Recipient, Request, U256, Verdict, allow, allow_with, deny, problem,
    };
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};
}
