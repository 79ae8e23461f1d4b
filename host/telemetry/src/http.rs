//! The pages `/livez`, `/readyz` and `/metrics`: a pure function from a request's line to an answer. The daemon's listener only moves bytes.

use serde::Serialize;
use std::fmt::Write as _;

/// What may be wrong with something that the daemon needs. A closed set: no text of a library, no file's name and no secret can come out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// It is starting.
    Starting,
    /// It is stopping.
    Stopping,
    /// A durable write failed.
    LedgerFailed,
    /// The disk is full.
    DiskFull,
    /// The disk has room for consensus keys only.
    DiskReserved,
    /// The clock is behind, or has stepped.
    Clock,
    /// It does not answer.
    Unanswered,
    /// It refused the PIN, the passphrase or the certificate.
    Denied,
    /// It answers, and wrongly.
    Broken,
    /// No policy is loaded.
    NoPolicies,
    /// A certificate has expired.
    Expired,
}

impl Trouble {
    /// For people.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Starting => "it is starting",
            Self::Stopping => "it is stopping; nothing new is decided",
            Self::LedgerFailed => "a durable write failed; everything is refused until a restart, see the daemon's log",
            Self::DiskFull => "the disk is full; make room in the state directory",
            Self::DiskReserved => "the disk has room for consensus keys only; make room in the state directory",
            Self::Clock => "the clock is behind or has stepped; see `sigwarden ledger accept-clock --help`",
            Self::Unanswered => "it does not answer; see the daemon's log",
            Self::Denied => "it refused the PIN, the passphrase or the certificate; see the daemon's log before a restart",
            Self::Broken => "it answers, and wrongly; see the daemon's log",
            Self::NoPolicies => "no policy is loaded, and nothing is signed without one",
            Self::Expired => "a certificate has expired",
        }
    }
}

/// One thing that the daemon needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// `ledger`, `policies`, `backend/hsm`.
    pub name: String,
    /// Without it the daemon is not ready; else it is told, and no more.
    pub vital: bool,
    /// What is wrong, if anything is.
    pub trouble: Option<Trouble>,
}

/// Whether requests can be answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// What was looked at. Empty is not ready: nobody has looked.
    pub checks: Vec<Check>,
}

impl Readiness {
    /// Notes one more.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, vital: bool, trouble: Option<Trouble>) -> Self {
        let name = name.into();
        self.checks.push(Check { name, vital, trouble });
        self
    }

    /// Nothing vital is wrong.
    #[must_use]
    pub fn ready(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| !check.vital || check.trouble.is_none())
    }
}

/// What is sent back. `Cache-Control: no-store` belongs with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The content type.
    pub content_type: &'static str,
    /// The body; for HEAD too, whose answer leaves it out.
    pub body: String,
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// Answers a request. `target` is path and query as sent, `accept` the Accept header if there is one. `page` is written only when it is
/// asked for.
pub fn respond(method: &str, target: &str, accept: Option<&str>, readiness: &Readiness, page: impl FnOnce() -> String) -> Answer {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let text = |status, body: &str| Answer {
        status,
        content_type: TEXT,
        body: body.to_owned(),
    };
    if !matches!(path, "/livez" | "/readyz" | "/metrics") {
        return text(404, "GET /livez, /readyz and /metrics are here\n");
    }
    if !matches!(method, "GET" | "HEAD") {
        return text(405, "GET and HEAD are answered\n");
    }
    match path {
        // Who answers is alive: everything else is readiness, since a restart mends none of it.
        "/livez" => text(200, "ok\n"),
        "/metrics" => match page() {
            // A scraper takes an empty page for a daemon that counts nothing.
            body if body.is_empty() => text(500, "the metrics could not be written\n"),
            body => Answer {
                status: 200,
                content_type: crate::metrics::CONTENT_TYPE,
                body,
            },
        },
        _ => ready(readiness, wants_json(query, accept)),
    }
}

fn wants_json(query: &str, accept: Option<&str>) -> bool {
    let asked = query.split('&').any(|pair| pair == "format=json");
    let accepts = |accept: &str| {
        accept
            .split(',')
            .any(|range| range.split(';').next().is_some_and(|kind| kind.trim() == JSON))
    };
    asked || accept.is_some_and(accepts)
}

