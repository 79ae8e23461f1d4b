use super::*;
use sigwarden_guest::FORMATS;
use sigwarden_guest::testing::{self, Trial, codes};

const EXAMPLE: &str = include_str!("../fixtures/config.json");

fn trial(config: &str) -> Trial<NetworkMode> {
    Trial::new(config).unwrap()
}

#[test]
fn without_rules_raw_payloads_are_signed_on_test_networks_only() {
    let mut trial = trial("{}");
    for network in Network::ALL {
        for format in FORMATS {
            let request = testing::request(format).network(*network).build();
            let raw_message = matches!(network, Network::Devnet | Network::TestnetAlpha);
            let expected = match Family::of(format) {
                Family::Evm | Family::EvmMessage | Family::PrefixedRaw => true,
                Family::Cometbft | Family::Hotstuff | Family::Tagged | Family::Encapsulation => true,
                Family::RawMessage => raw_message,
                Family::RawDigest => *network == Network::Devnet,
                Family::Unknown => false,
            };
            let wanted: &[&str] = if expected { &[] } else { &["format"] };
            assert_eq!(codes(&trial.evaluate(&request)), wanted, "{network} {format}");
        }
    }
}

#[test]
fn a_format_that_the_policy_does_not_know_is_denied_on_every_network() {
    let mut trial = trial("{}");
    for network in Network::ALL {
        let request = testing::request("evm/eip-9999").network(*network).build();
        assert_eq!(codes(&trial.evaluate(&request)), ["format"], "{network}");
    }
}

#[test]
fn the_example_allows_mainnet_its_account_keys_and_nothing_else() {
    let mut trial = trial(EXAMPLE);
    let transfer = testing::evm_transfer().network(Network::Mainnet);
    assert_eq!(codes(&trial.evaluate(&transfer.clone().build())), [""; 0]);
    let wrong_role = transfer.clone().roles(&[Role::Governance]).build();
    assert_eq!(codes(&trial.evaluate(&wrong_role)), ["role"]);
    let one_wrong_role = transfer.clone().roles(&[Role::Account, Role::Governance]).build();
    assert_eq!(codes(&trial.evaluate(&one_wrong_role)), ["role"]);
    let wrong_scheme = transfer.clone().scheme(Scheme::Secp256k1Schnorr).build();
    assert_eq!(codes(&trial.evaluate(&wrong_scheme)), ["scheme"]);
    let wrong_state = transfer.clone().key_state(KeyState::Grace).build();
    assert_eq!(codes(&trial.evaluate(&wrong_state)), ["key-state"]);
    let wrong_format = testing::evm_legacy().network(Network::Mainnet).build();
    let verdict = trial.evaluate(&wrong_format).unwrap_err();
    assert_eq!(verdict.codes(), ["format"]);
    assert_eq!(
        verdict.denials()[0].message,
        "evm/legacy is not signed on mainnet; evm/eip-1559, cometbft/* is"
    );
}

#[test]
fn a_network_that_is_refused_signs_nothing() {
    let request = testing::evm_transfer().network(Network::TestnetAlpha).build();
    assert_eq!(codes(&trial(EXAMPLE).evaluate(&request)), ["network"]);
}

#[test]
fn every_reason_is_told_at_once() {
    let mut trial = trial(r#"{"devnet":{"roles":[],"schemes":[],"formats":[],"key_states":[]}}"#);
    assert_eq!(
        codes(&trial.evaluate(&testing::evm_transfer().build())),
        ["role", "scheme", "format", "key-state"]
    );
}

#[test]
fn a_key_without_a_role_is_denied() {
    assert_eq!(codes(&trial("{}").evaluate(&testing::evm_transfer().roles(&[]).build())), ["role"]);
}

#[test]
fn a_wrong_configuration_is_refused_with_its_path() {
    for (config, path) in [
        (r#"{"main":{}}"#, "main"),
        (r#"{"mainnet":{"role":[]}}"#, "mainnet.role"),
        (r#"{"mainnet":{"roles":["accounts"]}}"#, "mainnet.roles[0]"),
        (r#"{"mainnet":{"formats":["evm/*","cosmos/*"]}}"#, "mainnet.formats[1]"),
        (r#"{"testnet-beta":{"key_states":["new"]}}"#, "testnet-beta.key_states[0]"),
    ] {
        let problems = Trial::<NetworkMode>::new(config).unwrap_err();
        assert_eq!(
            problems.iter().map(|problem| problem.path.as_str()).collect::<Vec<_>>(),
            [path],
            "{config}"
        );
    }
}

#[test]
fn what_a_decoder_reads_and_what_signs_nothing_passes_on_mainnet() {
    let mut trial = trial("{}");
    for request in [
        testing::hotstuff_vote(9),
        testing::hotstuff_proposal(9),
        testing::hotstuff_timeout(9),
        testing::tagged_message("withdrawal", b"body"),
        testing::encapsulation(),
    ] {
        assert_eq!(codes(&trial.evaluate(&request.network(Network::Mainnet).build())), [""; 0]);
    }
    let only = r#"{"mainnet":{"schemes":["ml-dsa-44"],"formats":["hotstuff/*"]}}"#;
    let mut only = self::trial(only);
    let on_mainnet = |request: testing::RequestBuilder| request.network(Network::Mainnet).build();
    assert_eq!(codes(&only.evaluate(&on_mainnet(testing::hotstuff_vote(9)))), [""; 0]);
    assert_eq!(codes(&only.evaluate(&on_mainnet(testing::encapsulation()))), ["scheme", "format"]);
}
