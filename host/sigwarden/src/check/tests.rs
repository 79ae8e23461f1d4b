use super::Severity::{Refuse, Silent, Warn};
use super::*;
use crate::config::{Access, Backend, BackendKind, Config, Listener, ListenerKind, Pkcs11, PolicyConfig};
use sigwarden_core::Scheme;
use sigwarden_pkcs11::{Provider, TokenInfo, TokenState, TokenStatus};
use sigwarden_remote::{Counts, RemoteStatus};
use std::path::Path;
use std::sync::Arc;

const GOOD: &str = r#"
version = 1
network = "devnet"
[[rotation]]
max_age_days = 365
[[backend]]
name = "vault"
kind = "sealed-file"
[[key]]
name = "demo.account"
roles = ["account"]
scheme = "secp256k1-ecdsa"
backend = "vault"
[[policy]]
name = "rate-limit"
module = "policies/rate-limit.wasm"
sha256 = "abababababababababababababababababababababababababababababababab"
"#;

fn good() -> Config {
    Config::parse(Path::new("dep"), GOOD).unwrap()
}

fn around(config: &Config) -> Surroundings<'_> {
    let mode = |path: &str, mode| Some(FileMode { path: path.into(), mode });
    Surroundings {
        config,
        secret_variables: Vec::new(),
        config_mode: mode("dep/sigwarden.toml", 0o644),
        passphrase_mode: mode("dep/passphrase", 0o600),
        vault_mode: mode("dep/keys", 0o700),
        state_mode: mode("dep/state", 0o700),
        pin_modes: vec![FileMode {
            path: "dep/pin".into(),
            mode: 0o600,
        }],
        library_modes: vec![FileMode {
            path: "vendor.so".into(),
            mode: 0o644,
        }],
        inside: super::surroundings::inside(config),
        tokens: Some(vec![vec![token()]]),
        remotes: Some(vec![vec![remote()]]),
        core_dumps: None,
    }
}

/// A token that is as it should be.
fn token() -> TokenStatus {
    TokenStatus {
        label: "signer".into(),
        library: "vendor.so".into(),
        state: TokenState::Ready,
        seen: Some(TokenInfo {
            slot: 1,
            manufacturer: "a vendor".into(),
            model: "one".into(),
            serial: "1".into(),
            library_description: "a vendor's".into(),
            library_manufacturer: "a vendor".into(),
            library_version: "1.0".into(),
            provider: Provider::Other,
            schemes: vec![Scheme::Ed25519],
            generates: vec![Scheme::Ed25519],
            derives: false,
        }),
        sessions_in_use: 0,
        sessions: 4,
        calls_overdue: 0,
    }
}

/// A remote that is as it should be.
fn remote() -> RemoteStatus {
    RemoteStatus {
        address: "signer-1.example:9443".into(),
        up: true,
        reason: None,
        network: Some("devnet".into()),
        version: Some("0.1.0".into()),
        deployment_id: None,
        last_answer: None,
        connections: 2,
        counts: Counts::default(),
    }
}

