//! What expressions mean.

use super::*;

#[test]
fn operators_are_those_of_cel() {
    let transfer = testing::evm_transfer().roles(&[Role::Account, Role::Operational]);
    for (expression, expected) in [
        ("true", true),
        ("!true", false),
        ("!!true", true),
        ("true && false || true", true),
        ("true || false && false", true),
        ("(true || false) && false", false),
        ("1 + 2 * 3 == 7", true),
        ("(1 + 2) * 3 == 9", true),
        ("10 - 3 - 2 == 5", true),
        ("7 / 2 == 3 && 7 % 2 == 1", true),
        ("0x10 == 16u", true),
        ("1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3", true),
        ("1 != 2", true),
        ("true == false", false),
        ("1 < 2 == true", true),
        ("\"a\" == 'a'", true),
        ("r\"\\n\" == \"\\\\n\"", true),
        ("\"\\x41\\u0042\\103\" == \"ABC\"", true),
        ("b\"\\xff\" == hex(\"0xff\")", true),
        ("b\"ü\" == hex(\"c3bc\")", true),
        ("true ? 1 == 1 : 1 == 2", true),
        ("(false ? 1 : 2) == 2", true),
        ("(1 == 1 ? \"a\" : \"b\") == \"a\"", true),
        ("false ? true : false ? false : true", true),
        ("2 in [1, 2, 3]", true),
        ("\"d\" in [\"a\", \"b\"]", false),
        ("size(\"häh\") == 3", true),
        ("b\"häh\".size() == 4", true),
        ("[1, 2].size() == 2", true),
        (
            "\"abc\".startsWith(\"ab\") && \"abc\".endsWith(\"bc\") && \"abc\".contains(\"b\")",
            true,
        ),
        ("\"abc\".contains(\"\") && !\"abc\".contains(\"d\")", true),
        ("hex(\"0102\").slice(1, 2) == b\"\\x02\"", true),
        ("uint(hex(\"0100\")) == 256 && uint(b\"\") == 0", true),
        ("[1, 2, 3].all(n, n < 4) && ![1, 2, 3].exists(n, n > 3)", true),
        ("[1, 2].all(n, [2, 3].exists(m, m == n + 1))", true),
        ("timestamp(\"2023-11-14T22:13:20Z\") == request.now", true),
        ("duration(\"1h\") == 3600000", true),
        ("// a comment\n true // and another", true),
        (
            "115792089237316195423570985008687907853269984665640564039457584007913129639935 > evm.value",
            true,
        ),
        ("\"operational\" in request.key.roles && size(request.key.roles) == 2", true),
        ("request.key.roles.all(role, role in [\"account\", \"operational\"])", true),
    ] {
        assert_eq!(holds(expression, &transfer), Ok(expected), "{expression}");
    }
}

#[test]
fn every_field_of_a_request_can_be_read() {
    let transfer = testing::evm_transfer();
    for expression in [
        "request.id == \"test-1\"",
        "request.operation == \"sign\"",
        "request.caller == \"alice\"",
        "request.network == \"devnet\"",
        "request.format == \"evm/eip-1559\"",
        "request.format_version == 1",
        "request.payload == b\"\\x02\\x00\"",
        "request.now == 1700000000000",
        "request.key.name == \"test.key\"",
        "request.key.version == 1",
        "request.key.roles.exists(r, r == \"account\")",
        "request.key.scheme == \"secp256k1-ecdsa\"",
        "request.key.public_key.size() == 33",
        "request.key.created == request.now",
        "request.key.uses == 0",
        "request.key.state == \"active\"",
    ] {
        assert_eq!(holds(expression, &transfer), Ok(true), "{expression}");
    }
}

#[test]
fn every_fact_of_every_format_can_be_read_and_is_in_the_manifest() {
    let mut all: Vec<&str> = Vec::new();
    for format in FORMATS {
        for fact in facts_of(format) {
            let path = written(fact.name);
            let expression = match fact.kind {
                FactKind::Text => format!("{path} != \"\""),
                FactKind::Bytes { .. } => format!("size({path}) >= 1"),
                FactKind::Boolean => format!("{path} || !{path}"),
                FactKind::Unsigned | FactKind::Unsigned256 => format!("{path} >= 1"),
                FactKind::BytesList { .. } => format!("{path}.all(entry, size(entry) == 20)"),
                FactKind::TextList => format!("{path}.all(entry, entry != \"\")"),
                FactKind::UnsignedList | FactKind::Unsigned256List => format!("{path}.all(entry, entry >= 1)"),
            };
            let compiled = Program::compile(&expression, &formats(format), &sets(), &mut Facts::default());
            assert!(compiled.is_ok(), "{format}: {expression}");
            all.push(fact.name);
        }
    }
    all.sort_unstable();
    all.dedup();
    let mut manifest = FACTS.to_vec();
    manifest.sort_unstable();
    assert_eq!(manifest, all);
}

