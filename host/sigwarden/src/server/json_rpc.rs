//! Ethereum's JSON-RPC and Web3Signer's REST over HTTP/1.1, in front of `sigwarden-eth-rpc`, which knows what they say.

use super::TRACEPARENT;
use super::admission::Admitted;
use super::front::Front;
use super::patient::Patient;
use crate::config::ListenerKind;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sigwarden_core::caller::Peer;
use sigwarden_core::pipeline::SignCall;
use sigwarden_core::{Code, KeyState, Operation, RawSignature, Refusal, Role, Scheme};
use sigwarden_eth_rpc::{Account, Ask, Endpoint, Health, Hosts, Listed, answer};
use sigwarden_telemetry::Metrics;
use sigwarden_telemetry::trace::TraceParent;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OnceCell;
use tonic::codegen::http::{Request, Response, StatusCode};

/// How long a client may take for a request's headers, and how long a connection may be idle.
const HEADERS: Duration = Duration::from_secs(30);

/// How long a body may take.
const BODY: Duration = Duration::from_secs(30);

/// Bytes of headers and lines that hyper buffers; clients send under 1 KiB.
const BUFFER_BYTES: usize = 16 * 1024;

/// What hexadecimal and JSON make of a payload: twice, with room for names; a batch has several.
const BODY_FACTOR: usize = 4;

/// Answers requests.
#[derive(Clone)]
pub(super) struct JsonRpc {
    pub(super) front: Front,
    pub(super) payload_bytes: usize,
    /// The ledger is sound and the disk has room.
    pub(super) sound: Arc<dyn Fn() -> bool + Send + Sync>,
    pub(super) metrics: Arc<Metrics>,
}

impl JsonRpc {
    /// Serves one connection to its end. `certificate` says that the client showed one: then it may call the host by any name.
    pub(super) async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send,
        peer: Peer,
        kind: ListenerKind,
        certificate: Option<()>,
    ) {
        let ListenerKind::JsonRpc { chain_id } = kind else { return };
        let hosts = match certificate {
            Some(()) => Hosts::Any,
            None => Hosts::default(),
        };
        let shared = Arc::new((self.clone(), peer, hosts));
        let service = service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move {
                let (rpc, peer, hosts) = &*shared;
                Ok::<_, Infallible>(
                    rpc.respond(request, peer, hosts, chain_id)
                        .await
                        .map(|body| Full::new(Bytes::from(body))),
                )
            }
        });
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(HEADERS)
            .max_buf_size(BUFFER_BYTES);
        // A client that hangs up is no fault.
        drop(http.serve_connection(TokioIo::new(Patient::new(stream)), service).await);
    }

    async fn respond(&self, request: Request<Incoming>, peer: &Peer, hosts: &Hosts, chain_id: u64) -> Response<Vec<u8>> {
        let (parts, body) = request.into_parts();
        let most = self
            .payload_bytes
            .saturating_mul(BODY_FACTOR)
            .min(sigwarden_eth_rpc::BODY_BYTES_MAX);
        let body = match tokio::time::timeout(BODY, Limited::new(body, most).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return plain(StatusCode::PAYLOAD_TOO_LARGE, &format!("a body has at most {most} bytes\n"));
            }
            Ok(Err(_)) => return plain(StatusCode::BAD_REQUEST, "the body could not be read\n"),
            Err(_) => return plain(StatusCode::REQUEST_TIMEOUT, "the body came too slowly\n"),
        };
        let endpoint = Endpoint { chain_id, hosts };
        // Each call of a batch is let in by itself; they share what was listed for the first.
        let listed = OnceCell::new();
        let list = || async {
            let admitted = self.front.let_in(peer)?;
            let accounts = listed.get_or_try_init(|| self.accounts(peer, admitted.clone())).await?;
            let accounts = Arc::clone(accounts);
            Ok(Listed { accounts, admitted })
        };
        let health = || Health {
            checks: vec![("ledger", (self.sound)())],
        };
        let header = parts.headers.get(TRACEPARENT).and_then(|value| value.to_str().ok());
        let parent = self.front.parent(header);
        let ask = |ask, admitted| self.ask(peer.clone(), ask, parent, admitted);
        let told = |method: &str, answered| self.metrics.json_rpc(method, answered);
        answer(&Request::from_parts(parts, body), &endpoint, list, health, ask, told).await
    }

    /// The keys of EVM accounts that the caller may know of.
    async fn accounts(&self, peer: &Peer, admitted: Admitted) -> Result<Arc<[Account]>, Refusal> {
        let readable = self.front.list_keys_admitted(peer.clone(), admitted).await?;
        let signs = |state| matches!(state, KeyState::Active | KeyState::Grace);
        let accounts = readable.iter().filter(|readable| {
            readable.key.roles.contains(&Role::Account) && readable.key.scheme == Scheme::Secp256k1Ecdsa && signs(readable.status.state)
        });
        // A pinned key is a point of its curve.
        Ok(accounts
            .filter_map(|readable| Account::new(readable.key.id.to_string(), &readable.key.public_key).ok())
            .collect())
    }

    async fn ask(&self, peer: Peer, ask: Ask, parent: Option<TraceParent>, admitted: Admitted) -> Result<RawSignature, Refusal> {
        let call = SignCall {
            operation: Operation::Sign.name().to_owned(),
            key: ask.key,
            format: ask.format.name().to_owned(),
            scheme: String::new(),
            request_id: String::new(),
            payload: ask.payload,
            received: Instant::now(),
        };
        let signed = self.front.sign_admitted(peer, call, parent, admitted).await?;
        let first = signed.signatures.into_iter().next();
        first.ok_or_else(|| Refusal::new(Code::Internal, "a signature was made, and there is none"))
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Vec<u8>> {
    let mut response = Response::new(text.as_bytes().to_vec());
    *response.status_mut() = status;
    response
}
