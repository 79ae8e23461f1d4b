//! The sigwarden.toml that `init` writes: it runs as it is, and explains itself.

use sha2::{Digest, Sha256};
use sigwarden_core::Network;
use std::fmt::Write as _;

/// What `init` fills in.
pub(super) struct Filled<'a> {
    pub(super) network: Network,
    /// Where the deployment's marker is.
    pub(super) marker_dir: &'a std::path::Path,
    /// The line under `[security]`.
    pub(super) passphrase: String,
    pub(super) uid: u32,
    /// The `[[key]]` blocks.
    pub(super) keys: &'a [String],
}

/// A reference policy in the template: its comment, and the rest of its `[[policy]]`.
struct Reference {
    name: &'static str,
    comment: &'static str,
    config: &'static str,
}

/// In the order in which they run: the cheap and general ones first, the rate limit last, so that what is refused anyway takes
/// nothing from it.
const REFERENCES: [Reference; 4] = [
    Reference {
        name: "network-mode",
        comment: include_str!("template/network-mode.txt"),
        config: include_str!("template/network-mode.toml"),
    },
    Reference {
        name: "payload-rules",
        comment: include_str!("template/payload-rules.txt"),
        config: include_str!("template/payload-rules.toml"),
    },
    Reference {
        name: "monotonic",
        comment: include_str!("template/monotonic.txt"),
        config: include_str!("template/monotonic.toml"),
    },
    Reference {
        name: "rate-limit",
        comment: include_str!("template/rate-limit.txt"),
        config: include_str!("template/rate-limit.toml"),
    },
];

/// The whole file.
pub(super) fn config(filled: &Filled<'_>) -> String {
    let mut policies = String::new();
    for reference in &REFERENCES {
        let digest = crate::embedded::policy(reference.name).map(Sha256::digest);
        let pin = digest.map_or_else(String::new, hex::encode);
        for line in reference.comment.lines() {
            let _ = writeln!(policies, "{}", format!("# {line}").trim_end());
        }
        let (name, config) = (reference.name, reference.config.trim_end());
        let _ = writeln!(
            policies,
            "[[policy]]\nname = \"{name}\"\nmodule = \"policies/{name}.wasm\"\nsha256 = \"{pin}\"\n{config}\n"
        );
    }
    include_str!("template/sigwarden.toml")
        .replace("{network}", filled.network.name())
        .replace("{passphrase}", &filled.passphrase)
        .replace(
            "{marker_dir}",
            &toml::Value::from(filled.marker_dir.to_string_lossy().into_owned()).to_string(),
        )
        .replace("{uid}", &filled.uid.to_string())
        .replace("{keys}", filled.keys.join("\n").trim_end())
        .replace("{policies}", policies.trim_end())
}
