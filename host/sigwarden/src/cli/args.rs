//! What the command line takes. No argument takes a secret.

use clap::{Args, Parser, Subcommand, ValueEnum};
use sigwarden_core::key::{KeyId, KeyName};
use sigwarden_core::lifecycle::GraceEnd;
use sigwarden_core::{Network, Role, Scheme};
use std::path::PathBuf;

/// The signing layer of a blockchain node: no signature without the approval of every policy.
///
/// A deployment is a directory with one sigwarden.toml. `sigwarden init` makes one that runs as it is.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  sigwarden init --dir signer --generate-passphrase-file    a devnet deployment that runs unattended\n  sigwarden -d signer serve                                 runs it\n  sigwarden -d signer check --network mainnet               what mainnet would say of it\n\nExit codes: 0 done; 1 refused, or something is wrong; 2 it could not be tried."
)]
pub struct Cli {
    /// The deployment's directory
    #[arg(short, long, global = true, value_name = "DIR", env = "SIGWARDEN_DEPLOYMENT", default_value = ".")]
    pub deployment: PathBuf,
    /// Print JSON, for machines
    #[arg(long, global = true)]
    pub json: bool,
    /// How log lines on standard error look
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// Which log lines: `warn`, `info`, `debug`, or `target=level,…`; `serve` says `info` by itself, the others `warn`
    #[arg(long, global = true, value_name = "FILTER", env = "SIGWARDEN_LOG")]
    pub log: Option<String>,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a deployment that runs as it is
    Init(Init),
    /// Run the daemon of a deployment
    Serve,
    /// Say whether the deployment would start, and what its network makes of it
    Check(Check),
    /// Ask the running daemon for a signature
    Sign(Sign),
    /// Generate, import and list keys
    #[command(subcommand)]
    Keys(Keys),
    /// Keep secrets under a name, sealed beside the keys
    #[command(subcommand)]
    Secrets(Secrets),
    /// List, inspect and pin policy modules
    #[command(subcommand)]
    Policy(Policy),
    /// Show and raise the floors of consensus keys
    #[command(subcommand)]
    Floors(Floors),
    /// Mend the ledger's files
    #[command(subcommand)]
    Ledger(Ledger),
    /// Read and verify the audit log
    #[command(subcommand)]
    Audit(Audit),
    /// Write a completion script for a shell to standard output
    #[command(after_help = "Example:\n  sigwarden completions bash > /etc/bash_completion.d/sigwarden")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write generated documentation to standard output
    #[command(subcommand, hide = true)]
    Docs(Docs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sigwarden init --dir signer                                   asks for a passphrase\n  sigwarden init --dir signer --generate-passphrase-file        devnet: makes a random one\n  sigwarden init --dir signer --network mainnet --passphrase-env SIGNER_PASSPHRASE\n  sigwarden init --dir signer --network mainnet --passphrase-env SIGNER_PASSPHRASE --hsm-library /usr/lib/softhsm/libsofthsm2.so --hsm-token signer --hsm-pin-env SIGNER_PIN"
)]
pub(super) struct Init {
    /// The directory to make; must be missing or empty. Like --deployment
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// devnet, testnet-alpha, testnet-beta or mainnet
    #[arg(long, value_name = "NETWORK", default_value = "devnet")]
    pub(super) network: Network,
    /// Where the deployment's marker goes, outside of it: it tells a copy from the original
    #[arg(long, value_name = "DIR")]
    pub(super) marker_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(super) passphrase: InitPassphrase,
    #[command(flatten)]
    pub(super) hsm: InitHsm,
}

