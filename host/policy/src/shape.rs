//! What a module may be made of, found out before it is compiled: compiling has no fuel, and a few kilobytes can cost it all memory.

use crate::error::LoadFault;
use crate::text;
use wasmparser::{BlockType, Operator, Parser, Payload};

/// Bytes of one function at most. The reference policies' largest has 15 KB; the compiler's worst cases grow with the square.
const BODY_BYTES_MAX: usize = 64 * 1024;
/// Locals of one function at most; the reference policies' most are 66. Each costs the compiler memory, and eight bytes declare thousands.
const LOCALS_MAX: u64 = 1_000;
/// Bytes of all functions at most; the reference policies' most are 0.5 MB.
const CODE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Functions at most; the reference policies have some 1,500.
const FUNCTIONS_MAX: u32 = 20_000;
/// Squares of the functions' bytes, summed: four functions of the greatest size. The compiler's worst case takes some 20 s with so many.
const SQUARES_MAX: u64 = 4 * (BODY_BYTES_MAX as u64) * (BODY_BYTES_MAX as u64);
/// Function types at most; the reference policies have some 60. Each costs code to enter it.
const TYPES_MAX: u32 = 2_000;
/// Parameters and results of a function at most; the contract's own have 16 and 1 in core WebAssembly. Each call, entry and block multiplies them.
const PARAMETERS_MAX: usize = 64;
/// See [`PARAMETERS_MAX`].
const RESULTS_MAX: usize = 16;
/// Blocks with parameters or several results, in one function: Rust's compiler makes none. Each is values for each of its ends.
const TYPED_BLOCKS_MAX: u32 = 64;
/// Entries at most of each of a component's own sections; the reference policies have some 100.
const ITEMS_MAX: u32 = 2_000;
/// Core modules, and instances of them, at most: a component of one has two shims beside it.
const MODULES_MAX: u32 = 16;

#[derive(Default)]
struct Seen {
    modules: u32,
    instances: u32,
    functions: u32,
    types: u32,
    code: usize,
    squares: u64,
}

/// Judges a component by its bytes alone.
///
/// # Errors
/// What there is too much of. What cannot be read cannot be judged, and is not compiled either.
pub(crate) fn judge(wasm: &[u8]) -> Result<(), LoadFault> {
    let mut seen = Seen::default();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(|error| LoadFault::Compile(text::escape(&error.to_string(), 1024)))?;
        seen.take(&payload).map_err(LoadFault::Shape)?;
    }
    Ok(())
}

impl Seen {
    fn take(&mut self, payload: &Payload<'_>) -> Result<(), String> {
        let over = |what: &str, found: u64, most: u64| match found > most {
            true => Err(format!("{found} {what}, {most} are the most")),
            false => Ok(()),
        };
        #[allow(
            clippy::wildcard_enum_match_arm,
            reason = "the rest of the binary format; its parts are validated when they are compiled"
        )]
        match payload {
            // Components in components unfold as they are instantiated: forty that double are a trillion.
            Payload::ComponentSection { .. } => return Err("a component in a component".to_owned()),
            Payload::ModuleSection { .. } => {
                self.modules += 1;
                over("core modules", self.modules.into(), MODULES_MAX.into())?;
            }
            Payload::InstanceSection(section) => {
                self.instances = self.instances.saturating_add(section.count());
                // wit-component also makes instances of exports alone.
                over("core instances", self.instances.into(), u64::from(MODULES_MAX) * 4)?;
            }
            Payload::ComponentInstanceSection(section) => {
                self.instances = self.instances.saturating_add(section.count());
                over("instances", self.instances.into(), u64::from(MODULES_MAX) * 4)?;
            }
            Payload::ComponentCanonicalSection(section) => over("canonical functions", section.count().into(), ITEMS_MAX.into())?,
            Payload::ComponentTypeSection(section) => over("component types", section.count().into(), ITEMS_MAX.into())?,
            Payload::ComponentAliasSection(section) => over("aliases", section.count().into(), ITEMS_MAX.into())?,
            Payload::ComponentImportSection(section) => over("imports", section.count().into(), ITEMS_MAX.into())?,
            Payload::ComponentExportSection(section) => over("exports", section.count().into(), ITEMS_MAX.into())?,
            Payload::TypeSection(section) => {
                self.types = self.types.saturating_add(section.count());
                over("types", self.types.into(), TYPES_MAX.into())?;
                for ty in section.clone().into_iter_err_on_gc_types() {
                    // Of a proposal that is off: the compiler refuses the module as a whole.
                    let Ok(ty) = ty else { break };
                    over("parameters of one function", ty.params().len() as u64, PARAMETERS_MAX as u64)?;
                    over("results of one function", ty.results().len() as u64, RESULTS_MAX as u64)?;
                }
            }
            Payload::CodeSectionStart { count, .. } => {
                self.functions = self.functions.saturating_add(*count);
                over("functions", self.functions.into(), FUNCTIONS_MAX.into())?;
            }
            Payload::CodeSectionEntry(body) => {
                let bytes = body.as_bytes().len();
                over("bytes in one function", bytes as u64, BODY_BYTES_MAX as u64)?;
                self.code += bytes;
                over("bytes of code", self.code as u64, CODE_BYTES_MAX as u64)?;
                self.squares = self.squares.saturating_add((bytes as u64).saturating_mul(bytes as u64));
                if self.squares > SQUARES_MAX {
                    return Err("too many large functions; split them".to_owned());
                }
                let mut locals = 0_u64;
                let groups = body.get_locals_reader().map_err(|error| error.to_string())?;
                for group in groups {
                    let (count, _) = group.map_err(|error| error.to_string())?;
                    locals += u64::from(count);
                    over("locals in one function", locals, LOCALS_MAX)?;
                }
                let mut typed: u32 = 0;
                let mut operators = body.get_operators_reader().map_err(|error| error.to_string())?;
                while !operators.eof() {
                    let Ok(operator) = operators.read() else { break };
                    if let Operator::Block {
                        blockty: BlockType::FuncType(_),
                    }
                    | Operator::Loop {
                        blockty: BlockType::FuncType(_),
                    }
                    | Operator::If {
                        blockty: BlockType::FuncType(_),
                    } = operator
                    {
                        typed += 1;
                        over(
                            "blocks with parameters in one function",
                            u64::from(typed),
                            u64::from(TYPED_BLOCKS_MAX),
                        )?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
