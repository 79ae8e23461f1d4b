//! `sigwarden certs`, judged by openssl.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use clap::Parser;
use sigwarden_tls::ca::{self, CaError, IssuedName, Kind, Request};
use sigwarden_tls::cli::{self, Answer, Certs, CertsError};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

const DAY: u64 = 24 * 60 * 60;

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    certs: Certs,
}

/// Runs a command line in a directory: relative paths of the arguments are its.
fn run(dir: &Path, line: &str) -> Result<Answer, CertsError> {
    let words = line.split(' ').map(|word| word.replace("DIR", dir.to_str().unwrap()));
    cli::run(&Line::parse_from(std::iter::once("certs".to_owned()).chain(words)).certs)
}

fn openssl(arguments: &[&str]) -> String {
    let ran = Command::new("openssl").args(arguments).stdin(Stdio::null()).output();
    let output = ran.expect("the tests need openssl: apt-get install openssl");
    assert!(
        output.status.success(),
        "openssl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn openssl_takes_what_is_issued_for_its_purpose_and_for_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    run(dir.path(), "new --ca DIR/ca --name Validators").unwrap();
    run(dir.path(), "issue server signer.example 10.0.0.5 ::1 --ca DIR/ca --out DIR/signer").unwrap();
    run(
        dir.path(),
        "issue client Node-A.example spiffe://Example/A --ca DIR/ca --out DIR/node-a --days 30",
    )
    .unwrap();
    for (file, purpose, other) in [("signer.crt", "sslserver", "sslclient"), ("node-a.crt", "sslclient", "sslserver")] {
        let verify = |purpose: &str| {
            let arguments = [
                "verify",
                "-x509_strict",
                "-purpose",
                purpose,
                "-CAfile",
                &path("ca/ca.crt"),
                &path(file),
            ];
            Command::new("openssl").args(arguments).output().unwrap()
        };
        assert!(
            verify(purpose).status.success(),
            "{}",
            String::from_utf8_lossy(&verify(purpose).stderr)
        );
        assert!(!verify(other).status.success(), "{file} is not for {other}");
    }
    let extensions = |file: &str| {
        openssl(&[
            "x509",
            "-in",
            &path(file),
            "-noout",
            "-ext",
            "subjectAltName,keyUsage,extendedKeyUsage,basicConstraints",
        ])
    };
    let server = extensions("signer.crt");
    assert!(
        server.contains("DNS:signer.example, IP Address:10.0.0.5, IP Address:0:0:0:0:0:0:0:1"),
        "{server}"
    );
    assert!(
        server.contains("TLS Web Server Authentication\n") && server.contains("CA:FALSE"),
        "{server}"
    );
    assert!(server.contains("X509v3 Key Usage: critical\n    Digital Signature\n"), "{server}");
    let client = extensions("node-a.crt");
    assert!(client.contains("DNS:node-a.example, URI:spiffe://example/A"), "{client}");
    assert!(client.contains("TLS Web Client Authentication\n"), "{client}");
    let authority = extensions("ca/ca.crt");
    assert!(
        authority.contains("CA:TRUE, pathlen:0") && authority.contains("Certificate Sign, CRL Sign"),
        "{authority}"
    );
}

#[test]
fn keys_are_for_their_owner_and_nothing_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), "new --ca DIR/ca").unwrap();
    run(dir.path(), "issue client node-a.example --ca DIR/ca --out DIR/new/a").unwrap();
    let at = |name: &str| dir.path().join(name);
    assert_eq!(
        (mode(&at("ca")), mode(&at("ca/ca.key")), mode(&at("ca/ca.crt"))),
        (0o700, 0o600, 0o644)
    );
    assert_eq!(
        (mode(&at("new")), mode(&at("new/a.key")), mode(&at("new/a.crt"))),
        (0o700, 0o600, 0o644)
    );
    let before = std::fs::read(at("ca/ca.key")).unwrap();
    let error = run(dir.path(), "new --ca DIR/ca").unwrap_err();
    assert_eq!(error.exit_code(), 1);
    assert!(
        error
            .to_string()
            .ends_with("ca.key exists already, and is never overwritten; move it away or name another"),
        "{error}"
    );
    assert_eq!(std::fs::read(at("ca/ca.key")).unwrap(), before);
    // Only the certificate is in the way: no key is left behind.
    std::fs::remove_file(at("new/a.key")).unwrap();
    let error = run(dir.path(), "issue client node-a.example --ca DIR/ca --out DIR/new/a").unwrap_err();
    assert!(error.to_string().contains("a.crt exists already"), "{error}");
    assert!(!at("new/a.key").exists());
}

