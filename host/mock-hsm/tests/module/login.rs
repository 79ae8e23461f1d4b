//! PINs, logins and sessions.

use crate::rig::*;
use cryptoki::error::RvError;
use cryptoki::object::ObjectClass;
use cryptoki::session::{SessionState, UserType};
use cryptoki::types::AuthPin;
use sigwarden_mock_hsm::{Scheme, TokenFaults};

pub(crate) fn login_belongs_to_the_token() {
    let rig = Rig::start(&config());
    let (first, second) = (rig.open(), rig.pkcs11.open_ro_session(rig.slot()).unwrap());
    let states = || [&first, &second].map(|session| session.get_session_info().unwrap().session_state());
    assert_eq!(states(), [SessionState::RwPublic, SessionState::RoPublic]);
    login(&first, PIN).unwrap();
    assert_eq!(states(), [SessionState::RwUser, SessionState::RoUser]);
    // A second login checks nothing.
    for pin in [PIN, "wrong"] {
        assert_eq!(code(login(&second, pin)), RvError::UserAlreadyLoggedIn);
    }
    assert!(!rig.pkcs11.get_token_info(rig.slot()).unwrap().user_pin_count_low());
    second.logout().unwrap();
    assert_eq!(states(), [SessionState::RwPublic, SessionState::RoPublic]);
    assert_eq!(code(first.logout()), RvError::UserNotLoggedIn);
    let officer = first.login(UserType::So, Some(&AuthPin::new(PIN.into())));
    assert_eq!(code(officer), RvError::UserTypeInvalid);
    // Closing the last session logs out.
    login(&first, PIN).unwrap();
    drop(first);
    assert_eq!(second.get_session_info().unwrap().session_state(), SessionState::RoUser);
    drop(second);
    assert_eq!(rig.open().get_session_info().unwrap().session_state(), SessionState::RwPublic);
}

pub(crate) fn private_keys_are_hidden_until_login() {
    let rig = Rig::start(&config());
    let session = rig.open();
    assert_eq!(code(generate(&session, Scheme::Ed25519, "k")), RvError::UserNotLoggedIn);
    login(&session, PIN).unwrap();
    let (_, key) = generate(&session, Scheme::Ed25519, "k").unwrap();
    session.logout().unwrap();
    assert_eq!(find(&session, ObjectClass::PRIVATE_KEY, "k").unwrap(), []);
    assert_eq!(find(&session, ObjectClass::PUBLIC_KEY, "k").unwrap().len(), 1);
    assert_eq!(code(session.sign(&signing(Scheme::Ed25519), key, b"m")), RvError::UserNotLoggedIn);
}

pub(crate) fn wrong_pins_lock_the_token_for_good() {
    let rig = Rig::start(&config());
    let session = rig.open();
    let flags = |rig: &Rig| {
        let token = rig.pkcs11.get_token_info(rig.slot()).unwrap();
        (token.user_pin_count_low(), token.user_pin_final_try(), token.user_pin_locked())
    };
    assert_eq!(code(login(&session, "wrong")), RvError::PinIncorrect);
    assert_eq!(flags(&rig), (true, false, false));
    // A right one forgives.
    login(&session, PIN).unwrap();
    assert_eq!(flags(&rig), (false, false, false));
    session.logout().unwrap();
    assert_eq!(code(login(&session, "12345")), RvError::PinIncorrect);
    assert_eq!(code(login(&session, "")), RvError::PinIncorrect);
    assert_eq!(flags(&rig), (true, true, false));
    assert_eq!(code(login(&session, "wrong")), RvError::PinIncorrect);
    assert_eq!(flags(&rig), (true, false, true));
    for pin in [PIN, "wrong"] {
        assert_eq!(code(login(&session, pin)), RvError::PinLocked);
    }
    drop(session);
    let rig = rig.restart();
    assert_eq!(flags(&rig), (true, false, true));
    assert_eq!(code(login(&rig.open(), PIN)), RvError::PinLocked);
}

pub(crate) fn handles_are_stale_after_logout() {
    let rig = Rig::start(&config());
    let session = rig.logged_in();
    let (_, key) = generate(&session, Scheme::Ed25519, "k").unwrap();
    session.logout().unwrap();
    login(&session, PIN).unwrap();
    assert_eq!(code(session.sign(&signing(Scheme::Ed25519), key, b"m")), RvError::KeyHandleInvalid);
    let again = private(&session, "k");
    assert_ne!(again, key);
    assert_eq!(session.sign(&signing(Scheme::Ed25519), again, b"m").unwrap().len(), 64);
}

pub(crate) fn sessions_are_limited() {
    let mut config = config();
    config.token[0].max_sessions = 2;
    let rig = Rig::start(&config);
    let slot = rig.slot();
    let (first, _second) = (rig.open(), rig.open());
    assert_eq!(code(rig.pkcs11.open_rw_session(slot)), RvError::SessionCount);
    drop(first);
    let _third = rig.pkcs11.open_rw_session(slot).unwrap();
    rig.faults(TokenFaults {
        max_sessions: Some(1),
        ..TokenFaults::default()
    });
    assert_eq!(code(rig.pkcs11.open_rw_session(slot)), RvError::SessionCount);
}
