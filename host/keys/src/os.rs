//! All that Rust calls unsafe in this crate: memory that stays out of swap and core dumps, variables that leave the environment, freed memory
//! and code that go back to the system, and memory that is overwritten first.
#![allow(unsafe_code, reason = "mmap, mlock, madvise and the environment have no safe interface")]

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous, munmap};
use rustix::process::{Resource, getrlimit};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::{CStr, OsString, c_char};
use std::io;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut, Range};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::ptr::NonNull;
use std::sync::Arc;
use zeroize::{Zeroize, Zeroizing};

/// What a slot holds: a secret of 32 or 64 bytes: a cache line.
pub(crate) type SlotBytes = [[u8; 32]; 2];

/// Bytes of a slot.
pub(crate) const SLOT_BYTES: usize = size_of::<SlotBytes>();

/// Why there is no locked memory.
#[derive(Debug, thiserror::Error)]
pub enum ArenaError {
    /// The kernel gives no memory.
    #[error("cannot map {bytes} bytes of memory for keys: {source}")]
    Map {
        /// Bytes asked for.
        bytes: usize,
        /// What the kernel says.
        source: io::Error,
    },
    /// The kernel does not lock it: nearly always `RLIMIT_MEMLOCK`.
    #[error(
        "cannot lock {bytes} bytes of memory, so keys could reach the swap: {source}. The limit is {limit}; raise it with \
         `LimitMEMLOCK=1M` in the systemd unit, `ulimit -l 1024` in the shell, or `--ulimit memlock=1048576` for a container"
    )]
    Lock {
        /// Bytes asked for.
        bytes: usize,
        /// `RLIMIT_MEMLOCK` as found.
        limit: String,
        /// What the kernel says.
        source: io::Error,
    },
}

impl ArenaError {
    /// An arena without slots, which nobody asks for.
    pub(crate) fn empty() -> Self {
        Self::Map {
            bytes: 0,
            source: io::ErrorKind::InvalidInput.into(),
        }
    }
}

/// Pages that are locked, left out of core dumps, and read as zeros in a forked child. Wiped before they go back.
struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the pages belong to this value alone until it is dropped; access goes through `Slot`s, whose ranges are disjoint.
unsafe impl Send for Mapping {}
// SAFETY: as above; `Mapping` itself hands out no reference.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(len: usize) -> Result<Self, ArenaError> {
        let map = |source: rustix::io::Errno| ArenaError::Map {
            bytes: len,
            source: source.into(),
        };
        // SAFETY: an anonymous mapping at an address of the kernel's choice aliases nothing.
        let start = unsafe { mmap_anonymous(std::ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) };
        let start = NonNull::new(start.map_err(map)?.cast::<u8>()).ok_or_else(|| map(rustix::io::Errno::NOMEM))?;
        let mapping = Self { start, len };
        // SAFETY: the range is the mapping just made. Locking faults the pages in.
        unsafe { mlock(start.as_ptr().cast(), len) }.map_err(|source| lock_error(len, source.into()))?;
        for advice in [Advice::LinuxDontDump, Advice::LinuxWipeOnFork] {
            // SAFETY: the range is the mapping just made; neither advice changes its contents in this process.
            unsafe { madvise(start.as_ptr().cast(), len, advice) }.map_err(map)?;
        }
        Ok(mapping)
    }
}

fn lock_error(bytes: usize, source: io::Error) -> ArenaError {
    let limit = getrlimit(Resource::Memlock)
        .current
        .map_or_else(|| "unlimited".to_owned(), |bytes| format!("{bytes} bytes"));
    ArenaError::Lock { bytes, limit, source }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range is mapped and writable until the next line, and no slot is left: each holds an `Arc` of this value.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }.zeroize();
        // SAFETY: the range came from `mmap_anonymous`, and nothing refers to it any more. A failure would only leak it.
        let _ = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// One piece of a locked mapping, owned alone. Wiped when dropped.
pub(crate) struct Slot {
    mapping: Arc<Mapping>,
    offset: usize,
}

/// Maps and locks `count` slots.
pub(crate) fn locked_slots(count: usize) -> Result<Vec<Slot>, ArenaError> {
    let mapping = Arc::new(Mapping::new(count * SLOT_BYTES)?);
    Ok((0..count)
        .map(|index| Slot {
            mapping: Arc::clone(&mapping),
            offset: index * SLOT_BYTES,
        })
        .collect())
}

