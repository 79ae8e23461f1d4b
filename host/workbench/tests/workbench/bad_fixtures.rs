//! A fixture with a fault is refused with file, line, column, what is allowed there, and the nearest name.

use crate::rig::{HEAD, library, written};
use sigwarden_workbench::fixture::{self, FixtureError};
use sigwarden_workbench::prepared::prepare;

fn errors(text: &str) -> Vec<FixtureError> {
    let (_dir, file) = written(text);
    match fixture::read(&file) {
        Err(errors) => errors,
        Ok(fixture) => prepare(fixture, library()).err().expect("the fixture is faulty"),
    }
}

/// The only fault of `HEAD` with these steps: its place from the end of the head, its field and its message.
fn fault(steps: &str) -> (usize, usize, String, String) {
    let errors = errors(&format!("{HEAD}{steps}"));
    let [error] = errors.as_slice() else { panic!("{errors:#?}") };
    let head = HEAD.lines().count();
    (error.line - head, error.column, error.field.clone(), error.message.clone())
}

#[test]
fn an_unknown_field_is_shown_with_the_nearest_name() {
    let (line, column, field, message) = fault("[[step]]\nexpect = \"allow\"\n  retry_afer = \"1s\"\n");
    assert_eq!((line, column, field.as_str()), (3, 3, "step[0].retry_afer"));
    assert!(
        message.starts_with("unknown field `retry_afer`; did you mean `retry_after`? Known here: after, at, "),
        "{message}"
    );

    let (line, _, field, message) = fault("[[step]]\nexpect = \"allow\"\nevm.valeu = 1\n");
    assert_eq!((line, field.as_str()), (3, "step[0].evm.valeu"));
    assert!(message.contains("did you mean `value`?"), "{message}");
}

#[test]
fn wrong_values_say_what_is_right() {
    for (step, field, wanted) in [
        ("expect = \"alow\"", "step `1`.expect", "did you mean `allow`?"),
        ("expect = \"exceded\"", "step `1`.expect", "did you mean `exceeded`?"),
        ("expect = \"floor/conflit\"", "step `1`.expect", "did you mean `floor/conflict`?"),
        (
            "expect = \"allow\"\nkey = \"eth.hott\"",
            "step[0].key",
            "unknown key `eth.hott`; did you mean `eth.hot`?",
        ),
        (
            "expect = \"allow\"\ncaller = \"nod\"",
            "step[0].caller",
            "did you mean `node`? Known here: node, nobody",
        ),
        (
            "expect = \"allow\"\nformat = \"evm/eip1559\"",
            "step[0].format",
            "did you mean `evm/eip-1559`?",
        ),
        ("expect = \"allow\"\nat = \"5\"", "step[0].at", "`5` is no span of time"),
        ("expect = \"allow\"\ntimes = 0", "step[0].times", "1 to 10000 is right"),
        (
            "expect = \"allow\"\ntimes = \"2\"",
            "step[0].times",
            "a number of times is wanted, this is a string",
        ),
        (
            "expect = \"allow\"\nevm.value = \"1 eth\"",
            "step[0].evm.value",
            "`1 eth` is no amount",
        ),
        (
            "expect = \"allow\"\nevm.to = \"0x12\"",
            "step[0].evm.to",
            "this has 1 bytes, 20 are wanted",
        ),
        (
            "expect = \"allow\"\ncometbft.height = 1",
            "step[0].cometbft",
            "`cometbft` writes no evm/eip-1559",
        ),
        ("expect = \"allow\"\nhex = \"0g\"", "step[0].hex", "this is no hex"),
        ("expect = \"allow\"\nfile = \"gone.bin\"", "step[0].file", "gone.bin"),
        (
            "expect = \"allow\"\nafter.limits.limit.all = 1",
            "step[0].after.limits.limit",
            "did you mean `limits`?",
        ),
        (
            "expect = \"allow\"\nfault.hsm = \"lost\"",
            "step[0].fault.hsm",
            "known here: slow, busy, token-lost",
        ),
        (
            "expect = \"allow\"\nfault.dies = \"after-commit\"",
            "step[0]",
            "`fault.dies` and `expect = \"no-answer\"` go together",
        ),
        ("expect = \"allow\"\nretry_after = \"1s\"", "step[0]", "are a refusal's"),
        (
            "expect = \"allow\"\nsame_signature_as = \"x\"",
            "step[0].same_signature_as",
            "unknown step before this one `x`",
        ),
        ("", "step[0].expect", "this field is required and missing"),
    ] {
        let (_, _, found, message) = fault(&format!("[[step]]\n{step}\n"));
        assert_eq!(found, field, "{step}: {message}");
        assert!(message.contains(wanted), "{step}: {message}");
    }
}

