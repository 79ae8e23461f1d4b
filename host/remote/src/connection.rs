//! One connection to a remote. It is made whole, with TLS and a first Health call, before anything else is asked on it, and once it
//! breaks it stays broken: another one takes its place.

use crate::message::{Question, Reply};
use crate::overheard::{Heard, Overheard};
use crate::settings::Remote;
use crate::text::shown;
use hyper_util::rt::TokioIo;
use sigwarden_protocol::proto::signer_client::SignerClient;
use sigwarden_protocol::{from_status, proto};
use sigwarden_tls::Alpn;
use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Status};

/// Bytes of an answer at most: two signatures of ML-DSA-44 and a public key have 7 KiB.
const ANSWER_MAX: usize = 64 * 1024;

/// A connection that answered its first Health call.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Tells it from the one before it in its place.
    pub(crate) serial: u64,
    client: SignerClient<Channel>,
    /// It does not answer any more: calls on it are given up.
    silent: watch::Sender<bool>,
}

/// A Health call without an answer.
pub(crate) enum Unwell {
    /// The remote refused it: the connection stands, and what else is asked on it may be answered.
    Refused(String),
    /// The connection is of no more use.
    Silent(String),
}

/// What came of a call.
pub(crate) enum Answer {
    /// It was answered.
    Reply(Reply),
    /// The remote refused.
    Refused(proto::Refusal),
    /// What answers does not speak the protocol.
    Alien(String),
    /// Whether the remote executed it is not known, and the connection is of no more use.
    Broken(String),
    /// Whether the remote executed it is not known, and it may still answer.
    Late(String),
}

impl Connection {
    /// Dials, shakes hands, and asks how the remote is. Whatever goes wrong is said so that an operator knows where to look.
    pub(crate) async fn open(remote: &Remote, deadline: Duration) -> Result<(Self, proto::HealthResponse), String> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let until = Instant::now() + deadline;
        let late = |what: &str| format!("{what} took longer than {} ms", deadline.as_millis());
        let heard = Heard::default();
        let channel = timeout_at(until, dial(remote, &heard, deadline)).await;
        let channel = channel.unwrap_or_else(|_| Err(late("connecting")))?;
        let connection = Self {
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            client: SignerClient::new(channel).max_decoding_message_size(ANSWER_MAX),
            silent: watch::Sender::new(false),
        };
        match timeout_at(until, connection.health()).await {
            Ok(Ok(health)) => Ok((connection, health)),
            Ok(Err(Unwell::Refused(reason))) => Err(reason),
            Ok(Err(Unwell::Silent(reason))) => Err(likely(remote, &heard, &reason)),
            Err(_) => Err(late("the first Health call")),
        }
    }

    /// Asks how the remote is.
    pub(crate) async fn health(&self) -> Result<proto::HealthResponse, Unwell> {
        let asked = self.client.clone().health(proto::HealthRequest {}).await;
        asked.map(tonic::Response::into_inner).map_err(|status| match from_status(&status) {
            Some(_) => Unwell::Refused(explain(&status)),
            None => Unwell::Silent(explain(&status)),
        })
    }

    /// Asks for a key.
    pub(crate) async fn public_key(&self, name: &str) -> Result<proto::KeyInfo, Status> {
        let request = proto::PublicKeyRequest { key: name.to_owned() };
        let response = self.client.clone().public_key(request).await?;
        Ok(response.into_inner().key.unwrap_or_default())
    }

    /// Asks for a signature or a decapsulation.
    pub(crate) async fn ask(&self, question: &Question, until: Instant) -> Answer {
        let (mut client, mut silent) = (self.client.clone(), self.silent.subscribe());
        let call = async {
            match question {
                Question::Sign(request) => client.sign(request.clone()).await.map(|signed| Reply::Signed(signed.into_inner())),
                Question::Decapsulate(request) => {
                    let opened = client.decapsulate(request.clone()).await;
                    opened.map(|opened| Reply::Opened(opened.into_inner().into()))
                }
            }
        };
        tokio::select! {
            answer = timeout_at(until, call) => match answer {
                Ok(Ok(reply)) => Answer::Reply(reply),
                Ok(Err(status)) => judge(&status),
                Err(_) => Answer::Late("it did not answer in time".to_owned()),
            },
            _ = silent.wait_for(|silent| *silent) => Answer::Broken("its connection went silent".to_owned()),
        }
    }

    /// Gives up the calls on it.
    pub(crate) fn give_up(&self) {
        self.silent.send_replace(true);
    }
}

