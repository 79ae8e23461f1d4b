//! The daemon's edge over a real socket, with the real pipeline and ledger behind it; policies and the key are stand-ins that a test
//! can hold at a gate, so that nothing waits for a clock.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod stand;

use sigwarden::client::CallError;
use sigwarden::proto;
use sigwarden::server::{ServeError, SocketError};
use sigwarden_core::Ledger;
use stand::{KEY, Stand, request};
use std::os::unix::fs::PermissionsExt;

fn code(error: &CallError) -> &str {
    match error {
        CallError::Refused(refusal) => &refusal.code,
        CallError::Unreachable { .. } | CallError::Failed { .. } => panic!("no refusal: {error}"),
    }
}

/// A connection for what the client cannot say.
async fn channel(socket: &std::path::Path) -> tonic::transport::Channel {
    let path = socket.to_owned();
    let connector = tower::service_fn(move |_: tonic::transport::Uri| {
        let path = path.clone();
        async move { tokio::net::UnixStream::connect(path).await.map(hyper_util::rt::TokioIo::new) }
    });
    let endpoint = tonic::transport::Endpoint::from_static("http://x");
    endpoint.connect_with_connector(connector).await.unwrap()
}

#[test]
fn a_signature_comes_back_with_everything_that_verifies_it() {
    let stand = Stand::start();
    stand.block_on(async {
        let mut client = stand.client().await;
        let signed = client.sign(request("one")).await.unwrap();
        assert_eq!(signed.signatures.len(), 1);
        assert_eq!(signed.signatures[0].signature.len(), 64);
        assert_eq!(signed.signatures[0].recovery_id.map(|id| id < 4), Some(true));
        assert_eq!(
            (signed.key.as_str(), signed.key_version, signed.scheme.as_str()),
            ("demo.account.v1", 1, "secp256k1-ecdsa")
        );
        assert_eq!(
            (signed.request_id.as_str(), signed.replay, signed.timestamp_signed),
            ("one", false, None)
        );
        let key = client.public_key(KEY).await.unwrap();
        assert_eq!(key.public_key, signed.public_key);
        assert_eq!(
            (key.state.as_str(), key.uses, key.roles.as_slice()),
            ("active", 1, ["account".to_owned()].as_slice())
        );
        assert_eq!(client.list_keys().await.unwrap(), vec![key]);
        let health = client.health().await.unwrap();
        assert!(health.ready && health.reason.is_empty());
        assert!(health.last_sequence >= signed.sequence);
        assert_eq!(health.network, "devnet");
    });
    stand.stop().unwrap();
}

#[test]
fn refusals_carry_their_code_and_are_recorded() {
    let stand = Stand::start();
    let refuse = |change: &dyn Fn(&mut proto::SignRequest)| {
        let mut request = request("r");
        change(&mut request);
        stand.block_on(async { stand.client().await.sign(request).await.unwrap_err() })
    };
    let unknown = refuse(&|request| request.key = "demo.nobody".into());
    assert_eq!(code(&unknown), "caller/forbidden");
    assert_eq!(
        code(&refuse(&|request| request.format = "evm/eip-9999".into())),
        "request/unknown-format"
    );
    assert_eq!(
        code(&refuse(&|request| request.operation = "export".into())),
        "request/unknown-operation"
    );
    assert_eq!(code(&refuse(&|request| request.scheme = "rsa".into())), "request/unknown-scheme");
    assert_eq!(code(&refuse(&|request| request.scheme = "ed25519".into())), "key/scheme-mismatch");
    assert_eq!(code(&refuse(&|request| request.request_id = "x".repeat(65))), "request/malformed");
    assert_eq!(
        code(&refuse(&|request| request.payload = vec![0; 64 * 1024 + 1])),
        "request/too-large"
    );
    assert_eq!(code(&refuse(&|request| request.payload.truncate(5))), "payload/malformed");
    let codes = stand.stop_and_read_refusals();
    assert_eq!(
        codes,
        [
            "caller/forbidden",
            "request/unknown-format",
            "request/unknown-operation",
            "request/unknown-scheme",
            "key/scheme-mismatch",
            "request/malformed",
            "request/too-large",
            "payload/malformed",
        ]
    );
}

