//! Generated documentation is what the code generates.
#![allow(clippy::unwrap_used, reason = "tests")]

#[test]
fn docs_refusals_md_is_what_the_codes_say() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/refusals.md");
    let committed = std::fs::read_to_string(&file).unwrap();
    assert_eq!(
        committed,
        sigwarden::cli::refusals_markdown(),
        "write it anew: cargo run -p sigwarden -- docs refusals > docs/refusals.md"
    );
}
