//! Connection to caller: the kernel's word for the peer, looked up among the configured clients.

use crate::caller::{Caller, Clients, OVERFLOW_UID, Peer};
use crate::refusal::{Code, Refusal};
use std::sync::Arc;

/// Finds the client that the peer is.
///
/// # Errors
/// [`Code::CallerUnauthenticated`]: no client has this uid (and gid, where one is configured), or the uid is the overflow uid.
pub fn authenticate(clients: &Clients, peer: Peer) -> Result<Caller, Refusal> {
    let client = clients
        .0
        .iter()
        .filter(|_| peer.uid != OVERFLOW_UID)
        .find(|client| client.uid == peer.uid && client.gid.is_none_or(|gid| gid == peer.gid));
    match client {
        Some(client) => Ok(Caller::mint(Arc::clone(client))),
        None => Err(Refusal::new(
            Code::CallerUnauthenticated,
            format!("uid {} (gid {}) is no configured client", peer.uid, peer.gid),
        )),
    }
}