#[test]
fn a_message_that_the_transport_refuses_is_a_refusal_like_any_other() {
    let stand = Stand::start();
    stand.block_on(async {
        let mut client = stand.client().await;
        let mut huge = request("huge");
        huge.payload = vec![0; 2 * 1024 * 1024];
        assert_eq!(code(&client.sign(huge).await.unwrap_err()), "request/too-large");
        client.sign(request("after")).await.unwrap();
    });
    assert_eq!(stand.stop_and_read_refusals(), ["request/too-large"]);
}

#[test]
fn a_message_that_is_no_protobuf_is_refused_and_recorded() {
    let stand = Stand::start();
    let status = stand.block_on(async {
        let mut grpc = tonic::client::Grpc::new(channel(&stand.socket).await);
        grpc.ready().await.unwrap();
        // Field 1 is a varint here, a string in SignRequest.
        let wrong = prost_types::Timestamp { seconds: 1, nanos: 0 };
        let codec = tonic_prost::ProstCodec::<prost_types::Timestamp, proto::SignResponse>::default();
        let path = tonic::codegen::http::uri::PathAndQuery::from_static("/sigwarden.v1.Signer/Sign");
        grpc.unary(tonic::Request::new(wrong), path, codec).await.unwrap_err()
    });
    assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status}");
    assert_eq!(status.metadata().get(sigwarden::server::CODE_KEY).unwrap(), "request/malformed");
    assert_eq!(stand.stop_and_read_refusals(), ["request/malformed"]);
}

#[test]
fn a_uid_with_its_share_of_connections_gets_no_more_until_one_closes() {
    let stand = Stand::with(|limits| {
        limits.connections = 4;
        limits.connections_per_client = 1;
    });
    stand.block_on(async {
        let mut first = stand.client().await;
        assert!(first.health().await.unwrap().ready);
        let call = async { sigwarden::client::Client::connect(&stand.socket).await?.health().await };
        let error = call.await.unwrap_err();
        assert!(error.refusal().is_none(), "{error}");
        assert!(first.health().await.unwrap().ready, "the one that is open stays open");
        drop(first);
        // The daemon notices the hang-up in its own time.
        while async { sigwarden::client::Client::connect(&stand.socket).await?.health().await }
            .await
            .is_err()
        {
            tokio::task::yield_now().await;
        }
    });
    stand.stop().unwrap();
}

#[test]
fn a_full_queue_refuses_and_what_waits_is_still_signed() {
    let stand = Stand::with(|limits| {
        limits.threads = 1;
        limits.queue = 1;
    });
    stand.gate.close();
    stand.block_on(async {
        let sign = |id: &'static str| {
            let socket = stand.socket.clone();
            tokio::spawn(async move { sigwarden::client::Client::connect(&socket).await?.sign(request(id)).await })
        };
        let running = sign("running");
        stand.gate.entered().await;
        let waiting = sign("waiting");
        let mut client = stand.client().await;
        while client.health().await.unwrap().queued == 0 {
            tokio::task::yield_now().await;
        }
        let refused = client.sign(request("refused")).await.unwrap_err();
        assert_eq!(code(&refused), "busy/queue-full");
        stand.gate.open();
        assert_eq!(running.await.unwrap().unwrap().request_id, "running");
        assert_eq!(waiting.await.unwrap().unwrap().request_id, "waiting");
    });
    assert_eq!(stand.stop_and_read_refusals(), ["busy/queue-full"]);
}

#[test]
fn a_client_that_hangs_up_cancels_nothing() {
    let stand = Stand::start();
    stand.gate.close();
    stand.block_on(async {
        let socket = stand.socket.clone();
        let call = tokio::spawn(async move { sigwarden::client::Client::connect(&socket).await?.sign(request("gone")).await });
        stand.gate.entered().await;
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        stand.gate.open();
        // Past its decision: a stop before it would refuse the request, as it should.
        stand.signing.entered().await;
    });
    let ledger = stand.stop().unwrap();
    let uses: Vec<u64> = ledger.snapshot().keys.values().map(|status| status.uses).collect();
    assert_eq!(uses, [1], "the request was decided and signed although nobody waited");
}

