use super::*;

const GOOD: &str = r#"version = 1
network = "devnet"

[security]
passphrase_file = "passphrase"

[[backend]]
name = "vault"
kind = "sealed-file"

[[key]]
name = "demo.account"
roles = ["account"]
scheme = "secp256k1-ecdsa"
backend = "vault"

[[key]]
name = "demo.validator"
roles = ["consensus"]
scheme = "ed25519"
backend = "vault"

[[client]]
name = "operator"
uid = 1000

[[client.allow]]
keys = ["demo.*"]
operations = ["sign", "public-key"]

[[policy]]
name = "rate-limit"
module = "policies/rate-limit.wasm"
config = { limits = [{ capacity = 10, period_ms = 1000 }] }
"#;

fn parse(text: &str) -> Result<Config, Vec<ConfigError>> {
    Config::parse(Path::new("dep"), text)
}

/// The one error of GOOD with `from` replaced by `to`.
fn error(from: &str, to: &str) -> ConfigError {
    assert_eq!(GOOD.matches(from).count(), 1, "`{from}` is once in GOOD");
    let mut errors = parse(&GOOD.replacen(from, to, 1)).expect_err("a fault");
    assert_eq!(errors.len(), 1, "{errors:#?}");
    errors.remove(0)
}

fn place(error: &ConfigError) -> (usize, usize, &str) {
    (error.line, error.column, &error.field)
}

#[test]
fn a_good_configuration_is_read_with_defaults() {
    let config = parse(GOOD).unwrap();
    assert_eq!(config.network, Network::Devnet);
    assert_eq!(config.socket, Path::new("dep/run/sigwarden.sock"));
    assert_eq!(config.state_dir, Path::new("dep/state"));
    assert_eq!(config.vault_dir(), Some(Path::new("dep/keys")));
    assert_eq!(config.passphrase, PassphraseSource::File("dep/passphrase".into()));
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.keys.len(), 2);
    assert_eq!(config.keys[0].id.to_string(), "demo.account.v1");
    assert_eq!(config.clients[0].uid, Some(1000));
    assert_eq!(
        config.policies[0].config,
        PolicyConfig::Inline(r#"{"limits":[{"capacity":10,"period_ms":1000}]}"#.into())
    );
}

#[test]
fn testnet_means_testnet_beta() {
    assert_eq!(parse(&GOOD.replace("devnet", "testnet")).unwrap().network, Network::TestnetBeta);
}

#[test]
fn an_unknown_field_is_named_with_file_line_and_the_nearest_known_name() {
    let error = error("scheme = \"ed25519\"", "sceme = \"ed25519\"");
    assert_eq!(place(&error), (20, 1, "key[1].sceme"));
    assert_eq!(
        error.to_string(),
        "dep/sigwarden.toml:20:1: key[1].sceme: unknown field; did you mean `scheme`?"
    );
    let error = super::tests::error("version = 1", "version = 1\nzzzzzz = 2");
    assert_eq!(place(&error), (2, 1, "zzzzzz"));
    assert!(
        error.message.contains("known here: backend, client, cryptography, key"),
        "{}",
        error.message
    );
}

#[test]
fn a_syntax_error_and_a_wrong_type_are_placed() {
    let syntax = error("network = \"devnet\"", "network = devnet");
    assert_eq!((syntax.line, syntax.column), (2, 11));
    let missing = error("uid = 1000\n", "");
    assert_eq!(missing.field, "client[0].name");
    assert!(missing.message.contains("uid"), "{}", missing.message);
    let wrong = error("uid = 1000", "uid = \"hunter2\"");
    assert_eq!(place(&wrong), (25, 7, "client[0].uid"));
    assert!(!wrong.to_string().contains("hunter2"), "{wrong}");
}

/// GOOD with more tables at its end, and the field and message of its first fault.
fn fault(more: &str) -> (String, String) {
    let errors = parse(&format!("{GOOD}\n{more}")).expect_err("a fault");
    (errors[0].field.clone(), errors[0].message.clone())
}