/// The severity of `rule` in a deployment where nothing else is wrong, on each network.
fn row(rule: Rule, spoil_config: impl Fn(&mut Config), spoil: impl Fn(&mut Surroundings<'_>)) -> [Severity; 4] {
    let mut config = good();
    spoil_config(&mut config);
    let mut around = around(&config);
    spoil(&mut around);
    let networks = [Network::Devnet, Network::TestnetAlpha, Network::TestnetBeta, Network::Mainnet];
    networks.map(|network| {
        let findings = examine(&around, network);
        let violated: Vec<&Finding> = findings.iter().filter(|finding| finding.violation.is_some()).collect();
        assert_eq!(violated.len(), 1, "{violated:?}");
        assert_eq!(violated[0].rule, rule);
        let violation = violated[0].violation.as_ref().unwrap();
        assert!(!violation.wanted.is_empty() && !violation.mend.is_empty());
        violation.severity
    })
}

fn chmod(file: &mut Option<FileMode>, mode: u32) {
    file.as_mut().unwrap().mode = mode;
}

#[test]
fn a_good_deployment_violates_nothing_and_says_what_holds() {
    let config = good();
    for network in Network::ALL {
        let findings = examine(&around(&config), *network);
        assert_eq!(findings.len(), Rule::ALL.len());
        assert!(
            findings
                .iter()
                .all(|finding| finding.violation.is_none() && !finding.found.is_empty())
        );
    }
}

#[test]
fn env_backends_and_secret_variables_are_for_devnets() {
    let env = |config: &mut Config| {
        config.backends.push(Backend {
            name: "env".into(),
            kind: BackendKind::Env { igra: false },
        });
    };
    assert_eq!(row(Rule::EnvBackend, env, |_| {}), [Silent, Silent, Warn, Refuse]);
    let variable = |around: &mut Surroundings<'_>| around.secret_variables.push("SIGWARDEN_SECRET__a__b".into());
    assert_eq!(row(Rule::SecretVariables, |_| {}, variable), [Silent, Silent, Warn, Refuse]);
}

#[test]
fn a_mock_hsm_is_for_devnets() {
    let mock = |config: &mut Config| {
        config.backends.push(Backend {
            name: "hsm".into(),
            kind: BackendKind::MockHsm {
                script: toml::Value::Boolean(true),
            },
        });
    };
    assert_eq!(row(Rule::MockHsmBackend, mock, |_| {}), [Silent, Silent, Warn, Refuse]);
}

#[test]
fn no_network_runs_without_a_policy() {
    assert_eq!(row(Rule::PolicySet, |config| config.policies.clear(), |_| {}), [Refuse; 4]);
}

#[test]
fn mainnet_wants_every_module_pinned() {
    let unpin = |config: &mut Config| config.policies[0].sha256 = None;
    assert_eq!(row(Rule::PolicyPins, unpin, |_| {}), [Silent, Warn, Warn, Refuse]);
}

#[test]
fn raw_formats_are_noticed_and_digests_refused_on_mainnet() {
    let messages = |config: &mut Config| Arc::make_mut(&mut config.keys)[0].dangerous_allow_raw_messages = true;
    assert_eq!(row(Rule::RawMessages, messages, |_| {}), [Silent, Warn, Warn, Warn]);
    let digests = |config: &mut Config| Arc::make_mut(&mut config.keys)[0].dangerous_allow_raw_digests = true;
    assert_eq!(row(Rule::RawDigests, digests, |_| {}), [Silent, Warn, Warn, Refuse]);
}

#[test]
fn files_that_others_reach_are_refused_where_money_is() {
    let config = |around: &mut Surroundings<'_>| chmod(&mut around.config_mode, 0o664);
    assert_eq!(row(Rule::ConfigMode, |_| {}, config), [Warn, Warn, Refuse, Refuse]);
    let vault = |around: &mut Surroundings<'_>| chmod(&mut around.vault_mode, 0o750);
    assert_eq!(row(Rule::VaultMode, |_| {}, vault), [Warn, Warn, Refuse, Refuse]);
    let state = |around: &mut Surroundings<'_>| chmod(&mut around.state_mode, 0o705);
    assert_eq!(row(Rule::StateMode, |_| {}, state), [Warn, Warn, Refuse, Refuse]);
    let passphrase = |around: &mut Surroundings<'_>| chmod(&mut around.passphrase_mode, 0o640);
    assert_eq!(row(Rule::PassphraseMode, |_| {}, passphrase), [Refuse; 4]);
}

#[test]
fn a_passphrase_beside_what_it_opens_is_for_devnets() {
    let beside = |config: &mut Config| config.passphrase = crate::config::PassphraseSource::File("dep/passphrase".into());
    assert_eq!(row(Rule::PassphrasePlace, beside, |_| {}), [Silent, Warn, Warn, Refuse]);
}

#[test]
fn core_dumps_are_refused_where_money_is() {
    let dumps = |around: &mut Surroundings<'_>| around.core_dumps = Some("dumpable".into());
    assert_eq!(row(Rule::CoreDumps, |_| {}, dumps), [Warn, Warn, Refuse, Refuse]);
}

#[test]
fn remotes_that_are_away_and_ports_that_know_nobody_are_refused_on_mainnet() {
    let away = |around: &mut Surroundings<'_>| around.remotes.as_mut().unwrap()[0][0].up = false;
    assert_eq!(row(Rule::RemoteAnswers, |_| {}, away), [Warn, Warn, Warn, Refuse]);
    let plain = |config: &mut Config| {
        config.listeners.push(Listener {
            name: "evm".into(),
            listen: "127.0.0.1:9545".parse().unwrap(),
            kind: ListenerKind::JsonRpc { chain_id: 424_242 },
            access: Access::Anybody("node".into()),
        });
    };
    assert_eq!(row(Rule::PlainListener, plain, |_| {}), [Silent, Silent, Warn, Refuse]);
    let raw = |config: &mut Config| {
        Arc::make_mut(&mut config.keys)[0].dangerous_allow_prefixed_raw = vec!["COMET::RAW_BYTES::SIGN".parse().unwrap()]
    };
    assert_eq!(row(Rule::RawPrefixes, raw, |_| {}), [Silent, Warn, Warn, Warn]);
}

#[test]
fn a_report_names_a_few_and_counts_the_rest() {
    let config = good();
    let mut around = around(&config);
    around.secret_variables = (0..8).map(|n| format!("IGRA_SECRET__{n}")).collect();
    let findings = examine(&around, Network::Mainnet);
    let finding = findings.iter().find(|finding| finding.rule == Rule::SecretVariables).unwrap();
    assert!(finding.found.ends_with("IGRA_SECRET__4 and 3 more"), "{}", finding.found);
}

#[test]
fn the_mock_is_known_by_what_it_says_whatever_its_file_is_called() {
    let mock = |around: &mut Surroundings<'_>| {
        let tokens = &mut around.tokens.as_mut().unwrap()[0];
        tokens[0].library = "libCryptoki2_64.so".into();
        tokens[0].seen.as_mut().unwrap().provider = Provider::Mock;
    };
    assert_eq!(row(Rule::MockHsmLibrary, |_| {}, mock), [Silent, Silent, Warn, Refuse]);
}

