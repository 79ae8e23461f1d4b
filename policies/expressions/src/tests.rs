#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use super::*;
use sigwarden_guest::testing::{self, RequestBuilder, Trial};
use sigwarden_guest::{Erc20, FactKind, Network, Role, Scalar, facts_of};

const EXAMPLE: &str = include_str!("../fixtures/config.json");

/// A configuration of one rule that requires an expression.
fn requires(formats: &str, expression: &str) -> String {
    let rule = serde_json::json!({"name": "r", "formats": [formats], "require": expression});
    serde_json::json!({"rules": [rule], "sets": {"friends": ["0x1111111111111111111111111111111111111111"]}}).to_string()
}

/// Whether an expression holds, or the code of why nobody can say.
fn holds(expression: &str, request: &RequestBuilder) -> Result<bool, String> {
    let request = request.clone().build();
    let mut trial =
        Trial::<Expressions>::new(&requires(&request.format, expression)).unwrap_or_else(|problems| panic!("{expression}: {problems:?}"));
    match trial.evaluate(&request) {
        Ok(_) => Ok(true),
        Err(denied) if denied.codes() == ["required"] => Ok(false),
        Err(denied) => Err(denied.denials()[0].message.clone()),
    }
}

/// What is said of an expression that cannot be compiled.
fn refused(formats: &str, expression: &str) -> String {
    let problems = Trial::<Expressions>::new(&requires(formats, expression)).err().unwrap_or_default();
    let [problem] = problems.as_slice() else {
        panic!("`{expression}` gave {problems:?}");
    };
    assert_eq!(problem.path, "rules[0].require");
    problem.message.clone()
}

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
            let path = names::written(fact.name);
            let expression = match fact.kind {
                FactKind::Text => format!("{path} != \"\""),
                FactKind::Bytes { .. } => format!("size({path}) >= 0"),
                FactKind::Boolean => format!("{path} || !{path}"),
                FactKind::Unsigned | FactKind::Unsigned256 => format!("{path} >= 0"),
                FactKind::BytesList { .. } => format!("{path}.all(entry, size(entry) == 20)"),
            };
            assert!(
                Trial::<Expressions>::new(&requires(format, &expression)).is_ok(),
                "{format}: {expression}"
            );
            all.push(fact.name);
        }
    }
    all.sort_unstable();
    all.dedup();
    let mut manifest = names::FACTS.to_vec();
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
        assert!(
            found.starts_with("rule `r` cannot be judged") && found.contains(reason),
            "{expression}: {found}"
        );
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

