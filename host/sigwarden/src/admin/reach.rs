//! The command line's side: a running daemon is asked; without one the deployment is locked and changed here.

use super::socket::from_status;
use super::{Administrator, NotDone, commands};
use crate::config::Config;
use crate::proto::admin::admin_client::AdminClient;
use crate::proto::admin::*;
use hyper_util::rt::TokioIo;
use sigwarden_ledger::{DeploymentLock, LockError};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};

/// How long a command may take: compiling 32 policies takes a minute on a small machine.
const COMMAND: Duration = Duration::from_secs(300);

/// Bytes of an answer at most: a recording's first line, which has the policies' configurations.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Whoever runs the commands.
pub struct Reach(Place);

enum Place {
    Here(Box<Administrator>),
    Daemon(Box<(Runtime, AdminClient<Channel>)>),
}

impl Reach {
    /// The daemon of a deployment, or nobody but this process.
    ///
    /// # Errors
    /// The deployment is held by a process that does not answer, or is not this user's.
    pub fn to(config: &Config) -> Result<Self, NotDone> {
        let held = match DeploymentLock::acquire(&config.state_dir) {
            Ok(lock) => return Ok(Self(Place::Here(Box::new(Administrator::alone(config.clone(), lock))))),
            Err(held @ LockError::Held { .. }) => held,
            Err(error @ (LockError::Owner { .. } | LockError::Io { .. })) => return Err(error.into()),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        match runtime.block_on(connect(&config.admin_socket)) {
            Ok(client) => Ok(Self(Place::Daemon(Box::new((runtime, client))))),
            Err(error) => Err(NotDone::cannot(format!(
                "{held}; nor is it a daemon that answers on {}: {error}",
                config.admin_socket.display()
            ))),
        }
    }

    /// Whether a daemon runs the commands.
    #[must_use]
    pub fn is_daemon(&self) -> bool {
        match self.0 {
            Place::Here(_) => false,
            Place::Daemon(_) => true,
        }
    }

    /// Lets go of the deployment.
    ///
    /// # Errors
    /// The ledger failed: what was changed is durable all the same.
    pub fn close(self) -> Result<(), NotDone> {
        match self.0 {
            Place::Here(administrator) => administrator.close(),
            Place::Daemon(_) => Ok(()),
        }
    }
}

/// After Ctrl-C, how long nothing must come so that all has come that was answered before, and how long that is waited for.
const QUIET: Duration = Duration::from_millis(250);
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Bytes of a recording at most: the daemon's own bounds, in hex and with names, are under this.
const RECORDING_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Reach {
    /// What the daemon sees from now on, as JSON lines, until it is over or Ctrl-C. `begun` is called with the first line.
    ///
    /// # Errors
    /// It is refused, no daemon runs, or it broke off.
    pub fn record_requests(&mut self, request: RecordRequestsRequest, begun: impl FnOnce()) -> Result<Vec<u8>, NotDone> {
        match &mut self.0 {
            // Without a daemon there is nothing to record; it says so.
            Place::Here(administrator) => administrator.begin_recording(&request).map(|_| Vec::new()),
            Place::Daemon(daemon) => {
                let (runtime, client) = daemon.as_mut();
                runtime.block_on(recorded(client, request, begun))
            }
        }
    }
}

async fn recorded(client: &mut AdminClient<Channel>, request: RecordRequestsRequest, begun: impl FnOnce()) -> Result<Vec<u8>, NotDone> {
    let answer = client.record_requests(request).await;
    let mut stream = answer.map_err(|status| fate(&status))?.into_inner();
    let (mut lines, mut begun) = (Vec::new(), Some(begun));
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    let mut until = None;
    loop {
        let line = tokio::select! {
            line = stream.message() => line,
            signal = &mut interrupted, if until.is_none() => {
                signal?;
                until = Some(Instant::now() + LAST_WORDS);
                continue;
            }
            // What was told so far is whole lines.
            () = tokio::time::sleep(QUIET), if until.is_some() => return Ok(lines),
        };
        let broke = |status: tonic::Status| NotDone::cannot(format!("the recording broke off: {}", status.message()));
        let Some(line) = line.map_err(broke)? else {
            return Ok(lines);
        };
        if lines.len() + line.json.len() > RECORDING_BYTES_MAX {
            return Err(NotDone::cannot(format!(
                "the recording has more than {RECORDING_BYTES_MAX} bytes; record fewer requests"
            )));
        }
        lines.extend_from_slice(line.json.as_bytes());
        lines.push(b'\n');
        if let Some(begun) = begun.take() {
            begun();
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return Ok(lines);
        }
    }
}

async fn connect(socket: &Path) -> Result<AdminClient<Channel>, String> {
    // The kernel's word first, which says why; then the transport on top.
    let stream = UnixStream::connect(socket).await.map_err(|error| error.to_string())?;
    let listens = stream.peer_cred().map_err(|error| error.to_string())?.uid();
    refuse_strangers(listens).map_err(|error| error.to_string())?;
    drop(stream);
    let path = socket.to_owned();
    let connector = tower::service_fn(move |_: tonic::transport::Uri| {
        let path = path.clone();
        async move {
            let stream = UnixStream::connect(path).await?;
            refuse_strangers(stream.peer_cred()?.uid())?;
            Ok::<_, std::io::Error>(TokioIo::new(stream))
        }
    });
    let endpoint = Endpoint::from_static("http://sigwarden").timeout(COMMAND);
    let channel = endpoint
        .connect_with_connector(connector)
        .await
        .map_err(|error| error.to_string())?;
    Ok(AdminClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX))
}

/// What goes over this socket may be a secret: whoever listens there is this user, or root.
fn refuse_strangers(listens: u32) -> std::io::Result<()> {
    let own = rustix::process::geteuid().as_raw();
    if listens == own || listens == 0 {
        return Ok(());
    }
    Err(std::io::Error::new(
        std::io::ErrorKind::PermissionDenied,
        format!("uid {listens} listens there, not this deployment's daemon (uid {own}); find out who put the socket there"),
    ))
}

macro_rules! reach {
    ($($name:ident: $request:ident => $answer:ident;)+) => {
        impl Reach {
            $(
                /// As [`Administrator`]'s method of the name, wherever it runs.
                ///
                /// # Errors
                /// As there; or the daemon did not answer.
                pub fn $name(&mut self, request: $request) -> Result<$answer, NotDone> {
                    match &mut self.0 {
                        Place::Here(administrator) => administrator.$name(request),
                        Place::Daemon(daemon) => {
                            let (runtime, client) = daemon.as_mut();
                            let answer = runtime.block_on(client.$name(request));
                            answer.map(tonic::Response::into_inner).map_err(|status| fate(&status))
                        }
                    }
                }
            )+
        }
    };
}
commands!(reach);

fn fate(status: &tonic::Status) -> NotDone {
    from_status(status).unwrap_or_else(|| {
        NotDone::cannot(format!(
            "the daemon gave no answer ({:?}: {}); whether the command was executed, `sigwarden audit tail` says",
            status.code(),
            status.message()
        ))
    })
}
