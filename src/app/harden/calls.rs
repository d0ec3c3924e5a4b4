//! System calls that no server makes, and that attacks do: seccomp has the kernel refuse them. What is not named here is
//! allowed, so that nothing breaks which a newer C library or runtime does another way.

use std::collections::BTreeMap;

use anyhow::Context as _;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter_all_threads,
};

/// Calls that are not permitted (`EPERM`).
const FORBIDDEN: &[i64] = &[
    // Other processes: their memory, their files.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // What the system's tree of files is made of.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_mknodat,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_acct,
    // Namespaces, by which a process becomes root of its own.
    libc::SYS_unshare,
    libc::SYS_setns,
    // The kernel itself.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    #[cfg(not(target_arch = "aarch64"))]
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Who the process is, and what it looks like.
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    libc::SYS_personality,
    libc::SYS_execveat,
    // The machine: its clocks, its name, its terminals.
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mknod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
];

/// Calls that are said not to exist (`ENOSYS`), so that who would make them does without: the arguments of the first are out
/// of a filter's sight (the C library goes on with `clone`), and the others do what filters forbid, unseen by them.
const UNKNOWN: &[i64] =
    &[libc::SYS_clone3, libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];

/// Flags of `clone` that make a namespace.
const NAMESPACES: [libc::c_int; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Of the kernel's third set of calls for this processor (x32), which reaches the same ones by other numbers.
#[cfg(target_arch = "x86_64")]
const OTHER_NUMBERS: &[i64] = &[0, 0x4000_0000];
#[cfg(not(target_arch = "x86_64"))]
const OTHER_NUMBERS: &[i64] = &[0];

/// Whether the kernel can filter system calls.
pub(super) fn are_filtered_by_kernel() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| status.contains("\nSeccomp:"))
}

/// Takes the calls from all threads of this process, and all processes that it starts. From now on nothing that it runs
/// gains rights either (`no_new_privs`).
pub(super) fn restrict() -> anyhow::Result<()> {
    let mut forbidden = rules(FORBIDDEN);
    for other in OTHER_NUMBERS {
        let namespaces = NAMESPACES.into_iter().map(has_flag).collect::<anyhow::Result<_>>()?;
        forbidden.insert(libc::SYS_clone | other, namespaces);
    }
    for (rules, error) in [(forbidden, libc::EPERM), (rules(UNKNOWN), libc::ENOSYS)] {
        let refuse = SeccompAction::Errno(error.unsigned_abs());
        let here = std::env::consts::ARCH.try_into()?;
        let filter: BpfProgram = SeccompFilter::new(rules, SeccompAction::Allow, refuse, here)?.try_into()?;
        apply_filter_all_threads(&filter).context("the kernel takes no filter of system calls")?;
    }
    Ok(())
}

/// Calls that are refused whatever their arguments.
fn rules(calls: &[i64]) -> BTreeMap<i64, Vec<SeccompRule>> {
    let numbers = calls.iter().flat_map(|call| OTHER_NUMBERS.iter().map(move |other| call | other));
    numbers.map(|number| (number, Vec::new())).collect()
}

/// Holds where the first argument has this flag.
fn has_flag(flag: libc::c_int) -> anyhow::Result<SeccompRule> {
    let flag = u64::from(flag.unsigned_abs());
    let is_set = SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flag), flag)?;
    Ok(SeccompRule::new(vec![is_set])?)
}
