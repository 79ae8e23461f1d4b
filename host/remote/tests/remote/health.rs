//! How a remote is, and what is not asked of one that is not well.

use crate::signer::Daemon;
use crate::world::{Front, digest_call, settings};
use sigwarden_core::Code;
use sigwarden_remote::{Remote, RemoteBackend};
use std::time::Duration;

#[test]
fn a_start_does_not_wait_for_a_remote_and_it_is_found_when_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let front = Front::looked(settings(vec![Remote::Unix { socket: socket.clone() }]));
    let status = &front.backend.status()[0];
    assert_eq!((status.up, status.last_answer, status.connections), (false, None, 0));
    let reason = status.reason.as_ref().unwrap();
    assert!(
        reason.contains("cannot connect") && reason.contains("is the daemon running?"),
        "{reason}"
    );
    let refused = front.deployment.sign(digest_call(1, "")).unwrap_err();
    assert_eq!(refused.kind(), Code::BackendUnavailable);
    assert!(front.deployment.last_detail().contains("cannot connect"));

    let daemon = Daemon::new();
    daemon.on_socket(socket);
    let status = front.until(0, |status| status.up && status.connections == 2);
    assert_eq!(status.reason, None);
    assert_eq!(
        (status.network.as_deref(), status.version.as_deref()),
        (Some("devnet"), Some("0.1.0"))
    );
    assert_eq!(status.deployment_id.as_deref(), Some("00ff"));
    assert!(status.last_answer.is_some());
    front.deployment.sign(digest_call(1, "")).unwrap();
}

#[test]
fn the_first_request_waits_for_the_first_connection() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::new();
    let front = Front::of(settings(vec![daemon.on_socket(folder.path().join("s"))]));
    front.deployment.sign(digest_call(1, "")).unwrap();
}

#[test]
fn a_remote_of_another_network_is_asked_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::new();
    daemon.set_health(|health| health.network = "mainnet".into());
    let front = Front::looked(settings(vec![daemon.on_socket(folder.path().join("s"))]));
    let status = &front.backend.status()[0];
    let wanted = "it is of network `mainnet`, and this deployment is of `devnet`";
    assert_eq!((status.up, status.reason.as_deref()), (false, Some(wanted)));
    let refused = front.deployment.sign(digest_call(1, "")).unwrap_err();
    assert_eq!(refused.kind(), Code::BackendUnavailable);
    assert!(front.deployment.last_detail().contains(wanted));
    assert_eq!(daemon.seen(), []);
}

#[test]
fn another_daemon_behind_the_address_is_looked_at_before_it_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (right, wrong) = (Daemon::new(), Daemon::new());
    wrong.set_health(|health| health.network = "mainnet".into());
    let mut settings = settings(vec![right.on_socket(folder.path().join("s"))]);
    // No look in between: the next call makes the connection.
    settings.pace.health = Duration::from_secs(60);
    (settings.call_deadline, settings.total_deadline) = (Duration::from_secs(1), Duration::from_secs(1));
    let front = Front::looked(settings);
    front.deployment.sign(digest_call(1, "")).unwrap();
    wrong.on_socket(folder.path().join("s"));
    right.script([crate::signer::Fault::Die]);
    let refused = front
        .deployment
        .sign(digest_call(2, ""))
        .map(|signed| signed.signatures)
        .unwrap_err();
    assert_eq!(refused.kind(), Code::BackendUnavailable);
    assert!(front.deployment.last_detail().contains("it is of network `mainnet`"));
    assert_eq!((right.seen().len(), wrong.seen().len()), (2, 0));
}

#[test]
fn a_remote_that_does_not_sign_is_down_until_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::new();
    daemon.set_health(|health| {
        health.ready = false;
        health.reason = "the ledger failed\u{1b}[2J".into();
    });
    let front = Front::looked(settings(vec![daemon.on_socket(folder.path().join("s"))]));
    let reason = front.backend.status()[0].reason.clone().unwrap();
    assert_eq!(reason, "it does not sign: the ledger failed\\u{1b}[2J");
    daemon.set_health(|health| health.ready = true);
    front.until(0, |status| status.up);
    front.deployment.sign(digest_call(1, "")).unwrap();
}

#[test]
fn a_backend_is_dropped_while_nothing_answers() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let _listens_and_never_answers = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let backend = RemoteBackend::open(settings(vec![Remote::Unix { socket }])).unwrap();
    let status = backend.wait_until_looked(Duration::from_millis(1));
    assert_eq!(
        (status[0].up, status[0].reason.as_deref()),
        (false, Some("it has not answered yet"))
    );
    drop(backend);
}

#[test]
fn a_daemon_that_closes_the_connection_is_told_with_what_may_be_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || while listener.accept().is_ok() {});
    let front = Front::looked(settings(vec![Remote::Unix { socket }]));
    let reason = front.backend.status()[0].reason.clone().unwrap();
    assert!(
        reason.contains("closes connections of user ids that no `[[client]]` of its names"),
        "{reason}"
    );
}
