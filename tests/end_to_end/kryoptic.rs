//! ML-DSA in a token of others: the daemon loads Kryoptic as it loads a vendor's library. `cargo xtask test --kryoptic` builds Kryoptic and
//! runs these; without it they are ignored.

mod trouble;

use aws_lc_rs::signature::{ML_DSA_44, UnparsedPublicKey};
use sigwarden::client::CallError;
use sigwarden::proto::SignResponse;
use sigwarden_formats::hotstuff::Vote;
use sigwarden_formats::tagged::{Domain, Tagged};
use sigwarden_tests::{Caller, Node, caller, example};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const VALIDATOR: &str = "qbind.validator";
const PIN: &str = "648219";
const RULES: &str = "[[policy]]\nname = \"all\"\nmodule = \"policies/network-mode.wasm\"\nconfig = {}\n";

fn module() -> PathBuf {
    let path = std::env::var_os("SIGWARDEN_KRYOPTIC")
        .map(PathBuf::from)
        .filter(|path| path.is_file());
    path.expect("`SIGWARDEN_KRYOPTIC` names Kryoptic's module; `cargo xtask test --kryoptic` builds it and says where it is")
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

fn code(error: &CallError) -> &str {
    &error.refusal().unwrap().code
}

/// A directory with tokens, of which one is in the slot: the one whose file is there.
struct Slot(tempfile::TempDir);

impl Slot {
    /// With a token of this label.
    fn with(label: &str) -> Self {
        let slot = Self(tempfile::tempdir().unwrap());
        let config = format!(
            "[[slots]]\nslot = 42\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n",
            slot.token().display()
        );
        std::fs::write(slot.config(), config).unwrap();
        slot.write_pin(PIN);
        slot.init(label);
        slot
    }

    /// Makes a token, with the tool of another one: it speaks to any module.
    fn init(&self, label: &str) {
        let made = Command::new("softhsm2-util")
            .arg("--module")
            .arg(module())
            .args([
                "--init-token",
                "--slot",
                "42",
                "--label",
                label,
                "--so-pin",
                "47110815",
                "--pin",
                PIN,
            ])
            .env("KRYOPTIC_CONF", self.config())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
    }

    fn config(&self) -> PathBuf {
        self.0.path().join("kryoptic.toml")
    }

    fn token(&self) -> PathBuf {
        self.0.path().join("token.sql")
    }

    fn pin(&self) -> PathBuf {
        self.0.path().join("pin")
    }

    fn write_pin(&self, pin: &str) {
        std::fs::write(self.pin(), pin).unwrap();
        std::fs::set_permissions(self.pin(), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// A deployment whose backend `hsm` is the token `signer`; no daemon yet. More of the configuration may be given.
    fn deployment(&self, more: &str) -> Node {
        let block = format!(
            "[[backend]]\nname = \"hsm\"\nkind = \"pkcs11\"\nlibrary = \"{}\"\ntoken = \"signer\"\npin_file = \"{}\"\n",
            module().display(),
            self.pin().display()
        );
        let mut node = Node::init(|text| example::with_rules(&text, &format!("{block}\n{more}\n{RULES}"))).unwrap();
        node.set_env("KRYOPTIC_CONF", &self.config().display().to_string());
        node
    }

    fn started(&self, more: &str) -> Node {
        let mut node = self.deployment(more);
        node.start().unwrap();
        node
    }

    /// Runs a command that looks at the token itself.
    fn alone(&self, node: &Node, arguments: &[&str]) -> Output {
        let mut command = Command::new(sigwarden_tests::node::binary().unwrap());
        command.arg("--deployment").arg(node.dir()).args(arguments);
        command
            .env("KRYOPTIC_CONF", self.config())
            .env_remove("SIGWARDEN_DEPLOYMENT")
            .output()
            .unwrap()
    }
}

fn arguments<'a>(name: &'a str, scheme: &'a str, role: &'a str) -> [&'a str; 11] {
    [
        "--json",
        "keys",
        "generate",
        name,
        "--backend",
        "hsm",
        "--scheme",
        scheme,
        "--role",
        role,
        "--add-to-config",
    ]
}

/// The public key.
fn generate(node: &Node, name: &str, scheme: &str, role: &str) -> Vec<u8> {
    let made = json(&node.expect(&arguments(name, scheme, role)).unwrap());
    assert_eq!(made["in_force"], true, "{made}");
    hex::decode(made["public_key"].as_str().unwrap()).unwrap()
}

fn set_floor(node: &Node, key: &str) {
    let floor = [
        "floors",
        "set",
        "--key",
        key,
        "--chain-id",
        "7",
        "--view",
        "9",
        "--reason",
        "a new key",
    ];
    node.expect(&floor).unwrap();
}

fn vote(view: u64, block: u8) -> Vec<u8> {
    let vote = Vote {
        chain_id: 7,
        view,
        block_hash: [block; 32],
        voter_id: 3,
    };
    vote.sign_bytes()
}

fn sign(node: &Node, key: &str, payload: &[u8]) -> Result<SignResponse, CallError> {
    let request = caller::request(key, "hotstuff/vote", payload.to_vec());
    node.caller().unwrap().call(request)
}

/// That another implementation of FIPS 204 than the token's takes the one signature.
fn assert_signed(public_key: &[u8], payload: &[u8], signed: &SignResponse) {
    assert_eq!((signed.scheme.as_str(), signed.public_key.as_slice()), ("ml-dsa-44", public_key));
    let [signature] = signed.signatures.as_slice() else {
        panic!("{} signatures", signed.signatures.len());
    };
    assert_eq!((public_key.len(), signature.signature.len()), (1312, 2420));
    let verifier = UnparsedPublicKey::new(&ML_DSA_44, public_key);
    verifier.verify(payload, &signature.signature).unwrap();
    assert!(verifier.verify(&payload[1..], &signature.signature).is_err());
}

/// The token's state and what is told of it.
fn token(node: &Node) -> (String, String) {
    let backend = backend(node);
    let text = |field: &str| backend["tokens"][0][field].as_str().unwrap().to_owned();
    (text("state"), text("detail"))
}

fn backend(node: &Node) -> serde_json::Value {
    let status = json(&node.expect(&["--json", "keys", "status"]).unwrap());
    let backends = status.as_array().unwrap();
    backends.iter().find(|backend| backend["name"] == "hsm").unwrap().clone()
}

#[test]
#[ignore = "needs Kryoptic: `cargo xtask test --kryoptic`"]
fn an_ml_dsa_key_made_in_the_token_signs_and_never_twice() {
    let slot = Slot::with("signer");
    let mut node = slot.started("");
    let status = backend(&node);
    assert_eq!(status["tokens"][0]["state"], "ready", "{status}");
    assert!(status["schemes"].as_array().unwrap().contains(&"ml-dsa-44".into()), "{status}");
    assert!(
        status["tokens"][0]["manufacturer"].as_str().unwrap().contains("Kryoptic"),
        "{status}"
    );

    let public_key = generate(&node, VALIDATOR, "ml-dsa-44", "consensus");
    assert_eq!(node.caller().unwrap().public_key(VALIDATOR).unwrap().public_key, public_key);
    assert_eq!(code(&sign(&node, VALIDATOR, &vote(10, 1)).unwrap_err()), "floor/uninitialised");
    set_floor(&node, VALIDATOR);
    let first = sign(&node, VALIDATOR, &vote(10, 1)).unwrap();
    assert_signed(&public_key, &vote(10, 1), &first);
    assert_eq!(code(&sign(&node, VALIDATOR, &vote(10, 2)).unwrap_err()), "floor/conflict");

    let again = sign(&node, VALIDATOR, &vote(10, 1)).unwrap();
    assert!(again.replay && again.signatures == first.signatures);

    // The next process finds the key on the token, by its label. A signature that was not on record yet is made anew, of the same vote.
    node.kill().unwrap();
    node.start().unwrap();
    let again = sign(&node, VALIDATOR, &vote(10, 1)).unwrap();
    assert!(again.replay);
    assert_signed(&public_key, &vote(10, 1), &again);
    assert_eq!(code(&sign(&node, VALIDATOR, &vote(10, 2)).unwrap_err()), "floor/conflict");
    assert_signed(&public_key, &vote(11, 1), &sign(&node, VALIDATOR, &vote(11, 1)).unwrap());
    assert_eq!(backend(&node)["sign_errors"], json("{}"), "{}", backend(&node));
}

#[test]
#[ignore = "needs Kryoptic: `cargo xtask test --kryoptic`"]
fn a_key_is_found_by_its_label_and_pinned_and_one_that_is_not_there_is_named() {
    let slot = Slot::with("signer");
    let mut node = slot.started("");
    let public_key = generate(&node, VALIDATOR, "ml-dsa-44", "consensus");
    let taken = node.expect_failure(&arguments(VALIDATOR, "ml-dsa-44", "consensus")).unwrap();
    assert_ne!(taken.0, 0);
    node.stop().unwrap();

    // Another deployment, to which the key is somebody's.
    let key = |name: &str, label: &str, scheme: &str| {
        format!("[[key]]\nname = \"{name}\"\nroles = [\"consensus\"]\nscheme = \"{scheme}\"\nbackend = \"hsm\"\nlabel = \"{label}\"\n\n")
    };
    let of_the_label = key("other.validator", "qbind.validator.v1", "ml-dsa-44");
    let other = slot.started(&of_the_label);
    assert_eq!(
        other.caller().unwrap().public_key("other.validator").unwrap().public_key,
        public_key
    );
    set_floor(&other, "other.validator");
    let signed = sign(&other, "other.validator", &vote(10, 1)).unwrap();
    assert_signed(&public_key, &vote(10, 1), &signed);
    drop(other);

    for (label, scheme, said) in [
        (
            "nobody.v1",
            "ml-dsa-44",
            "no private key labelled `nobody.v1`; it has `qbind.validator.v1`",
        ),
        (
            "qbind.validator.v1",
            "ed25519",
            "the key labelled `qbind.validator.v1` is no key of ed25519",
        ),
    ] {
        let node = slot.deployment(&key("other.validator", label, scheme));
        let output = slot.alone(&node, &["check"]);
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(said), "{said} in\n{text}");
    }
}

#[test]
#[ignore = "needs Kryoptic: `cargo xtask test --kryoptic`"]
fn callers_at_once_each_get_a_signature_that_verifies() {
    let slot = Slot::with("signer");
    let node = slot.started("");
    let public_key = generate(&node, "qbind.operator", "ml-dsa-44", "operational");
    let ed25519 = generate(&node, "qbind.batches", "ed25519", "batch");
    let socket = node.socket();
    let message = |domain, n: u8| {
        Tagged {
            domain,
            chain_id: 7,
            body: vec![n; 32],
        }
        .sign_bytes()
        .unwrap()
    };
    let ask = |socket: &Path, key: &str, payload: &[u8]| {
        let request = caller::request(key, "tagged-message", payload.to_vec());
        Caller::connect(socket).unwrap().call(request).unwrap()
    };
    std::thread::scope(|scope| {
        for who in 0..4 {
            let (socket, public_key, ed25519) = (&socket, &public_key, &ed25519);
            scope.spawn(move || {
                for n in 0..20 {
                    let payload = message(Domain::Operation, who * 20 + n);
                    assert_signed(public_key, &payload, &ask(socket, "qbind.operator", &payload));
                    let payload = message(Domain::Batch, who * 20 + n);
                    let signed = ask(socket, "qbind.batches", &payload);
                    let verifier = UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, ed25519);
                    verifier.verify(&payload, &signed.signatures[0].signature).unwrap();
                }
            });
        }
    });
    let status = backend(&node);
    assert_eq!(status["sign_success"], 160, "{status}");
}

#[test]
#[ignore = "needs Kryoptic: `cargo xtask test --kryoptic`"]
fn a_curve_that_the_token_has_not_is_refused_in_its_own_words() {
    let slot = Slot::with("signer");
    let node = slot.started("");
    let (_, errors) = node.expect_failure(&arguments("demo.vault", "secp256k1-ecdsa", "account")).unwrap();
    assert!(errors.contains("C_GenerateKeyPair: CKR_"), "{errors}");
    let (_, errors) = node
        .expect_failure(&arguments("p2p.identity", "ml-kem-768", "p2p-identity"))
        .unwrap();
    assert!(errors.contains("PKCS#11"), "{errors}");
    assert_eq!(token(&node).0, "ready");
}
