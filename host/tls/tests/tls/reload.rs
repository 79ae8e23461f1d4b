//! New certificates while connections stand.

use crate::support::{DAY, Deployment, NODE, meet_client, now};
use sigwarden_tls::ca::{self, Kind};
use sigwarden_tls::{Alpn, KeyExchange, Refusal, ServerFiles, ServerTls, TlsError, facts, utc};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn new_connections_get_the_new_certificate_and_standing_ones_go_on() {
    let deployment = Deployment::new();
    let (server, client) = (deployment.server(KeyExchange::Preferred), deployment.client("client"));
    let (standing, standing_client) = meet_client(&server, &client).await;
    let (mut standing, mut standing_client) = (standing.unwrap(), standing_client.unwrap());
    assert!(!server.changed());
    let before = server.installed();
    assert_eq!(before.certificate.fingerprint, standing_client.fingerprint);

    let request = deployment.request(Kind::Server, &["signer.example"], "fresh");
    let fresh = ca::issue_between(&deployment.ca(), &request, now() - 60, now() + 9 * DAY).unwrap();
    deployment.replace("server", "fresh");
    assert!(server.changed());
    let (_, dialed) = meet_client(&server, &client).await;
    assert_eq!(
        dialed.unwrap().fingerprint,
        before.certificate.fingerprint,
        "nothing changes before the reload"
    );

    let reload = server.reload().unwrap();
    assert!(reload.changed() && !server.changed());
    assert_eq!(reload.before, before);
    assert_eq!(reload.after, server.installed());
    assert_eq!(reload.after.certificate.not_after, fresh.facts.not_after);
    let said = reload.to_string();
    let expected = format!(
        "a new certificate, valid until {} (the old one: {})",
        utc(fresh.facts.not_after),
        utc(before.certificate.not_after)
    );
    assert_eq!(said, expected);

    let (_, dialed) = meet_client(&server, &client).await;
    assert_eq!(dialed.unwrap().fingerprint, fresh.facts.fingerprint);
    standing_client.stream.write_all(b"x").await.unwrap();
    assert_eq!(standing.stream.read_u8().await.unwrap(), b'x');
}

#[tokio::test]
async fn a_ca_that_is_taken_away_bites_at_the_next_connection() {
    let deployment = Deployment::new();
    let ca_file = deployment.path("clients.pem");
    let other = ca::new(&deployment.path("other"), "other", 30).unwrap();
    ca::issue(
        &deployment.path("other"),
        &deployment.request(Kind::Client, &["node-o.example"], "of-other"),
    )
    .unwrap();
    let (first, second) = (
        std::fs::read_to_string(deployment.ca_certificate()).unwrap(),
        std::fs::read_to_string(&other.certificate).unwrap(),
    );
    std::fs::write(&ca_file, first.clone() + &second).unwrap();
    std::fs::set_permissions(&ca_file, PermissionsExt::from_mode(0o644)).unwrap();
    let files = ServerFiles {
        client_ca: ca_file.clone(),
        ..deployment.server_files()
    };
    let server = Arc::new(ServerTls::load(files, KeyExchange::Preferred, &[Alpn::Http2]).unwrap());
    // While a CA is replaced, both are in force.
    for (stem, name) in [("client", NODE), ("of-other", "node-o.example")] {
        let (accepted, _) = meet_client(&server, &deployment.client(stem)).await;
        assert_eq!(accepted.unwrap().identity.names, [name.parse().unwrap()]);
    }
    std::fs::write(&ca_file, second).unwrap();
    let said = server.reload().unwrap().to_string();
    assert!(
        said.starts_with("the same certificate") && said.contains("CA removed: CN=tests (until "),
        "{said}"
    );
    let (accepted, _) = meet_client(&server, &deployment.client("client")).await;
    assert_eq!(accepted.unwrap_err().refusal(), Refusal::UnknownCa);
    let (accepted, _) = meet_client(&server, &deployment.client("of-other")).await;
    assert!(accepted.is_ok());
}

#[tokio::test]
async fn a_ca_that_has_ended_is_left_out_and_alone_it_does_not_start() {
    let deployment = Deployment::new();
    let ended = deployment.path("ended");
    ca::new_between(&ended, "ended", now() - 9 * DAY, now() - DAY).unwrap();
    let files = ServerFiles {
        client_ca: ended.join(ca::CERTIFICATE),
        ..deployment.server_files()
    };
    let error = ServerTls::load(files.clone(), KeyExchange::Preferred, &[]).unwrap_err();
    assert!(
        matches!(&error, TlsError::Expired { subject, .. } if subject == "CN=ended"),
        "{error}"
    );

    let both = deployment.path("both.pem");
    let text = [ended.join(ca::CERTIFICATE), deployment.ca_certificate()]
        .map(|path| std::fs::read_to_string(path).unwrap())
        .concat();
    std::fs::write(&both, text).unwrap();
    std::fs::set_permissions(&both, PermissionsExt::from_mode(0o644)).unwrap();
    let server = Arc::new(ServerTls::load(ServerFiles { client_ca: both, ..files }, KeyExchange::Preferred, &[Alpn::Http2]).unwrap());
    let ends: Vec<u64> = server.installed().authorities.iter().map(|authority| authority.not_after).collect();
    assert_eq!(
        ends,
        [now() - DAY, facts(&deployment.ca_certificate()).unwrap()[0].not_after].map(|end| ends
            .iter()
            .copied()
            .find(|seen| seen.abs_diff(end) < 60)
            .unwrap())
    );
    let (accepted, _) = meet_client(&server, &deployment.client("client")).await;
    assert!(accepted.is_ok());
}

#[tokio::test]
async fn a_reload_that_fails_changes_nothing_until_one_succeeds() {
    let deployment = Deployment::new();
    let (server, client) = (deployment.server(KeyExchange::Preferred), deployment.client("client"));
    let before = server.installed();
    let (certificate, key) = (deployment.path("server.crt"), deployment.path("server.key"));
    let (good_certificate, good_key) = (std::fs::read(&certificate).unwrap(), std::fs::read(&key).unwrap());
    deployment.issue(Kind::Server, &["signer.example"], "fresh");

    // Half of a renewal.
    std::fs::copy(deployment.path("fresh.crt"), &certificate).unwrap();
    let error = server.reload().unwrap_err();
    assert!(matches!(error, TlsError::KeyMismatch { .. }), "{error}");
    // The other half, readable by others.
    std::fs::copy(deployment.path("fresh.key"), &key).unwrap();
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o640)).unwrap();
    let error = server.reload().unwrap_err().to_string();
    assert!(error.contains(&format!("`chmod 600 {}`", key.display())), "{error}");
    // Not PEM at all.
    std::fs::write(&certificate, "-----BEGIN CERTIFICATE-----\nAAAA").unwrap();
    assert!(server.reload().is_err());
    std::fs::remove_file(&certificate).unwrap();
    assert!(server.reload().is_err());

    assert!(server.changed(), "until it succeeds");
    assert_eq!(server.installed(), before);
    let (_, dialed) = meet_client(&server, &client).await;
    assert_eq!(dialed.unwrap().fingerprint, before.certificate.fingerprint);

    std::fs::write(&certificate, good_certificate).unwrap();
    std::fs::write(&key, good_key).unwrap();
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::set_permissions(&certificate, PermissionsExt::from_mode(0o644)).unwrap();
    let reload = server.reload().unwrap();
    assert!(!reload.changed() && !server.changed(), "{reload}");
    assert_eq!(
        reload.to_string(),
        format!("the same certificate, valid until {}", utc(before.certificate.not_after))
    );
}