#[test]
fn facts_are_read_as_what_they_are() {
    let friend = Scalar::Bytes(vec![0x11; 20]);
    let transfer = testing::evm_transfer().list("evm.access-list.addresses", vec![friend]);
    for (expression, expected) in [
        ("evm.chain_id == 1 && evm.value == 1000000000000000000 && !evm.create", true),
        ("evm.gas_limit * evm.max_fee_per_gas <= 630000000000000", true),
        ("evm.to == address(\"0x1111111111111111111111111111111111111111\")", true),
        (
            "evm.to in [address(\"0x2222222222222222222222222222222222222222\"), b\"\\x11\"]",
            false,
        ),
        ("evm.to in sets.friends", true),
        ("evm.to in evm.access_list.addresses", true),
        ("evm.access_list.addresses.all(a, a in sets.friends)", true),
        ("has(evm.to) && !has(evm.selector)", true),
        ("size(evm.data) == 0", true),
    ] {
        assert_eq!(holds(expression, &transfer), Ok(expected), "{expression}");
    }
    let token = Erc20::Transfer {
        to: Address([7; 20]),
        amount: U256::from(250u64),
    }
    .call_data();
    let call = testing::evm_transfer().bytes("evm.data", &token).bytes("evm.selector", &token[..4]);
    let amount = "evm.selector == hex(\"0xa9059cbb\") && size(evm.data) == 68 && uint(evm.data.slice(36, 68)) <= 250";
    assert_eq!(holds(amount, &call), Ok(true));
    let vote = testing::cometbft_vote("precommit", 9, 1);
    assert_eq!(
        holds("cometbft.chain_id.startsWith(\"test-\") && cometbft.step == \"precommit\"", &vote),
        Ok(true)
    );
}

#[test]
fn what_cannot_be_computed_denies_unless_something_else_decides() {
    let transfer = testing::evm_transfer();
    for (expression, reason) in [
        ("0 - evm.value == 0", "a number is below 0 or over 2^256-1 at character 3"),
        ("evm.value / evm.nonce == 1", "a number is divided by 0 at character 11"),
        ("evm.value % 0 == 1", "divided by 0"),
        (
            "evm.selector == b\"1234\"",
            "the request has no `evm.selector`; `has(evm.selector)` asks for it",
        ),
        (
            "evm.data.slice(0, 4) == b\"1234\"",
            "the bytes are too few or too many at character 10",
        ),
        ("uint(request.payload.slice(0, evm.chain_id * 3)) == 1", "the bytes are too few"),
        (
            "uint(request.key.public_key) == 1",
            "the bytes are too few or too many at character 1",
        ),
        ("true && 1 / evm.nonce == 1", "divided by 0"),
        ("false || 1 / evm.nonce == 1", "divided by 0"),
        ("[0, 1].all(n, 1 / n == 1)", "divided by 0"),
    ] {
        let found = holds(expression, &transfer).unwrap_err();
        assert!(found.contains(reason), "{expression}: {found}");
    }
    // CEL's && and || are the same both ways round.
    for (expression, expected) in [
        ("1 / evm.nonce == 1 || true", true),
        ("1 / evm.nonce == 1 && false", false),
        ("false && 1 / evm.nonce == 1", false),
        ("has(evm.selector) && evm.selector == b\"1234\"", false),
        ("!has(evm.selector) || evm.selector == b\"1234\"", true),
        ("evm.nonce == 0 ? true : 1 / evm.nonce == 1", true),
        ("[0, 1].exists(n, 1 / n == 1)", true),
    ] {
        assert_eq!(holds(expression, &transfer), Ok(expected), "{expression}");
    }
    let wrong = testing::evm_transfer().text("evm.value", "1");
    assert!(
        holds("evm.value == 1", &wrong)
            .unwrap_err()
            .contains("another type than `wit/facts.md` says")
    );
    let list = testing::evm_transfer().list("evm.access-list.addresses", vec![Scalar::Unsigned(1)]);
    assert!(
        holds("evm.access_list.addresses.all(a, true)", &list)
            .unwrap_err()
            .contains("another type")
    );
}
