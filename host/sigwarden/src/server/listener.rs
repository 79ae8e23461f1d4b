//! The Unix socket: who may reach it, how many at once, and who they are, by the kernel's word.

use sigwarden_core::caller::Peer;
use std::collections::HashMap;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Sleep;
use tonic::transport::server::Connected;

/// How long a new connection may take to say the first bytes of HTTP/2. It is on this machine: 5 s is generous.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Bytes of HTTP/2's connection preface (RFC 9113 §3.4).
const PREFACE_BYTES: usize = 24;

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

    /// Accepts for ever. At most `bounds.all` at once: the others wait in the kernel's backlog. At most `bounds.of_one_uid` of one uid:
    /// more are closed. `known` says whether a peer may stay.
    pub(super) async fn accept(self, bounds: Bounds, known: impl Fn(&Peer) -> bool, accepted: mpsc::Sender<io::Result<Connection>>) {
        let free = Arc::new(Semaphore::new(bounds.all));
        let open = Open::default();
        let mut told = Told::default();
        loop {
            let Ok(permit) = Arc::clone(&free).acquire_owned().await else {
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
            if !known(&peer) {
                continue;
            }
            let Some(counted) = open.count(uid, bounds.of_one_uid) else {
                if let Some(before) = told.count() {
                    tracing::warn!(
                        uid,
                        before,
                        "closed a connection: this uid has limits.connections_per_client already; `before` more since the last line"
                    );
                }
                continue;
            };
            if accepted.send(Ok(Connection::new(stream, peer, permit, counted))).await.is_err() {
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

/// Log lines about closed connections: one a second, the others counted. Who fills the log hides in it.
#[derive(Debug, Default)]
pub(super) struct Told {
    last: Option<std::time::Instant>,
    unsaid: u64,
}

impl Told {
    /// Counts one; how many were not told before it, if it may be told.
    pub(super) fn count(&mut self) -> Option<u64> {
        if self.last.is_some_and(|last| last.elapsed() < Duration::from_secs(1)) {
            self.unsaid += 1;
            return None;
        }
        self.last = Some(std::time::Instant::now());
        Some(std::mem::take(&mut self.unsaid))
    }
}

/// How many connections at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) all: usize,
    pub(super) of_one_uid: usize,
}

/// How many connections each uid has open. Only configured clients are counted, so it stays small.
#[derive(Debug, Clone, Default)]
struct Open(Arc<Mutex<HashMap<u32, usize>>>);

impl Open {
    fn count(&self, uid: u32, most: usize) -> Option<Counted> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_uid = open.entry(uid).or_default();
        if *of_uid >= most {
            return None;
        }
        *of_uid += 1;
        drop(open);
        Some(Counted(self.clone(), uid))
    }
}

/// One open connection of a uid, until it is dropped.
#[derive(Debug)]
struct Counted(Open, u32);

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_uid) = open.get_mut(&self.1) {
            *of_uid = of_uid.saturating_sub(1);
        }
    }
}

/// Who is at the other end of a connection; tonic hands it to each request.
#[derive(Debug, Clone)]
pub(super) struct ConnectedPeer(pub(super) Peer);

/// An accepted connection. Closed if it does not speak in time; counted until it is dropped.
pub(super) struct Connection {
    stream: UnixStream,
    peer: Peer,
    /// Until the preface is read: how much is missing, and until when.
    handshake: Option<(usize, Pin<Box<Sleep>>)>,
    _permit: OwnedSemaphorePermit,
    _counted: Counted,
}

impl Connection {
    fn new(stream: UnixStream, peer: Peer, permit: OwnedSemaphorePermit, counted: Counted) -> Self {
        Self {
            stream,
            peer,
            handshake: Some((PREFACE_BYTES, Box::pin(tokio::time::sleep(HANDSHAKE)))),
            _permit: permit,
            _counted: counted,
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = ConnectedPeer;

    fn connect_info(&self) -> ConnectedPeer {
        ConnectedPeer(self.peer.clone())
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let Some((missing, until)) = &mut self.handshake {
            if polled.is_pending() {
                return match until.as_mut().poll(cx) {
                    Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                    Poll::Pending => Poll::Pending,
                };
            }
            *missing = missing.saturating_sub(buffer.filled().len() - before);
            if *missing == 0 {
                self.handshake = None;
            }
        }
        polled
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
