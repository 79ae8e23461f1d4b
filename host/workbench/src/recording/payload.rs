//! A payload as fields, where a fixture's fields give these very bytes; else as hex.

use super::text::{quoted, table};
use crate::fixture;
use sigwarden_core::Format;
use sigwarden_core::fact::{FactValue, MessageTime, Scalar};
use sigwarden_formats::cometbft::{BlockId, Proposal, Vote, VoteType};
use sigwarden_formats::evm::{AccessListItem, Eip1559, Eip2930, Legacy};
use sigwarden_formats::hotstuff;
use sigwarden_formats::tagged::Tagged;

/// A field and its value.
type Field = (&'static str, String);

/// The line of a step that gives the payload: `evm = { … }`.
pub(super) fn line(format: Format, payload: &[u8]) -> String {
    let readable = structured(format, payload).map(|(kind, fields)| format!("{kind} = {}", table(&fields)));
    let same = |line: &String| fixture::payload_of(line, format).is_some_and(|bytes| bytes == payload);
    readable
        .filter(same)
        .or_else(|| plain(payload).filter(same))
        .unwrap_or_else(|| format!("hex = \"{}\"", hex::encode(payload)))
}

/// A message that is some text.
fn plain(payload: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(payload).ok()?;
    let readable = |letter: char| letter == '\n' || !letter.is_control();
    (!text.is_empty() && text.chars().all(readable)).then(|| format!("text = {}", quoted(text)))
}

/// The kind of payload and its fields, if it decodes and there is such a kind.
fn structured(format: Format, payload: &[u8]) -> Option<(&'static str, Vec<Field>)> {
    let evm = |fields| Some(("evm", fields));
    let cometbft = |fields| Some(("cometbft", fields));
    let hotstuff = |fields| Some(("hotstuff", fields));
    // Not a `match`: a format that a fixture has no fields for is hex, whichever formats there will be.
    if format == Format::EvmLegacy {
        evm(legacy(&Legacy::parse(payload).ok()?))
    } else if format == Format::EvmEip2930 {
        evm(eip2930(&Eip2930::parse(payload).ok()?))
    } else if format == Format::EvmEip1559 {
        evm(eip1559(&Eip1559::parse(payload).ok()?))
    } else if format == Format::CometBftVote {
        cometbft(vote(&Vote::parse(payload).ok()?))
    } else if format == Format::CometBftProposal {
        cometbft(proposal(&Proposal::parse(payload).ok()?))
    } else if format == Format::CometBftVoteExtension {
        cometbft(vote_with_extension(payload)?)
    } else if format == Format::HotStuffProposal {
        hotstuff(hotstuff_proposal(&hotstuff::Proposal::parse(payload).ok()?))
    } else if format == Format::HotStuffVote {
        hotstuff(hotstuff_vote(&hotstuff::Vote::parse(payload).ok()?))
    } else if format == Format::HotStuffTimeout {
        hotstuff(hotstuff_timeout(&hotstuff::Timeout::parse(payload).ok()?))
    } else if format == Format::TaggedMessage {
        Some(("tagged", tagged(&Tagged::parse(payload).ok()?)))
    } else {
        None
    }
}

fn bytes(bytes: &[u8]) -> String {
    format!("\"0x{}\"", hex::encode(bytes))
}

/// A number above 2^63 is a text in TOML.
fn number(number: u64) -> String {
    if i64::try_from(number).is_ok() {
        number.to_string()
    } else {
        format!("\"{number}\"")
    }
}

fn amount(amount: impl std::fmt::Display) -> String {
    let digits = amount.to_string();
    // As its author would have it: whole ethers and gweis.
    for (unit, zeros) in [("ether", 18), ("gwei", 9)] {
        let whole = digits.len().checked_sub(zeros).filter(|whole| *whole > 0);
        let split = whole.and_then(|whole| digits.split_at_checked(whole));
        if let Some((number, rest)) = split
            && rest.bytes().all(|digit| digit == b'0')
        {
            return format!("\"{number} {unit}\"");
        }
    }
    if digits.len() < 19 { digits } else { format!("\"{digits}\"") }
}

fn to(to: Option<[u8; 20]>) -> String {
    to.map_or_else(|| "\"create\"".to_owned(), |address| bytes(&address))
}

fn data(fields: &mut Vec<Field>, data: &[u8]) {
    if !data.is_empty() {
        fields.push(("data", bytes(data)));
    }
}

fn access_list(fields: &mut Vec<Field>, list: &[AccessListItem]) {
    if list.is_empty() {
        return;
    }
    let item = |item: &AccessListItem| {
        let keys: Vec<String> = item.storage_keys.iter().map(|key| bytes(key)).collect();
        table(&[
            ("address", bytes(&item.address)),
            ("storage_keys", format!("[{}]", keys.join(", "))),
        ])
    };
    let items: Vec<String> = list.iter().map(item).collect();
    fields.push(("access_list", format!("[{}]", items.join(", "))));
}

fn legacy(transaction: &Legacy) -> Vec<Field> {
    let mut fields = vec![
        ("chain_id", number(transaction.chain_id)),
        ("nonce", number(transaction.nonce)),
        ("to", to(transaction.to)),
        ("value", amount(transaction.value)),
        ("gas_limit", number(transaction.gas_limit)),
        ("gas_price", amount(transaction.gas_price)),
    ];
    data(&mut fields, &transaction.data);
    fields
}

fn eip2930(transaction: &Eip2930) -> Vec<Field> {
    let mut fields = vec![
        ("chain_id", number(transaction.chain_id)),
        ("nonce", number(transaction.nonce)),
        ("to", to(transaction.to)),
        ("value", amount(transaction.value)),
        ("gas_limit", number(transaction.gas_limit)),
        ("gas_price", amount(transaction.gas_price)),
    ];
    data(&mut fields, &transaction.data);
    access_list(&mut fields, &transaction.access_list);
    fields
}

fn eip1559(transaction: &Eip1559) -> Vec<Field> {
    let mut fields = vec![
        ("chain_id", number(transaction.chain_id)),
        ("nonce", number(transaction.nonce)),
        ("to", to(transaction.to)),
        ("value", amount(transaction.value)),
        ("gas_limit", number(transaction.gas_limit)),
        ("max_fee_per_gas", amount(transaction.max_fee_per_gas)),
        ("max_priority_fee_per_gas", amount(transaction.max_priority_fee_per_gas)),
    ];
    data(&mut fields, &transaction.data);
    access_list(&mut fields, &transaction.access_list);
    fields
}

fn time(time: MessageTime) -> Field {
    let shown = jiff::Timestamp::new(time.seconds, time.nanos);
    // One that has no such form makes the line unreadable, and the payload hex.
    ("time", shown.map_or_else(|_| "\"\"".to_owned(), |time| format!("\"{time}\"")))
}

fn block(fields: &mut Vec<Field>, block: &BlockId) {
    fields.push(("block", bytes(&block.hash)));
    fields.push(("parts_total", block.parts_total.to_string()));
    fields.push(("parts_hash", bytes(&block.parts_hash)));
}

fn vote(vote: &Vote) -> Vec<Field> {
    let kind = match vote.vote_type {
        VoteType::Prevote => "\"prevote\"",
        VoteType::Precommit => "\"precommit\"",
    };
    let mut fields = vec![
        ("type", kind.to_owned()),
        ("chain_id", quoted(&vote.chain_id)),
        ("height", number(vote.height)),
        ("round", vote.round.to_string()),
        time(vote.timestamp),
    ];
    match &vote.block_id {
        Some(id) => block(&mut fields, id),
        None => fields.push(("block", "\"nil\"".to_owned())),
    }
    fields
}

fn proposal(proposal: &Proposal) -> Vec<Field> {
    let mut fields = vec![
        ("chain_id", quoted(&proposal.chain_id)),
        ("height", number(proposal.height)),
        ("round", proposal.round.to_string()),
        time(proposal.timestamp),
    ];
    if let Some(round) = proposal.pol_round {
        fields.push(("pol_round", round.to_string()));
    }
    block(&mut fields, &proposal.block_id);
    fields
}

/// A precommit, then its extension, which is a fact.
fn vote_with_extension(payload: &[u8]) -> Option<Vec<Field>> {
    let decoded = sigwarden_formats::decode(Format::CometBftVoteExtension, sigwarden_core::Scheme::Ed25519, payload).ok()?;
    let extension = decoded.facts.iter().find_map(|fact| match &fact.value {
        FactValue::One(Scalar::Bytes(bytes)) if fact.name == "cometbft.extension" => Some(bytes.clone()),
        FactValue::One(_) | FactValue::Many(_) => None,
    })?;
    // The vote says how long it is, before it begins (protobuf's varint).
    let (mut length, mut digits) = (0_usize, 0_u32);
    for byte in payload.iter().take(4) {
        length |= usize::from(byte & 0x7f) << (7 * digits);
        digits += 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let end = length.checked_add(usize::try_from(digits).ok()?)?;
    let mut fields = vote(&Vote::parse(payload.get(..end)?).ok()?);
    fields.push(("extension", bytes(&extension)));
    Some(fields)
}

fn hotstuff_proposal(proposal: &hotstuff::Proposal) -> Vec<Field> {
    let mut fields = vec![
        ("chain_id", number(proposal.chain_id)),
        ("view", number(proposal.view)),
        ("validator_id", number(proposal.proposer_id)),
        ("block", bytes(&proposal.block_hash)),
        ("epoch", number(proposal.epoch)),
        ("suite_id", proposal.suite_id.to_string()),
    ];
    if let Some(qc) = &proposal.high_qc {
        fields.push(("high_qc", table(&[("view", number(qc.view)), ("block", bytes(&qc.block_hash))])));
    }
    fields
}

fn hotstuff_vote(vote: &hotstuff::Vote) -> Vec<Field> {
    vec![
        ("chain_id", number(vote.chain_id)),
        ("view", number(vote.view)),
        ("validator_id", number(vote.voter_id)),
        ("block", bytes(&vote.block_hash)),
    ]
}

fn hotstuff_timeout(timeout: &hotstuff::Timeout) -> Vec<Field> {
    let mut fields = vec![
        ("chain_id", number(timeout.chain_id)),
        ("view", number(timeout.view)),
        ("validator_id", number(timeout.voter_id)),
    ];
    if let Some(hash) = &timeout.high_qc_hash {
        fields.push(("high_qc", bytes(hash)));
    }
    fields
}

fn tagged(message: &Tagged) -> Vec<Field> {
    vec![
        ("domain", quoted(message.domain.name())),
        ("chain_id", number(message.chain_id)),
        ("body", bytes(&message.body)),
    ]
}
