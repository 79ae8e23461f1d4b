//! A deployment that is not open: what its files say.

use super::error::OpenError;
use super::machine::{marker_place, now_ms, settings};
use crate::config::Config;
use crate::fatal::Fatal;
use sigwarden_core::Ledger;
use sigwarden_core::state::State;
use sigwarden_ledger::{EmbeddedLedger, Found, VerifyError};
use std::sync::Arc;

/// The state, from the log alone; where older segments were archived, from the ledger, which records that. The caller holds the lock.
///
/// # Errors
/// The log does not hold, or the ledger does not open.
pub(crate) fn state_at_rest(config: &Config) -> Result<State, OpenError> {
    match sigwarden_ledger::replay(&config.state_dir) {
        Err(VerifyError::Partial { .. }) => {}
        replayed => return Ok(replayed?),
    }
    let ledger = EmbeddedLedger::open(&config.state_dir, settings(config, now_ms(), &Arc::new(Fatal::default()))?)?;
    let state = ledger.snapshot();
    drop(ledger.close());
    Ok(state)
}

/// Whether the ledger is where its marker says, without opening it.
pub(super) fn admitted_at_rest(config: &Config) -> Result<(), OpenError> {
    let log = sigwarden_ledger::verify(&config.state_dir, &mut |_, _| ())?;
    let found = Found {
        deployment_id: &log.deployment_id,
        generation: log.generation,
        sequence: log.last_sequence,
    };
    let admitted = marker_place(config)?.judge(&found);
    admitted.map_err(|what| OpenError::Ledger(sigwarden_ledger::OpenError::NotAdmitted(what)))
}
