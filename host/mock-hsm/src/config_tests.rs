#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use super::*;

#[test]
fn the_example_is_a_configuration() {
    let config = Config::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("example.toml")).unwrap();
    assert_eq!(config.slots(), [0, 7]);
    assert_eq!(config.directory.unwrap(), Path::new(env!("CARGO_MANIFEST_DIR")).join("tokens"));
    assert_eq!(config.token[0], Token::new("validator", "1234"));
    let standby = &config.token[1];
    assert_eq!(
        (standby.max_pin_attempts, standby.max_sessions, standby.ec_point),
        (10, 16, EcPoint::Bare)
    );
    assert_eq!(
        (standby.key[0].label.as_str(), standby.key[0].scheme),
        ("consensus", Scheme::Ed25519)
    );
}

#[test]
fn what_is_written_reads_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mock.toml");
    let config = Config {
        directory: Some(directory.path().join("tokens")),
        faults: None,
        token: vec![Token {
            slot: Some(3),
            ec_point: EcPoint::Bare,
            seed: Some("seed".into()),
            key: vec![Key {
                label: "k \"quoted\"\n".into(),
                scheme: Scheme::MlDsa44,
                seed: String::new(),
                id: "0aff".into(),
            }],
            ..Token::new("t", "p")
        }],
    };
    config.write(&path).unwrap();
    assert_eq!(Config::read(&path).unwrap(), config);
}

#[test]
fn paths_are_beside_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mock.toml");
    let config = Config {
        directory: Some("tokens".into()),
        faults: Some("faults.toml".into()),
        token: vec![Token::new("t", "p")],
    };
    config.write(&path).unwrap();
    let read = Config::read(&path).unwrap();
    assert_eq!(read.directory.unwrap(), directory.path().join("tokens"));
    assert_eq!(read.faults.unwrap(), directory.path().join("faults.toml"));
}
