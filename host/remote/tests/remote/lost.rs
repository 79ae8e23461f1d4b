//! Answers that get lost: one decision, one request id, one payload.

use crate::signer::{Daemon, Fault, one_payload_each};
use crate::world::{ACCOUNT, Front, VALIDATOR, call, digest_call, public_key, settings, verifies, vote, vote_call};
use sigwarden_core::fact::{MessageTime, SigningInput};
use sigwarden_core::{Code, Format, Scheme, verify};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

#[test]
fn a_reply_that_was_lost_after_the_decision_is_asked_for_again_with_the_same_id() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::new();
    let front = Front::looked(settings(vec![daemon.on_socket(folder.path().join("s"))]));
    daemon.script([Fault::LoseReply, Fault::LoseReply]);
    let signed = front.deployment.sign(digest_call(9, "")).unwrap();
    // The recorded signature, recovery id included.
    assert!(signed.signatures[0].recovery_id.is_some());

    let seen = daemon.seen();
    let here = front.deployment.ledger.decided();
    assert_eq!(seen.len(), 3);
    assert_eq!(one_payload_each(&seen), BTreeSet::from([here[0].decision.to_string()]));
    let there = daemon.inner.deployment.ledger.decided();
    let fresh: Vec<_> = there.iter().filter(|decided| !decided.replay).collect();
    assert_eq!(fresh.len(), 1, "{there:?}");
    let counts = front.backend.status()[0].counts;
    assert_eq!((counts.asked, counts.asked_again, counts.lost, counts.answered), (3, 2, 2, 1));
}

#[test]
fn a_remote_that_lost_its_outcome_signs_the_same_bytes_under_the_same_decision() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::new();
    daemon.inner.deployment.ledger.forgets_outcomes.store(true, Ordering::SeqCst);
    let front = Front::looked(settings(vec![daemon.on_socket(folder.path().join("s"))]));
    daemon.script([Fault::LoseRequest, Fault::LoseReply]);
    let signed = front.deployment.sign(vote_call(7, 100, "")).unwrap();
    assert!(verifies(
        &public_key(VALIDATOR),
        &vote(7, 100).sign_bytes(),
        &signed.signatures[0].bytes
    ));
    assert_eq!((daemon.seen().len(), one_payload_each(&daemon.seen()).len()), (3, 1));
    let there = daemon.inner.deployment.ledger.decided();
    assert_eq!(there.iter().map(|decided| decided.replay).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn a_call_that_is_never_answered_is_asked_again_at_its_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::new();
    let mut settings = settings(vec![daemon.on_socket(folder.path().join("s"))]);
    settings.call_deadline = Duration::from_millis(100);
    let front = Front::looked(settings);
    daemon.script([Fault::Withhold]);
    front.deployment.sign(vote_call(7, 100, "")).unwrap();
    assert!(daemon.seen().len() >= 2);
    assert_eq!(one_payload_each(&daemon.seen()).len(), 1);
}

#[test]
fn a_gateways_errors_are_asked_again_and_its_judgements_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::new();
    let front = Front::looked(settings(vec![daemon.on_socket(folder.path().join("s"))]));
    for code in [tonic::Code::Unavailable, tonic::Code::Unknown, tonic::Code::Internal] {
        daemon.script([Fault::Status(code)]);
    }
    for code in [tonic::Code::ResourceExhausted, tonic::Code::Cancelled] {
        daemon.script([Fault::Status(code)]);
    }
    front.deployment.sign(digest_call(1, "")).unwrap();
    assert_eq!((daemon.seen().len(), one_payload_each(&daemon.seen()).len()), (6, 1));

    daemon.script([Fault::Status(tonic::Code::Unimplemented)]);
    let refused = front.deployment.sign(digest_call(2, "")).unwrap_err();
    assert_eq!(refused.kind(), Code::BackendUnavailable);
    assert!(front.deployment.last_detail().contains("no Sigwarden of this version"));
    assert_eq!(daemon.seen().len(), 7);
}

