#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

use sigwarden_guest::prelude::*;
use sigwarden_guest::{AllOr, Denied, KeyPattern, OneOrMore, Problems, UtcTime, shown};

/// Who may use which keys. Whom no entry names is denied.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// Who may use which keys; a caller needs one entry that names key and caller.
    pub allow: OneOrMore<Entry>,
    /// Callers who are denied every key, whatever `allow` says: for the moment when one is lost.
    #[serde(default)]
    pub blocked: Vec<String>,
}

/// Some callers of some keys.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Entry {
    /// The keys: `namespace.key_id`, `namespace.*`, `*`. At least one.
    pub keys: OneOrMore<KeyPattern>,
    /// The callers, by their names in the deployment; every one that it lets use the key, if left out.
    #[serde(default)]
    pub callers: AllOr<String>,
    /// From when: `2026-11-21T12:00:00Z`; from ever if left out.
    #[serde(default)]
    pub not_before: Option<UtcTime>,
    /// Until when, this moment excluded; for ever if left out.
    #[serde(default)]
    pub not_after: Option<UtcTime>,
}

/// The policy.
pub struct AllowCallers;

impl Policy for AllowCallers {
    type Config = Config;

    const MANIFEST: Manifest = Manifest {
        name: "allow-callers",
        version: env!("CARGO_PKG_VERSION"),
        purpose: "Says who may use which keys, from when and until when, and who may use none.",
        // It never looks at the payload.
        formats: &["*"],
        facts: &[],
        denial_codes: &["blocked", "key", "caller", "not-yet", "expired"],
    };

    fn check(config: &Config) -> Result<(), Vec<Problem>> {
        let mut problems = Problems::new();
        for (index, entry) in config.allow.iter().enumerate() {
            problems.at(format!("allow[{index}]"));
            for (place, caller) in entry.callers.entries().enumerate() {
                let field = format!("callers[{place}]");
                let message = format!("`{caller}` is in `blocked`, which wins; keep one of the two");
                problems.when(config.blocked.contains(caller), &field, message);
                let message = format!("`{caller}` is no name; no patterns here: leaving `callers` out means every caller");
                problems.when(caller.is_empty() || caller.contains('*'), &field, message);
            }
            let never = entry.not_before.zip(entry.not_after).is_some_and(|(begin, end)| begin >= end);
            problems.when(never, "not_after", "it is not after `not_before`, so the entry is never open");
        }
        problems.done()
    }

    fn evaluate(config: &Config, request: &Request, _: &mut Host) -> Verdict {
        let (caller, key) = (&request.caller, &request.key.name);
        if config.blocked.contains(caller) {
            return deny(
                "blocked",
                format!("`{caller}` is blocked from every key; an operator lifts that in `blocked`"),
            );
        }
        let of_key: Vec<&Entry> = config.allow.iter().filter(|entry| entry.names_key(key)).collect();
        if of_key.is_empty() {
            let keys = shown(config.allow.iter().flat_map(|entry| entry.keys.iter()));
            return deny("key", format!("no entry names the key `{key}`; there are entries for {keys}"));
        }
        let named: Vec<&Entry> = of_key.iter().copied().filter(|entry| entry.names_caller(caller)).collect();
        if named.is_empty() {
            let callers = shown(of_key.iter().flat_map(|entry| entry.callers.entries()));
            return deny("caller", format!("`{caller}` may not use `{key}`; allowed is {callers}"));
        }
        let now = UtcTime::from_milliseconds(request.now);
        if named.iter().any(|entry| entry.is_open(now)) {
            return allow();
        }
        // Time heals only what has not begun.
        let begins = named.iter().filter_map(|entry| entry.not_before).filter(|begin| *begin > now).min();
        let ended = named.iter().filter_map(|entry| entry.not_after).filter(|end| *end <= now).max();
        match (begins, ended) {
            (Some(begin), _) => {
                let message = format!("`{caller}` may use `{key}` from {begin}; it is {now}");
                Err(Denied::until("not-yet", message, Some(begin.milliseconds())))
            }
            (None, Some(end)) => deny("expired", format!("`{caller}` could use `{key}` until {end}; it is {now}")),
            // An entry without times is always open.
            (None, None) => deny("caller", format!("`{caller}` may not use `{key}`")),
        }
    }
}

impl Entry {
    fn names_key(&self, key: &str) -> bool {
        self.keys.iter().any(|pattern| pattern.matches(key))
    }

    fn names_caller(&self, caller: &str) -> bool {
        self.callers.any(|listed| listed == caller)
    }

    fn is_open(&self, now: UtcTime) -> bool {
        self.not_before.is_none_or(|begin| now >= begin) && self.not_after.is_none_or(|end| now < end)
    }
}

sigwarden_guest::export!(AllowCallers);

#[cfg(test)]
mod tests;
