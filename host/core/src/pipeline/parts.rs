//! What a pipeline is made of, and what a transport hands it.

use crate::caller::Clients;
use crate::fact::Decode;
use crate::stages::authorize::Keyring;
use crate::vocabulary::Network;
use crate::{Backend, Ledger, PolicySet};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A request as a transport received it: nothing checked yet.
#[derive(Debug, Clone)]
pub struct SignCall {
    /// The operation's name.
    pub operation: String,
    /// The key: `namespace.key_id` for the version in use, or `namespace.key_id.v2`.
    pub key: String,
    /// The format's name.
    pub format: String,
    /// The scheme's name, or empty; if given it must be the key's.
    pub scheme: String,
    /// The client's request id, or empty.
    pub request_id: String,
    /// The payload.
    pub payload: Vec<u8>,
    /// When it was received: its deadline counts from here.
    pub received: Instant,
}

/// Bounds on a request, each with a default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a payload. 64 KiB: two maximal EVM init codes are 96 KiB, but every policy lifts a copy into its sandbox.
    pub payload_bytes: usize,
    /// How long a request may wait before its decision. 5 s: a CometBFT propose timeout is 3 s, an RPC client waits 10.
    pub deadline: Duration,
    /// Evaluations at once: the cores.
    pub evaluations: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            payload_bytes: 64 * 1024,
            deadline: Duration::from_secs(5),
            evaluations: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// Reads a clock, in milliseconds. A plain function, so that tests drive it.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What a pipeline is made of.
pub struct Parts {
    /// The deployment's network.
    pub network: Network,
    /// Who may ask for what.
    pub clients: Clients,
    /// The keys at first; [`Pipeline::add_key`] adds others.
    pub keys: Keyring,
    /// The policies in force.
    pub policies: Arc<PolicySet>,
    /// State and records.
    pub ledger: Arc<dyn Ledger>,
    /// Backends by name; every key's `backend` is there.
    pub backends: BTreeMap<String, Arc<dyn Backend>>,
    /// The payload decoder.
    pub decode: Decode,
    /// The wall clock.
    pub clock: Clock,
    /// The boot clock: milliseconds that the machine has run, suspended or not. Nobody sets it, so that a step of the other shows.
    pub boot_clock: Clock,
    /// Bounds.
    pub limits: Limits,
    /// Random, drawn at start: makes ids that the host gives unique across restarts.
    pub process_id: u64,
}
