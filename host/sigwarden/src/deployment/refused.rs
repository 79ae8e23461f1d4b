//! What the network refuses stops a start.

use super::backends::Backends;
use super::error::OpenError;
use crate::check::{Finding, Severity, Surroundings, examine, examine_tokens};
use crate::config::Config;

/// What the network makes of the tokens, which show what they are only once they are open.
pub(super) fn refuse_tokens(config: &Config, backends: &Backends) -> Result<Vec<Finding>, OpenError> {
    let surroundings = Surroundings {
        tokens: Some(backends.tokens()),
        remotes: Some(backends.remote_statuses()),
        ..Surroundings::of(config)
    };
    refuse(config, examine_tokens(&surroundings, config.network))
}

pub(crate) fn refuse_what_the_network_refuses(config: &Config) -> Result<Vec<Finding>, OpenError> {
    refuse(config, examine(&Surroundings::of(config), config.network))
}

fn refuse(config: &Config, findings: Vec<Finding>) -> Result<Vec<Finding>, OpenError> {
    let (refused, rest): (Vec<Finding>, Vec<Finding>) = findings.into_iter().partition(|finding| finding.severity() == Severity::Refuse);
    if !refused.is_empty() {
        return Err(OpenError::Refused {
            network: config.network,
            findings: refused,
        });
    }
    Ok(rest)
}