#[test]
fn every_fault_is_told_at_once_and_a_wrong_default_once() {
    let text = HEAD.replace("caller = \"node\"", "caller = \"nope\"");
    let found = errors(&format!(
        "{text}[[step]]\nexpect = \"allow\"\n[[step]]\nexpect = \"allow\"\nx = 1\n"
    ));
    let fields: Vec<&str> = found.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["step[0].caller", "step[1].x"]);
}

#[test]
fn a_case_is_shown_where_it_stands() {
    let (line, column, field, _) = fault("[[step]]\nexpect = \"allow\"\n[[step.case]]\nevm.nonce = 1\n[[step.case]]\nevm.nonce = -1\n");
    assert_eq!((line, column, field.as_str()), (6, 13, "step[0].case[1].evm.nonce"));
}

#[test]
fn time_runs_one_way() {
    let (_, _, field, message) = fault("[[step]]\nat = \"10s\"\nexpect = \"allow\"\n[[step]]\nat = \"9s\"\nexpect = \"allow\"\n");
    assert_eq!(field, "step[1].at");
    assert!(
        message.contains("before the step before, which is at 2026-01-01T00:00:10Z"),
        "{message}"
    );
}

#[test]
fn a_deployment_is_checked_too() {
    for (from, to, field, wanted) in [
        ("fixture = 1", "fixture = 2", "fixture", "this release reads version 1"),
        ("fixture = 1", "", "fixture", "required and missing"),
        (
            "fixture = 1",
            "fixture = 1\nnetwork = \"main\"",
            "network",
            "did you mean `mainnet`?",
        ),
        (
            "\"secp256k1-ecdsa\"",
            "\"secp256k1\"",
            "key[0].scheme",
            "did you mean `secp256k1-ecdsa`? Known here: secp256k1-ecdsa, ",
        ),
        ("[\"account\"]", "[\"acount\"]", "key[0].roles[0]", "did you mean `account`?"),
        ("[\"account\"]", "[]", "key[0]", "at least one role"),
        (
            "module = \"rate-limit\"",
            "module = \"rate-limt\"",
            "policy",
            "there is no module `rate-limt`",
        ),
        ("capacity = 2", "capacity = 0", "policy", "rules[0].capacity"),
        ("capacity = 2", "capasity = 2", "policy", "capasity"),
    ] {
        let found = errors(&format!("{}[[step]]\nexpect = \"allow\"\n", HEAD.replace(from, to)));
        let error = &found[0];
        assert_eq!(error.field, field, "{to}: {error}");
        assert!(error.message.contains(wanted), "{to}: {error}");
    }
    let syntax = errors("fixture = 1\n[[key\n");
    assert_eq!((syntax[0].line, syntax.len()), (2, 1));
}

