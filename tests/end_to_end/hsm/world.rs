//! A deployment whose keys are in a token.

use sigwarden::client::CallError;
use sigwarden_mock_hsm::{Config, Faults, Key, Scheme, Token, TokenFaults};
use sigwarden_tests::payload::{ALLOWED, transfer};
use sigwarden_tests::{Caller, Node, caller, example};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub(super) const PATIENCE: Duration = Duration::from_secs(60);
pub(super) const KEY: &str = "demo.vault";

/// A deployment with a token, and what the token does.
pub(super) struct World {
    pub(super) node: Node,
    pub(super) faults: PathBuf,
    pub(super) pin: PathBuf,
    _dir: tempfile::TempDir,
}

pub(super) fn write_pin(path: &Path, pin: &str) {
    std::fs::write(path, pin).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

pub(super) fn shared() -> Key {
    Key {
        label: format!("{KEY}.v1"),
        scheme: Scheme::Secp256k1Ecdsa,
        seed: "one secret".into(),
        id: String::new(),
    }
}

impl World {
    /// The daemon runs; the token is `signer`. More lines of the backend and of the configuration may be given.
    pub(super) fn new(tokens: &[&str], backend: &str, root: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mock = dir.path().join("mock.toml");
        let config = Config {
            directory: Some("tokens".into()),
            faults: Some("faults.toml".into()),
            token: tokens
                .iter()
                .map(|label| Token {
                    // Several tokens have one key from the start, as a vendor's tool would have copied it.
                    key: match tokens.len() {
                        1 => Vec::new(),
                        _ => vec![shared()],
                    },
                    ..Token::new(label, "1234")
                })
                .collect(),
        };
        config.write(&mock).unwrap();
        let (faults, pin) = (dir.path().join("faults.toml"), dir.path().join("pin"));
        write_pin(&pin, "1234");
        let library = sigwarden_mock_hsm::library_path().expect("the mock is built along with these tests");
        // Under a vendor's name: what it is, is told by what it says.
        let renamed = dir.path().join("libvendor.so");
        std::fs::copy(library, &renamed).unwrap();
        let block = format!(
            "[[backend]]\nname = \"hsm\"\nkind = \"pkcs11\"\nlibrary = \"{lib}\"\ntoken = \"signer\"\npin_file = \"{pin}\"\n{}\n",
            backend
                .replace("LIBRARY", &renamed.display().to_string())
                .replace("PIN", &pin.display().to_string()),
            lib = renamed.display(),
            pin = pin.display(),
        );
        let mut node = Node::init(|text| {
            let text = text.replacen("[server]", &format!("{root}\n[server]"), 1);
            example::with_rules(&text, &format!("{block}\n{}", example::OPEN))
        })
        .unwrap();
        node.set_env("SIGWARDEN_MOCK_HSM", &mock.display().to_string());
        node.start().unwrap();
        Self {
            node,
            faults,
            pin,
            _dir: dir,
        }
    }

    pub(super) fn with_key(tokens: &[&str], backend: &str) -> Self {
        let world = Self::new(tokens, backend, "");
        world.generate(KEY);
        world
    }

    pub(super) fn generate(&self, name: &str) -> serde_json::Value {
        let arguments = [
            "--json",
            "keys",
            "generate",
            name,
            "--backend",
            "hsm",
            "--scheme",
            "secp256k1-ecdsa",
            "--role",
            "account",
        ];
        let mut all = arguments.to_vec();
        all.push("--add-to-config");
        serde_json::from_str(&self.node.expect(&all).unwrap()).unwrap()
    }

    pub(super) fn fault(&self, faults: TokenFaults) {
        self.fault_of("signer", faults);
    }

    pub(super) fn fault_of(&self, token: &str, faults: TokenFaults) {
        Faults::of(token, faults).write(&self.faults).unwrap();
    }

    pub(super) fn sign(&self, nonce: u64) -> Result<sigwarden::proto::SignResponse, CallError> {
        sign(&mut self.node.caller().unwrap(), nonce)
    }

    /// Signs until it works; counts no time, only refusals of the backend.
    pub(super) fn signs_again(&self, mut nonce: u64) {
        let begun = Instant::now();
        while let Err(error) = self.sign(nonce) {
            let code = error.refusal().unwrap().code.clone();
            assert!(code.starts_with("backend/"), "{code}");
            assert!(begun.elapsed() < PATIENCE, "the token is back and the daemon does not sign: {code}");
            nonce += 1;
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs a command that looks at the tokens itself.
    pub(super) fn alone(&self, arguments: &[&str]) -> std::process::Output {
        let mut command = std::process::Command::new(sigwarden_tests::node::binary().unwrap());
        command
            .arg("--deployment")
            .arg(self.node.dir())
            .args(arguments)
            .env("SIGWARDEN_MOCK_HSM", self.faults.with_file_name("mock.toml"));
        command.output().unwrap()
    }

    /// What `check` finds, as this network.
    pub(super) fn check(&self, network: &str) -> Vec<serde_json::Value> {
        let output = self.alone(&["--json", "check", "--network", network]);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        report["findings"].as_array().unwrap().clone()
    }

    pub(super) fn state_of_key(&self) -> String {
        let shown: serde_json::Value = serde_json::from_str(&self.node.expect(&["--json", "keys", "show", KEY]).unwrap()).unwrap();
        shown["state"].as_str().unwrap().to_owned()
    }

    pub(super) fn token(&self) -> serde_json::Value {
        let status: serde_json::Value = serde_json::from_str(&self.node.expect(&["--json", "keys", "status"]).unwrap()).unwrap();
        let backends = status.as_array().unwrap();
        backends.iter().find(|backend| backend["name"] == "hsm").unwrap().clone()
    }
}

pub(super) fn sign(caller: &mut Caller, nonce: u64) -> Result<sigwarden::proto::SignResponse, CallError> {
    caller.call(caller::request(KEY, "evm/eip-1559", transfer(nonce, Some(ALLOWED), 1).unsigned()))
}

pub(super) fn removed() -> TokenFaults {
    TokenFaults {
        device_removed: true,
        ..TokenFaults::default()
    }
}
