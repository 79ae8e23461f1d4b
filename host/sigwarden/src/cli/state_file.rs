//! What a validator signed last, as other signers keep it: where its floor has to stand.
//!
//! - CometBFT's `priv_validator_state.json` (`privval.FilePVLastSignState`): `height` in quotes, `round` a number, `step` 1 proposal, 2
//!   prevote, 3 precommit, 0 none yet; with what was signed, `signature` in base64 and `signbytes` in upper-case hex.
//! - tmkms' state file (`consensus::State` of tendermint-rs): `height` and `round` in quotes, `step` 0 proposal, 1 prevote, 2 precommit,
//!   and `block_id`. Neither chain nor key nor signature. (Old releases wrote 3 for a proposal and 6 for a vote.)
//! - `sigwarden floors export`.

use base64ct::{Base64, Encoding};
use serde::{Deserialize, Serialize};
use sigwarden_core::Format;

/// The version of our export.
pub(super) const EXPORT_VERSION: u32 = 1;

/// Bytes of a state file: an export of a thousand floors with their messages.
pub(super) const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A state file, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StateFile {
    /// Of one key on one chain.
    Single(Single),
    /// Ours.
    Export(Export),
}

/// What one key signed last on one chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Single {
    /// Who wrote it.
    pub(super) written_by: &'static str,
    /// Where the floor has to stand.
    pub(super) floor: At,
    /// The message, if the file has it.
    pub(super) message: Option<Signed>,
}

/// Where a floor has to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// The height is closed.
    EndOf(u64),
    /// This place is taken.
    Place {
        /// The height.
        height: u64,
        /// The round.
        round: u64,
        /// 1 proposal, 2 prevote, 3 precommit.
        step: u32,
    },
}

/// A message that was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signed {
    /// Its exact sign bytes.
    pub(super) sign_bytes: Vec<u8>,
    /// Its signature.
    pub(super) signature: Vec<u8>,
    /// The chain that it names.
    pub(super) chain_id: String,
}

/// `sigwarden floors export`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Export {
    /// [`EXPORT_VERSION`].
    pub(super) sigwarden_floors: u32,
    /// The deployment that it is from.
    pub(super) deployment_id: String,
    /// Its floors of CometBFT proposals, prevotes and precommits.
    pub(super) floors: Vec<ExportedFloor>,
}

/// One floor of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportedFloor {
    /// The key's name there, for people.
    pub(super) key: String,
    /// Whose floor it is, hex.
    pub(super) public_key: String,
    /// The chain.
    pub(super) chain_id: String,
    /// The message class; absent for `cometbft`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) class: Option<String>,
    /// A decimal string, as heights are everywhere.
    pub(super) height: String,
    /// With `step`: the place within the height; without both, the height is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) round: Option<u64>,
    /// 1 proposal, 2 prevote, 3 precommit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) step: Option<u32>,
    /// What was signed there, hex; with `signature`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sign_bytes: Option<String>,
    /// Hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) signature: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(u64),
    Text(String),
}

impl Number {
    fn get(&self, field: &str) -> Result<u64, String> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Text(text) => text
                .parse()
                .map_err(|_| format!("`{field}` is `{}`, and no number that counts from 0", text.escape_debug())),
        }
    }
}

/// The union of CometBFT's and tmkms' fields.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Foreign {
    height: Number,
    round: Number,
    step: u32,
    signature: Option<String>,
    signbytes: Option<String>,
    #[serde(default)]
    block_id: Option<serde_json::Value>,
}

/// Reads a state file.
///
/// # Errors
/// What is wrong with it, and where.
pub(super) fn parse(text: &str) -> Result<StateFile, String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| format!("is no JSON: {error}"))?;
    if value.get("sigwarden_floors").is_some() {
        let export: Export = serde_json::from_value(value).map_err(|error| format!("is no floors export: {error}"))?;
        if export.sigwarden_floors != EXPORT_VERSION {
            return Err(format!(
                "is an export of version {}; this Sigwarden reads version {EXPORT_VERSION}",
                export.sigwarden_floors
            ));
        }
        return Ok(StateFile::Export(export));
    }
    // From the text: a value would have lost a field that is there twice.
    let file: Foreign = serde_json::from_str(text).map_err(|error| {
        format!("is neither CometBFT's priv_validator_state.json, nor tmkms' state, nor an export of `sigwarden floors export`: {error}")
    })?;
    single(&file).map(StateFile::Single)
}

fn single(file: &Foreign) -> Result<Single, String> {
    let (height, round) = (file.height.get("height")?, file.round.get("round")?);
    let message = match (&file.signbytes, &file.signature) {
        (Some(sign_bytes), Some(signature)) if !sign_bytes.is_empty() => Some(signed(sign_bytes, signature, file.step)?),
        (Some(sign_bytes), None) if !sign_bytes.is_empty() => return Err("has `signbytes` without `signature`: it is not whole".to_owned()),
        (Some(_) | None, _) => None,
    };
    // tmkms alone counts steps from 0, and has a block id, whichever way its release writes numbers. A file that could be either's is
    // read the stricter way.
    let (written_by, step) = match (&file.round, &message, &file.block_id) {
        (_, Some(_), _) | (Number::Number(_), None, None) => ("CometBFT", file.step),
        (_, None, Some(_)) | (Number::Text(_), None, None) => ("tmkms", file.step.saturating_add(1).min(3)),
    };
    let never = height == 0 && round == 0 && file.step == 0;
    let floor = match step {
        _ if never => At::EndOf(0),
        // Nothing yet in this round: what came before is taken.
        0 => match (height, round) {
            (height, 0) => At::EndOf(height.saturating_sub(1)),
            (height, round) => At::Place {
                height,
                round: round - 1,
                step: 3,
            },
        },
        1..=3 => At::Place { height, round, step },
        _ => return Err(format!("`step` is {}; CometBFT's are 0 to 3", file.step)),
    };
    Ok(Single {
        written_by,
        floor,
        message,
    })
}

