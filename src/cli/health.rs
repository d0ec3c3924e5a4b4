//! `pounce health`: asks a running server whether it is ready, for health checks in images that have no other client.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use clap::{ArgMatches, Command};

use super::{MISTAKE, flags, output};
use crate::config::{ListenAddr, Mistake};
use pounce_telemetry::logs::one_line;

const AFTER_HELP: &str = "\
What it does:
  It asks for /readyz of the admin listener that the settings name (--admin-listen or
  POUNCE_ADMIN_LISTEN, as for pounce serve), and prints the answer. Where the server listens on all
  addresses, it is asked on this machine's own. An answer that takes longer than two seconds is none.

Exit status:
  0  the server is ready
  1  it is starting, draining, or does not answer
  2  a mistake in the command line or the configuration, or no admin listener

Example:
  HEALTHCHECK of a container image:
    HEALTHCHECK CMD [\"pounce\", \"health\"]";

/// How long it may take until there is an answer, all steps together.
const WITHIN: Duration = Duration::from_secs(2);
/// What a server says that is ready.
const READY: &str = "ready";
/// Bytes of an answer that are read: what listens there may be another program.
const MOST: u64 = 16 * 1024;

pub(super) fn command() -> Command {
    Command::new("health").about("Asks a running server whether it is ready").defer(|command| {
        let command = command
            .long_about(
                "Asks a running server whether it is ready: for health checks of containers and supervisors.",
            )
            .max_term_width(100)
            .args_override_self(true)
            .after_help("Each option can also be set by a variable or in a file: see --help.")
            .after_long_help(AFTER_HELP);
        flags::add_where(command, |option| option.key() == "admin.listen")
    })
}

/// Asks; `unknown` is what of the command line was not understood.
pub(super) fn run(matches: &ArgMatches, unknown: Vec<Mistake>) -> ExitCode {
    let loaded = match super::settings(matches, &unknown) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let Some(addr) = &loaded.config.admin.listen else {
        let what = "there is no admin listener to ask";
        let hint = "name the one of the server: --admin-listen, POUNCE_ADMIN_LISTEN, or listen under [admin] in the file";
        output::mistakes(&[Mistake::new("admin.listen", what, hint)]);
        return ExitCode::from(MISTAKE);
    };
    match ask_in_time(addr.clone()) {
        // The listener for clients may answer 200 as well.
        Ok((200, answer)) if answer != READY => {
            output::error(format_args!("{addr} answers {answer:?}: is this Pounce's admin listener?"));
            ExitCode::FAILURE
        }
        Ok((200, answer)) => {
            output::report(&format!("{answer}\n"));
            ExitCode::SUCCESS
        }
        Ok((status, answer)) => {
            output::error(format_args!("the server at {addr} is not ready: {status} {answer}"));
            ExitCode::FAILURE
        }
        Err(error) => {
            output::error(format_args!("the server at {addr} does not answer: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Asks on a thread of its own: a name may take for ever to resolve, a socket to connect, an answer to end. The process
/// ends with the thread still waiting.
fn ask_in_time(addr: ListenAddr) -> anyhow::Result<(u16, String)> {
    let (sender, answer) = mpsc::channel();
    std::thread::Builder::new()
        .spawn(move || {
            // Nobody waits for what comes too late.
            _ = sender.send(ask(&addr));
        })
        .context("cannot start a thread")?;
    answer.recv_timeout(WITHIN).unwrap_or_else(|_| Err(anyhow!("no answer within {WITHIN:?}")))
}

/// The status and the first line of what `/readyz` answers.
fn ask(addr: &ListenAddr) -> anyhow::Result<(u16, String)> {
    match addr {
        ListenAddr::Tcp(addr) => exchange(TcpStream::connect(here(*addr))?),
        ListenAddr::Host { .. } => {
            let addrs =
                addr.to_string().to_socket_addrs().with_context(|| format!("cannot resolve `{addr}`"))?;
            exchange(TcpStream::connect(&*addrs.map(here).collect::<Vec<_>>())?)
        }
        ListenAddr::Unix(path) => exchange(UnixStream::connect(path)?),
    }
}

/// Who listens on all addresses is asked on this machine's own.
fn here(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, addr.port())
}

fn exchange(mut stream: impl Read + Write) -> anyhow::Result<(u16, String)> {
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let status =
        status.ok_or_else(|| anyhow!("what came is no HTTP response: is this Pounce's admin listener?"))?;
    Ok((status, one_line(body.lines().next().unwrap_or_default()).to_string()))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// What is read is there; what is written is lost.
    struct Peer(Cursor<&'static [u8]>);

    impl Read for Peer {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Peer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_help_is_the_committed_one() {
        crate::cli::tests::help_is_committed("health", command());
    }

    #[test]
    fn an_answer_is_its_status_and_first_line() {
        let cases: [(&[u8], _); 5] = [
            (b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nready\n", Some((200, "ready"))),
            (b"HTTP/1.1 503 Service Unavailable\r\n\r\ndraining\nmore\n", Some((503, "draining"))),
            (b"HTTP/1.1 204 No Content\r\n\r\n", Some((204, ""))),
            (b"SSH-2.0-OpenSSH_9.2\r\n", None),
            (b"", None),
        ];
        for (answer, expected) in cases {
            let got = exchange(Peer(Cursor::new(answer))).ok();
            assert_eq!(got, expected.map(|(status, line)| (status, line.to_owned())));
        }
    }

    #[test]
    fn all_addresses_are_asked_on_this_machine() {
        for (addr, expected) in [
            ("0.0.0.0:81", "127.0.0.1:81"),
            ("[::]:81", "[::1]:81"),
            ("192.0.2.1:81", "192.0.2.1:81"),
            ("[2001:db8::1]:81", "[2001:db8::1]:81"),
        ] {
            assert_eq!(here(addr.parse().unwrap()), expected.parse().unwrap());
        }
    }
}
