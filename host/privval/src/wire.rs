//! The messages as they travel: `proto/tendermint/privval/types.proto` and `.../types/types.proto` of CometBFT v0.34 to v0.40 and of
//! Celestia's fork, `proto/cometbft/privval/v1/types.proto` of v1.x. The fields of all of them together: [`crate::Dialect`] says
//! which are a version's own. Field 9 and 10 of `Message` are another message in Celestia than in v1.x, with the same wire types.

use prost::{Message as ProstMessage, Oneof};

/// `SignedMsgType`.
pub(crate) const PREVOTE: i32 = 1;
/// `SignedMsgType`.
pub(crate) const PRECOMMIT: i32 = 2;
/// `SignedMsgType`.
pub(crate) const PROPOSAL: i32 = 32;

/// `google.protobuf.Timestamp`.
#[derive(Clone, PartialEq, ProstMessage)]
pub(crate) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}

#[derive(Clone, PartialEq, ProstMessage)]
pub(crate) struct PartSetHeader {
    #[prost(uint32, tag = "1")]
    pub(crate) total: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) hash: Vec<u8>,
}

#[derive(Clone, PartialEq, ProstMessage)]
pub(crate) struct BlockId {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) hash: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    pub(crate) part_set_header: Option<PartSetHeader>,
}

#[derive(Clone, PartialEq, ProstMessage)]
pub(crate) struct Vote {
    #[prost(int32, tag = "1")]
    pub(crate) message_type: i32,
    #[prost(int64, tag = "2")]
    pub(crate) height: i64,
    #[prost(int32, tag = "3")]
    pub(crate) round: i32,
    #[prost(message, optional, tag = "4")]
    pub(crate) block_id: Option<BlockId>,
    #[prost(message, optional, tag = "5")]
    pub(crate) timestamp: Option<Timestamp>,
    #[prost(bytes = "vec", tag = "6")]
    pub(crate) validator_address: Vec<u8>,
    #[prost(int32, tag = "7")]
    pub(crate) validator_index: i32,
    #[prost(bytes = "vec", tag = "8")]
    pub(crate) signature: Vec<u8>,
    /// Not in v0.34.
    #[prost(bytes = "vec", tag = "9")]
    pub(crate) extension: Vec<u8>,
    /// Not in v0.34.
    #[prost(bytes = "vec", tag = "10")]
    pub(crate) extension_signature: Vec<u8>,
}

#[derive(Clone, PartialEq, ProstMessage)]
pub(crate) struct Proposal {
    #[prost(int32, tag = "1")]
    pub(crate) message_type: i32,
    #[prost(int64, tag = "2")]
    pub(crate) height: i64,
    #[prost(int32, tag = "3")]
    pub(crate) round: i32,
    #[prost(int32, tag = "4")]
    pub(crate) pol_round: i32,
    #[prost(message, optional, tag = "5")]
    pub(crate) block_id: Option<BlockId>,
    #[prost(message, optional, tag = "6")]
    pub(crate) timestamp: Option<Timestamp>,
    #[prost(bytes = "vec", tag = "7")]
    pub(crate) signature: Vec<u8>,
}

#[derive(Clone, PartialEq, ProstMessage)]
pub(crate) struct RemoteSignerError {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) description: String,
}

#[derive(Clone, PartialEq, ProstMessage)]
pub(crate) struct PubKeyRequest {
    #[prost(string, tag = "1")]
    pub(crate) chain_id: String,
}

