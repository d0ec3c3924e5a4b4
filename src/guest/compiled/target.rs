//! The processors that machine code is for.
#![allow(
    unsafe_code,
    reason = "Cranelift's flags are unsafe to set: wrong ones make wrong code; these name processor features"
)]

use std::fmt;
use std::str::FromStr;

use wasmtime::Config;

/// Processors that machine code runs on: this one, or those of a level that it belongs to as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// This processor, with all that it can do.
    Native,
    /// Processors of this family that have at least the features of a level; an index into [`LEVELS`].
    Level(usize),
}

/// Levels of this machine's family, by name, and Cranelift's names of their features.
#[cfg(target_arch = "x86_64")]
const LEVELS: &[(&str, &[&str])] = &[
    ("x86-64", &[]),
    ("x86-64-v2", &["has_cmpxchg16b", "has_sse3", "has_ssse3", "has_sse41", "has_sse42", "has_popcnt"]),
    (
        "x86-64-v3",
        &[
            "has_cmpxchg16b",
            "has_sse3",
            "has_ssse3",
            "has_sse41",
            "has_sse42",
            "has_popcnt",
            "has_avx",
            "has_avx2",
            "has_bmi1",
            "has_bmi2",
            "has_fma",
            "has_lzcnt",
        ],
    ),
];
#[cfg(target_arch = "aarch64")]
const LEVELS: &[(&str, &[&str])] = &[("armv8.0-a", &[]), ("armv8.1-a", &["has_lse"])];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const LEVELS: &[(&str, &[&str])] = &[("generic", &[])];

impl Target {
    /// Names that can be read, `native` first.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        std::iter::once("native").chain(LEVELS.iter().map(|(name, _)| *name))
    }

    /// Has the compiler make code for these processors.
    pub(super) fn configure(self, config: &mut Config) -> anyhow::Result<()> {
        let Self::Level(level) = self else { return Ok(()) };
        // Naming a target, be it this machine's, keeps the compiler from asking this processor.
        config.target(&host_triple()).map_err(anyhow::Error::from)?;
        for feature in LEVELS[level].1 {
            // SAFETY: the flag only allows instructions; whoever loads the code checks that the processor has them.
            unsafe { config.cranelift_flag_enable(feature) };
        }
        Ok(())
    }
}

/// Features of this processor that machine code may use when it is compiled for it.
#[cfg(target_arch = "x86_64")]
pub(super) fn features_here() -> Vec<&'static str> {
    macro_rules! there {
        ($($feature:tt)*) => {
            [$(($feature, std::arch::is_x86_feature_detected!($feature))),*]
        };
    }
    let all = there!("cmpxchg16b" "sse3" "ssse3" "sse4.1" "sse4.2" "popcnt" "avx" "avx2" "avxvnni" "fma" "bmi1" "bmi2"
        "lzcnt" "avx512bitalg" "avx512dq" "avx512f" "avx512vl" "avx512vbmi" "avx512vnni");
    all.into_iter().filter_map(|(name, is_there)| is_there.then_some(name)).collect()
}

/// Features of this processor that machine code may use when it is compiled for it.
#[cfg(target_arch = "aarch64")]
pub(super) fn features_here() -> Vec<&'static str> {
    macro_rules! there {
        ($($feature:tt)*) => {
            [$(($feature, std::arch::is_aarch64_feature_detected!($feature))),*]
        };
    }
    let all = there!("lse" "paca" "pacg" "bti" "fp16" "dotprod" "i8mm");
    all.into_iter().filter_map(|(name, is_there)| is_there.then_some(name)).collect()
}

/// Features of this processor that machine code may use when it is compiled for it: wasmtime checks them by itself.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn features_here() -> Vec<&'static str> {
    Vec::new()
}

/// This machine in the form that the compiler takes.
fn host_triple() -> String {
    format!(
        "{}-unknown-{}-{}",
        std::env::consts::ARCH,
        std::env::consts::OS,
        if cfg!(target_env = "musl") { "musl" } else { "gnu" }
    )
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Level(level) => LEVELS[*level].0,
        })
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "native" {
            return Ok(Self::Native);
        }
        let level = LEVELS.iter().position(|(name, _)| *name == text);
        level.map(Self::Level).ok_or_else(|| {
            format!(
                "there is no target `{text}`; name one of {}",
                Self::names().collect::<Vec<_>>().join(", ")
            )
        })
    }
}
