#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;
use std::ptr::{null, null_mut};

fn attribute(value: &[u8]) -> CK_ATTRIBUTE {
    CK_ATTRIBUTE {
        type_: CKA_LABEL,
        pValue: value.as_ptr().cast_mut().cast(),
        ulValueLen: value.len() as CK_ULONG,
    }
}

#[test]
fn a_panic_stays_inside() {
    assert_eq!(guarded(|| panic!("it stays")), CKR_GENERAL_ERROR);
}

#[test]
fn without_initialize_nothing_works() {
    // SAFETY: no pointers.
    let code = unsafe { close_session(1) };
    assert_eq!(code, CKR_CRYPTOKI_NOT_INITIALIZED);
}

#[test]
fn pointers_that_cannot_be_read_are_refused() {
    let bytes = [1_u8, 2, 3, 4, 5, 6, 7, 8, 9];
    // SAFETY: the bytes are there; the others are refused before they are looked at.
    unsafe {
        assert_eq!(slice(bytes.as_ptr(), 9), Ok(&bytes[..]));
        assert_eq!(slice::<u8>(null(), 0), Ok(&[][..]));
        assert_eq!(slice::<u8>(null(), 1), Err(CKR_ARGUMENTS_BAD));
        assert_eq!(slice(bytes.as_ptr(), CK_ULONG::MAX), Err(CKR_ARGUMENTS_BAD));
        let askew = bytes
            .as_ptr()
            .wrapping_add(usize::from(bytes.as_ptr().addr().is_multiple_of(2)))
            .cast::<u16>();
        assert_eq!(slice(askew, 1), Err(CKR_ARGUMENTS_BAD));
        assert_eq!(attributes(null(), 1), Err(CKR_ARGUMENTS_BAD));
        assert_eq!(attributes(&attribute(b"label"), 1), Ok(vec![(CKA_LABEL, &b"label"[..])]));
        assert_eq!(attributes(&attribute(b"label"), TEMPLATE_MAX + 1), Err(CKR_ARGUMENTS_BAD));
        assert_eq!(mechanism_type(null()), Err(CKR_ARGUMENTS_BAD));
        assert_eq!(put(null_mut::<CK_ULONG>(), 1), Err(CKR_ARGUMENTS_BAD));
    }
}

#[test]
fn a_list_is_given_in_two_calls() {
    let (mut count, mut room) = (0, [0_u8; 4]);
    // SAFETY: room and its length.
    unsafe {
        assert_eq!(put_list(&[1, 2, 3], null_mut(), &raw mut count), Ok(()));
        assert_eq!(count, 3);
        count = 2;
        assert_eq!(put_list(&[1, 2, 3], room.as_mut_ptr(), &raw mut count), Err(CKR_BUFFER_TOO_SMALL));
        assert_eq!((count, room), (3, [0; 4]));
        count = 4;
        assert_eq!(put_list(&[1, 2, 3], room.as_mut_ptr(), &raw mut count), Ok(()));
        assert_eq!((count, room), (3, [1, 2, 3, 0]));
        assert_eq!(put_list(&[1], room.as_mut_ptr(), null_mut()), Err(CKR_ARGUMENTS_BAD));
    }
}

#[test]
fn an_attribute_gives_its_length_its_value_or_nothing() {
    let mut room = *b"....";
    let mut wanted = CK_ATTRIBUTE {
        type_: CKA_LABEL,
        pValue: null_mut(),
        ulValueLen: 0,
    };
    let mut give = |pointer: *mut u8, length: CK_ULONG, value: Answer<Vec<u8>>| {
        wanted.pValue = pointer.cast();
        wanted.ulValueLen = length;
        // SAFETY: NULL, or room and its length.
        let code = unsafe { give_attribute(&mut wanted, value) };
        (code, wanted.ulValueLen)
    };
    let value = || Ok(b"abc".to_vec());
    assert_eq!(give(null_mut(), 0, value()), (Ok(()), 3));
    assert_eq!(
        give(room.as_mut_ptr(), 2, value()),
        (Err(CKR_BUFFER_TOO_SMALL), CK_UNAVAILABLE_INFORMATION)
    );
    let sensitive = (Err(CKR_ATTRIBUTE_SENSITIVE), CK_UNAVAILABLE_INFORMATION);
    assert_eq!(give(room.as_mut_ptr(), 4, Err(CKR_ATTRIBUTE_SENSITIVE)), sensitive);
    assert_eq!(&room, b"....");
    assert_eq!(give(room.as_mut_ptr(), 4, value()), (Ok(()), 3));
    assert_eq!(&room, b"abc.");
}

#[test]
fn own_mutexes_need_leave_to_use_the_systems() {
    unsafe extern "C" fn mutex(_: *mut c_void) -> CK_RV {
        CKR_OK
    }
    unsafe extern "C" fn new_mutex(_: *mut *mut c_void) -> CK_RV {
        CKR_OK
    }
    let none = CK_C_INITIALIZE_ARGS::default();
    assert_eq!(check_locking(&none), Ok(()));
    let some = CK_C_INITIALIZE_ARGS {
        LockMutex: Some(mutex),
        ..none
    };
    assert_eq!(check_locking(&some), Err(CKR_ARGUMENTS_BAD));
    let all = CK_C_INITIALIZE_ARGS {
        CreateMutex: Some(new_mutex),
        DestroyMutex: Some(mutex),
        LockMutex: Some(mutex),
        UnlockMutex: Some(mutex),
        ..none
    };
    assert_eq!(check_locking(&all), Err(CKR_CANT_LOCK));
    let lenient = CK_C_INITIALIZE_ARGS {
        flags: CKF_OS_LOCKING_OK,
        ..all
    };
    assert_eq!(check_locking(&lenient), Ok(()));
}
