//! The demo: the main job end to end, on a throw-away devnet deployment, with the real daemon. `cargo xtask demo` runs it.
#![allow(clippy::indexing_slicing, reason = "JSON values answer null for a field that is not there")]

mod show;

use anyhow::{Context, Result};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use sha3::{Digest, Keccak256};
use show::Show;
use sigwarden::proto;
use sigwarden_core::{Format, Scheme};
use sigwarden_tests::caller::request;
use sigwarden_tests::payload::{ACCOUNT, ALLOWED, COMETBFT_CHAIN, ETHER, VALIDATOR, precommit, transfer};
use sigwarden_tests::{Caller, Node, example};

fn main() -> Result<()> {
    let show = Show::new();
    show.title("A throw-away devnet deployment");
    show.text("Two keys in sealed files, four policies in WebAssembly, one client: this user.");
    let mut node = Node::init(|config| example::with_rules(&config, example::STRICT))?;
    show.command("sigwarden init --network devnet --generate-passphrase-file");
    show.block(example::STRICT_IN_WORDS);
    show.command(&format!(
        "sigwarden floors set --key {VALIDATOR} --chain-id {COMETBFT_CHAIN} --height 1000 --reason 'last signed elsewhere'"
    ));
    let floor = [
        "floors",
        "set",
        "--key",
        VALIDATOR,
        "--chain-id",
        COMETBFT_CHAIN,
        "--height",
        "1000",
        "--reason",
        "last signed elsewhere",
    ];
    show.output(&node.expect(&floor)?);
    show.command("sigwarden serve");
    node.start()?;
    let mut caller = node.caller()?;
    let health = caller.health()?;
    show.output(&format!(
        "ready: {}, deployment {}, version {}",
        health.network, health.deployment_id, health.version
    ));

    transfers(&show, &node, &mut caller)?;
    votes(&show, &node, &mut caller)?;
    limit(&show, &node, &mut caller)?;

    show.title("What was recorded");
    let status = node.stop()?;
    show.text(&format!(
        "The daemon was asked to stop and ended with {status}. Each decision was on disk before its key was touched."
    ));
    show.command("sigwarden audit tail -n 12");
    show.output(&node.expect(&["audit", "tail", "-n", "12"])?);
    show.command("sigwarden audit verify");
    show.output(&node.expect(&["audit", "verify"])?);
    show.command("sigwarden floors show");
    show.output(&node.expect(&["floors", "show"])?);
    show.text("The deployment is gone now. README.md says how to make one of your own.");
    Ok(())
}

fn transfers(show: &Show, node: &Node, caller: &mut Caller) -> Result<()> {
    show.title("An account key signs what its rules allow");
    let key = caller.public_key(ACCOUNT)?;
    let account = address_of(&key.public_key)?;
    show.text(&format!(
        "{} is {} ({}), address 0x{}",
        key.key,
        key.scheme,
        key.roles.join(", "),
        hex::encode(account)
    ));

    let good = transfer(0, Some(ALLOWED), ETHER / 2);
    show.ask("0.5 ETH to 0xa1a1…a1, which is on the list");
    show.payload(Format::EvmEip1559, Scheme::Secp256k1Ecdsa, &good.unsigned())?;
    let answer = caller.signed(ACCOUNT, "evm/eip-1559", good.unsigned())?;
    let signature = answer.signatures.first().context("one signature")?;
    let id = RecoveryId::try_from(i32::try_from(signature.recovery_id.context("ECDSA has a recovery id")?)?)?;
    let recoverable = RecoverableSignature::from_compact(&signature.signature, id)?;
    let digest: [u8; 32] = Keccak256::digest(good.unsigned()).into();
    let sender = address_of(&recoverable.recover(secp256k1::Message::from_digest(digest))?.serialize())?;
    show.signed(&answer);
    show.detail(&format!(
        "sender recovered from the signature: 0x{}{}",
        hex::encode(sender),
        if sender == account { ", the account" } else { ": NOT the account" }
    ));
    show.story(node, &answer.request_id)?;

    for (what, transaction) in [
        (
            "5 ETH to the same address: over the value limit",
            transfer(1, Some(ALLOWED), 5 * ETHER),
        ),
        (
            "0.1 ETH to 0xb2b2…b2, which is not on the list",
            transfer(1, Some([0xB2; 20]), ETHER / 10),
        ),
        ("a contract creation", transfer(1, None, 0)),
    ] {
        show.ask(what);
        show.payload(Format::EvmEip1559, Scheme::Secp256k1Ecdsa, &transaction.unsigned())?;
        let refusal = caller.refused(ACCOUNT, "evm/eip-1559", transaction.unsigned())?;
        show.refused(&refusal);
    }
    Ok(())
}

fn votes(show: &Show, node: &Node, caller: &mut Caller) -> Result<()> {
    show.title("A consensus key never signs two messages for one height and round");
    show.ask("a precommit for block 0x11…11 at height 1001, round 0, at 12:00:00");
    show.payload(
        Format::CometBftVote,
        Scheme::Ed25519,
        &precommit(1001, 0, 0x11, 1_767_268_800).sign_bytes(),
    )?;
    let first = caller.signed(VALIDATOR, "cometbft/vote", precommit(1001, 0, 0x11, 1_767_268_800).sign_bytes())?;
    show.signed(&first);
    show.story(node, &first.request_id)?;
    show.ask("the same precommit again, at 12:00:07, as a node does after a restart");
    let again = caller.signed(VALIDATOR, "cometbft/vote", precommit(1001, 0, 0x11, 1_767_268_807).sign_bytes())?;
    show.signed(&again);
    let same = first.signatures == again.signatures;
    show.detail(if same {
        "the first signature, with the first timestamp: nothing new was signed"
    } else {
        "ANOTHER SIGNATURE"
    });
    show.ask("a precommit for block 0x22…22 at the same height and round");
    show.refused(&caller.refused(VALIDATOR, "cometbft/vote", precommit(1001, 0, 0x22, 1_767_268_808).sign_bytes())?);
    show.ask("a precommit at height 1000, which the operator closed");
    show.refused(&caller.refused(VALIDATOR, "cometbft/vote", precommit(1000, 0, 0x11, 1_767_268_809).sign_bytes())?);
    Ok(())
}

fn limit(show: &Show, _node: &Node, caller: &mut Caller) -> Result<()> {
    show.title("A rate limit says when to come back");
    for nonce in 1..=100 {
        match caller.call(request(ACCOUNT, "evm/eip-1559", transfer(nonce, Some(ALLOWED), 1).unsigned())) {
            Ok(_) => {}
            Err(error) => {
                show.ask(&format!("{} transfers of 1 wei in a row: {} are signed, then", nonce, nonce - 1));
                let refusal: &proto::Refusal = error.refusal().context("a refusal")?;
                show.refused(refusal);
                return Ok(());
            }
        }
    }
    anyhow::bail!("the rate limit never came")
}

/// The last 20 bytes of keccak256 of the uncompressed public key (Yellow Paper, appendix F).
fn address_of(public_key: &[u8]) -> Result<[u8; 20]> {
    let key = secp256k1::PublicKey::from_slice(public_key)?.serialize_uncompressed();
    let digest: [u8; 32] = Keccak256::digest(key.get(1..).context("65 bytes")?).into();
    Ok(*digest.last_chunk().context("32 bytes")?)
}
