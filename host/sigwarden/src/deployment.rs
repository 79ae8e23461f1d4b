//! placeholder
pub use toml::Value as MockScript;
