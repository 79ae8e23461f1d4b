//! What a network refuses: rules that look at a deployment, and for each network what they make of what they find. Every start
//! looks through them; `sigwarden check` prints them, `sigwarden check --matrix` the table.

mod identifiers;
mod rules;
mod surroundings;
#[cfg(test)]
mod tests;

pub use surroundings::{FileMode, Surroundings};
pub(crate) use surroundings::{libraries, pin_files};

use sigwarden_core::Network;

/// How much a finding matters on a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Not mentioned.
    Silent,
    /// Mentioned at every start.
    Warn,
    /// Stops the start.
    Refuse,
}

impl Severity {
    /// The stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Warn => "warn",
            Self::Refuse => "refuse",
        }
    }
}

macro_rules! rules {
    ($($(#[$meta:meta])* $variant:ident = $name:literal, [$devnet:ident, $alpha:ident, $beta:ident, $mainnet:ident];)+) => {
        /// What is looked at.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule { $($(#[$meta])* $variant),+ }

        impl Rule {
            /// Every rule, in the order of the report.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// What a network makes of a violation.
            #[must_use]
            pub fn severity(self, network: Network) -> Severity {
                match (self, network) {
                    $((Self::$variant, Network::Devnet) => Severity::$devnet,
                    (Self::$variant, Network::TestnetAlpha) => Severity::$alpha,
                    (Self::$variant, Network::TestnetBeta) => Severity::$beta,
                    (Self::$variant, Network::Mainnet) => Severity::$mainnet,)+
                }
            }
        }
    };
}

rules! {
    //                                                     devnet  testnet-alpha testnet-beta mainnet
    /// No `env` backend: the environment is inherited, and shown by `/proc` and crash reports.
    EnvBackend = "env-backend",                           [Silent, Silent, Warn,   Refuse];
    /// No variable that carries a secret, whatever uses it.
    SecretVariables = "secret-variables",                 [Silent, Silent, Warn,   Refuse];
    /// No `mock-hsm` backend: its keys come from a seed in the configuration.
    MockHsmBackend = "mock-hsm-backend",                  [Silent, Silent, Warn,   Refuse];
    /// No PKCS#11 library is Sigwarden's mock, whatever its file is called.
    MockHsmLibrary = "mock-hsm-library",                  [Silent, Silent, Warn,   Refuse];
    /// Of every backend's tokens one answers and takes its PIN at least, and of each it is known whose library it has.
    HsmAnswers = "hsm-answers",                           [Warn,   Warn,   Warn,   Refuse];
    /// Of every backend's remotes one answers, and signs, at least.
    RemoteAnswers = "remote-answers",                     [Warn,   Warn,   Warn,   Refuse];
    /// Of several tokens or remotes with one key all answer: what is left may go too.
    Redundancy = "redundancy",                            [Warn,   Warn,   Warn,   Warn];
    /// No TCP listener without client certificates: whoever reaches the port would be the caller.
    PlainListener = "plain-listener",                     [Silent, Silent, Warn,   Refuse];
    /// Consensus keys live in hardware.
    ConsensusInHsm = "consensus-in-hsm",                  [Silent, Silent, Silent, Warn];
    /// A passphrase of the strength that the network wants: it is judged when it is given.
    Passphrase = "passphrase",                            [Silent, Refuse, Refuse, Refuse];
    /// At least one policy: nothing is signed without one's approval.
    PolicySet = "policy-set",                             [Refuse, Refuse, Refuse, Refuse];
    /// Every policy module is pinned by its SHA-256.
    PolicyPins = "policy-pins",                           [Silent, Warn,   Warn,   Refuse];
    /// Only its owner writes a PKCS#11 library, which runs in this process and signs.
    LibraryMode = "library-mode",                         [Warn,   Warn,   Refuse, Refuse];
    /// No key signs raw messages, which no policy can read.
    RawMessages = "raw-messages",                         [Silent, Warn,   Warn,   Warn];
    /// No key signs raw digests, which nobody can read.
    RawDigests = "raw-digests",                           [Silent, Warn,   Warn,   Refuse];
    /// No consensus key signs raw bytes, which no floor guards.
    RawPrefixes = "raw-prefixes",                         [Silent, Warn,   Warn,   Warn];
    /// A rotation rule speaks of every key.
    RotationRule = "rotation-rule",                       [Silent, Silent, Warn,   Warn];
    /// No chain id or address of another network stands in the configuration.
    Identifiers = "identifiers",                          [Refuse, Refuse, Refuse, Refuse];
    /// Only its owner reads a file with a PIN.
    PinMode = "pin-mode",                                 [Refuse, Refuse, Refuse, Refuse];
    /// Only its owner writes the configuration.
    ConfigMode = "config-mode",                           [Warn,   Warn,   Refuse, Refuse];
    /// Only its owner reads the passphrase file.
    PassphraseMode = "passphrase-mode",                   [Refuse, Refuse, Refuse, Refuse];
    /// The passphrase file lies outside the deployment: a copy or a backup of it does not carry what opens it.
    PassphrasePlace = "passphrase-place",                 [Silent, Warn,   Warn,   Refuse];
    /// Only its owner enters the directory of sealed files.
    VaultMode = "vault-mode",                             [Warn,   Warn,   Refuse, Refuse];
    /// Only its owner enters the state directory: the audit log says who signed what.
    StateMode = "state-mode",                             [Warn,   Warn,   Refuse, Refuse];
    /// The process leaves no core dump, which would hold keys.
    CoreDumps = "core-dumps",                             [Warn,   Warn,   Refuse, Refuse];
}

/// What a rule found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// Whether what it speaks of was looked at. What was not neither holds nor is violated.
    pub seen: bool,
    /// What there is.
    pub found: String,
    /// What is wrong with it; none if the rule holds.
    pub violation: Option<Violation>,
}

/// A rule that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// How much it matters on the network that was asked about.
    pub severity: Severity,
    /// What is wanted.
    pub wanted: String,
    /// The command or change that mends it.
    pub mend: String,
}

impl Finding {
    /// How much it matters; [`Severity::Silent`] if the rule holds.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.violation.as_ref().map_or(Severity::Silent, |violation| violation.severity)
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.rule.name(), self.found)?;
        if let Some(violation) = &self.violation {
            write!(f, "; wanted: {}; {}", violation.wanted, violation.mend)?;
        }
        Ok(())
    }
}

/// Looks through the rules that speak of tokens, once they are open.
#[must_use]
pub fn examine_tokens(surroundings: &Surroundings<'_>, network: Network) -> Vec<Finding> {
    let mut findings = examine(surroundings, network);
    findings.retain(|finding| {
        matches!(
            finding.rule,
            Rule::MockHsmLibrary | Rule::HsmAnswers | Rule::RemoteAnswers | Rule::Redundancy
        )
    });
    findings
}

/// Looks through every rule, as `network` judges.
#[must_use]
pub fn examine(surroundings: &Surroundings<'_>, network: Network) -> Vec<Finding> {
    let judge = |rule: &Rule| {
        let (found, wrong) = rules::look(*rule, surroundings, network);
        let violation = wrong.map(|(wanted, mend)| Violation {
            severity: rule.severity(network),
            wanted,
            mend,
        });
        Finding {
            rule: *rule,
            seen: rules::was_looked_at(*rule, surroundings),
            found,
            violation,
        }
    };
    Rule::ALL.iter().map(judge).collect()
}
