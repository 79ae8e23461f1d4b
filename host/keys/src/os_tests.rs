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
