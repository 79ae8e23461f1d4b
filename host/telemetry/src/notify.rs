//! Notes to systemd, sd_notify(3): `Type=notify` and `WatchdogSec=` of the unit. A datagram to the socket that `NOTIFY_SOCKET` names; without
//! it nothing is sent. Written over std, since the one crate for it brings C calls of its own for forty lines.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The longest status that is sent: systemd shows one line.
const STATUS_MAX: usize = 256;

/// The service manager, if there is one.
#[derive(Debug)]
pub struct Notify(Option<(UnixDatagram, SocketAddr)>);

impl Notify {
    /// What `NOTIFY_SOCKET` names.
    ///
    /// # Errors
    /// It names no socket address.
    pub fn from_env() -> io::Result<Self> {
        match std::env::var_os("NOTIFY_SOCKET") {
            Some(name) => Self::to(name.as_bytes()),
            None => Ok(Self(None)),
        }
    }

    /// Nobody.
    #[must_use]
    pub fn nobody() -> Self {
        Self(None)
    }

    /// To this socket: a path, or `@` and an abstract name.
    ///
    /// # Errors
    /// It is neither, or there are no descriptors left.
    pub fn to(name: &[u8]) -> io::Result<Self> {
        let address = match name.split_first() {
            Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
            Some((b'/', _)) => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name))?,
            _ => {
                let wrong = "NOTIFY_SOCKET names no socket; an absolute path, or `@` and a name, is right";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, wrong));
            }
        };
        let socket = UnixDatagram::unbound()?;
        // A service manager that does not read must not hold up a signer.
        socket.set_nonblocking(true)?;
        Ok(Self(Some((socket, address))))
    }

    /// Requests are answered from now on.
    ///
    /// # Errors
    /// The note could not be sent. As with all of them: for the log, not a reason to stop.
    pub fn ready(&self, status: &str) -> io::Result<()> {
        self.send(&format!("READY=1\nSTATUS={}\n", line(status)))
    }

    /// What is done now, for `systemctl status`.
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub fn status(&self, status: &str) -> io::Result<()> {
        self.send(&format!("STATUS={}\n", line(status)))
    }

    /// The configuration is read again (`Type=notify-reload`); [`Self::ready`] ends it.
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub fn reloading(&self) -> io::Result<()> {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = now.tv_sec.saturating_mul(1_000_000).saturating_add(now.tv_nsec / 1000);
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\n"))
    }

    /// Nothing new is taken from now on.
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub fn stopping(&self, status: &str) -> io::Result<()> {
        self.send(&format!("STOPPING=1\nSTATUS={}\n", line(status)))
    }

    /// All is well. Send it at half of [`watchdog`], and only if it is.
    ///
    /// # Errors
    /// As [`Self::ready`].
    pub fn alive(&self) -> io::Result<()> {
        self.send("WATCHDOG=1\n")
    }

    fn send(&self, note: &str) -> io::Result<()> {
        let Some((socket, address)) = &self.0 else { return Ok(()) };
        socket.send_to_addr(note.as_bytes(), address).map(|_| ())
    }
}

/// One line: a status with a line break would be another note.
fn line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(STATUS_MAX)
        .collect()
}

/// How often systemd wants to hear [`Notify::alive`], if it does: `WATCHDOG_USEC`, unless `WATCHDOG_PID` is another process.
#[must_use]
pub fn watchdog() -> Option<Duration> {
    let variable = |name: &str| std::env::var(name).ok();
    watchdog_of(
        variable("WATCHDOG_USEC").as_deref(),
        variable("WATCHDOG_PID").as_deref(),
        std::process::id(),
    )
}

fn watchdog_of(micros: Option<&str>, pid: Option<&str>, own: u32) -> Option<Duration> {
    if pid.is_some_and(|pid| pid.parse() != Ok(own)) {
        return None;
    }
    let micros: u64 = micros?.parse().ok()?;
    (micros > 0).then(|| Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 1024];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    fn says_everything(notify: &Notify, socket: &UnixDatagram) {
        notify.ready("3 keys\nSTOPPING=1").unwrap();
        assert_eq!(received(socket), "READY=1\nSTATUS=3 keys STOPPING=1\n");
        notify.alive().unwrap();
        assert_eq!(received(socket), "WATCHDOG=1\n");
        notify.status(&"x".repeat(1000)).unwrap();
        assert_eq!(received(socket), format!("STATUS={}\n", "x".repeat(256)));
        let clock = || {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
            u64::try_from(now.tv_sec).unwrap() * 1_000_000 + u64::try_from(now.tv_nsec).unwrap() / 1000
        };
        let before = clock();
        notify.reloading().unwrap();
        let note = received(socket);
        let micros: u64 = note
            .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
            .unwrap()
            .trim_end()
            .parse()
            .unwrap();
        assert!((before..=clock()).contains(&micros), "{note}");
        notify.stopping("draining").unwrap();
        assert_eq!(received(socket), "STOPPING=1\nSTATUS=draining\n");
    }

    #[test]
    fn notes_arrive_at_a_socket_in_the_file_system() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        says_everything(&Notify::to(path.as_os_str().as_bytes()).unwrap(), &socket);
    }

    #[test]
    fn notes_arrive_at_an_abstract_socket() {
        let name = format!("sigwarden-notify-test-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        says_everything(&Notify::to(format!("@{name}").as_bytes()).unwrap(), &socket);
    }

    #[test]
    fn nobody_is_told_nothing_and_a_wrong_name_is_refused() {
        Notify::nobody().ready("x").unwrap();
        for wrong in [b"".as_slice(), b"relative", b"vsock:2:1"] {
            assert_eq!(Notify::to(wrong).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        // The manager is gone: an error to log, not to wait for.
        Notify::to(b"/nonexistent/notify").unwrap().alive().unwrap_err();
    }

    #[test]
    fn the_watchdog_is_this_process_own() {
        for (micros, pid, wanted) in [
            (Some("30000000"), Some("7"), Some(30)),
            (Some("30000000"), None, Some(30)),
            (Some("30000000"), Some("8"), None),
            (Some("0"), Some("7"), None),
            (Some("soon"), None, None),
            (None, Some("7"), None),
        ] {
            assert_eq!(watchdog_of(micros, pid, 7), wanted.map(Duration::from_secs), "{micros:?} {pid:?}");
        }
    }
}
