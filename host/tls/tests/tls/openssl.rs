//! Another implementation as the client.

use crate::support::{DAY, Deployment, NODE, PATIENCE, listen, now, openssl};
use sigwarden_tls::ca::{self, Kind};
use sigwarden_tls::{Accepted, Group, HandshakeError, KeyExchange, Refusal};
use tokio::net::TcpStream;

/// Lets `openssl s_client` connect; what the server says, and what openssl printed.
async fn s_client(deployment: &Deployment, more: &[&str]) -> (Result<Accepted<TcpStream>, HandshakeError>, String) {
    let (address, accepting) = listen(&deployment.server(KeyExchange::Preferred), PATIENCE).await;
    let mut arguments: Vec<String> = [
        "s_client",
        "-brief",
        "-verify_return_error",
        "-servername",
        "signer.example",
        "-connect",
    ]
    .map(str::to_owned)
    .to_vec();
    arguments.push(address.to_string());
    arguments.extend(["-CAfile".to_owned(), deployment.ca_certificate().to_str().unwrap().to_owned()]);
    arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
    let ran = tokio::task::spawn_blocking(move || openssl(&arguments.iter().map(String::as_str).collect::<Vec<_>>()));
    let accepted = accepting.await.unwrap();
    let output = ran.await.unwrap();
    (accepted, String::from_utf8_lossy(&output.stderr).into_owned())
}

fn own(deployment: &Deployment, stem: &str) -> Vec<String> {
    let path = |suffix: &str| deployment.path(&format!("{stem}.{suffix}")).to_str().unwrap().to_owned();
    vec!["-cert".to_owned(), path("crt"), "-key".to_owned(), path("key")]
}

async fn with(deployment: &Deployment, stem: &str, more: &[&str]) -> (Result<Accepted<TcpStream>, HandshakeError>, String) {
    let own = own(deployment, stem);
    let mut arguments: Vec<&str> = own.iter().map(String::as_str).collect();
    arguments.extend(more);
    s_client(deployment, &arguments).await
}

#[tokio::test]
async fn openssl_gets_in_with_a_certificate() {
    let deployment = Deployment::new();
    let (accepted, printed) = with(&deployment, "client", &["-groups", "X25519", "-verify_hostname", "signer.example"]).await;
    let accepted = accepted.unwrap();
    assert_eq!(accepted.identity.names, [NODE.parse().unwrap()]);
    assert_eq!((accepted.group, accepted.alpn), (Group::X25519, None));
    assert!(printed.contains("Protocol version: TLSv1.3"), "{printed}");
    assert!(printed.contains("Verification: OK"), "{printed}");
}

#[tokio::test]
async fn openssl_is_refused_as_anybody_is() {
    let deployment = Deployment::new();
    let (accepted, _) = s_client(&deployment, &[]).await;
    assert_eq!(accepted.unwrap_err().refusal(), Refusal::NoCertificate);

    let (accepted, printed) = with(&deployment, "client", &["-tls1_2"]).await;
    assert_eq!(accepted.unwrap_err().refusal(), Refusal::Version);
    assert!(printed.contains("alert protocol version"), "{printed}");

    let (accepted, printed) = with(&deployment, "client", &["-groups", "P-521"]).await;
    assert_eq!(accepted.unwrap_err().refusal(), Refusal::KeyExchange);
    assert!(printed.contains("alert handshake failure"), "{printed}");

    let request = deployment.request(Kind::Client, &[NODE], "ended");
    ca::issue_between(&deployment.ca(), &request, now() - 2 * DAY, now() - DAY).unwrap();
    let (accepted, _) = with(&deployment, "ended", &[]).await;
    assert_eq!(accepted.unwrap_err().refusal(), Refusal::Expired);

    ca::new(&deployment.path("other"), "other", 30).unwrap();
    ca::issue(&deployment.path("other"), &deployment.request(Kind::Client, &[NODE], "foreign")).unwrap();
    let (accepted, _) = with(&deployment, "foreign", &[]).await;
    assert_eq!(accepted.unwrap_err().refusal(), Refusal::UnknownCa);
}
