//! What the command line takes. No argument takes a secret.

mod keys;

use clap::{Args, Parser, Subcommand, ValueEnum};
pub(in crate::cli) use keys::{GraceUntil, KeyChange, Keys, NewKey, Secrets};
use sigwarden_core::Network;
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
    /// Write, test, measure, pin and reload policies
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
    /// Show rates, refusals, latencies and keys of the running daemon, live
    Top(sigwarden_telemetry::top::TopArgs),
    /// Make a private CA and certificates for a small deployment's TLS
    #[command(subcommand)]
    Certs(sigwarden_tls::cli::Certs),
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
pub(super) enum Policy {
    /// List the deployment's policies and whether their modules are what was pinned
    List,
    /// Make a crate for a new policy: one rule, its tests and fixtures, and the SDK
    New(sigwarden_component::cli::New),
    /// Make a policy's component, the same bytes wherever it is made
    Build(sigwarden_component::cli::BuildArgs),
    /// Say what a module is, imports, exports and takes, without running it
    #[command(after_help = "Examples:\n  sigwarden -d signer policy inspect rate-limit\n  sigwarden policy inspect ./my-policy.wasm")]
    Inspect {
        /// A `[[policy]]` of the deployment, one of the binary's own, or a file
        module: String,
    },
    Test(sigwarden_workbench::cli::TestArgs),
    Bench(sigwarden_workbench::cli::BenchArgs),
    Record(sigwarden_workbench::cli::RecordArgs),
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
        /// Let it have a lower version than before
        #[arg(long)]
        allow_downgrade: bool,
    },
    /// Let the running daemon take the policies of sigwarden.toml as it is now: all of them, or none
    #[command(
        after_help = "Examples:\n  sigwarden -d signer policy reload --reason 'a lower limit'\n  kill -HUP PID                                           does the same\n\nModules, configurations, pins and bindings are taken; other changes of sigwarden.toml wait for the next start."
    )]
    Reload {
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Let a policy have a lower version than before
        #[arg(long)]
        allow_downgrade: bool,
    },
    /// List the requests that shadow policies would have decided otherwise, grouped by code
    #[command(
        after_help = "Examples:\n  sigwarden -d signer policy shadow-report\n  sigwarden -d signer policy shadow-report limits-next --limit 3\n\nA policy with `shadow = true`, or `shadow_of = \"NAME\"`, decides nothing; what it would have said is in the audit log."
    )]
    ShadowReport {
        /// Of this shadow alone
        policy: Option<String>,
        /// Requests shown for each code
        #[arg(long, default_value_t = 10, value_name = "N")]
        limit: usize,
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
        #[command(flatten)]
        at: LastSigned,
        /// Why, for the audit log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct LastSigned {
    /// The last height that this key has signed anywhere
    #[arg(long, value_name = "N")]
    pub(super) height: Option<u64>,
    /// The same for a HotStuff chain: the last view
    #[arg(long, value_name = "N")]
    pub(super) view: Option<u64>,
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
