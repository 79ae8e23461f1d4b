#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod week;

use sigwarden_guest::prelude::*;
use sigwarden_guest::{AllOr, Denied, FormatPattern, KeyPattern, Label, OneOrMore, Problems};
use sigwarden_guest::{Role, TimeOfDay, UtcTime, Weekday, all, shown};

/// When keys may sign. A request must be in time for every rule that it matches.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Config {
    /// At least one.
    pub rules: OneOrMore<Rule>,
    /// Allows requests that no rule matches, which are denied if this is left out.
    #[serde(default)]
    pub allow_unmatched: bool,
}

/// When some requests are allowed.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Rule {
    /// Names it in denials; unique.
    pub name: Label,
    /// Only requests with these keys: `namespace.key_id`, `namespace.*`; all if left out.
    #[serde(default)]
    pub keys: AllOr<KeyPattern>,
    /// Only requests with keys of one of these roles; all if left out.
    #[serde(default)]
    pub roles: AllOr<Role>,
    /// Only requests in these formats; all if left out.
    #[serde(default)]
    pub formats: AllOr<FormatPattern>,
    /// Allowed in any of these; always, between `not_before` and `not_after`, if left out.
    #[serde(default)]
    pub windows: AllOr<Window>,
    /// Not before this moment: `2026-11-21T12:00:00Z`.
    #[serde(default)]
    pub not_before: Option<UtcTime>,
    /// Not at or after this moment.
    #[serde(default)]
    pub not_after: Option<UtcTime>,
}

/// Some hours of some days, in UTC.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
pub struct Window {
    /// The days on which it opens: `mon` to `sun`; every day if left out.
    #[serde(default)]
    pub days: AllOr<Weekday>,
    /// When it opens: `08:00`.
    #[serde(default = "midnight")]
    pub from: TimeOfDay,
    /// When it closes, this minute excluded; on the next day if it is before `from`.
    #[serde(default = "day_end")]
    pub to: TimeOfDay,
}

fn midnight() -> TimeOfDay {
    TimeOfDay::START
}

fn day_end() -> TimeOfDay {
    TimeOfDay::END
}

/// The policy.
pub struct TimeWindow;

impl Policy for TimeWindow {
    type Config = Config;

    const MANIFEST: Manifest = Manifest {
        name: "time-window",
        version: env!("CARGO_PKG_VERSION"),
        purpose: "Says at what hours and on what days keys may sign, and from when until when.",
        // It looks at the format's name only.
        formats: &["*"],
        facts: &[],
        denial_codes: &["closed", "not-yet", "expired", "no-rule"],
    };

    fn check(config: &Config) -> Result<(), Vec<Problem>> {
        let mut problems = Problems::new();
        for (index, rule) in config.rules.iter().enumerate() {
            problems.at(format!("rules[{index}]"));
            let twice = config.rules.iter().take(index).any(|earlier| earlier.name == rule.name);
            problems.when(twice, "name", "another rule has this name; denials could not tell them apart");
            let timeless = rule.windows.is_all() && rule.not_before.is_none() && rule.not_after.is_none();
            problems.when(
                timeless,
                "windows",
                "the rule says no time; `windows`, `not_before` or `not_after` is right",
            );
            for (place, window) in rule.windows.entries().enumerate() {
                let message = "it opens and closes in one minute; leaving `from` and `to` out means the whole day";
                problems.when(window.from == window.to, format!("windows[{place}].to"), message);
                let message = "`24:00` is where a day ends; `00:00` of the next day is right";
                problems.when(window.from == TimeOfDay::END, format!("windows[{place}].from"), message);
            }
            let never = rule.not_before.zip(rule.not_after).is_some_and(|(begin, end)| begin >= end);
            problems.when(never, "not_after", "it is not after `not_before`, so the rule is never open");
        }
        problems.done()
    }

    fn evaluate(config: &Config, request: &Request, _: &mut Host) -> Verdict {
        let now = UtcTime::from_milliseconds(request.now);
        let matching = || config.rules.iter().filter(|rule| rule.matches(request));
        if matching().next().is_none() && !config.allow_unmatched {
            let rules = shown(config.rules.iter().map(|rule| &rule.name));
            return deny(
                "no-rule",
                format!(
                    "no rule says when `{}` may sign {}; there are {rules}",
                    request.key.name, request.format
                ),
            );
        }
        all(matching().map(|rule| rule.judge(now)))
    }
}

impl Rule {
    fn matches(&self, request: &Request) -> bool {
        self.keys.any(|pattern| pattern.matches(&request.key.name))
            && self.roles.any(|role| request.key.roles.contains(role))
            && self.formats.any(|pattern| pattern.matches(&request.format))
    }

    fn judge(&self, now: UtcTime) -> Result<(), Denied> {
        let name = &self.name;
        if let Some(end) = self.not_after.filter(|end| now >= *end) {
            return Err(Denied::because(
                "expired",
                format!("rule `{name}` allowed this until {end}; it is {now}"),
            ));
        }
        // What opens only after the end never does.
        let opening = |from| self.opening(from).filter(|at| self.not_after.is_none_or(|end| *at < end));
        let (code, from) = match self.not_before.filter(|begin| now < *begin) {
            Some(begin) => ("not-yet", begin),
            None => ("closed", now),
        };
        let next = opening(from);
        if next == Some(now) {
            return Ok(());
        }
        let when = next.map_or_else(|| "never again".to_owned(), |at| format!("from {at}"));
        let message = format!("rule `{name}` allows this {when}; it is {now}");
        Err(Denied::until(code, message, next.map(UtcTime::milliseconds)))
    }

    /// The first moment at or after `from` when a window is open.
    fn opening(&self, from: UtcTime) -> Option<UtcTime> {
        if self.windows.is_all() {
            return Some(from);
        }
        self.windows.entries().filter_map(|window| window.opening(from)).min()
    }
}

sigwarden_guest::export!(TimeWindow);

#[cfg(test)]
mod tests;
