#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

use sigwarden_cel::{FACTS, Facts, Program, Scope, Sets, is_set_name};
use sigwarden_guest::prelude::*;
use sigwarden_guest::{Denied, FORMATS, FormatPattern, Label, OneOrMore, Problems, all, shown};

/// Rules: a limit on what configuring and judging cost.
const RULES_MAX: usize = 200;

/// Rules, written as expressions. A request must meet every rule that is for its format.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// The rules, 1 to 200.
    pub rules: OneOrMore<Rule>,
    /// Sets of addresses, for `evm.to in sets.NAME`: lists that are too long for an expression.
    #[serde(default)]
    pub sets: Sets,
    /// The facts that the rules read.
    #[serde(skip_deserializing)]
    #[schemars(skip)]
    facts: Facts,
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
    /// The expression, compiled.
    #[serde(skip_deserializing)]
    #[schemars(skip)]
    program: Program,
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
        facts: FACTS,
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
            let message = "a set is named by letters, digits and `_`, no digit first, or an expression could not write it";
            problems.when(!is_set_name(name), format!("sets.{name}"), message);
        }
        for index in 0..config.rules.len() {
            let (earlier, rest) = config.rules.split_at_mut(index);
            let Some(rule) = rest.first_mut() else { continue };
            problems.at(format!("rules[{index}]"));
            let twice = earlier.iter().any(|earlier| earlier.name == rule.name);
            problems.when(twice, "name", "another rule has this name; denials could not tell them apart");
            rule.prepare(&config.sets, &mut config.facts, &mut problems);
        }
        problems.done()
    }

    fn evaluate(config: &Config, request: &Request, _: &mut Host) -> Verdict {
        let values = config.facts.values(request);
        let scope = Scope::new(&values, &config.sets);
        let mut covering = config.rules.iter().filter(|rule| rule.program.covers(&values)).peekable();
        if covering.peek().is_none() {
            let formats = shown(config.rules.iter().flat_map(|rule| rule.formats.iter()));
            return deny(
                "no-rule",
                format!("no rule is for {}; there are rules for {formats}", request.format),
            );
        }
        // Every rule is asked, so that a caller mends all at once.
        all(covering.map(|rule| rule.judge(&scope)))
    }
}

impl Rule {
    /// Compiles the expression.
    fn prepare(&mut self, sets: &Sets, facts: &mut Facts, problems: &mut Problems) {
        let (field, text) = match (&self.require, &self.deny_if) {
            (Some(text), None) => ("require", text),
            (None, Some(text)) => ("deny_if", text),
            (Some(_), Some(_)) | (None, None) => {
                return problems.when(true, "", "a rule has one of `require` and `deny_if`");
            }
        };
        match Program::compile(text, &self.formats, sets, facts) {
            Ok(program) => self.program = program,
            Err(error) => return problems.when(true, field, error.to_string()),
        }
        let pointless = self.pointless();
        problems.when(pointless.is_some(), field, pointless.unwrap_or_default());
    }

    /// What is wrong with a condition that is the same for every request; none if it is not, or is plainly `true` on purpose, which
    /// lets a format through.
    fn pointless(&self) -> Option<String> {
        let wanted = self.require.is_some();
        let always = self.program.settled()?;
        if always != wanted {
            let formats = shown(self.formats.iter());
            return Some(format!(
                "this is {always} whatever the request, so that every request in {formats} would be denied; a format that is in no rule's `formats` is denied anyway"
            ));
        }
        let on_purpose = wanted && self.program.is_true();
        (!on_purpose).then(|| {
            format!(
                "this is {always} whatever the request, so that the rule says nothing; `require = \"true\"` lets a format through on purpose"
            )
        })
    }

    fn judge(&self, scope: &Scope<'_>) -> Result<(), Denied> {
        let (name, program) = (&self.name, &self.program);
        let (code, wanted, does) = match (&self.require, &self.deny_if) {
            (Some(_), _) => ("required", true, "requires"),
            (None, Some(_)) => ("denied", false, "denies"),
            // Never configured.
            (None, None) => return Err(Denied::because("fault", "a rule without an expression")),
        };
        match program.judge(scope) {
            Ok(found) if found == wanted => Ok(()),
            Ok(_) => {
                let says = self.message.as_ref().map_or_else(String::new, |message| format!("{message}: "));
                let found = program.findings(scope);
                let found = if found.is_empty() { found } else { format!("; found {found}") };
                Err(Denied::because(code, format!("{says}rule `{name}` {does} `{program}`{found}")))
            }
            Err(fault) => Err(Denied::because("fault", format!("rule `{name}` cannot be judged: {fault}"))),
        }
    }
}

sigwarden_guest::export!(Expressions);

#[cfg(test)]
mod tests;
