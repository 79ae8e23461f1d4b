//! Typed data: the digests of others, the one form of the payload, and every refusal.

use crate::samples::{MAIL, ORDER, typed_data};
use crate::{assert_malformed, assert_non_canonical, decode, digest_of, fact};
use serde_json::{Value, json};
use sigwarden_core::Format::EvmEip712;
use sigwarden_core::fact::PayloadError;
use sigwarden_formats::evm::typed_data::{self, TypedData};

fn digest(json: &Value) -> String {
    let payload = typed_data::canonical(json.to_string().as_bytes()).unwrap();
    digest_of(&decode(EvmEip712, &payload).unwrap())
}

pub fn refusal(json: &str) -> String {
    match typed_data::canonical(json.as_bytes()) {
        Err(PayloadError::Malformed(message)) => message,
        other => panic!("{json}: {other:?}"),
    }
}

/// EIP-712, "Example.js": the digests of the type, the domain, the message and the whole.
#[test]
fn the_example_of_eip_712() {
    let decoded = decode(EvmEip712, &typed_data(MAIL)).unwrap();
    assert_eq!(
        fact(&decoded, "typed-data.encode-type").unwrap(),
        "\"Mail(Person from,Person to,string contents)Person(string name,address wallet)\""
    );
    for (name, hash) in [
        ("type-hash", "a0cedeb2dc280ba39b857546d74f5549c3a1d7bdc2dd96bf881f76108e23dac2"),
        ("message-hash", "c52c0ee5d84264471806290a3f2c4cecfc5490626bf912d01f240d7a274b371e"),
        (
            "domain-separator",
            "f2cee375fa42b42143804025fc449deafd50cc031ca257e0b194a650a912090f",
        ),
    ] {
        assert_eq!(
            fact(&decoded, &format!("typed-data.{name}")).unwrap(),
            format!("0x{hash}"),
            "{name}"
        );
    }
    assert_eq!(
        digest_of(&decoded),
        "be609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2"
    );
}

/// The published vectors of ethers (npm `@ethersproject/testcases` 5.8.0, `testcases/eip712.json.gz`): the example, and every 16th of the 1024
/// random ones. Types of every size, arrays of structs of arrays, domains with any of their fields.
#[test]
fn ethers_digests() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/vectors/ethers-eip712.json");
    let vectors: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(vectors.len() >= 65);
    for vector in &vectors {
        let kinds = [
            ("name", "string"),
            ("version", "string"),
            ("chainId", "uint256"),
            ("verifyingContract", "address"),
            ("salt", "bytes32"),
        ];
        let has = |name: &str| vector["domain"].get(name).is_some();
        let domain: Vec<_> = kinds
            .iter()
            .filter(|(name, _)| has(name))
            .map(|(name, kind)| json!({"name": name, "type": kind}))
            .collect();
        let mut types = vector["types"].clone();
        types["EIP712Domain"] = domain.into();
        let whole = json!({
            "types": types, "primaryType": vector["primaryType"], "domain": vector["domain"], "message": vector["data"],
        });
        assert_eq!(
            format!("0x{}", digest(&whole)),
            vector["digest"].as_str().unwrap(),
            "{}",
            vector["name"]
        );
    }
}

/// ethers 6.17.0, `TypedDataEncoder.hash`, of the sample with every kind of type, and of eth-sig-util's example with arrays.
#[test]
fn arrays_and_signed_numbers() {
    let decoded = decode(EvmEip712, &typed_data(ORDER)).unwrap();
    assert_eq!(
        digest_of(&decoded),
        "9e6c56bcb33f42b82574a2945c13d0eb4811e4558e40a1930324c3c7658a5cb3"
    );
    assert_eq!(
        fact(&decoded, "typed-data.message").unwrap(),
        r#"["address offer[0].token=0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "uint256 offer[0].amount=5", "bool[2][] flags=[]", "int64 delta=-7", "bytes data=0x", "bytes4 tag=0x01020304", "string note=a \"b\"\n"]"#
    );
    let mut mail: Value = serde_json::from_str(MAIL).unwrap();
    mail["types"]["Person"] = json!([{"name": "name", "type": "string"}, {"name": "wallets", "type": "address[]"}]);
    mail["types"]["Mail"][1]["type"] = "Person[]".into();
    mail["message"]["from"] = json!({"name": "Cow", "wallets": [
        "0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826", "0xDeaDbeefdEAdbeefdEadbEEFdeadbeEFdEaDbeeF"
    ]});
    mail["message"]["to"] = json!([{"name": "Bob", "wallets": [
        "0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB", "0xB0BdaBea57B0BDABeA57b0bdABEA57b0BDabEa57",
        "0xB0B0b0b0b0b0B000000000000000000000000000"
    ]}]);
    assert_eq!(digest(&mail), "a85c2e2b118698e88db68a8105b794a8cc7cec074e89ef991cb4f5f533819cc2");
}