#[test]
fn listeners_nodes_and_remotes_are_read_and_their_faults_placed() {
    let more = r#"
[[listener]]
name = "evm"
kind = "json-rpc"
listen = "127.0.0.1:9545"
client = "operator"
chain_id = 1

[[privval]]
name = "node-a"
client = "operator"
address = "unix:///run/privval.sock"
dialect = "v0.38"
chain_id = "chain-1"
key = "demo.validator"

[[client]]
name = "far"
san = ["Node-B.example"]
requests_per_second = 5

[[backend]]
name = "behind"
kind = "remote"
[[backend.remote]]
address = "signer-1.example:9443"
ca = "ca.crt"
certificate = "front.crt"
key = "front.key"
"#;
    let config = parse(&format!("{GOOD}\n{more}")).unwrap();
    assert_eq!(config.listeners[0].kind, ListenerKind::JsonRpc { chain_id: 1 });
    assert_eq!(config.listeners[0].access, Access::Anybody("operator".into()));
    assert_eq!(config.privvals[0].key, "demo.validator");
    assert_eq!(*config.clients[1].san, ["node-b.example".into()], "in lower case");
    assert_eq!(config.admissions["far"].per_second, Some(5));
    let BackendKind::Remote(remotes) = &config.backends[1].kind else {
        panic!("a remote")
    };
    let RemoteAddress::Tls { files, .. } = &remotes.remotes[0].address else {
        panic!("over TLS")
    };
    assert_eq!(
        (files.server_name.as_str(), files.ca.as_path()),
        ("signer-1.example", Path::new("dep/ca.crt"))
    );

    for (from, to, field) in [
        ("kind = \"json-rpc\"", "kind = \"grpc\"", "listener[0].chain_id"),
        ("127.0.0.1:9545", "0.0.0.0:9545", "listener[0].client"),
        (
            "client = \"operator\"\nchain_id",
            "certificate = \"a\"\nchain_id",
            "listener[0].key",
        ),
        ("dialect = \"v0.38\"", "dialect = \"v2\"", "privval[0].dialect"),
        ("key = \"demo.validator\"", "key = \"demo.account\"", "privval[0].key"),
        ("unix:///run/privval.sock", "unix://privval.sock", "privval[0].address"),
        ("Node-B.example", "*.example", "client[1].san[0]"),
        ("san = [\"Node-B.example\"]", "", "client[1].name"),
        (
            "requests_per_second = 5",
            "requests_per_second = 0",
            "client[1].requests_per_second",
        ),
        ("signer-1.example:9443", "signer-1.example", "backend[1].remote[0].address"),
        ("ca = \"ca.crt\"", "", "backend[1].remote[0].ca"),
    ] {
        assert_eq!(more.matches(from).count(), 1, "{from}");
        assert_eq!(fault(&more.replacen(from, to, 1)).0, field, "{to}");
    }
}

#[test]
fn unknown_names_are_answered_with_the_names_there_are() {
    let network = error("\"devnet\"", "\"moonnet\"");
    assert_eq!(place(&network), (2, 1, "network"));
    assert!(network.message.contains("`mainnet`"), "{}", network.message);
    let scheme = error("\"ed25519\"", "\"rsa\"");
    assert_eq!(place(&scheme), (20, 1, "key[1].scheme"));
    let role = error("[\"consensus\"]", "[\"consenus\"]");
    assert_eq!(role.field, "key[1].roles[0]");
    let operation = error("\"public-key\"]", "\"export\"]");
    assert_eq!(operation.field, "client[0].allow[0].operations[1]");
    let kind = error("\"sealed-file\"", "\"floppy\"");
    assert_eq!((kind.line, kind.field.as_str()), (9, "backend[0].kind"));
}

#[test]
fn secrets_are_refused_and_not_echoed() {
    let key = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
    let mnemonic = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
    for secret in [key, mnemonic] {
        for (from, to) in [
            ("\"passphrase\"", format!("\"{secret}\"")),
            ("capacity = 10", format!("capacity = \"{secret}\"")),
            ("version = 1", format!("version = \"{secret}\"")),
            ("uid = 1000", format!("uid = \"{secret}\"")),
        ] {
            let error = error(from, &to);
            assert!(error.message.contains("takes a secret"), "{}", error.message);
            assert!(!format!("{error} {error:?}").contains(secret));
        }
    }
    let named = error("passphrase_file = \"passphrase\"", "passphrase = \"x\"");
    assert_eq!(place(&named), (5, 1, "security.passphrase"));
    assert!(named.message.contains("takes a secret"), "{}", named.message);
}

#[test]
fn a_public_key_and_a_digest_may_have_64_hex_digits() {
    let digest = "ab".repeat(32);
    let config = parse(&GOOD.replace("\"ed25519\"", &format!("\"ed25519\"\npublic_key = \"{digest}\""))).unwrap();
    assert_eq!(config.keys[1].public_key.as_deref(), Some([0xab; 32].as_slice()));
    let short = error("\"ed25519\"", "\"ed25519\"\npublic_key = \"abcd\"");
    assert_eq!(short.message, "a ed25519 public key has 32 bytes, this has 2");
}

#[test]
fn an_empty_policy_set_is_refused() {
    let (without, _) = GOOD.split_once("[[policy]]").unwrap();
    let errors = parse(without).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].message.contains("nothing is signed without a policy's approval"));
}

#[test]
fn the_consensus_role_stands_alone_and_without_dangerous_flags() {
    let two = error("[\"consensus\"]", "[\"consensus\", \"account\"]");
    assert_eq!(place(&two), (19, 1, "key[1].roles"));
    let flag = error("[\"consensus\"]", "[\"consensus\"]\ndangerous_allow_raw_messages = true");
    assert!(flag.message.contains("no floor could guard"), "{}", flag.message);
}

