//! The backend over our mock of a vendor's library, each fault in a process of its own.
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

mod faults;
mod lies;
mod pins;
mod rig;
mod several;

use support::Case;

const CASES: &[Case] = &[
    ("every_scheme_signs", faults::every_scheme_signs),
    ("points_are_read_wrapped_and_bare", faults::points_are_read_wrapped_and_bare),
    (
        "a_token_pulled_amid_a_thousand_requests",
        faults::a_token_pulled_amid_a_thousand_requests,
    ),
    (
        "a_token_that_restarts_is_logged_in_again",
        faults::a_token_that_restarts_is_logged_in_again,
    ),
    ("a_closed_session_is_replaced", faults::a_closed_session_is_replaced),
    ("a_busy_token_spoils_no_session", faults::a_busy_token_spoils_no_session),
    ("a_dead_token_comes_back", faults::a_dead_token_comes_back),
    ("a_moved_token_is_found", faults::a_moved_token_is_found),
    ("a_key_that_goes_missing_is_said", faults::a_key_that_goes_missing_is_said),
    (
        "more_sessions_than_the_token_has_are_refused",
        faults::more_sessions_than_the_token_has_are_refused,
    ),
    ("its_threads_end_with_it", faults::its_threads_end_with_it),
    ("a_high_s_is_lowered", lies::a_high_s_is_lowered),
    ("a_wrong_signature_never_leaves", lies::a_wrong_signature_never_leaves),
    ("a_wrong_key_never_signs", lies::a_wrong_key_never_signs),
    ("a_lie_raises_one_alarm", lies::a_lie_raises_one_alarm),
    (
        "the_pipeline_refuses_what_a_liar_signs",
        lies::the_pipeline_refuses_what_a_liar_signs,
    ),
    ("a_wrong_pin_costs_one_attempt", pins::a_wrong_pin_costs_one_attempt),
    ("a_pin_that_was_changed_is_used_once", pins::a_pin_that_was_changed_is_used_once),
    ("the_last_attempt_is_the_operator_s", pins::the_last_attempt_is_the_operator_s),
    (
        "an_operator_s_start_uses_the_last_attempt",
        pins::an_operator_s_start_uses_the_last_attempt,
    ),
    (
        "an_operator_s_start_uses_a_wrong_pin_once",
        pins::an_operator_s_start_uses_a_wrong_pin_once,
    ),
    (
        "a_late_answer_is_dropped_and_the_other_token_signs",
        several::a_late_answer_is_dropped_and_the_other_token_signs,
    ),
    ("a_token_that_hangs_is_left", several::a_token_that_hangs_is_left),
    (
        "a_token_whose_calls_never_return_is_broken",
        several::a_token_whose_calls_never_return_is_broken,
    ),
    (
        "a_token_that_hangs_alone_holds_nobody_up",
        several::a_token_that_hangs_alone_holds_nobody_up,
    ),
    (
        "a_library_that_hangs_from_the_start_is_said",
        several::a_library_that_hangs_from_the_start_is_said,
    ),
    (
        "no_request_fails_while_one_of_two_tokens_is_pulled",
        several::no_request_fails_while_one_of_two_tokens_is_pulled,
    ),
    ("a_lie_is_not_passed_on", several::a_lie_is_not_passed_on),
];

fn main() {
    support::run(CASES, |place| vec![(sigwarden_mock_hsm::CONFIG_VARIABLE, place.join("mock.toml"))]);
}