#[test]
fn two_certificates_share_neither_serial_number_nor_key() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), "new --ca DIR/ca").unwrap();
    let issue = |stem: &str| {
        run(dir.path(), &format!("issue client node-a.example --ca DIR/ca --out DIR/{stem}"))
            .unwrap()
            .json
    };
    let (first, second) = (issue("a"), issue("b"));
    assert_ne!(first["serial"], second["serial"]);
    assert_eq!(first["serial"].as_str().unwrap().len(), 32, "16 bytes");
    assert_ne!(
        std::fs::read(dir.path().join("a.key")).unwrap(),
        std::fs::read(dir.path().join("b.key")).unwrap()
    );
}

#[test]
fn what_the_other_side_would_refuse_is_not_issued() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), "new --ca DIR/ca --days 100").unwrap();
    for (line, said) in [
        ("issue client *.example", "\"*.example\" is a wildcard"),
        ("issue server *.example", "\"*.example\" is a wildcard"),
        ("issue client node_a..example", "it has an empty label"),
        ("issue client 10.0.0.1", "a caller is known by a DNS name or a URI"),
        ("issue client 10.0.0", "is an IP address"),
        (
            "issue server spiffe://example/a",
            "a server is known by a DNS name or an IP address",
        ),
        ("issue client a.example --days 0", "0 days; 1 to 398 are possible"),
        ("issue client a.example --days 399", "399 days; 1 to 398 are possible"),
        ("issue client a.example --days 101", " days are possible, or make a new CA"),
        ("issue client a b c d e f g h i j k l m n o p q", "17 names; 1 to 16 are possible"),
    ] {
        let error = run(dir.path(), &format!("{line} --ca DIR/ca --out DIR/x")).unwrap_err();
        assert!(error.to_string().contains(said), "{line}: {error}");
        assert_eq!(error.exit_code(), 1, "{line}");
        assert!(!dir.path().join("x.crt").exists() && !dir.path().join("x.key").exists());
    }
    let error = run(dir.path(), "issue client a.example --ca DIR/nowhere --out DIR/x").unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    for (name, days) in [("", 1), (" ", 1), ("a\nb", 1), ("a\u{202e}b", 1)] {
        assert!(matches!(ca::new(&dir.path().join("y"), name, days), Err(CaError::AuthorityName(_))));
    }
    assert!(matches!(
        ca::new(&dir.path().join("y"), &"x".repeat(65), 1),
        Err(CaError::AuthorityName(_))
    ));
    assert!(matches!(
        ca::new(&dir.path().join("y"), "y", 7301),
        Err(CaError::Days { max: 7300, .. })
    ));
    assert!(!dir.path().join("y").exists());
}

#[test]
fn a_key_that_is_not_the_cas_issues_nothing() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), "new --ca DIR/one").unwrap();
    run(dir.path(), "new --ca DIR/two").unwrap();
    std::fs::copy(dir.path().join("two/ca.key"), dir.path().join("one/ca.key")).unwrap();
    let error = run(dir.path(), "issue client a.example --ca DIR/one --out DIR/x").unwrap_err();
    assert!(matches!(error, CertsError::Ca(CaError::KeyMismatch { .. })), "{error}");
    // A certificate that is no CA's.
    run(dir.path(), "issue client a.example --ca DIR/two --out DIR/two/leaf").unwrap();
    for suffix in ["crt", "key"] {
        std::fs::rename(
            dir.path().join(format!("two/leaf.{suffix}")),
            dir.path().join(format!("two/ca.{suffix}")),
        )
        .unwrap();
    }
    let error = run(dir.path(), "issue client a.example --ca DIR/two --out DIR/x").unwrap_err();
    assert!(error.to_string().contains("CN=a.example is no CA"), "{error}");
}

