//! A message that never reaches the service: over the transport's own limit, which tonic answers with `OUT_OF_RANGE`, or no protobuf,
//! which it answers with `INTERNAL`. Here those answers become refusals like any other, with their code and their record.

use super::connection::ConnectedPeer;
use super::{CODE_KEY, to_status};
use sigwarden_core::pipeline::SignCall;
use sigwarden_core::{Code, Operation, Pipeline, Refusal};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tonic::Status;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tower::{Layer, Service};

/// Wraps a service so.
#[derive(Clone)]
pub(super) struct Unread {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) payload_bytes: usize,
}

/// A service that is wrapped so.
#[derive(Clone)]
pub(super) struct Refusing<S> {
    inner: S,
    layer: Unread,
}

impl<S> Layer<S> for Unread {
    type Service = Refusing<S>;

    fn layer(&self, inner: S) -> Refusing<S> {
        Refusing {
            inner,
            layer: self.clone(),
        }
    }
}

impl<S, A, B> Service<Request<A>> for Refusing<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    B: Default,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let peer = request.extensions().get::<ConnectedPeer>().cloned();
        let method = Method::of(request.uri().path());
        let layer = self.layer.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            match (method, layer.refusal(response.headers())) {
                (Some(method), Some(refusal)) => Ok(to_status(&layer.refuse(peer, method, refusal)).into_http()),
                (None, _) | (_, None) => Ok(response),
            }
        })
    }
}

/// What was asked, as far as it can be told without the message.
#[derive(Clone, Copy)]
struct Method(Operation);

impl Method {
    /// None for what is no method of ours.
    fn of(path: &str) -> Option<Self> {
        let name = path.strip_prefix("/sigwarden.v1.Signer/")?;
        Some(Self(match name {
            "Sign" => Operation::Sign,
            "Decapsulate" => Operation::Decapsulate,
            _ => Operation::PublicKey,
        }))
    }
}

impl Unread {
    /// The refusal that an answer of tonic's own stands for; none if it is another answer.
    fn refusal(&self, headers: &HeaderMap) -> Option<Refusal> {
        // An answer without a body has its status among its headers; a refusal of ours has its code there too.
        if headers.contains_key(CODE_KEY) {
            return None;
        }
        let status = Status::from_header_map(headers)?;
        let [too_large, malformed] = [tonic::Code::OutOfRange, tonic::Code::Internal].map(|code| status.code() == code);
        if too_large {
            let message = format!(
                "the message is larger than any with a payload of {} bytes, which are allowed",
                self.payload_bytes
            );
            return Some(Refusal::new(Code::RequestTooLarge, message));
        }
        malformed.then(|| {
            let message = "the message is not the protobuf message of this method; see sigwarden.proto, or ask by reflection";
            Refusal::new(Code::RequestMalformed, message)
        })
    }

    fn refuse(&self, peer: Option<ConnectedPeer>, method: Method, refusal: Refusal) -> Refusal {
        let Some(ConnectedPeer(peer, _)) = peer else { return refusal };
        let call = SignCall {
            operation: method.0.name().to_owned(),
            key: String::new(),
            format: String::new(),
            scheme: String::new(),
            request_id: String::new(),
            payload: Vec::new(),
            received: Instant::now(),
        };
        self.pipeline.refuse(peer, &call, refusal)
    }
}