#[test]
fn a_wrong_expression_is_refused_at_its_character() {
    for (expression, message) in [
        (
            "evm.valeu < 5",
            "character 1, `evm.valeu < 5`: there is no `evm.valeu`; the nearest is `evm.value`",
        ),
        (
            "true && evm.chain-id == 1",
            "character 9, `evm.chain-id == 1`: there is no `evm.chain`; `-` is minus here, so that the fact is written `evm.chain_id`",
        ),
        (
            "amount < 5",
            "character 1, `amount < 5`: there is no `amount`; facts are written like",
        ),
        ("request.key.rolse == 1", "the nearest is `request.key.roles`"),
        (
            "cometbft.height > 5",
            "`cometbft.height` is a fact of `cometbft/vote`, `cometbft/proposal` or `cometbft/vote-extension`, and this rule is for `evm/legacy`, `evm/eip-2930` or `evm/eip-1559`",
        ),
        (
            "evm.value == \"5\"",
            "character 11, `== \"5\"`: this compares a number with text, which are never equal",
        ),
        ("evm.value < \"5\"", "character 13, `\"5\"`: this is text, where a number is needed"),
        ("evm.to < 5", "character 1, `evm.to < 5`: this is bytes, where a number is needed"),
        ("evm.create == 1", "compares true or false with a number"),
        (
            "evm.to == hex(\"0x1234\")",
            "this compares 20 bytes with 2 bytes, which are never equal",
        ),
        ("evm.value", "this is a number, where true or false is needed"),
        ("evm.value && true", "character 1, `evm.value && true`: this is a number"),
        ("!evm.value", "character 2, `evm.value`: this is a number"),
        ("evm.value ? true : false", "this is a number, where true or false is needed"),
        (
            "true ? 1 : \"a\"",
            "character 6, `? 1 : \"a\"`: `?` chooses between a number and text",
        ),
        ("request.network == \"mainet\"", "`mainet` is no network; the nearest is `mainnet`"),
        (
            "request.network in [\"devnet\", \"prod\"]",
            "`prod` is no network; `devnet`, `testnet-alpha`, `testnet-beta` or `mainnet` is",
        ),
        ("\"admin\" in request.key.roles", "`admin` is no role"),
        (
            "request.format == \"evm/eip1559\"",
            "is no format of this rule; the nearest is `evm/eip-1559`",
        ),
        (
            "evm.value in [1, \"2\"]",
            "character 18, `\"2\"]`: this is text in a list that begins with a number",
        ),
        ("evm.value in []", "an empty list holds nothing"),
        ("evm.value in [\"1\"]", "compares a number with text"),
        ("evm.value in evm.nonce", "this is a number, where a list is needed"),
        ("evm.to in sets.fiends", "there is no set `fiends`; `sets` has `friends`"),
        ("sets.friends == 1", "is a set of addresses, which stands right of `in`"),
        (
            "evm.value in sets.friends",
            "a set holds addresses of 20 bytes, and left of `in` is a number",
        ),
        ("request.key.roles == request.key.roles", "lists are not compared"),
        ("[true].size() == 1", "a list holds numbers, texts or bytes"),
        (
            "evm.gas_price > 1",
            "`evm/eip-1559`, which this rule covers, never has `evm.gas_price`; fewer `formats`, or `has(evm.gas_price)` before it, is right",
        ),
        ("evm.value == -1", "character 14, `-1`: there are no negative numbers here"),
        ("evm.value == 1.5", "there are no fractions here"),
        ("evm.value == 1e18", "`1e18` is no number below 2^256"),
        ("evm.value = 1", "`=` is no operator; `==` compares"),
        ("true & false", "`&` is no operator"),
        ("true and false", "`and` follows a whole expression"),
        (
            "(true",
            "character 6, at the end: `)` is missing after the parenthesis; the end was found",
        ),
        ("true)", "`)` follows a whole expression"),
        ("", "character 1, at the end: a value is missing; the end was found"),
        ("evm.", "a name is missing after `.`"),
        ("evm.value == \"abc", "character 14, `\"abc`: this literal has no closing quote"),
        ("\"\\q\" == \"\"", "this is no escape"),
        ("\"\\xg0\" == \"\"", "this escape has 2 digits of base 16"),
        ("\"\"\"a\"\"\" == \"\"", "no literals in three quotes"),
        ("f\"a\" == \"\"", "`f` begins no literal"),
        ("evm.access_list.addresses[0] == evm.to", "there is no indexing here"),
        ("{\"a\": 1} == 1", "there are no maps and messages here"),
        ("null == 1", "`null` is a word of CEL that means nothing here"),
        ("matches(request.caller)", "there is no function `matches`; there is `size`"),
        ("request.caller.matches(\"a\")", "there is no method `matches`"),
        ("size(1) == 1", "a number has no size"),
        ("size() == 1", "`size` takes one argument"),
        ("evm.data.slice(1) == b\"\"", "`.slice` takes other arguments"),
        ("evm.data.slice(4, 2) == b\"\"", "this slice ends before it begins"),
        ("evm.data.slice(0, 4) == b\"12\"", "this compares 4 bytes with 2 bytes"),
        ("evm.value.slice(0, 4) == b\"\"", "`slice` cuts bytes, and this is a number"),
        ("request.caller.startsWith(b\"a\")", "this looks for bytes in text"),
        ("uint(\"1\") == 1", "`uint` makes a number of bytes, and this is text"),
        (
            "address(request.caller) == evm.to",
            "character 9, `request.caller) == evm.t…`: `address` takes one literal in quotes",
        ),
        ("address(\"0x12\") == evm.to", "`0x12` is no address"),
        ("timestamp(\"today\") == 1", "`today` is no moment"),
        ("duration(\"1w\") == 1", "`1w` is no span of time"),
        ("has(1)", "`has` takes the name of a fact"),
        ("has(evm.tos)", "the nearest is `evm.to`"),
        ("[1].all(2, true)", "`all` takes a name and a condition"),
        ("[1].all(evm.value, true)", "`evm.value` is no name for an entry"),
        ("[1].all(n, n)", "this is a number, where true or false is needed"),
        ("[1].all(n, true) && n == 1", "there is no `n`"),
        ("[1].all(a, [1].all(b, [1].all(c, true)))", "stand in each other 2 deep at the most"),
        ("1 < 2 < 3", "this is true or false, where a number is needed"),
        ("evm.value == ü", "begins nothing"),
        (
            "true &&\n evm.valeu == 1",
            "line 2, character 2, `evm.valeu == 1`: there is no `evm.valeu`",
        ),
    ] {
        let found = refused("evm/*", expression);
        assert!(found.contains(message), "{expression}\n  {found}\n  {message}");
    }
}

