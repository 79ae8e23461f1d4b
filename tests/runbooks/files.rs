//! The runbooks that need nothing but Sigwarden.

use crate::script::run;

#[test]
fn every_command_of_keys_md_runs() {
    run("keys.md", &[]);
}

#[test]
fn every_command_of_policy_guide_md_runs() {
    run("policy-guide.md", &[]);
}

#[test]
fn every_command_of_limitations_md_runs() {
    run("limitations.md", &[]);
}
