//! How requests share instances: what is set, or else what goes with the version of wasi:http, with composition and with
//! the language runtime that a component carries.

use serde::{Deserialize, Serialize};
use wasmparser::{ComponentName, CustomSectionReader, KnownCustom, Naming};

use super::inspect::{Contents, Version};
use crate::config::Isolation;

/// The language runtime in a component, of those whose instances cannot be used like others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Runtime {
    /// None of them.
    #[default]
    Other,
    /// JavaScript by componentize-js. Its instances answer one `fetch` event each: of a second one `respondWith` throws.
    StarlingMonkey,
    /// Python by componentize-py. Of 0.3, a task that goes on when its response is over traps the instance.
    ComponentizePy,
}

impl Runtime {
    /// The runtime that a custom section names: componentize-js signs as a producer, and componentize-py names the modules
    /// that it links.
    pub(super) fn of(section: &CustomSectionReader<'_>) -> Option<Self> {
        match section.as_known() {
            KnownCustom::Producers(fields) => {
                let mut values = fields.into_iter().flatten().flat_map(|field| field.values).flatten();
                values.any(|value| value.name == "ComponentizeJS").then_some(Self::StarlingMonkey)
            }
            KnownCustom::ComponentName(names) => {
                let mut modules = names.into_iter().flatten().filter_map(|names| match names {
                    ComponentName::CoreModules(names) => Some(names),
                    _ => None,
                });
                let is_runtime = |name: &Naming<'_>| name.name.contains("componentize_py_runtime");
                modules
                    .any(|names| names.into_iter().flatten().any(|name| is_runtime(&name)))
                    .then_some(Self::ComponentizePy)
            }
            _ => None,
        }
    }
}

/// How requests share instances, and what to say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) isolation: Isolation,
    pub(super) remark: Option<Remark>,
}

/// What is not as somebody may have expected it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Remark {
    pub(super) text: &'static str,
    /// It is not what was asked for, or it is and costs something.
    pub(super) is_warning: bool,
}

/// What composing costs, and why.
const COMPOSED: &str = "several components are composed in it, so each request gets an instance of its own, at a third of \
                        the throughput or less: among requests that share one, what an inner component does in a task \
                        of its own cannot be told to belong to one of them; --isolation instance shares them all the same";
/// What that means where it is done all the same.
const COMPOSED_SHARED: &str = "several components are composed in it and share instances: what an inner component tells \
                               or calls while other requests are in its instance is on no trace, and counted as without a \
                               current request";
/// What is not done although it was asked for.
const ONE_EACH: &str = "it was made by componentize-js, whose runtime answers one request in each instance and fails all \
                        further ones, so each request gets an instance of its own; --isolation instance has no effect";
const PYTHON: &str = "it was made by componentize-py for wasi:http 0.3: a task that is left running when its response is over \
                      ends the instance, so each request gets one of its own; --isolation instance shares them all the \
                      same";
const PYTHON_SHARED: &str = "it was made by componentize-py for wasi:http 0.3 and shares instances: a task that is left \
                             running when its response is over ends the instance, and fails all other requests in it";

/// Decides for a component; `wanted` is what is set.
pub(super) fn decide(version: Version, contents: &Contents, wanted: Option<Isolation>) -> Decision {
    use Isolation::{Instance, Request};
    let remark = |text, is_warning| Some(Remark { text, is_warning });
    let (isolation, remark) = match (version, contents.runtime, wanted) {
        (_, Runtime::StarlingMonkey, Some(Instance)) => (Request, remark(ONE_EACH, true)),
        // It is what was asked for, or what one of 0.2 gets.
        (_, _, Some(Request)) | (Version::V02, _, None) => (Request, None),
        (Version::V02, _, Some(Instance)) => (Instance, None),
        (Version::V03, Runtime::ComponentizePy, Some(Instance)) => (Instance, remark(PYTHON_SHARED, true)),
        (Version::V03, Runtime::ComponentizePy, None) => (Request, remark(PYTHON, false)),
        (Version::V03, Runtime::StarlingMonkey, None) => (Request, None),
        (Version::V03, Runtime::Other, Some(Instance)) if contents.composed => {
            (Instance, remark(COMPOSED_SHARED, true))
        }
        (Version::V03, Runtime::Other, None) if contents.composed => (Request, remark(COMPOSED, false)),
        (Version::V03, Runtime::Other, _) => (Instance, None),
    };
    Decision { isolation, remark }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_runtime_gets_the_isolation_that_it_bears() {
        use Isolation::{Instance, Request};
        use Runtime::{ComponentizePy, Other, StarlingMonkey};
        use Version::{V02, V03};
        for (version, runtime, composed, wanted, isolation, remark) in [
            (V02, Other, false, None, Request, None),
            (V02, Other, true, Some(Instance), Instance, None),
            (V02, StarlingMonkey, false, None, Request, None),
            (V02, StarlingMonkey, false, Some(Request), Request, None),
            (V02, StarlingMonkey, false, Some(Instance), Request, Some((ONE_EACH, true))),
            (V02, ComponentizePy, false, Some(Instance), Instance, None),
            (V03, Other, false, None, Instance, None),
            (V03, Other, true, None, Request, Some((COMPOSED, false))),
            (V03, Other, true, Some(Instance), Instance, Some((COMPOSED_SHARED, true))),
            (V03, Other, true, Some(Request), Request, None),
            (V03, ComponentizePy, false, None, Request, Some((PYTHON, false))),
            (V03, ComponentizePy, true, Some(Instance), Instance, Some((PYTHON_SHARED, true))),
            (V03, ComponentizePy, false, Some(Request), Request, None),
        ] {
            let contents = Contents { runtime, composed, ..Contents::default() };
            let decision = decide(version, &contents, wanted);
            let found = (decision.isolation, decision.remark.map(|remark| (remark.text, remark.is_warning)));
            assert_eq!(found, (isolation, remark), "{version} {runtime:?} {composed} {wanted:?}");
        }
    }
}
