//! The C side: raw pointers become slices here and nowhere else, and no panic leaves. The only `unsafe` of the crate.
//!
//! Every pointer is the caller's, and PKCS#11 (v2.40 §5.1) promises of each one that is not NULL that it points to as many elements as
//! the length beside it says, which nobody else touches during the call. The `SAFETY` comments lean on that promise.

#![allow(unsafe_code, reason = "the functions of a C library, over raw pointers")]

use crate::attributes::{Answer, Attribute};
use crate::functions::FUNCTIONS;
use crate::module::Module;
use crate::operations::Signed;
use crate::token::complain;
use cryptoki_sys::*;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};

/// Attributes in a template: objects have some twenty.
const TEMPLATE_MAX: CK_ULONG = 256;

static MODULE: RwLock<Option<Arc<Module>>> = RwLock::new(None);

/// `C_GetFunctionList`, the one exported symbol.
#[unsafe(export_name = "C_GetFunctionList")]
pub(crate) unsafe extern "C" fn get_function_list(list: *mut *mut CK_FUNCTION_LIST) -> CK_RV {
    // SAFETY: an out-parameter of the caller's. The list is never written through: the standard forbids it.
    guarded(|| unsafe { put(list, (&raw const FUNCTIONS).cast_mut()) })
}

pub(crate) unsafe extern "C" fn initialize(arguments: *mut c_void) -> CK_RV {
    guarded(|| {
        // SAFETY: NULL or a `CK_C_INITIALIZE_ARGS` (§5.4).
        if let Some(arguments) = unsafe { arguments.cast::<CK_C_INITIALIZE_ARGS>().as_ref() } {
            check_locking(arguments)?;
        }
        let mut module = MODULE.write().unwrap_or_else(PoisonError::into_inner);
        if module.is_some() {
            return Err(CKR_CRYPTOKI_ALREADY_INITIALIZED);
        }
        *module = Some(Arc::new(Module::open().map_err(|error| complain(&error))?));
        Ok(())
    })
}

/// Threads are locked with the system's primitives only.
fn check_locking(arguments: &CK_C_INITIALIZE_ARGS) -> Answer<()> {
    let given = [
        arguments.CreateMutex.is_some(),
        arguments.DestroyMutex.is_some(),
        arguments.LockMutex.is_some(),
        arguments.UnlockMutex.is_some(),
    ];
    let (any, all) = (given.contains(&true), !given.contains(&false));
    if !arguments.pReserved.is_null() || any != all {
        return Err(CKR_ARGUMENTS_BAD);
    }
    if any && arguments.flags & CKF_OS_LOCKING_OK == 0 {
        return Err(CKR_CANT_LOCK);
    }
    Ok(())
}

pub(crate) unsafe extern "C" fn finalize(reserved: *mut c_void) -> CK_RV {
    guarded(|| {
        if !reserved.is_null() {
            return Err(CKR_ARGUMENTS_BAD);
        }
        let module = MODULE.write().unwrap_or_else(PoisonError::into_inner).take();
        module.map(drop).ok_or(CKR_CRYPTOKI_NOT_INITIALIZED)
    })
}

pub(crate) unsafe extern "C" fn get_info(info: *mut CK_INFO) -> CK_RV {
    // SAFETY: an out-parameter.
    guarded(|| initialised().and_then(|_| unsafe { put(info, Module::info()) }))
}

pub(crate) unsafe extern "C" fn get_slot_list(with_token: CK_BBOOL, slots: *mut CK_SLOT_ID, count: *mut CK_ULONG) -> CK_RV {
    // SAFETY: a list and its length.
    guarded(|| unsafe { put_list(&initialised()?.slots(with_token != CK_FALSE)?, slots, count) })
}

pub(crate) unsafe extern "C" fn get_slot_info(slot: CK_SLOT_ID, info: *mut CK_SLOT_INFO) -> CK_RV {
    // SAFETY: an out-parameter.
    guarded(|| unsafe { put(info, initialised()?.slot_info(slot)?) })
}

pub(crate) unsafe extern "C" fn get_token_info(slot: CK_SLOT_ID, info: *mut CK_TOKEN_INFO) -> CK_RV {
    // SAFETY: an out-parameter.
    guarded(|| unsafe { put(info, initialised()?.token_info(slot)?) })
}

pub(crate) unsafe extern "C" fn get_mechanism_list(slot: CK_SLOT_ID, mechanisms: *mut CK_MECHANISM_TYPE, count: *mut CK_ULONG) -> CK_RV {
    // SAFETY: a list and its length.
    guarded(|| unsafe { put_list(&initialised()?.mechanisms(slot)?, mechanisms, count) })
}

