//! The sigwarden.toml that `init` writes: it runs as it is, and explains itself.

use sha2::{Digest, Sha256};
use sigwarden_core::Network;
use std::fmt::Write as _;

/// What `init` fills in.
pub(super) struct Filled<'a> {
    pub(super) network: Network,
    /// The HSM, if there is one.
    pub(super) hsm: Option<&'a Hsm>,
    /// Where the deployment's marker is.
    pub(super) marker_dir: &'a std::path::Path,
    /// The line under `[security]`.
    pub(super) passphrase: String,
    pub(super) uid: u32,
    /// The `[[key]]` blocks.
    pub(super) keys: &'a [String],
}

/// A token that `init` writes a backend for.
#[derive(Debug, Clone)]
pub(super) struct Hsm {
    /// The vendor's library, absolute.
    pub(super) library: std::path::PathBuf,
    /// The token's label.
    pub(super) token: String,
    /// The line that says where the PIN comes from.
    pub(super) pin: String,
}

impl Hsm {
    fn block(&self) -> String {
        format!(
            "\n# The hardware security module (docs/hsm.md). `sigwarden keys generate NAME --backend hsm` makes a key in it.\n\
             # A second token with the same keys takes over in under a second: add `[[backend.replica]]` with its own library, token and PIN.\n\
             [[backend]]\nname = \"hsm\"\nkind = \"pkcs11\"\nlibrary = {}\ntoken = {}\n{}\n",
            toml::Value::from(self.library.to_string_lossy().into_owned()),
            toml::Value::from(self.token.as_str()),
            self.pin
        )
    }
}

/// What differs between networks: chains that exist there, and how strict to be.
struct Variant {
    evm_chain_ids: &'static str,
    cometbft_chain_id: &'static str,
    recipients: &'static str,
    rotation: &'static str,
}

fn variant(network: Network) -> Variant {
    const NOBODY: &str = "# Whom a transaction may call: nobody yet. A long list goes into a `config_file`.\nrecipients = []";
    const YEARLY: &str = "# When keys are to be replaced; `sigwarden keys due` tells. With `enforce = true` a key that is due signs no more.\n[[rotation]]\nmax_age_days = 365\nenforce = false\n";
    match network {
        Network::Devnet => Variant {
            evm_chain_ids: "[1337, 31337]",
            cometbft_chain_id: "devnet-1",
            recipients: "# Whom a transaction may call: two accounts that every Hardhat and Anvil devnet has. A long list goes into a `config_file`.\nrecipients = [\n  \"0x70997970C51812dc3A010C7d01b50e0d17dc79C8\",\n  \"0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC\",\n]",
            rotation: "",
        },
        Network::TestnetAlpha | Network::TestnetBeta => Variant {
            evm_chain_ids: "[11155111]  # Sepolia",
            cometbft_chain_id: "theta-testnet-001",
            recipients: NOBODY,
            rotation: YEARLY,
        },
        Network::Mainnet => Variant {
            evm_chain_ids: "[1]  # Ethereum",
            cometbft_chain_id: "cosmoshub-4",
            recipients: NOBODY,
            rotation: YEARLY,
        },
    }
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
    let variant = variant(filled.network);
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
        .replace("{hsm}", &filled.hsm.map(Hsm::block).unwrap_or_default())
        .replace("{rotation}", variant.rotation)
        .replace("{evm_chain_ids}", variant.evm_chain_ids)
        .replace("{recipients}", variant.recipients)
        .replace("{cometbft_chain_id}", variant.cometbft_chain_id)
}
