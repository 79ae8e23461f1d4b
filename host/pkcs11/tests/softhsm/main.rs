//! The backend over SoftHSM2 (Debian's package `softhsm2`), each case with token directory and process of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "tests"
)]

#[path = "../support/mod.rs"]
mod support;

mod keys;
mod pins;
mod tokens;

use cryptoki::context::Pkcs11;
use std::path::{Path, PathBuf};
use support::Case;

const CASES: &[Case] = &[
    ("keys_made_on_the_token_sign", keys::keys_made_on_the_token_sign),
    ("two_inputs_have_two_signatures", keys::two_inputs_have_two_signatures),
    (
        "a_label_that_is_taken_is_not_used_again",
        keys::a_label_that_is_taken_is_not_used_again,
    ),
    (
        "a_key_that_is_not_there_is_named_with_those_that_are",
        keys::a_key_that_is_not_there_is_named_with_those_that_are,
    ),
    ("a_label_of_two_keys_is_refused", keys::a_label_of_two_keys_is_refused),
    ("a_key_of_another_kind_is_refused", keys::a_key_of_another_kind_is_refused),
    (
        "a_key_that_is_not_the_pinned_one_is_distrusted",
        keys::a_key_that_is_not_the_pinned_one_is_distrusted,
    ),
    ("what_pkcs11_has_not_is_refused", keys::what_pkcs11_has_not_is_refused),
    (
        "a_mechanism_that_the_token_has_not_spoils_no_session",
        keys::a_mechanism_that_the_token_has_not_spoils_no_session,
    ),
    ("a_key_may_have_a_label_of_its_own", keys::a_key_may_have_a_label_of_its_own),
    ("a_wrong_pin_is_used_once", pins::a_wrong_pin_is_used_once),
    (
        "a_refused_pin_is_remembered_by_the_next_process",
        pins::a_refused_pin_is_remembered_by_the_next_process,
    ),
    (
        "a_pin_whose_use_cannot_be_remembered_is_not_used",
        pins::a_pin_whose_use_cannot_be_remembered_is_not_used,
    ),
    ("a_pin_that_is_not_to_be_had_is_said", pins::a_pin_that_is_not_to_be_had_is_said),
    ("a_second_backend_shares_the_login", pins::a_second_backend_shares_the_login),
    ("the_token_tells_what_it_is", tokens::the_token_tells_what_it_is),
    (
        "a_token_that_is_not_there_is_named_with_those_that_are",
        tokens::a_token_that_is_not_there_is_named_with_those_that_are,
    ),
    ("a_library_that_is_not_there_is_named", tokens::a_library_that_is_not_there_is_named),
    (
        "a_slot_that_is_not_the_label_s_is_refused",
        tokens::a_slot_that_is_not_the_label_s_is_refused,
    ),
    ("settings_without_sense_are_refused", tokens::settings_without_sense_are_refused),
    ("more_callers_than_sessions_all_sign", tokens::more_callers_than_sessions_all_sign),
    (
        "a_token_that_goes_away_refuses_and_comes_back_by_itself",
        tokens::a_token_that_goes_away_refuses_and_comes_back_by_itself,
    ),
    (
        "another_token_of_the_label_is_not_told_the_pin",
        tokens::another_token_of_the_label_is_not_told_the_pin,
    ),
    ("another_token_takes_over", tokens::another_token_takes_over),
    (
        "a_token_comes_back_while_another_of_its_library_signs",
        tokens::a_token_comes_back_while_another_of_its_library_signs,
    ),
    (
        "a_token_away_for_good_seldom_interrupts_the_other",
        tokens::a_token_away_for_good_seldom_interrupts_the_other,
    ),
    (
        "a_refused_pin_is_not_used_again_for_another_token_s_sake",
        tokens::a_refused_pin_is_not_used_again_for_another_token_s_sake,
    ),
    (
        "a_token_that_lacks_a_key_is_not_asked_for_it",
        tokens::a_token_that_lacks_a_key_is_not_asked_for_it,
    ),
    (
        "tokens_with_different_keys_are_told_apart",
        tokens::tokens_with_different_keys_are_told_apart,
    ),
    ("the_pipeline_signs_through_it", tokens::the_pipeline_signs_through_it),
];

fn main() {
    support::run(CASES, |place| {
        library();
        let tokens = place.join("tokens");
        std::fs::create_dir(&tokens).unwrap();
        let config = place.join("softhsm2.conf");
        std::fs::write(&config, configuration(&tokens)).unwrap();
        vec![("SOFTHSM2_CONF", config)]
    });
}

fn configuration(tokens: &Path) -> String {
    format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        tokens.display()
    )
}

/// SoftHSM, where distributions put it.
fn library() -> PathBuf {
    let places = [
        "/usr/lib/softhsm/libsofthsm2.so",
        "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
        "/usr/lib64/pkcs11/libsofthsm2.so",
        "/usr/lib/pkcs11/libsofthsm2.so",
        "/usr/local/lib/softhsm/libsofthsm2.so",
    ];
    let found = places.iter().map(Path::new).find(|path| path.exists());
    found.expect("SoftHSM2 is not installed: `apt-get install softhsm2`").into()
}

/// A module with tokens.
fn with_tokens(labels: &[&str]) -> Pkcs11 {
    let module = support::module(&library());
    for label in labels {
        support::init_token(&module, label);
    }
    module
}
