//! What `sigwarden keys` and `sigwarden secrets` take.

use clap::{Args, Subcommand};
use sigwarden_core::key::{KeyId, KeyName};
use sigwarden_core::lifecycle::GraceEnd;
use sigwarden_core::{Role, Scheme};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Keys {
    /// Generate a key, in sealed files or in a token
    #[command(
        after_help = "Example:\n  sigwarden -d signer keys generate cosmos.validator --scheme ed25519 --role consensus --add-to-config"
    )]
    Generate(NewKey),
    /// Import a secret key into the `sealed-file` backend, from a file or a prompt
    #[command(
        after_help = "Example:\n  sigwarden -d signer keys import demo.account --secret-file key.hex\n\nThe file holds 64 hex digits, with or without 0x, and has mode 0600."
    )]
    Import {
        #[command(flatten)]
        key: NewKey,
        /// A file with the secret key in hex (mode 0600); without it you are asked
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
    },
    /// Suspend a key: from the answer on, nothing that it signs leaves
    #[command(after_help = "Example:\n  sigwarden -d signer keys suspend demo.account --reason 'the wallet behaves oddly'")]
    Suspend(KeyChange),
    /// Let a suspended key sign again
    #[command(after_help = "Example:\n  sigwarden -d signer keys resume demo.account --reason 'it was a test'")]
    Resume(KeyChange),
    /// Withdraw a key for good
    #[command(after_help = "Example:\n  sigwarden -d signer keys revoke demo.account.v1 --reason 'replaced by v2'")]
    Revoke(KeyChange),
    /// Make the next version of a key, pending: it signs nothing before it is activated
    #[command(after_help = "Example:\n  sigwarden -d signer keys rotate demo.account --reason 'every quarter'")]
    Rotate {
        /// `namespace.key_id`
        key: KeyName,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Make a pending version active; the one in use goes on in grace
    #[command(
        after_help = "Examples:\n  sigwarden -d signer keys activate demo.account --grace-until +24h --reason 'registered'\n  sigwarden -d signer keys activate demo.validator.v2 --grace-until height:1200000 --reason 'in the set from that height on'\n\nThe first value at which the old version does not sign any more is given. Without it, it signs by its own name until it is revoked."
    )]
    Activate {
        /// `namespace.key_id` for its newest pending version, or `namespace.key_id.v2`
        key: String,
        /// Where the old version's grace ends: `+30m`, `+24h`, `+7d`, `time:MILLISECONDS`, `height:N`, `view:N` or `epoch:N`
        #[arg(long, value_name = "END")]
        grace_until: Option<GraceUntil>,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Erase a revoked key for good
    #[command(
        after_help = "Example:\n  sigwarden -d signer keys destroy demo.account.v1 --reason 'revoked since May'\n\nBackups still have it."
    )]
    Destroy(KeyChange),
    /// Say which keys are due to be rotated; exit code 1 if one is
    Due,
    /// Show what each backend and token is like, and what was counted
    Status,
    /// Let a `pkcs11` backend use its PIN again, once you have mended why it failed
    #[command(
        after_help = "Example:\n  sigwarden -d signer keys retry-login hsm --reason 'the PIN file was wrong'\n\nOne attempt for each token: a wrong PIN counts towards the token's limit."
    )]
    RetryLogin {
        /// The `[[backend]]`
        backend: String,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// List the keys: the version in use of each
    List {
        /// List every version
        #[arg(long)]
        versions: bool,
    },
    /// Show one key
    Show {
        /// `namespace.key_id` or `namespace.key_id.v2`
        key: String,
    },
}

/// Where a grace ends, as an operator says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum GraceUntil {
    /// So many milliseconds from now.
    In(u64),
    /// There.
    At(GraceEnd),
}

impl std::str::FromStr for GraceUntil {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(span) = text.strip_prefix('+') else {
            return text.parse().map(Self::At);
        };
        let wrong = || "`+30m`, `+24h` or `+7d` is right".to_owned();
        let unit = span.chars().last().ok_or_else(wrong)?;
        let factor = match unit {
            's' => 1_000,
            'm' => 60_000,
            'h' => 3_600_000,
            'd' => 86_400_000,
            _ => return Err(wrong()),
        };
        let number: u64 = span.strip_suffix(unit).unwrap_or("").parse().map_err(|_| wrong())?;
        number.checked_mul(factor).map(Self::In).ok_or_else(wrong)
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct KeyChange {
    /// `namespace.key_id` for its highest version, or `namespace.key_id.v2`
    pub(in crate::cli) key: String,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct NewKey {
    /// Its name, `namespace.key_id`
    pub(in crate::cli) name: KeyName,
    /// Its version
    #[arg(long = "key-version", value_name = "N", default_value_t = 1)]
    pub(in crate::cli) version: u32,
    /// How it signs; the configuration's, if it names the key already
    #[arg(long)]
    pub(in crate::cli) scheme: Option<Scheme>,
    /// The `[[backend]]` to put it into; without it the `sealed-file` one
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(in crate::cli) backend: String,
    /// What it is for; more than once for several. The configuration's, if it names the key already
    #[arg(long = "role", value_name = "ROLE")]
    pub(in crate::cli) roles: Vec<Role>,
    /// Append the `[[key]]` to sigwarden.toml instead of printing it
    #[arg(long)]
    pub(in crate::cli) add_to_config: bool,
}

impl NewKey {
    pub(in crate::cli) fn id(&self) -> KeyId {
        KeyId {
            name: self.name.clone(),
            version: self.version,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Secrets {
    /// Set a secret, from a file or a prompt
    #[command(
        after_help = "Example:\n  sigwarden -d signer secrets set igra.hd.payment_secret --file secret.txt --reason 'first install'\n\nWithout --file you are asked. No secret is ever an argument."
    )]
    Set {
        /// Its name, `namespace.name`
        name: KeyName,
        /// A file with the secret (mode 0600), taken as it is; `-` for standard input
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Write a secret to a new file of mode 0600, or to standard output
    #[command(after_help = "Example:\n  sigwarden -d signer secrets get igra.hd.payment_secret --to secret.txt --reason 'to rotate it'")]
    Get {
        /// Its name
        name: KeyName,
        /// The file to make; must not be there. `-` for standard output
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// List the names of secrets
    List {
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT", default_value = "an operator looked")]
        reason: String,
    },
    /// Remove a secret for good
    Remove {
        /// Its name
        name: KeyName,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}
