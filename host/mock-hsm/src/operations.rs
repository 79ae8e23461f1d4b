//! The functions of PKCS#11 about keys: searching, reading, generating, destroying, signing.

use crate::attributes::{Answer, Attribute, Wanted};
use crate::mechanism;
use crate::module::Module;
use crate::state::Signing;
use crate::store::Half;
use cryptoki_sys::*;

/// Bytes that are signed in one go: more than any payload of a node.
const DATA_MAX: usize = 1 << 20;

/// What `C_Sign` has to say.
pub(crate) enum Signed {
    /// The signature's length; the signature is yet to be asked for.
    Length(usize),
    /// The signature needs so much room, and is yet to be asked for.
    NoRoom(usize),
    /// The signature.
    Bytes(Vec<u8>),
}

impl Module {
    /// `C_FindObjectsInit`.
    pub(crate) fn find_init(&self, handle: CK_SESSION_HANDLE, template: &[Attribute<'_>]) -> Answer<()> {
        let mut state = self.ready_session(handle)?;
        let (token, handles, session) = state.parts(handle)?;
        if session.search.is_some() {
            return Err(CKR_OPERATION_ACTIVE);
        }
        token.not_busy()?;
        token.refresh(handles)?;
        session.search = Some(token.find(template).into());
        Ok(())
    }

    /// `C_FindObjects`.
    pub(crate) fn find(&self, handle: CK_SESSION_HANDLE, most: usize) -> Answer<Vec<CK_OBJECT_HANDLE>> {
        let mut state = self.ready_session(handle)?;
        let search = state.session(handle)?.search.as_mut().ok_or(CKR_OPERATION_NOT_INITIALIZED)?;
        Ok(search.drain(..most.min(search.len())).collect())
    }

    /// `C_FindObjectsFinal`.
    pub(crate) fn find_final(&self, handle: CK_SESSION_HANDLE) -> Answer<()> {
        let mut state = self.ready_session(handle)?;
        let search = state.session(handle)?.search.take();
        search.map(drop).ok_or(CKR_OPERATION_NOT_INITIALIZED)
    }

    /// `C_GetAttributeValue`: for each attribute its value or why there is none.
    pub(crate) fn attributes(
        &self,
        handle: CK_SESSION_HANDLE,
        object: CK_OBJECT_HANDLE,
        wanted: &[CK_ATTRIBUTE_TYPE],
    ) -> Answer<Vec<Answer<Vec<u8>>>> {
        let mut state = self.ready_session(handle)?;
        let (token, ..) = state.parts(handle)?;
        token.not_busy()?;
        let object = token.object(object).ok_or(CKR_OBJECT_HANDLE_INVALID)?;
        let faults = token.signing_faults(&object.label);
        Ok(wanted
            .iter()
            .map(|attribute| object.attribute(*attribute, token.settings.ec_point, faults))
            .collect())
    }

    /// `C_DestroyObject`.
    pub(crate) fn destroy(&self, handle: CK_SESSION_HANDLE, object: CK_OBJECT_HANDLE) -> Answer<()> {
        let mut state = self.ready_session(handle)?;
        let (token, _, session) = state.parts(handle)?;
        if !session.read_write {
            return Err(CKR_SESSION_READ_ONLY);
        }
        token.not_busy()?;
        token.destroy(object)
    }

    /// `C_GenerateKeyPair`: public handle, private handle.
    pub(crate) fn generate(
        &self,
        handle: CK_SESSION_HANDLE,
        mechanism: CK_MECHANISM_TYPE,
        public: &[Attribute<'_>],
        private: &[Attribute<'_>],
    ) -> Answer<[CK_OBJECT_HANDLE; 2]> {
        let mut state = self.ready_session(handle)?;
        let scheme = mechanism::generates(mechanism).ok_or(CKR_MECHANISM_INVALID)?;
        let public = Wanted::read(Half::Public, scheme, public)?;
        let private = Wanted::read(Half::Private, scheme, private)?;
        let (token, handles, session) = state.parts(handle)?;
        if (public.token || private.token) && !session.read_write {
            return Err(CKR_SESSION_READ_ONLY);
        }
        if !token.logged_in {
            return Err(CKR_USER_NOT_LOGGED_IN);
        }
        token.not_busy()?;
        token.refresh(handles)?;
        token.generate(scheme, [(Half::Public, public), (Half::Private, private)], handle, handles)
    }

    /// `C_SignInit`. One that is never finished stays active.
    pub(crate) fn sign_init(&self, handle: CK_SESSION_HANDLE, mechanism: CK_MECHANISM_TYPE, key: CK_OBJECT_HANDLE) -> Answer<()> {
        let mut state = self.ready_session(handle)?;
        let (token, _, session) = state.parts(handle)?;
        if session.signing.is_some() {
            return Err(CKR_OPERATION_ACTIVE);
        }
        token.not_busy()?;
        if !token.logged_in {
            return Err(CKR_USER_NOT_LOGGED_IN);
        }
        let scheme = mechanism::signs(mechanism).ok_or(CKR_MECHANISM_INVALID)?;
        let object = token.object(key).ok_or(CKR_KEY_HANDLE_INVALID)?;
        if object.half == Half::Public {
            return Err(CKR_KEY_FUNCTION_NOT_PERMITTED);
        }
        if object.pair.scheme() != scheme {
            return Err(CKR_KEY_TYPE_INCONSISTENT);
        }
        session.signing = Some(Signing {
            pair: object.pair.clone(),
            label: object.label.clone(),
        });
        Ok(())
    }

    /// `C_Sign`, with the room there is for the signature, or None to ask for its length.
    pub(crate) fn sign(&self, handle: CK_SESSION_HANDLE, data: &[u8], room: Option<usize>) -> Answer<Signed> {
        let mut state = self.ready_session(handle)?;
        let (token, _, session) = state.parts(handle)?;
        let signing = session.signing.as_ref().ok_or(CKR_OPERATION_NOT_INITIALIZED)?;
        token.not_busy()?;
        let scheme = signing.pair.scheme();
        match room {
            None => return Ok(Signed::Length(scheme.signature_len())),
            Some(room) if room < scheme.signature_len() => return Ok(Signed::NoRoom(scheme.signature_len())),
            Some(_) => {}
        }
        // From here on it is over, however it ends.
        let signing = session.signing.take().ok_or(CKR_OPERATION_NOT_INITIALIZED)?;
        if data.is_empty() && scheme == crate::Scheme::Secp256k1Ecdsa || data.len() > DATA_MAX {
            return Err(CKR_DATA_LEN_RANGE);
        }
        let mut faults = token.signing_faults(&signing.label).clone();
        let place = session.place;
        if faults.latency_ms > 0 {
            drop(state);
            state = self.ready(|state| {
                state
                    .tokens
                    .get(place)
                    .map_or(0, |token| token.signing_faults(&signing.label).latency_ms)
            })?;
            state.admit(handle)?;
            faults = state.token(place)?.signing_faults(&signing.label).clone();
        }
        if faults.fails {
            return Err(CKR_FUNCTION_FAILED);
        }
        let raise = state.token(place)?.count_signature(scheme);
        drop(state);
        let signature = signing.pair.sign(data, &faults, raise).map_err(|_| CKR_FUNCTION_FAILED)?;
        Ok(Signed::Bytes(signature))
    }
}