#[test]
fn mainnet_wants_every_token_to_answer() {
    for state in [TokenState::Absent("gone".into()), TokenState::Broken("odd".into())] {
        let away = |around: &mut Surroundings<'_>| around.tokens.as_mut().unwrap()[0][0].state = state.clone();
        assert_eq!(row(Rule::HsmAnswers, |_| {}, away), [Warn, Warn, Warn, Refuse]);
    }
}

/// One of two is enough to start; that the other is away is told. A library that nobody has seen might be the mock.
#[test]
fn a_token_or_remote_that_is_away_beside_another_is_told_and_stops_no_start() {
    let away = |token: &mut TokenStatus| {
        token.state = TokenState::Absent("gone".into());
        token.seen = None;
    };
    let one_of_two = |around: &mut Surroundings<'_>| {
        let tokens = &mut around.tokens.as_mut().unwrap()[0];
        tokens.insert(0, token());
        away(&mut tokens[0]);
    };
    assert_eq!(row(Rule::Redundancy, |_| {}, one_of_two), [Warn; 4]);
    let remote_of_two = |around: &mut Surroundings<'_>| {
        let remotes = &mut around.remotes.as_mut().unwrap()[0];
        remotes.push(remote());
        remotes[1].up = false;
    };
    assert_eq!(row(Rule::Redundancy, |_| {}, remote_of_two), [Warn; 4]);
    let config = good();
    let mut around = around(&config);
    one_of_two(&mut around);
    around.tokens.as_mut().unwrap()[0][0].library = "another.so".into();
    let findings = examine(&around, Network::Mainnet);
    let answers = findings.iter().find(|finding| finding.rule == Rule::HsmAnswers).unwrap();
    assert_eq!(answers.severity(), Refuse);
    // Another backend's token does not sign for this one's.
    let config = good();
    let mut around = self::around(&config);
    let mut lonely = token();
    away(&mut lonely);
    around.tokens.as_mut().unwrap().push(vec![lonely]);
    let findings = examine(&around, Network::Mainnet);
    let answers = findings.iter().find(|finding| finding.rule == Rule::HsmAnswers).unwrap();
    assert_eq!(
        (answers.severity(), answers.found.as_str()),
        (Refuse, "tokens that do not answer: signer: absent: gone")
    );
}

