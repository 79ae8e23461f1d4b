#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
use super::*;
use serde_json::{Value, json};

/// EIP-155's example, as `eth_signTransaction` takes it.
fn eip_155() -> Value {
    json!({
        "from": "0x9d8A62f656a8d1615C1294fd71e9CFb3E4855A4F",
        "to": "0x3535353535353535353535353535353535353535",
        "value": "0xde0b6b3a7640000", "gas": "0x5208", "gasPrice": "0x4a817c800", "nonce": "0x9", "chainId": "0x1",
    })
}

/// The same with the fees of EIP-1559.
fn eip_1559() -> Value {
    let fees = json!({ "gasPrice": null, "maxFeePerGas": "0x4a817c800", "maxPriorityFeePerGas": "0x3b9aca00" });
    with(eip_155(), fees)
}

fn with(mut object: Value, fields: Value) -> Value {
    for (name, value) in fields.as_object().unwrap() {
        object[name] = value.clone();
    }
    object
}

fn without(mut object: Value, name: &str) -> Value {
    object.as_object_mut().unwrap().remove(name).unwrap();
    object
}

fn read_value(value: &Value) -> Result<Unsigned, Problem> {
    read(&serde_json::value::to_raw_value(value).unwrap(), 1)
}

fn problem(value: &Value) -> String {
    read_value(value).unwrap_err().0
}

#[test]
fn the_example_of_eip_155_is_encoded_as_it_says() {
    let unsigned = read_value(&eip_155()).unwrap();
    assert_eq!(unsigned.format, Format::EvmLegacy);
    assert_eq!(hex::encode(unsigned.from), "9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f");
    assert_eq!(
        hex::encode(unsigned.payload),
        "ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080"
    );
}

#[test]
fn without_a_type_the_fields_say_it_and_with_one_they_must_agree() {
    let hash = format!("0x01{}", "ab".repeat(31));
    let authorization = json!({
        "chainId": "0x1", "address": "0x3535353535353535353535353535353535353535",
        "nonce": "0x0", "yParity": "0x1", "r": "0x1", "s": "0x2",
    });
    let blobs = json!({ "blobVersionedHashes": [hash], "maxFeePerBlobGas": "0x1" });
    let each = [
        (0, Format::EvmLegacy, eip_155()),
        (1, Format::EvmEip2930, with(eip_155(), json!({ "accessList": [] }))),
        (2, Format::EvmEip1559, with(eip_1559(), json!({ "accessList": [] }))),
        (3, Format::EvmEip4844, with(eip_1559(), blobs)),
        (
            4,
            Format::EvmEip7702,
            with(eip_1559(), json!({ "authorizationList": [authorization] })),
        ),
    ];
    for (said, format, object) in each {
        let unsigned = read_value(&object).unwrap();
        assert_eq!(unsigned.format, format);
        // What was written is what its decoder reads.
        assert!(sigwarden_formats::decode(format, sigwarden_core::Scheme::Secp256k1Ecdsa, &unsigned.payload).is_ok());
        assert_eq!(
            read_value(&with(object.clone(), json!({ "type": format!("{said:#x}") }))).unwrap(),
            unsigned
        );
        for other in (0..=4).filter(|other| *other != said) {
            let refused = read_value(&with(object.clone(), json!({ "type": format!("{other:#x}") })));
            // A type 1 without an access list has the fields of a legacy transaction.
            assert!(refused.is_err() || (said, other) == (0, 1), "{said} as {other}");
        }
    }
}

#[test]
fn nothing_is_filled_in() {
    for name in ["from", "gas", "gasPrice", "nonce", "chainId"] {
        let problem = problem(&without(eip_155(), name));
        assert!(
            problem.starts_with(&format!("`{name}` is missing; the signer has no chain")),
            "{problem}"
        );
    }
    for name in ["maxFeePerGas", "maxPriorityFeePerGas"] {
        assert!(problem(&without(eip_1559(), name)).starts_with(&format!("`{name}` is missing")));
    }
    // A recipient that was forgotten.
    assert!(problem(&without(eip_155(), "to")).starts_with("`to` is missing, and so is `data`"));
    assert!(read_value(&with(without(eip_155(), "to"), json!({ "data": "0x60" }))).is_ok());
}

#[test]
fn fields_that_would_not_be_signed_are_refused_by_name() {
    let entry = |keys: Value| json!({ "accessList": [{ "address": "0x3535353535353535353535353535353535353535", "storageKeys": keys }] });
    for (fields, begins) in [
        (
            json!({ "gasLimit": "0x5208" }),
            "`gasLimit` is no field of a transaction; these are: type, chainId, from",
        ),
        (json!({ "hash": "0x00" }), "`hash` is no field of a transaction"),
        (
            json!({ "maxFeePerBlobGas": "0x1", "type": "0x0" }),
            "`maxFeePerBlobGas or blobVersionedHashes` is no field",
        ),
        (
            json!({ "maxFeePerGas": "0x1" }),
            "`gasPrice` is no field of a transaction of type 0x2",
        ),
        (json!({ "blobs": [] }), "`blobs` is part of a sidecar"),
        (json!({ "type": "0x5" }), "`type` is 5; types 0x0 to 0x4"),
        (json!({ "type": "0x7e" }), "`type` is 126"),
        (json!({ "chainId": "0x5" }), "`chainId` is 5; this endpoint signs for chain 1"),
        (json!({ "data": "0x01", "input": "0x02" }), "`data` and `input` are not the same"),
        (json!({ "nonce": 9 }), "`nonce` is no string"),
        (json!({ "nonce": "0x09" }), "`nonce` has leading zeros"),
        (json!({ "to": "0x35" }), "`to` has 1 bytes; 20 are right"),
        (entry(json!(null)), "`accessList[0].storageKeys` is missing"),
        (entry(json!(["0x01"])), "`accessList[0].storageKeys[0]` has 1 bytes; 32 are right"),
        (
            json!({ "authorizationList": [{ "v": "0x1b" }] }),
            "`authorizationList[0].chainId` is missing",
        ),
    ] {
        let problem = problem(&with(eip_155(), fields));
        assert!(problem.starts_with(begins), "{problem}");
    }
    let above = with(eip_1559(), json!({ "maxPriorityFeePerGas": "0x4a817c801" }));
    assert!(problem(&above).contains("above `maxFeePerGas`"));
}

#[test]
fn data_and_input_may_both_be_there_if_they_agree_and_null_is_absence() {
    let plain = read_value(&with(eip_155(), json!({ "data": "0x0102" }))).unwrap();
    let both = with(eip_155(), json!({ "data": "0x0102", "input": "0x0102" }));
    assert_eq!(read_value(&both).unwrap(), plain);
    // As op-service sends it: clients in Go write null for what is absent.
    let nulls = with(eip_155(), json!({ "input": "0x0102", "data": null, "maxFeePerGas": null }));
    assert_eq!(read_value(&nulls).unwrap(), plain);
}
