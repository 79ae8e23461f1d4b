//! The module as a vendor's library is used: loaded by `cryptoki`, each test in a process of its own, since a process loads the module
//! once and has one environment.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "tests"
)]

mod faults;
mod keys;
mod login;
mod rig;
mod setup;

use std::process::Command;

/// A test: its name, and what runs in its process.
type Test = (&'static str, fn());

macro_rules! tests {
    ($($module:ident: $($name:ident),+;)+) => {
        const TESTS: &[Test] = &[$($((stringify!($name), $module::$name)),+),+];
    };
}

tests! {
    setup:
        the_mock_is_known_by_its_manufacturer,
        slots_tokens_and_mechanisms_are_listed,
        what_is_not_supported_says_so,
        a_wrong_configuration_fails_and_names_file_and_field,
        initialising_twice_fails_and_again_after_finalising_works;
    keys:
        each_scheme_generates_finds_and_signs,
        public_points_come_wrapped_or_bare,
        configured_and_seeded_keys_are_known_beforehand,
        secrets_stay_inside,
        templates_that_contradict_are_refused,
        a_destroyed_key_is_gone,
        keys_survive_a_restart,
        processes_share_a_token,
        session_objects_go_with_their_session,
        signing_follows_the_standard;
    login:
        login_belongs_to_the_token,
        private_keys_are_hidden_until_login,
        wrong_pins_lock_the_token_for_good,
        handles_are_stale_after_logout,
        sessions_are_limited;
    faults:
        a_pulled_token_answers_so_and_comes_back_empty_handed,
        a_restart_between_two_calls_is_noticed,
        a_moved_token_is_found_by_its_label,
        closed_sessions_stay_closed,
        a_busy_token_leaves_the_signature_begun,
        a_dead_token_stays_dead,
        threads_get_no_more_signatures_than_the_token_has,
        signatures_go_wrong_as_scripted,
        another_key_is_behind_the_label,
        a_missing_key_is_not_found,
        a_changed_pin_is_the_one_that_counts,
        faults_of_a_key_stand_before_those_of_the_token,
        a_late_call_ends_when_the_script_says_so,
        a_wrong_faults_file_fails_every_call;
}

fn main() {
    if let Ok(role) = std::env::var(rig::ROLE) {
        let (_, test) = TESTS.iter().find(|(name, _)| *name == role).expect("a test has this name");
        return test();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
        return;
    }
    let filters: Vec<_> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let mut failed = 0;
    for (name, _) in TESTS {
        if !filters.is_empty() && !filters.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        let directory = tempfile::tempdir().unwrap();
        let status = Command::new(std::env::current_exe().unwrap())
            .env(rig::ROLE, name)
            .env(sigwarden_mock_hsm::CONFIG_VARIABLE, directory.path().join("mock.toml"))
            .status()
            .unwrap();
        println!("test {name} ... {}", if status.success() { "ok" } else { "FAILED" });
        failed += i32::from(!status.success());
    }
    std::process::exit(failed.min(1));
}