#[derive(Serialize)]
struct ReadyJson<'a> {
    ready: bool,
    checks: &'a [Check],
}

fn ready(readiness: &Readiness, json: bool) -> Answer {
    let ready = readiness.ready();
    let status = if ready { 200 } else { 503 };
    if json {
        let checks = &readiness.checks;
        // Strings and booleans always serialise.
        let mut body = serde_json::to_string(&ReadyJson { ready, checks }).unwrap_or_else(|_| format!("{{\"ready\":{ready}}}"));
        body.push('\n');
        return Answer {
            status,
            content_type: JSON,
            body,
        };
    }
    let mut body = String::from(if ready { "ready\n" } else { "not ready\n" });
    for check in &readiness.checks {
        let name = &check.name;
        // Writing to a String does not fail.
        let _ = match check.trouble {
            None => writeln!(body, "[+] {name}: ok"),
            Some(trouble) if check.vital => writeln!(body, "[-] {name}: {}", trouble.sentence()),
            Some(trouble) => writeln!(body, "[!] {name}: {}", trouble.sentence()),
        };
    }
    Answer {
        status,
        content_type: TEXT,
        body,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    fn readiness() -> Readiness {
        Readiness::default()
            .with("ledger", true, None)
            .with("backend/hsm", false, Some(Trouble::Unanswered))
    }

    fn get(target: &str, accept: Option<&str>, readiness: &Readiness) -> Answer {
        respond("GET", target, accept, readiness, || panic!("nobody asked for the page"))
    }

    #[test]
    fn ready_as_text_says_each_check_and_fails_only_by_a_vital_one() {
        let answer = get("/readyz", None, &readiness());
        assert_eq!((answer.status, answer.content_type), (200, TEXT));
        assert_eq!(
            answer.body,
            "ready\n[+] ledger: ok\n[!] backend/hsm: it does not answer; see the daemon's log\n"
        );
        let failed = readiness().with("policies", true, Some(Trouble::NoPolicies));
        let answer = get("/readyz?verbose", Some("*/*"), &failed);
        assert_eq!(answer.status, 503);
        assert!(answer.body.starts_with("not ready\n[+] ledger: ok\n"), "{}", answer.body);
        assert!(
            answer
                .body
                .ends_with("[-] policies: no policy is loaded, and nothing is signed without one\n")
        );
        // Nobody has looked.
        assert_eq!(get("/readyz", None, &Readiness::default()).status, 503);
    }

    #[test]
    fn ready_as_json_by_query_or_header() {
        let wanted = "{\"ready\":true,\"checks\":[{\"name\":\"ledger\",\"vital\":true,\"trouble\":null},{\"name\":\"backend/hsm\",\"vital\":false,\"trouble\":\"unanswered\"}]}\n";
        for (target, accept) in [
            ("/readyz?format=json", None),
            ("/readyz?a=b&format=json", None),
            ("/readyz", Some("text/html, application/json;q=0.9")),
        ] {
            let answer = get(target, accept, &readiness());
            assert_eq!(
                (answer.status, answer.content_type, answer.body.as_str()),
                (200, JSON, wanted),
                "{target}"
            );
        }
        assert_eq!(
            get("/readyz?format=jsonx", Some("application/jsonx"), &readiness()).content_type,
            TEXT
        );
    }

    #[test]
    fn alive_whatever_is_wrong_and_the_page_only_where_it_is() {
        let broken = Readiness::default().with("ledger", true, Some(Trouble::LedgerFailed));
        assert_eq!(get("/livez", None, &broken).status, 200);
        let page = respond("GET", "/metrics", None, &broken, || "# EOF\n".into());
        assert_eq!(page.body, "# EOF\n");
        assert!(page.content_type.starts_with("application/openmetrics-text; version=1.0.0"));
        assert_eq!(respond("GET", "/metrics", None, &broken, String::new).status, 500);
        for (method, target, status) in [
            ("POST", "/metrics", 405),
            ("GET", "/", 404),
            ("GET", "/metrics/../readyz", 404),
            ("DELETE", "/x", 404),
        ] {
            assert_eq!(
                respond(method, target, None, &broken, String::new).status,
                status,
                "{method} {target}"
            );
        }
        assert_eq!(respond("HEAD", "/livez", None, &broken, String::new).body, "ok\n");
    }
}
