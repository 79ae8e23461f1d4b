//! Public keys, names of keys, and settings.

use crate::signer::Daemon;
use crate::world::{ACCOUNT, Deployment, Front, IDENTITY, VALIDATOR, id, public_key, settings};
use sigwarden_core::{KeyState, Network, Scheme};
use sigwarden_keys::{MockHsm, MockScript};
use sigwarden_remote::{Failure, OpenError, Remote, RemoteBackend, Settings};
use std::sync::Arc;
use std::time::Duration;

#[test]
fn a_key_is_learnt_from_the_remote() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::new();
    let front = Front::looked(settings(vec![daemon.on_socket(folder.path().join("s"))]));
    for (key, scheme) in [
        (VALIDATOR, Scheme::Ed25519),
        (ACCOUNT, Scheme::Secp256k1Ecdsa),
        (IDENTITY, Scheme::MlKem768),
    ] {
        let told = front.backend.public_key(&id(key)).unwrap();
        assert_eq!((told.public_key, told.scheme), (public_key(key), scheme));
        assert_eq!((told.name.as_str(), told.state), (key, Some(KeyState::Active)));
    }
    let failure = front.backend.public_key(&id("no.such.v1")).unwrap_err();
    assert!(!failure.is_passing());
    assert!(
        matches!(&failure, Failure::Refused { code, message, .. } if code == "caller/forbidden" && message.contains("no.such.v1")),
        "{failure}"
    );
    // Configured since, by another name.
    front.backend.learn(&id("no.such.v1"), Some(VALIDATOR.into())).unwrap();
    assert_eq!(
        front.backend.public_key(&id("no.such.v1")).unwrap().public_key,
        public_key(VALIDATOR)
    );
    let taken = front
        .backend
        .learn(&id("another.one.v1"), Some(VALIDATOR.into()))
        .unwrap_err()
        .to_string();
    assert!(taken.contains("are both `cosmos.validator.v1` at the remote"), "{taken}");

    daemon.stop();
    front.until(0, |status| !status.up);
    assert!(front.backend.public_key(&id(VALIDATOR)).unwrap_err().is_passing());
}

#[test]
fn two_remotes_must_hold_the_same_key() {
    let folder = tempfile::tempdir().unwrap();
    let mock = MockHsm::new(MockScript {
        seed: "another".into(),
        ..MockScript::default()
    });
    let other = mock.generate(&id(VALIDATOR), Scheme::Ed25519).unwrap();
    let (a, b) = (
        Daemon::new(),
        Daemon::of(Deployment::new(Arc::new(mock), &[(id(VALIDATOR), Scheme::Ed25519, other)])),
    );
    let front = Front::looked(settings(vec![
        a.on_socket(folder.path().join("a")),
        b.on_socket(folder.path().join("b")),
    ]));
    let failure = front.backend.public_key(&id(VALIDATOR)).unwrap_err();
    assert!(matches!(failure, Failure::Differ { .. }), "{failure}");
    // One that is away tells nothing.
    b.stop();
    front.until(1, |status| !status.up);
    assert_eq!(front.backend.public_key(&id(VALIDATOR)).unwrap().public_key, public_key(VALIDATOR));
}

#[test]
fn settings_that_make_no_sense_say_what_would() {
    let unix = |path: &str| Remote::Unix { socket: path.into() };
    let right = || Settings::new("hop", Network::Devnet, vec![unix("/a"), unix("/b")]);
    let refused = |change: fn(&mut Settings)| {
        let mut settings = right();
        change(&mut settings);
        match RemoteBackend::open(settings) {
            Err(OpenError::Settings(error)) => error.to_string(),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("opened"),
        }
    };
    for (change, wanted) in [
        (
            (|settings| settings.remotes.clear()) as fn(&mut Settings),
            "backend `hop`: 0 remotes; 1 to 8 are right",
        ),
        (|settings| settings.connections = 17, "17 connections; 1 to 16 are right"),
        (
            |settings| settings.remotes[1] = settings.remotes[0].clone(),
            "the remote `/a` is named twice",
        ),
        (
            |settings| settings.total_deadline = Duration::from_secs(51),
            "the deadline of all attempts is 51s",
        ),
        (
            |settings| settings.call_deadline = Duration::from_secs(11),
            "the call deadline is 11s; 1ms to 10s are right",
        ),
        (|settings| settings.connect_deadline = Duration::ZERO, "the connect deadline is 0ns"),
        (
            |settings| {
                settings
                    .keys
                    .extend([(id(VALIDATOR), "x.y".to_owned()), (id(ACCOUNT), "x.y".to_owned())])
            },
            "are both `x.y` at the remote",
        ),
        (
            |settings| settings.keys.extend([(id(VALIDATOR), "x y".to_owned())]),
            "the remote's name of `cosmos.validator.v1` is `x y`",
        ),
        (
            |settings| settings.remotes[0] = Remote::Unix { socket: "".into() },
            "a socket's path is right",
        ),
    ] {
        let told = refused(change);
        assert!(told.contains(wanted), "{told}");
    }
}
