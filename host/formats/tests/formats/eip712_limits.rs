//! Typed data that is too deep, too long or too much.

use crate::eip712::refusal;
use crate::{decode, fact};
use sigwarden_core::Format::EvmEip712;
use sigwarden_formats::evm::typed_data;

#[test]
fn nesting_length_and_number_are_bounded() {
    for depth in [33, 10_000] {
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(
            refusal(&nested).contains("nested deeper than 32 levels at line 1 column 3"),
            "{depth}"
        );
        let objects = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert!(refusal(&objects).contains("nested deeper than 32"), "{depth}");
    }
    assert!(refusal(&format!("[{}0]", "0,".repeat(20_000))).contains("more than 16384 values"));
    let whole = |types: &str, message: &str| {
        format!(r#"{{"domain":{{}},"message":{message},"primaryType":"A","types":{{{types},"EIP712Domain":[]}}}}"#)
    };
    let list = |count: usize| {
        whole(
            r#""A":[{"name":"x","type":"bool[]"}]"#,
            &format!("{{\"x\":[{}]}}", vec!["true"; count].join(",")),
        )
    };
    // The empty domain is one of the 256.
    assert!(typed_data::canonical(list(255).as_bytes()).is_ok());
    assert!(refusal(&list(256)).contains("`message.x[255]`: this is more than 256 values"));
    let fields = |count: usize| {
        (0..count)
            .map(|index| format!(r#"{{"name":"f{index}","type":"bool"}}"#))
            .collect::<Vec<_>>()
            .join(",")
    };
    assert!(refusal(&whole(&format!("\"A\":[{}]", fields(65)), "{}")).contains("`types.A` has 65 fields; 64 are the most"));
    let structs: Vec<_> = (0..33).map(|index| format!("\"S{index}\":[]")).collect();
    assert!(refusal(&whole(&structs.join(","), "{}")).contains("`types` has 34 types; 32 are the most"));
    assert!(refusal(&whole(r#""A":[{"name":"x","type":"bool[][][][][][][][][]"}]"#, "{}")).contains("more than 8 dimensions"));
    let long = "n".repeat(65);
    assert!(refusal(&whole(&format!(r#""A":[{{"name":"{long}","type":"bool"}}]"#), "{}")).contains("no name of a field"));
}

/// A type may use itself; what it holds is bounded by the JSON, as deep as that may be.
#[test]
fn a_recursive_type_ends_with_its_values() {
    let whole = |children: usize| {
        let message = format!("{}[]{}", "[{\"c\":".repeat(children), "}]".repeat(children));
        format!(
            r#"{{"domain":{{}},"message":{{"c":{message}}},"primaryType":"Node","types":{{"EIP712Domain":[],"Node":[{{"name":"c","type":"Node[]"}}]}}}}"#
        )
    };
    let decoded = decode(EvmEip712, whole(3).as_bytes()).unwrap();
    assert_eq!(fact(&decoded, "typed-data.encode-type").unwrap(), "\"Node(Node[] c)\"");
    assert_eq!(fact(&decoded, "typed-data.message").unwrap(), "[\"Node[] c[0].c[0].c[0].c=[]\"]");
    assert!(refusal(&whole(20)).contains("nested deeper than 32"));
    // Directly inside itself it could never end.
    let direct = r#"{"domain":{},"message":{"n":{"n":{}}},"primaryType":"N","types":{"EIP712Domain":[],"N":[{"name":"n","type":"N"}]}}"#;
    assert!(refusal(direct).contains("`message.n.n`: the field `n` of `N` is missing"));
}
