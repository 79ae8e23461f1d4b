//! CometBFT's canonical messages as values, and their encoding: CometBFT's `proto/tendermint/types/canonical.proto`, in the bytes
//! that its generated code writes. Zero fields are left out, `timestamp` and `part_set_header` are always there (they are
//! not nullable in its Go types), a nil vote has no `block_id`.

use crate::protobuf::{delimited, put_bytes_field, put_message_field, put_sfixed64_field, put_varint_field};
pub use sigwarden_core::fact::MessageTime;

/// What a vote is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VoteType {
    /// `SIGNED_MSG_TYPE_PREVOTE`, 1.
    Prevote,
    /// `SIGNED_MSG_TYPE_PRECOMMIT`, 2.
    Precommit,
}

impl VoteType {
    /// Its number in `SignedMsgType`.
    #[must_use]
    pub fn number(self) -> u64 {
        match self {
            Self::Prevote => 1,
            Self::Precommit => 2,
        }
    }
}

/// `SIGNED_MSG_TYPE_PROPOSAL`.
pub(super) const PROPOSAL_TYPE: u64 = 32;

/// A block, complete: its hash and its part set's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockId {
    /// The header's hash.
    pub hash: [u8; 32],
    /// How many parts; at least 1.
    pub parts_total: u32,
    /// The part set's Merkle root.
    pub parts_hash: [u8; 32],
}

/// A prevote or precommit: `CanonicalVote`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// Prevote or precommit.
    pub vote_type: VoteType,
    /// From 1.
    pub height: u64,
    /// From 0, at most 2^31-1.
    pub round: u32,
    /// The block voted for; none is a vote for nil.
    pub block_id: Option<BlockId>,
    /// When; Go's zero time is second -62135596800.
    pub timestamp: MessageTime,
    /// 1 to 50 printable ASCII characters.
    pub chain_id: String,
}

/// A proposal: `CanonicalProposal`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// From 1.
    pub height: u64,
    /// From 0, at most 2^31-1.
    pub round: u32,
    /// The earlier round of the proof of lock; none is written as -1.
    pub pol_round: Option<u32>,
    /// The block proposed.
    pub block_id: BlockId,
    /// When.
    pub timestamp: MessageTime,
    /// 1 to 50 printable ASCII characters.
    pub chain_id: String,
}

/// An application's extension of a precommit: `CanonicalVoteExtension`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoteExtension {
    /// The application's bytes.
    pub extension: Vec<u8>,
    /// The precommit's height.
    pub height: u64,
    /// The precommit's round.
    pub round: u32,
    /// The precommit's chain.
    pub chain_id: String,
}

impl Vote {
    /// The payload of format `cometbft/vote`, the bytes that CometBFT's `VoteSignBytes` returns.
    ///
    /// ```
    /// use sigwarden_formats::cometbft::{MessageTime, Vote, VoteType};
    /// let nil = Vote {
    ///     vote_type: VoteType::Precommit,
    ///     height: 1,
    ///     round: 1,
    ///     block_id: None,
    ///     timestamp: MessageTime { seconds: 0, nanos: 0 },
    ///     chain_id: "A".into(),
    /// };
    /// assert_eq!(nil.sign_bytes(), b"\x19\x08\x02\x11\x01\0\0\0\0\0\0\0\x19\x01\0\0\0\0\0\0\0\x2a\0\x32\x01A");
    /// ```
    #[must_use]
    pub fn sign_bytes(&self) -> Vec<u8> {
        delimited(&self.body(Some(self.timestamp)))
    }

    /// The payload of format `cometbft/vote-extension`: this precommit's sign bytes, then the sign bytes of its extension.
    #[must_use]
    pub fn sign_bytes_with_extension(&self, extension: &[u8]) -> Vec<u8> {
        let extension = VoteExtension {
            extension: extension.to_vec(),
            height: self.height,
            round: self.round,
            chain_id: self.chain_id.clone(),
        };
        let mut payload = self.sign_bytes();
        payload.extend_from_slice(&extension.sign_bytes());
        payload
    }

    /// The message, with or without a timestamp.
    pub(super) fn body(&self, timestamp: Option<MessageTime>) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint_field(&mut out, 1, self.vote_type.number());
        put_sfixed64_field(&mut out, 2, self.height.cast_signed());
        put_sfixed64_field(&mut out, 3, self.round.into());
        if let Some(block_id) = &self.block_id {
            put_message_field(&mut out, 4, &block_id.body());
        }
        put_timestamp(&mut out, 5, timestamp);
        put_bytes_field(&mut out, 6, self.chain_id.as_bytes());
        out
    }
}

impl Proposal {
    /// The payload of format `cometbft/proposal`, the bytes that CometBFT's `ProposalSignBytes` returns.
    #[must_use]
    pub fn sign_bytes(&self) -> Vec<u8> {
        delimited(&self.body(Some(self.timestamp)))
    }

    /// The message, with or without a timestamp.
    pub(super) fn body(&self, timestamp: Option<MessageTime>) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint_field(&mut out, 1, PROPOSAL_TYPE);
        put_sfixed64_field(&mut out, 2, self.height.cast_signed());
        put_sfixed64_field(&mut out, 3, self.round.into());
        put_varint_field(&mut out, 4, self.pol_round.map_or(-1, i64::from).cast_unsigned());
        put_message_field(&mut out, 5, &self.block_id.body());
        put_timestamp(&mut out, 6, timestamp);
        put_bytes_field(&mut out, 7, self.chain_id.as_bytes());
        out
    }
}

impl VoteExtension {
    /// The bytes that CometBFT's `VoteExtensionSignBytes` returns. No payload by themselves: an extension is signed only beside
    /// its precommit, see [`Vote::sign_bytes_with_extension`].
    #[must_use]
    pub fn sign_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_bytes_field(&mut out, 1, &self.extension);
        put_sfixed64_field(&mut out, 2, self.height.cast_signed());
        put_sfixed64_field(&mut out, 3, self.round.into());
        put_bytes_field(&mut out, 4, self.chain_id.as_bytes());
        delimited(&out)
    }
}

impl BlockId {
    fn body(&self) -> Vec<u8> {
        let mut parts = Vec::new();
        put_varint_field(&mut parts, 1, self.parts_total.into());
        put_bytes_field(&mut parts, 2, &self.parts_hash);
        let mut out = Vec::new();
        put_bytes_field(&mut out, 1, &self.hash);
        put_message_field(&mut out, 2, &parts);
        out
    }
}

/// `google.protobuf.Timestamp`.
fn put_timestamp(out: &mut Vec<u8>, number: u64, timestamp: Option<MessageTime>) {
    if let Some(MessageTime { seconds, nanos }) = timestamp {
        let mut body = Vec::new();
        put_varint_field(&mut body, 1, seconds.cast_unsigned());
        put_varint_field(&mut body, 2, i64::from(nanos).cast_unsigned());
        put_message_field(out, number, &body);
    }
}
