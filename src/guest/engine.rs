//! wasmtime as we run it: one engine for a version of wasi:http, with as many slots as the address space gives.

use std::num::NonZeroUsize;

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use super::clock::Clock;
use super::inspect::{Contents, Inspection, Version};
use crate::host::{MAX_TABLE_ELEMENTS, Turns};

/// Slots below which pooling is not worth its rules.
const MIN_SLOTS: u32 = 32;
/// Instances at once without a pool.
const ON_DEMAND: usize = 44;
/// Slots that wait, each ready for the code which had it last, before new code takes one of them in place of a fresh one.
/// Without a bound each reload takes fresh ones, and what they keep resident, until all have been used.
const UNUSED_WARM_SLOTS: u32 = 64;
/// Bytes of a slot (of a memory, a table or a stack) that are cleared by hand instead of being given back to the kernel:
/// page faults cost more than clearing up to about here, wherever a guest begins to write.
const KEEP_RESIDENT: usize = 64 * 1024;
/// Bytes of a memory that is cleared whole: then no page of it faults. Beyond, clearing costs more.
const CLEARED_WHOLE: usize = 384 * 1024;
/// Bytes that such a memory may have grown by: what a guest allocates for a small request.
const GROWTH: usize = 64 * 1024;

/// How machine code expects memories to be laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tuning {
    /// Each with the address space that a memory can ever have.
    Pooled,
    /// As small as can be, where there is little address space: slower.
    OnDemand,
}

/// An engine and the instances it has room for.
#[derive(Clone)]
pub(crate) struct Slots {
    pub(crate) engine: Engine,
    pub(crate) tuning: Tuning,
    /// Instances at once. With fewer than were wanted, some must be kept spare for those that are being torn down.
    pub(crate) count: usize,
    /// Turns of guests that compute for long.
    pub(crate) turns: Turns,
}

/// What an engine must have room for in one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) version: Version,
    modules: u32,
    memories: u32,
    tables: u32,
    /// Bytes of one memory (`guest.max-memory`).
    max_memory: u64,
    /// Bytes of all memories of the largest component before any of them grows. Nothing that there must be room for: it
    /// says how much of them to clear by hand.
    least_memory: u64,
}

impl Shape {
    /// The shape of a component.
    pub(crate) fn of(inspection: &Inspection, max_memory: u64) -> Self {
        let Contents { modules, memories, tables, least_memory, .. } = inspection.contents;
        Self { version: inspection.version, modules, memories, tables, max_memory, least_memory }
    }

    /// A shape that has room for both, of the same version.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            version: self.version,
            modules: self.modules.max(other.modules),
            memories: self.memories.max(other.memories),
            tables: self.tables.max(other.tables),
            max_memory: self.max_memory.max(other.max_memory),
            least_memory: self.least_memory.max(other.least_memory),
        }
    }

    /// Whether there is room for one of `other`.
    pub(crate) fn has_room_for(self, other: Self) -> bool {
        let both = Self { least_memory: self.least_memory, ..self.and(other) };
        self.version == other.version && both == self
    }
}

/// A clock for the engines of a server. Guests run on the threads of a runtime that has one for each processor.
pub(crate) fn clock() -> Clock {
    Clock::new(Turns::new(std::thread::available_parallelism().map_or(1, NonZeroUsize::get)))
}