#[test]
fn one_mistake_is_one_fault() {
    let step = "[[step]]\nname = \"a\"\nexpect = \"allow\"\nafter.limits.limits.all = 1\n[[step]]\nexpect = \"allow\"\nsame_signature_as = \"a\"\n";
    let allow = "[[client]]\nname = \"node\"\nallow = [{ keys = [\"*\"], operations = [\"sing\"] }]\n[defaults]";
    for (from, to, field) in [
        ("[\"account\"]", "[\"acount\"]", "key[0].roles[0]"),
        ("\"secp256k1-ecdsa\"", "\"secp256k\"", "key[0].scheme"),
        ("config = {", "config_file = \"gone.json\" #", "policy[0].config_file"),
        ("\"60s\"", "12345678901234567890123", "policy[0].config"),
        ("[defaults]", allow, "client[0].allow[0].operations[0]"),
        ("name = \"eth.hot\"", "name = \"eth hot\"", "key[0].name"),
        ("to = \"0x11", "to = \"0x", "step[0].evm.to"),
    ] {
        let found = errors(&format!("{}{step}", HEAD.replace(from, to)));
        let fields: Vec<&str> = found.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, [field], "{to}: {found:#?}");
    }
}

#[test]
fn a_configuration_s_file_is_named_where_it_is_wrong() {
    let with = |config: &str| {
        let text = HEAD.replace("config = {", "config_file = \"limits.json\" #");
        let (dir, file) = written(&format!("{text}[[step]]\nexpect = \"allow\"\n"));
        std::fs::write(file.with_file_name("limits.json"), config).unwrap();
        let errors = fixture::read(&file).and_then(|fixture| prepare(fixture, library()).map(drop)).err();
        drop(dir);
        errors.expect("it is wrong")
    };
    let [error] = &with("{\n \"rules\": [,]\n}")[..] else {
        panic!("one fault")
    };
    assert_eq!(error.field, "policy[0].config_file");
    assert!(
        error.message.contains("limits.json is no JSON: expected value at line 2 column 12"),
        "{error}"
    );
    let [error] = &with("{\"rules\": []}")[..] else {
        panic!("one fault")
    };
    assert!(error.message.contains("limits.json)") && error.message.contains("rules"), "{error}");
}

#[test]
fn numbers_that_are_too_large_are_told_how_to_be_written() {
    let large = "340282366920938463463374607431768211456";
    let (_, _, field, message) = fault(&format!("[[step]]\nexpect = \"allow\"\nevm.value = {large}\n"));
    assert_eq!(field, "step[0].evm.value");
    assert!(message.contains("write it as a text") && message.contains(large), "{message}");
    let (_, _, _, message) = fault(&format!("[[step]]\nexpect = \"allow\"\ntimes = {large}\n"));
    assert_eq!(message, "this number is out of range; a number of times is wanted");
    let found = errors(&format!(
        "{}[[step]]\nexpect = \"allow\"\n",
        HEAD.replace("capacity = 2", &format!("capacity = {large}"))
    ));
    assert!(found[0].message.contains("write it as a text"), "{:#?}", found[0]);
}

#[test]
fn what_would_assert_nothing_is_refused() {
    let (_, _, field, message) = fault("[[step]]\nexpect = \"allow\"\nafter.unchanged = false\n");
    assert_eq!(field, "step[0].after.unchanged");
    assert!(message.contains("leave it out"), "{message}");
}

#[test]
fn a_floor_s_position_is_written_as_it_is_shown() {
    let key = "[[key]]\nname = \"c.v\"\nroles = [\"consensus\"]\nscheme = \"ed25519\"\nfloors = [{ chain_id = \"c\", FLOOR }]\n[[policy]]";
    for (floor, wanted) in [
        ("position = \"7\"", "`7` is no position; `100/0/2`"),
        ("position = \"7/0/x\"", "is no position"),
        ("position = \"7/end\", height = 7", "`position` gives the height already"),
        ("", "this field is required and missing"),
    ] {
        let text = HEAD.replace("[[policy]]", &key.replace("FLOOR", floor));
        let found = errors(&format!("{text}[[step]]\nexpect = \"allow\"\n"));
        assert!(
            matches!(found.as_slice(), [one] if one.message.contains(wanted)),
            "{floor}: {found:#?}"
        );
    }
}
