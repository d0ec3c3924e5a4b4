//! Whether a request is recorded, decided from its ids before anything is built.
//!
//! Ratios follow the specification's `ProbabilitySampler`: a trace is kept when its 56 random bits are at or above
//! the threshold `(1 - ratio) * 2^56`. Every service that samples by these bits keeps the same traces.

use super::context::{RANDOM, SAMPLED, SpanContext};
use super::id::TraceId;
use crate::config;

/// 2^56: one more than the largest [`TraceId::randomness`].
const RANDOM_RANGE: f64 = (1u64 << 56) as f64;

/// A sampler ready to decide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sampler {
    /// Decides for traces that start here, and for all of them when `by_parent` is off.
    root: Rule,
    /// A caller's decision is followed.
    by_parent: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    Always,
    Never,
    /// Keep when the randomness is at least this.
    AtLeast(u64),
}

impl Sampler {
    /// Prepares what the configuration asks for.
    pub(super) fn new(setting: &config::Sampler) -> Self {
        let (root, by_parent) = match setting {
            config::Sampler::ParentBased(root) => (root.as_ref(), true),
            other => (other, false),
        };
        let root = match root {
            config::Sampler::AlwaysOn => Rule::Always,
            config::Sampler::AlwaysOff => Rule::Never,
            config::Sampler::Ratio(ratio) => Rule::ratio(*ratio),
            // A parent-based root of a parent-based sampler decides as its own root does.
            config::Sampler::ParentBased(inner) => Sampler::new(inner).root,
        };
        Sampler { root, by_parent }
    }

    /// Flags of a new span in the trace `id`, under `parent` if the caller sent one.
    pub(super) fn flags(&self, id: TraceId, parent: Option<&SpanContext>) -> u8 {
        // Ids that we make are random; of others we know only what their maker says.
        let random = parent.map_or(RANDOM, |parent| parent.flags & RANDOM);
        let sampled = match parent {
            Some(parent) if self.by_parent => parent.is_sampled(),
            _ => self.root.keeps(id),
        };
        random | if sampled { SAMPLED } else { 0 }
    }
}

impl Rule {
    fn ratio(ratio: f64) -> Self {
        if ratio >= 1.0 {
            Rule::Always
        } else if ratio > 0.0 {
            Rule::AtLeast(((1.0 - ratio) * RANDOM_RANGE) as u64)
        } else {
            Rule::Never
        }
    }

    fn keeps(self, id: TraceId) -> bool {
        match self {
            Rule::Always => true,
            Rule::Never => false,
            Rule::AtLeast(threshold) => id.randomness() >= threshold,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::context::TraceState;
    use crate::telemetry::id::SpanId;
    use config::Sampler as Setting;

    fn parent(flags: u8) -> SpanContext {
        SpanContext {
            trace_id: TraceId([7; 16]),
            span_id: SpanId([7; 8]),
            flags,
            trace_state: TraceState::default(),
        }
    }

    fn decide(setting: &Setting, parent: Option<&SpanContext>) -> bool {
        Sampler::new(setting).flags(TraceId([7; 16]), parent) & SAMPLED != 0
    }

    #[test]
    fn the_standard_samplers_decide_as_their_names_say() {
        let based = |root| Setting::ParentBased(Box::new(root));
        let (on, off) = (parent(SAMPLED), parent(0));
        for (setting, root, under_sampled, under_unsampled) in [
            (Setting::AlwaysOn, true, true, true),
            (Setting::AlwaysOff, false, false, false),
            (Setting::Ratio(1.0), true, true, true),
            (Setting::Ratio(0.0), false, false, false),
            (based(Setting::AlwaysOn), true, true, false),
            (based(Setting::AlwaysOff), false, true, false),
            (based(Setting::Ratio(0.0)), false, true, false),
            (based(based(Setting::AlwaysOff)), false, true, false),
        ] {
            let found = (decide(&setting, None), decide(&setting, Some(&on)), decide(&setting, Some(&off)));
            assert_eq!(found, (root, under_sampled, under_unsampled), "{setting:?}");
        }
    }

    #[test]
    fn a_ratio_keeps_its_share_by_the_last_seven_bytes() {
        let sampler = Sampler::new(&Setting::Ratio(0.1));
        let kept = (0..100_000).filter(|_| sampler.flags(TraceId::random(), None) & SAMPLED != 0).count();
        assert!((9_000..11_000).contains(&kept), "{kept}");
        let mut id = [0xff; 16];
        id[9..].fill(0);
        assert_eq!(sampler.flags(TraceId(id), None) & SAMPLED, 0);
        id[9..].fill(0xff);
        assert_eq!(sampler.flags(TraceId(id), None) & SAMPLED, SAMPLED);
    }

    #[test]
    fn the_random_flag_is_set_on_new_traces_and_copied_on_others() {
        for setting in [Setting::AlwaysOn, Setting::AlwaysOff] {
            let sampler = Sampler::new(&setting);
            assert_eq!(sampler.flags(TraceId([7; 16]), None) & RANDOM, RANDOM);
            assert_eq!(sampler.flags(TraceId([7; 16]), Some(&parent(SAMPLED))) & RANDOM, 0);
            assert_eq!(sampler.flags(TraceId([7; 16]), Some(&parent(RANDOM))) & RANDOM, RANDOM);
        }
    }
}
