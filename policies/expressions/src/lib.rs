#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod calls;
mod check;
mod judge;
mod lexer;
mod names;
mod parser;
mod settled;
mod show;
mod tree;

use crate::check::Checker;
use crate::judge::{Entry, Fault, Scope, VARIABLES_MAX};
use crate::tree::{Program, Slot};
use sigwarden_guest::prelude::*;
use sigwarden_guest::{Denied, FORMATS, FormatPattern, Label, OneOrMore, Problems, Value, shown};
use std::collections::BTreeMap;

/// Rules: a limit on what configuring and judging cost.
const RULES_MAX: usize = 200;

/// Rules, written as expressions. A request must meet every rule that is for its format.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// The rules, 1 to 200.
    pub rules: OneOrMore<Rule>,
    /// Sets of addresses, for `evm.to in sets.NAME`: lists that are too long for an expression.
    #[serde(default)]
    pub sets: BTreeMap<String, AddressSet>,
    /// The facts that the rules read.
    #[serde(skip_deserializing)]
    #[schemars(skip)]
    pub(crate) facts: Vec<String>,
    /// For each of the SDK's formats, those of them that every request in it has.
    #[serde(skip_deserializing)]
    #[schemars(skip)]
    pub(crate) always: Vec<Vec<Slot>>,
}

/// One rule: `require` or `deny_if`.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Rule {
    /// Names it in denials; unique.
    pub name: Label,
    /// The formats that it is for: `evm/eip-1559`, `evm/*`, `*`. Its expression may read their facts.
    pub formats: OneOrMore<FormatPattern>,
    /// Must be true: an expression in CEL.
    #[serde(default)]
    pub require: Option<String>,
    /// Must be false: an expression in CEL.
    #[serde(default)]
    pub deny_if: Option<String>,
    /// What a denial says besides what was found, for people.
    #[serde(default)]
    pub message: Option<String>,
    /// The places of its formats in the SDK's list.
    #[serde(skip_deserializing)]
    #[schemars(skip)]
    pub(crate) places: Vec<usize>,
    /// The expression, compiled.
    #[serde(skip_deserializing)]
    #[schemars(skip)]
    pub(crate) program: Program,
}

/// The policy.
pub struct Expressions;

impl Policy for Expressions {
    type Config = Config;

    const MANIFEST: Manifest = Manifest {
        name: "expressions",
        version: env!("CARGO_PKG_VERSION"),
        purpose: "Rules that an operator writes in CEL over the request and its facts.",
        formats: FORMATS,
        facts: names::FACTS,
        denial_codes: &["required", "denied", "fault", "no-rule"],
    };

    fn prepare(config: &mut Config) -> Result<(), Vec<Problem>> {
        let mut problems = Problems::new();
        let message = format!(
            "{} rules are more than the {RULES_MAX} that a request is held against",
            config.rules.len()
        );
        problems.when(config.rules.len() > RULES_MAX, "rules", message);
        for name in config.sets.keys() {
            let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let begins = name.starts_with(|first: char| !first.is_ascii_digit());
            let message = "a set is named by letters, digits and `_`, no digit first, or an expression could not write it";
            problems.when(!begins || !plain, format!("sets.{name}"), message);
        }
        for index in 0..config.rules.len() {
            let (earlier, rest) = config.rules.split_at_mut(index);
            let Some(rule) = rest.first_mut() else { continue };
            problems.at(format!("rules[{index}]"));
            let twice = earlier.iter().any(|earlier| earlier.name == rule.name);
            problems.when(twice, "name", "another rule has this name; denials could not tell them apart");
            rule.prepare(&config.sets, &mut config.facts, &mut problems);
        }
        config.always = FORMATS.iter().map(|format| names::always(format, &config.facts)).collect();
        problems.done()
    }

    fn evaluate(config: &Config, request: &Request, _: &mut Host) -> Verdict {
        let place = FORMATS.iter().position(|format| *format == request.format);
        let facts = config.resolve(request);
        let scope = Scope {
            request,
            facts: &facts,
            always: place.and_then(|place| config.always.get(place)).map_or(&[], Vec::as_slice),
            sets: &config.sets,
            variables: [Entry::Text(""); VARIABLES_MAX],
        };
        let mut applied = false;
        let mut denied: Option<Denied> = None;
        for rule in config
            .rules
            .iter()
            .filter(|rule| place.is_some_and(|place| rule.places.contains(&place)))
        {
            applied = true;
            if let Err(reason) = rule.judge(config, &scope) {
                // Every rule is asked, so that a caller mends all at once.
                denied = Some(match denied {
                    Some(others) => others.and(reason),
                    None => reason,
                });
            }
        }
        if !applied {
            let formats = shown(config.rules.iter().flat_map(|rule| rule.formats.iter()));
            return deny(
                "no-rule",
                format!("no rule is for {}; there are rules for {formats}", request.format),
            );
        }
        denied.map_or_else(allow, Err)
    }
}

