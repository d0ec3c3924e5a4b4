//! How much memory there is to share out: the cgroup's, or the machine's.

use super::value::ByteSize;

/// Where nothing can be found out (not Linux, no `/proc`): small enough for any server.
const UNKNOWN: u64 = 1 << 30;

/// The part of the memory that guests get; the rest is for the host, buffers and the kernel.
const SHARE_PERCENT: u64 = 80;
const MIB: u64 = 1 << 20;

/// The default of `guest.max-total-memory`.
pub(crate) fn share_for_guests() -> ByteSize {
    let available = available(&|path| std::fs::read_to_string(path).ok()).unwrap_or(UNKNOWN);
    let share = available / 100 * SHARE_PERCENT;
    // In whole MiB, as people write it, where there is that much.
    ByteSize(if share < MIB { share } else { share / MIB * MIB })
}

/// The smallest limit that binds us; `read` gives the content of a file.
fn available(read: &dyn Fn(&str) -> Option<String>) -> Option<u64> {
    let machine = read("/proc/meminfo").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    });
    let groups = read("/proc/self/cgroup").unwrap_or_default();
    let limits = groups.lines().flat_map(|line| match line.split(':').collect::<Vec<_>>()[..] {
        ["0", "", path] => limits_up(read, "/sys/fs/cgroup", path, "memory.max"),
        [_, controllers, path] if controllers.split(',').any(|name| name == "memory") => {
            limits_up(read, "/sys/fs/cgroup/memory", path, "memory.limit_in_bytes")
        }
        _ => Vec::new(),
    });
    limits.chain(machine).min()
}

/// The limits of a group and of those above it: any of them may be the one that binds.
///
/// The root is always asked: in a container it is the container's own group, whatever the path says.
fn limits_up(read: &dyn Fn(&str) -> Option<String>, root: &str, path: &str, file: &str) -> Vec<u64> {
    let mut path = path.trim_end_matches('/');
    let mut limits = Vec::new();
    loop {
        // No limit is the word `max` (v2), which is no number, or a huge one (v1).
        limits.extend(read(&format!("{root}{path}/{file}")).and_then(|text| text.trim().parse::<u64>().ok()));
        match path.rfind('/') {
            Some(slash) => path = &path[..slash],
            None => return limits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: (&str, &str) = ("/proc/meminfo", "MemTotal:        2048 kB\nMemFree: 1 kB\n");

    fn with(files: &[(&str, &str)]) -> Option<u64> {
        available(&|path| files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned()))
    }

    #[test]
    fn the_machine_limits_without_groups() {
        assert_eq!(with(&[MEMINFO]), Some(2048 * 1024));
        assert_eq!(with(&[]), None);
    }

    #[test]
    fn the_tightest_group_above_us_limits() {
        let files = [
            MEMINFO,
            ("/proc/self/cgroup", "0::/a/b\n"),
            ("/sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("/sys/fs/cgroup/a/memory.max", "1000000\n"),
        ];
        assert_eq!(with(&files), Some(1_000_000));
    }

    #[test]
    fn a_container_of_version_1_finds_its_group_at_the_root() {
        let files = [
            MEMINFO,
            ("/proc/self/cgroup", "5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "500000\n"),
        ];
        assert_eq!(with(&files), Some(500_000));
        let unlimited =
            [MEMINFO, files[1], ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")];
        assert_eq!(with(&unlimited), Some(2048 * 1024));
    }

    #[test]
    fn this_machine_has_some() {
        assert!(share_for_guests().0 > 16 << 20);
    }
}
