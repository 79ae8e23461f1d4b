#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use super::*;
use crate::config::Token;

fn config(directory: &Path) -> Config {
    Config {
        directory: None,
        faults: Some(directory.join("faults.toml")),
        token: vec![Token::new("validator", "1"), Token::new("validator-standby", "2")],
    }
}

#[test]
fn the_example_is_a_faults_file_of_the_example_configuration() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = Config {
        faults: Some(here.join("example-faults.toml")),
        ..Config::read(&here.join("example.toml")).unwrap()
    };
    let faults = Watched::new(&config).look(&config).unwrap().unwrap();
    let validator = &faults.token["validator"];
    assert_eq!((validator.latency_ms, validator.dies_after), (20, Some(1000)));
    assert!(validator.signing.high_s && !validator.signing.wrong_signature);
    assert!(validator.key["consensus"].wrong_signature && !validator.key["consensus"].high_s);
    assert!(faults.token["validator-standby"].device_removed);
}

#[test]
fn every_change_is_seen_once_and_an_end_too() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let path = config.faults.clone().unwrap();
    let mut watched = Watched::new(&config);
    assert_eq!(watched.look(&config).unwrap(), None);
    // As many bytes each time, and faster than the file system's clock ticks.
    for slot in (10..90).rev() {
        let faults = Faults::of(
            "validator",
            TokenFaults {
                slot: Some(slot),
                ..TokenFaults::default()
            },
        );
        faults.write(&path).unwrap();
        assert_eq!(watched.look(&config).unwrap(), Some(faults));
        assert_eq!(watched.look(&config).unwrap(), None);
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(watched.look(&config).unwrap(), Some(Faults::default()));
    assert_eq!(watched.look(&config).unwrap(), None);
}

#[test]
fn a_wrong_file_is_wrong_until_it_is_mended() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let path = config.faults.clone().unwrap();
    let mut watched = Watched::new(&config);
    std::fs::write(&path, "[token.elsewhere]\n").unwrap();
    for _ in 0..2 {
        let message = watched.look(&config).unwrap_err().to_string();
        let wanted = "token `elsewhere` is none of the configuration's; they are [\"validator\", \"validator-standby\"]";
        assert_eq!(message, format!("{}: {wanted}", path.display()));
    }
    Faults::default().write(&path).unwrap();
    assert_eq!(watched.look(&config).unwrap(), Some(Faults::default()));
}

#[test]
fn two_tokens_do_not_share_a_slot() {
    let moved = |label: &str, slot| {
        (
            label.to_owned(),
            TokenFaults {
                slot: Some(slot),
                ..TokenFaults::default()
            },
        )
    };
    let faults = |moves: &[(&str, u32)]| Faults {
        token: moves.iter().map(|(label, slot)| moved(label, *slot)).collect(),
    };
    let config = config(Path::new("/"));
    assert!(
        faults(&[("validator", 1)])
            .check(&config)
            .unwrap_err()
            .contains("two tokens are in one slot")
    );
    assert_eq!(faults(&[("validator", 1), ("validator-standby", 0)]).check(&config), Ok(()));
}
