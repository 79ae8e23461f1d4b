//! A message over the transport's own limit never reaches the service: tonic answers it with `OUT_OF_RANGE`. Here that answer becomes
//! a refusal like any other, with its code and its record.

use super::listener::ConnectedPeer;
use super::to_status;
use sigwarden_core::pipeline::SignCall;
use sigwarden_core::{Code, Operation, Pipeline, Refusal};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tonic::Status;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};

/// Wraps a service so.
#[derive(Clone)]
pub(super) struct Oversize {
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) payload_bytes: usize,
}

/// A service that is wrapped so.
#[derive(Clone)]
pub(super) struct Refusing<S> {
    inner: S,
    layer: Oversize,
}

impl<S> Layer<S> for Oversize {
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
        let peer = request.extensions().get::<ConnectedPeer>().copied();
        let layer = self.layer.clone();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            // No refusal of ours has this code; an answer without a body has its status among its headers.
            let too_large = Status::from_header_map(response.headers()).is_some_and(|status| status.code() == tonic::Code::OutOfRange);
            if !too_large {
                return Ok(response);
            }
            Ok(to_status(&layer.refuse(peer)).into_http())
        })
    }
}

impl Oversize {
    fn refuse(&self, peer: Option<ConnectedPeer>) -> Refusal {
        let message = format!(
            "the message is larger than any with a payload of {} bytes, which are allowed",
            self.payload_bytes
        );
        let refusal = Refusal::new(Code::RequestTooLarge, message);
        let Some(ConnectedPeer(peer)) = peer else { return refusal };
        let call = SignCall {
            operation: Operation::Sign.name().to_owned(),
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