/// What ethers 6.17.0 sends (`TypedDataEncoder.getPayload`) for an EIP-2612 permit: hex for the chain, decimal strings in the message.
#[test]
fn what_a_wallet_library_sends() {
    let sent = r#"{"types":{"Permit":[{"name":"owner","type":"address"},{"name":"spender","type":"address"},{"name":"value","type":"uint256"},{"name":"nonce","type":"uint256"},{"name":"deadline","type":"uint256"}],"EIP712Domain":[{"name":"name","type":"string"},{"name":"version","type":"string"},{"name":"chainId","type":"uint256"},{"name":"verifyingContract","type":"address"}]},"domain":{"name":"USD Coin","version":"2","chainId":"0x1","verifyingContract":"0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"},"primaryType":"Permit","message":{"owner":"0x1a642f0e3c3af545e7acbd38b07251b3990914f1","spender":"0xcccccccccccccccccccccccccccccccccccccccc","value":"1000","nonce":"0","deadline":"1893456000"}}"#;
    assert_non_canonical(
        EvmEip712,
        sent.as_bytes(),
        "byte 2: a canonical encoder of this typed data writes 0x64",
    );
    let payload = typed_data::canonical(sent.as_bytes()).unwrap();
    let decoded = decode(EvmEip712, &payload).unwrap();
    assert_eq!(
        digest_of(&decoded),
        "212c7d990d428816bc381e394d997dc26ed94b42417b228d91d6a2cc4256822f"
    );
    assert_eq!(fact(&decoded, "typed-data.domain.chain-id").unwrap(), "1");
    assert_eq!(fact(&decoded, "typed-data.primary-type").unwrap(), "\"Permit\"");
}

#[test]
fn every_form_of_a_value_comes_to_the_same_payload() {
    let whole = |kind: &str, value: &str| {
        format!(
            r#"{{"domain":{{}},"message":{{"x":{value}}},"primaryType":"A","types":{{"A":[{{"name":"x","type":"{kind}"}}],"EIP712Domain":[]}}}}"#
        )
    };
    for (kind, canonical, others) in [
        ("uint8", "\"255\"", vec!["255", "\"0xff\"", "\"0xFF\"", "\"0255\""]),
        ("uint256", "\"0\"", vec!["0", "\"0x0\"", "\"00\"", "\"-0\""]),
        ("int8", "\"-128\"", vec!["-128", "\"-0128\""]),
        ("int16", "\"127\"", vec!["127", "\"0x7f\""]),
        ("uint64", "\"9007199254740991\"", vec!["9007199254740991"]),
        ("bytes2", "\"0xabcd\"", vec!["\"0xABCD\""]),
        ("bytes", "\"0x\"", vec![]),
        ("bool[1]", "[true]", vec!["[ true ]"]),
        ("string", "\"\\u001f\u{7f}é\\n\"", vec!["\"\\u001F\\u007f\\u00e9\\u000a\""]),
    ] {
        let payload = whole(kind, canonical).into_bytes();
        assert!(decode(EvmEip712, &payload).is_ok(), "{kind} {canonical}");
        for other in others {
            let other = whole(kind, other);
            assert_eq!(typed_data::canonical(other.as_bytes()).unwrap(), payload, "{other}");
            assert!(
                matches!(decode(EvmEip712, other.as_bytes()), Err(PayloadError::NonCanonical(_))),
                "{other}"
            );
        }
    }
    let wrong = [
        ("uint8", "256", "`message.x`: `256` is no uint8"),
        ("uint8", "-1", "`-1` is no uint8"),
        ("uint8", "\"\"", "`` is no uint8"),
        ("uint8", "\"0x\"", "`0x` is no uint8"),
        ("uint8", "\" 1\"", "no uint8"),
        ("uint8", "\"+1\"", "no uint8"),
        ("uint8", "\"1_0\"", "no uint8"),
        ("uint8", "null", "null is no uint8"),
        ("uint8", "true", "`true` is no uint8"),
        ("uint8", "[1]", "a list is no uint8"),
        ("uint8", "1.0", "has a fraction"),
        ("uint8", "1e0", "has a fraction"),
        ("uint256", "9007199254740992", "above 2^53-1"),
        ("uint256", "123456789012345678901234567890", "too large; write an integer"),
        ("int256", "-9007199254740992", "below -(2^53-1)"),
        ("int8", "128", "no int8"),
        ("int8", "-129", "no int8"),
        ("int8", "\"-0x1\"", "no int8"),
        ("bytes2", "\"0xab\"", "no bytes2"),
        ("bytes2", "\"abcd\"", "no bytes2"),
        ("bytes", "\"0xabc\"", "no bytes"),
        ("bytes", "\"0xzz\"", "no bytes"),
        ("bytes", "\"\"", "no bytes"),
        ("address", "\"0x00\"", "no address"),
        ("bool", "1", "no bool"),
        ("bool", "\"true\"", "no bool"),
        ("string", "1", "no string"),
        ("bool[2]", "[true]", "it has 1 entries, its type 2"),
        ("bool[]", "{}", "an object is no list"),
        ("bool[]", "[true,1]", "`message.x[1]`: `1` is no bool"),
        ("string", "\"\\ud800\"", "hex escape at line 1"),
    ];
    for (kind, value, says) in wrong {
        let message = refusal(&whole(kind, value));
        assert!(message.contains(says), "{kind} {value}: `{message}` does not say `{says}`");
    }
    // 2^256-1 fits, 2^256 does not.
    let most = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
    assert!(typed_data::canonical(whole("uint256", &format!("\"{most}\"")).as_bytes()).is_ok());
    assert!(refusal(&whole("uint256", &format!("\"{}6\"", &most[..77]))).contains("no uint256"));
    assert!(refusal(&whole("int256", &format!("\"{most}\""))).contains("no int256"));
}

