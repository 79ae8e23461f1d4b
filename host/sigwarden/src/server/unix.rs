//! The Unix socket: who may reach it, how many at once, and who they are, by the kernel's word.

use super::connection::{Bounds, Connection, Open, Told, Wire};
use sigwarden_core::caller::Peer;
use sigwarden_telemetry::Metrics;
use sigwarden_telemetry::metrics::Listener;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::mpsc;

/// Bytes of a socket's path that the kernel takes (`sun_path`, with its NUL).
const PATH_BYTES_MAX: usize = 107;

/// The socket cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Its path is too long for the kernel.
    #[error("{field}: {} has {} bytes, the kernel takes {PATH_BYTES_MAX}; give a shorter path", path.display(), path.as_os_str().len())]
    PathTooLong {
        /// The field.
        field: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// Something that is no socket has its name.
    #[error("{field}: {} exists and is no socket; move it away or name another path", path.display())]
    Occupied {
        /// The field.
        field: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// Others may replace it.
    #[error("{field}: the directory {} is writable by others (mode {mode:04o}); chmod 0750 it", dir.display())]
    Directory {
        /// The field.
        field: &'static str,
        /// The directory.
        dir: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The system says no.
    #[error("{field}: {}: {error}", path.display())]
    Io {
        /// The field.
        field: &'static str,
        /// The path.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// A bound socket; its path is removed when dropped.
pub(super) struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Binds the socket of a field of the configuration. The caller holds the deployment's lock, so that a socket that is there already is stale.
    pub(super) fn bind(field: &'static str, path: &Path, group_access: bool) -> Result<Self, SocketError> {
        let at = |error| SocketError::Io {
            field,
            path: path.to_owned(),
            error,
        };
        let mut fresh = path.as_os_str().to_owned();
        fresh.push(".new");
        let fresh = PathBuf::from(fresh);
        if fresh.as_os_str().len() > PATH_BYTES_MAX {
            let path = path.to_owned();
            return Err(SocketError::PathTooLong { field, path });
        }
        if let Some(dir) = path.parent() {
            prepare_directory(field, dir)?;
        }
        for stale in [path, fresh.as_path()] {
            match std::fs::symlink_metadata(stale) {
                Ok(metadata) if metadata.file_type().is_socket() => std::fs::remove_file(stale).map_err(at)?,
                Ok(_) => {
                    let path = stale.to_owned();
                    return Err(SocketError::Occupied { field, path });
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(at(error)),
            }
        }
        // Bound under another name and renamed once its mode is right: there is no moment with a mode of the umask's.
        let listener = UnixListener::bind(&fresh).map_err(at)?;
        let mode = if group_access { 0o660 } else { 0o600 };
        std::fs::set_permissions(&fresh, Permissions::from_mode(mode)).map_err(at)?;
        std::fs::rename(&fresh, path).map_err(at)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }

    /// Accepts for ever. At most `bounds.all` at once: more wait in the kernel's backlog. At most
    /// `bounds.of_one` of one client: more are closed. `known` gives the name of a client that may stay.
    pub(super) async fn accept(
        self,
        bounds: Bounds,
        known: impl Fn(&Peer) -> Option<Arc<str>>,
        metrics: Arc<Metrics>,
        listener: Listener,
        accepted: mpsc::Sender<io::Result<Connection>>,
    ) {
        let open = Open::default();
        let mut told = Told::default();
        loop {
            let Ok(permit) = Arc::clone(&bounds.all).acquire_owned().await else {
                return;
            };
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: waiting a moment is all that helps.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(credentials) = stream.peer_cred() else { continue };
            let (uid, gid) = (credentials.uid(), credentials.gid());
            let peer = Peer::User { uid, gid };
            let Some(name) = known(&peer) else {
                metrics.turned_away(listener);
                continue;
            };
            let Some(counted) = open.count(&name, bounds.of_one) else {
                metrics.turned_away(listener);
                if let Some(before) = told.count() {
                    tracing::warn!(
                        uid,
                        before,
                        "closed a connection: this client has limits.connections_per_client already; `before` more since the last line"
                    );
                }
                continue;
            };
            let counted = (counted, metrics.connected(listener));
            if accepted
                .send(Ok(Connection::new(Wire::Unix(stream), peer, permit, counted)))
                .await
                .is_err()
            {
                return;
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "the socket could not be removed");
        }
    }
}

fn prepare_directory(field: &'static str, dir: &Path) -> Result<(), SocketError> {
    let at = |error| SocketError::Io {
        field,
        path: dir.to_owned(),
        error,
    };
    match std::fs::metadata(dir) {
        Ok(metadata) => {
            let mode = metadata.permissions().mode() & 0o7777;
            // Sticky directories such as /tmp let nobody replace another's socket.
            if mode & 0o002 != 0 && mode & 0o1000 == 0 {
                let dir = dir.to_owned();
                return Err(SocketError::Directory { field, dir, mode });
            }
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::DirBuilder::new().recursive(true).mode(0o750).create(dir).map_err(at)
        }
        Err(error) => Err(at(error)),
    }
}
