//! Builds the reference policies: `wasm32-unknown-unknown` modules, made components by `wit-component`.

/// Builds every policy under `policies/` into `target/policies/*.wasm`.
pub fn build_all() -> anyhow::Result<Vec<std::path::PathBuf>> {
    anyhow::bail!("not written yet")
}