fn signed(sign_bytes: &str, signature: &str, step: u32) -> Result<Signed, String> {
    let sign_bytes = hex::decode(sign_bytes).map_err(|error| format!("`signbytes` is no hex: {error}"))?;
    let signature = Base64::decode_vec(signature).map_err(|error| format!("`signature` is no base64: {error}"))?;
    let format = if step == 1 {
        Format::CometBftProposal
    } else {
        Format::CometBftVote
    };
    // The scheme says only how the bytes would be hashed: it is the key's, and looked at with the key.
    let decoded = sigwarden_formats::decode(format, sigwarden_core::Scheme::Ed25519, &sign_bytes)
        .map_err(|error| format!("`signbytes` is no {format} that CometBFT would sign: {error}"))?;
    let chain_id = decoded.consensus.map(|message| message.chain_id).unwrap_or_default();
    Ok(Signed {
        sign_bytes,
        signature,
        chain_id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Horcrux' migration guide (strangelove-ventures/horcrux, docs/migrating.md): a validator of juno-1.
    const JUNO: &str = r#"{
  "height": "361402",
  "round": 0,
  "step": 3,
  "signature": "IEOS7EJ8C6ZZxwwXiGeMhoO8mwtgTiq6VPR/F1cpLZuz0ZvUZdsgQjTt0GniAIgosfEjC5izKw4Nvvs3ZIceAw==",
  "signbytes": "6B080211BA8305000000000022480A205D4E1F722F53A3FD9E0D28639D7CE7B588338570EBA5C340687C30609C47BCA41224080112208283B6E16BEA46797F8AD4EE0ACE424AC7A4827202446B2D56E7F4438541B7BD2A0C08E4ACE28B0610CCD0AC830232066A756E6F2D31"
}"#;

    fn single_of(text: &str) -> Single {
        match parse(text).unwrap() {
            StateFile::Single(single) => single,
            StateFile::Export(export) => panic!("{export:?}"),
        }
    }

    #[test]
    fn cometbfts_file_gives_position_chain_and_signature() {
        let juno = single_of(JUNO);
        let place = At::Place {
            height: 361_402,
            round: 0,
            step: 3,
        };
        assert_eq!((juno.written_by, juno.floor), ("CometBFT", place));
        let message = juno.message.unwrap();
        assert_eq!(
            (message.chain_id.as_str(), message.signature.len(), message.sign_bytes.len()),
            ("juno-1", 64, 108)
        );
        // As CometBFT writes it before anything was signed.
        let fresh = single_of(r#"{ "height": "0", "round": 0, "step": 0 }"#);
        assert_eq!((fresh.floor, fresh.message), (At::EndOf(0), None));
        // A round that has begun, and nothing signed in it.
        assert_eq!(single_of(r#"{"height":"9","round":0,"step":0}"#).floor, At::EndOf(8));
        let place = At::Place {
            height: 9,
            round: 1,
            step: 3,
        };
        assert_eq!(single_of(r#"{"height":"9","round":2,"step":0}"#).floor, place);
    }

    /// tmkms, src/chain/state.rs and src/privval.rs: the block id of its own test, steps as `ConsensusMsg::consensus_state` numbers them.
    #[test]
    fn tmkms_steps_count_from_zero() {
        // Its numbers were without quotes at times (tmkms issue 358); the block id tells it.
        let unquoted = single_of(r#"{"height":5,"round":1,"step":1,"block_id":{"hash":"AA"}}"#);
        let place = At::Place {
            height: 5,
            round: 1,
            step: 2,
        };
        assert_eq!((unquoted.written_by, unquoted.floor), ("tmkms", place));
        let block = r#"{"hash":"26C0A41F3243C6BCD7AD2DFF8A8D83A71D29D307B5326C227F734A1A512FE47D","parts":{"total":1,"hash":"26C0A41F3243C6BCD7AD2DFF8A8D83A71D29D307B5326C227F734A1A512FE47D"}}"#;
        for (step, wanted) in [(0, 1), (1, 2), (2, 3), (3, 3), (6, 3)] {
            let state = single_of(&format!(r#"{{"height":"5","round":"1","step":{step},"block_id":{block}}}"#));
            let place = At::Place {
                height: 5,
                round: 1,
                step: wanted,
            };
            assert_eq!((state.written_by, state.floor, state.message), ("tmkms", place, None));
        }
        assert_eq!(
            single_of(r#"{"height":"0","round":"0","step":0,"block_id":null}"#).floor,
            At::EndOf(0)
        );
    }

    #[test]
    fn what_is_no_state_file_says_why() {
        for (text, words) in [
            ("", "no JSON"),
            ("{}", "neither CometBFT's"),
            (r#"{"height":"-1","round":0,"step":1}"#, "`height`"),
            (r#"{"height":"1","round":0,"step":4}"#, "`step` is 4"),
            (r#"{"height":"1","height":"2","round":0,"step":1}"#, "duplicate field `height`"),
            (r#"{"height":"1","round":0,"step":1,"stop":1}"#, "unknown field `stop`"),
            (r#"{"sigwarden_floors":2,"deployment_id":"","floors":[]}"#, "version 2"),
            (&JUNO.replace("6B0802", "6C0802"), "`signbytes`"),
            (&JUNO.replace("IEOS", "I*OS"), "`signature` is no base64"),
            (&JUNO.replace("\"signature\"", "\"sig\""), "unknown field `sig`"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