#[test]
fn a_stop_refuses_what_has_no_decision_and_ends_in_order() {
    let stand = Stand::start();
    stand.gate.close();
    let refused = stand.block_on(async {
        let socket = stand.socket.clone();
        let call = tokio::spawn(async move { sigwarden::client::Client::connect(&socket).await?.sign(request("late")).await });
        stand.gate.entered().await;
        stand.ask_to_stop();
        // The socket goes when the daemon stops accepting.
        while stand.socket.exists() {
            tokio::task::yield_now().await;
        }
        stand.gate.open();
        call.await.unwrap().unwrap_err()
    });
    assert_eq!(code(&refused), "busy/stopping");
    assert_eq!(stand.stop_and_read_refusals(), ["busy/stopping"]);
}

#[test]
fn a_stop_lets_a_request_past_its_decision_finish() {
    let stand = Stand::start();
    stand.signing.close();
    let signed = stand.block_on(async {
        let socket = stand.socket.clone();
        let call = tokio::spawn(async move { sigwarden::client::Client::connect(&socket).await?.sign(request("decided")).await });
        stand.signing.entered().await;
        stand.ask_to_stop();
        while stand.socket.exists() {
            tokio::task::yield_now().await;
        }
        stand.signing.open();
        call.await.unwrap().unwrap()
    });
    assert_eq!(signed.request_id, "decided");
    stand.stop().unwrap();
}

#[test]
fn a_uid_that_is_no_client_is_closed_and_recorded() {
    let stand = Stand::for_uid(rustix::process::getuid().as_raw() + 1);
    stand.block_on(async {
        let called = async { sigwarden::client::Client::connect(&stand.socket).await?.sign(request("x")).await };
        let error = called.await.unwrap_err();
        assert!(error.refusal().is_none(), "{error}");
    });
    let codes = stand.stop_and_read_refusals();
    assert!(
        !codes.is_empty() && codes.iter().all(|code| code == "caller/unauthenticated"),
        "{codes:?}"
    );
}

#[test]
fn a_failed_ledger_stops_the_daemon() {
    let stand = Stand::start();
    stand.fatal.set_off("fdatasync: no");
    let error = stand.wait().unwrap_err();
    assert!(matches!(&error, ServeError::Ledger(reason) if reason == "fdatasync: no"), "{error}");
}

#[test]
fn a_full_disk_is_not_ready_until_there_is_room() {
    let stand = Stand::start();
    let health = || stand.block_on(async { stand.client().await.health().await.unwrap() });
    stand.full.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!((health().ready, health().reason.as_str()), (false, "the disk is full"));
    stand.full.store(false, std::sync::atomic::Ordering::SeqCst);
    assert!(health().ready);
    stand.stop().unwrap();
}

#[test]
fn reflection_tells_the_service() {
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let stand = Stand::start();
    let names = stand.block_on(async {
        let ask = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let answers = ServerReflectionClient::new(channel(&stand.socket).await)
            .server_reflection_info(tokio_stream::once(ask))
            .await
            .unwrap();
        let answer = answers.into_inner().message().await.unwrap().unwrap().message_response;
        let Some(MessageResponse::ListServicesResponse(services)) = answer else {
            panic!("{answer:?}")
        };
        services.service.into_iter().map(|service| service.name).collect::<Vec<_>>()
    });
    assert!(names.contains(&"sigwarden.v1.Signer".to_owned()), "{names:?}");
    stand.stop().unwrap();
}

#[test]
fn the_socket_is_for_its_owner_and_a_stale_one_is_replaced() {
    let stand = Stand::start();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&stand.socket), 0o600);
    assert_eq!(mode(stand.socket.parent().unwrap()), 0o750);
    stand.stop().unwrap();

    let stand = Stand::prepared(
        |socket| {
            std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
            drop(std::os::unix::net::UnixListener::bind(socket).unwrap());
        },
        |parts| parts.socket_group_access = true,
    );
    assert_eq!(mode(&stand.socket), 0o660);
    stand.block_on(async { stand.client().await.health().await.unwrap() });
    let socket = stand.socket.clone();
    stand.stop().unwrap();
    assert!(!socket.exists(), "a stopped daemon leaves no socket");
}

#[test]
fn what_is_no_socket_is_not_removed() {
    let write = |socket: &std::path::Path| {
        std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
        std::fs::write(socket, "precious").unwrap();
    };
    let stand = Stand::prepared(write, |_| {});
    let socket = stand.socket.clone();
    let error = stand
        .wait_keeping(|| assert_eq!(std::fs::read_to_string(&socket).unwrap(), "precious"))
        .unwrap_err();
    assert!(matches!(error, ServeError::Socket(SocketError::Occupied { .. })), "{error}");
}
