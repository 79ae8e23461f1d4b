//! What a guest may call. Strings and lists are looked at in the guest's memory and counted before anything is copied.

use crate::convert;
use crate::guest::{Guest, HostCall, HostFault};
use crate::wit::sigwarden::policy::{log, watermarks};
use wasmtime::component::{Linker, LinkerInstance, WasmList, WasmStr};
use wasmtime::{Error, Result, StoreContextMut};

/// The package of the contract, with its version.
pub(crate) const PACKAGE: &str = "sigwarden:policy";
/// The version of the contract.
pub(crate) const VERSION: &str = "0.1.0";
/// The interfaces that a module may import.
pub(crate) const INTERFACES: [&str; 5] = ["limits", "log", "storage", "types", "watermarks"];

type Call<'a> = StoreContextMut<'a, Guest>;

/// A linker with exactly the imports of world `policy`.
pub(crate) fn linker(engine: &wasmtime::Engine) -> Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    instance(&mut linker, "types")?;

    instance(&mut linker, "limits")?.func_wrap(
        "take",
        |mut call: Call<'_>, (bucket, cost, capacity, period): (WasmStr, u64, u64, u64)| {
            let bucket = text(&mut call, HostCall::Take, &bucket, 0)?;
            let staging = call.data_mut().staging(HostCall::Take)?;
            let answer = staging.take(&bucket, cost, capacity, period).map_err(contract(HostCall::Take))?;
            Ok((convert::taken(answer),))
        },
    )?;

    let mut watermarks = instance(&mut linker, "watermarks")?;
    type Advance = (WasmStr, WasmList<u64>, WasmList<u8>, watermarks::Order);
    watermarks.func_wrap("advance", |mut call: Call<'_>, (name, position, identity, order): Advance| {
        let bytes = position.len().saturating_mul(size_of::<u64>()).saturating_add(identity.len());
        let name = text(&mut call, HostCall::Advance, &name, bytes)?;
        let position = position.iter(&mut call)?.collect::<Result<Vec<u64>>>()?;
        let identity = identity.as_le_slice(&call).to_vec();
        let staging = call.data_mut().staging(HostCall::Advance)?;
        let answer = staging.advance(&name, &position, &identity, convert::order(order));
        let answer = answer.and_then(convert::advanced).map_err(contract(HostCall::Advance))?;
        Ok((answer,))
    })?;

    let mut storage = instance(&mut linker, "storage")?;
    storage.func_wrap("get", |mut call: Call<'_>, (name,): (WasmStr,)| {
        let name = text(&mut call, HostCall::Get, &name, 0)?;
        let guest = call.data_mut();
        let value = guest.staging(HostCall::Get)?.get(&name).map_err(contract(HostCall::Get))?;
        guest.spend(value.as_ref().map_or(0, Vec::len))?;
        Ok((value,))
    })?;
    storage.func_wrap("set", |mut call: Call<'_>, (name, value): (WasmStr, WasmList<u8>)| {
        let name = text(&mut call, HostCall::Set, &name, value.len())?;
        let value = value.as_le_slice(&call).to_vec();
        let staging = call.data_mut().staging(HostCall::Set)?;
        staging.set(&name, Some(&value)).map_err(contract(HostCall::Set))?;
        Ok(())
    })?;
    storage.func_wrap("delete", |mut call: Call<'_>, (name,): (WasmStr,)| {
        let name = text(&mut call, HostCall::Delete, &name, 0)?;
        let staging = call.data_mut().staging(HostCall::Delete)?;
        staging.set(&name, None).map_err(contract(HostCall::Delete))?;
        Ok(())
    })?;

    instance(&mut linker, "log")?.func_wrap("emit", |mut call: Call<'_>, (level, line): (log::Level, WasmStr)| {
        if !call.data_mut().log.has_room() {
            return Ok(());
        }
        let line = text(&mut call, HostCall::Emit, &line, 0)?;
        call.data_mut().log.push(convert::level(level), &line);
        Ok(())
    })?;
    Ok(linker)
}

fn instance<'a>(linker: &'a mut Linker<Guest>, interface: &str) -> Result<LinkerInstance<'a, Guest>> {
    linker.instance(&format!("{PACKAGE}/{interface}@{VERSION}"))
}

/// Opens a call with one text and `more` bytes of other arguments, and copies the text once all of it is paid for.
fn text(call: &mut Call<'_>, function: HostCall, text: &WasmStr, more: usize) -> Result<String> {
    let (bytes, copy) = {
        let view = text.to_str(&*call).map_err(|_| HostFault::Text(function.name()))?;
        let bytes = view.len().saturating_add(more);
        // A guest that has spent its bytes gets no copy; `enter` says so.
        (bytes, (bytes <= call.data().bytes_left()).then(|| view.into_owned()))
    };
    call.data_mut().enter(function, bytes)?;
    copy.ok_or_else(|| Error::new(HostFault::Bytes(bytes)))
}

fn contract(call: HostCall) -> impl Fn(sigwarden_core::staging::StagingFault) -> HostFault {
    move |fault| HostFault::Contract(call.name(), fault)
}
