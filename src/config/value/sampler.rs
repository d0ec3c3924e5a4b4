//! Which traces are kept.

use std::fmt;
use std::str::FromStr;

use super::Invalid;

/// Decides, before a span is built, whether its trace is recorded and exported.
#[derive(Debug, Clone, PartialEq)]
pub enum Sampler {
    /// Every trace.
    AlwaysOn,
    /// No trace.
    AlwaysOff,
    /// This share of traces, from 0 to 1, chosen by trace id.
    Ratio(f64),
    /// As the caller decided; for requests without a caller's decision, the sampler within.
    ParentBased(Box<Sampler>),
}

impl Sampler {
    /// Reads a share, from 0 to 1.
    pub(crate) fn read_ratio(text: &str) -> Result<Self, Invalid> {
        let hint = "write a number from 0 to 1, such as 0.1 for a tenth of all traces";
        let ratio = text.trim().parse::<f64>().map_err(|_| Invalid::new("is not a number", hint))?;
        if !(0.0..=1.0).contains(&ratio) {
            return Err(Invalid::new("is not between 0 and 1", hint));
        }
        // Whole shares need no arithmetic on ids, and `-0` no sign.
        Ok(match ratio {
            1.0 => Self::AlwaysOn,
            0.0 => Self::AlwaysOff,
            ratio => Self::Ratio(ratio),
        })
    }

    /// This sampler for requests without a caller's decision; where there is one, it stands.
    pub(crate) fn parent_based(self) -> Self {
        Self::ParentBased(Box::new(self))
    }

    /// The sampler that `OTEL_TRACES_SAMPLER` names, if Pounce has it, with the share for those that take one.
    pub(crate) fn named(
        name: &str,
        share: impl FnOnce() -> Result<Self, Invalid>,
    ) -> Option<Result<Self, Invalid>> {
        let parent_based = name.strip_prefix("parentbased_");
        let sampler = match parent_based.unwrap_or(name) {
            "always_on" => Ok(Self::AlwaysOn),
            "always_off" => Ok(Self::AlwaysOff),
            "traceidratio" => share(),
            _ => return None,
        };
        Some(if parent_based.is_some() { sampler.map(Self::parent_based) } else { sampler })
    }

    /// The share of the traces about which no caller has decided.
    pub(crate) fn ratio(&self) -> f64 {
        match self {
            Self::AlwaysOn => 1.0,
            Self::AlwaysOff => 0.0,
            Self::Ratio(ratio) => *ratio,
            // A parent-based root of a parent-based sampler decides as its own root does.
            Self::ParentBased(root) => root.ratio(),
        }
    }

    /// The names that [`Sampler::named`] knows.
    pub(crate) const NAMES: [&'static str; 6] = [
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ];
}

impl FromStr for Sampler {
    type Err = Invalid;

    /// A share (`0.1`) is parent-based; a standard name, with `=SHARE` where it takes one, is as it says.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let lower = text.trim().to_ascii_lowercase();
        let (name, share) =
            lower.split_once('=').map_or((lower.as_str(), "1"), |(name, share)| (name, share));
        match Self::named(name, || Self::read_ratio(share)) {
            Some(sampler) if name.ends_with("traceidratio") || name == lower => sampler,
            _ => Self::read_ratio(&lower).map(Self::parent_based),
        }
    }
}

impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlwaysOn => f.write_str("always_on"),
            Self::AlwaysOff => f.write_str("always_off"),
            Self::Ratio(ratio) => write!(f, "traceidratio={ratio:?}"),
            Self::ParentBased(root) => match **root {
                Self::AlwaysOn => f.write_str("1.0"),
                Self::AlwaysOff => f.write_str("0.0"),
                Self::Ratio(ratio) => write!(f, "{ratio:?}"),
                // A parent-based root of a parent-based sampler changes nothing.
                Self::ParentBased(_) => root.fmt(f),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_parent_based() {
        assert_eq!("0.25".parse(), Ok(Sampler::Ratio(0.25).parent_based()));
        assert_eq!(" 1.0 ".parse(), Ok(Sampler::AlwaysOn.parent_based()));
        assert_eq!("-0".parse(), Ok(Sampler::AlwaysOff.parent_based()));
    }

    #[test]
    fn standard_names_are_as_they_say() {
        assert_eq!("Always_On".parse(), Ok(Sampler::AlwaysOn));
        assert_eq!("traceidratio=0.5".parse(), Ok(Sampler::Ratio(0.5)));
        assert_eq!("parentbased_traceidratio=0.5".parse(), Ok(Sampler::Ratio(0.5).parent_based()));
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for text in ["", "10%", "nan", "inf", "1.5", "-0.1", "on", "always_on=0.5", "traceidratio=2"] {
            assert!(text.parse::<Sampler>().is_err(), "{text}");
        }
    }
}
