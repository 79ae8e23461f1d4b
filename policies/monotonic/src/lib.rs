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

mod config;
mod identity;

pub use config::{Config, Part, PositionOrder, Rule};

use sigwarden_guest::prelude::*;
use sigwarden_guest::{Advanced, Denied, FORMATS, FactError, Order, Refused, Scalar, Value, state_name};
use std::borrow::Cow;

/// The policy.
pub struct Monotonic;

impl Policy for Monotonic {
    type Config = Config;

    const MANIFEST: Manifest = Manifest {
        name: "monotonic",
        version: env!("CARGO_PKG_VERSION"),
        purpose: "Lets named facts only rise: a nonce for each key and chain, a height for each chain.",
        formats: FORMATS,
        // Those of the README's rules; a configuration may name any.
        facts: &[
            "evm.nonce",
            "evm.chain-id",
            "cometbft.height",
            "cometbft.round",
            "cometbft.step",
            "cometbft.chain-id",
            "cometbft.nil",
            "cometbft.block-hash",
            "hotstuff.chain-id",
            "hotstuff.view",
            "hotstuff.step",
        ],
        denial_codes: &["regression", "conflict"],
    };

    fn check(config: &Config) -> Result<(), Vec<Problem>> {
        let problems = config::problems(config);
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    fn evaluate(config: &Config, request: &Request, host: &mut Host) -> Verdict {
        let mut covered = false;
        for rule in config.rules.iter().filter(|rule| rule.covers(&request.format)) {
            covered = true;
            rule.advance(request, host)?;
        }
        if covered {
            allow()
        } else {
            allow_with("no rule is for this format")
        }
    }
}

impl Rule {
    fn covers(&self, format: &str) -> bool {
        self.formats.iter().any(|pattern| pattern.matches(format))
    }

    fn advance(&self, request: &Request, host: &mut Host) -> Result<(), Denied> {
        let position = self
            .facts
            .iter()
            .map(|fact| request.u64_fact(fact))
            .collect::<Result<Vec<u64>, FactError>>()?;
        let parts = self
            .per
            .iter()
            .map(|part| value_of(part, request))
            .collect::<Result<Vec<Cow<'_, str>>, FactError>>()?;
        let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
        let identity = match &self.identity {
            None => identity::of_signing_inputs(request),
            Some(facts) => identity::of_facts(request, facts),
        };
        let order = match self.order {
            PositionOrder::Lexicographic => Order::Lexicographic,
            PositionOrder::ComponentWise => Order::ComponentWise,
        };
        match host.advance(&state_name(&self.name, &parts), &position, &identity, order) {
            Ok(Advanced::Moved | Advanced::Same) => Ok(()),
            Err(refused) => Err(self.refused(&position, &refused)),
        }
    }

    fn refused(&self, position: &[u64], refused: &Refused) -> Denied {
        let (name, facts, here) = (&self.name, self.facts.join(", "), numbers(position));
        match refused {
            Refused::Regression(stands) => {
                let message = format!(
                    "rule `{name}`: {facts} stands at {} and may only rise; this is {here}",
                    numbers(stands)
                );
                Denied::because("regression", message)
            }
            Refused::Conflict => {
                let message =
                    format!("rule `{name}`: {facts} stands at {here} by another message; the same one or a higher position is right");
                Denied::because("conflict", message)
            }
        }
    }
}

fn numbers(position: &[u64]) -> String {
    let numbers: Vec<String> = position.iter().map(u64::to_string).collect();
    numbers.join("/")
}

/// What a part is in this request.
fn value_of<'a>(part: &Part, request: &'a Request) -> Result<Cow<'a, str>, FactError> {
    match part {
        // Not its name: two names of one public key share an account.
        Part::Key => Ok(hex_text(&request.key.public_key)),
        Part::Caller => Ok(Cow::Borrowed(&request.caller)),
        Part::Fact(name) => match request.fact(name) {
            Some(Value::One(Scalar::Text(text))) => Ok(Cow::Borrowed(text)),
            Some(Value::One(Scalar::Unsigned(number))) => Ok(Cow::Owned(number.to_string())),
            Some(Value::One(Scalar::Boolean(value))) => Ok(Cow::Borrowed(if *value { "true" } else { "false" })),
            Some(Value::One(Scalar::Bytes(bytes))) => Ok(hex_text(bytes)),
            Some(Value::One(Scalar::Unsigned256(_))) => Ok(Cow::Owned(request.u256_fact(name)?.to_string())),
            // Gives the error that fits.
            Some(Value::Many(_)) | None => request.text_fact(name).map(Cow::Borrowed),
        },
    }
}

fn hex_text<'a>(bytes: &[u8]) -> Cow<'a, str> {
    const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

sigwarden_guest::export!(Monotonic);

#[cfg(test)]
mod tests;