/// The node asks again for a vote whose signature never came, with another timestamp, as CometBFT does: what was decided first is sent.
#[test]
fn a_retried_vote_is_sent_with_the_bytes_that_were_decided_first() {
    for request_id in ["", "vote-7"] {
        let folder = tempfile::tempdir().unwrap();
        let daemon = Daemon::new();
        let front = Front::looked(settings(vec![daemon.on_socket(folder.path().join("s"))]));
        // Decided here, not signed there.
        daemon.script([Fault::Refuse(Code::Stopping)]);
        let refused = front.deployment.sign(vote_call(7, 100, request_id)).unwrap_err();
        assert_eq!(refused.kind(), Code::BackendUnavailable);
        let signed = front.deployment.sign(vote_call(7, 200, request_id)).unwrap();
        assert_eq!(signed.timestamp, Some(MessageTime { seconds: 100, nanos: 0 }));
        assert!(verifies(
            &public_key(VALIDATOR),
            &vote(7, 100).sign_bytes(),
            &signed.signatures[0].bytes
        ));
        let seen = daemon.seen();
        assert!(seen.iter().all(|request| request.payload == vote(7, 100).sign_bytes()));
        // With an id of the node's own it is the same decision, else a second one of this ledger, which repeats the message of the first.
        assert_eq!(one_payload_each(&seen).len(), if request_id.is_empty() { 2 } else { 1 });
    }
}

#[test]
fn another_extension_goes_beside_the_precommit_that_was_decided_first() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::new();
    let front = Front::looked(settings(vec![daemon.on_socket(folder.path().join("s"))]));
    let with = |seconds, extension: &[u8]| {
        let payload = vote(7, seconds).sign_bytes_with_extension(extension);
        call(VALIDATOR, Format::CometBftVoteExtension, payload, "")
    };
    let first = front.deployment.sign(with(100, b"one")).unwrap();
    // The vote's signature is recorded here; only the new extension's is asked for, beside the first precommit.
    let second = front.deployment.sign(with(200, b"two")).unwrap();
    assert_eq!(second.signatures[0], first.signatures[0]);
    let seen = daemon.seen();
    assert_eq!(seen[1].payload, vote(7, 100).sign_bytes_with_extension(b"two"));
    let extension = &seen[1].payload[vote(7, 100).sign_bytes().len()..];
    assert!(verifies(&public_key(VALIDATOR), extension, &second.signatures[1].bytes));

    // And if the vote's signature is not recorded, its stored bytes go out, not the request's.
    front.deployment.ledger.forgets_outcomes.store(true, Ordering::SeqCst);
    let at_8 = |seconds, extension: &[u8]| {
        let payload = vote(8, seconds).sign_bytes_with_extension(extension);
        call(VALIDATOR, Format::CometBftVoteExtension, payload, "")
    };
    front.deployment.sign(at_8(100, b"one")).unwrap();
    front.deployment.sign(at_8(200, b"one")).unwrap();
    assert_eq!(daemon.seen()[3].payload, vote(8, 100).sign_bytes_with_extension(b"one"));
}

#[test]
fn what_was_signed_past_this_deployment_is_said_and_not_released() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::new();
    let front = Front::looked(settings(vec![daemon.on_socket(folder.path().join("s"))]));
    daemon.inner.deployment.sign(vote_call(7, 50, "")).unwrap();
    let refused = front.deployment.sign(vote_call(7, 100, "")).unwrap_err();
    assert_eq!(refused.kind(), Code::BackendFailed);
    assert!(front.deployment.last_detail().contains("somebody asks it past this deployment"));
}