pub(crate) unsafe extern "C" fn get_mechanism_info(slot: CK_SLOT_ID, mechanism: CK_MECHANISM_TYPE, info: *mut CK_MECHANISM_INFO) -> CK_RV {
    // SAFETY: an out-parameter.
    guarded(|| unsafe { put(info, initialised()?.mechanism_info(slot, mechanism)?) })
}

pub(crate) unsafe extern "C" fn open_session(
    slot: CK_SLOT_ID,
    flags: CK_FLAGS,
    _application: *mut c_void,
    _notify: CK_NOTIFY,
    session: *mut CK_SESSION_HANDLE,
) -> CK_RV {
    guarded(|| {
        if session.is_null() {
            return Err(CKR_ARGUMENTS_BAD);
        }
        // SAFETY: an out-parameter.
        unsafe { put(session, initialised()?.open_session(slot, flags)?) }
    })
}

pub(crate) unsafe extern "C" fn close_session(session: CK_SESSION_HANDLE) -> CK_RV {
    guarded(|| initialised()?.close_session(session))
}

pub(crate) unsafe extern "C" fn close_all_sessions(slot: CK_SLOT_ID) -> CK_RV {
    guarded(|| initialised()?.close_all_sessions(slot))
}

pub(crate) unsafe extern "C" fn get_session_info(session: CK_SESSION_HANDLE, info: *mut CK_SESSION_INFO) -> CK_RV {
    // SAFETY: an out-parameter.
    guarded(|| unsafe { put(info, initialised()?.session_info(session)?) })
}

pub(crate) unsafe extern "C" fn login(session: CK_SESSION_HANDLE, user: CK_USER_TYPE, pin: *mut CK_UTF8CHAR, length: CK_ULONG) -> CK_RV {
    // SAFETY: bytes and their length.
    guarded(|| initialised()?.login(session, user, unsafe { slice(pin, length)? }))
}

pub(crate) unsafe extern "C" fn logout(session: CK_SESSION_HANDLE) -> CK_RV {
    guarded(|| initialised()?.logout(session))
}

pub(crate) unsafe extern "C" fn destroy_object(session: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) -> CK_RV {
    guarded(|| initialised()?.destroy(session, object))
}

pub(crate) unsafe extern "C" fn get_attribute_value(
    session: CK_SESSION_HANDLE,
    object: CK_OBJECT_HANDLE,
    template: *mut CK_ATTRIBUTE,
    count: CK_ULONG,
) -> CK_RV {
    guarded(|| {
        if template.is_null() || !template.is_aligned() || count > TEMPLATE_MAX {
            return Err(CKR_ARGUMENTS_BAD);
        }
        // SAFETY: an array of the caller's, not NULL and aligned, with that many elements, which the caller lets the call write.
        let template = unsafe { std::slice::from_raw_parts_mut(template, index(count)?) };
        let wanted: Vec<_> = template.iter().map(|attribute| attribute.type_).collect();
        let values = initialised()?.attributes(session, object, &wanted)?;
        // Every attribute is answered; the code is that of the last one that was not given (§5.7).
        let mut code = Ok(());
        for (attribute, value) in template.iter_mut().zip(values) {
            // SAFETY: `pValue` is NULL or has `ulValueLen` bytes.
            code = unsafe { give_attribute(attribute, value) }.and(code);
        }
        code
    })
}

/// Writes a value where the caller wants it, or its length, or that there is none.
///
/// # Safety
/// `pValue` is NULL or has `ulValueLen` bytes that may be written.
unsafe fn give_attribute(attribute: &mut CK_ATTRIBUTE, value: Answer<Vec<u8>>) -> Answer<()> {
    let room = attribute.ulValueLen;
    attribute.ulValueLen = CK_UNAVAILABLE_INFORMATION;
    let value = value?;
    let length = value.len() as CK_ULONG;
    if attribute.pValue.is_null() {
        attribute.ulValueLen = length;
        return Ok(());
    }
    if room < length {
        return Err(CKR_BUFFER_TOO_SMALL);
    }
    attribute.ulValueLen = length;
    // SAFETY: not NULL, and `room` bytes, which are no fewer, are the caller's to be written; `value` is ours, so they do not overlap.
    unsafe { std::ptr::copy_nonoverlapping(value.as_ptr(), attribute.pValue.cast::<u8>(), value.len()) };
    Ok(())
}

