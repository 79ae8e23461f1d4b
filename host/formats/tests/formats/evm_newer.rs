//! Blob and set-code transactions and EIP-191 messages: vectors of others, and every refusal.

use crate::samples::{authorization, eip4844, eip7702, revocation};
use crate::{assert_malformed, assert_non_canonical, decode, digest_of, fact, hex};
use sigwarden_core::Format::{EvmEip191, EvmEip4844, EvmEip7702};
use sigwarden_formats::evm::{self, Authorization, Eip4844, Eip7702, U256, transaction_hash};

fn scalar(text: &str) -> [u8; 32] {
    hex(text).try_into().unwrap()
}

/// Of the private key `01` 32 times.
const AUTHORITY: &str = "0x1a642f0e3c3af545e7acbd38b07251b3990914f1";

/// A blob transaction of mainnet, as in alloy-consensus 2.5.0, `src/transaction/eip4844.rs`, `test_4844_variant_into_signed_correct_hash`.
#[test]
fn mainnet_blob_transaction() {
    let transaction = Eip4844 {
        chain_id: 1,
        nonce: 15_435,
        max_priority_fee_per_gas: U256::from(1_000_000_000),
        max_fee_per_gas: U256::from(10_571_233_596_u64),
        gas_limit: 8_000_000,
        to: hex("a8cb082a5a689e0d594d7da1e2d72a3d63adc1bd").try_into().unwrap(),
        value: U256::ZERO,
        data: hex(include_str!("vectors/mainnet-93fc9daa.data").trim()),
        access_list: vec![],
        max_fee_per_blob_gas: U256::from(1),
        blob_versioned_hashes: vec![
            scalar("01e5276d91ac1ddb3b1c2d61295211220036e9a04be24c00f76916cc2659d004"),
            scalar("0128eb58aff09fd3a7957cd80aa86186d5849569997cdfcfa23772811b706cc2"),
        ],
    };
    let decoded = decode(EvmEip4844, &transaction.unsigned()).unwrap();
    assert_eq!(fact(&decoded, "evm.blobs").unwrap(), "2");
    assert_eq!(fact(&decoded, "evm.selector").unwrap(), "0x701f58c5");
    let signature: [u8; 64] = hex(concat!(
        "6c173c3c8db3e3299f2f728d293b912c12e75243e3aa66911c2329b58434e2a4",
        "7dd4d1c228cedc5a414a668ab165d9e888e61e4c3b44cd7daf9cdcc4cec5d6b2"
    ))
    .try_into()
    .unwrap();
    let signed = evm::signed(&transaction.unsigned(), &signature, 0).unwrap();
    assert_eq!(
        hex::encode(transaction_hash(&signed)),
        "93fc9daaa0726c3292a2e939df60f7e773c6a6a726a61ce43f4a217c64d85e87"
    );
}

/// viem 2.57.20: `serializeTransaction` of the sample, and `signTransaction` with the private key `02` 32 times.
#[test]
fn viem_blob_transaction() {
    let payload = eip4844().unsigned();
    assert_eq!(
        hex::encode(&payload),
        "03f8e90105843b9aca008506fc23ac008252089435353535353535353535353535353535353535350a855544332211f872f85994aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaf842a00000000000000000000000000000000000000000000000000000000000000000a00101010101010101010101010101010101010101010101010101010101010101d694bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbc084b2d05e00f842a001abababababababababababababababababababababababababababababababa001cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd"
    );
    let decoded = decode(EvmEip4844, &payload).unwrap();
    assert_eq!(
        digest_of(&decoded),
        "7a52b03aaf0b27ea2f580a01d2cc9ceeb4358156e7fd3ec33cd3b16d1723ef2b"
    );
    assert_eq!(hex::encode(eip4844().signing_hash()), digest_of(&decoded));
    let signed = eip4844().signed(
        &scalar("274969df5e1cc05b88f42339a12d22edcabdc1ea151b14152e67adb9119b6c25"),
        &scalar("477e06901f11bf057a7672006d15dc2a65b6ad9de7552f132aab4a7955cb3bfe"),
        0,
    );
    assert_eq!(
        hex::encode(&signed),
        "03f9012c0105843b9aca008506fc23ac008252089435353535353535353535353535353535353535350a855544332211f872f85994aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaf842a00000000000000000000000000000000000000000000000000000000000000000a00101010101010101010101010101010101010101010101010101010101010101d694bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbc084b2d05e00f842a001abababababababababababababababababababababababababababababababa001cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd80a0274969df5e1cc05b88f42339a12d22edcabdc1ea151b14152e67adb9119b6c25a0477e06901f11bf057a7672006d15dc2a65b6ad9de7552f132aab4a7955cb3bfe"
    );
    assert_malformed(EvmEip4844, &signed, "signed already");
}

