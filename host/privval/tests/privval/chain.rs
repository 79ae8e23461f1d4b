//! A chain of one CometBFT node, whose only validator signs here.

use crate::peer::{Peer, Version};
use crate::signer::{CHAIN, Floor, Forever, Key};
use serde_json::json;
use sigwarden_privval::{Dialect, PublicKey};
use std::sync::{Arc, Mutex};

struct Chain {
    home: tempfile::TempDir,
    address: String,
    /// The highest block seen.
    height: u64,
}

impl Chain {
    fn init(key: Key, extensions: bool, address: impl Fn(&std::path::Path) -> String) -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().to_str().unwrap();
        let (key_type, bytes) = match key.public() {
            PublicKey::Ed25519(bytes) => ("ed25519", hex::encode(bytes)),
            PublicKey::Secp256k1(bytes) => ("secp256k1", hex::encode(bytes)),
        };
        let extensions = format!("-extensions={extensions}");
        let arguments = [
            "init",
            "-home",
            path,
            "-chain",
            CHAIN,
            "-key-type",
            key_type,
            "-key",
            &bytes,
            &extensions,
        ];
        let line = Peer::start(Version::V0_38, &arguments).line();
        assert_eq!(line["ok"], json!(true), "{line}");
        let address = address(home.path());
        Self { home, address, height: 0 }
    }

    fn start(&self) -> Peer {
        let path = self.home.path().to_str().unwrap();
        Peer::start(
            Version::V0_38,
            &["chain", "-home", path, "-privval", &self.address, "-commit", "5ms"],
        )
    }

    /// So many blocks, each one higher than the one before.
    fn watch(&mut self, node: &Peer, blocks: usize) {
        let mut seen = 0;
        while seen < blocks {
            let line = node.line();
            assert_eq!(line["ok"], json!(true), "{line}");
            if line["do"] == json!("start") {
                // What was committed before the kill is still there; what was not yet reported too.
                let height = line["height"].as_u64().unwrap();
                assert!(height >= self.height, "{line}");
                self.height = height;
                continue;
            }
            let height = line["height"].as_u64().unwrap();
            assert!(
                height == self.height + 1 || seen == 0 && height > self.height,
                "{height} after {}",
                self.height
            );
            self.height = height;
            seen += 1;
        }
    }
}

/// Makes blocks, kills the node, then the signer, and goes on each time; nothing is signed twice.
fn survives(mut chain: Chain, key: Key) {
    let floor = Arc::new(Mutex::new(Floor::new(key)));
    let signer = Forever::start(&chain.address, Dialect::V0_38, &floor);
    let node = chain.start();
    chain.watch(&node, 20);
    node.kill();
    let node = chain.start();
    chain.watch(&node, 20);
    drop(signer);
    let _signer = Forever::start(&chain.address, Dialect::V0_38, &floor);
    chain.watch(&node, 20);
    assert!(chain.height >= 60);
    assert_eq!(floor.lock().unwrap().refused, Vec::<String>::new());
}

#[test]
fn a_chain_goes_on_when_node_or_signer_are_killed() {
    let chain = Chain::init(Key::Ed25519, false, |home| format!("unix://{}/privval.sock", home.display()));
    survives(chain, Key::Ed25519);
}

#[test]
fn a_chain_with_vote_extensions_over_tcp_goes_on_too() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let chain = Chain::init(Key::Ed25519, true, |_| format!("tcp://127.0.0.1:{port}"));
    survives(chain, Key::Ed25519);
}