/// Makes an engine for components of this shape, with `wanted` slots or as many of them as can be had.
///
/// # Errors
/// No engine at all: not even an on-demand one.
pub(crate) fn build(
    shape: &Shape,
    wanted: usize,
    max_total_memory: u64,
    clock: &Clock,
) -> anyhow::Result<Slots> {
    let mut slots = u32::try_from(wanted).unwrap_or(u32::MAX).clamp(1, 16_384);
    let mut refusal = None;
    loop {
        let pooling = pooling(shape, slots, max_total_memory);
        match Engine::new(&without_compiler(pooling)) {
            Ok(engine) => {
                if let Some(error) = refusal {
                    tracing::warn!(
                        wanted,
                        slots,
                        "address space for fewer instances than http.max-in-flight asks for: {error:#}"
                    );
                }
                clock.add(&engine)?;
                let turns = clock.turns.clone();
                return Ok(Slots { engine, tuning: Tuning::Pooled, count: slots as usize, turns });
            }
            Err(error) if slots > MIN_SLOTS => {
                refusal = Some(error);
                slots = (slots / 2).max(MIN_SLOTS);
            }
            Err(error) => {
                tracing::warn!(
                    "no pooling allocator, instances are made on demand, which is slower: {error:#}"
                );
                let on_demand = without_compiler(on_demand(shape.version));
                let engine = Engine::new(&on_demand).map_err(anyhow::Error::from)?;
                clock.add(&engine)?;
                let turns = clock.turns.clone();
                // Small reservations: this many still fit where the pool did not, and a few more on their way out.
                return Ok(Slots { engine, tuning: Tuning::OnDemand, count: wanted.min(ON_DEMAND), turns });
            }
        }
    }
}

impl std::fmt::Display for Tuning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pooled => "pooled",
            Self::OnDemand => "on-demand",
        })
    }
}

impl std::str::FromStr for Tuning {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "pooled" => Ok(Self::Pooled),
            "on-demand" => Ok(Self::OnDemand),
            other => Err(format!("there is no tuning `{other}`")),
        }
    }
}

/// The settings of an engine that only compiles: its machine code runs in one that [`build`] makes.
pub(crate) fn for_compiling(version: Version, tuning: Tuning) -> Config {
    match tuning {
        // A pool changes nothing in the code.
        Tuning::Pooled => common(version),
        Tuning::OnDemand => on_demand(version),
    }
}

fn common(version: Version) -> Config {
    let mut config = Config::new();
    let concurrent = version == Version::V03;
    config
        // 0.2 needs none of it, and without it an instance and each host call cost less.
        .concurrency_support(concurrent)
        .wasm_component_model_async(concurrent)
        .epoch_interruption(true)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_backtrace_max_frames(NonZeroUsize::new(32))
        // Off by name: otherwise a hint to set an environment variable ends up in spans.
        .wasm_backtrace_details(wasmtime::WasmBacktraceDetails::Enable)
        .generate_address_map(true)
        .native_unwind_info(false)
        // Of WASI 0.3.1, which toolchains make without being asked.
        .wasm_component_model_map(true)
        .wasm_component_model_implements(true)
        .wasm_memory64(false)
        // Compiled in, so that the code paths of builds without them are not ours, and off: no guest of ours needs them.
        .gc_support(false)
        .wasm_gc(false)
        .wasm_threads(false)
        .macos_use_mach_ports(false);
    config
}

/// These settings without a compiler, for code that is compiled already: a compiler takes a millisecond and two MiB merely
/// to be there, and compiles in a process of its own (`compiled/worker`).
pub(crate) fn without_compiler(mut config: Config) -> Config {
    // Last: settings of the compiler would bring it back.
    config.enable_compiler(false);
    config
}

/// How many slots are given back to the kernel in one go. More is faster, but until then what dead instances used stays
/// resident, and the budget does not count it: it may be a twentieth of it at most.
fn batch(max_memory: u64, max_total_memory: u64) -> usize {
    let slots = (max_total_memory / 20).checked_div(max_memory).unwrap_or(1);
    usize::try_from(slots).unwrap_or(usize::MAX).clamp(1, 16)
}

/// Bytes of a memory to clear by hand: all of those that begin small, with room to grow, and else the first few. What is
/// cleared stays resident and is not counted by the budget: of slots that were all used once it may be a tenth of that.
fn keep_resident(least_memory: u64, slots: u32, max_total_memory: u64) -> usize {
    let whole = usize::try_from(least_memory).unwrap_or(usize::MAX).saturating_add(GROWTH);
    let fits = (whole as u64).saturating_mul(slots.into()) <= max_total_memory / 10;
    if whole <= CLEARED_WHOLE && fits { whole.max(KEEP_RESIDENT) } else { KEEP_RESIDENT }
}

