//! The configuration.

use sigwarden_guest::FormatPattern;
use sigwarden_guest::prelude::*;

/// State calls that the host allows in one evaluation; each rule makes one.
const RULES_MAX: usize = 32;
/// Components that a watermark has at most.
const COMPONENTS_MAX: usize = 8;

/// What may only rise.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// At least one, at most 32.
    pub rules: Vec<Rule>,
}

/// One position that only rises.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Rule {
    /// Names its watermarks: 1 to 64 bytes of `a-z`, `0-9`, `-`, unique. A renamed rule starts anew.
    pub name: String,
    /// The formats it is for; others pass it by.
    pub formats: Vec<FormatPattern>,
    /// The facts that make the position, one to eight, each a u64: `["cometbft.height", "cometbft.round"]`.
    pub facts: Vec<String>,
    /// How two positions compare.
    #[serde(default)]
    pub order: PositionOrder,
    /// What has a position of its own: `key` (its public key), `caller`, or a fact: `["key", "evm.chain-id"]`. Empty for one position.
    #[serde(default)]
    pub per: Vec<Part>,
    /// Facts that say whether two messages at one position are the same; what is signed, if left out.
    #[serde(default)]
    pub identity: Option<Vec<String>>,
}

/// How two positions compare.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PositionOrder {
    /// The first fact that differs decides.
    #[default]
    Lexicographic,
    /// Every fact by itself may only rise.
    ComponentWise,
}

/// What has a position of its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(from = "String", into = "String")]
#[schemars(with = "String")]
pub enum Part {
    /// Each public key.
    Key,
    /// Each caller.
    Caller,
    /// Each value of this fact.
    Fact(String),
}

impl From<String> for Part {
    fn from(text: String) -> Self {
        match text.as_str() {
            "key" => Self::Key,
            "caller" => Self::Caller,
            _ => Self::Fact(text),
        }
    }
}

impl From<Part> for String {
    fn from(part: Part) -> Self {
        match part {
            Part::Key => "key".to_owned(),
            Part::Caller => "caller".to_owned(),
            Part::Fact(name) => name,
        }
    }
}

/// What the types cannot say.
pub(crate) fn problems(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    if config.rules.is_empty() || config.rules.len() > RULES_MAX {
        let message = format!("there are {} rules; 1 to {RULES_MAX} are right", config.rules.len());
        problems.push(problem("rules", message));
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
                format!("two rules are named `{}`; they would share positions", rule.name),
            ));
        }
        if rule.formats.is_empty() {
            problems.push(problem(at("formats"), "there is no format; `[\"evm/*\"]` for one is right"));
        }
        if rule.facts.is_empty() || rule.facts.len() > COMPONENTS_MAX {
            let message = format!(
                "there are {} facts; 1 to {COMPONENTS_MAX} are right, `[\"evm.nonce\"]` for one",
                rule.facts.len()
            );
            problems.push(problem(at("facts"), message));
        }
        if rule.identity.as_ref().is_some_and(Vec::is_empty) {
            problems.push(problem(
                at("identity"),
                "no fact would make every message the same; leave `identity` out to compare what is signed",
            ));
        }
        let mut fact_names = |field: &str, names: &[&String]| {
            for (place, name) in names.iter().enumerate() {
                if !is_fact_name(name) {
                    let message = format!("`{name}` is no fact's name; `evm.nonce` for one is right, `wit/facts.md` lists them");
                    problems.push(problem(at(&format!("{field}[{place}]")), message));
                }
            }
        };
        fact_names("facts", &rule.facts.iter().collect::<Vec<_>>());
        fact_names("identity", &rule.identity.iter().flatten().collect::<Vec<_>>());
        for (place, part) in rule.per.iter().enumerate() {
            match part {
                Part::Fact(name) if !is_fact_name(name) => {
                    let message = format!("`{name}` is right as `key`, `caller`, or a fact such as `evm.chain-id`");
                    problems.push(problem(at(&format!("per[{place}]")), message));
                }
                Part::Key | Part::Caller | Part::Fact(_) => {}
            }
        }
    }
    problems
}

/// `family.name`, of `a-z`, `0-9`, `-` and dots. Whether a format has it shows at the first request, which is denied if not.
fn is_fact_name(name: &str) -> bool {
    let word = |part: &str| !part.is_empty() && part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    name.len() <= 64 && name.contains('.') && name.split('.').all(word)
}
