//! What every transport stands on: the queue in front of the pipeline. A transport turns its messages into calls and the answers back.

use super::admission::{Admissions, Admitted};
use super::queue::{Answer, Job, Queue};
use sigwarden_core::caller::{Client, Clients, Peer};
use sigwarden_core::pipeline::{Asked, SignCall, Way};
use sigwarden_core::proof::Decapsulated;
use sigwarden_core::stages::authorize::Readable;
use sigwarden_core::{Code, Operation, Pipeline, Refusal, Signed};
use sigwarden_telemetry::trace::TraceParent;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};

/// Batches at once. Each may wait for 64 signatures of backends elsewhere, on as many threads.
const BATCHES: usize = 4;

/// Of one client: whoever keeps them full keeps no other client from a place.
const BATCHES_OF_ONE: usize = 3;

/// How long a batch waits for its client's others.
const BATCH_WAIT: Duration = Duration::from_secs(2);

/// The way into the pipeline; clones share it.
#[derive(Clone)]
pub(super) struct Front {
    pipeline: Arc<Pipeline>,
    queue: Queue,
    clients: Arc<Clients>,
    admissions: Arc<Admissions>,
    /// Batches that run at once: each may take threads of its own.
    batches: Arc<Semaphore>,
    /// The same, of each client.
    batches_of: Arc<BTreeMap<Arc<str>, Semaphore>>,
    /// Traces are sent somewhere.
    traced: bool,
}

impl Front {
    pub(super) fn new(pipeline: Arc<Pipeline>, queue: Queue, clients: Clients, admissions: Admissions, traced: bool) -> Self {
        Self {
            pipeline,
            queue,
            batches_of: Arc::new(
                clients
                    .0
                    .iter()
                    .map(|client| (Arc::clone(&client.name), Semaphore::new(BATCHES_OF_ONE)))
                    .collect(),
            ),
            clients: Arc::new(clients),
            admissions: Arc::new(admissions),
            batches: Arc::new(Semaphore::new(BATCHES)),
            traced,
        }
    }

    /// The pipeline, for what is no request.
    pub(super) fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    /// How many requests wait for a thread.
    pub(super) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// The trace that a client's request is part of, by its header `traceparent`; none if traces are sent nowhere.
    pub(super) fn parent(&self, header: Option<&str>) -> Option<TraceParent> {
        header.filter(|_| self.traced).and_then(TraceParent::parse)
    }

    pub(super) async fn sign(&self, peer: Peer, call: SignCall, parent: Option<TraceParent>) -> Result<Signed, Refusal> {
        let admitted = self.admit(&peer, &call, 1)?;
        self.sign_admitted(peer, call, parent, admitted).await
    }

    /// Lets one request in before it is known what it comes to; for [`Self::sign_admitted`] and [`Self::list_keys_admitted`].
    pub(super) fn let_in(&self, peer: &Peer) -> Result<Admitted, Refusal> {
        self.admit(peer, &reading(String::new()), 1)
    }

    pub(super) async fn sign_admitted(
        &self,
        peer: Peer,
        call: SignCall,
        parent: Option<TraceParent>,
        admitted: Admitted,
    ) -> Result<Signed, Refusal> {
        // What is recorded on a thread meanwhile is of one trace.
        let way = match self.pipeline.way(&call) {
            Way::Together if parent.is_some() => Way::Alone,
            way @ (Way::Together | Way::Alone | Way::Elsewhere { .. }) => way,
        };
        let (sender, answer) = oneshot::channel();
        let job = Job::Sign(Asked { peer, call }, parent, Answer::new(sender, admitted));
        self.run(job, way, answer).await?
    }

    /// Each with its own verdict, in order.
    pub(super) async fn sign_all(&self, peer: &Peer, calls: Vec<SignCall>) -> Result<Vec<Result<Signed, Refusal>>, Refusal> {
        let admitted = self.admit(peer, &reading(String::new()), calls.len())?;
        let asked = calls.into_iter().map(|call| Asked { peer: peer.clone(), call }).collect();
        let _own = match self.client(peer).and_then(|client| self.batches_of.get(&client.name)) {
            // Who is no client is refused by the pipeline.
            None => None,
            Some(own) => match tokio::time::timeout(BATCH_WAIT, own.acquire()).await {
                Ok(place) => Some(place),
                Err(_) => return Err(self.refuse_all(asked, &batches_full())),
            },
        };
        // Closed never.
        let _place = self.batches.acquire().await;
        let (sender, answer) = oneshot::channel();
        self.run(Job::SignAll(asked, Answer::new(sender, admitted)), Way::Alone, answer)
            .await
    }

