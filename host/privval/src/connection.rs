//! One connection with a node, from its first request to its end.

use crate::answer::{Answered, ErrorCode};
use crate::codec::{ConnectionError, Limits, Messages};
use crate::dialect::Dialect;
use crate::pace::Pace;
use crate::request::{Asked, Pending, Request, RequestError};
use crate::wire::{Message, Ping, Sum};
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncWrite};

/// How a connection ended.
#[derive(Debug)]
pub struct Ended {
    /// Why. [`ConnectionError::Closed`] is what a node does when it stops.
    pub why: ConnectionError,
    /// How many messages were answered, pings included. One that answered any was a node's: [`crate::Backoff::succeeded`].
    pub answered: u64,
}

/// Answers a node's requests, one at a time, as CometBFT asks them, until the connection ends.
///
/// A vote or proposal above all before it on this connection is asked for at once. What does not go up is asked for 20 times a second
/// after the first 20: a node that repeats itself would else fill the ledger.
///
/// Pings are answered here. Everything else is handed to `answer`, and what it gives goes back. `note` is told of requests that
/// were answered with an error without asking, or because the answer did not fit; it is called at most once for a request, so that the
/// node bounds how often: it should log with a limit.
///
/// To stop, drop the future; an answer under way is then lost to the node, which asks again.
pub async fn serve<S, A, F>(stream: S, dialect: Dialect, limits: Limits, mut answer: A, mut note: impl FnMut(&RequestError)) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: FnMut(Asked) -> F,
    F: Future<Output = Answered>,
{
    let mut messages = Messages::new(stream, dialect, limits);
    let mut pace = Pace::default();
    let mut answered = 0;
    loop {
        let why = match respond(&mut messages, dialect, &mut pace, &mut answer, &mut note).await {
            Ok(()) => {
                answered += 1;
                continue;
            }
            Err(why) => why,
        };
        return Ended { why, answered };
    }
}

async fn respond<S, A, F>(
    messages: &mut Messages<S>,
    dialect: Dialect,
    pace: &mut Pace,
    answer: &mut A,
    note: &mut impl FnMut(&RequestError),
) -> Result<(), ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: FnMut(Asked) -> F,
    F: Future<Output = Answered>,
{
    let response = match Request::of(messages.read().await?, dialect) {
        Request::Ping => Sum::PingResponse(Ping {}).into(),
        Request::None(what) => return Err(ConnectionError::NoRequest(what)),
        Request::Refuse(pending, error) => refuse(&pending, &error, note),
        Request::Ask(pending, asked) => {
            pace.keep(&pending).await;
            let answered = answer(asked).await;
            match pending
                .respond(dialect, answered)
                .and_then(|response| readable(&pending, dialect, response))
            {
                Ok(response) => response,
                Err(error) => refuse(&pending, &error, note),
            }
        }
    };
    messages.write(&response).await
}

fn refuse(pending: &Pending, error: &RequestError, note: &mut impl FnMut(&RequestError)) -> Message {
    note(error);
    let code: ErrorCode = error.code();
    pending.refuse(code, &error.to_string())
}

/// A response that the node would not read is replaced by one that says so.
fn readable(pending: &Pending, dialect: Dialect, response: Message) -> Result<Message, RequestError> {
    let (length, max) = (response.encoded_len(), dialect.message_max());
    if length <= max {
        return Ok(response);
    }
    Err(RequestError::UnfitAnswer {
        message: pending.name(),
        wrong: format!("the response would have {length} bytes, nodes of dialect `{dialect}` read {max}: is the vote extension too large?"),
    })
}

#[cfg(test)]
mod tests;
