#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "tests"
    )
)]

use sigwarden_guest::prelude::*;
use sigwarden_guest::{Denied, Exceeded, FormatPattern, Period, Rate, Role, state_name};

/// State calls that the host allows in one evaluation.
const CALLS_MAX: usize = 32;

/// The rate limits; a request must fit every rule that it matches.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// At least one.
    pub rules: Vec<Rule>,
}

/// One limit.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Rule {
    /// Names its buckets: 1 to 64 bytes of `a-z`, `0-9`, `-`, unique. A renamed rule starts with full buckets.
    pub name: String,
    /// What has a bucket of its own: each key, caller, role, or a combination. Empty for one bucket that all share.
    #[serde(default)]
    pub per: Vec<Scope>,
    /// What a bucket holds when full: the largest burst.
    pub capacity: u64,
    /// The time in which an empty bucket fills: `60s`.
    pub period: Period,
    /// What a request takes, by the first entry that matches its format; 1 if none does.
    #[serde(default)]
    pub costs: Vec<Cost>,
    /// Only requests of these callers; all if left out.
    #[serde(default)]
    pub callers: Option<Vec<String>>,
    /// Only requests with these keys: `namespace.key_id`, or `namespace.*`; all if left out.
    #[serde(default)]
    pub keys: Option<Vec<String>>,
    /// Only requests with keys of one of these roles; all if left out.
    #[serde(default)]
    pub roles: Option<Vec<Role>>,
    /// Only requests in these formats; all if left out.
    #[serde(default)]
    pub formats: Option<Vec<FormatPattern>>,
}

/// What a request in some formats takes.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Cost {
    /// The formats.
    pub formats: Vec<FormatPattern>,
    /// What it takes; 0 takes nothing.
    pub cost: u64,
}

/// What has a bucket of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Each key, whatever its version: rotating does not refill.
    Key,
    /// Each caller.
    Caller,
    /// Each role; a key with several takes from each of theirs.
    Role,
}

/// The policy.
pub struct RateLimit;

impl Policy for RateLimit {
    type Config = Config;

    const MANIFEST: Manifest = Manifest {
        name: "rate-limit",
        version: env!("CARGO_PKG_VERSION"),
        purpose: "Limits how often keys, callers and roles sign, with bursts and weights.",
        // It looks at the format's name only.
        formats: &["*"],
        facts: &[],
        denial_codes: &["exceeded"],
    };

    fn check(config: &Config) -> Result<(), Vec<Problem>> {
        let problems = problems(config);
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    fn evaluate(config: &Config, request: &Request, host: &mut Host) -> Verdict {
        let mut denied: Option<Denied> = None;
        for rule in config.rules.iter().filter(|rule| rule.matches(request)) {
            // Every rule is asked, so that the caller is told the latest time; nothing is kept if one denies.
            if let Err(exceeded) = rule.take(request, host) {
                denied = Some(match denied {
                    Some(others) => others.and(exceeded),
                    None => exceeded,
                });
            }
        }
        denied.map_or_else(allow, Err)
    }
}

impl Rule {
    fn matches(&self, request: &Request) -> bool {
        let caller = self.callers.as_ref().is_none_or(|callers| callers.contains(&request.caller));
        let key = self
            .keys
            .as_ref()
            .is_none_or(|keys| keys.iter().any(|pattern| matches_key(pattern, &request.key.name)));
        let role = self
            .roles
            .as_ref()
            .is_none_or(|roles| request.key.roles.iter().any(|role| roles.contains(role)));
        let format = self
            .formats
            .as_ref()
            .is_none_or(|formats| formats.iter().any(|pattern| pattern.matches(&request.format)));
        caller && key && role && format
    }

    fn cost(&self, format: &str) -> u64 {
        let listed = self
            .costs
            .iter()
            .find(|cost| cost.formats.iter().any(|pattern| pattern.matches(format)));
        listed.map_or(1, |cost| cost.cost)
    }

    fn rate(&self) -> Rate {
        Rate {
            capacity: self.capacity,
            period_ms: self.period.milliseconds(),
        }
    }

