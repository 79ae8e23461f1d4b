use super::Severity::{Refuse, Silent, Warn};
use super::*;
use crate::config::{Backend, BackendKind, Config};
use std::path::Path;

const GOOD: &str = r#"
version = 1
network = "devnet"
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
        core_dumps: None,
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
            kind: BackendKind::Env,
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
    let messages = |config: &mut Config| config.keys[0].dangerous_allow_raw_messages = true;
    assert_eq!(row(Rule::RawMessages, messages, |_| {}), [Silent, Warn, Warn, Warn]);
    let digests = |config: &mut Config| config.keys[0].dangerous_allow_raw_digests = true;
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
fn a_report_names_a_few_and_counts_the_rest() {
    let config = good();
    let mut around = around(&config);
    around.secret_variables = (0..8).map(|n| format!("IGRA_SECRET__{n}")).collect();
    let findings = examine(&around, Network::Mainnet);
    let finding = findings.iter().find(|finding| finding.rule == Rule::SecretVariables).unwrap();
    assert!(finding.found.ends_with("IGRA_SECRET__4 and 3 more"), "{}", finding.found);
}