#[test]
fn a_blob_transaction_without_blobs_or_with_another_version_is_refused() {
    let with = |hashes: Vec<[u8; 32]>| {
        Eip4844 {
            blob_versioned_hashes: hashes,
            ..eip4844()
        }
        .unsigned()
    };
    assert_malformed(EvmEip4844, &with(vec![]), "is empty; a blob transaction has at least one blob");
    assert_malformed(
        EvmEip4844,
        &with(vec![[1; 32], [2; 32]]),
        "starts with 0x02; the only version is 0x01",
    );
    assert_malformed(
        EvmEip4844,
        &Eip4844 {
            max_priority_fee_per_gas: U256::MAX,
            ..eip4844()
        }
        .unsigned(),
        "above `maxFeePerGas`",
    );
    assert_malformed(
        EvmEip4844,
        &Eip4844 { chain_id: 0, ..eip4844() }.unsigned(),
        "binds the signature to no chain",
    );
    assert_malformed(
        EvmEip4844,
        &Eip4844 {
            nonce: u64::MAX,
            ..eip4844()
        }
        .unsigned(),
        "2^64-1",
    );
}

/// `0x03 || rlp([[chainId, ...], blobs, commitments, proofs])`: what goes over the network.
#[test]
fn the_network_form_of_a_blob_transaction_is_refused() {
    assert_malformed(EvmEip4844, &hex("03c5c101c0c0c0"), "without blobs, commitments and proofs");
}

/// The recipient is the seventh item; both types must have one.
#[test]
fn blob_and_set_code_transactions_create_no_contract() {
    let without_recipient = |payload: Vec<u8>| {
        let (address, at) = (
            hex("9435353535353535353535353535353535353535 35".replace(' ', "").as_str()),
            payload.len(),
        );
        let start = payload.windows(21).position(|window| window == address).unwrap();
        let mut shorter = payload;
        shorter.splice(start..start + 21, [0x80]);
        // The list's length is in one byte (0xf8) or two (0xf9).
        let length = at - 20;
        if shorter[1] == 0xf8 {
            shorter[2] = u8::try_from(length - 3).unwrap();
        } else {
            shorter[2..4].copy_from_slice(&u16::try_from(length - 4).unwrap().to_be_bytes());
        }
        shorter
    };
    assert_malformed(
        EvmEip4844,
        &without_recipient(eip4844().unsigned()),
        "20 bytes are wanted, these are 0",
    );
    assert_malformed(
        EvmEip7702,
        &without_recipient(eip7702().unsigned()),
        "20 bytes are wanted, these are 0",
    );
}