#[test]
fn a_replica_has_the_rights_of_its_original() {
    let replica =
        |more: &str| format!("{GOOD}\n[[key]]\nname = \"demo.second\"\nbackend = \"vault\"\nreplica_of = \"demo.validator.v1\"\n{more}\n");
    let same = "roles = [\"consensus\"]\nscheme = \"ed25519\"";
    assert_eq!(parse(&replica(same)).unwrap().keys.len(), 3);
    let fields = |more: &str| -> Vec<String> {
        let errors = parse(&replica(more)).unwrap_err();
        errors.into_iter().map(|error| error.field).collect()
    };
    assert_eq!(fields("roles = [\"account\"]\nscheme = \"ed25519\""), ["key[2].roles"]);
    assert_eq!(fields("roles = [\"consensus\"]\nscheme = \"secp256k1-ecdsa\""), ["key[2].scheme"]);
    for flag in ["dangerous_allow_raw_messages", "dangerous_allow_raw_digests"] {
        let more = format!("roles = [\"account\"]\nscheme = \"secp256k1-ecdsa\"\n{flag} = true");
        let text = replica(&more).replace("\"demo.validator.v1\"", "\"demo.account.v1\"");
        let errors = parse(&text).unwrap_err();
        assert_eq!(errors[0].field, format!("key[2].{flag}"));
        assert_eq!(errors.len(), 1, "{errors:#?}");
    }
}

#[test]
fn a_policy_has_at_least_one_page_of_memory() {
    let few = error("module = ", "memory_bytes = 65535\nmodule = ");
    assert_eq!(few.field, "policy[0].memory_bytes");
    assert!(few.message.contains("at least 65536"), "{}", few.message);
    assert!(parse(&GOOD.replace("module = ", "memory_bytes = 65536\nmodule = ")).is_ok());
}

#[test]
fn a_client_has_a_quarter_of_the_connections_unless_it_is_said() {
    let limits = |text: &str| parse(&GOOD.replace("[security]", &format!("[limits]\n{text}\n[security]"))).map(|config| config.limits);
    assert_eq!(limits("connections = 40").unwrap().connections_per_client, 10);
    assert_eq!(limits("connections = 3").unwrap().connections_per_client, 1);
    assert_eq!(
        limits("connections = 3\nconnections_per_client = 3")
            .unwrap()
            .connections_per_client,
        3
    );
    let more = limits("connections = 3\nconnections_per_client = 4").unwrap_err();
    assert_eq!(more[0].field, "limits.connections_per_client");
}

#[test]
fn references_and_names_hold() {
    let cases = [
        ("name = \"demo.validator\"", "name = \"demo.account\"", "key[1].name"),
        ("keys = [\"demo.*\"]", "keys = [\"demo.acount\"]", "client[0].allow[0].keys[0]"),
        ("module = \"policies/", "module = \"../policies/", "policy[0].module"),
        ("uid = 1000", "uid = 65534", "client[0].uid"),
        ("version = 1", "version = 2", "version"),
        ("name = \"operator\"", "name = \"Operator 1\"", "client[0].name"),
        ("network = \"devnet\"", "network = \"devnet\"\n[limits]\nqueue = 0", "limits.queue"),
    ];
    for (from, to, field) in cases {
        assert_eq!(error(from, to).field, field, "{to}");
    }
    let backend = parse(&GOOD.replace("name = \"vault\"", "name = \"volt\"")).unwrap_err();
    assert_eq!(backend.iter().map(|error| error.line).collect::<Vec<_>>(), [15, 21]);
}

#[test]
fn two_clients_that_one_caller_could_be_are_refused() {
    let twice = format!("{GOOD}\n[[client]]\nname = \"other\"\nuid = 1000\ngid = 7\n");
    let errors = parse(&twice).unwrap_err();
    assert_eq!(errors[0].field, "client[1].uid");
}

#[test]
fn every_fault_is_reported_at_once() {
    let text = GOOD.replace("\"devnet\"", "\"moonnet\"").replace("\"ed25519\"", "\"rsa\"");
    assert_eq!(parse(&text).unwrap_err().len(), 2);
}

#[test]
fn an_unreadable_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = Config::load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("sigwarden.toml") && error.contains("sigwarden init"), "{error}");
}

/// "A field that is not listed here is refused": so all that are not refused are listed.
#[test]
fn every_field_is_in_the_documentation() {
    let listed = concat!(
        include_str!("../../../../docs/configuration.md"),
        include_str!("../../../../docs/hsm.md")
    );
    let fields: Vec<&str> = include_str!("raw.rs")
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub(super) ")?.split_once(':'))
        .map(|(field, _)| field)
        .collect();
    assert!(fields.len() > 100, "{}", fields.len());
    let missing: Vec<&&str> = fields
        .iter()
        .filter(|field| {
            !listed.contains(&format!("`{field}")) && !listed.contains(&format!("[{field}]")) && !listed.contains(&format!("{field} = "))
        })
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
