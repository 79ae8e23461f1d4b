//! Lists in a configuration, where one that is left out means everything.

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use std::fmt::Display;

/// A list with at least one entry; an empty one in a configuration is a problem, since it would match nothing.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct OneOrMore<T>(Vec<T>);

/// A list that may be left out, which means all: what `keys`, `callers` or `formats` of a rule are. An empty one is a problem. Its
/// field needs `#[serde(default)]`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct AllOr<T>(Option<OneOrMore<T>>);

impl<T> std::ops::Deref for OneOrMore<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> std::ops::DerefMut for OneOrMore<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T> AllOr<T> {
    /// Whether it is left out, or an entry passes the test.
    pub fn any(&self, test: impl FnMut(&T) -> bool) -> bool {
        self.0.as_ref().is_none_or(|list| list.iter().any(test))
    }

    /// The entries; none if it is left out.
    pub fn entries(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flat_map(|list| list.iter())
    }

    /// Whether it is left out.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0.is_none()
    }
}

impl<T> Default for AllOr<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMore<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = Vec::deserialize(deserializer)?;
        if list.is_empty() {
            return Err(D::Error::custom("an empty list matches nothing; at least one entry is right"));
        }
        Ok(Self(list))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for AllOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Through `OneOrMore`, not `Option`: a null would read as "all".
        OneOrMore::deserialize(deserializer).map(|list| Self(Some(list)))
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMore<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("OneOrMore_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let items = generator.subschema_for::<T>();
        schemars::json_schema!({"type": "array", "items": items, "minItems": 1})
    }
}

impl<T: JsonSchema> JsonSchema for AllOr<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("AllOr_{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        OneOrMore::<T>::json_schema(generator)
    }
}

/// The entries for a message: `a`, `b` or `c`; at most eight, since a list may be long and a denial may not.
pub fn shown<T: Display>(list: impl IntoIterator<Item = T>) -> String {
    const SHOWN: usize = 8;
    let all: Vec<String> = list.into_iter().map(|entry| format!("`{entry}`")).collect();
    match all.split_last() {
        None => "none".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, others)) if all.len() <= SHOWN => format!("{} or {last}", others.join(", ")),
        Some(_) => {
            let first: Vec<&str> = all.iter().take(SHOWN).map(String::as_str).collect();
            format!("{} or {} more", first.join(", "), all.len() - SHOWN)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize, serde::Serialize, JsonSchema)]
    struct Config {
        rules: OneOrMore<u8>,
        #[serde(default)]
        keys: AllOr<u8>,
    }

    #[test]
    fn left_out_is_all_and_empty_is_a_problem_with_its_path() {
        let config: Config = crate::parse_config(r#"{"rules":[1]}"#).unwrap();
        assert!(config.keys.any(|_| false) && config.keys.is_all() && config.rules.len() == 1);
        let config: Config = crate::parse_config(r#"{"rules":[1],"keys":[2,3]}"#).unwrap();
        assert!(config.keys.any(|key| *key == 3) && !config.keys.any(|key| *key == 4));
        assert_eq!(config.keys.entries().collect::<Vec<_>>(), [&2, &3]);
        assert_eq!(serde_json::to_string(&config).unwrap(), r#"{"rules":[1],"keys":[2,3]}"#);
        for (json, path) in [
            (r#"{"rules":[]}"#, "rules"),
            (r#"{"rules":[1],"keys":[]}"#, "keys"),
            (r#"{"rules":[1],"keys":null}"#, "keys"),
        ] {
            assert_eq!(crate::parse_config::<Config>(json).unwrap_err()[0].path, path, "{json}");
        }
    }

    #[test]
    fn a_long_list_is_cut() {
        assert_eq!(shown(Vec::<u8>::new()), "none");
        assert_eq!(shown(["a"]), "`a`");
        assert_eq!(shown(["a", "b", "c"]), "`a`, `b` or `c`");
        assert_eq!(shown(1..=20), "`1`, `2`, `3`, `4`, `5`, `6`, `7`, `8` or 12 more");
    }
}