/// viem 2.57.20, as above.
#[test]
fn viem_set_code_transaction() {
    let payload = eip7702().unsigned();
    assert_eq!(
        hex::encode(&payload),
        "04f9015b0105843b9aca008506fc23ac00830186a09435353535353535353535353535353535353535350a855544332211f872f85994aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaf842a00000000000000000000000000000000000000000000000000000000000000000a00101010101010101010101010101010101010101010101010101010101010101d694bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbc0f8b8f85a0194cccccccccccccccccccccccccccccccccccccccc0780a057e7e7cc4073cccec4a3768b72cfbc976d87b26f4c93c4ab65e69609ea144865a07a265dde572f6264ec023aa723b7dd33006b397753bf4776dbb41f2f32574bdaf85a809400000000000000000000000000000000000000000801a0dfc0546104cb89b4c12be9ab06a5ee5bb412be5e884e2c3e0108394af585cfb3a06b3bfb95e874fa6735e849531060c87fde5170700db70a41c6dc58a644345747"
    );
    let decoded = decode(EvmEip7702, &payload).unwrap();
    assert_eq!(
        digest_of(&decoded),
        "73877b96667afe5ab8a9dcb9c3d8ef825610b859ba3db2f8db6943c2a8a3469c"
    );
    assert_eq!(
        fact(&decoded, "evm.authorizations.authorities").unwrap(),
        format!("[{AUTHORITY}, {AUTHORITY}]")
    );
    let signed = eip7702().signed(
        &scalar("dde9efc7d1c2d8eb93c61764b06aa762760ab1209667aeda63fc642e1b3822a2"),
        &scalar("251faf80ae666b221df58316d2a8cc3e44910ae3290ca155bf5f70c3abdd0591"),
        1,
    );
    assert_eq!(
        hex::encode(&signed),
        "04f9019e0105843b9aca008506fc23ac00830186a09435353535353535353535353535353535353535350a855544332211f872f85994aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaf842a00000000000000000000000000000000000000000000000000000000000000000a00101010101010101010101010101010101010101010101010101010101010101d694bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbc0f8b8f85a0194cccccccccccccccccccccccccccccccccccccccc0780a057e7e7cc4073cccec4a3768b72cfbc976d87b26f4c93c4ab65e69609ea144865a07a265dde572f6264ec023aa723b7dd33006b397753bf4776dbb41f2f32574bdaf85a809400000000000000000000000000000000000000000801a0dfc0546104cb89b4c12be9ab06a5ee5bb412be5e884e2c3e0108394af585cfb3a06b3bfb95e874fa6735e849531060c87fde5170700db70a41c6dc58a64434574701a0dde9efc7d1c2d8eb93c61764b06aa762760ab1209667aeda63fc642e1b3822a2a0251faf80ae666b221df58316d2a8cc3e44910ae3290ca155bf5f70c3abdd0591"
    );
    assert_malformed(EvmEip7702, &signed, "signed already");
}

#[test]
fn an_authorization_whose_signature_does_not_count_has_no_authority() {
    assert_eq!(
        authorization().authority().map(hex::encode).as_deref(),
        AUTHORITY.strip_prefix("0x")
    );
    assert_eq!(revocation().authority(), authorization().authority());
    // Of another nonce, somebody else's.
    let other = Authorization {
        nonce: 9,
        ..authorization()
    };
    assert_ne!(other.authority(), authorization().authority());
    // alloy-eip7702 0.6.3, `src/auth_list.rs`, `test_encode_decode_signed_auth`: S is in the upper half.
    let high = Authorization {
        address: scalar_address(6),
        nonce: 1,
        y_parity: 0,
        r: U256::from_be_bytes(scalar("48b55bfa915ac795c431978d8a6a992b628d557da5ff759b307d495a36649353")),
        s: U256::from_be_bytes(scalar("efffd310ac743f371de3b9f7f9cb56c0b28ad43601b4ab949f53faa07bd2c804")),
        ..authorization()
    };
    assert_eq!(high.authority(), None);
    let zero = Authorization {
        r: U256::ZERO,
        s: U256::ZERO,
        ..authorization()
    };
    assert_eq!(zero.authority(), None);
    let payload = Eip7702 {
        authorization_list: vec![high, authorization()],
        ..eip7702()
    }
    .unsigned();
    let decoded = decode(EvmEip7702, &payload).unwrap();
    assert_eq!(
        fact(&decoded, "evm.authorizations.authorities").unwrap(),
        format!("[0x, {AUTHORITY}]")
    );
    assert_eq!(fact(&decoded, "evm.authorizations.chain-ids").unwrap(), "[1, 1]");
    assert_eq!(fact(&decoded, "evm.authorizations.nonces").unwrap(), "[1, 7]");
}

fn scalar_address(last: u8) -> [u8; 20] {
    let mut address = [0; 20];
    address[19] = last;
    address
}

#[test]
fn authorizations_that_no_chain_takes_are_refused() {
    let with = |list: Vec<Authorization>| {
        Eip7702 {
            authorization_list: list,
            ..eip7702()
        }
        .unsigned()
    };
    assert_malformed(EvmEip7702, &with(vec![]), "has at least one authorization");
    assert!(Eip7702::parse(&with(vec![authorization(); 671])).is_ok());
    assert_malformed(EvmEip7702, &with(vec![authorization(); 672]), "more than 671 authorizations");
    let parity = Authorization {
        y_parity: 2,
        ..authorization()
    };
    assert_malformed(EvmEip7702, &with(vec![authorization(), parity]), "is 2; it is 0 or 1");
    let nonce = Authorization {
        nonce: u64::MAX,
        ..authorization()
    };
    assert_malformed(EvmEip7702, &with(vec![nonce]), "2^64-1");
}

