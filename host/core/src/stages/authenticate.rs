//! Connection to caller: what the transport proved of the peer, looked up among the configured clients.

use crate::caller::{Caller, Clients, Peer};
use crate::refusal::{Code, Refusal};
use std::sync::Arc;

/// Finds the client that the peer is.
///
/// # Errors
/// [`Code::CallerUnauthenticated`]: no client is this peer, or the names of its certificate are those of several clients.
pub fn authenticate(clients: &Clients, peer: &Peer) -> Result<Caller, Refusal> {
    let mut found = clients.0.iter().filter(|client| client.is(peer));
    let refuse = |why: &str| Err(Refusal::new(Code::CallerUnauthenticated, format!("{peer} is {why}")));
    match (found.next(), found.next()) {
        (Some(client), None) => Ok(Caller::mint(Arc::clone(client))),
        (Some(_), Some(_)) => refuse("several configured clients at once; give each its own certificate"),
        (None, _) => refuse("no configured client"),
    }
}
