//! Loading the module, its configuration, and what it says of itself.

use crate::rig::*;
use cryptoki::error::RvError;
use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, ObjectClass};
use sigwarden_mock_hsm::{CONFIG_VARIABLE, Config, DESCRIPTION, MANUFACTURER, Token};
use std::process::Command;

pub(crate) fn the_mock_is_known_by_its_manufacturer() {
    // Under another name.
    let copy = beside("libvendor-pkcs11.so");
    std::fs::copy(sigwarden_mock_hsm::library_path().unwrap(), &copy).unwrap();
    config().write(&config_path()).unwrap();
    let pkcs11 = cryptoki::context::Pkcs11::new(copy).unwrap();
    pkcs11.initialize(os_threads()).unwrap();
    let rig = Rig { pkcs11 };
    let library = rig.pkcs11.get_library_info().unwrap();
    assert_eq!(library.manufacturer_id(), MANUFACTURER);
    assert_eq!(library.library_description(), DESCRIPTION);
    assert_eq!((library.cryptoki_version().major(), library.cryptoki_version().minor()), (2, 40));
    let slot = rig.slot();
    assert_eq!(rig.pkcs11.get_token_info(slot).unwrap().manufacturer_id(), MANUFACTURER);
    assert_eq!(rig.pkcs11.get_slot_info(slot).unwrap().manufacturer_id(), MANUFACTURER);
}

pub(crate) fn slots_tokens_and_mechanisms_are_listed() {
    let mut config = config();
    config.token.push(Token {
        slot: Some(42),
        ..Token::new("second", "0000")
    });
    let rig = Rig::start(&config);
    let ids: Vec<_> = rig.pkcs11.get_all_slots().unwrap().iter().map(cryptoki::slot::Slot::id).collect();
    assert_eq!(ids, [0, 42]);
    assert_eq!(rig.slot_of("second").id(), 42);
    let slot = rig.slot();
    assert!(rig.pkcs11.get_slot_info(slot).unwrap().token_present());
    let token = rig.pkcs11.get_token_info(slot).unwrap();
    assert!(token.login_required() && token.token_initialized() && token.user_pin_initialized());
    assert!(!token.user_pin_count_low() && !token.user_pin_final_try() && !token.user_pin_locked());
    let mechanisms = [
        (MechanismType::ECC_KEY_PAIR_GEN, true),
        (MechanismType::ECDSA, false),
        (MechanismType::ECC_EDWARDS_KEY_PAIR_GEN, true),
        (MechanismType::EDDSA, false),
        (MechanismType::ML_DSA_KEY_PAIR_GEN, true),
        (MechanismType::ML_DSA, false),
    ];
    assert_eq!(
        rig.pkcs11.get_mechanism_list(slot).unwrap(),
        mechanisms.map(|(mechanism, _)| mechanism)
    );
    for (mechanism, generates) in mechanisms {
        let info = rig.pkcs11.get_mechanism_info(slot, mechanism).unwrap();
        assert_eq!((info.generate_key_pair(), info.sign()), (generates, !generates), "{mechanism}");
    }
    assert_eq!(
        code(rig.pkcs11.get_mechanism_info(slot, MechanismType::AES_GCM)),
        RvError::MechanismInvalid
    );
    let none = 7_u64.try_into().unwrap();
    assert_eq!(code(rig.pkcs11.get_token_info(none)), RvError::SlotIdInvalid);
    assert_eq!(code(rig.pkcs11.open_rw_session(none)), RvError::SlotIdInvalid);
}

pub(crate) fn what_is_not_supported_says_so() {
    let rig = Rig::start(&config());
    let session = rig.logged_in();
    assert_eq!(code(session.generate_random_vec(8)), RvError::FunctionNotSupported);
    assert_eq!(
        code(session.create_object(&[Attribute::Class(ObjectClass::DATA)])),
        RvError::FunctionNotSupported
    );
}

const INITIALIZE: &str = "SIGWARDEN_TEST_INITIALIZE";

/// Starts this test again as a program that only initializes the module: what it said on standard error.
fn complaint(change: impl FnOnce(&mut Command) -> &mut Command) -> String {
    let mut again = Command::new(std::env::current_exe().unwrap());
    change(again.env(INITIALIZE, "1"));
    let output = again.output().unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    complaint
        .strip_prefix("sigwarden mock HSM: ")
        .expect("it says who complains")
        .trim_end()
        .to_owned()
}

pub(crate) fn a_wrong_configuration_fails_and_names_file_and_field() {
    if std::env::var_os(INITIALIZE).is_some() {
        assert_eq!(code(load().initialize(os_threads())), RvError::GeneralError);
        return;
    }
    assert_eq!(
        complaint(|again| again.env_remove(CONFIG_VARIABLE)),
        "the environment variable SIGWARDEN_MOCK_HSM does not name a configuration file"
    );
    let file = config_path().display().to_string();
    let token = "[[token]]\nlabel = \"a\"\npin = \"1\"\n";
    for (text, says) in [
        ("", "there is no [[token]]: name at least one".to_owned()),
        (&format!("{token}pim = 3\n"), "line 4: unknown field `pim`".into()),
        ("[[token]]\nlabel = \"a\"\n", "line 1: missing field `pin`".into()),
        (
            &format!("{token}max_pin_attempts = 0\n"),
            "token `a`: field `max_pin_attempts`: it is at least 1".into(),
        ),
        (&format!("{token}{token}"), "field `label`: two tokens are called `a`".into()),
        (
            &format!("{token}slot = 1\n{}", token.replace("\"a\"", "\"b\"")),
            "two tokens are in one slot".into(),
        ),
        (
            &format!("{token}[[token.key]]\nlabel = \"k\"\nseed = \"\"\nscheme = \"rsa\"\n"),
            "unknown variant `rsa`".into(),
        ),
        (
            &format!("{token}[[token.key]]\nlabel = \"k\"\nseed = \"\"\nscheme = \"ed25519\"\nid = \"x\"\n"),
            "token `a`: key `k`: field `id`: it is hex".into(),
        ),
    ] {
        std::fs::write(config_path(), text).unwrap();
        let complaint = complaint(|again| again);
        let rest = complaint.strip_prefix(&format!("{file}: "));
        assert!(
            rest.is_some_and(|rest| rest.contains(&says)),
            "{text:?} gave {complaint:?}, not {says:?}"
        );
    }
    std::fs::remove_file(config_path()).unwrap();
    assert!(complaint(|again| again).starts_with(&format!("{file}: No such file")));
}

pub(crate) fn initialising_twice_fails_and_again_after_finalising_works() {
    let rig = Rig::start(&Config {
        token: vec![Token::new(TOKEN, PIN)],
        ..Config::default()
    });
    assert_eq!(code(load().initialize(os_threads())), RvError::CryptokiAlreadyInitialized);
    generate(&rig.logged_in(), SCHEMES[1], "forgotten").unwrap();
    let rig = rig.restart();
    // Without a directory nothing is kept.
    assert_eq!(find(&rig.logged_in(), ObjectClass::PRIVATE_KEY, "forgotten").unwrap(), []);
}