    /// Takes from the bucket, or from one for each role.
    fn take(&self, request: &Request, host: &mut Host) -> Result<(), Denied> {
        let cost = self.cost(&request.format);
        if cost == 0 {
            return Ok(());
        }
        let mut take = |role: Option<Role>| {
            let mut parts = [""; Scope::COUNT];
            for (part, scope) in parts.iter_mut().zip(&self.per) {
                *part = scope.value(request, role);
            }
            let bucket = state_name(&self.name, parts.get(..self.per.len()).unwrap_or(&parts));
            let taken = host.take(&bucket, cost, self.rate());
            taken.map(|_| ()).map_err(|exceeded| self.exceeded(request, role, cost, exceeded))
        };
        if self.per.contains(&Scope::Role) {
            let counted = |role: &&Role| self.roles.as_ref().is_none_or(|roles| roles.contains(*role));
            request.key.roles.iter().filter(counted).try_for_each(|role| take(Some(*role)))
        } else {
            take(None)
        }
    }

    fn exceeded(&self, request: &Request, role: Option<Role>, cost: u64, exceeded: Exceeded) -> Denied {
        let whose: Vec<String> = self
            .per
            .iter()
            .map(|scope| format!("{} {}", scope.name(), scope.value(request, role)))
            .collect();
        let whose = if whose.is_empty() {
            "all requests together".to_owned()
        } else {
            whose.join(", ")
        };
        let when = exceeded.retry_at.map_or_else(
            || "never, since it takes more than the capacity".to_owned(),
            |at| format!("in {} ms", at.saturating_sub(request.now)),
        );
        let message = format!(
            "rule `{}` allows {} in {} for {whose}; {} left, and this takes {cost}; try again {when}",
            self.name, self.capacity, self.period, exceeded.remaining
        );
        Denied::until("exceeded", message, exceeded.retry_at)
    }
}

impl Scope {
    /// How many there are.
    const COUNT: usize = 3;

    fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Caller => "caller",
            Self::Role => "role",
        }
    }

    fn value(self, request: &Request, role: Option<Role>) -> &str {
        match self {
            Self::Key => &request.key.name,
            Self::Caller => &request.caller,
            Self::Role => role.map_or("", Role::name),
        }
    }
}

/// A key's name against `namespace.key_id` or `namespace.*`.
fn matches_key(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    }
}

fn problems(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    if config.rules.is_empty() {
        problems.push(problem("rules", "there is no rule; at least one is right, or no rate-limit policy"));
    }
    for (index, rule) in config.rules.iter().enumerate() {
        let at = |field: &str| format!("rules[{index}].{field}");
        let plain = rule.name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if rule.name.is_empty() || rule.name.len() > 64 || !plain {
            problems.push(problem(at("name"), "a rule's name has 1 to 64 bytes of `a-z`, `0-9`, `-`"));
        }
        if config.rules.iter().take(index).any(|earlier| earlier.name == rule.name) {
            problems.push(problem(
                at("name"),
                format!("two rules are named `{}`; they would share buckets", rule.name),
            ));
        }
        if rule.capacity == 0 {
            problems.push(problem(at("capacity"), "a capacity of 0 allows nothing; 1 or more is right"));
        }
        for (place, scope) in rule.per.iter().enumerate() {
            if rule.per.iter().take(place).any(|earlier| earlier == scope) {
                problems.push(problem(at(&format!("per[{place}]")), "this is listed already"));
            }
        }
        for (place, cost) in rule.costs.iter().enumerate() {
            if cost.cost > rule.capacity {
                let message = format!(
                    "a cost of {} is over the capacity of {} and is never allowed",
                    cost.cost, rule.capacity
                );
                problems.push(problem(at(&format!("costs[{place}].cost")), message));
            }
        }
        for (place, pattern) in rule.keys.iter().flatten().enumerate() {
            let stars = pattern.matches('*').count();
            if stars > 1 || (stars == 1 && !pattern.ends_with(".*") && pattern != "*") {
                problems.push(problem(
                    at(&format!("keys[{place}]")),
                    "`namespace.key_id`, `namespace.*` or `*` is right",
                ));
            }
        }
    }
    let calls: usize = config
        .rules
        .iter()
        .map(|rule| if rule.per.contains(&Scope::Role) { Role::ALL.len() } else { 1 })
        .sum();
    if calls > CALLS_MAX {
        let message = format!(
            "these rules could ask the host {calls} times in one request, which allows {CALLS_MAX}; a rule counts 1, one per role {}",
            Role::ALL.len()
        );
        problems.push(problem("rules", message));
    }
    problems
}

sigwarden_guest::export!(RateLimit);

#[cfg(test)]
mod tests;
