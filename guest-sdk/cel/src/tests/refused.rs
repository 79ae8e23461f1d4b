//! Expressions that are refused when they are compiled.

use super::*;

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
            "`cometbft.height` is a fact of `cometbft/vote`, `cometbft/proposal` or `cometbft/vote-extension`, and this rule is for `evm/legacy`, `evm/eip-2930`,",
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
    let transfer = testing::evm_transfer().build();
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
        let (sets, mut facts) = (sets(), Facts::default());
        match Program::compile(&text, &formats("evm/*"), &sets, &mut facts) {
            Ok(program) => {
                compiled += 1;
                let values = facts.values(&transfer);
                match program.judge(&Scope::new(&values, &sets)) {
                    Ok(_) => {}
                    Err(fault) => assert!(!fault.to_string().is_empty(), "{text}"),
                }
            }
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains("character "), "{text}: {error}");
            }
        }
    }
    assert!(compiled > 0 && refused > compiled, "{compiled} {refused}");
}
