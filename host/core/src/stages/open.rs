//! Bytes to envelope: every field bounded and parsed, the payload's size checked.

use crate::caller::Caller;
use crate::format::Format;
use crate::key::{KeyId, KeyName};
use crate::pipeline::{Limits, SignCall};
use crate::proof::Envelope;
use crate::refusal::{Code, Refusal};
use crate::vocabulary::Operation;
use std::sync::Arc;

/// The longest request id, in bytes: a UUID has 36, a SHA-256 in hex 64.
pub const REQUEST_ID_MAX: usize = 64;

/// Opens a request.
///
/// # Errors
/// A field is missing, too long, or none of its kind; the payload is too large; the operation is not the one wanted.
pub fn open(
    caller: Caller,
    call: SignCall,
    wanted: Operation,
    limits: &Limits,
    host_id: impl FnOnce() -> String,
) -> Result<Envelope, Refusal> {
    if call.payload.len() > limits.payload_bytes {
        let (has, most) = (call.payload.len(), limits.payload_bytes);
        return Err(Refusal::new(
            Code::RequestTooLarge,
            format!("the payload has {has} bytes, {most} are allowed"),
        ));
    }
    let operation: Operation = call
        .operation
        .parse()
        .map_err(|unknown| Refusal::new(Code::UnknownOperation, format!("{unknown}")))?;
    if operation != wanted {
        let message = format!("this call is for `{wanted}`; `{operation}` has a call of its own");
        return Err(Refusal::new(Code::UnknownOperation, message));
    }
    let format: Format = call
        .format
        .parse()
        .map_err(|unknown| Refusal::new(Code::UnknownFormat, format!("{unknown}")))?;
    if format.operation() != operation {
        let message = format!("{format} is for `{}`, not for `{operation}`", format.operation());
        return Err(Refusal::new(Code::FormatOperation, message));
    }
    let scheme = match call.scheme.as_str() {
        "" => None,
        name => Some(
            name.parse()
                .map_err(|unknown| Refusal::new(Code::UnknownScheme, format!("{unknown}")))?,
        ),
    };
    let (key, version) = key_reference(&call.key)?;
    let client_gave_id = !call.request_id.is_empty();
    let id: Arc<str> = if client_gave_id {
        if call.request_id.len() > REQUEST_ID_MAX || !call.request_id.bytes().all(|b| b.is_ascii_graphic()) {
            let message = format!("a request id is 1 to {REQUEST_ID_MAX} visible ASCII characters");
            return Err(Refusal::new(Code::RequestMalformed, message));
        }
        call.request_id.into()
    } else {
        host_id().into()
    };
    Ok(Envelope {
        caller,
        operation,
        key,
        version,
        format,
        scheme,
        id,
        client_gave_id,
        payload: call.payload.into(),
    })
}

/// Reads `namespace.key_id` or `namespace.key_id.v2`.
pub(super) fn key_reference(text: &str) -> Result<(KeyName, Option<u32>), Refusal> {
    if let Ok(id) = text.parse::<KeyId>() {
        return Ok((id.name, Some(id.version)));
    }
    let name = text
        .parse()
        .map_err(|error| Refusal::new(Code::RequestMalformed, format!("{error}")))?;
    Ok((name, None))
}
