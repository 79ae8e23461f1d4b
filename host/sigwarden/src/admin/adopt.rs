//! `ledger adopt`: a copied or restored deployment begins another life, above what its keys signed anywhere.

use super::{NotDone, wanted};
use crate::config::Config;
use crate::deployment::{bare_settings, mark_anew, marker_place, now_ms, operator};
use crate::fatal::Fatal;
use sigwarden_core::Ledger;
use sigwarden_core::floor::{Floor, FloorKey, MessageClass, Position, Taken};
use sigwarden_core::state::{Effect, State};
use sigwarden_ledger::{AdminKind, Administration, DeploymentLock, EmbeddedLedger, Found, VerifyError};
use std::collections::BTreeSet;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

/// The last height that was signed anywhere: on one chain, or on the only one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastHeight {
    /// The chain; none if there is one only.
    pub(crate) chain_id: Option<String>,
    /// The height.
    pub(crate) height: u64,
}

impl FromStr for LastHeight {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (chain_id, height) = match text.rsplit_once('=') {
            Some((chain_id, height)) => (Some(chain_id.to_owned()), height),
            None => (None, text),
        };
        // CometBFT's heights are int64.
        let height = height.parse::<i64>().ok().and_then(|height| u64::try_from(height).ok());
        let height = height.ok_or("HEIGHT or CHAIN=HEIGHT is right")?;
        Ok(Self { chain_id, height })
    }
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Adopted {
    pub(crate) deployment_id: String,
    pub(crate) generation: u64,
    /// How many floors stand higher than before.
    pub(crate) raised: usize,
    /// How many floors there are.
    pub(crate) floors: usize,
}

/// Adopts the deployment: raises every floor, begins another generation, and writes the marker last.
pub(crate) fn adopt(config: &Config, heights: &[LastHeight], reason: &str) -> Result<Adopted, NotDone> {
    wanted(reason)?;
    let _lock = DeploymentLock::acquire(&config.state_dir)?;
    let place = marker_place(config)?;
    let log = sigwarden_ledger::verify(&config.state_dir, &mut |_, _| ())?;
    let found = Found {
        deployment_id: &log.deployment_id,
        generation: log.generation,
        sequence: log.last_sequence,
    };
    if place.judge(&found).is_ok() {
        return Err(NotDone::no(
            "there is nothing to adopt: this is where the deployment signed last, and its ledger has all that it had",
        ));
    }
    // Before anything is written. Where older segments were archived, the state is known only once the ledger is open.
    match sigwarden_ledger::replay(&config.state_dir) {
        Ok(state) => drop(raised(&state, heights)?),
        Err(VerifyError::Partial { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    // A marker that cannot be read says nothing; one that can, how many lives there were.
    let marker = place.read(&log.deployment_id).ok().flatten();
    let known = marker.as_ref().map_or(0, |marker| marker.generation);
    // Held until this one is the one that signs: nobody starts the other meanwhile.
    let other = marker.as_ref().and_then(|marker| marker.signed_here()).filter(|dir| dir.is_dir());
    let same = |dir: &Path| dir.canonicalize().ok() == config.state_dir.canonicalize().ok();
    let _other = other
        .filter(|dir| !same(dir))
        .map(|dir| {
            DeploymentLock::acquire(dir).map_err(|error| {
                NotDone::no(format!(
                    "the deployment in {} signed last, and is in use: {error}; stop it for good first",
                    dir.display()
                ))
            })
        })
        .transpose()?;
    let mut settings = bare_settings(now_ms(), &Arc::new(Fatal::default()));
    settings.adopt_after = Some(known);
    let ledger = EmbeddedLedger::open(&config.state_dir, settings)?;
    let done = record(&ledger, heights, reason);
    ledger.close()?;
    let (raised, floors) = done?;
    // Last: without it the next start still refuses.
    mark_anew(&place, &ledger)?;
    let opening = ledger.opening();
    Ok(Adopted {
        deployment_id: opening.deployment_id.clone(),
        generation: opening.generation,
        raised,
        floors,
    })
}

fn record(ledger: &EmbeddedLedger, heights: &[LastHeight], reason: &str) -> Result<(usize, usize), NotDone> {
    let state = ledger.snapshot();
    let effects = raised(&state, heights)?;
    let count = effects.len();
    let administration = |kind, reason: String, effects| Administration {
        kind,
        operator: operator(),
        reason,
        now_ms: now_ms(),
        effects,
    };
    if count > 0 {
        ledger.administer(administration(AdminKind::Floor, format!("ledger adopt: {reason}"), effects))?;
    }
    let what = format!("ledger adopt: generation {}: {reason}", ledger.opening().generation);
    ledger.administer(administration(AdminKind::Maintenance, what, Vec::new()))?;
    Ok((count, floors(&state).count()))
}

fn floors(state: &State) -> impl Iterator<Item = (&Arc<FloorKey>, &Arc<Floor>)> {
    state.floors.iter().filter(|(key, _)| key.class != MessageClass::CometBftExtension)
}

/// The floors as they have to stand. Every chain that any key has a floor on needs a height.
fn raised(state: &State, heights: &[LastHeight]) -> Result<Vec<Effect>, NotDone> {
    let chains: BTreeSet<&str> = floors(state).map(|(key, _)| key.chain_id.as_str()).collect();
    let all = || {
        chains
            .iter()
            .map(|chain| format!("`{}`", chain.escape_debug()))
            .collect::<Vec<_>>()
            .join(", ")
    };
    for height in heights {
        match &height.chain_id {
            Some(chain_id) if !chains.contains(chain_id.as_str()) => {
                return Err(NotDone::no(format!(
                    "no floor is of chain `{}`; there are {}",
                    chain_id.escape_debug(),
                    all()
                )));
            }
            None if chains.len() > 1 => {
                return Err(NotDone::no(format!(
                    "there are floors on {}; give each its own: --floor CHAIN=HEIGHT",
                    all()
                )));
            }
            Some(_) | None => {}
        }
    }
    let mut effects = Vec::new();
    for (key, stands) in floors(state) {
        let mut given = heights
            .iter()
            .filter(|height| height.chain_id.as_ref().is_none_or(|chain_id| *chain_id == key.chain_id));
        let Some(height) = given.next() else {
            return Err(NotDone::no(format!(
                "an adoption needs a floor for chain `{}`: the last height signed there by any copy (it stands at {} here), --floor HEIGHT",
                key.chain_id.escape_debug(),
                stands.position
            )));
        };
        if given.next().is_some() {
            return Err(NotDone::cannot(format!(
                "chain `{}` is given two heights",
                key.chain_id.escape_debug()
            )));
        }
        let position = Position::end_of_height(height.height);
        if position < stands.position {
            return Err(NotDone::no(format!(
                "the floor on chain `{}` stands at {} here; {position} is below it, and floors only rise",
                key.chain_id.escape_debug(),
                stands.position
            )));
        }
        if position > stands.position {
            let floor = Floor {
                position,
                taken: Taken::Operator,
            };
            effects.push(Effect::Floor {
                key: FloorKey::clone(key),
                floor,
            });
        }
    }
    Ok(effects)
}
