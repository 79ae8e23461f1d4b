//! The schema of a line, for those who write one and those who read one. `docs/audit.md` says the same in prose.
//!
//! A line is one JSON object: `{"sequence":"7","kind":"decision","time":"…","previous":"…","effects":[…],"body":{…}}`. Names are
//! kebab-case, hashes and bytes lower-case hex, 64-bit integers that may pass 2^53 decimal strings. A reader refuses what it does not
//! know: a new field comes with a new format version.

mod bodies;
pub(crate) mod effects;
pub(crate) mod written;

pub use bodies::*;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sigwarden_core::state::Effect;
use sigwarden_core::wire;

/// The longest line in bytes, its LF not counted: keeps a batch small and a reader's buffer bounded. An outcome with an ML-DSA
/// signature has 17,200: the signature three times (itself, its floor's, its request id's) and the floor's public key, in hex.
pub const LINE_MAX: usize = 32 * 1024;

/// A hash or the like before there is one: `previous` of the first line.
pub const NONE: [u8; 32] = [0; 32];

/// What a line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The ledger was opened.
    Start,
    /// A request was approved: the key may be touched.
    Decision,
    /// A request repeated an earlier decision and was approved again: it changes no policy's state.
    Replay,
    /// What came of a decision.
    Outcome,
    /// A request was refused before a decision.
    Refusal,
    /// More requests of one caller were refused in one second than are recorded one by one.
    Refusals,
    /// What a shadow policy would have said of a request that had its answer.
    Shadow,
    /// Public keys were pinned.
    PublicKey,
    /// A key's state changed.
    Lifecycle,
    /// Policy instances began to run other modules or configurations.
    PolicySet,
    /// Floors were set by an operator.
    Floor,
    /// An operator said that the wall clock is right.
    Clock,
    /// A secret was set, read, listed or removed.
    SecretAccess,
    /// An operator did something to the deployment that has no effects of its own: a copy was adopted, a checkpoint rebuilt.
    Maintenance,
    /// The host noticed something that an operator should look at: a file that others can read now.
    Alarm,
}

impl Kind {
    const ALL: [Self; 15] = [
        Self::Decision,
        Self::Outcome,
        Self::Replay,
        Self::Refusal,
        Self::Start,
        Self::Refusals,
        Self::Shadow,
        Self::PublicKey,
        Self::Lifecycle,
        Self::PolicySet,
        Self::Floor,
        Self::Clock,
        Self::SecretAccess,
        Self::Maintenance,
        Self::Alarm,
    ];

    /// The kind of this name.
    fn named(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name().as_bytes() == name)
    }

    /// Its name in a line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Decision => "decision",
            Self::Replay => "replay",
            Self::Outcome => "outcome",
            Self::Refusal => "refusal",
            Self::Refusals => "refusals",
            Self::Shadow => "shadow",
            Self::PublicKey => "public-key",
            Self::Lifecycle => "lifecycle",
            Self::PolicySet => "policy-set",
            Self::Floor => "floor",
            Self::Clock => "clock",
            Self::SecretAccess => "secret-access",
            Self::Maintenance => "maintenance",
            Self::Alarm => "alarm",
        }
    }

    /// Whether its time raises the ledger's high-water mark: that of a request that was judged. A clock that an operator accepted
    /// sets it. Others are told by a wall clock that nobody has judged, and one that was wrong for a moment must not refuse
    /// everything afterwards.
    #[must_use]
    pub fn time_is_judged(self) -> bool {
        match self {
            Self::Decision | Self::Replay | Self::Outcome => true,
            Self::Start
            | Self::Refusal
            | Self::Refusals
            | Self::Shadow
            | Self::PublicKey
            | Self::Lifecycle
            | Self::PolicySet
            | Self::Floor
            | Self::Clock
            | Self::SecretAccess
            | Self::Maintenance
            | Self::Alarm => false,
        }
    }
}

