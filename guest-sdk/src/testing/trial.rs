//! A policy on trial: configured, on a fake host.
#![allow(clippy::panic, reason = "this fails the author's test")]

use crate::bindings::sigwarden::policy::log::Level;
use crate::bindings::sigwarden::policy::types::{Problem, Request};
use crate::export::Exported;
use crate::host::Host;
use crate::policy::{Policy, Verdict};

/// A policy with its configuration and a fake host, whose state lasts from one request to the next as in a deployment: what an
/// evaluation stages is kept if it allows and discarded if it denies.
pub struct Trial<P: Policy> {
    policy: Exported<P>,
    host: Host,
    log: Vec<(Level, String)>,
}

impl<P: Policy> std::fmt::Debug for Trial<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trial")
            .field("policy", &self.policy)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

impl<P: Policy> Trial<P> {
    /// Configures the policy.
    ///
    /// # Errors
    /// The problems of the configuration.
    pub fn new(config_json: &str) -> Result<Self, Vec<Problem>> {
        let policy = Exported::new();
        policy.configure(config_json.to_owned())?;
        let host = Host::fake();
        Ok(Self {
            policy,
            host,
            log: Vec::new(),
        })
    }

    /// Asks the policy about a request; the time is the request's.
    ///
    /// # Errors
    /// The policy's denial.
    ///
    /// # Panics
    /// It does what a deployment would refuse: breaks a host call's rules, denies with a code that its manifest does not list, or
    /// meets a format that its manifest does not list.
    #[track_caller]
    pub fn evaluate(&mut self, request: &Request) -> Verdict {
        let manifest = Exported::<P>::describe();
        if !manifest.formats.iter().any(|format| format == "*" || *format == request.format) {
            panic!(
                "the manifest does not list the format `{}`; the host would not run the policy",
                request.format
            );
        }
        let mut stage = self.host.clone();
        stage.fake.begin(request.now);
        let verdict = self.policy.evaluate(request, &mut stage);
        self.log.clone_from(&stage.fake.log);
        match &verdict {
            Ok(_) => self.host = stage,
            Err(denied) => {
                for code in denied.codes() {
                    if !manifest.denial_codes.iter().any(|listed| listed == code) {
                        panic!("the manifest does not list the denial code `{code}`");
                    }
                }
            }
        }
        verdict
    }

    /// What the last evaluation logged.
    #[must_use]
    pub fn log(&self) -> &[(Level, String)] {
        &self.log
    }
}

/// The codes of a denial, or none if it is no denial: `assert_eq!(codes(&verdict), ["value"])`.
#[must_use]
pub fn codes(verdict: &Verdict) -> Vec<&str> {
    verdict.as_ref().err().map(crate::Denied::codes).unwrap_or_default()
}