impl Deref for Slot {
    type Target = SlotBytes;

    fn deref(&self) -> &Self::Target {
        // SAFETY: `offset + SLOT_BYTES` is within the mapping, which lives as long as the `Arc`; only this slot has this offset.
        unsafe { &*self.mapping.start.as_ptr().add(self.offset).cast() }
    }
}

impl DerefMut for Slot {
    fn deref_mut(&mut self) -> &mut Self::Target {
        // SAFETY: as in `deref`; `&mut self` makes the reference unique.
        unsafe { &mut *self.mapping.start.as_ptr().add(self.offset).cast() }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.zeroize();
    }
}

/// Why a variable could not be taken out of the environment.
#[derive(Debug, thiserror::Error)]
pub enum TakeVariableError {
    /// It is not set.
    #[error("the environment variable `{0}` is not set")]
    NotSet(String),
    /// Other threads run already, and the C library reads the environment without a lock.
    #[error("the environment variable `{0}` holds a secret and must be read before the process starts threads: read it at the top of main")]
    Threads(String),
    /// `/proc/self/task` cannot be read, so that nobody knows whether threads run.
    #[error("cannot tell whether threads run, so the environment variable `{name}` is not read: /proc/self/task: {source}")]
    Unknown {
        /// The variable.
        name: String,
        /// What reading it said.
        source: io::Error,
    },
}

unsafe extern "C" {
    /// POSIX: the environment, a null-terminated array of `NAME=value` strings.
    static mut environ: *mut *mut c_char;
}

/// Takes a variable out of the environment, and wipes its value where it lay, so that neither a child nor `/proc/PID/environ`
/// shows it. Call it at start: it refuses once other threads run.
pub(crate) fn take_variable(name: &str) -> Result<Zeroizing<Vec<u8>>, TakeVariableError> {
    let threads = std::fs::read_dir("/proc/self/task").map_err(|source| TakeVariableError::Unknown {
        name: name.to_owned(),
        source,
    })?;
    if threads.count() != 1 {
        return Err(TakeVariableError::Threads(name.to_owned()));
    }
    let value: OsString = std::env::var_os(name).ok_or_else(|| TakeVariableError::NotSet(name.to_owned()))?;
    let value = Zeroizing::new(value.into_vec());
    let found = find(name);
    // SAFETY: this is the only thread, so nobody reads the environment meanwhile.
    unsafe { std::env::remove_var(name) };
    if let Some(mut byte) = found {
        // SAFETY: `byte` walks the value of a null-terminated string of the environment, up to its end. The string stays allocated
        // after `remove_var`: the C library frees none, since callers of `getenv` may hold it. This is the only thread.
        unsafe {
            while *byte != 0 {
                byte.write_volatile(0);
                byte = byte.add(1);
            }
        }
    }
    Ok(value)
}

/// Where the value of a variable lies.
fn find(name: &str) -> Option<*mut c_char> {
    // SAFETY: the caller is the only thread; `environ` is null or a null-terminated array of null-terminated strings.
    unsafe {
        let mut entry = environ;
        while !entry.is_null() && !(*entry).is_null() {
            let text = CStr::from_ptr(*entry).to_bytes();
            if text.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'=')) {
                return Some((*entry).add(name.len() + 1));
            }
            entry = entry.add(1);
        }
    }
    None
}

/// The system's allocator. Where [`wiping_freed_memory`] runs, and on threads that asked for it, what is given back is overwritten first.
struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