#[test]
fn a_ca_that_openssl_made_issues_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    openssl(&[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-keyout",
        &path("ca.key"),
        "-out",
        &path("ca.crt"),
        "-subj",
        "/O=Example/CN=by openssl",
        "-days",
        "10",
    ]);
    let request = Request {
        kind: Kind::Client,
        names: vec!["a.example".parse::<IssuedName>().unwrap()],
        days: 5,
        out: dir.path().join("a"),
    };
    let made = ca::issue(dir.path(), &request).unwrap();
    assert_eq!(made.facts.issuer, "CN=by openssl,O=Example");
    openssl(&["verify", "-purpose", "sslclient", "-CAfile", &path("ca.crt"), &path("a.crt")]);
}

#[test]
fn show_says_what_openssl_says() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), "new --ca DIR/ca --name Validators").unwrap();
    run(dir.path(), "issue client node-a.example spiffe://example/a --ca DIR/ca --out DIR/a").unwrap();
    let file = dir.path().join("a.crt").to_str().unwrap().to_owned();
    let answer = run(dir.path(), "show DIR/a.crt").unwrap();
    assert!(!answer.problem);
    let shown = &answer.json["certificates"][0];
    let fingerprint = openssl(&["x509", "-in", &file, "-noout", "-fingerprint", "-sha256"]);
    assert_eq!(
        shown["fingerprint"].as_str().unwrap(),
        fingerprint.trim().split('=').nth(1).unwrap().replace(':', "").to_lowercase()
    );
    let serial = openssl(&["x509", "-in", &file, "-noout", "-serial"]);
    assert_eq!(
        shown["serial"].as_str().unwrap(),
        serial.trim().split('=').nth(1).unwrap().to_lowercase()
    );
    let end = openssl(&["x509", "-in", &file, "-noout", "-enddate", "-dateopt", "iso_8601"]);
    assert_eq!(
        format!("notAfter={}", shown["not_after"].as_str().unwrap().replace('T', " ")),
        end.trim()
    );
    assert_eq!(shown["names"], serde_json::json!(["DNS:node-a.example", "URI:spiffe://example/a"]));
    assert_eq!(shown["usage"], serde_json::json!(["client"]));
    assert_eq!(
        (shown["key"].as_str(), shown["state"].as_str()),
        (Some("ECDSA P-256"), Some("valid"))
    );
    assert_eq!(
        (shown["subject"].as_str(), shown["issuer"].as_str()),
        (Some("CN=node-a.example"), Some("CN=Validators"))
    );
    assert!(
        answer.text.contains("  for      client\n") && answer.text.contains(" days left\n"),
        "{}",
        answer.text
    );
    let authority = run(dir.path(), "show DIR/ca/ca.crt").unwrap().json;
    assert_eq!(
        (&authority["certificates"][0]["usage"], &authority["certificates"][0]["key"]),
        (&serde_json::json!(["ca"]), &serde_json::json!("ECDSA P-256"))
    );
}

#[test]
fn show_of_what_has_ended_is_a_problem_and_of_no_certificate_an_error() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), "new --ca DIR/ca").unwrap();
    let request = Request {
        kind: Kind::Client,
        names: vec!["a.example".parse::<IssuedName>().unwrap()],
        days: 1,
        out: dir.path().join("a"),
    };
    ca::issue_between(&dir.path().join("ca"), &request, now() - 2 * DAY, now() - DAY).unwrap();
    let answer = run(dir.path(), "show DIR/a.crt").unwrap();
    assert!(answer.problem && answer.text.contains("EXPIRED"), "{}", answer.text);
    assert_eq!(answer.json["certificates"][0]["state"], "expired");
    let error = run(dir.path(), "show DIR/a.key").unwrap_err();
    assert!(error.to_string().contains("holds no certificate"), "{error}");
    assert_eq!(
        (error.exit_code(), run(dir.path(), "show DIR/none").unwrap_err().exit_code()),
        (1, 2)
    );
}