/// Many callers at once, and every third answer or request lost.
#[test]
fn whatever_is_lost_each_decision_has_one_id_one_payload_and_one_decision_there() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::new();
    let front = Front::looked(settings(vec![daemon.on_socket(folder.path().join("s"))]));
    for at in 0..30 {
        let fault = match at % 3 {
            0 => Fault::LoseReply,
            1 => Fault::LoseRequest,
            _ => Fault::Refuse(Code::LedgerUnknown),
        };
        daemon.script([fault]);
    }
    let verified = std::thread::scope(|scope| {
        let caller = |thread: u8| {
            let front = &front;
            move || {
                for digest in (0..12).map(|at| thread * 12 + at) {
                    let signed = front.deployment.sign(digest_call(digest, &format!("digest-{digest}"))).unwrap();
                    let input = SigningInput::Digest([digest; 32]);
                    verify::verify(Scheme::Secp256k1Ecdsa, &public_key(ACCOUNT), &input, &signed.signatures[0]).unwrap();
                }
                12
            }
        };
        let threads: Vec<_> = (0..4).map(|thread| scope.spawn(caller(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u32>()
    });
    assert_eq!(verified, 48);
    let here: BTreeSet<String> = front
        .deployment
        .ledger
        .decided()
        .iter()
        .map(|one| one.decision.to_string())
        .collect();
    assert_eq!((here.len(), one_payload_each(&daemon.seen())), (48, here));
    let there = daemon.inner.deployment.ledger.decided();
    assert_eq!(there.iter().filter(|decided| !decided.replay).count(), 48);
    assert!(front.backend.status()[0].counts.lost >= 30);
}

#[test]
fn an_end_comes_to_what_is_never_answered() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::new();
    let mut settings = settings(vec![daemon.on_socket(folder.path().join("s"))]);
    (settings.call_deadline, settings.total_deadline) = (Duration::from_millis(50), Duration::from_millis(200));
    let front = Front::looked(settings);
    daemon.script((0..100).map(|_| Fault::Withhold));
    let refused = front.deployment.sign(digest_call(1, "once")).unwrap_err();
    assert_eq!(refused.kind(), Code::BackendUnavailable);
    let detail = front.deployment.last_detail();
    assert!(
        detail.contains("no remote signs") && detail.contains("an answer was lost"),
        "{detail}"
    );
    // The caller asks again by its own id, and gets what was decided.
    daemon.inner.clear_script();
    let signed = loop {
        match front.deployment.sign(digest_call(1, "once")) {
            Ok(signed) => break signed,
            Err(refused) => assert_eq!(refused.kind(), Code::BackendUnavailable),
        }
    };
    assert!(signed.signatures[0].recovery_id.is_some());
    assert_eq!(one_payload_each(&daemon.seen()).len(), 1);
}

/// Counts the lines of one remote about answers that were lost.
struct Lines {
    remote: String,
    count: Arc<AtomicUsize>,
}

/// What of a line is looked for.
struct Line<'a> {
    lines: &'a Lines,
    of_remote: bool,
    of_loss: bool,
}

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.of_remote |= field.name() == "remote" && value == self.lines.remote;
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.of_loss |= field.name() == "message" && format!("{value:?}").starts_with("an answer was lost");
    }
}

impl Subscriber for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line {
            lines: self,
            of_remote: false,
            of_loss: false,
        };
        event.record(&mut line);
        if line.of_remote && line.of_loss {
            self.count.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn a_remote_that_loses_answers_is_told_of_once_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::new();
    let front = Front::looked(settings(vec![daemon.on_socket(folder.path().join("s"))]));
    let count = Arc::new(AtomicUsize::new(0));
    let lines = Lines {
        remote: front.backend.status()[0].address.clone(),
        count: Arc::clone(&count),
    };
    // Of the whole process, for questions are asked on threads of the backend's own; no other test sets one.
    tracing::subscriber::set_global_default(lines).unwrap();
    daemon.script((0..6).map(|_| Fault::LoseReply));
    let start = Instant::now();
    front.deployment.sign(digest_call(9, "")).unwrap();
    let seconds = start.elapsed().as_secs();
    assert_eq!(front.backend.status()[0].counts.lost, 6, "each is counted");
    let told = count.load(Ordering::SeqCst) as u64;
    assert!((1..=1 + seconds).contains(&told), "{told} lines in {seconds} s");
}