/// The sample with one text in place of another.
fn changed(from: &str, to: &str) -> String {
    assert!(MAIL.contains(from), "{from}");
    MAIL.replacen(from, to, 1)
}

#[test]
fn what_is_unknown_missing_or_twice_is_refused_by_name_and_place() {
    for (from, to, says) in [
        ("\"primaryType\"", "\"extra\": 1, \"primaryType\"", "typed data has no `extra`"),
        ("\"primaryType\"", "\"primary\"", "typed data has no `primary`"),
        (
            "\"contents\": \"Hello, Bob!\"",
            "\"contents\": \"a\", \"contents\": \"b\"",
            "the key `contents` is there twice at line",
        ),
        (
            "\"contents\": \"Hello, Bob!\"",
            "\"contents\": \"a\", \"more\": 1",
            "`message`: `Mail` has no field `more`",
        ),
        (
            "\"contents\": \"Hello, Bob!\"",
            "\"content\": \"a\"",
            "`message`: `Mail` has no field `content`",
        ),
        (
            ",\n    \"contents\": \"Hello, Bob!\"",
            "",
            "`message`: the field `contents` of `Mail` is missing",
        ),
        (
            "\"wallet\": \"0xCD2a",
            "\"purse\": \"0xCD2a",
            "`message.from`: `Person` has no field `purse`",
        ),
        ("\"from\": {", "\"from\": null, \"from2\": {", "`Mail` has no field `from2`"),
        (
            "{ \"name\": \"contents\", \"type\": \"string\" }",
            "{ \"name\": \"contents\", \"type\": \"text\" }",
            "`types.Mail[2]`: `types` has no `text`",
        ),
        (
            "{ \"name\": \"contents\", \"type\": \"string\" }",
            "{ \"name\": \"contents\", \"type\": \"uint\" }",
            "short for `uint256`",
        ),
        (
            "{ \"name\": \"contents\", \"type\": \"string\" }",
            "{ \"name\": \"contents\", \"type\": \"uint7\" }",
            "integers have 8 to 256 bits",
        ),
        (
            "{ \"name\": \"contents\", \"type\": \"string\" }",
            "{ \"name\": \"contents\", \"type\": \"bytes33\" }",
            "`bytes1` to `bytes32` are",
        ),
        (
            "{ \"name\": \"contents\", \"type\": \"string\" }",
            "{ \"name\": \"contents\", \"type\": \"string[0]\" }",
            "arrays are written",
        ),
        (
            "{ \"name\": \"contents\", \"type\": \"string\" }",
            "{ \"name\": \"contents\", \"type\": \"string[\" }",
            "arrays are written",
        ),
        (
            "{ \"name\": \"contents\", \"type\": \"string\" }",
            "{ \"name\": \"from\", \"type\": \"string\" }",
            "the field `from` is there twice",
        ),
        (
            "{ \"name\": \"contents\", \"type\": \"string\" }",
            "{ \"name\": \"a,b\", \"type\": \"string\" }",
            "no name of a field",
        ),
        (
            "{ \"name\": \"contents\", \"type\": \"string\" }",
            "{ \"name\": \"c\", \"type\": \"string\", \"x\": 1 }",
            "`types.Mail[2]` has no `x`",
        ),
        (
            "{ \"name\": \"contents\", \"type\": \"string\" }",
            "{ \"name\": \"contents\" }",
            "`types.Mail[2]` lacks `type`",
        ),
        (
            "{ \"name\": \"contents\", \"type\": \"string\" }",
            "{ \"name\": \"contents\", \"type\": \"EIP712Domain\" }",
            "which is the domain's alone",
        ),
        ("\"Person\": [", "\"uint256\": [", "being a type of Solidity"),
        ("\"Person\": [", "\"Per son\": [", "no name of a struct"),
        ("\"EIP712Domain\": [", "\"Domain\": [", "lacks `EIP712Domain`"),
        (
            "\"chainId\", \"type\": \"uint256\"",
            "\"chainId\", \"type\": \"uint32\"",
            "`chainId` is a uint32; it is a uint256",
        ),
        (
            "\"chainId\", \"type\": \"uint256\"",
            "\"chain\", \"type\": \"uint256\"",
            "a domain has no `chain`",
        ),
        (
            "\"chainId\": 1",
            "\"chainId\": 1, \"salt\": \"0x\"",
            "`domain`: `EIP712Domain` has no field `salt`",
        ),
        (
            "\"primaryType\": \"Mail\"",
            "\"primaryType\": \"EIP712Domain\"",
            "no message would be signed",
        ),
        (
            "\"primaryType\": \"Mail\"",
            "\"primaryType\": \"Letter\"",
            "`Letter`, which `types` does not have",
        ),
        ("\"primaryType\": \"Mail\"", "\"primaryType\": 7", "`primaryType` is a number"),
    ] {
        let message = refusal(&changed(from, to));
        assert!(message.contains(says), "{to}: `{message}` does not say `{says}`");
    }
    assert!(refusal("[]").contains("typed data is a list; it is an object"));
    assert!(refusal("").contains("EOF"));
    assert!(refusal(&format!("{MAIL} x")).contains("trailing characters"));
    assert_malformed(EvmEip712, b"\xff", "this is no typed data");
}