/// A line, its body not looked into.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Line<'a> {
    /// Its place: from 1, without gaps.
    #[serde(with = "wire::decimal")]
    pub sequence: u64,
    /// What it tells.
    pub kind: Kind,
    /// Nanoseconds since the Unix epoch, of millisecond resolution: the time that the request was judged by.
    #[serde(with = "wire::decimal")]
    pub time: u64,
    /// BLAKE3 of the line before, as written, without its LF.
    #[serde(with = "wire::array32")]
    pub previous: [u8; 32],
    /// What it does to the state.
    #[serde(borrow, default)]
    effects: Option<&'a RawValue>,
    /// The rest, by kind.
    #[serde(borrow)]
    body: &'a RawValue,
}

impl<'a> Line<'a> {
    /// Reads a line, without its LF.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(line: &'a [u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }

    /// What it does to the state.
    ///
    /// # Errors
    /// One of the effects is none.
    pub fn effects(&self) -> Result<Vec<Effect>, serde_json::Error> {
        self.effects.map_or(Ok(Vec::new()), |raw| serde_json::from_str(raw.get()))
    }

    /// The time in milliseconds, as the state knows it.
    #[must_use]
    pub fn time_ms(&self) -> u64 {
        self.time / 1_000_000
    }
}

/// A line, read completely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place.
    pub sequence: u64,
    /// What it tells.
    pub kind: Kind,
    /// Nanoseconds since the Unix epoch.
    pub time: u64,
    /// BLAKE3 of the line before.
    pub previous: [u8; 32],
    /// What it does to the state.
    pub effects: Vec<Effect>,
    /// The rest.
    pub body: Body<'a>,
}

/// What a line tells, by kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body<'a> {
    /// Of a start.
    Start(Start<'a>),
    /// Of a decision or replay.
    Decision(Decision<'a>),
    /// Of an outcome.
    Outcome(Outcome<'a>),
    /// Of a refusal.
    Refusal(Refusal<'a>),
    /// Of refusals that were only counted.
    Refusals(Refusals<'a>),
    /// Of a shadow's verdict.
    Shadow(Shadow<'a>),
    /// Of a change by an operator.
    Administration(Administration<'a>),
}

impl<'a> Body<'a> {
    fn parse(kind: Kind, body: &'a str) -> Result<Self, serde_json::Error> {
        Ok(match kind {
            Kind::Start => Self::Start(serde_json::from_str(body)?),
            Kind::Decision | Kind::Replay => Self::Decision(serde_json::from_str(body)?),
            Kind::Outcome => Self::Outcome(serde_json::from_str(body)?),
            Kind::Refusal => Self::Refusal(serde_json::from_str(body)?),
            Kind::Refusals => Self::Refusals(serde_json::from_str(body)?),
            Kind::Shadow => Self::Shadow(serde_json::from_str(body)?),
            Kind::PublicKey
            | Kind::Lifecycle
            | Kind::PolicySet
            | Kind::Floor
            | Kind::Clock
            | Kind::SecretAccess
            | Kind::Maintenance
            | Kind::Alarm => Self::Administration(serde_json::from_str(body)?),
        })
    }
}

impl<'a> Record<'a> {
    /// Reads a line, without its LF.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(line: &'a str) -> Result<Self, serde_json::Error> {
        // Nearly every line is spelled as we spell it, and read in one pass. Whether any other is a record, and why not, is for the
        // reading that looks at everything.
        match Self::parse_written(line) {
            Some(record) => Ok(record),
            None => Self::parse_any(line),
        }
    }

    fn parse_written(line: &'a str) -> Option<Self> {
        let written = written::Written::read(line)?;
        let body = Body::parse(written.kind, written.body).ok()?;
        Some(Self {
            sequence: written.sequence,
            kind: written.kind,
            time: written.time,
            previous: written.previous,
            effects: written.effects,
            body,
        })
    }

    fn parse_any(line: &'a str) -> Result<Self, serde_json::Error> {
        let head = Line::parse(line.as_bytes())?;
        let body = Body::parse(head.kind, head.body.get())?;
        Ok(Self {
            sequence: head.sequence,
            kind: head.kind,
            time: head.time,
            previous: head.previous,
            effects: head.effects()?,
            body,
        })
    }
}