/// `tendermint.crypto.PublicKey`; v0.38 and later know more kinds, which nothing here signs with.
#[derive(Clone, PartialEq, ProstMessage)]
pub(crate) struct PublicKey {
    #[prost(oneof = "PublicKeySum", tags = "1, 2")]
    pub(crate) sum: Option<PublicKeySum>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum PublicKeySum {
    #[prost(bytes = "vec", tag = "1")]
    Ed25519(Vec<u8>),
    #[prost(bytes = "vec", tag = "2")]
    Secp256k1(Vec<u8>),
}

#[derive(Clone, PartialEq, ProstMessage)]
pub(crate) struct PubKeyResponse {
    /// Not in v1.x.
    #[prost(message, optional, tag = "1")]
    pub(crate) pub_key: Option<PublicKey>,
    #[prost(message, optional, tag = "2")]
    pub(crate) error: Option<RemoteSignerError>,
    /// Of v1.x.
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) pub_key_bytes: Vec<u8>,
    /// Of v1.x.
    #[prost(string, tag = "4")]
    pub(crate) pub_key_type: String,
}

#[derive(Clone, PartialEq, ProstMessage)]
pub(crate) struct SignVoteRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) vote: Option<Vote>,
    #[prost(string, tag = "2")]
    pub(crate) chain_id: String,
    /// Of v1.x.
    #[prost(bool, tag = "3")]
    pub(crate) skip_extension_signing: bool,
}

#[derive(Clone, PartialEq, ProstMessage)]
pub(crate) struct SignedVoteResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) vote: Option<Vote>,
    #[prost(message, optional, tag = "2")]
    pub(crate) error: Option<RemoteSignerError>,
}

#[derive(Clone, PartialEq, ProstMessage)]
pub(crate) struct SignProposalRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) proposal: Option<Proposal>,
    #[prost(string, tag = "2")]
    pub(crate) chain_id: String,
}

#[derive(Clone, PartialEq, ProstMessage)]
pub(crate) struct SignedProposalResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) proposal: Option<Proposal>,
    #[prost(message, optional, tag = "2")]
    pub(crate) error: Option<RemoteSignerError>,
}

/// `PingRequest` and `PingResponse`.
#[derive(Clone, PartialEq, ProstMessage)]
pub(crate) struct Ping {}

/// `SignBytesRequest` of v1.x, which has field 1 alone; `SignRawBytesRequest` of Celestia, which has all three, none of them empty.
#[derive(Clone, PartialEq, ProstMessage)]
pub(crate) struct RawRequest {
    /// v1.x: the bytes to sign. Celestia: the chain id.
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) value_or_chain_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) raw_bytes: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) unique_id: Vec<u8>,
}

/// `SignBytesResponse` of v1.x and `SignedRawBytesResponse` of Celestia, which are encoded alike.
#[derive(Clone, PartialEq, ProstMessage)]
pub(crate) struct RawResponse {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) signature: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    pub(crate) error: Option<RemoteSignerError>,
}

#[derive(Clone, PartialEq, ProstMessage)]
pub(crate) struct Message {
    #[prost(oneof = "Sum", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10")]
    pub(crate) sum: Option<Sum>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Sum {
    #[prost(message, tag = "1")]
    PubKeyRequest(PubKeyRequest),
    #[prost(message, tag = "2")]
    PubKeyResponse(PubKeyResponse),
    #[prost(message, tag = "3")]
    SignVoteRequest(SignVoteRequest),
    #[prost(message, tag = "4")]
    SignedVoteResponse(SignedVoteResponse),
    #[prost(message, tag = "5")]
    SignProposalRequest(SignProposalRequest),
    #[prost(message, tag = "6")]
    SignedProposalResponse(SignedProposalResponse),
    #[prost(message, tag = "7")]
    PingRequest(Ping),
    #[prost(message, tag = "8")]
    PingResponse(Ping),
    #[prost(message, tag = "9")]
    RawRequest(RawRequest),
    #[prost(message, tag = "10")]
    RawResponse(RawResponse),
}

/// `tendermint.p2p.AuthSigMessage`, of the SecretConnection.
#[derive(Clone, PartialEq, ProstMessage)]
pub(crate) struct AuthSigMessage {
    #[prost(message, optional, tag = "1")]
    pub(crate) pub_key: Option<PublicKey>,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) sig: Vec<u8>,
}

impl From<Sum> for Message {
    fn from(sum: Sum) -> Self {
        Self { sum: Some(sum) }
    }
}