#[test]
fn types_that_nothing_uses_are_not_part_of_the_payload() {
    let payload = String::from_utf8(typed_data(ORDER)).unwrap();
    assert!(ORDER.contains("Unused") && !payload.contains("Unused"));
    let with = payload.replace("\"types\":{", "\"types\":{\"A\":[{\"name\":\"x\",\"type\":\"bool\"}],");
    assert_eq!(TypedData::from_json(with.as_bytes()), TypedData::from_json(payload.as_bytes()));
    assert_non_canonical(EvmEip712, with.as_bytes(), "of this typed data");
}

#[test]
fn a_struct_s_name_may_have_a_colon() {
    let json = changed("\"primaryType\": \"Mail\"", "\"primaryType\": \"Post:Mail\"").replace("\"Mail\": [", "\"Post:Mail\": [");
    let decoded = decode(EvmEip712, &typed_data(&json)).unwrap();
    assert!(
        fact(&decoded, "typed-data.encode-type")
            .unwrap()
            .starts_with("\"Post:Mail(Person from,")
    );
}

/// ethers and eth-account hash a domain's fields in EIP-712's order, viem and eth-sig-util in the order given: in another order these are two
/// hashes of one domain.
#[test]
fn a_domain_in_another_order_is_refused() {
    let fields = [
        ("name", "string", "\"Mail\""),
        ("version", "string", "\"1\""),
        ("chainId", "uint256", "1"),
        ("verifyingContract", "address", "\"0xcccccccccccccccccccccccccccccccccccccccc\""),
        ("salt", "bytes32", &format!("\"0x{}\"", "00".repeat(32))),
    ];
    let whole = |order: &[usize]| {
        let kinds = order
            .iter()
            .map(|at| format!(r#"{{"name":"{}","type":"{}"}}"#, fields[*at].0, fields[*at].1));
        let values = order.iter().map(|at| format!(r#""{}":{}"#, fields[*at].0, fields[*at].2));
        let (kinds, values) = (kinds.collect::<Vec<_>>().join(","), values.collect::<Vec<_>>().join(","));
        format!(r#"{{"types":{{"EIP712Domain":[{kinds}],"A":[]}},"primaryType":"A","domain":{{{values}}},"message":{{}}}}"#)
    };
    for order in [&[][..], &[4], &[0, 2], &[1, 3, 4], &[0, 1, 2, 3, 4]] {
        assert!(typed_data::canonical(whole(order).as_bytes()).is_ok(), "{order:?}");
    }
    for order in [&[2, 0][..], &[4, 3], &[0, 1, 3, 2], &[1, 0, 2, 3, 4]] {
        assert!(refusal(&whole(order)).contains("the order is "), "{order:?}");
    }
    assert_eq!(
        refusal(&whole(&[3, 2, 0])),
        "`types.EIP712Domain` lists `verifyingContract`, `chainId`, `name`; the order is `name`, `chainId`, `verifyingContract` (EIP-712, \"Definition of domainSeparator\")"
    );
}
