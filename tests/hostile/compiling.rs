//! Modules that would cost the host time or memory without bound while they are *compiled*, before any limit of a guest applies. Each is a
//! few kilobytes, and is refused by its shape before it is compiled (`host/policy/src/shape.rs`); compiled, each would take the machine with it.

use crate::module::{component, limits};
use crate::sandbox::{load, name};

fn is_refused_by_its_shape(wasm: &[u8]) {
    let fault = load(wasm, limits()).map(|_| ()).unwrap_err();
    assert_eq!(name(&fault), "shape", "{fault}");
}

#[test]
fn components_that_double_forty_times_are_refused() {
    // 2^40 instances in 2.5 KB. Twenty deep take 1.1 s and 315 MB, twenty-two 4.9 s and 1.2 GB.
    let mut text = String::from("(component (component $c0 (core module $m) (core instance (instantiate $m)))");
    for depth in 1..=40 {
        let before = depth - 1;
        text.push_str(&format!(
            "(component $c{depth} (alias outer 1 $c{before} (component $c)) (instance (instantiate $c)) (instance (instantiate $c)))"
        ));
    }
    text.push_str("(instance (instantiate $c40)))");
    is_refused_by_its_shape(&wat::parse_str(text).unwrap());
}

#[test]
fn types_of_a_thousand_values_and_types_by_the_ten_thousand_are_refused() {
    let many = |of: usize| "i32 ".repeat(of);
    is_refused_by_its_shape(&component("parameters", &format!("(func (param {}))", many(1_000)), None));
    is_refused_by_its_shape(&component("results", &format!("(type (func (result {})))", many(17)), None));
    let types: String = (0..2_001).map(|_| "(type (func (param i32)))\n").collect();
    is_refused_by_its_shape(&component("types", &types, None));
    let blocks = "(block (type $pair) (br 0)) ".repeat(65);
    let typed =
        format!("(type $pair (func (param i32 i32) (result i32 i32))) (func (param i32) (i32.const 1) (i32.const 2) {blocks} drop drop)");
    is_refused_by_its_shape(&component("blocks", &typed, None));
}

#[test]
fn functions_of_fifty_thousand_locals_are_refused() {
    // 200 of them are 3.9 KB and take 1 GB.
    let function = format!("(func (local {}))\n", "i64 ".repeat(49_000));
    is_refused_by_its_shape(&component("locals", &function.repeat(5), None));
}

#[test]
fn a_function_with_thirty_thousand_live_values_is_refused() {
    // 234 KB; a module may have 16 MiB.
    let values: String = (0..30_000)
        .map(|number| format!("(i64.mul (local.get 0) (i64.const {number}))\n"))
        .collect();
    let function = format!("(func (param i64) (result i64) {values} {})", "i64.xor\n".repeat(29_999));
    is_refused_by_its_shape(&component("live", &function, None));
}
