//! What several files of these tests need.

use sigwarden_tests::Node;
use sigwarden_tests::payload::{COMETBFT_CHAIN, VALIDATOR};

/// A devnet deployment with the example rules, no daemon yet.
pub(crate) fn node() -> Node {
    Node::init(|config| sigwarden_tests::example::with_rules(&config, sigwarden_tests::example::OPEN)).unwrap()
}

/// A deployment with the rules of the demo: a value limit, one recipient, a rate limit.
pub(crate) fn strict_node() -> Node {
    Node::init(|config| sigwarden_tests::example::with_rules(&config, sigwarden_tests::example::STRICT)).unwrap()
}

/// Tells the validator's floor.
pub(crate) fn floor(node: &Node, height: u64) {
    let height = height.to_string();
    node.expect(&[
        "floors",
        "set",
        "--key",
        VALIDATOR,
        "--chain-id",
        COMETBFT_CHAIN,
        "--height",
        &height,
        "--reason",
        "a test",
    ])
    .unwrap();
}
