//! EVM transactions: published vectors, and every refusal.

use crate::samples::{eip1559, eip2930, legacy};
use crate::{assert_malformed, assert_non_canonical, decode, digest_of, fact, hex};
use sigwarden_core::Format::{EvmEip1559, EvmEip2930, EvmLegacy};
use sigwarden_formats::evm::{Eip1559, Eip2930, Legacy, U256, transaction_hash};

fn scalar(text: &str) -> [u8; 32] {
    hex(text).try_into().unwrap()
}

/// EIP-155, section "Example": signing data, signing hash, signed transaction.
#[test]
fn eip_155_example() {
    let payload = legacy().unsigned();
    assert_eq!(
        hex::encode(&payload),
        "ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080"
    );
    let decoded = decode(EvmLegacy, &payload).unwrap();
    assert_eq!(
        digest_of(&decoded),
        "daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53"
    );
    assert_eq!(hex::encode(legacy().signing_hash()), digest_of(&decoded));
    assert_eq!(fact(&decoded, "evm.value").unwrap(), "1000000000000000000");
    let (r, s) = (
        scalar("28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276"),
        scalar("67cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"),
    );
    let signed = legacy().signed(&r, &s, 0);
    assert_eq!(
        hex::encode(&signed),
        "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
    );
    assert_malformed(EvmLegacy, &signed, "signed already");
}

/// go-ethereum, `core/types/transaction_test.go`: `emptyEip2718Tx`, `TestEIP2718TransactionSigHash`, `TestEIP2718TransactionEncode`.
#[test]
fn go_ethereum_access_list_transaction() {
    let transaction = Eip2930 {
        chain_id: 1,
        nonce: 3,
        gas_price: U256::from(1),
        gas_limit: 25_000,
        to: Some(hex("b94f5374fce5edbc8e2a8697c15331677e6ebf0b").try_into().unwrap()),
        value: U256::from(10),
        data: hex("5544"),
        access_list: vec![],
    };
    let decoded = decode(EvmEip2930, &transaction.unsigned()).unwrap();
    assert_eq!(
        digest_of(&decoded),
        "49b486f0ec0a60dfbbca2d30cb07c9e8ffb2a2ff41f29a1ab6737475f6ff69f3"
    );
    let signed = transaction.signed(
        &scalar("c9519f4f2b30335884581971573fadf60c6204f59a911df35ee8a540456b2660"),
        &scalar("32f1e8e2c5dd761f9e4f88f41c8310aeaba26a8bfcdacfedfa12ec3862d37521"),
        1,
    );
    assert_eq!(
        hex::encode(&signed),
        "01f8630103018261a894b94f5374fce5edbc8e2a8697c15331677e6ebf0b0a825544c001a0c9519f4f2b30335884581971573fadf60c6204f59a911df35ee8a540456b2660a032f1e8e2c5dd761f9e4f88f41c8310aeaba26a8bfcdacfedfa12ec3862d37521"
    );
    assert_malformed(EvmEip2930, &signed, "signed already");
}

/// alloy-consensus 2.5.0, `src/transaction/eip1559.rs`, `recover_signer_eip1559`: signature hash and transaction hash.
#[test]
fn alloy_fee_market_transaction() {
    let transaction = Eip1559 {
        chain_id: 1,
        nonce: 0x42,
        max_priority_fee_per_gas: U256::from(0x3b9a_ca00),
        max_fee_per_gas: U256::from(0x4_a817_c800_u64),
        gas_limit: 44_386,
        to: Some(hex("6069a6c32cf691f5982febae4faf8a6f3ab2f0f6").try_into().unwrap()),
        value: U256::ZERO,
        data: hex(
            "a22cb4650000000000000000000000005eee75727d804a2b13038928d36f8b188945a57a0000000000000000000000000000000000000000000000000000000000000000",
        ),
        access_list: vec![],
    };
    let decoded = decode(EvmEip1559, &transaction.unsigned()).unwrap();
    assert_eq!(
        digest_of(&decoded),
        "0d5688ac3897124635b6cf1bc0e29d6dfebceebdc10a54d74f2ef8b56535b682"
    );
    assert_eq!(fact(&decoded, "evm.selector").unwrap(), "0xa22cb465");
    let signed = transaction.signed(
        &scalar("840cfc572845f5786e702984c2a582528cad4b49b2a10b9db1be7fca90058565"),
        &scalar("25e7109ceb98168d95b09b18bbf6b685130e0562f233877d492b94eee0c5b6d1"),
        0,
    );
    assert_eq!(
        hex::encode(transaction_hash(&signed)),
        "0ec0b6a2df4d87424e5f6ad2a654e27aaeb7dac20ae9e8385cc09087ad532ee0"
    );
    assert_malformed(EvmEip1559, &signed, "signed already");
}

