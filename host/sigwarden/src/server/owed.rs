//! What a client owes: the rest of a message that it began to send, and to take an answer that it asked for. Either keeps memory here,
//! and pings alone would keep it for ever. A connection that owes for too long is closed.

use super::connection::ConnectedPeer;
use hyper::body::{Body, Frame, SizeHint};
use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tonic::Status;
use tonic::codegen::Bytes;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};

/// How long either may take: a message or an answer of 100 KiB over 1 KiB/s. What a slow backend keeps waiting is answered before.
const OWED: Duration = Duration::from_secs(120);

/// Methods whose answers have no end of their own; what they hold is bounded by the message.
const STREAMS: [&str; 2] = ["/sigwarden.v1.Signer/SignStream", "/grpc.reflection."];

/// What one connection owes; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Debts(Arc<Mutex<Due>>);

#[derive(Debug, Default)]
struct Due {
    /// When each is due, and its number.
    at: BTreeSet<(Instant, u64)>,
    next: u64,
}

/// One thing that is owed, until it is dropped.
#[derive(Debug)]
struct Debt {
    of: Debts,
    due: (Instant, u64),
}

impl Debts {
    fn begin(&self, within: Duration) -> Debt {
        let mut due = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        due.next += 1;
        let one = (Instant::now() + within, due.next);
        due.at.insert(one);
        drop(due);
        Debt {
            of: self.clone(),
            due: one,
        }
    }

    /// Whether any is.
    pub(super) fn are_overdue(&self) -> bool {
        let due = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        due.at.first().is_some_and(|(at, _)| *at <= Instant::now())
    }
}

impl Drop for Debt {
    fn drop(&mut self) {
        self.of.0.lock().unwrap_or_else(PoisonError::into_inner).at.remove(&self.due);
    }
}

/// Follows the bodies of every call.
#[derive(Clone, Copy)]
pub(super) struct Owed;

/// A service that is wrapped so.
#[derive(Clone)]
pub(super) struct Following<S>(S);

impl<S> Layer<S> for Owed {
    type Service = Following<S>;

    fn layer(&self, inner: S) -> Following<S> {
        Following(inner)
    }
}

impl<S, B> Service<Request<tonic::body::Body>> for Following<S>
where
    S: Service<Request<tonic::body::Body>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<Answer<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let debts = request
            .extensions()
            .get::<ConnectedPeer>()
            .map(|ConnectedPeer(_, debts)| debts.clone());
        let debts = debts.unwrap_or_default();
        let ends = !STREAMS.iter().any(|stream| request.uri().path().starts_with(stream));
        let question = |body| {
            tonic::body::Body::new(Question {
                body,
                framing: Framing::default(),
                debts: debts.clone(),
                debt: None,
            })
        };
        let answer = self.0.call(request.map(question));
        Box::pin(async move {
            let response = answer.await?;
            let debt = ends.then(|| debts.begin(OWED));
            Ok(response.map(|body| Answer { body, _debt: debt }))
        })
    }
}

/// Where the messages of a body begin and end: a byte for compression, four for the length, the message (gRPC over HTTP/2,
/// Length-Prefixed-Message).
#[derive(Debug, Default, PartialEq, Eq)]
struct Framing {
    /// Bytes of the prefix so far, and what they say of the length.
    prefix: u8,
    length: u32,
    /// Bytes of the message that are missing.
    missing: u32,
}

impl Framing {
    const PREFIX: u8 = 5;

    /// Takes what came; whether a message began in it, of which more is missing.
    fn follow(&mut self, mut bytes: &[u8]) -> Began {
        let mut began = Began::Nothing;
        while let Some((first, rest)) = bytes.split_first() {
            if self.prefix < Self::PREFIX {
                if self.prefix == 0 {
                    began = Began::Another;
                } else {
                    self.length = (self.length << 8) | u32::from(*first);
                }
                self.prefix += 1;
                bytes = rest;
                if self.prefix == Self::PREFIX {
                    self.missing = std::mem::take(&mut self.length);
                }
            } else {
                let taken = usize::try_from(self.missing).unwrap_or(usize::MAX).min(bytes.len());
                self.missing -= u32::try_from(taken).unwrap_or(self.missing);
                bytes = bytes.get(taken..).unwrap_or_default();
            }
            if self.prefix == Self::PREFIX && self.missing == 0 {
                self.prefix = 0;
            }
        }
        if self.prefix == 0 { Began::Whole } else { began }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Began {
    /// What came belongs to a message that had begun before, and is not its end.
    Nothing,
    /// The last message in it is not whole.
    Another,
    /// It ends with a message.
    Whole,
}

/// A call's body.
struct Question {
    body: tonic::body::Body,
    framing: Framing,
    debts: Debts,
    debt: Option<Debt>,
}

impl Body for Question {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            match self.framing.follow(data) {
                Began::Nothing => {}
                Began::Another => self.debt = Some(self.debts.begin(OWED)),
                Began::Whole => self.debt = None,
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body: owed to be taken until it is dropped.
pub(super) struct Answer<B> {
    body: B,
    _debt: Option<Debt>,
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn a_message_is_owed_from_its_first_byte_to_its_last_however_it_is_cut() {
        let mut stream = Vec::new();
        for length in [3_u32, 0, 300] {
            stream.push(0);
            stream.extend_from_slice(&length.to_be_bytes());
            stream.extend(vec![7; length as usize]);
        }
        let ends = [8, 13, 318];
        for cut in 0..=stream.len() {
            let mut framing = Framing::default();
            let first = framing.follow(&stream[..cut]);
            let whole = cut == 0 || ends.contains(&cut);
            assert_eq!(first, if whole { Began::Whole } else { Began::Another }, "{cut}");
            assert_eq!(framing.follow(&stream[cut..]), Began::Whole, "{cut}");
        }
        // Byte by byte: what goes on is no new beginning.
        let mut framing = Framing::default();
        for (index, byte) in stream.iter().enumerate() {
            let begins = [0, 8, 13].contains(&index);
            let expected = match (begins, ends.contains(&(index + 1))) {
                (true, false) => Began::Another,
                (_, true) => Began::Whole,
                (false, false) => Began::Nothing,
            };
            assert_eq!(framing.follow(&[*byte]), expected, "{index}");
        }
    }

    #[test]
    fn a_connection_is_overdue_by_its_oldest_debt_until_that_is_paid() {
        let debts = Debts::default();
        let long = debts.begin(OWED);
        assert!(!debts.are_overdue());
        let short = debts.begin(Duration::ZERO);
        assert!(debts.are_overdue());
        drop(short);
        assert!(!debts.are_overdue());
        drop(long);
        assert!(debts.0.lock().unwrap().at.is_empty());
    }
}
