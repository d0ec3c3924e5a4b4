//! Whether a request is recorded, decided from its ids before anything is built.
//!
//! Ratios follow the specification's `ProbabilitySampler`: a trace is kept when its 56 random bits are at or above
//! the threshold `(1 - ratio) * 2^56`. Every service that samples by these bits keeps the same traces.

use super::context::{RANDOM, SAMPLED};
use super::id::TraceId;
use super::propagation::Caller;
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
    /// Flags of traces that start here: [`RANDOM`] or none.
    new_trace: u8,
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
    pub(super) fn new(setting: &config::Sampler, random_flag: bool) -> Self {
        let (root, by_parent) = match setting {
            config::Sampler::ParentBased(root) => (root.as_ref(), true),
            other => (other, false),
        };
        let root = match root {
            config::Sampler::AlwaysOn => Rule::Always,
            config::Sampler::AlwaysOff => Rule::Never,
            config::Sampler::Ratio(ratio) => Rule::ratio(*ratio),
            // A parent-based root of a parent-based sampler decides as its own root does.
            config::Sampler::ParentBased(inner) => Sampler::new(inner, random_flag).root,
        };
        Sampler { root, by_parent, new_trace: if random_flag { RANDOM } else { 0 } }
    }

    /// Flags of a new span in the trace `id`, which is the caller's if it has sent one.
    pub(super) fn flags(&self, id: TraceId, caller: &Caller) -> u8 {
        // Ids that we make are random; of others we know only what their maker says.
        let random = caller.context.as_ref().map_or(self.new_trace, |parent| parent.flags & RANDOM);
        let sampled = match caller.sampled {
            Some(sampled) if self.by_parent => sampled,
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
    use crate::telemetry::context::{SpanContext, TraceState};
    use crate::telemetry::id::SpanId;
    use config::Sampler as Setting;

    fn parent(flags: u8) -> Caller {
        Caller::from(SpanContext {
            trace_id: TraceId([7; 16]),
            span_id: SpanId([7; 8]),
            flags,
            trace_state: TraceState::default(),
        })
    }

    fn new(setting: &Setting) -> Sampler {
        Sampler::new(setting, true)
    }

    fn decide(setting: &Setting, caller: &Caller) -> bool {
        new(setting).flags(TraceId([7; 16]), caller) & SAMPLED != 0
    }

    #[test]
    fn the_standard_samplers_decide_as_their_names_say() {
        let based = |root| Setting::ParentBased(Box::new(root));
        let (nobody, on, off) = (Caller::default(), parent(SAMPLED), parent(0));
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
            let found = (decide(&setting, &nobody), decide(&setting, &on), decide(&setting, &off));
            assert_eq!(found, (root, under_sampled, under_unsampled), "{setting:?}");
        }
    }

    #[test]
    fn a_caller_may_leave_the_decision_to_us_or_forbid_without_a_span() {
        let based = Setting::AlwaysOn.parent_based();
        let left = Caller { sampled: None, ..parent(0) };
        assert!(decide(&based, &left) && !decide(&Setting::AlwaysOff.parent_based(), &left));
        let forbidden = Caller { context: None, sampled: Some(false) };
        assert!(!decide(&based, &forbidden) && decide(&Setting::AlwaysOn, &forbidden));
    }

    #[test]
    fn a_ratio_keeps_its_share_by_the_last_seven_bytes() {
        let sampler = new(&Setting::Ratio(0.1));
        let flags = |id| sampler.flags(id, &Caller::default());
        let kept = (0..100_000).filter(|_| flags(TraceId::random()) & SAMPLED != 0).count();
        assert!((9_000..11_000).contains(&kept), "{kept}");
        let mut id = [0xff; 16];
        id[9..].fill(0);
        assert_eq!(flags(TraceId(id)) & SAMPLED, 0);
        id[9..].fill(0xff);
        assert_eq!(flags(TraceId(id)) & SAMPLED, SAMPLED);
    }

    #[test]
    fn the_random_flag_is_set_on_new_traces_if_wanted_and_copied_on_others() {
        for setting in [Setting::AlwaysOn, Setting::AlwaysOff] {
            for wanted in [true, false] {
                let sampler = Sampler::new(&setting, wanted);
                let random = |caller| sampler.flags(TraceId([7; 16]), &caller) & RANDOM;
                assert_eq!(random(Caller::default()), if wanted { RANDOM } else { 0 });
                assert_eq!(random(parent(SAMPLED)), 0);
                assert_eq!(random(parent(RANDOM)), RANDOM);
            }
        }
    }
}
