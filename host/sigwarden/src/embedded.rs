//! The reference policies that the binary carries, so that `init` and `serve` need no wasm toolchain.

include!(concat!(env!("OUT_DIR"), "/policies.rs"));

/// The component of a reference policy.
#[must_use]
pub fn policy(name: &str) -> Option<&'static [u8]> {
    LIBRARY.iter().find(|(known, _)| *known == name).map(|(_, wasm)| *wasm)
}
