//! Several remotes for one key.

use crate::signer::{Daemon, Fault, one_payload_each};
use crate::world::{Front, VALIDATOR, digest_call, public_key, settings, verifies, vote, vote_call};
use sigwarden_core::Code;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tempfile::TempDir;

fn two() -> (TempDir, [Daemon; 2], Vec<sigwarden_remote::Remote>) {
    let folder = tempfile::tempdir().unwrap();
    let daemons = [Daemon::new(), Daemon::new()];
    let remotes = ["a", "b"]
        .iter()
        .zip(&daemons)
        .map(|(name, daemon)| daemon.on_socket(folder.path().join(name)));
    let remotes = remotes.collect();
    (folder, daemons, remotes)
}

#[test]
fn the_first_is_preferred_and_takes_over_again_once_it_is_back() {
    let (folder, [a, b], remotes) = two();
    let front = Front::looked(settings(remotes));
    front.deployment.sign(vote_call(7, 100, "")).unwrap();
    assert_eq!((a.seen().len(), b.seen().len()), (1, 0));

    a.stop();
    front.deployment.sign(vote_call(8, 100, "")).unwrap();
    assert_eq!((a.seen().len(), b.seen().len()), (1, 1));
    let status = front.until(0, |status| {
        !status.up && status.reason.as_ref().is_some_and(|reason| reason.contains("cannot connect"))
    });
    assert_eq!(status.counts.went_down, 1);

    a.on_socket(folder.path().join("a"));
    front.until(0, |status| status.up);
    // Its floor is lower than the other's; this deployment's is not.
    let signed = front.deployment.sign(vote_call(9, 100, "")).unwrap();
    assert!(verifies(
        &public_key(VALIDATOR),
        &vote(9, 100).sign_bytes(),
        &signed.signatures[0].bytes
    ));
    assert_eq!((a.seen().len(), b.seen().len()), (2, 1));
    let refused = front.deployment.sign(vote_call(8, 100, "")).unwrap_err();
    assert_eq!(refused.kind(), Code::FloorRegression);
    assert_eq!((a.seen().len(), b.seen().len()), (2, 1));
}

#[test]
fn one_that_dies_between_decision_and_reply_leaves_the_same_question_to_the_next() {
    let (_folder, [a, b], remotes) = two();
    let front = Front::looked(settings(remotes));
    a.script([Fault::Die]);
    let signed = front.deployment.sign(vote_call(7, 100, "")).unwrap();
    assert!(verifies(
        &public_key(VALIDATOR),
        &vote(7, 100).sign_bytes(),
        &signed.signatures[0].bytes
    ));
    assert_eq!((a.seen().len(), b.seen().len()), (1, 1));
    assert_eq!(a.seen(), b.seen());
    let counts: Vec<_> = front.backend.status().iter().map(|status| status.counts.answered).collect();
    assert_eq!(counts, [0, 1]);
}

#[test]
fn one_that_stands_still_is_given_up_when_it_does_not_answer_health() {
    let (_folder, [a, b], remotes) = two();
    let mut settings = settings(remotes);
    settings.pace.health_deadline = Duration::from_millis(200);
    settings.connect_deadline = Duration::from_millis(400);
    let front = Front::looked(settings);
    front.until(0, |status| status.up);
    a.script([Fault::Freeze]);
    // Its own deadline is far away.
    front.deployment.sign(vote_call(7, 100, "")).unwrap();
    assert_eq!(one_payload_each(a.seen().iter().chain(&b.seen())).len(), 1);
    assert_eq!(b.seen().len(), 1);
    front.until(0, |status| {
        !status.up && status.reason.as_ref().unwrap().contains("longer than 400 ms")
    });
    a.thaw();
    front.until(0, |status| status.up);
}