#[test]
fn contract_creation_has_no_recipient_and_no_selector() {
    let payload = Eip1559 {
        to: None,
        data: vec![0x60; 8],
        ..eip1559()
    }
    .unsigned();
    let decoded = decode(EvmEip1559, &payload).unwrap();
    assert_eq!(fact(&decoded, "evm.create").unwrap(), "true");
    assert_eq!(fact(&decoded, "evm.to"), None);
    assert_eq!(fact(&decoded, "evm.selector"), None);
}

#[test]
fn a_call_with_under_four_bytes_has_no_selector() {
    let call = |data: &[u8]| {
        let payload = Eip1559 {
            data: data.to_vec(),
            ..eip1559()
        }
        .unsigned();
        fact(&decode(EvmEip1559, &payload).unwrap(), "evm.selector")
    };
    assert_eq!(call(&[1, 2, 3]), None);
    assert_eq!(call(&[1, 2, 3, 4]).unwrap(), "0x01020304");
}

#[test]
fn access_list_facts_count_every_key() {
    let decoded = decode(EvmEip2930, &eip2930().unsigned()).unwrap();
    let (first, second) = ("aa".repeat(20), "bb".repeat(20));
    assert_eq!(
        fact(&decoded, "evm.access-list.addresses").unwrap(),
        format!("[0x{first}, 0x{second}]")
    );
    assert_eq!(fact(&decoded, "evm.access-list.storage-keys").unwrap(), "2");
}

#[test]
fn transaction_without_chain_id_is_refused_as_replayable() {
    // The first six items of EIP-155's example.
    let payload = hex("e9098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080");
    assert_malformed(EvmLegacy, &payload, "replayed on any chain");
}

#[test]
fn chain_id_zero_is_refused() {
    assert_malformed(
        EvmLegacy,
        &Legacy { chain_id: 0, ..legacy() }.unsigned(),
        "`chainId` at byte 42 is 0",
    );
    assert_malformed(
        EvmEip2930,
        &Eip2930 { chain_id: 0, ..eip2930() }.unsigned(),
        "`chainId` at byte 3 is 0",
    );
    assert_malformed(
        EvmEip1559,
        &Eip1559 { chain_id: 0, ..eip1559() }.unsigned(),
        "binds the signature to no chain",
    );
}

#[test]
fn last_nonce_is_refused() {
    let payload = Eip1559 {
        nonce: u64::MAX,
        ..eip1559()
    }
    .unsigned();
    assert_malformed(EvmEip1559, &payload, "2^64-1");
    let payload = Eip1559 {
        nonce: u64::MAX - 1,
        ..eip1559()
    }
    .unsigned();
    assert_eq!(
        fact(&decode(EvmEip1559, &payload).unwrap(), "evm.nonce").unwrap(),
        "18446744073709551614"
    );
}

#[test]
fn priority_fee_above_the_fee_is_refused() {
    let payload = Eip1559 {
        max_priority_fee_per_gas: U256::from(31_000_000_000_u64),
        ..eip1559()
    }
    .unsigned();
    assert_malformed(
        EvmEip1559,
        &payload,
        "`maxPriorityFeePerGas` at byte 5 is 31000000000, above `maxFeePerGas`, 30000000000",
    );
}

#[test]
fn another_type_is_named() {
    assert_malformed(EvmLegacy, &eip1559().unsigned(), "look like `evm/eip-1559`");
    assert_malformed(EvmEip1559, &eip2930().unsigned(), "look like `evm/eip-2930`");
    assert_malformed(EvmEip1559, &legacy().unsigned(), "`evm/legacy`");
    assert_malformed(EvmEip1559, &[0x03, 0xc0], "look like `evm/eip-4844`");
    assert_malformed(EvmEip1559, &[0x04, 0xc0], "look like `evm/eip-7702`");
    assert_malformed(EvmEip1559, &[], "empty");
    assert_malformed(EvmLegacy, &[], "where `legacy transaction` should start");
}