thread_local! {
    // Without a destructor and initialised at compile time, so that reading it allocates nothing.
    static WIPING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`, which calls a library that copies secrets about, and overwrites each block of the heap that it frees.
pub(crate) fn wiping_freed_memory<T>(work: impl FnOnce() -> T) -> T {
    struct Restored(bool);
    impl Drop for Restored {
        fn drop(&mut self) {
            WIPING.set(self.0);
        }
    }
    let _restored = Restored(WIPING.replace(true));
    work()
}

/// Overwrites each block of the heap that this thread frees from now on: for threads of a transport, through whose buffers secrets come
/// and go in pieces that nobody names.
pub fn wipe_what_this_thread_frees() {
    WIPING.set(true);
}

// SAFETY: every call goes to `System` with the layout it was given; a block is overwritten within its layout's size, before it is freed.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if WIPING.try_with(Cell::get).unwrap_or(false) {
            // SAFETY: the caller gives back a block of this layout, and nobody else refers to it.
            unsafe { std::slice::from_raw_parts_mut(block.cast::<MaybeUninit<u8>>(), layout.size()) }.zeroize();
        }
        // SAFETY: as in `alloc`.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if !WIPING.try_with(Cell::get).unwrap_or(false) {
            // SAFETY: as in `alloc`.
            return unsafe { System.realloc(block, layout, size) };
        }
        // SAFETY: the caller promises that `size`, rounded up to the alignment, does not overflow `isize`.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: `size` is not zero, by the caller's promise.
        let moved = unsafe { self.alloc(wanted) };
        if !moved.is_null() {
            // SAFETY: both blocks have at least so many bytes, and a new block overlaps no other.
            unsafe { std::ptr::copy_nonoverlapping(block, moved, layout.size().min(size)) };
            // SAFETY: the caller gives the old block up.
            unsafe { self.dealloc(block, layout) };
        }
        moved
    }
}

/// Keeps the allocator from hoarding: at most two arenas (glibc gives each of the request threads one, up to eight a core, and each
/// keeps what it once held), and large or freed blocks go back to the system at once. Call it before threads start. Does nothing where
/// the C library is not glibc.
pub fn limit_allocator() {
    #[cfg(target_env = "gnu")]
    {
        // `mallopt(3)`: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX. The thresholds are glibc's own first values, fixed.
        for (parameter, value) in [(-1, 128 * 1024), (-3, 128 * 1024), (-8, 2)] {
            // A refusal leaves the default, which only costs memory.
            let _ = mallopt(parameter, value);
        }
    }
}

/// Gives memory that was freed back to the system: compiling policies leaves some 30 MiB. Does nothing where the C library is not
/// glibc.
pub fn release_freed_memory() {
    #[cfg(target_env = "gnu")]
    malloc_trim(0);
}

/// Gives memory back to the system that only a start needed: what was freed, and the program's own code (a start runs through 15 MiB of it,
/// requests through four), which comes back from the page cache where it is called again.
pub fn release_memory() {
    release_freed_memory();
    let Ok(program) = std::fs::metadata("/proc/self/exe") else { return };
    let Ok(smaps) = std::fs::read_to_string("/proc/self/smaps") else {
        return;
    };
    for code in untouched_code(&smaps, program.ino()) {
        // SAFETY: the range is mapped from the program's file, privately, for reading and executing alone, and no page of it was written
        // to: what is let go is read from the same file at the next call. Nothing writes to it meanwhile, since nothing may.
        // A refusal only costs memory.
        let _ = unsafe { madvise(std::ptr::without_provenance_mut(code.start), code.len(), Advice::LinuxDontNeed) };
    }
}

/// Where the code of the file with this inode is mapped (`proc_pid_smaps(5)`), without a mapping that somebody, a debugger perhaps, wrote into.
fn untouched_code(smaps: &str, inode: u64) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut current = None;
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(first) = words.next() else { continue };
        if let Some((from, to)) = first.split_once('-') {
            // from-to permissions offset device inode path
            let code = words.next() == Some("r-xp") && words.nth(2).and_then(|word| word.parse().ok()) == Some(inode);
            let ends = (usize::from_str_radix(from, 16), usize::from_str_radix(to, 16));
            current = if let (true, (Ok(from), Ok(to))) = (code, ends) {
                Some(from..to)
            } else {
                None
            };
        } else if first == "Anonymous:"
            && let Some(range) = current.take()
            && words.next() == Some("0")
        {
            found.push(range);
        }
    }
    found
}

#[cfg(target_env = "gnu")]
unsafe extern "C" {
    /// `mallopt(3)`; any values are allowed.
    safe fn mallopt(parameter: std::ffi::c_int, value: std::ffi::c_int) -> std::ffi::c_int;
    /// `malloc_trim(3)`; thread-safe.
    safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
}

#[cfg(test)]
#[path = "os_tests.rs"]
mod tests;