#[test]
fn a_fact_that_only_some_formats_have_is_read_after_has() {
    let guarded = "!has(evm.gas_price) || evm.gas_price <= 30000000000";
    let config = requires("evm/*", guarded);
    let judged = |request: &RequestBuilder| Trial::<Expressions>::new(&config).unwrap().evaluate(&request.clone().build());
    assert!(judged(&testing::evm_transfer()).is_ok());
    assert!(judged(&testing::evm_legacy()).is_ok());
    let dear = testing::evm_legacy().u256("evm.gas-price", 30_000_000_001u64);
    let denied = judged(&dear).unwrap_err();
    assert_eq!(denied.codes(), ["required"]);
    assert_eq!(
        denied.denials()[0].message,
        format!("rule `r` requires `{guarded}`; found evm.gas_price = 30000000001")
    );
    // A legacy transaction without a price is no transaction that may go without one.
    let gone = judged(&testing::evm_legacy().without("evm.gas-price")).unwrap_err();
    assert_eq!(gone.codes(), ["fault"]);
    let conditional = requires("evm/*", "!has(evm.to)");
    let creation = testing::evm_creation(&[1]).build();
    assert!(Trial::<Expressions>::new(&conditional).unwrap().evaluate(&creation).is_ok());
}

#[test]
fn nesting_and_length_have_limits() {
    let nested = |depth: usize| format!("{}true{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(holds(&nested(30), &testing::evm_transfer()), Ok(true));
    assert!(refused("evm/*", &nested(40)).contains("nested more than 32 deep"));
    assert!(refused("evm/*", &format!("{}true", "!".repeat(40))).contains("nested more than 32 deep"));
    assert!(refused("evm/*", &format!("1{} > 0", " + 1".repeat(40))).contains("nested more than 32 deep"));
    // A long row of conditions is not deep.
    let long = vec!["evm.nonce == 0"; 200].join(" && ");
    assert_eq!(holds(&long, &testing::evm_transfer()), Ok(true));
    assert!(refused("evm/*", &vec!["evm.nonce == 0"; 400].join(" && ")).contains("are too many for one expression"));
}

#[test]
fn no_text_stops_the_compiler() {
    let pieces = [
        "true",
        "evm.create",
        "evm.value",
        "evm.to",
        "1",
        "\"a\"",
        "b\"a\"",
        "(",
        ")",
        "[",
        "]",
        ",",
        ".",
        "&&",
        "||",
        "==",
        "in",
        "!",
        "?",
        ":",
        "+",
        "size",
        "has(",
        "all(",
        "\\",
        "\"",
        "ü",
        " ",
        "\n",
        "//",
        "sets.friends",
        "request.key.roles",
        "0x",
        "9",
        "-",
        "{",
        "x",
    ];
    // A linear congruential generator: the same texts in every run.
    let mut state: u64 = 7;
    let (mut compiled, mut refused) = (0, 0);
    for _ in 0..4_000 {
        let mut text = String::new();
        for _ in 0..1 + state % 7 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            text.push_str(pieces[usize::try_from(state >> 33).unwrap() % pieces.len()]);
        }
        match Trial::<Expressions>::new(&requires("evm/*", &text)) {
            Ok(mut trial) => {
                compiled += 1;
                let verdict = trial.evaluate(&testing::evm_transfer().build());
                assert!(
                    verdict.is_ok() || ["required", "fault"].contains(&testing::codes(&verdict)[0]),
                    "{text}"
                );
            }
            Err(problems) => {
                refused += 1;
                assert_eq!(problems[0].path, "rules[0].require", "{text}");
            }
        }
    }
    assert!(compiled > 0 && refused > compiled, "{compiled} {refused}");
}