#[derive(Debug, Args)]
pub(super) struct InitHsm {
    /// Add a hardware security module: the vendor's PKCS#11 library
    #[arg(long, value_name = "FILE", requires = "hsm_token")]
    pub(super) hsm_library: Option<PathBuf>,
    /// The label of the token in it
    #[arg(long, value_name = "LABEL", requires = "hsm_library")]
    pub(super) hsm_token: Option<String>,
    /// Take the token's PIN from this file (mode 0600) at every start
    #[arg(long, value_name = "FILE", requires = "hsm_library", conflicts_with = "hsm_pin_env")]
    pub(super) hsm_pin_file: Option<PathBuf>,
    /// Take the token's PIN from the environment variable of this name at every start; without either you are asked
    #[arg(long, value_name = "NAME", requires = "hsm_library")]
    pub(super) hsm_pin_env: Option<String>,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct InitPassphrase {
    /// Take the passphrase from this file (mode 0600), now and at every start
    #[arg(long, value_name = "FILE")]
    pub(super) passphrase_file: Option<PathBuf>,
    /// Take the passphrase from the environment variable of this name, now and at every start
    #[arg(long, value_name = "NAME")]
    pub(super) passphrase_env: Option<String>,
    /// Make a random passphrase in a file of mode 0600 inside the deployment; devnet only
    #[arg(long)]
    pub(super) generate_passphrase_file: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sigwarden -d signer check                       exit code 0: it would start\n  sigwarden -d signer check --network mainnet     what another network would say\n  sigwarden check --matrix                        what each network makes of each rule"
)]
pub(super) struct Check {
    /// Judge as this network, instead of the configured one
    #[arg(long, value_name = "NETWORK")]
    pub(super) network: Option<Network>,
    /// Print what each network makes of each rule
    #[arg(long, conflicts_with = "network")]
    pub(super) matrix: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sigwarden -d signer sign --key demo.account --format evm/eip-1559 --payload-file tx.bin\n  sigwarden sign --socket /run/sigwarden/sigwarden.sock --key demo.account --format evm/legacy --payload-hex ec…"
)]
pub(super) struct Sign {
    /// The key: `namespace.key_id`, or `namespace.key_id.v2` for one version
    #[arg(long)]
    pub(super) key: String,
    /// How the payload is read: `evm/eip-1559`, `cometbft/vote`
    #[arg(long)]
    pub(super) format: String,
    #[command(flatten)]
    pub(super) payload: Payload,
    /// Your own id of the request, at most 64 visible characters: asking again with it gets the same signature, never a second one
    #[arg(long, value_name = "ID", default_value = "")]
    pub(super) request_id: String,
    /// Refuse unless the key signs so
    #[arg(long, value_name = "SCHEME", default_value = "")]
    pub(super) scheme: String,
    /// The daemon's socket, instead of the deployment's
    #[arg(long, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Payload {
    /// A file with the payload; `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub(super) payload_file: Option<PathBuf>,
    /// The payload in hex
    #[arg(long, value_name = "HEX")]
    pub(super) payload_hex: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
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
pub(super) enum GraceUntil {
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
pub(super) struct KeyChange {
    /// `namespace.key_id` for its highest version, or `namespace.key_id.v2`
    pub(super) key: String,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT")]
    pub(super) reason: String,
}

#[derive(Debug, Args)]
pub(super) struct NewKey {
    /// Its name, `namespace.key_id`
    pub(super) name: KeyName,
    /// Its version
    #[arg(long = "key-version", value_name = "N", default_value_t = 1)]
    pub(super) version: u32,
    /// How it signs; the configuration's, if it names the key already
    #[arg(long)]
    pub(super) scheme: Option<Scheme>,
    /// The `[[backend]]` to put it into; without it the `sealed-file` one
    #[arg(long, value_name = "NAME", default_value = "")]
    pub(super) backend: String,
    /// What it is for; more than once for several. The configuration's, if it names the key already
    #[arg(long = "role", value_name = "ROLE")]
    pub(super) roles: Vec<Role>,
    /// Append the `[[key]]` to sigwarden.toml instead of printing it
    #[arg(long)]
    pub(super) add_to_config: bool,
}

impl NewKey {
    pub(super) fn id(&self) -> KeyId {
        KeyId {
            name: self.name.clone(),
            version: self.version,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Secrets {
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

#[derive(Debug, Subcommand)]
pub(super) enum Policy {
    /// List the deployment's policies and whether their modules are what was pinned
    List,
    /// Say what a module is, imports, exports and takes, without configuring it
    #[command(after_help = "Examples:\n  sigwarden -d signer policy inspect rate-limit\n  sigwarden policy inspect ./my-policy.wasm")]
    Inspect {
        /// A `[[policy]]` of the deployment, one of the binary's own, or a file
        module: String,
    },
    /// Write a module's SHA-256 into sigwarden.toml; a running daemon runs it at once
    #[command(
        after_help = "Examples:\n  sigwarden -d signer policy pin rate-limit               pins the file as it is\n  sigwarden -d signer policy pin rate-limit --embedded    replaces it by this binary's own first"
    )]
    Pin {
        /// A `[[policy]]` of the deployment
        name: String,
        /// Replace the file by the reference policy of the same file name that this binary carries
        #[arg(long)]
        embedded: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Floors {
    /// Show every floor
    Show,
    /// Print the floors, for `floors import` elsewhere
    #[command(
        after_help = "Example:\n  sigwarden -d signer floors export > floors.json\n\nStop the daemon, or suspend its consensus keys, first: what is signed afterwards is not in the export."
    )]
    Export,
    /// Raise floors to what a state file says was signed last: CometBFT's priv_validator_state.json, tmkms' state, or our export
    #[command(
        after_help = "Examples:\n  sigwarden -d signer floors import ~/.gaia/data/priv_validator_state.json --key cosmos.validator --chain-id cosmoshub-4 --reason 'moved from the node'\n  sigwarden -d signer floors import floors.json --reason 'moved from another Sigwarden'\n\nStop the signer that wrote the file first, for good."
    )]
    Import {
        /// The state file
        file: PathBuf,
        /// The key that the file is of. Of an export: this key's floors alone
        #[arg(long)]
        key: Option<String>,
        /// The chain that the file is of. Of an export: this chain's floors alone
        #[arg(long, visible_alias = "chain", value_name = "ID")]
        chain_id: Option<String>,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Raise the floor of a consensus key: nothing at this height or below is signed any more
    #[command(
        after_help = "Example:\n  sigwarden -d signer floors set --key demo.validator --chain-id devnet-1 --height 0 --reason 'a new key'\n\nFloors only rise. Give the last height that this key has signed anywhere."
    )]
    Set {
        /// The key
        #[arg(long)]
        key: String,
        /// The chain
        #[arg(long, visible_alias = "chain", value_name = "ID")]
        chain_id: String,
        /// The last height that this key has signed anywhere
        #[arg(long, value_name = "N")]
        height: u64,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Ledger {
    /// Let a deployment that was copied here, moved or restored sign again, above what its keys signed anywhere
    #[command(
        after_help = "Examples:\n  sigwarden -d signer ledger adopt --floor 1200345 --reason 'moved to a new machine'\n  sigwarden -d signer ledger adopt --floor cosmoshub-4=1200345 --floor osmosis-1=99 --reason 'restored from backup'\n\nStop every other copy first, for good: two that sign with one key are how validators are slashed."
    )]
    Adopt {
        /// The last height that was signed anywhere, of each chain that a floor is on
        #[arg(long = "floor", value_name = "[CHAIN=]HEIGHT")]
        floors: Vec<crate::admin::adopt::LastHeight>,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Say that the clock is right, after requests were refused with `clock/step` or `clock/ahead`
    #[command(after_help = "Example:\n  sigwarden -d signer ledger accept-clock --reason 'ntp was off, date checked'")]
    AcceptClock {
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Rebuild a checkpoint that is gone, from the log
    #[command(
        after_help = "Example:\n  sigwarden -d signer ledger rebuild-checkpoint --reason 'restored without it'\n\nWithout the checkpoint nobody can tell whether the end of the log was lost. Check floors with `floors show` and raise them before anything is signed."
    )]
    RebuildCheckpoint {
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Print the last records
    Tail {
        /// How many
        #[arg(short, long, value_name = "N", default_value_t = 20)]
        number: usize,
    },
    /// Verify the hash chain from its beginning, and what its records say
    #[command(
        after_help = "Examples:\n  sigwarden -d signer audit verify\n  sigwarden -d signer audit verify --head 9f2c…  and that a record with this hash, noted before, is still there"
    )]
    Verify {
        /// The head that an earlier verification printed, kept elsewhere: a log that was cut or replaced since does not have it
        #[arg(long, value_name = "HASH")]
        head: Option<String>,
    },
    /// Write what an auditor needs: the segments from a record on, and a manifest of what stood before
    #[command(
        after_help = "Examples:\n  sigwarden -d signer audit export --since 1                     the whole log, to ./sigwarden-audit-1\n  sigwarden -d signer audit export --since 40000 --to /mnt/audit  from the segment that holds record 40000"
    )]
    Export {
        /// The first record that is wanted; the segment that holds it comes whole
        #[arg(long, value_name = "SEQUENCE")]
        since: u64,
        /// The directory to make; must not be there
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Docs {
    /// docs/refusals.md
    Refusals,
}