#[test]
fn a_library_that_others_write_is_refused_where_money_is() {
    let open = |around: &mut Surroundings<'_>| around.library_modes[0].mode = 0o664;
    assert_eq!(row(Rule::LibraryMode, |_| {}, open), [Warn, Warn, Refuse, Refuse]);
}

#[test]
fn a_consensus_key_in_files_is_told_on_mainnet_and_one_in_a_token_is_not() {
    let in_files = |config: &mut Config| Arc::make_mut(&mut config.keys)[0].roles = [sigwarden_core::Role::Consensus].into();
    assert_eq!(row(Rule::ConsensusInHsm, in_files, |_| {}), [Silent, Silent, Silent, Warn]);

    let mut config = good();
    in_files(&mut config);
    config.backends[0].kind = BackendKind::Pkcs11(Pkcs11 {
        tokens: Vec::new(),
        sessions: None,
        session_timeout: None,
        call_deadline: None,
    });
    let findings = examine(&around(&config), Network::Mainnet);
    assert!(findings.iter().all(|finding| finding.violation.is_none()), "{findings:?}");
}

#[test]
fn keys_without_a_rotation_rule_are_told_where_money_is() {
    assert_eq!(
        row(Rule::RotationRule, |config| config.rotations.clear(), |_| {}),
        [Silent, Silent, Warn, Warn]
    );
}

#[test]
fn an_identifier_of_another_network_stops_every_start() {
    // Of devnets, testnets and mainnet: wherever one is, it is foreign on the others.
    for (id, foreign_on) in [
        (1337, [false, true, true, true]),
        (11_155_111, [true, false, false, true]),
        (1, [true, true, true, false]),
    ] {
        let mut config = good();
        config.policies[0].config = PolicyConfig::Inline(format!("{{\"chain_id\": {id}}}"));
        let networks = [Network::Devnet, Network::TestnetAlpha, Network::TestnetBeta, Network::Mainnet];
        for (network, foreign) in networks.into_iter().zip(foreign_on) {
            let findings = examine(&around(&config), network);
            let finding = findings.iter().find(|finding| finding.rule == Rule::Identifiers).unwrap();
            assert_eq!(finding.severity() == Refuse, foreign, "{id} on {network}");
        }
    }
    assert_eq!(
        Network::ALL
            .iter()
            .map(|network| Rule::Identifiers.severity(*network))
            .collect::<Vec<_>>(),
        [Refuse; 4]
    );
}

#[test]
fn a_pin_that_others_read_stops_every_start() {
    let open = |around: &mut Surroundings<'_>| around.pin_modes[0].mode = 0o640;
    assert_eq!(row(Rule::PinMode, |_| {}, open), [Refuse; 4]);
}

#[test]
fn a_passphrase_is_judged_when_it_is_given_and_the_report_says_how() {
    assert_eq!(
        Network::ALL
            .iter()
            .map(|network| Rule::Passphrase.severity(*network))
            .collect::<Vec<_>>(),
        [Silent, Refuse, Refuse, Refuse]
    );
    let config = good();
    let wanted = |network| {
        let findings = examine(&around(&config), network);
        findings.into_iter().find(|finding| finding.rule == Rule::Passphrase).unwrap().found
    };
    assert!(wanted(Network::Mainnet).contains("16 characters"));
    assert!(wanted(Network::TestnetBeta).contains("12 characters"));
}