/// Why a connection that stood was closed before it was of any use: the other side seldom says.
fn likely(remote: &Remote, heard: &Heard, reason: &str) -> String {
    match (remote, heard.get()) {
        (_, Some(tls)) => tls.to_string(),
        (Remote::Tls { .. }, None) => format!("{reason}; if it does not take this deployment's certificate, its own log says so"),
        (Remote::Unix { .. }, None) => format!("{reason}; a daemon closes connections of user ids that no `[[client]]` of its names"),
    }
}

async fn dial(remote: &Remote, heard: &Heard, deadline: Duration) -> Result<Channel, String> {
    match remote {
        Remote::Unix { socket } => {
            let connected = UnixStream::connect(socket).await;
            let stream = connected.map_err(|error| format!("cannot connect: {error}; is the daemon running?"))?;
            over(stream).await.map_err(|reason| likely(remote, heard, &reason))
        }
        Remote::Tls { address, tls } => {
            let connected = TcpStream::connect(address.as_str()).await;
            let stream = connected.map_err(|error| format!("cannot connect: {error}; is the daemon running, and the port open?"))?;
            // A request is one small segment, and must not wait for the acknowledgement of the one before.
            stream.set_nodelay(true).map_err(|error| error.to_string())?;
            let dialed = tls.connect(stream, deadline).await.map_err(|error| error.to_string())?;
            match dialed.alpn {
                Some(Alpn::Http2) => {
                    let channel = over(Overheard::new(dialed.stream, heard)).await;
                    channel.map_err(|reason| likely(remote, heard, &reason))
                }
                Some(Alpn::Http1) | None => Err("it does not speak gRPC (h2) on this port; is it the right one?".to_owned()),
            }
        }
    }
}

/// HTTP/2 over this one connection: the library would dial again by itself, past TLS and Health.
async fn over<S>(stream: S) -> Result<Channel, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut once = Some(stream);
    let connector = tower::service_fn(move |_: Uri| {
        let stream = once.take().map(TokioIo::new);
        async move { stream.ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the connection is closed")) }
    });
    // The name is only HTTP's `:authority`.
    let channel = Endpoint::from_static("http://sigwarden").connect_with_connector(connector).await;
    channel.map_err(|error| deepest(&error))
}

/// What a failed call means for it.
fn judge(status: &Status) -> Answer {
    if let Some(refusal) = from_status(status) {
        return Answer::Refused(refusal);
    }
    let why = explain(status);
    match status.code() {
        Code::Unavailable | Code::Unknown | Code::Internal => Answer::Broken(why),
        // The remote, or something before it, did not get to it in time, or has too much to do.
        Code::Cancelled | Code::DeadlineExceeded | Code::Aborted | Code::ResourceExhausted => Answer::Late(why),
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss
        | Code::Unauthenticated => Answer::Alien(format!("what answers there is no Sigwarden of this version ({why})")),
    }
}

/// A status for people: the refusal, or the innermost error.
pub(crate) fn explain(status: &Status) -> String {
    if let Some(refusal) = from_status(status) {
        return format!("{}: {}", shown(&refusal.code), shown(&refusal.message));
    }
    match status.source() {
        Some(source) => deepest(source),
        None => format!("{:?}: {}", status.code(), shown(status.message())),
    }
}

/// The outer errors only say that the transport failed; the innermost says why.
fn deepest(error: &dyn Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    shown(&deepest.to_string())
}
