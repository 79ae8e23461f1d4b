//! A Sigwarden without keys in front of one with keys: the policies of both must approve, and a lost answer is asked for again.

use crate::common::{floor, node};
use sigwarden::client::CallError;
use sigwarden_core::Format;
use sigwarden_tests::payload::{ACCOUNT, ALLOWED, COMETBFT_CHAIN, ETHER, VALIDATOR, precommit, transfer};
use sigwarden_tests::{Node, caller, example};

/// What the front calls the keys of the one behind.
const FAR_ACCOUNT: &str = "far.account";
const FAR_VALIDATOR: &str = "far.validator";

/// A front in whose configuration are two keys of the one behind, by its Unix socket.
fn front(behind: &Node) -> Node {
    let key = |name: &str, role: &str, scheme: &str, label: &str| {
        format!("[[key]]\nname = \"{name}\"\nroles = [\"{role}\"]\nscheme = \"{scheme}\"\nbackend = \"behind\"\nlabel = \"{label}\"\n\n")
    };
    let remote = format!(
        "[[backend]]\nname = \"behind\"\nkind = \"remote\"\n\n[[backend.remote]]\naddress = \"unix://{}\"\n\n{}{}{}",
        behind.socket().display(),
        key(FAR_ACCOUNT, "account", "secp256k1-ecdsa", ACCOUNT),
        key(FAR_VALIDATOR, "consensus", "ed25519", VALIDATOR),
        example::OPEN
    );
    Node::init(|config| example::with_rules(&config, &remote)).unwrap()
}

fn code(result: Result<sigwarden::proto::SignResponse, CallError>) -> String {
    result.unwrap_err().refusal().unwrap().code.clone()
}

#[test]
fn both_sets_of_policies_approve_and_a_remote_that_dies_is_asked_again_under_the_same_decision() {
    let mut behind = Node::init(|config| example::with_rules(&config, example::STRICT)).unwrap();
    floor(&behind, 1);
    behind.start().unwrap();
    let mut front = front(&behind);
    front.start().unwrap();
    let floors = [
        "floors",
        "set",
        "--key",
        FAR_VALIDATOR,
        "--chain-id",
        COMETBFT_CHAIN,
        "--height",
        "1",
        "--reason",
        "a test",
    ];
    front.expect(&floors).unwrap();
    let mut asks = front.caller().unwrap();
    let signed = asks
        .signed(FAR_ACCOUNT, "evm/eip-1559", transfer(1, Some(ALLOWED), 1).unsigned())
        .unwrap();
    let own = behind.caller().unwrap().public_key(ACCOUNT).unwrap();
    assert_eq!(signed.public_key, own.public_key);
    // One decision on each side; the one behind has the decision of the one in front as its request's id.
    let decisions = |node: &Node| {
        let audit = node.audit(200).unwrap();
        audit.into_iter().filter(|line| line["kind"] == "decision").collect::<Vec<_>>()
    };
    let (of_front, of_behind) = (decisions(&front), decisions(&behind));
    assert_eq!((of_front.len(), of_behind.len()), (1, 1));
    assert_eq!(of_behind[0]["body"]["request"], of_front[0]["body"]["decision"]);

    // What only the policies behind refuse: the front's caller is told that the backend failed, the front's record says why.
    let refused = code(asks.call(caller::request(
        FAR_ACCOUNT,
        "evm/eip-1559",
        transfer(2, Some(ALLOWED), 2 * ETHER).unsigned(),
    )));
    assert_eq!(refused, "backend/failed");

    // The same vote, asked for while the one behind is dead and again when it is back: one message, one signature.
    let vote = |seconds| caller::request(FAR_VALIDATOR, Format::CometBftVote.name(), precommit(5, 0, 7, seconds).sign_bytes());
    behind.kill().unwrap();
    assert_eq!(code(asks.call(vote(100))), "backend/unavailable");
    behind.start().unwrap();
    // Its link is up again two seconds later at most, on a machine that is not busy.
    let begun = std::time::Instant::now();
    let first = loop {
        match asks.call(vote(200)) {
            Ok(first) => break first,
            Err(error) => assert_eq!(error.refusal().unwrap().code, "backend/unavailable"),
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{}", front.log());
        std::thread::sleep(std::time::Duration::from_millis(100));
    };
    let again = asks.call(vote(300)).unwrap();
    assert_eq!(first.signatures, again.signatures);
    // The first one's timestamp, which was decided before anything was signed.
    assert_eq!(first.timestamp_signed.unwrap().seconds, 100);
    assert_eq!(
        code(asks.call(caller::request(
            FAR_VALIDATOR,
            Format::CometBftVote.name(),
            precommit(5, 0, 8, 100).sign_bytes()
        ))),
        "floor/conflict"
    );
}

#[test]
fn check_says_whether_the_remote_answers() {
    let mut behind = node();
    behind.start().unwrap();
    let front = front(&behind);
    let report = front.expect(&["check"]).unwrap();
    assert!(report.contains("a remote of every backend answers"), "{report}");
    behind.stop().unwrap();
    let output = front.run(&["check"]).unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("remotes that do not sign") || text.contains("does not answer"),
        "{text}"
    );
}
