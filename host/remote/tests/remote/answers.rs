//! Answers that do not fit what was asked: nothing leaves, and the record says why.

use crate::signer::{Daemon, Fault};
use crate::world::{Front, digest_call, public_key, settings, vote_call};
use sigwarden_core::Code;
use sigwarden_protocol::proto::SignResponse;

fn refused(spoil: fn(&mut SignResponse)) -> (Code, String) {
    let folder = tempfile::tempdir().unwrap();
    let (daemon, other) = (Daemon::new(), Daemon::new());
    let remotes = vec![daemon.on_socket(folder.path().join("a")), other.on_socket(folder.path().join("b"))];
    let front = Front::looked(settings(remotes));
    daemon.script([Fault::Spoil(spoil)]);
    let refused = front.deployment.sign(digest_call(1, "")).unwrap_err();
    assert_eq!(other.seen(), []);
    (refused.kind(), front.deployment.last_detail())
}

#[test]
fn a_wrong_public_key_is_named() {
    let (code, detail) = refused(|response| response.public_key = public_key(crate::world::VALIDATOR));
    assert_eq!(code, Code::BackendFailed);
    assert!(
        detail.contains("signs `igra.account.v1` with the public key") && detail.contains("set the key's label"),
        "{detail}"
    );
}

#[test]
fn the_number_of_signatures_must_be_right() {
    for spoil in [
        (|response: &mut SignResponse| response.signatures.clear()) as fn(&mut SignResponse),
        |response| response.signatures.push(response.signatures[0].clone()),
    ] {
        let (code, detail) = refused(spoil);
        assert_eq!(code, Code::BackendFailed);
        assert!(detail.contains("signatures came for 1 signing inputs"), "{detail}");
    }
}

#[test]
fn a_signature_that_does_not_verify_is_not_released() {
    for spoil in [
        (|response: &mut SignResponse| response.signatures[0].signature[5] ^= 1) as fn(&mut SignResponse),
        |response| response.signatures[0].signature.truncate(63),
        |response| response.signatures[0].recovery_id = Some(255),
    ] {
        assert_eq!(refused(spoil).0, Code::SignatureInvalid);
    }
}

#[test]
fn a_recovery_id_and_a_request_id_are_looked_at() {
    let (code, detail) = refused(|response| response.signatures[0].recovery_id = Some(256));
    assert!(code == Code::BackendFailed && detail.contains("recovery id"), "{detail}");
    let (code, detail) = refused(|response| response.request_id = "another\n".into());
    assert!(
        code == Code::BackendFailed && detail.contains("it answered request id `another\\n`"),
        "{detail}"
    );
}

#[test]
fn an_answer_without_end_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::new();
    let front = Front::looked(settings(vec![daemon.on_socket(folder.path().join("s"))]));
    daemon.script([Fault::Spoil(|response| response.public_key = vec![0; 1 << 20])]);
    let refused = front.deployment.sign(vote_call(7, 1, "")).unwrap_err();
    assert_eq!(refused.kind(), Code::BackendUnavailable);
    assert_eq!(daemon.seen().len(), 1);
}
