//! Limits, each with its reason.

use std::time::Duration;

/// What one engine may hold. Loading policies has limits of its own, since it happens once and takes long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineSettings {
    /// Instances alive at once, in all threads. Evaluations at once are limited to the cores elsewhere; one that finds no free slot
    /// fails.
    pub instances: u32,
    /// The most memory that any policy's `memory_bytes` may say: what the pool reserves address space for.
    pub memory_bytes: usize,
    /// Limits of `describe` and `configure`.
    pub load: LoadLimits,
    /// Modules whose unconfigured code is kept, so that another configuration of the same module compiles half as much. None in a daemon,
    /// which loads each once; a workbench loads each with many configurations.
    pub kept_modules: usize,
    /// Compile in half the time, to code that takes longer: for a workbench, which compiles a module for a few steps. What policies
    /// answer, and the fuel that they use, is WebAssembly's and the same; a daemon's engine has another hash.
    pub quick_code: bool,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            instances: 32,
            memory_bytes: 256 * 1024 * 1024,
            load: LoadLimits::default(),
            kept_modules: 0,
            quick_code: false,
        }
    }
}

/// Limits of a call at load: to `describe`, `configure` or `config-digest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadLimits {
    /// Fuel for one call. A configuration with 100,000 checksummed addresses takes some 10 billion: two Keccak-256 each.
    pub fuel: u64,
    /// Time for one call, a backstop: ten times what that configuration takes.
    pub deadline: Duration,
    /// Bytes that one call may hand over: manifest, problems, log lines, digest.
    pub host_call_bytes: usize,
}

impl Default for LoadLimits {
    fn default() -> Self {
        Self {
            fuel: 100_000_000_000,
            deadline: Duration::from_secs(120),
            host_call_bytes: 1024 * 1024,
        }
    }
}

/// Limits of one evaluation of one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyLimits {
    /// Fuel, about one unit for an instruction: the limit that decides, since it is the same on every machine. The reference
    /// policies use under 100,000.
    pub fuel: u64,
    /// Wall-clock time, a backstop: fuel does not see time spent in host calls, and a short bound would fire on innocent guests under
    /// load.
    pub deadline: Duration,
    /// Linear memory, the configured snapshot included. A list of 100,000 addresses takes 2 MiB.
    pub memory_bytes: usize,
    /// Bytes that may cross between host and guest, both ways: the request, the names and values of state calls, log lines, the
    /// verdict. A payload is at most 1 MiB, and crosses up to three times: facts may show it again, and an unhashed signing input is
    /// the payload.
    pub host_call_bytes: usize,
}

impl Default for PolicyLimits {
    fn default() -> Self {
        Self {
            fuel: 50_000_000,
            deadline: Duration::from_millis(250),
            memory_bytes: 16 * 1024 * 1024,
            host_call_bytes: 4 * 1024 * 1024,
        }
    }
}
