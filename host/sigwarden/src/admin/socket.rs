//! The daemon's side of `admin.sock`: commands from the daemon's own user, one after the other, on a thread of their own.

use super::{Administrator, NotDone, commands};
use crate::proto::admin::admin_server::{Admin, AdminServer};
use crate::proto::admin::*;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// Bytes of a command: a thousand floors with their messages.
const COMMAND_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Lines of a recording that wait for its client; it has its requests' bytes in memory anyway.
const LINES_WAITING: usize = 16;

/// Characters of a text that a status carries: HTTP/2 headers are bounded, and one character is up to twelve bytes there.
const TEXT_MAX: usize = 1000;

pub(crate) struct AdminSocket(Arc<Administrator>);

/// Its gRPC service.
pub(crate) fn server(administrator: Arc<Administrator>) -> AdminServer<AdminSocket> {
    AdminServer::new(AdminSocket(administrator)).max_decoding_message_size(COMMAND_BYTES_MAX)
}

impl AdminSocket {
    /// Runs a command to its end, whether or not its client still waits.
    async fn run<Q: Send + 'static, A: Send + 'static>(
        &self,
        request: Request<Q>,
        command: fn(&Administrator, Q) -> Result<A, NotDone>,
    ) -> Result<Response<A>, Status> {
        let administrator = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || command(&administrator, request.into_inner())).await;
        match done {
            Ok(Ok(answer)) => Ok(Response::new(answer)),
            Ok(Err(failure)) => Err(to_status(failure)),
            Err(_) => Err(panicked()),
        }
    }
}

impl AdminSocket {
    /// A command that goes on telling, on a thread of its own, until it is over or its client is gone.
    async fn record(&self, request: RecordRequestsRequest) -> Result<Response<ReceiverStream<Result<RecordedLine, Status>>>, Status> {
        let administrator = Arc::clone(&self.0);
        let begun = tokio::task::spawn_blocking(move || administrator.begin_recording(&request)).await;
        let recorder = begun.map_err(|_| panicked())?.map_err(to_status)?;
        let (lines, stream) = mpsc::channel(LINES_WAITING);
        tokio::task::spawn_blocking(move || {
            let tell = |line| {
                let json = serde_json::to_string(&line).map_err(|error| Status::internal(error.to_string()));
                let last = json.is_err();
                lines.blocking_send(json.map(|json| RecordedLine { json })).is_ok() && !last
            };
            recorder.run(tell, || lines.is_closed());
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

fn panicked() -> Status {
    Status::unknown("the command panicked; please report it with the daemon's log")
}

fn to_status(failure: NotDone) -> Status {
    let text: String = failure.text.chars().take(TEXT_MAX).collect();
    match failure.refused {
        true => Status::failed_precondition(text),
        false => Status::internal(text),
    }
}

/// The inverse of [`to_status`]; none if the command's fate is not known.
pub(crate) fn from_status(status: &Status) -> Option<NotDone> {
    let refused = status.code() == tonic::Code::FailedPrecondition;
    let text = status.message().to_owned();
    (refused || status.code() == tonic::Code::Internal).then_some(NotDone { refused, text })
}

macro_rules! serve {
    ($($name:ident: $request:ident => $answer:ident;)+) => {
        #[tonic::async_trait]
        impl Admin for AdminSocket {
            $(async fn $name(&self, request: Request<$request>) -> Result<Response<$answer>, Status> {
                self.run(request, Administrator::$name).await
            })+

            type RecordRequestsStream = ReceiverStream<Result<RecordedLine, Status>>;

            async fn record_requests(
                &self,
                request: Request<RecordRequestsRequest>,
            ) -> Result<Response<Self::RecordRequestsStream>, Status> {
                self.record(request.into_inner()).await
            }
        }
    };
}
commands!(serve);
