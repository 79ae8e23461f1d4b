//! Whose connection it is.

use crate::support::{Deployment, NODE, Raw, issue_by_openssl, meet, meet_client};
use sigwarden_tls::ca::Kind;
use sigwarden_tls::{Alpn, Group, HandshakeError, Identity, KeyExchange, NAMES_MAX, Refusal, facts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn a_callers_names_arrive_and_bytes_go_both_ways() {
    let deployment = Deployment::new();
    let made = deployment.issue(
        Kind::Client,
        &["Node-B.Example", "spiffe://Example/Node-B", "10.0.0.7", "node-b.example"],
        "b",
    );
    let (accepted, dialed) = meet_client(&deployment.server(KeyExchange::Preferred), &deployment.client("b")).await;
    let (mut accepted, mut dialed) = (accepted.unwrap(), dialed.unwrap());

    let names: Vec<&str> = accepted.identity.names.iter().map(|name| name.as_str()).collect();
    assert_eq!(
        names,
        ["node-b.example", "spiffe://example/Node-B"],
        "in lower case, none twice, no address"
    );
    assert_eq!(
        accepted.identity.texts().to_vec(),
        [Box::from("node-b.example"), Box::from("spiffe://example/Node-B")]
    );
    assert_eq!(accepted.identity.fingerprint, made.facts.fingerprint);
    assert_eq!(accepted.identity.not_after, made.facts.not_after);
    assert_eq!(accepted.identity.serial, made.facts.serial);
    assert_eq!((accepted.group, dialed.group), (Group::X25519MlKem768, Group::X25519MlKem768));
    assert_eq!((accepted.alpn, dialed.alpn), (Some(Alpn::Http2), Some(Alpn::Http2)));
    assert_eq!(dialed.fingerprint, facts(&deployment.path("server.crt")).unwrap()[0].fingerprint);

    dialed.stream.write_all(b"sign").await.unwrap();
    let mut read = [0; 4];
    accepted.stream.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"sign");
    accepted.stream.write_all(b"done").await.unwrap();
    dialed.stream.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"done");
}

#[tokio::test]
async fn a_certificate_that_names_nobody_is_refused_in_the_handshake() {
    let deployment = Deployment::new();
    let server = deployment.server(KeyExchange::Preferred);
    let many = (0..=NAMES_MAX)
        .map(|index| format!("DNS:n{index}.example"))
        .collect::<Vec<_>>()
        .join(",");
    for (stem, extensions, said) in [
        ("none", "extendedKeyUsage=clientAuth".to_owned(), "neither a DNS name nor a URI"),
        (
            "address",
            "subjectAltName=IP:127.0.0.1,email:a@b.example".to_owned(),
            "neither a DNS name nor a URI",
        ),
        (
            "wildcard",
            "subjectAltName=DNS:node-a.example,DNS:*.example".to_owned(),
            "\"*.example\" is a wildcard",
        ),
        (
            "malformed",
            "subjectAltName=DNS:node-a.example,DNS:node b".to_owned(),
            "\"node b\" is no DNS name",
        ),
        ("number", "subjectAltName=DNS:10.0.0.1".to_owned(), "\"10.0.0.1\" is an IP address"),
        ("many", format!("subjectAltName={many}"), "has 17 names; at most 16"),
    ] {
        issue_by_openssl(&deployment, stem, &extensions);
        let (accepted, connected) = meet(&server, &Raw::new(&deployment, Some(stem))).await;
        let refused = accepted.expect_err(stem);
        assert_eq!(refused.refusal(), Refusal::Name, "{stem}: {refused}");
        assert!(refused.to_string().contains(said), "{stem}: {refused}");
        let told = HandshakeError::within(&connected.unwrap_err()).unwrap();
        assert_eq!(told.refusal(), Refusal::Alert);
        assert!(told.to_string().contains("the certificate names nobody"), "{told}");
    }
}

#[tokio::test]
async fn the_subject_names_nobody_and_a_foreign_certificate_with_a_name_is_taken() {
    let deployment = Deployment::new();
    // Its subject is CN=node-a.example; it has no extended key usage, which restricts nothing (RFC 5280 §4.2.1.12).
    issue_by_openssl(&deployment, "foreign", "subjectAltName=DNS:node-c.example");
    let (accepted, connected) = meet(&deployment.server(KeyExchange::Preferred), &Raw::new(&deployment, Some("foreign"))).await;
    connected.unwrap();
    assert_eq!(accepted.unwrap().identity.names, ["node-c.example".parse().unwrap()]);
}

#[test]
fn an_identity_is_read_from_a_certificate_alone() {
    let deployment = Deployment::new();
    let identity = Identity::of(&crate::support::certificate(&deployment.path("client.crt"))).unwrap();
    assert_eq!(identity.names, [NODE.parse().unwrap()]);
    let refused = Identity::of(b"no certificate").unwrap_err().to_string();
    assert!(refused.starts_with("it is no X.509 certificate"), "{refused}");
}
