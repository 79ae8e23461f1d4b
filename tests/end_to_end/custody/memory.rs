//! What the memory of the live daemon holds after secrets came and went.

use super::open_node;
use std::os::unix::fs::PermissionsExt;

/// How often these bytes lie in the memory of a process, as far as it can write there.
fn found_in_memory(pid: u32, wanted: &[u8]) -> std::io::Result<usize> {
    use std::os::unix::fs::FileExt;
    let memory = std::fs::File::open(format!("/proc/{pid}/mem"))?;
    let mut found = 0;
    for line in std::fs::read_to_string(format!("/proc/{pid}/maps"))?.lines() {
        let mut words = line.split_ascii_whitespace();
        let (range, permissions) = (words.next().unwrap(), words.next().unwrap());
        let (from, to) = range.split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        if !permissions.starts_with("rw") || to - from > 1 << 30 {
            continue;
        }
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        // Some of the kernel's own cannot be read.
        if memory.read_exact_at(&mut bytes, from).is_ok() {
            found += bytes.windows(wanted.len()).filter(|window| *window == wanted).count();
        }
    }
    Ok(found)
}

/// What an operator sets, gets and imports goes through the buffers of the daemon's transport.
#[test]
fn a_secret_that_came_and_went_by_administration_is_nowhere_in_the_daemons_memory() {
    let mut node = open_node();
    node.start().unwrap();
    let pid = node.pid().unwrap();
    let root = std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
    if !root {
        let refused = found_in_memory(pid, b"anything").unwrap_err();
        assert_eq!(
            refused.kind(),
            std::io::ErrorKind::PermissionDenied,
            "the daemon keeps its memory to itself"
        );
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    let secret = format!("a planted secret {}", std::process::id());
    let given = write("given", &secret);
    let taken = dir.path().join("taken").display().to_string();
    // The daemon names nothing so, and the scan finds what is there.
    assert!(found_in_memory(pid, b"sigwarden").unwrap() > 0);
    node.expect(&["secrets", "set", "igra.hd.payment_secret", "--file", &given, "--reason", "a test"])
        .unwrap();
    node.expect(&["secrets", "get", "igra.hd.payment_secret", "--to", &taken, "--reason", "a test"])
        .unwrap();
    let mut key: Vec<u8> = (1..=32).collect();
    key[..4].copy_from_slice(&std::process::id().to_be_bytes());
    let key_file = write("key", &hex::encode(&key));
    let import = [
        "keys",
        "import",
        "demo.imported",
        "--scheme",
        "secp256k1-ecdsa",
        "--role",
        "account",
        "--secret-file",
        &key_file,
        "--add-to-config",
    ];
    node.expect(&import).unwrap();
    // Their connections end a moment after the commands.
    let begun = std::time::Instant::now();
    loop {
        let left = [secret.as_bytes(), &key, hex::encode(&key).as_bytes()].map(|wanted| found_in_memory(pid, wanted).unwrap());
        if left == [0, 0, 0] {
            break;
        }
        assert!(
            begun.elapsed() < std::time::Duration::from_secs(20),
            "secret, key, key in hex: {left:?} copies"
        );
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}