/// EIP-155's example with its third to last byte, the chain id, and others changed.
#[test]
fn non_canonical_integers_and_lengths_are_refused() {
    let list = |items: &str| {
        let items = hex(items);
        let mut payload = vec![0xc0 + u8::try_from(items.len()).unwrap()];
        payload.extend(items);
        payload
    };
    let to = format!("94{}", "35".repeat(20));
    assert!(decode(EvmLegacy, &list(&format!("800180{to}8080018080"))).is_ok());
    assert_non_canonical(
        EvmLegacy,
        &list(&format!("000180{to}8080018080")),
        "`nonce` at byte 1: an integer has no leading zero",
    );
    assert_non_canonical(
        EvmLegacy,
        &list(&format!("80820001 80{to}8080018080").replace(' ', "")),
        "`gasPrice` at byte 2",
    );
    assert_non_canonical(
        EvmLegacy,
        &list(&format!("808101 80{to}8080018080").replace(' ', "")),
        "stands for itself",
    );
    assert_non_canonical(EvmLegacy, &list(&format!("800180{to}80b80155018080")), "a length under 56");
    assert_non_canonical(
        EvmLegacy,
        &list(&format!("800180{to}80b90001 55018080").replace(' ', "")),
        "no leading zero",
    );
    assert_non_canonical(EvmLegacy, &list(&format!("800180{to}8080010080")), "no leading zero");
    assert_malformed(EvmLegacy, &list(&format!("800180{to}8080010180")), "is not 0");
    assert_malformed(
        EvmLegacy,
        &list(&format!("800180{to}80800180")),
        "where `0 in place of s` should start",
    );
    assert_malformed(EvmLegacy, &list(&format!("800180{to}808001808080")), "more items follow at byte 30");
    assert_malformed(
        EvmLegacy,
        &list(&format!("80c080{to}8080018080")),
        "`gasPrice` at byte 2: a string is wanted",
    );
    assert_malformed(
        EvmLegacy,
        &list(&format!("800180{}8080018080", "93".to_owned() + &"35".repeat(19))),
        "`to` at byte 4 has 19 bytes",
    );
    assert_malformed(
        EvmLegacy,
        &list(&format!("800189{}{to}8080018080", "01".repeat(9))),
        "does not fit 64 bits",
    );
}

#[test]
fn more_than_256_bits_are_refused() {
    let mut items = hex("80a1");
    items.extend([1; 33]);
    items.extend(hex("808080800180 80".replace(' ', "").as_str()));
    let mut payload = vec![0xc0 + u8::try_from(items.len()).unwrap()];
    payload.extend(items);
    assert_malformed(EvmLegacy, &payload, "at most 32 bytes, this has 33");
}

#[test]
fn access_list_of_another_shape_is_refused() {
    let with_list = |list: &str| {
        let mut payload = Eip2930 {
            data: vec![],
            access_list: vec![],
            ..eip2930()
        }
        .unsigned();
        payload.truncate(payload.len() - 1);
        payload.extend(hex(list));
        // Under 56 bytes of items: type, header, items.
        payload[1] = 0xc0 + u8::try_from(payload.len() - 2).unwrap();
        payload
    };
    let address = format!("94{}", "aa".repeat(20));
    assert!(decode(EvmEip2930, &with_list(&format!("d7d6{address}c0"))).is_ok());
    assert_malformed(EvmEip2930, &with_list("80"), "`accessList` at byte 31: a list is wanted");
    assert_malformed(EvmEip2930, &with_list("c180"), "`accessList entry` at byte 32: a list is wanted");
    assert_malformed(
        EvmEip2930,
        &with_list("c3c28080"),
        "`accessList address` at byte 33: 20 bytes are wanted",
    );
    assert_malformed(
        EvmEip2930,
        &with_list(&format!("d6d5{address}")),
        "where `accessList storage keys` should start",
    );
    assert_malformed(
        EvmEip2930,
        &with_list(&format!("d8d7{address}c180")),
        "32 bytes are wanted, these are 0",
    );
    assert_malformed(
        EvmEip2930,
        &with_list(&format!("d8d7{address}c080")),
        "more than an address and its storage keys",
    );
}

#[test]
fn cut_short_and_trailing_bytes_are_refused() {
    let payload = eip1559().unsigned();
    assert_malformed(EvmEip1559, &payload[..payload.len() - 1], "is cut short");
    let mut longer = payload.clone();
    longer.push(0);
    assert_malformed(EvmEip1559, &longer, "1 more bytes follow");
}
