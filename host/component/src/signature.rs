//! Types of a component's imports and exports as one line each. Records and the like are named by their kind only: the contract is
//! known, and a hostile type can unfold without end.

use wasmparser::component_types::{
    ComponentDefinedType, ComponentEntityType, ComponentFuncTypeId, ComponentInstanceTypeId, ComponentValType,
};
use wasmparser::types::TypesRef;

/// How deep types are written out.
const DEPTH: u32 = 4;
/// Bytes of one line; the rest is an ellipsis.
const LINE: usize = 512;
/// Functions of an interface that are listed; the contract's have three at most.
const FUNCTIONS: usize = 64;

/// The type of an import or export: `func(config: string) -> result<_, list<record>>`.
pub(crate) fn entity(types: TypesRef<'_>, ty: &ComponentEntityType) -> String {
    let mut line = match ty {
        ComponentEntityType::Func(id) => function(types, *id),
        ComponentEntityType::Instance(id) => instance(types, *id),
        ComponentEntityType::Module(_) => "core module".to_owned(),
        ComponentEntityType::Value(_) => "value".to_owned(),
        ComponentEntityType::Type { .. } => "type".to_owned(),
        ComponentEntityType::Component(_) => "component".to_owned(),
    };
    if line.len() > LINE {
        line.truncate(line.floor_char_boundary(LINE));
        line.push('…');
    }
    line
}

/// The functions of an interface; its types are not told.
fn instance(types: TypesRef<'_>, id: ComponentInstanceTypeId) -> String {
    let Some(instance) = types.get(id) else {
        return "interface".to_owned();
    };
    let functions = instance
        .exports
        .iter()
        .filter(|(_, item)| matches!(item.ty, ComponentEntityType::Func(_)));
    let names: Vec<&str> = functions.take(FUNCTIONS).map(|(name, _)| name.as_str()).collect();
    match names.as_slice() {
        [] => "interface of types".to_owned(),
        names => format!("interface of {}", names.join(", ")),
    }
}

fn function(types: TypesRef<'_>, id: ComponentFuncTypeId) -> String {
    let Some(function) = types.get(id) else { return "func".to_owned() };
    let mut line = String::from(if function.async_ { "async func(" } else { "func(" });
    for (index, (name, ty)) in function.params.iter().enumerate() {
        // Beyond the line's length nothing is kept, so nothing is made.
        if line.len() > LINE {
            break;
        }
        if index > 0 {
            line.push_str(", ");
        }
        line.push_str(name);
        line.push_str(": ");
        value(types, *ty, DEPTH, &mut line);
    }
    line.push(')');
    if let Some(result) = function.result {
        line.push_str(" -> ");
        value(types, result, DEPTH, &mut line);
    }
    line
}

fn value(types: TypesRef<'_>, ty: ComponentValType, depth: u32, line: &mut String) {
    let id = match ty {
        ComponentValType::Primitive(primitive) => return line.push_str(&primitive.to_string()),
        ComponentValType::Type(id) => id,
    };
    let Some(defined) = types.get(id).filter(|_| depth > 0 && line.len() <= LINE) else {
        return line.push('…');
    };
    let mut of = |kind: &str, arguments: &[Option<ComponentValType>]| {
        line.push_str(kind);
        line.push('<');
        for (index, argument) in arguments.iter().enumerate() {
            if index > 0 {
                line.push_str(", ");
            }
            match argument {
                Some(argument) => value(types, *argument, depth - 1, line),
                None => line.push('_'),
            }
        }
        line.push('>');
    };
    match defined {
        ComponentDefinedType::Primitive(primitive) => line.push_str(&primitive.to_string()),
        ComponentDefinedType::Record(_) => line.push_str("record"),
        ComponentDefinedType::Variant(_) => line.push_str("variant"),
        ComponentDefinedType::Flags(_) => line.push_str("flags"),
        ComponentDefinedType::Enum(_) => line.push_str("enum"),
        ComponentDefinedType::Own(_) | ComponentDefinedType::Borrow(_) => line.push_str("resource"),
        ComponentDefinedType::List { element, .. } | ComponentDefinedType::FixedLengthList { element, .. } => of("list", &[Some(*element)]),
        ComponentDefinedType::Map { key, value, .. } => of("map", &[Some(*key), Some(*value)]),
        ComponentDefinedType::Option { ty, .. } => of("option", &[Some(*ty)]),
        ComponentDefinedType::Result { ok, err, .. } => of("result", &[*ok, *err]),
        ComponentDefinedType::Tuple(tuple) => {
            // More do not fit the line.
            let types: Vec<_> = tuple.types.iter().take(LINE).map(|ty| Some(*ty)).collect();
            of("tuple", &types);
        }
        ComponentDefinedType::Future { ty, .. } => of("future", &[*ty]),
        ComponentDefinedType::Stream { ty, .. } => of("stream", &[*ty]),
    }
}