#[test]
fn an_authorization_has_six_items() {
    // Every length here takes one byte of header.
    let list = |items: String| format!("{:02x}{items}", 0xc0 + items.len() / 2);
    let with = |authorization: String| {
        let items = format!(
            "018001018252089{}8080c0{}",
            "400".to_owned() + &"00".repeat(19),
            list(list(authorization))
        );
        hex(&format!("04f8{:02x}{items}", items.len() / 2))
    };
    let authorization = |tail: &str| format!("0194{}07{tail}", "cc".repeat(20));
    assert!(decode(EvmEip7702, &with(authorization("800102"))).is_ok());
    assert_malformed(
        EvmEip7702,
        &with(authorization("80010203")),
        "has more than chain_id, address, nonce, y_parity, r, s",
    );
    assert_malformed(EvmEip7702, &with(authorization("8001")), "where `authorization s` should start");
    assert_malformed(EvmEip7702, &with(authorization("c00102")), "a string is wanted, this is a list");
    assert_non_canonical(EvmEip7702, &with(authorization("000102")), "no leading zero");
}

#[test]
fn cut_short_and_non_canonical_forms_are_refused() {
    for (format, payload) in [(EvmEip4844, eip4844().unsigned()), (EvmEip7702, eip7702().unsigned())] {
        assert_malformed(format, &payload[..payload.len() - 1], "is cut short");
        let mut longer = payload.clone();
        longer.push(0);
        assert_malformed(format, &longer, "1 more bytes follow");
        let mut zeros = payload;
        // `chainId` 1 as 0.
        let at = if zeros[1] == 0xf8 { 3 } else { 4 };
        zeros[at] = 0;
        assert_non_canonical(format, &zeros, "no leading zero");
    }
    assert_malformed(EvmEip4844, &eip7702().unsigned(), "look like `evm/eip-7702`");
    assert_malformed(EvmEip7702, &eip4844().unsigned(), "look like `evm/eip-4844`");
}

#[test]
fn a_signature_is_put_in_only_with_a_right_recovery_id() {
    assert_eq!(
        evm::signed(&eip7702().unsigned(), &[7; 64], 2).unwrap_err().to_string(),
        "the recovery id is 2; a transaction carries 0 or 1"
    );
    assert!(evm::signed(&eip7702().signed(&[1; 32], &[2; 32], 0), &[7; 64], 1).is_err());
    assert!(evm::signed(b"", &[7; 64], 1).is_err());
}

/// viem 2.57.20, `hashMessage`; the first is in the documentation of both viem and ethers.
#[test]
fn messages_are_signed_behind_their_prefix() {
    let of = |message: &[u8]| digest_of(&decode(EvmEip191, message).unwrap());
    assert_eq!(
        of(b"hello world"),
        "d9eba16ed0ecae432b71fe008c98cc872bb4cc214d3220a36f365326cf807d68"
    );
    assert_eq!(
        of(&hex("deadbeef")),
        "d1c7f1a06a4f9a535077e50ad23244ce2c6ae443fcd412965226f3df5d28eaaa"
    );
    assert_eq!(of(b""), "5f35dce98ba4fba25530a026ed80b2cecdaa31091ba4958b99b52ea1d068adad");
}

#[test]
fn a_message_is_text_only_if_it_can_be_shown() {
    let text = |message: &[u8]| fact(&decode(EvmEip191, message).unwrap(), "message.text");
    assert_eq!(text("dobrý den\r\n\t".as_bytes()).unwrap(), format!("{:?}", "dobrý den\r\n\t"));
    assert_eq!(text(b"").unwrap(), "\"\"");
    assert_eq!(text(b"bell\x07"), None);
    assert_eq!(text("right\u{9c}to".as_bytes()), None);
    assert_eq!(text(&[0xff, 0xfe]), None);
}
