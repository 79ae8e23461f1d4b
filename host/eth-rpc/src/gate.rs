//! What is looked at before a path: sizes, browsers, names; and how plain answers are made.
//!
//! An endpoint on loopback without certificates is within reach of every page that a browser on the same machine shows. So a request with
//! an `Origin` is refused, as is one for a host name that is not the endpoint's own (a page whose name was bound to 127.0.0.1 a
//! moment ago says its own name), and bodies must be declared as JSON, which a page may not do without asking first.

use crate::BODY_BYTES_MAX;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderName, HeaderValue, ORIGIN};
use http::{Request, Response, StatusCode};
use serde_json::json;
use std::net::IpAddr;

/// The names under which an endpoint may be reached. IP addresses and `localhost` always may: a page cannot claim them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// Any name: for an endpoint whose callers show a certificate.
    Any,
    /// These, without port, in any case.
    Named(Vec<String>),
}

impl Default for Hosts {
    fn default() -> Self {
        Self::Named(Vec::new())
    }
}

impl Hosts {
    fn admit(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Named(names) => {
                host.parse::<IpAddr>().is_ok()
                    || host.eq_ignore_ascii_case("localhost")
                    || names.iter().any(|name| name.eq_ignore_ascii_case(host))
            }
        }
    }
}

/// Refuses what no client of the endpoint sends; none if it may be looked at.
pub(crate) fn refuse<B: AsRef<[u8]>>(request: &Request<B>, hosts: &Hosts) -> Option<Response<Vec<u8>>> {
    if request.body().as_ref().len() > BODY_BYTES_MAX {
        return Some(problem(
            StatusCode::PAYLOAD_TOO_LARGE,
            &format!("the body has over {BODY_BYTES_MAX} bytes"),
        ));
    }
    if request.headers().contains_key(ORIGIN) {
        return Some(problem(
            StatusCode::FORBIDDEN,
            "this is no endpoint for browsers: requests with an `Origin` are refused",
        ));
    }
    // Web3Signer lets `/upcheck` through as well: load balancers ask by whatever name they have.
    if request.uri().path() != "/upcheck" && !host(request).is_none_or(|host| hosts.admit(host)) {
        // Web3Signer's words.
        return Some(problem(StatusCode::FORBIDDEN, "Host not authorized."));
    }
    None
}

/// The host that the client thinks it speaks with, without port: of HTTP/2's `:authority`, else of the `Host` header.
fn host<B>(request: &Request<B>) -> Option<&str> {
    if let Some(host) = request.uri().host() {
        return Some(without_brackets(host));
    }
    // A `Host` that is no text is no name either.
    let header = request.headers().get(HOST)?.to_str().unwrap_or("");
    let host = match header.rsplit_once(':') {
        // The colons inside of `[::1]` are not a port's.
        Some((host, port)) if !port.contains(']') => host,
        Some(_) | None => header,
    };
    Some(without_brackets(host))
}

fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Whether the body says that it is one of these media types.
pub(crate) fn content_type<B>(request: &Request<B>, allowed: &[&str]) -> bool {
    let declared = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = declared.and_then(|value| value.split(';').next()).unwrap_or("").trim();
    allowed.iter().any(|media_type| media_type.eq_ignore_ascii_case(essence))
}

/// Whether the client takes JSON.
pub(crate) fn accepts_json<B>(request: &Request<B>) -> bool {
    let mut accepts = request.headers().get_all(ACCEPT).into_iter().peekable();
    let any = accepts.peek().is_none();
    let ranges = accepts.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let mut essences = ranges.map(|range| range.split(';').next().unwrap_or("").trim().to_ascii_lowercase());
    any || essences.any(|essence| matches!(essence.as_str(), "*/*" | "application/*" | "application/json"))
}

/// For a client that takes none.
pub(crate) fn not_acceptable() -> Response<Vec<u8>> {
    problem(
        StatusCode::NOT_ACCEPTABLE,
        "the answer is `application/json`, which `Accept` leaves out",
    )
}

/// An answer that is a sentence, as JSON.
pub(crate) fn problem(status: StatusCode, message: &str) -> Response<Vec<u8>> {
    json(status, &json!({ "message": message }))
}

/// JSON.
pub(crate) fn json(status: StatusCode, value: &serde_json::Value) -> Response<Vec<u8>> {
    with_body(status, Some("application/json"), value.to_string().into_bytes())
}

/// Text, with status 200.
pub(crate) fn text(text: &str) -> Response<Vec<u8>> {
    with_body(StatusCode::OK, Some("text/plain; charset=utf-8"), text.as_bytes().to_vec())
}

pub(crate) fn with_body(status: StatusCode, media_type: Option<&'static str>, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Some(media_type) = media_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    }
    // Nothing here is for keeping, signatures least.
    headers.insert(HeaderName::from_static("cache-control"), HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn with(name: &str, value: &str) -> Request<Vec<u8>> {
        Request::builder().uri("/").header(name, value).body(Vec::new()).unwrap()
    }

    #[test]
    fn a_page_that_was_bound_to_loopback_says_its_own_name() {
        let hosts = Hosts::Named(vec!["Signer.internal".into()]);
        for name in [
            "127.0.0.1:8545",
            "127.0.0.1",
            "[::1]:8545",
            "[::1]",
            "localhost:8545",
            "LOCALHOST",
            "signer.Internal:80",
        ] {
            assert!(refuse(&with("host", name), &hosts).is_none(), "{name}");
        }
        for name in [
            "evil.example:8545",
            "evil.example",
            "127.0.0.1.evil.example",
            "",
            "localhost.evil.example",
            "[::1",
        ] {
            let refused = refuse(&with("host", name), &hosts).unwrap();
            assert_eq!(refused.status(), StatusCode::FORBIDDEN, "{name}");
            assert_eq!(refused.body(), br#"{"message":"Host not authorized."}"#);
            assert!(refuse(&with("host", name), &Hosts::Any).is_none(), "{name}");
        }
        let authority = Request::builder().uri("http://evil.example/").body(Vec::new()).unwrap();
        assert!(refuse(&authority, &hosts).is_some());
    }

    #[test]
    fn browsers_are_refused_and_load_balancers_may_look() {
        assert_eq!(
            refuse(&with("origin", "null"), &Hosts::Any).unwrap().status(),
            StatusCode::FORBIDDEN
        );
        let mut upcheck = with("host", "balancer.example");
        *upcheck.uri_mut() = "/upcheck".parse().unwrap();
        assert!(refuse(&upcheck, &Hosts::default()).is_none());
    }

    #[test]
    fn media_types_are_compared_without_parameters() {
        assert!(content_type(
            &with("content-type", "Application/JSON; charset=utf-8"),
            &["application/json"]
        ));
        for other in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""] {
            assert!(!content_type(&with("content-type", other), &["application/json"]), "{other}");
        }
        for accept in ["*/*", "text/html, application/json;q=0.9", "application/*"] {
            assert!(accepts_json(&with("accept", accept)), "{accept}");
        }
        assert!(accepts_json(&Request::new("")));
        assert!(!accepts_json(&with("accept", "text/html")));
    }

    #[test]
    fn a_body_over_the_limit_is_refused() {
        let large = Request::new(vec![b' '; BODY_BYTES_MAX + 1]);
        assert_eq!(refuse(&large, &Hosts::Any).unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert!(refuse(&Request::new(vec![b' '; BODY_BYTES_MAX]), &Hosts::Any).is_none());
    }
}
