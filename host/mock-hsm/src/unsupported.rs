//! The functions that the module does not have: one stand-in for each signature.

use cryptoki_sys::*;
use std::ffi::c_void;

type Session = CK_SESSION_HANDLE;
type Object = CK_OBJECT_HANDLE;
type Bytes = *mut CK_BYTE;
type Length = *mut CK_ULONG;
type Mechanism = *mut CK_MECHANISM;
type Template = *mut CK_ATTRIBUTE;
type NewObject = *mut CK_OBJECT_HANDLE;

macro_rules! unsupported {
    ($($name:ident($($argument:ty),*);)+) => {
        $(pub(crate) extern "C" fn $name($(_: $argument),*) -> CK_RV {
            CKR_FUNCTION_NOT_SUPPORTED
        })+
    };
}

unsupported! {
    init_token(CK_SLOT_ID, Bytes, CK_ULONG, Bytes);
    init_pin(Session, Bytes, CK_ULONG);
    set_pin(Session, Bytes, CK_ULONG, Bytes, CK_ULONG);
    set_operation_state(Session, Bytes, CK_ULONG, Object, Object);
    create_object(Session, Template, CK_ULONG, NewObject);
    copy_object(Session, Object, Template, CK_ULONG, NewObject);
    get_object_size(Session, Object, Length);
    set_attribute_value(Session, Object, Template, CK_ULONG);
    begin(Session, Mechanism);
    begin_with_key(Session, Mechanism, Object);
    whole(Session, Bytes, CK_ULONG, Bytes, Length);
    take(Session, Bytes, CK_ULONG);
    give(Session, Bytes, Length);
    compare(Session, Bytes, CK_ULONG, Bytes, CK_ULONG);
    digest_key(Session, Object);
    generate_key(Session, Mechanism, Template, CK_ULONG, NewObject);
    wrap_key(Session, Mechanism, Object, Object, Bytes, Length);
    unwrap_key(Session, Mechanism, Object, Bytes, CK_ULONG, Template, CK_ULONG, NewObject);
    derive_key(Session, Mechanism, Object, Template, CK_ULONG, NewObject);
    parallel(Session);
    wait_for_slot_event(CK_FLAGS, *mut CK_SLOT_ID, *mut c_void);
}
