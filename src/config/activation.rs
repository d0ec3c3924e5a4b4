//! Sockets that whoever started the process opened for it: `LISTEN_FDS` and `LISTEN_PID`, as systemd sets them.

use super::mistake::Mistake;
use super::vars::Vars;

/// More than anyone configures, and few enough to try each.
const MOST: usize = 1024;

/// How many sockets there are, from file descriptor 3 on.
pub(super) fn sockets(vars: &Vars, mistakes: &mut Vec<Mistake>, warnings: &mut Vec<String>) -> usize {
    let Some(count) = vars.set("LISTEN_FDS") else { return 0 };
    // Variables outlive the process that they are for: its children have them, too, but not its sockets.
    let own = std::process::id().to_string();
    let pid = vars.set("LISTEN_PID");
    if pid != Some(&own) {
        let whose = pid.map_or("LISTEN_PID is not set".to_owned(), |pid| format!("LISTEN_PID is {pid}"));
        warnings.push(format!("LISTEN_FDS is set, but not for this process, which is {own}: {whose}"));
        return 0;
    }
    match count.parse() {
        Ok(count) if count <= MOST => count,
        _ => {
            mistakes.push(Mistake::new(
                "LISTEN_FDS",
                format!("`{count}` is not a number of sockets"),
                format!("set it to a number from 0 to {MOST}, or unset it and use --listen"),
            ));
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(pid: &str, count: &str) -> (usize, usize, usize) {
        let vars = Vars::from_iter([("LISTEN_PID", pid), ("LISTEN_FDS", count)]);
        let (mut mistakes, mut warnings) = (Vec::new(), Vec::new());
        let count = super::sockets(&vars, &mut mistakes, &mut warnings);
        (count, mistakes.len(), warnings.len())
    }

    #[test]
    fn only_sockets_for_this_process_count() {
        let own = std::process::id().to_string();
        assert_eq!(sockets(&own, "2"), (2, 0, 0));
        assert_eq!(sockets(&own, "0"), (0, 0, 0));
        assert_eq!(sockets(&own, ""), (0, 0, 0), "empty is unset");
        for pid in ["1", "", "-1", "me"] {
            assert_eq!(sockets(pid, "2"), (0, 0, 1), "{pid:?}");
        }
    }

    #[test]
    fn a_number_that_is_none_is_a_mistake() {
        let own = std::process::id().to_string();
        for count in ["two", "-1", "1.5", "99999999999999999999", "4096"] {
            assert_eq!(sockets(&own, count), (0, 1, 0), "{count}");
        }
    }
}
