//! Who does not get in, and what is said of it.

use crate::support::{DAY, Deployment, PATIENCE, Raw, listen, meet, now};
use sigwarden_tls::ca::{self, Kind};
use sigwarden_tls::{HandshakeError, KeyExchange, Refusal};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Tries, and asserts the class, words of the server's sentence, and words of what the client learns.
async fn refused(deployment: &Deployment, client: &Raw, class: Refusal, server_says: &str, client_learns: &str) {
    let (accepted, connected) = meet(&deployment.server(KeyExchange::Preferred), client).await;
    let error = accepted.expect_err("refused");
    assert_eq!(error.refusal(), class, "{error}");
    assert!(error.to_string().contains(server_says), "{error}");
    let told = HandshakeError::within(&connected.expect_err("refused")).expect("an alert");
    assert!(told.to_string().contains(client_learns), "{told}");
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused() {
    let deployment = Deployment::new();
    let client = Raw::new(&deployment, None);
    refused(
        &deployment,
        &client,
        Refusal::NoCertificate,
        "give it one of the listener's client_ca",
        "it wants a certificate",
    )
    .await;
}

#[tokio::test]
async fn a_certificate_of_another_ca_is_refused_also_if_that_has_the_same_name() {
    let deployment = Deployment::new();
    for name in ["another", "tests"] {
        let dir = deployment.path(name);
        ca::new(&dir, name, 30).unwrap();
        ca::issue(&dir, &deployment.request(Kind::Client, &["node-a.example"], &format!("of-{name}"))).unwrap();
        let client = Raw::new(&deployment, Some(&format!("of-{name}")));
        refused(
            &deployment,
            &client,
            Refusal::UnknownCa,
            "the client's certificate is of another CA",
            "it does not know the CA",
        )
        .await;
    }
}

#[tokio::test]
async fn a_certificate_is_refused_before_its_time_and_after_it() {
    let deployment = Deployment::new();
    let request = |stem| deployment.request(Kind::Client, &["node-a.example"], stem);
    ca::issue_between(&deployment.ca(), &request("ended"), now() - 2 * DAY, now() - DAY).unwrap();
    ca::issue_between(&deployment.ca(), &request("later"), now() + DAY, now() + 2 * DAY).unwrap();
    let ended = Raw::new(&deployment, Some("ended"));
    refused(&deployment, &ended, Refusal::Expired, "has ended", "the certificate has ended").await;
    let later = Raw::new(&deployment, Some("later"));
    refused(&deployment, &later, Refusal::NotYetValid, "compare the clocks", "begins later").await;
}

#[tokio::test]
async fn a_servers_certificate_is_no_clients() {
    let deployment = Deployment::new();
    let client = Raw::new(&deployment, Some("server"));
    refused(&deployment, &client, Refusal::Purpose, "certs issue client", "another purpose").await;
}

#[tokio::test]
async fn a_ca_is_no_client() {
    let deployment = Deployment::new();
    let mut client = Raw::new(&deployment, None);
    client.own = Some((deployment.ca_certificate(), deployment.ca().join(ca::KEY)));
    refused(&deployment, &client, Refusal::Certificate, "is not taken", "refused").await;
}

#[tokio::test]
async fn a_certificate_without_its_key_is_refused() {
    let deployment = Deployment::new();
    deployment.issue(Kind::Client, &["mallory.example"], "mallory");
    let mut client = Raw::new(&deployment, None);
    client.own = Some((deployment.path("client.crt"), deployment.path("mallory.key")));
    refused(
        &deployment,
        &client,
        Refusal::Certificate,
        "the other side does not hold its key",
        "is the key the certificate's?",
    )
    .await;
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let deployment = Deployment::new();
    let mut client = Raw::new(&deployment, Some("client"));
    client.version = &rustls::version::TLS12;
    refused(
        &deployment,
        &client,
        Refusal::Version,
        "does not speak TLS 1.3",
        "another version of TLS",
    )
    .await;
}

#[tokio::test]
async fn a_protocol_that_is_not_spoken_inside_is_refused() {
    let deployment = Deployment::new();
    let mut client = Raw::new(&deployment, Some("client"));
    client.alpn = vec![b"http/1.1".to_vec()];
    refused(
        &deployment,
        &client,
        Refusal::Protocol,
        "is it the right port?",
        "no common protocol",
    )
    .await;
    client.alpn.push(b"h2".to_vec());
    let (accepted, _) = meet(&deployment.server(KeyExchange::Preferred), &client).await;
    assert!(accepted.is_ok(), "one of two is enough");
}

#[tokio::test]
async fn no_session_is_resumed_and_no_ticket_is_given() {
    let deployment = Deployment::new();
    let server = deployment.server(KeyExchange::Preferred);
    let connector = tokio_rustls::TlsConnector::from(Raw::new(&deployment, Some("client")).config());
    for _ in 0..2 {
        let (address, accepting) = listen(&server, PATIENCE).await;
        let name = rustls::pki_types::ServerName::try_from(crate::support::SERVER).unwrap();
        let mut client = connector.connect(name, TcpStream::connect(address).await.unwrap()).await.unwrap();
        let mut accepted = accepting.await.unwrap().unwrap();
        accepted.stream.write_all(b"x").await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'x', "a ticket would have come before this");
        let connection = client.get_ref().1;
        assert_eq!(connection.handshake_kind(), Some(rustls::HandshakeKind::Full));
        assert_eq!(connection.tls13_tickets_received(), 0);
    }
}