pub(crate) unsafe extern "C" fn find_objects_init(session: CK_SESSION_HANDLE, template: *mut CK_ATTRIBUTE, count: CK_ULONG) -> CK_RV {
    // SAFETY: a template.
    guarded(|| initialised()?.find_init(session, &unsafe { attributes(template, count)? }))
}

pub(crate) unsafe extern "C" fn find_objects(
    session: CK_SESSION_HANDLE,
    objects: *mut CK_OBJECT_HANDLE,
    most: CK_ULONG,
    count: *mut CK_ULONG,
) -> CK_RV {
    guarded(|| {
        if objects.is_null() || count.is_null() {
            return Err(CKR_ARGUMENTS_BAD);
        }
        let found = initialised()?.find(session, index(most)?)?;
        let mut room = most;
        // SAFETY: `objects` has room for `most` handles, and `find` gives no more; `count` is an out-parameter.
        unsafe {
            put_list(&found, objects, &raw mut room)?;
            put(count, room)
        }
    })
}

pub(crate) unsafe extern "C" fn find_objects_final(session: CK_SESSION_HANDLE) -> CK_RV {
    guarded(|| initialised()?.find_final(session))
}

pub(crate) unsafe extern "C" fn generate_key_pair(
    session: CK_SESSION_HANDLE,
    mechanism: *mut CK_MECHANISM,
    public: *mut CK_ATTRIBUTE,
    public_count: CK_ULONG,
    private: *mut CK_ATTRIBUTE,
    private_count: CK_ULONG,
    public_object: *mut CK_OBJECT_HANDLE,
    private_object: *mut CK_OBJECT_HANDLE,
) -> CK_RV {
    guarded(|| {
        if public_object.is_null() || private_object.is_null() {
            return Err(CKR_ARGUMENTS_BAD);
        }
        // SAFETY: a mechanism, two templates, two out-parameters.
        unsafe {
            let mechanism = mechanism_type(mechanism)?;
            let (public, private) = (attributes(public, public_count)?, attributes(private, private_count)?);
            let [made_public, made_private] = initialised()?.generate(session, mechanism, &public, &private)?;
            put(public_object, made_public)?;
            put(private_object, made_private)
        }
    })
}

pub(crate) unsafe extern "C" fn sign_init(session: CK_SESSION_HANDLE, mechanism: *mut CK_MECHANISM, key: CK_OBJECT_HANDLE) -> CK_RV {
    // SAFETY: a mechanism.
    guarded(|| initialised()?.sign_init(session, unsafe { mechanism_type(mechanism)? }, key))
}

pub(crate) unsafe extern "C" fn sign(
    session: CK_SESSION_HANDLE,
    data: *mut CK_BYTE,
    data_length: CK_ULONG,
    signature: *mut CK_BYTE,
    signature_length: *mut CK_ULONG,
) -> CK_RV {
    guarded(|| {
        // SAFETY: bytes and their length; room for bytes and its length.
        unsafe {
            let data = slice(data, data_length)?;
            let given = *signature_length.as_ref().ok_or(CKR_ARGUMENTS_BAD)?;
            let room = if signature.is_null() { None } else { Some(index(given)?) };
            match initialised()?.sign(session, data, room)? {
                Signed::Length(length) => put(signature_length, length as CK_ULONG),
                Signed::NoRoom(length) => put(signature_length, length as CK_ULONG).and(Err(CKR_BUFFER_TOO_SMALL)),
                Signed::Bytes(bytes) => put_list(&bytes, signature, signature_length),
            }
        }
    })
}

/// Runs a call. A panic answers `CKR_GENERAL_ERROR` and goes no further.
fn guarded(call: impl FnOnce() -> Answer<()>) -> CK_RV {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => CKR_OK,
        Ok(Err(code)) => code,
        Err(_) => CKR_GENERAL_ERROR,
    }
}

fn initialised() -> Answer<Arc<Module>> {
    let module = MODULE.read().unwrap_or_else(PoisonError::into_inner);
    module.as_ref().map(Arc::clone).ok_or(CKR_CRYPTOKI_NOT_INITIALIZED)
}

fn index(length: CK_ULONG) -> Answer<usize> {
    usize::try_from(length).map_err(|_| CKR_ARGUMENTS_BAD)
}

