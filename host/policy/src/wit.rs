//! The contract's types and exports, generated from `wit/policy.wit`. The imports are in `imports.rs`, by hand, since a generated
//! import would copy a guest's strings before it could count them.
#![allow(missing_docs, unreachable_pub, dead_code, reason = "generated code")]
#![allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "generated code")]
#![allow(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, reason = "generated code")]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "policy",
    ownership: Borrowing { duplicate_if_necessary: true },
});