#[test]
fn the_next_is_asked_if_one_cannot_and_not_if_one_refuses() {
    let (_folder, [a, b], remotes) = two();
    let front = Front::looked(settings(remotes));
    let unable = [
        Code::Stopping,
        Code::QueueFull,
        Code::Deadline,
        Code::BackendUnavailable,
        Code::ClockBehind,
        Code::ClockStep,
    ];
    for (at, code) in unable.into_iter().enumerate() {
        a.script([Fault::Refuse(code)]);
        front.deployment.sign(digest_call(at as u8, "")).unwrap();
        assert_eq!((a.seen().len(), b.seen().len()), (at + 1, at + 1), "{code:?}");
        assert_eq!(a.seen(), b.seen());
    }
    for code in [
        Code::FloorConflict,
        Code::FloorRegression,
        Code::PolicyUnbound,
        Code::CallerForbidden,
        Code::KeyState,
        Code::SandboxTrap,
    ] {
        a.script([Fault::Refuse(code)]);
        let refused = front.deployment.sign(digest_call(99, "")).unwrap_err();
        assert_eq!(refused.kind(), Code::BackendFailed);
        let detail = front.deployment.last_detail();
        assert!(
            detail.contains(&format!("the remote refused: {}: as scripted", code.as_str())),
            "{detail}"
        );
        assert_eq!(b.seen().len(), unable.len());
    }
    a.inner.deployment.judge.denies.store(true, Ordering::SeqCst);
    assert_eq!(front.deployment.sign(digest_call(99, "")).unwrap_err().kind(), Code::BackendFailed);
    assert_eq!(b.seen().len(), unable.len());
}

#[test]
fn an_id_that_stands_for_something_else_there_is_never_taken_elsewhere() {
    let (_folder, [a, b], remotes) = two();
    let front = Front::looked(settings(remotes));
    a.script([Fault::LoseRequest, Fault::Refuse(Code::RequestIdReused)]);
    let refused = front.deployment.sign(vote_call(7, 100, "")).unwrap_err();
    assert_eq!(refused.kind(), Code::BackendFailed);
    let detail = front.deployment.last_detail();
    assert!(detail.contains("this deployment never gives an id twice"), "{detail}");
    assert_eq!(b.seen(), []);
}

#[test]
fn if_both_cannot_the_reasons_of_both_are_told() {
    let (_folder, [a, b], remotes) = two();
    let front = Front::looked(settings(remotes));
    a.script([Fault::Refuse(Code::Stopping)]);
    b.script([Fault::Refuse(Code::BackendUnavailable)]);
    let refused = front.deployment.sign(digest_call(1, "")).unwrap_err();
    assert_eq!(refused.kind(), Code::BackendUnavailable);
    let detail = front.deployment.last_detail();
    assert!(
        detail.contains("/a: busy/stopping") && detail.contains("/b: backend/unavailable"),
        "{detail}"
    );
    assert_eq!((a.seen().len(), b.seen().len()), (1, 1));
}

/// Votes while the remotes die and return in turns: at each of them no position is ever decided for two messages, and none is missed.
#[test]
fn going_back_and_forth_signs_every_vote_and_no_position_twice() {
    let (folder, daemons, remotes) = two();
    let front = Front::looked(settings(remotes));
    let mut dead: Option<usize> = None;
    for height in 2..26 {
        if height % 4 == 0 {
            let next = usize::from(height % 8 == 0);
            if let Some(back) = dead.take() {
                daemons[back].inner.clear_script();
                daemons[back].on_socket(folder.path().join(["a", "b"][back]));
                front.until(back, |status| status.up);
            }
            daemons[next].script([Fault::Die]);
            if front.backend.status()[0].up && next == 1 {
                // The first is preferred, so the second dies by itself.
                daemons[next].stop();
            }
            dead = Some(next);
        }
        let signed = front.deployment.sign(vote_call(height, 100, "")).unwrap();
        assert!(verifies(
            &public_key(VALIDATOR),
            &vote(height, 100).sign_bytes(),
            &signed.signatures[0].bytes
        ));
    }
    let all: Vec<_> = daemons.iter().flat_map(Daemon::seen).collect();
    assert_eq!(one_payload_each(&all).len(), 24);
    assert!(daemons.iter().all(|daemon| !daemon.seen().is_empty()));
}
