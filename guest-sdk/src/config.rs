//! From a configuration's text to its type, with problems that say where.

use crate::bindings::sigwarden::policy::types::Problem;
use crate::policy::problem;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Reads a configuration from JSON. Every field that the type does not know is a problem.
///
/// # Errors
/// Every unknown field, and the first value that does not fit, each with its path (`rules[2].max_value`).
pub fn parse<C: DeserializeOwned + JsonSchema>(json: &str) -> Result<C, Vec<Problem>> {
    let mut unknown = Vec::new();
    let mut text = serde_json::Deserializer::from_str(json);
    let mut note = |path: serde_ignored::Path<'_>| unknown.push(steps(&path));
    let parsed = serde_path_to_error::deserialize(serde_ignored::Deserializer::new(&mut text, &mut note));
    let parsed = parsed.map_err(|error| {
        let path = error.path().to_string();
        problem(
            if path == "." { "" } else { &path },
            without_position(&error.into_inner().to_string()),
        )
    });
    let parsed = parsed.and_then(|config: C| match text.end() {
        Ok(()) => Ok(config),
        Err(_) => Err(problem("", "something follows the configuration; it is one JSON value")),
    });
    let mut problems: Vec<Problem> = unknown.iter().map(|steps| unknown_field::<C>(steps)).collect();
    match parsed {
        Ok(config) if problems.is_empty() => Ok(config),
        Ok(_) => Err(problems),
        Err(fault) => {
            problems.push(fault);
            Err(problems)
        }
    }
}

/// One step of a path.
enum Step {
    Field(String),
    Index(usize),
}

fn steps(path: &serde_ignored::Path<'_>) -> Vec<Step> {
    use serde_ignored::Path;
    let (parent, step) = match path {
        Path::Root => return Vec::new(),
        Path::Seq { parent, index } => (parent, Some(Step::Index(*index))),
        Path::Map { parent, key } => (parent, Some(Step::Field(key.clone()))),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => (parent, None),
    };
    let mut all = steps(parent);
    all.extend(step);
    all
}

fn shown(steps: &[Step]) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Index(index) => path.push_str(&format!("[{index}]")),
            Step::Field(name) if path.is_empty() => path.push_str(name),
            Step::Field(name) => path.push_str(&format!(".{name}")),
        }
    }
    path
}

fn unknown_field<C: JsonSchema>(steps: &[Step]) -> Problem {
    let (name, parents) = match steps.split_last() {
        Some((Step::Field(name), parents)) => (name.as_str(), parents),
        Some((Step::Index(_), parents)) => ("", parents),
        None => ("", steps),
    };
    let known = known_fields::<C>(parents);
    let message = if known.is_empty() {
        format!("there is no field `{name}` here; remove it")
    } else {
        format!("there is no field `{name}` here; one of {} is right", known.join(", "))
    };
    problem(shown(steps), message)
}

/// The fields that the schema has at a path; none if it cannot be followed there. Runs only to word a problem.
fn known_fields<C: JsonSchema>(steps: &[Step]) -> Vec<String> {
    let schema = schemars::schema_for!(C);
    let root = schema.as_value();
    let mut at = vec![root];
    for step in steps {
        let wider = alternatives(root, at);
        at = match step {
            Step::Field(name) => {
                let named: Vec<&Value> = wider.iter().filter_map(|schema| schema.get("properties")?.get(name)).collect();
                let any = || wider.iter().filter_map(|schema| schema.get("additionalProperties")).collect();
                if named.is_empty() { any() } else { named }
            }
            Step::Index(_) => wider.iter().filter_map(|schema| schema.get("items")).collect(),
        };
    }
    let objects = alternatives(root, at);
    let names = objects
        .iter()
        .filter_map(|schema| schema.get("properties")?.as_object())
        .flat_map(|fields| fields.keys());
    let names: std::collections::BTreeSet<&String> = names.collect();
    names.into_iter().map(|name| format!("`{name}`")).collect()
}

/// The schemas themselves, what they refer to, and the variants of each. Two rounds: a reference to a choice of references.
fn alternatives<'a>(root: &'a Value, schemas: Vec<&'a Value>) -> Vec<&'a Value> {
    let mut all = schemas;
    for _ in 0..2 {
        let referred = all
            .iter()
            .filter_map(|schema| root.pointer(schema.get("$ref")?.as_str()?.strip_prefix('#')?));
        let chosen = all
            .iter()
            .flat_map(|schema| {
                ["anyOf", "oneOf", "allOf"]
                    .into_iter()
                    .filter_map(|key| schema.get(key)?.as_array())
            })
            .flatten();
        let mut next: Vec<&Value> = referred.chain(chosen).collect();
        all.append(&mut next);
    }
    all
}

/// serde_json ends its messages with a position in a text that the operator never saw: the host made it from TOML.
fn without_position(message: &str) -> String {
    let cut = message.rfind(" at line ").unwrap_or(message.len());
    message.get(..cut).unwrap_or(message).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::U256;

    #[derive(Debug, PartialEq, serde::Deserialize, JsonSchema)]
    struct Config {
        #[serde(default)]
        rules: Vec<Rule>,
        #[serde(default)]
        default: Option<Rule>,
    }

    #[derive(Debug, PartialEq, serde::Deserialize, JsonSchema)]
    struct Rule {
        max_value: U256,
        #[serde(default)]
        note: String,
    }

    fn problems(json: &str) -> Vec<(String, String)> {
        let problems = parse::<Config>(json).unwrap_err();
        problems.into_iter().map(|problem| (problem.path, problem.message)).collect()
    }

    #[test]
    fn an_unknown_field_is_a_problem_with_its_path_and_what_would_be_right() {
        let right = "one of `max_value`, `note` is right";
        assert_eq!(
            problems(r#"{"rules":[{"max_value":1},{"max_value":1,"max-value":2}],"default":{"max_value":1,"x":{}}}"#),
            [
                (
                    "rules[1].max-value".to_owned(),
                    format!("there is no field `max-value` here; {right}")
                ),
                ("default.x".to_owned(), format!("there is no field `x` here; {right}")),
            ]
        );
        assert_eq!(
            problems(r#"{"rule":[]}"#),
            [(
                "rule".to_owned(),
                "there is no field `rule` here; one of `default`, `rules` is right".to_owned()
            )]
        );
    }

    #[test]
    fn a_value_that_does_not_fit_is_a_problem_with_its_path() {
        let found = problems(r#"{"rules":[{"max_value":1},{"max_value":"1.5"}]}"#);
        assert_eq!(found[0].0, "rules[1].max_value");
        assert!(found[0].1.starts_with("`1.5` is no number below 2^256"), "{}", found[0].1);
        assert!(!found[0].1.contains("line"), "{}", found[0].1);
        assert_eq!(
            problems(r#"{"rules":[{}]}"#),
            [("rules[0]".to_owned(), "missing field `max_value`".to_owned())]
        );
        assert_eq!(
            problems(r#"{"rules":[{"max_value":1,"max_value":2}]}"#)[0].1,
            "duplicate field `max_value`"
        );
    }

    #[test]
    fn text_that_is_not_one_json_value_is_a_problem() {
        assert_eq!(problems("{} {}").len(), 1);
        assert_eq!(problems("").len(), 1);
        assert_eq!(
            parse::<Config>("{}"),
            Ok(Config {
                rules: Vec::new(),
                default: None
            })
        );
    }
}
