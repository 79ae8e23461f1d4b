//! Policy modules as files: everything about them that needs no host.
//!
//! A policy is a crate that builds to a WebAssembly component of the world in `wit/policy.wit`. [`scaffold`] writes such a crate,
//! [`build`] makes the component, [`inspect`] says what a component is without running it, and [`cli`] is those three as commands.
//!
//! A component made here is the same, byte for byte, wherever it is made from the same source, lock file and toolchain; which
//! toolchain that was stands in it, beside its manifest, in a custom section ([`section`]). The manifest is what the module's own
//! `describe` says, asked once, at the build, in an interpreter ([`describe`]): its configuration's schema comes from types and
//! exists only when code runs, so no macro could place it there. An interpreter and not the sandbox, because `cargo xtask policies`
//! runs before anything is built and must not wait for wasmtime, yet has to make the same bytes as `sigwarden policy build`.
#![forbid(unsafe_code)]

pub mod build;
#[cfg(feature = "cli")]
pub mod cli;
pub mod describe;
#[cfg(feature = "cli")]
pub mod inspect;
pub mod manifest;
pub mod package;
#[cfg(feature = "cli")]
pub mod scaffold;
pub mod section;
pub mod toolchain;

#[cfg(feature = "cli")]
mod signature;
#[cfg(feature = "cli")]
mod text;
