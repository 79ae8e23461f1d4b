#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

use sigwarden_guest::prelude::*;
use sigwarden_guest::{AllOr, Denied, FormatPattern, KeyPattern, Network, OneOrMore, Operation, Role, shown};

/// What each key may be used for. What no rule allows is denied.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// At least one. A request must fit one of them in every part.
    pub rules: OneOrMore<Rule>,
}

/// One use of some keys.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Rule {
    /// The keys: `namespace.key_id`, `namespace.*`, `*`. At least one.
    pub keys: OneOrMore<KeyPattern>,
    /// The formats: `evm/eip-1559`, `evm/*`, `*`. At least one.
    pub formats: OneOrMore<FormatPattern>,
    /// The operations; all if left out.
    #[serde(default)]
    pub operations: AllOr<Operation>,
    /// Every role of the key must be one of these; all if left out.
    #[serde(default)]
    pub roles: AllOr<Role>,
    /// The callers, by their names in the deployment; all if left out.
    #[serde(default)]
    pub callers: AllOr<String>,
    /// The networks; all if left out.
    #[serde(default)]
    pub networks: AllOr<Network>,
}

/// The policy.
pub struct KeyScope;

impl Policy for KeyScope {
    type Config = Config;

    const MANIFEST: Manifest = Manifest {
        name: "key-scope",
        version: env!("CARGO_PKG_VERSION"),
        purpose: "Says which keys may be used for which formats and operations, in which roles, by whom and on which networks.",
        // It looks at the format's name only.
        formats: &["*"],
        facts: &[],
        denial_codes: &["key", "format", "operation", "role", "caller", "network"],
    };

    fn evaluate(config: &Config, request: &Request, _: &mut Host) -> Verdict {
        let name = &request.key.name;
        let of_the_key = config.rules.iter().enumerate();
        let of_the_key = of_the_key.filter(|(_, rule)| rule.keys.iter().any(|pattern| pattern.matches(name)));
        // The rule that comes closest tells the caller what to mend; of several, the first.
        let mut closest: Option<Vec<Denied>> = None;
        for (index, rule) in of_the_key {
            let misses = rule.misses(index, request);
            if misses.is_empty() {
                return allow();
            }
            if closest.as_ref().is_none_or(|others| misses.len() < others.len()) {
                closest = Some(misses);
            }
        }
        let denied = closest.and_then(|misses| misses.into_iter().reduce(Denied::and));
        Err(denied.unwrap_or_else(|| {
            let keys = shown(config.rules.iter().flat_map(|rule| rule.keys.iter()));
            Denied::because("key", format!("no rule names the key `{name}`; there are rules for {keys}"))
        }))
    }
}

impl Rule {
    /// What does not fit, each as a denial.
    fn misses(&self, index: usize, request: &Request) -> Vec<Denied> {
        let mut misses = Vec::new();
        let mut miss = |code: &'static str, found: &str, allowed: String| {
            let message = format!("`{found}` is not what rules[{index}] allows for `{}`: {allowed}", request.key.name);
            misses.push(Denied::because(code, message));
        };
        if !self.formats.iter().any(|pattern| pattern.matches(&request.format)) {
            miss("format", &request.format, shown(self.formats.iter()));
        }
        if !self.operations.any(|operation| *operation == request.operation) {
            miss("operation", request.operation.name(), shown(self.operations.entries()));
        }
        // A key with a role besides could be used in that one.
        let stranger = request.key.roles.iter().find(|role| !self.roles.any(|allowed| allowed == *role));
        if let Some(role) = stranger {
            miss("role", role.name(), shown(self.roles.entries()));
        }
        if !self.callers.any(|caller| *caller == request.caller) {
            miss("caller", &request.caller, shown(self.callers.entries()));
        }
        if !self.networks.any(|network| *network == request.network) {
            miss("network", request.network.name(), shown(self.networks.entries()));
        }
        misses
    }
}

sigwarden_guest::export!(KeyScope);

#[cfg(test)]
mod tests;
