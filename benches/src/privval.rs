//! `privval`, `privval-precommit`: a vote of a CometBFT v0.38 node that the daemon dialled, over a Unix socket: from the request written to
//! the answer read. That is more than from read to written within the daemon, by two ways through the socket and the node's own work.

use crate::deployment::{floor, node_with};
use crate::measure::Samples;
use crate::table::{Row, Target};
use anyhow::{Context, Result, bail};
use prost::{Message, Oneof};
use sigwarden_tests::payload::{COMETBFT_CHAIN, VALIDATOR};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// `SignedMsgType`, in `proto/tendermint/types/types.proto`.
const PREVOTE: i32 = 1;
const PRECOMMIT: i32 = 2;

/// A `[[privval]]` that dials `socket` for the example chain's validator.
#[must_use]
pub fn link(socket: &Path) -> String {
    format!(
        "[[privval]]\nname = \"node\"\nclient = \"operator\"\naddress = \"unix://{}\"\ndialect = \"v0.38\"\nchain_id = \"{COMETBFT_CHAIN}\"\nkey = \"{VALIDATOR}\"\n\n",
        socket.display()
    )
}

/// Votes of rising heights, one after another, with three policies and the durable ledger.
///
/// # Errors
/// The daemon does not start, does not dial, or refuses.
pub fn privval(votes: i64) -> Result<Vec<Row>> {
    let home = tempfile::Builder::new().prefix("sigwarden-node-").tempdir()?;
    let socket = home.path().join("privval.sock");
    let listener = UnixListener::bind(&socket)?;
    let mut node = node_with(&link(&socket))?;
    floor(&node)?;
    node.start()?;
    let mut signer = Signer::accept(&listener).with_context(|| node.log())?;
    let (mut prevotes, mut precommits) = (Samples::default(), Samples::default());
    let warm = votes / 10;
    for height in 1..=votes + warm {
        let times = (signer.vote(PREVOTE, height)?, signer.vote(PRECOMMIT, height)?);
        if height > warm {
            prevotes.push(times.0);
            precommits.push(times.1);
        }
    }
    let row = |name, samples: &Samples, what: &str| {
        let p50 = samples.p50();
        let note = format!("{what}, written to read by the node over a Unix socket: {:.3} ms", p50 / 1e3);
        Row::new(name, p50 / 1e3, (p50, samples.p99()), 0.0, Some(Target::AtMost(1.0)), note)
    };
    Ok(vec![
        row("privval", &prevotes, "a prevote"),
        row("privval-precommit", &precommits, "a precommit and its extension, two signatures"),
    ])
}

/// A signer that dialled.
struct Signer(UnixStream);

impl Signer {
    fn accept(listener: &UnixListener) -> Result<Self> {
        let begun = Instant::now();
        listener.set_nonblocking(true)?;
        let stream = loop {
            match listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if begun.elapsed() > Duration::from_secs(20) => return Err(error).context("the daemon does not dial"),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self(stream))
    }

    /// Asks for a vote for a block of this height, and gives how long the answer took.
    fn vote(&mut self, message_type: i32, height: i64) -> Result<Duration> {
        let request = PrivvalMessage::from(Sum::SignVoteRequest(vote(message_type, height)?));
        let bytes = request.encode_length_delimited_to_vec();
        let begun = Instant::now();
        self.0.write_all(&bytes)?;
        let answer = self.read()?;
        let took = begun.elapsed();
        match PrivvalMessage::decode(answer.as_slice())?.sum {
            Some(Sum::SignedVoteResponse(SignedVoteResponse { error: Some(error), .. })) => bail!("height {height}: {}", error.description),
            Some(Sum::SignedVoteResponse(SignedVoteResponse { vote: Some(vote), .. })) if vote.signature.len() == 64 => Ok(took),
            other => bail!("height {height}: no signature in {other:?}"),
        }
    }

    /// The next message: its length as a varint, then its bytes.
    fn read(&mut self) -> Result<Vec<u8>> {
        let mut buffer = vec![0; 4096];
        let mut have = 0;
        loop {
            have += match self.0.read(&mut buffer[have..])? {
                0 => bail!("the daemon closed the connection"),
                read => read,
            };
            let mut rest = &buffer[..have];
            if let Ok(length) = prost::decode_length_delimiter(&mut rest)
                && rest.len() >= length
            {
                return Ok(rest[..length].to_vec());
            }
        }
    }
}

fn vote(message_type: i32, height: i64) -> Result<SignVoteRequest> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let vote = Vote {
        message_type,
        height,
        block_id: Some(BlockId {
            hash: vec![1; 32],
            part_set_header: Some(PartSetHeader {
                total: 1,
                hash: vec![2; 32],
            }),
        }),
        timestamp: Some(Timestamp {
            seconds: i64::try_from(now.as_secs())?,
            nanos: i32::try_from(now.subsec_nanos())?,
        }),
        validator_address: vec![3; 20],
        ..Vote::default()
    };
    Ok(SignVoteRequest {
        vote: Some(vote),
        chain_id: COMETBFT_CHAIN.to_owned(),
    })
}

/// `Message` of CometBFT v0.38's `proto/tendermint/privval/types.proto`, as far as votes go; so the messages below it.
#[derive(Clone, PartialEq, Message)]
struct PrivvalMessage {
    #[prost(oneof = "Sum", tags = "3, 4")]
    sum: Option<Sum>,
}

impl From<Sum> for PrivvalMessage {
    fn from(sum: Sum) -> Self {
        Self { sum: Some(sum) }
    }
}

#[derive(Clone, PartialEq, Oneof)]
enum Sum {
    #[prost(message, tag = "3")]
    SignVoteRequest(SignVoteRequest),
    #[prost(message, tag = "4")]
    SignedVoteResponse(SignedVoteResponse),
}

#[derive(Clone, PartialEq, Message)]
struct SignVoteRequest {
    #[prost(message, optional, tag = "1")]
    vote: Option<Vote>,
    #[prost(string, tag = "2")]
    chain_id: String,
}

#[derive(Clone, PartialEq, Message)]
struct SignedVoteResponse {
    #[prost(message, optional, tag = "1")]
    vote: Option<Vote>,
    #[prost(message, optional, tag = "2")]
    error: Option<RemoteSignerError>,
}

#[derive(Clone, PartialEq, Message)]
struct RemoteSignerError {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    description: String,
}

#[derive(Clone, PartialEq, Message)]
struct Vote {
    #[prost(int32, tag = "1")]
    message_type: i32,
    #[prost(int64, tag = "2")]
    height: i64,
    #[prost(int32, tag = "3")]
    round: i32,
    #[prost(message, optional, tag = "4")]
    block_id: Option<BlockId>,
    #[prost(message, optional, tag = "5")]
    timestamp: Option<Timestamp>,
    #[prost(bytes = "vec", tag = "6")]
    validator_address: Vec<u8>,
    #[prost(int32, tag = "7")]
    validator_index: i32,
    #[prost(bytes = "vec", tag = "8")]
    signature: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct BlockId {
    #[prost(bytes = "vec", tag = "1")]
    hash: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    part_set_header: Option<PartSetHeader>,
}

#[derive(Clone, PartialEq, Message)]
struct PartSetHeader {
    #[prost(uint32, tag = "1")]
    total: u32,
    #[prost(bytes = "vec", tag = "2")]
    hash: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}
