//! The types and imports of `wit/policy.wit`, generated, and the macro behind [`crate::export!`]. The types are used as they are,
//! on wasm and natively, so that a request crosses the border once and is never copied into another shape. The one file with
//! `unsafe`: the canonical ABI's glue.
#![allow(
    unsafe_code,
    missing_docs,
    unreachable_pub,
    reason = "generated code: the canonical ABI moves raw memory"
)]
#![allow(
    clippy::all,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "generated code"
)]
#![allow(
    clippy::allow_attributes_without_reason,
    clippy::wildcard_enum_match_arm,
    reason = "generated code"
)]

wit_bindgen::generate!({
    path: "../wit",
    world: "policy",
    pub_export_macro: true,
    export_macro_name: "export_policy",
    default_bindings_module: "sigwarden_guest::bindings",
    runtime_path: "::sigwarden_guest::bindings::runtime",
    additional_derives: [PartialEq, Eq],
    generate_all,
});

pub use wit_bindgen::rt as runtime;
