//! Valid payloads of every format, which together show every fact that there is.

use sigwarden_core::Format;
use sigwarden_formats::cometbft::{BlockId, MessageTime, Proposal, Vote, VoteExtension, VoteType};
use sigwarden_formats::evm::{AccessListItem, Eip1559, Eip2930, Legacy, U256};
use sigwarden_formats::hotstuff;
use sigwarden_formats::tagged::{Domain, Tagged};

pub fn legacy() -> Legacy {
    // The example of EIP-155.
    Legacy {
        chain_id: 1,
        nonce: 9,
        gas_price: U256::from(20_000_000_000_u64),
        gas_limit: 21_000,
        to: Some([0x35; 20]),
        value: U256::from(10).pow(U256::from(18)),
        data: vec![],
    }
}

pub fn access_list() -> Vec<AccessListItem> {
    vec![
        AccessListItem {
            address: [0xaa; 20],
            storage_keys: vec![[0; 32], [1; 32]],
        },
        AccessListItem {
            address: [0xbb; 20],
            storage_keys: vec![],
        },
    ]
}

pub fn eip2930() -> Eip2930 {
    Eip2930 {
        chain_id: 1,
        nonce: 3,
        gas_price: U256::from(1),
        gas_limit: 25_000,
        to: Some([0x35; 20]),
        value: U256::from(10),
        data: vec![0x55, 0x44, 0x33, 0x22, 0x11],
        access_list: access_list(),
    }
}

pub fn eip1559() -> Eip1559 {
    Eip1559 {
        chain_id: 1,
        nonce: 0,
        max_priority_fee_per_gas: U256::from(1_000_000_000),
        max_fee_per_gas: U256::from(30_000_000_000_u64),
        gas_limit: 21_000,
        to: Some([0x35; 20]),
        value: U256::from(10).pow(U256::from(18)),
        data: vec![],
        access_list: access_list(),
    }
}

pub fn block_id() -> BlockId {
    BlockId {
        hash: [0xab; 32],
        parts_total: 1,
        parts_hash: [0xcd; 32],
    }
}

pub fn precommit() -> Vote {
    Vote {
        vote_type: VoteType::Precommit,
        height: 12_345,
        round: 2,
        block_id: Some(block_id()),
        timestamp: MessageTime {
            seconds: 1_514_170_801,
            nanos: 234_000_000,
        },
        chain_id: "test-chain".into(),
    }
}

pub fn go_zero_time() -> MessageTime {
    MessageTime {
        seconds: -62_135_596_800,
        nanos: 0,
    }
}

pub fn nil_prevote() -> Vote {
    Vote {
        vote_type: VoteType::Prevote,
        block_id: None,
        timestamp: go_zero_time(),
        ..precommit()
    }
}

pub fn proposal() -> Proposal {
    Proposal {
        height: 12_345,
        round: 2,
        pol_round: Some(1),
        block_id: block_id(),
        timestamp: MessageTime {
            seconds: 1_518_332_962,
            nanos: 765_000_000,
        },
        chain_id: "test-chain".into(),
    }
}

pub fn extension() -> VoteExtension {
    VoteExtension {
        extension: b"extension".to_vec(),
        height: 12_345,
        round: 2,
        chain_id: "test-chain".into(),
    }
}

pub fn hotstuff_proposal() -> hotstuff::Proposal {
    hotstuff::Proposal {
        chain_id: 7,
        view: 10,
        block_hash: [0xab; 32],
        high_qc: Some(hotstuff::QuorumCertificate {
            view: 9,
            block_hash: [0xcd; 32],
        }),
        proposer_id: 3,
        epoch: 1,
        suite_id: 100,
    }
}

pub fn hotstuff_vote() -> hotstuff::Vote {
    hotstuff::Vote {
        chain_id: 7,
        view: 10,
        block_hash: [0xab; 32],
        voter_id: 3,
    }
}

pub fn hotstuff_timeout() -> hotstuff::Timeout {
    hotstuff::Timeout {
        chain_id: 7,
        view: 10,
        high_qc_hash: Some([0xcd; 32]),
        voter_id: 3,
    }
}

pub fn tagged(domain: Domain) -> Tagged {
    Tagged {
        domain,
        chain_id: 7,
        body: b"body".to_vec(),
    }
}

pub fn payloads(format: Format) -> Vec<Vec<u8>> {
    match format {
        Format::RawMessageSha256 | Format::RawMessageKeccak256 | Format::RawMessageNone => {
            vec![b"hello world".to_vec(), vec![], vec![0xff; 300]]
        }
        Format::RawDigest => vec![vec![7; 32]],
        Format::EvmLegacy => {
            let call = Legacy {
                data: vec![0xa9, 0x05, 0x9c, 0xbb, 0],
                ..legacy()
            };
            let create = Legacy { to: None, ..call.clone() };
            vec![legacy().unsigned(), call.unsigned(), create.unsigned()]
        }
        Format::EvmEip2930 => {
            let create = Eip2930 {
                to: None,
                access_list: vec![],
                ..eip2930()
            };
            vec![eip2930().unsigned(), create.unsigned()]
        }
        Format::EvmEip1559 => {
            let create = Eip1559 {
                to: None,
                data: vec![0x60; 100],
                access_list: vec![],
                ..eip1559()
            };
            let call = Eip1559 {
                data: vec![0x60; 100],
                ..eip1559()
            };
            vec![eip1559().unsigned(), create.unsigned(), call.unsigned()]
        }
        Format::CometBftVote => vec![precommit().sign_bytes(), nil_prevote().sign_bytes()],
        Format::CometBftProposal => {
            let first = Proposal {
                round: 0,
                pol_round: None,
                timestamp: go_zero_time(),
                ..proposal()
            };
            vec![proposal().sign_bytes(), first.sign_bytes()]
        }
        Format::CometBftVoteExtension => {
            let early = Vote {
                timestamp: go_zero_time(),
                ..precommit()
            };
            vec![
                precommit().sign_bytes_with_extension(b"extension"),
                precommit().sign_bytes_with_extension(b""),
                early.sign_bytes_with_extension(&[1; 200]),
            ]
        }
        Format::HotStuffProposal => {
            let genesis = hotstuff::Proposal {
                view: 0,
                high_qc: None,
                ..hotstuff_proposal()
            };
            vec![hotstuff_proposal().sign_bytes(), genesis.sign_bytes()]
        }
        Format::HotStuffVote => vec![hotstuff_vote().sign_bytes()],
        Format::HotStuffTimeout => {
            let genesis = hotstuff::Timeout {
                view: 0,
                high_qc_hash: None,
                ..hotstuff_timeout()
            };
            vec![hotstuff_timeout().sign_bytes(), genesis.sign_bytes()]
        }
        Format::TaggedMessage => Domain::ALL.iter().map(|domain| tagged(*domain).sign_bytes().unwrap()).collect(),
        Format::MlKem768Ciphertext => vec![vec![0x5a; 1088]],
    }
}