fn pooling(shape: &Shape, slots: u32, max_total_memory: u64) -> Config {
    let Shape { version, modules, memories, tables, max_memory, least_memory } = *shape;
    // An instance takes a slot per core instance, of which wit-component makes more than there are modules.
    let per_instance = |found: u32, least: u32| slots.saturating_mul(found.max(least));
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(per_instance(modules.saturating_mul(2), 8))
        .total_memories(per_instance(memories, 1))
        .total_tables(per_instance(tables, 2))
        .total_stacks(match version {
            // Its calls run one after the other. Each stack more is a system call more at the start.
            Version::V02 => slots,
            // Each blocked call has a stack of its own, but no more calls than requests are blocked on us for long; one
            // spare for each.
            Version::V03 => slots.saturating_mul(2),
        })
        .max_memories_per_component(memories.max(1))
        .max_tables_per_component(tables.max(2))
        .max_core_instances_per_component(modules.saturating_mul(2).max(8))
        .max_memory_size(usize::try_from(max_memory).unwrap_or(usize::MAX).clamp(64 * 1024, 4 << 30))
        .table_elements(MAX_TABLE_ELEMENTS)
        // Large JavaScript and Python components need more than the default of 1 MiB.
        .max_component_instance_size(16 << 20)
        .max_core_instance_size(16 << 20)
        .max_unused_warm_slots(UNUSED_WARM_SLOTS)
        .decommit_batch_size(batch(max_memory, max_total_memory))
        .linear_memory_keep_resident(keep_resident(least_memory, slots, max_total_memory))
        .table_keep_resident(KEEP_RESIDENT)
        .async_stack_keep_resident(KEEP_RESIDENT)
        // Can leave a page of one instance to the next in 48.0.8 (wasmtime #14357).
        .pagemap_scan(Enabled::No);
    let mut config = common(version);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

fn on_demand(version: Version) -> Config {
    let mut config = common(version);
    config
        .allocation_strategy(InstanceAllocationStrategy::OnDemand)
        .memory_reservation(0)
        .memory_guard_size(0)
        .memory_reservation_for_growth(16 << 20);
    config
}

#[cfg(test)]
mod tests {
    use super::{CLEARED_WHOLE, KEEP_RESIDENT, batch, keep_resident};

    #[test]
    fn what_dead_instances_keep_is_a_small_share_of_the_budget() {
        const MIB: u64 = 1 << 20;
        assert_eq!(batch(128 * MIB, 20 << 30), 8);
        assert_eq!(batch(MIB, 20 << 30), 16);
        assert_eq!(batch(128 * MIB, 400 * MIB), 1);
        assert_eq!(batch(0, MIB), 1);
    }

    #[test]
    fn memories_that_begin_small_are_cleared_whole_where_that_is_a_small_share_of_the_budget() {
        const KIB: u64 = 1024;
        const GIB: u64 = 1 << 30;
        assert_eq!(keep_resident(128 * KIB, 1160, 4 * GIB), 192 * 1024);
        assert_eq!(keep_resident(0, 1160, 4 * GIB), KEEP_RESIDENT);
        assert_eq!(keep_resident(320 * KIB, 32, 4 * GIB), CLEARED_WHOLE);
        assert_eq!(keep_resident(384 * KIB, 32, 4 * GIB), KEEP_RESIDENT, "it takes too long");
        assert_eq!(keep_resident(1088 * KIB, 1160, 64 * GIB), KEEP_RESIDENT, "an ordinary stack");
        assert_eq!(keep_resident(128 * KIB, 1160, GIB), KEEP_RESIDENT, "too much would stay resident");
        assert_eq!(keep_resident(u64::MAX, u32::MAX, u64::MAX), KEEP_RESIDENT);
    }
}
