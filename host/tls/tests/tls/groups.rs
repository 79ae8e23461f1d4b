//! Key exchange.

use crate::support::{Deployment, Raw, meet, meet_client};
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::kx_group::{MLKEM768, SECP256R1, SECP384R1, X25519, X25519MLKEM768};
use sigwarden_tls::{Alpn, ClientTls, Group, HandshakeError, KeyExchange, Refusal};

async fn group(exchange: KeyExchange, groups: &[&'static dyn SupportedKxGroup]) -> Result<Group, (Refusal, String)> {
    let deployment = Deployment::new();
    let mut client = Raw::new(&deployment, Some("client"));
    client.groups = groups.to_vec();
    let (accepted, connected) = meet(&deployment.server(exchange), &client).await;
    accepted.map(|accepted| accepted.group).map_err(|error| {
        let told = HandshakeError::within(&connected.unwrap_err()).unwrap();
        assert_eq!(told.refusal(), Refusal::Alert);
        (error.refusal(), error.to_string())
    })
}

#[tokio::test]
async fn who_knows_x25519mlkem768_gets_it_whatever_it_likes_better() {
    use KeyExchange::{Preferred, RequirePostQuantum};
    for exchange in [Preferred, RequirePostQuantum] {
        for groups in [[X25519MLKEM768, X25519], [X25519, X25519MLKEM768], [SECP256R1, X25519MLKEM768]] {
            assert_eq!(group(exchange, &groups).await, Ok(Group::X25519MlKem768));
        }
    }
}

#[tokio::test]
async fn who_does_not_know_it_gets_another_unless_it_is_required() {
    for (only, expected) in [(X25519, Group::X25519), (SECP256R1, Group::P256)] {
        assert_eq!(group(KeyExchange::Preferred, &[only]).await, Ok(expected));
        let (refusal, text) = group(KeyExchange::RequirePostQuantum, &[only]).await.unwrap_err();
        assert_eq!(refusal, Refusal::KeyExchange);
        assert!(text.contains("X25519MLKEM768 is wanted at both ends"), "{text}");
    }
}

#[tokio::test]
async fn a_group_that_is_not_offered_is_not_taken() {
    for only in [SECP384R1, MLKEM768] {
        assert_eq!(group(KeyExchange::Preferred, &[only]).await.unwrap_err().0, Refusal::KeyExchange);
    }
}

#[tokio::test]
async fn both_sides_of_this_crate_agree_when_it_is_required() {
    let deployment = Deployment::new();
    let client = ClientTls::load(deployment.client_files("client"), KeyExchange::RequirePostQuantum, &[Alpn::Http2]).unwrap();
    for exchange in [KeyExchange::RequirePostQuantum, KeyExchange::Preferred] {
        let (accepted, dialed) = meet_client(&deployment.server(exchange), &client).await;
        assert_eq!(
            (accepted.unwrap().group, dialed.unwrap().group),
            (Group::X25519MlKem768, Group::X25519MlKem768)
        );
    }
    assert!(Group::X25519MlKem768.is_post_quantum() && !Group::X25519.is_post_quantum() && !Group::P256.is_post_quantum());
}

#[test]
fn groups_are_named_as_the_registry_of_tls_names_them() {
    let names = [Group::X25519MlKem768, Group::X25519, Group::P256].map(Group::as_str);
    assert_eq!(names, ["X25519MLKEM768", "x25519", "secp256r1"]);
}