impl Config {
    /// The facts that rules read, in their slots: one pass over the request's.
    fn resolve<'a>(&self, request: &'a Request) -> Vec<Option<&'a Value>> {
        let mut facts = vec![None; self.facts.len()];
        for fact in &request.facts {
            let slot = self.facts.iter().position(|name| *name == fact.name);
            if let Some(place) = slot.and_then(|slot| facts.get_mut(slot)) {
                *place = Some(&fact.value);
            }
        }
        facts
    }
}

impl Rule {
    /// Compiles the expression.
    fn prepare(&mut self, sets: &BTreeMap<String, AddressSet>, facts: &mut Vec<String>, problems: &mut Problems) {
        let (field, text) = match (&self.require, &self.deny_if) {
            (Some(text), None) => ("require", text),
            (None, Some(text)) => ("deny_if", text),
            (Some(_), Some(_)) | (None, None) => {
                return problems.when(true, "", "a rule has one of `require` and `deny_if`");
            }
        };
        let is_ours = |format: &&str| self.formats.iter().any(|pattern| pattern.matches(format));
        let is_named = |format: &&str| self.formats.iter().any(|pattern| pattern.to_string() == *format);
        let places = FORMATS.iter().enumerate().filter(|(_, format)| is_ours(format));
        self.places = places.map(|(place, _)| place).collect();
        let checker = Checker {
            formats: FORMATS.iter().copied().filter(is_ours).collect(),
            named: FORMATS.iter().copied().filter(is_named).collect(),
            sets,
            facts,
            variables: Vec::new(),
            used: Vec::new(),
            asked: std::collections::BTreeSet::new(),
        };
        match checker.program(text) {
            Ok(program) => {
                let says_nothing = show::settled(&program.condition, field == "require", &self.formats);
                problems.when(says_nothing.is_some(), field, says_nothing.unwrap_or_default());
                self.program = program;
            }
            Err(wrong) => problems.when(true, field, show::wrong(text, &wrong)),
        }
    }

    fn judge(&self, config: &Config, scope: &Scope<'_>) -> Result<(), Denied> {
        let (code, wanted, does, text) = match (&self.require, &self.deny_if) {
            (Some(text), _) => ("required", true, "requires", text),
            (None, Some(text)) => ("denied", false, "denies", text),
            // Never configured.
            (None, None) => return Err(Denied::because("fault", "a rule without an expression")),
        };
        match self.program.condition.judge(scope) {
            Ok(found) if found == wanted => Ok(()),
            Ok(_) => {
                let found = show::found(&self.program, config, scope);
                let says = self.message.as_ref().map_or_else(String::new, |message| format!("{message}: "));
                Err(Denied::because(
                    code,
                    format!("{says}rule `{}` {does} `{}`{found}", self.name, show::line(text, 200)),
                ))
            }
            Err(fault) => Err(self.fault(config, text, fault)),
        }
    }

    fn fault(&self, config: &Config, text: &str, fault: Fault) -> Denied {
        let reason = match fault {
            Fault::Missing(slot) => {
                let name = config
                    .facts
                    .get(usize::from(slot))
                    .map_or_else(String::new, |name| names::written(name));
                format!("the request has no `{name}`; `has({name})` asks for it")
            }
            Fault::Type => "a fact is of another type than `wit/facts.md` says".to_owned(),
            Fault::Overflow(at) => format!("a number is below 0 or over 2^256-1 at {}", show::place(text, at.into())),
            Fault::Division(at) => format!("a number is divided by 0 at {}", show::place(text, at.into())),
            Fault::Range(at) => format!("the bytes are too few or too many at {}", show::place(text, at.into())),
        };
        Denied::because("fault", format!("rule `{}` cannot be judged: {reason}", self.name))
    }
}

sigwarden_guest::export!(Expressions);

#[cfg(test)]
mod tests;
