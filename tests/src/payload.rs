//! Payloads as a node would send them.

use sigwarden_formats::cometbft::{BlockId, MessageTime, Vote, VoteType};
use sigwarden_formats::evm::{Eip1559, U256};

/// The account key that `init` makes: secp256k1-ecdsa.
pub const ACCOUNT: &str = "demo.account";

/// The consensus key that `init` makes: ed25519.
pub const VALIDATOR: &str = "demo.validator";

/// One ether, in wei.
pub const ETHER: u128 = 1_000_000_000_000_000_000;

/// The chain id of the example configuration's EVM rules: a devnet's.
pub const EVM_CHAIN: u64 = 1337;

/// The chain id of the example configuration's consensus rules.
pub const COMETBFT_CHAIN: &str = "sigwarden-devnet";

/// The recipient that the example rules allow.
pub const ALLOWED: [u8; 20] = [0xA1; 20];

/// A transfer of `wei` to `to`, or a contract creation.
#[must_use]
pub fn transfer(nonce: u64, to: Option<[u8; 20]>, wei: u128) -> Eip1559 {
    Eip1559 {
        chain_id: EVM_CHAIN,
        nonce,
        max_priority_fee_per_gas: U256::from(1_000_000_000u64),
        max_fee_per_gas: U256::from(30_000_000_000u64),
        gas_limit: 21_000,
        to,
        value: U256::from(wei),
        data: Vec::new(),
        access_list: Vec::new(),
    }
}

/// A precommit for the block whose hash is `block` 32 times, at `seconds` since the Unix epoch.
#[must_use]
pub fn precommit(height: u64, round: u32, block: u8, seconds: i64) -> Vote {
    Vote {
        vote_type: VoteType::Precommit,
        height,
        round,
        block_id: Some(BlockId {
            hash: [block; 32],
            parts_total: 1,
            parts_hash: [block; 32],
        }),
        timestamp: MessageTime { seconds, nanos: 0 },
        chain_id: COMETBFT_CHAIN.to_owned(),
    }
}
