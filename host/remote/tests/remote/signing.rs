//! What a caller of the front gets when nothing fails.

use crate::signer::Daemon;
use crate::world::{
    ACCOUNT, Front, IDENTITY, VALIDATOR, call, digest_call, id, keys, peer, public_key, settings, verifies, vote, vote_call,
};
use secrecy::ExposeSecret;
use sigwarden_core::fact::{MessageTime, SigningInput};
use sigwarden_core::{Code, Format, Scheme, verify};
use std::sync::atomic::Ordering;

#[test]
fn a_vote_is_decided_twice_and_signed_once() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::new();
    let front = Front::looked(settings(vec![daemon.on_socket(folder.path().join("s"))]));
    let signed = front.deployment.sign(vote_call(7, 100, "")).unwrap();
    assert!(verifies(
        &public_key(VALIDATOR),
        &vote(7, 100).sign_bytes(),
        &signed.signatures[0].bytes
    ));
    assert_eq!(signed.timestamp, Some(MessageTime { seconds: 100, nanos: 0 }));

    let (here, there) = (front.deployment.ledger.decided(), daemon.inner.deployment.ledger.decided());
    assert_eq!((here.len(), there.len()), (1, 1));
    let seen = daemon.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].request_id, here[0].decision.to_string());
    assert_eq!(there[0].request_id, here[0].decision.to_string());
    assert_eq!((seen[0].key.as_str(), seen[0].format.as_str()), (VALIDATOR, "cometbft/vote"));
    assert_eq!((seen[0].scheme.as_str(), seen[0].operation.as_str()), ("ed25519", "sign"));
    assert_eq!(seen[0].payload, vote(7, 100).sign_bytes());
}

#[test]
fn a_digest_comes_back_with_its_recovery_id() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::new();
    let front = Front::looked(settings(vec![daemon.on_socket(folder.path().join("s"))]));
    let signed = front.deployment.sign(digest_call(3, "")).unwrap();
    let (signature, input) = (&signed.signatures[0], SigningInput::Digest([3; 32]));
    assert!(signature.recovery_id.is_some_and(|recovery_id| recovery_id < 4));
    assert_eq!(
        verify::verify(Scheme::Secp256k1Ecdsa, &public_key(ACCOUNT), &input, signature),
        Ok(())
    );
}

#[test]
fn a_precommit_and_its_extension_are_one_question_and_two_signatures() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::new();
    let front = Front::looked(settings(vec![daemon.on_socket(folder.path().join("s"))]));
    let payload = vote(7, 100).sign_bytes_with_extension(b"extension");
    let signed = front
        .deployment
        .sign(call(VALIDATOR, Format::CometBftVoteExtension, payload.clone(), ""))
        .unwrap();
    let (message, extension) = payload.split_at(vote(7, 100).sign_bytes().len());
    assert!(verifies(&public_key(VALIDATOR), message, &signed.signatures[0].bytes));
    assert!(verifies(&public_key(VALIDATOR), extension, &signed.signatures[1].bytes));
    assert_eq!(daemon.seen().len(), 1);
}

#[test]
fn a_secret_is_opened_by_the_remote_and_a_lost_one_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::new();
    let front = Front::looked(settings(vec![daemon.on_socket(folder.path().join("s"))]));
    // FIPS 203 §7.3: every ciphertext of the right length opens to something.
    let ciphertext = || call(IDENTITY, Format::MlKem768Ciphertext, vec![5; 1088], "");
    let there = daemon.inner.deployment.pipeline.decapsulate(peer(), ciphertext()).unwrap();
    daemon.script([crate::signer::Fault::LoseReply]);
    let here = front.deployment.pipeline.decapsulate(peer(), ciphertext()).unwrap();
    assert_eq!(here.shared_secret.expose_secret(), there.shared_secret.expose_secret());
    assert_ne!(here.shared_secret.expose_secret(), &[0; 32]);
    assert_eq!(daemon.seen().len(), 2);
    assert_eq!(crate::signer::one_payload_each(&daemon.seen()).len(), 1);
}

#[test]
fn the_policies_of_both_must_approve_and_the_fronts_caller_learns_no_detail() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::new();
    let front = Front::looked(settings(vec![daemon.on_socket(folder.path().join("s"))]));

    front.deployment.judge.denies.store(true, Ordering::SeqCst);
    let refused = front.deployment.sign(digest_call(1, "")).unwrap_err();
    assert_eq!(refused.code(), "policy/judge/not-today");
    assert_eq!(daemon.seen(), []);

    front.deployment.judge.denies.store(false, Ordering::SeqCst);
    daemon.inner.deployment.judge.denies.store(true, Ordering::SeqCst);
    let refused = front.deployment.sign(digest_call(1, "")).unwrap_err();
    assert_eq!(refused.kind(), Code::BackendFailed);
    assert!(
        !refused.message.contains("judge") && !refused.message.contains("remote"),
        "{}",
        refused.message
    );
    let detail = front.deployment.last_detail();
    assert!(
        detail.contains("the remote refused: policy/judge/not-today: judge: as the test says"),
        "{detail}"
    );
    assert_eq!((daemon.seen().len(), daemon.inner.deployment.ledger.decided().len()), (1, 0));

    daemon.inner.deployment.judge.denies.store(false, Ordering::SeqCst);
    front.deployment.sign(digest_call(1, "")).unwrap();
}

#[test]
fn a_key_may_have_another_name_at_the_remote() {
    use crate::world::Deployment;
    use sigwarden_keys::{MockHsm, MockScript};
    use std::sync::Arc;
    let folder = tempfile::tempdir().unwrap();
    let mock = MockHsm::new(MockScript::default());
    let there = id("vault.signer.v3");
    let public_key = mock.generate(&there, Scheme::Ed25519).unwrap();
    let daemon = Daemon::of(Deployment::new(
        Arc::new(mock),
        &[(there.clone(), Scheme::Ed25519, public_key.clone())],
    ));
    let mut settings = settings(vec![daemon.on_socket(folder.path().join("s"))]);
    settings.keys.insert(id(VALIDATOR), "vault.signer.v3".into());
    let front = Front::looked(settings);
    // The front pinned another key than the one that the name leads to: said, and nothing leaves.
    let refused = front.deployment.sign(vote_call(7, 100, "")).unwrap_err();
    assert_eq!(refused.kind(), Code::BackendFailed);
    let detail = front.deployment.last_detail();
    assert!(
        detail.contains("signs `vault.signer.v3` with the public key") && detail.contains("is pinned for `cosmos.validator.v1`"),
        "{detail}"
    );
    // With the right one pinned it signs.
    let right = Deployment::new(
        Arc::clone(&front.backend) as _,
        &[(id(VALIDATOR), Scheme::Ed25519, public_key.clone())],
    );
    let signed = right.sign(vote_call(8, 100, "")).unwrap();
    assert!(verifies(&public_key, &vote(8, 100).sign_bytes(), &signed.signatures[0].bytes));
    assert_eq!(daemon.seen().last().unwrap().key, "vault.signer.v3");
    assert!(keys().iter().all(|(_, _, key)| *key != public_key));
}