    pub(super) async fn decapsulate(&self, peer: Peer, call: SignCall) -> Result<Decapsulated, Refusal> {
        let admitted = self.admit(&peer, &call, 1)?;
        let way = match self.pipeline.way(&call) {
            Way::Together | Way::Alone => Way::Alone,
            elsewhere @ Way::Elsewhere { .. } => elsewhere,
        };
        let (sender, answer) = oneshot::channel();
        self.run(Job::Decapsulate(peer, call, Answer::new(sender, admitted)), way, answer)
            .await?
    }

    pub(super) async fn public_key(&self, peer: Peer, key: String) -> Result<Readable, Refusal> {
        let admitted = self.admit(&peer, &reading(key.clone()), 1)?;
        let (sender, answer) = oneshot::channel();
        self.run(Job::PublicKey(peer, key, Answer::new(sender, admitted)), Way::Alone, answer)
            .await?
    }

    pub(super) async fn list_keys(&self, peer: Peer) -> Result<Vec<Readable>, Refusal> {
        let admitted = self.let_in(&peer)?;
        self.list_keys_admitted(peer, admitted).await
    }

    pub(super) async fn list_keys_admitted(&self, peer: Peer, admitted: Admitted) -> Result<Vec<Readable>, Refusal> {
        let (sender, answer) = oneshot::channel();
        self.run(Job::ListKeys(peer, Answer::new(sender, admitted)), Way::Alone, answer)
            .await?
    }

    /// Lets requests of a client in that has a bound; who is no client is refused later, by the pipeline.
    fn admit(&self, peer: &Peer, call: &SignCall, count: usize) -> Result<Admitted, Refusal> {
        if self.admissions.is_empty() {
            return Ok(Admitted::nobody());
        }
        let Some(client) = self.client(peer) else {
            return Ok(Admitted::nobody());
        };
        let admitted = self.admissions.admit(&client.name, count, Instant::now());
        admitted.map_err(|refusal| self.pipeline.refuse(peer.clone(), call, refusal))
    }

    fn client(&self, peer: &Peer) -> Option<&Arc<Client>> {
        self.clients.0.iter().find(|client| client.is(peer))
    }

    /// Queues a job and waits for its answer. If the client hangs up, this future is dropped and the job runs all the same.
    async fn run<T>(&self, job: Job, way: Way, answer: oneshot::Receiver<T>) -> Result<T, Refusal> {
        if let Err(job) = self.queue.put(job, way) {
            return Err(self.refuse_unqueued(*job));
        }
        // The sender is gone if its thread panicked, which no path of a request may.
        let lost = |_| Refusal::new(Code::Internal, "the request was lost inside the daemon; its log says why");
        answer.await.map_err(lost)
    }

    /// The same for each.
    fn refuse_all(&self, asked: Vec<Asked>, refusal: &Refusal) -> Refusal {
        for Asked { peer, call } in asked {
            self.pipeline.refuse(peer, &call, refusal.clone());
        }
        refusal.clone()
    }

    fn refuse_unqueued(&self, job: Job) -> Refusal {
        let full = || {
            Refusal::new(
                Code::QueueFull,
                "as many requests wait as limits.queue allows, or as may wait for this key's token or remote; ask again later",
            )
        };
        let (peer, call) = match job {
            Job::Sign(Asked { peer, call }, ..) | Job::Decapsulate(peer, call, _) => (peer, call),
            Job::SignAll(asked, _) => return self.refuse_all(asked, &full()),
            Job::PublicKey(peer, key, _) => (peer, reading(key)),
            Job::ListKeys(peer, _) => (peer, reading(String::new())),
        };
        self.pipeline.refuse(peer, &call, full())
    }
}

fn batches_full() -> Refusal {
    let message = format!("{BATCHES_OF_ONE} batches of this client are on their way, and none of them ended soon; wait for their answers");
    Refusal::new(Code::QueueFull, message)
}

/// A call that reads a key, for a record.
pub(super) fn reading(key: String) -> SignCall {
    SignCall {
        operation: Operation::PublicKey.name().to_owned(),
        key,
        format: String::new(),
        scheme: String::new(),
        request_id: String::new(),
        payload: Vec::new(),
        received: Instant::now(),
    }
}
