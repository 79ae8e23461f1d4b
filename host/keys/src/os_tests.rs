#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
use super::*;

#[test]
fn slots_are_disjoint_and_start_as_zeros() {
    let mut slots = locked_slots(3).unwrap();
    for (index, slot) in slots.iter_mut().enumerate() {
        assert_eq!(**slot, [[0; 32]; 2]);
        **slot = [[u8::try_from(index).unwrap() + 1; 32]; 2];
    }
    for (index, slot) in slots.iter().enumerate() {
        assert_eq!(**slot, [[u8::try_from(index).unwrap() + 1; 32]; 2]);
    }
}

/// The flags that the kernel shows for a mapping (proc(5), `VmFlags`): lo locked, dd not dumped, wf wiped on fork.
#[test]
fn the_pages_are_locked_and_not_dumped() {
    let slots = locked_slots(1).unwrap();
    let address = slots.first().unwrap().as_ptr().addr();
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut inside = false;
    for line in maps.lines() {
        if let Some((range, _)) = line.split_once(' ')
            && let Some((from, to)) = range.split_once('-')
            && let (Ok(from), Ok(to)) = (usize::from_str_radix(from, 16), usize::from_str_radix(to, 16))
        {
            inside = (from..to).contains(&address);
        }
        if let Some(flags) = line.strip_prefix("VmFlags:").filter(|_| inside) {
            for wanted in ["lo", "dd", "wf"] {
                assert!(flags.split_whitespace().any(|flag| flag == wanted), "{wanted} is not in {flags}");
            }
            return;
        }
    }
    panic!("the mapping is not in smaps");
}

#[test]
fn a_lock_that_fails_says_the_limit_and_what_to_do() {
    let text = lock_error(4096, io::Error::from(rustix::io::Errno::NOMEM)).to_string();
    assert!(
        text.contains("4096 bytes") && text.contains("LimitMEMLOCK=1M") && text.contains("ulimit -l"),
        "{text}"
    );
}

#[test]
fn a_variable_is_not_touched_while_threads_run() {
    // The test harness itself runs several threads; one more makes sure.
    let (stop, wait) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || wait.recv());
    assert!(matches!(take_variable("PATH"), Err(TakeVariableError::Threads(name)) if name == "PATH"));
    assert!(std::env::var_os("PATH").is_some());
    drop(stop);
    assert!(thread.join().unwrap().is_err());
}

/// Lines as Linux 6 writes them.
#[test]
fn code_to_let_go_is_the_programs_own_and_unwritten() {
    let mapping = |range: &str, permissions: &str, inode: u64, written: u32| {
        format!(
            "{range} {permissions} 01667000 fe:00 {inode}                   /usr/bin/sigwarden\nSize:   8 kB\nRss:    8 kB\n\
             Private_Dirty:         8 kB\nAnonymous:         {written} kB\nVmFlags: rd ex mr mw me sd\n"
        )
    };
    let smaps = [
        mapping("1000-2000", "r--p", 7, 0),
        mapping("2000-4000", "r-xp", 7, 0),
        mapping("4000-5000", "rw-p", 7, 0),
        // Another file's, a debugger's, the compiled policies'.
        mapping("6000-7000", "r-xp", 8, 0),
        mapping("7000-8000", "r-xp", 7, 4),
        mapping("9000-a000", "r-xp", 0, 0),
        mapping("7f0000000000-7f0000002000", "r-xp", 7, 0),
    ];
    assert_eq!(
        untouched_code(&smaps.concat(), 7),
        [0x2000..0x4000, 0x7f00_0000_0000..0x7f00_0000_2000]
    );
}

#[test]
fn the_program_goes_on_without_its_code_in_memory() {
    let resident = || {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let inode = std::fs::metadata("/proc/self/exe").unwrap().ino();
        let code = untouched_code(&smaps, inode);
        assert_eq!(code.len(), 1, "the test's own code is mapped once: {code:x?}");
        let head = format!("{:x}-{:x} ", code[0].start, code[0].end);
        let (_, rest) = smaps.split_once(&head).unwrap();
        let line = rest.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
        line.trim_end_matches("kB").trim().parse::<u64>().unwrap()
    };
    // Other tests call their code meanwhile, and go on.
    let less = (0..100).any(|_| {
        let before = resident();
        release_memory();
        resident() < before
    });
    assert!(less, "{} KiB are resident", resident());
}