/// Sends bytes instead of a handshake.
async fn sent(bytes: &[u8]) -> HandshakeError {
    let deployment = Deployment::new();
    let (address, accepting) = listen(&deployment.server(KeyExchange::Preferred), PATIENCE).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    accepting.await.unwrap().expect_err("no handshake")
}

#[tokio::test]
async fn what_is_not_tls_is_named_so() {
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: signer.example\r\n\r\n".as_slice(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        // A record of application data, and an alert, where a hello belongs.
        &[0x17, 3, 3, 0, 1, 0],
        &[0x16, 3, 1, 0, 4, 0xff, 0, 0, 0],
        // A hello that says it has 16 MiB.
        &[0x16, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff],
    ] {
        let error = sent(bytes).await;
        assert_eq!(error.refusal(), Refusal::NotTls, "{bytes:?}: {error}");
        assert!(error.to_string().contains("the client must use TLS on this port"), "{error}");
    }
}

#[tokio::test]
async fn who_goes_away_is_counted_as_gone() {
    for bytes in [b"".as_slice(), &[0x16, 3, 1, 2, 0, 1]] {
        let error = sent(bytes).await;
        assert_eq!(error.refusal(), Refusal::Disconnected, "{error}");
    }
}

/// The clock is virtual and goes on when nothing else does: nobody waits.
#[tokio::test(start_paused = true)]
async fn a_half_open_connection_ends_at_the_deadline() {
    let deployment = Deployment::new();
    let (address, accepting) = listen(&deployment.server(KeyExchange::Preferred), Duration::from_secs(5)).await;
    let _silent = TcpStream::connect(address).await.unwrap();
    let error = accepting.await.unwrap().expect_err("nobody speaks");
    assert_eq!(error.refusal(), Refusal::Timeout);
    assert!(error.to_string().contains("5000 ms have passed"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_handshake_ends_at_the_deadline_however_busy_it_looks() {
    let deployment = Deployment::new();
    let (address, accepting) = listen(&deployment.server(KeyExchange::Preferred), Duration::from_secs(5)).await;
    let mut slow = TcpStream::connect(address).await.unwrap();
    let dripping = tokio::spawn(async move {
        // A record of 16 KiB, byte by byte, one a second.
        for byte in [0x16, 3, 1, 0x40, 0].into_iter().chain(std::iter::repeat(0)) {
            if slow.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    assert_eq!(accepting.await.unwrap().expect_err("too slow").refusal(), Refusal::Timeout);
    dripping.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_after_its_hello_ends_at_the_deadline() {
    let deployment = Deployment::new();
    let (address, accepting) = listen(&deployment.server(KeyExchange::Preferred), Duration::from_secs(5)).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from(crate::support::SERVER).unwrap();
    let mut client = rustls::ClientConnection::new(Raw::new(&deployment, Some("client")).config(), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    stream.write_all(&hello).await.unwrap();
    assert_eq!(accepting.await.unwrap().expect_err("it stopped").refusal(), Refusal::Timeout);
}
