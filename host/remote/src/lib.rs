//! The `remote` backend: keys that another Sigwarden holds. A Sigwarden without keys stands in front of one with keys, and the policies
//! of both must approve.
//!
//! [`RemoteBackend`] knows one remote, or several that hold the same keys. What it makes sure of, whatever gets lost on the way:
//!
//! - For one decision of this deployment a remote sees one request id, the decision's own, and one payload, the bytes that were decided
//!   first (`message`). A request whose answer was lost is asked again with the same id and the same bytes (`ask`), so that the remote
//!   gives the signature that it recorded, or signs the same bytes under its first decision. With several remotes the same bytes may be
//!   signed by more than one; another message never is.
//! - What a remote refuses on its own judgement, by its policies or its floors, is refused: no other remote is asked (`weigh`).
//! - No connection is used before it told by the Health call that it leads to a daemon of this deployment's network that signs
//!   (`connection`, `link`).
//! - A signature is released only after it verified against the public key pinned here. Core does that for every backend.
//!
//! See `docs/remote-signer.md` for how to set it up.
#![forbid(unsafe_code)]

mod ask;
mod backend;
mod backoff;
mod connection;
mod failure;
mod link;
mod message;
mod overheard;
mod settings;
mod status;
mod text;
mod told;
mod weigh;

pub use backend::{OpenError, Reloaded, RemoteBackend, RemoteKey};
pub use failure::{Failure, WrongKey};
pub use settings::{Pace, Remote, Settings, SettingsError};
pub use status::{Counts, RemoteStatus};
