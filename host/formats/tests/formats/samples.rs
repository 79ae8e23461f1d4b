//! Valid payloads of every format, which together show every fact that there is.

use sigwarden_core::Format;
use sigwarden_formats::cometbft::{BlockId, MessageTime, Proposal, RawBytes, Vote, VoteExtension, VoteType};
use sigwarden_formats::evm::{AccessListItem, Authorization, Eip1559, Eip2930, Eip4844, Eip7702, Legacy, U256};
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

pub fn eip4844() -> Eip4844 {
    Eip4844 {
        chain_id: 1,
        nonce: 5,
        max_priority_fee_per_gas: U256::from(1_000_000_000),
        max_fee_per_gas: U256::from(30_000_000_000_u64),
        gas_limit: 21_000,
        to: [0x35; 20],
        value: U256::from(10),
        data: vec![0x55, 0x44, 0x33, 0x22, 0x11],
        access_list: access_list(),
        max_fee_per_blob_gas: U256::from(3_000_000_000_u64),
        blob_versioned_hashes: [0xab, 0xcd]
            .map(|byte| {
                let mut hash = [byte; 32];
                hash[0] = 1;
                hash
            })
            .to_vec(),
    }
}

/// By viem 2.57.20, `signAuthorization` with the private key `01` 32 times.
pub fn authorization() -> Authorization {
    let scalar = |text: &str| U256::from_str_radix(text, 16).unwrap();
    Authorization {
        chain_id: U256::from(1),
        address: [0xcc; 20],
        nonce: 7,
        y_parity: 0,
        r: scalar("57e7e7cc4073cccec4a3768b72cfbc976d87b26f4c93c4ab65e69609ea144865"),
        s: scalar("7a265dde572f6264ec023aa723b7dd33006b397753bf4776dbb41f2f32574bda"),
    }
}

/// The same account's, for every chain; it takes the code away.
pub fn revocation() -> Authorization {
    let scalar = |text: &str| U256::from_str_radix(text, 16).unwrap();
    Authorization {
        chain_id: U256::ZERO,
        address: [0; 20],
        nonce: 8,
        y_parity: 1,
        r: scalar("dfc0546104cb89b4c12be9ab06a5ee5bb412be5e884e2c3e0108394af585cfb3"),
        s: scalar("6b3bfb95e874fa6735e849531060c87fde5170700db70a41c6dc58a644345747"),
    }
}

pub fn eip7702() -> Eip7702 {
    Eip7702 {
        chain_id: 1,
        nonce: 5,
        max_priority_fee_per_gas: U256::from(1_000_000_000),
        max_fee_per_gas: U256::from(30_000_000_000_u64),
        gas_limit: 100_000,
        to: [0x35; 20],
        value: U256::from(10),
        data: vec![0x55, 0x44, 0x33, 0x22, 0x11],
        access_list: access_list(),
        authorization_list: vec![authorization(), revocation()],
    }
}

/// The example of EIP-712, as a wallet library sends it.
pub const MAIL: &str = r#"{
  "types": {
    "EIP712Domain": [
      { "name": "name", "type": "string" },
      { "name": "version", "type": "string" },
      { "name": "chainId", "type": "uint256" },
      { "name": "verifyingContract", "type": "address" }
    ],
    "Person": [{ "name": "name", "type": "string" }, { "name": "wallet", "type": "address" }],
    "Mail": [{ "name": "from", "type": "Person" }, { "name": "to", "type": "Person" }, { "name": "contents", "type": "string" }]
  },
  "primaryType": "Mail",
  "domain": { "name": "Ether Mail", "version": "1", "chainId": 1, "verifyingContract": "0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC" },
  "message": {
    "from": { "name": "Cow", "wallet": "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826" },
    "to": { "name": "Bob", "wallet": "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB" },
    "contents": "Hello, Bob!"
  }
}"#;

/// Every kind of type, and a domain that has a salt only.
pub const ORDER: &str = r#"{
  "domain": { "salt": "0x0707070707070707070707070707070707070707070707070707070707070707" },
  "primaryType": "Order",
  "types": {
    "EIP712Domain": [{ "name": "salt", "type": "bytes32" }],
    "Unused": [{ "name": "x", "type": "bool" }],
    "Order": [
      { "name": "offer", "type": "Item[]" },
      { "name": "flags", "type": "bool[2][]" },
      { "name": "delta", "type": "int64" },
      { "name": "data", "type": "bytes" },
      { "name": "tag", "type": "bytes4" },
      { "name": "note", "type": "string" }
    ],
    "Item": [{ "name": "token", "type": "address" }, { "name": "amount", "type": "uint256" }]
  },
  "message": {
    "offer": [{ "token": "0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "amount": "5" }],
    "flags": [],
    "delta": -7,
    "data": "0x",
    "tag": "0x01020304",
    "note": "a \"b\"\n"
  }
}"#;

pub fn typed_data(json: &str) -> Vec<u8> {
    sigwarden_formats::evm::typed_data::canonical(json.as_bytes()).unwrap()
}

/// The inputs of celestia-core v0.39.10, `types/priv_validator_test.go`, `TestRawDataSignBytes`.
pub fn raw_bytes() -> RawBytes {
    RawBytes {
        chain_id: "test-chain".into(),
        unique_id: "unique-id-123".into(),
        raw_bytes: b"test data".to_vec(),
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
        Format::EvmEip4844 => {
            let transfer = Eip4844 {
                data: vec![],
                access_list: vec![],
                ..eip4844()
            };
            vec![eip4844().unsigned(), transfer.unsigned()]
        }
        Format::EvmEip7702 => {
            let transfer = Eip7702 {
                data: vec![],
                authorization_list: vec![revocation()],
                ..eip7702()
            };
            vec![eip7702().unsigned(), transfer.unsigned()]
        }
        Format::EvmEip191 => vec![
            b"hello world".to_vec(),
            vec![],
            vec![0xde, 0xad, 0xbe, 0xef],
            "kůň\n".as_bytes().to_vec(),
        ],
        Format::EvmEip712 => vec![typed_data(MAIL), typed_data(ORDER)],
        Format::CometBftRawBytes => vec![raw_bytes().sign_bytes(), b"oracle/prices: 42".to_vec()],
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
