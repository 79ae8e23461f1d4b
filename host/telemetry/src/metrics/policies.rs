//! What policies leave behind. Instances are the configuration's, but codes are the guest's own text: so many of each, and no more.

use super::bounded::Bounded;
use super::catalogue as c;
use super::page::Page;
use super::requests::{in_seconds, seconds};
use prometheus_client::metrics::histogram::Histogram;
use sigwarden_core::ledger::Shadowed;
use sigwarden_core::policy::Verdict;
use sigwarden_core::refusal::Denied;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Instances with series of their own; those that were taken out of the configuration keep theirs until a restart.
const INSTANCES_MAX: usize = 64;
/// Codes of one instance. The reference policies declare eight at most.
const CODES_MAX: usize = 32;

pub(in crate::metrics) struct Policies(Bounded<Policy>);

struct Policy {
    took: Histogram,
    denials: Bounded<AtomicU64>,
    shadow: [AtomicU64; 4],
}

/// How a shadow's verdict stands to what was answered, in the order of the counters.
const VERDICTS: [&str; 4] = ["same", "stricter", "looser", "failed"];

impl Policies {
    pub(super) fn new() -> Self {
        Self(Bounded::new(INSTANCES_MAX, || Policy {
            took: seconds(),
            denials: Bounded::new(CODES_MAX, AtomicU64::default),
            shadow: Default::default(),
        }))
    }

    pub(super) fn know<'a>(&self, instance: &str, codes: impl IntoIterator<Item = &'a str>) {
        let policy = self.0.get(instance);
        for code in codes {
            policy.denials.get(code);
        }
    }

    pub(super) fn took(&self, instance: &str, micros: u64) {
        self.0.get(instance).took.observe(in_seconds(micros));
    }

    /// The code in full is `policy/<instance>/<code>`, or a host's.
    pub(super) fn denied(&self, denied: &Denied) {
        let own = denied
            .code
            .strip_prefix("policy/")
            .and_then(|rest| rest.strip_prefix(&*denied.instance));
        let code = own.and_then(|rest| rest.strip_prefix('/')).unwrap_or(&denied.code);
        self.0.get(&denied.instance).denials.get(code).fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn shadowed(&self, shadowed: &Shadowed) {
        let index = match (&shadowed.verdict, shadowed.live.is_empty()) {
            (Err(_), _) => 3,
            (Ok(Verdict::Allow(_)), true) | (Ok(Verdict::Deny(_)), false) => 0,
            (Ok(Verdict::Deny(_)), true) => 1,
            (Ok(Verdict::Allow(_)), false) => 2,
        };
        if let Some(counter) = self.0.get(&shadowed.instance).shadow.get(index) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn show(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let mut denials = page.family(&c::POLICY_DENIALS)?;
        self.0.each(|instance, policy| {
            policy
                .denials
                .each(|code, count| denials.counter(&[instance, code], count.load(Ordering::Relaxed)))
        })?;
        let mut took = page.family(&c::POLICY_SECONDS)?;
        self.0.each(|instance, policy| took.histogram(&[instance], &policy.took))?;
        let mut verdicts = page.family(&c::SHADOW_VERDICTS)?;
        self.0.each(|instance, policy| {
            let counts = policy.shadow.each_ref().map(|count| count.load(Ordering::Relaxed));
            if counts.iter().all(|count| *count == 0) {
                return Ok(());
            }
            let mut named = VERDICTS.iter().zip(counts);
            named.try_for_each(|(verdict, count)| verdicts.counter(&[instance, verdict], count))
        })
    }
}