/// What is at a pointer: nothing for a length of 0, even at NULL.
///
/// # Safety
/// The pointer is NULL or points to so many elements, which nobody writes during the call.
unsafe fn slice<'a, T>(pointer: *const T, length: CK_ULONG) -> Answer<&'a [T]> {
    let length = index(length)?;
    let fits = length
        .checked_mul(size_of::<T>())
        .is_some_and(|bytes| isize::try_from(bytes).is_ok());
    if length == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() || !pointer.is_aligned() || !fits {
        return Err(CKR_ARGUMENTS_BAD);
    }
    // SAFETY: not NULL, aligned, of a size that a slice may have, and by this function's contract so many elements.
    Ok(unsafe { std::slice::from_raw_parts(pointer, length) })
}

/// Writes an out-parameter.
///
/// # Safety
/// The pointer is NULL or may be written.
unsafe fn put<T>(to: *mut T, value: T) -> Answer<()> {
    if to.is_null() || !to.is_aligned() {
        return Err(CKR_ARGUMENTS_BAD);
    }
    // SAFETY: not NULL, aligned, and by this function's contract writable.
    unsafe { to.write(value) };
    Ok(())
}

/// Writes a list by the standard's convention (§5.2): at NULL only its length; too little room gives the length and
/// `CKR_BUFFER_TOO_SMALL`.
///
/// # Safety
/// `count` is NULL or may be written, and if it is not, `to` is NULL or has so much room.
unsafe fn put_list<T: Copy>(list: &[T], to: *mut T, count: *mut CK_ULONG) -> Answer<()> {
    // SAFETY: by this function's contract.
    let room = *unsafe { count.as_ref() }.ok_or(CKR_ARGUMENTS_BAD)?;
    // SAFETY: by this function's contract.
    unsafe { put(count, list.len() as CK_ULONG)? };
    if to.is_null() {
        return Ok(());
    }
    if index(room)? < list.len() {
        return Err(CKR_BUFFER_TOO_SMALL);
    }
    if !to.is_aligned() {
        return Err(CKR_ARGUMENTS_BAD);
    }
    // SAFETY: not NULL, aligned, with room for as many; `list` is ours, so they do not overlap.
    unsafe { std::ptr::copy_nonoverlapping(list.as_ptr(), to, list.len()) };
    Ok(())
}

/// A template as slices.
///
/// # Safety
/// The pointer is NULL or has so many attributes, each with as many bytes as it says.
unsafe fn attributes<'a>(template: *const CK_ATTRIBUTE, count: CK_ULONG) -> Answer<Vec<Attribute<'a>>> {
    if count > TEMPLATE_MAX {
        return Err(CKR_ARGUMENTS_BAD);
    }
    // SAFETY: by this function's contract.
    let template = unsafe { slice(template, count)? };
    // SAFETY: by this function's contract.
    let value = |attribute: &CK_ATTRIBUTE| unsafe { slice(attribute.pValue.cast::<u8>(), attribute.ulValueLen) };
    template.iter().map(|attribute| Ok((attribute.type_, value(attribute)?))).collect()
}

/// A mechanism, and that its parameter asks for nothing: `CKM_ML_DSA` may be given a `CK_SIGN_ADDITIONAL_CONTEXT` with an empty context
/// that does not insist on a deterministic signature.
///
/// # Safety
/// The pointer is NULL or has a mechanism, whose parameter has as many bytes as it says.
unsafe fn mechanism_type(mechanism: *const CK_MECHANISM) -> Answer<CK_MECHANISM_TYPE> {
    // SAFETY: by this function's contract.
    let mechanism = unsafe { mechanism.as_ref() }.ok_or(CKR_ARGUMENTS_BAD)?;
    let length = index(mechanism.ulParameterLen)?;
    if length == 0 {
        return Ok(mechanism.mechanism);
    }
    if mechanism.mechanism != CKM_ML_DSA || length != size_of::<CK_SIGN_ADDITIONAL_CONTEXT>() {
        return Err(CKR_MECHANISM_PARAM_INVALID);
    }
    // SAFETY: by this function's contract, and it is as long as the structure.
    let context = unsafe { slice(mechanism.pParameter.cast::<CK_SIGN_ADDITIONAL_CONTEXT>(), 1)? };
    let plain = |context: &CK_SIGN_ADDITIONAL_CONTEXT| context.ulContextLen == 0 && context.hedgeVariant != CKH_DETERMINISTIC_REQUIRED;
    context
        .iter()
        .all(plain)
        .then_some(mechanism.mechanism)
        .ok_or(CKR_MECHANISM_PARAM_INVALID)
}

#[cfg(test)]
#[path = "ffi_tests.rs"]
mod tests;