#[test]
fn every_rule_for_the_format_must_be_met_and_each_that_is_not_is_told() {
    let config = r#"{"rules":[
        {"name":"chain","formats":["evm/*"],"require":"evm.chain_id == 1"},
        {"name":"small","formats":["evm/*"],"require":"evm.value < 5","message":"small sums only"},
        {"name":"office","formats":["evm/*"],"deny_if":"request.caller != \"alice\""},
        {"name":"ratio","formats":["evm/legacy"],"require":"1 / evm.nonce == 1"}
    ]}"#;
    let judged = |request: &RequestBuilder| Trial::<Expressions>::new(config).unwrap().evaluate(&request.clone().build());
    let denied = judged(&testing::evm_transfer().caller("bob").u64("evm.chain-id", 5)).unwrap_err();
    assert_eq!(denied.codes(), ["required", "required", "denied"]);
    assert_eq!(
        denied.denials()[1].message,
        "small sums only: rule `small` requires `evm.value < 5`; found evm.value = 1000000000000000000"
    );
    assert_eq!(denied.denials()[2].message, "rule `office` denies `request.caller != \"alice\"`");
    assert!(judged(&testing::evm_transfer().u256("evm.value", 4u64)).is_ok());
    assert_eq!(
        judged(&testing::evm_legacy().u256("evm.value", 4u64)).unwrap_err().codes(),
        ["fault"]
    );
    let message = judged(&testing::message(b"m")).unwrap_err();
    assert_eq!(message.codes(), ["no-rule"]);
    assert!(
        message.denials()[0]
            .message
            .starts_with("no rule is for raw-message/sha256; there are rules for `evm/*`")
    );
}

#[test]
fn the_example_is_valid() {
    let mut trial = Trial::<Expressions>::new(EXAMPLE).unwrap();
    assert!(trial.evaluate(&testing::evm_transfer().build()).is_ok());
    let mainnet = testing::evm_transfer()
        .network(Network::Mainnet)
        .u256("evm.value", 2_000_000_000_000_000_000u64);
    assert_eq!(trial.evaluate(&mainnet.build()).unwrap_err().codes(), ["required"]);
}

#[test]
fn a_wrong_configuration_is_refused_with_its_path() {
    let paths = |config: &str| -> Vec<String> {
        let problems = Trial::<Expressions>::new(config).unwrap_err();
        problems.into_iter().map(|problem| problem.path).collect()
    };
    let rule = |fields: &str| format!(r#"{{"rules":[{{"name":"r","formats":["*"]{fields}}}]}}"#);
    assert_eq!(paths(r#"{"rules":[]}"#), ["rules"]);
    assert_eq!(paths(&rule("")), ["rules[0]"]);
    assert_eq!(paths(&rule(r#","require":"true","deny_if":"false""#)), ["rules[0]"]);
    assert_eq!(paths(&rule(r#","require":"tru""#)), ["rules[0].require"]);
    assert_eq!(paths(&rule(r#","deny_if":"tru""#)), ["rules[0].deny_if"]);
    assert_eq!(paths(&rule(r#","require":"true","program":{}"#)), ["rules[0].program"]);
    assert_eq!(paths(&rule(r#","if":"true""#)), ["rules[0].if"]);
    assert_eq!(
        paths(r#"{"rules":[{"name":"r","formats":["evm"],"require":"true"}]}"#),
        ["rules[0].formats[0]"]
    );
    let one = r#"{"name":"r","formats":["*"],"require":"true"}"#;
    assert_eq!(paths(&format!(r#"{{"rules":[{one},{one}]}}"#)), ["rules[1].name"]);
    assert_eq!(
        paths(&format!(r#"{{"rules":[{one}],"sets":{{"my-friends":[]}}}}"#)),
        ["sets.my-friends"]
    );
    assert_eq!(paths(&format!(r#"{{"rules":[{one}],"sets":{{"1st":[],"b2":[]}}}}"#)), ["sets.1st"]);
    let many: Vec<String> = (0..201).map(|n| one.replace("\"r\"", &format!("\"r{n}\""))).collect();
    assert_eq!(paths(&format!(r#"{{"rules":[{}]}}"#, many.join(","))), ["rules"]);
    // Every wrong rule is told.
    let two = rule(r#","require":"a""#)
        .replace("]}", r#"]}XX"#)
        .replace("}]}XX", r#"},{"name":"s","formats":["*"],"deny_if":"b"}]}"#);
    assert_eq!(paths(&two), ["rules[0].require", "rules[1].deny_if"]);
}

#[test]
fn what_is_compiled_is_in_the_digest() {
    let digest = |config: &str| {
        let exported = sigwarden_guest::Exported::<Expressions>::new();
        exported.configure(config.to_owned()).unwrap();
        exported.config_digest()
    };
    assert_eq!(
        digest(&requires("evm/*", "evm.value < 5")),
        digest(&requires("evm/*", "evm.value < 5"))
    );
    let mut config: Config = sigwarden_guest::parse_config(&requires("evm/*", "evm.value < 5")).unwrap();
    let before = serde_json::to_string(&config).unwrap();
    Expressions::prepare(&mut config).unwrap();
    assert_ne!(serde_json::to_string(&config).unwrap(), before);
    let manifest = sigwarden_guest::Exported::<Expressions>::describe();
    assert!(!manifest.config_schema.contains("program") && !manifest.config_schema.contains("places"));
}
