//! Takes `?mib=` MiB of memory (default 64), a MiB at a time, and touches every page of it. When the host refuses,
//! Rust's allocator aborts: a trap.

const MIB: usize = 1024 * 1024;
const PAGE: usize = 4096;

/// Memory that is held until dropped.
pub(crate) struct Hog(Vec<Vec<u8>>);

impl Hog {
    pub(crate) fn take(mib: u64) -> Self {
        Self((0..mib).map(|_| touched_mib()).collect())
    }

    /// One line, and `kib` KiB of dots after it.
    pub(crate) fn report(&self, kib: u64) -> String {
        format!("took {} MiB\n{}", self.0.len(), ".".repeat(kib as usize * 1024))
    }
}

fn touched_mib() -> Vec<u8> {
    let mut block = Vec::with_capacity(MIB);
    for offset in (0..MIB).step_by(PAGE) {
        block.spare_capacity_mut()[offset].write(1);
    }
    block
}
