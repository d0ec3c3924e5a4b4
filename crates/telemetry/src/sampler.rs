//! Whether a request is recorded, decided from its ids and its route before anything is built.
//!
//! Ratios follow the specification's `ProbabilitySampler`: a trace is kept when its 56 random bits are at or above
//! the threshold `(1 - ratio) * 2^56`. Every service that samples by these bits keeps the same traces. The bits are the
//! trace id's, or those that the caller's `tracestate` gives (`ot=rv:…`). The trace's own state then says the threshold
//! (`ot=th:…`), by which others know how many traces each stands for. Where the caller has decided, its state stands; a
//! trace that is not sampled has no threshold, and where all are kept there is none to tell.

use super::context::{RANDOM, SAMPLED, SpanContext, TraceState};
use super::propagation::{Caller, Threshold};
use crate::settings::{RouteRatio, Sampling};
use http::Method;
use pounce_otlp::id::TraceId;

/// A sampler ready to decide.
pub struct Sampler {
    /// Decides for traces that start here, and for all of them when `by_parent` is off.
    root: Rule,
    /// Decide in place of `root` for the requests of their routes, if there are any.
    routes: Option<Routes>,
    /// A caller's decision is followed.
    by_parent: bool,
    /// Flags of traces that start here: [`RANDOM`] or none.
    new_trace: u8,
}

/// What becomes of a request's trace.
#[derive(Debug)]
pub struct Decision {
    /// Flags of the new span.
    pub flags: u8,
    /// State of the new span: the caller's, with what is to be told of the decision.
    pub trace_state: TraceState,
}

#[derive(Debug, PartialEq)]
enum Rule {
    Always,
    Never,
    Share(Threshold),
}

/// Rules by route. Those for one method come first, those for any last.
struct Routes(Vec<(Option<Method>, matchit::Router<OfRoute>)>);

struct OfRoute {
    rule: Rule,
    /// The pattern ends with what stands for all that is left.
    takes_rest: bool,
}

impl Sampler {
    /// Prepares what the configuration asks for.
    pub fn new(sampling: &Sampling) -> Self {
        Sampler {
            root: Rule::ratio(sampling.ratio),
            routes: Routes::new(&sampling.routes),
            by_parent: sampling.parent_based,
            new_trace: if sampling.random_flag { RANDOM } else { 0 },
        }
    }

    /// Decides for a new span in the trace `id`, which is the caller's if it has sent one, for a request of `path`.
    pub fn decide(&self, id: TraceId, caller: Caller, method: &Method, path: &str) -> Decision {
        self.decide_of(id, caller, method, path, None)
    }

    /// The flag of a new span that says whether its trace's id is random: [`RANDOM`] or none. Ids that are made here are; of
    /// a caller's it is known only what the caller says.
    #[inline(always)]
    pub(crate) fn random_of(&self, caller: Option<&SpanContext>) -> u8 {
        caller.map_or(self.new_trace, |span| span.flags & RANDOM)
    }

    /// Whether a rule for a route decides for a request, unless its caller has.
    pub(crate) fn has_rule_for(&self, method: &Method, path: &str, route: Option<&str>) -> bool {
        self.rule_of_route(method, path, route).is_some()
    }

    #[inline(always)]
    fn rule_of_route(&self, method: &Method, path: &str, route: Option<&str>) -> Option<&Rule> {
        let routes = self.routes.as_ref()?;
        route.and_then(|route| routes.of(method, route)).or_else(|| routes.find(method, path))
    }

    /// Decides as [`decide`](Self::decide) does, for a request for which the server has found this `route`: a rule with
    /// its pattern counts before one for the path.
    #[inline(always)]
    pub fn decide_of(
        &self,
        id: TraceId,
        caller: Caller,
        method: &Method,
        path: &str,
        route: Option<&str>,
    ) -> Decision {
        let Caller { context, sampled } = caller;
        let random = self.random_of(context.as_ref());
        let state = context.map(|parent| parent.trace_state).unwrap_or_default();
        let (sampled, trace_state) = match sampled {
            Some(true) if self.by_parent => (true, state),
            Some(false) if self.by_parent => (false, state.with_threshold(None)),
            _ => {
                let by_route = self.rule_of_route(method, path, route);
                by_route.unwrap_or(&self.root).decide(id, state)
            }
        };
        Decision { flags: random | if sampled { SAMPLED } else { 0 }, trace_state }
    }
}

impl Rule {
    fn ratio(ratio: f64) -> Self {
        if ratio >= 1.0 {
            Rule::Always
        } else if ratio > 0.0 {
            Rule::Share(Threshold::of_ratio(ratio))
        } else {
            Rule::Never
        }
    }

    /// Whether the trace is kept, and its state then.
    #[inline(always)]
    fn decide(&self, id: TraceId, state: TraceState) -> (bool, TraceState) {
        let (kept, threshold) = match self {
            Rule::Always => (true, None),
            Rule::Never => (false, None),
            Rule::Share(share) => {
                let kept = share.admits(state.randomness().unwrap_or_else(|| id.randomness()));
                (kept, Some(share).filter(|_| kept))
            }
        };
        (kept, state.with_threshold(threshold))
    }
}

impl Routes {
    fn new(given: &[RouteRatio]) -> Option<Self> {
        let mut routers: Vec<(Option<Method>, matchit::Router<OfRoute>)> = Vec::new();
        for route in given {
            let at = routers.iter().position(|(method, _)| *method == route.method).unwrap_or_else(|| {
                // Any method stands last.
                let at = if route.method.is_some() { 0 } else { routers.len() };
                routers.insert(at, (route.method.clone(), matchit::Router::new()));
                at
            });
            // Of two for the same requests, and of a path that is no pattern, nothing is made.
            let rule = OfRoute { rule: Rule::ratio(route.ratio), takes_rest: takes_rest(&route.path) };
            _ = routers[at].1.insert(&*route.path, rule);
        }
        (!routers.is_empty()).then_some(Routes(routers))
    }

    /// The rule for a request, if it is one of these.
    fn find(&self, method: &Method, path: &str) -> Option<&Rule> {
        self.routers(method).find_map(|router| router.at(path).ok().map(|found| &found.value.rule))
    }

    /// The rule with the pattern of this route, whatever its parts are called.
    fn of(&self, method: &Method, route: &str) -> Option<&Rule> {
        self.routers(method).find_map(|router| {
            // Taken for a path: where the pattern is the same, what is in its braces is what the rule leaves open.
            let found = router.at(route).ok()?;
            let are_same = found.params.iter().all(|(_, part)| part.starts_with('{') && part.ends_with('}'));
            let is_same = are_same && found.value.takes_rest == takes_rest(route);
            is_same.then_some(&found.value.rule)
        })
    }

    fn routers<'a>(&'a self, method: &Method) -> impl Iterator<Item = &'a matchit::Router<OfRoute>> {
        let of_method = move |of: &Option<Method>| of.as_ref().is_none_or(|of| of == method);
        self.0.iter().filter(move |(of, _)| of_method(of)).map(|(_, router)| router)
    }
}

/// Whether a pattern ends with what stands for all that is left.
fn takes_rest(pattern: &str) -> bool {
    pattern.contains("{*")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::SpanContext;
    use pounce_otlp::id::SpanId;

    fn parent(flags: u8) -> Caller {
        Caller::from(SpanContext {
            trace_id: TraceId([7; 16]),
            span_id: SpanId([7; 8]),
            flags,
            trace_state: TraceState::default(),
        })
    }

    fn flags(sampler: &Sampler, id: TraceId, caller: &Caller) -> u8 {
        sampler.decide(id, caller.clone(), &Method::GET, "/").flags
    }

    fn decide(setting: &Sampling, caller: &Caller) -> bool {
        flags(&Sampler::new(setting), TraceId([7; 16]), caller) & SAMPLED != 0
    }

    #[test]
    fn the_standard_samplers_decide_as_their_names_say() {
        let based = |root: Sampling| root.parent_based();
        let (nobody, on, off) = (Caller::default(), parent(SAMPLED), parent(0));
        for (setting, root, under_sampled, under_unsampled) in [
            (Sampling::share(1.0), true, true, true),
            (Sampling::share(0.0), false, false, false),
            (based(Sampling::share(1.0)), true, true, false),
            (based(Sampling::share(0.0)), false, true, false),
        ] {
            let found = (decide(&setting, &nobody), decide(&setting, &on), decide(&setting, &off));
            assert_eq!(found, (root, under_sampled, under_unsampled), "{setting:?}");
        }
    }

    #[test]
    fn a_caller_may_leave_the_decision_to_us_or_forbid_without_a_span() {
        let based = Sampling::share(1.0).parent_based();
        let left = Caller { sampled: None, ..parent(0) };
        assert!(decide(&based, &left) && !decide(&Sampling::share(0.0).parent_based(), &left));
        let forbidden = Caller { context: None, sampled: Some(false) };
        assert!(!decide(&based, &forbidden) && decide(&Sampling::share(1.0), &forbidden));
    }

    #[test]
    fn a_ratio_keeps_its_share_by_the_last_seven_bytes() {
        let sampler = Sampler::new(&Sampling::share(0.1));
        let flags = |id| flags(&sampler, id, &Caller::default());
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
        for setting in [Sampling::share(1.0), Sampling::share(0.0)] {
            for wanted in [true, false] {
                let sampler = Sampler::new(&Sampling { random_flag: wanted, ..setting.clone() });
                let random = |caller| flags(&sampler, TraceId([7; 16]), &caller) & RANDOM;
                assert_eq!(random(Caller::default()), if wanted { RANDOM } else { 0 });
                assert_eq!(random(parent(SAMPLED)), 0);
                assert_eq!(random(parent(RANDOM)), RANDOM);
            }
        }
    }

    #[test]
    fn explicit_randomness_stands_above_the_trace_id() {
        let with_state = |state: &str| {
            let mut caller = parent(0);
            caller.context.as_mut().unwrap().trace_state = TraceState::parse(state);
            caller
        };
        let half = Sampling::share(0.5);
        assert!(!decide(&half, &parent(0)), "0x07… is below a half");
        for state in ["ot=rv:80000000000000", "a=1,ot=th:c;rv:ffffffffffffff", "ot=rv:80000000000000;x:1"] {
            assert!(decide(&half, &with_state(state)), "{state}");
        }
        for state in [
            "ot=rv:7fffffffffffff",
            "a=rv:80000000000000",
            "ot=rv:8000000000000",
            "ot=rv:800000000000000",
            "ot=rv:8000000000000G",
            "ot=rv:+8000000000000",
            "ot=RV:80000000000000",
        ] {
            assert!(!decide(&half, &with_state(state)), "{state}");
        }
        // It is no decision: a caller that has made one is followed.
        assert!(!decide(&half.parent_based(), &with_state("ot=rv:ffffffffffffff")));
    }

    #[test]
    fn the_threshold_is_told_of_the_ratio_that_decided() {
        let caller = |flags: u8, state: &str| {
            let mut caller = parent(flags);
            caller.context.as_mut().unwrap().trace_state = TraceState::parse(state);
            caller
        };
        let nobody = Caller::default();
        let (half, quarter) = (Sampling::share(0.5), Sampling::share(0.25));
        let based = |setting: &Sampling| setting.clone().parent_based();
        let (high, low) = ("rv:ffffffffffffff", "rv:00000000000000");
        let undecided = Caller { sampled: None, ..caller(0, "") };
        for (setting, caller, expected) in [
            // The traces of these tests have low bits, but for those that bring others.
            (half.clone(), nobody.clone(), (false, "")),
            (half.clone(), caller(0, &format!("ot={high}")), (true, &*format!("ot=th:8;{high}"))),
            (quarter, caller(1, &format!("a=1,ot=th:8;{high}")), (true, &format!("ot=th:c;{high},a=1"))),
            (half.clone(), caller(1, &format!("a=1,ot=th:8;{low}")), (false, &format!("ot={low},a=1"))),
            // Where all are kept there is nothing to tell, nor where none is.
            (Sampling::share(1.0), nobody.clone(), (true, "")),
            (Sampling::share(1.0), caller(1, "ot=th:8,a=1"), (true, "a=1")),
            (Sampling::share(0.0), caller(1, "ot=th:8,a=1"), (false, "a=1")),
            // A decision of the caller's stands, and what it tells of it.
            (based(&half), caller(1, &format!("a=1,ot=th:c;{low}")), (true, &format!("a=1,ot=th:c;{low}"))),
            (based(&half), caller(1, "a=1"), (true, "a=1")),
            (based(&half), caller(0, &format!("a=1,ot={high}")), (false, &format!("a=1,ot={high}"))),
            (based(&half), caller(0, &format!("a=1,ot=th:c;{high}")), (false, &format!("ot={high},a=1"))),
            (based(&half), undecided, (false, "")),
        ] {
            let decision = Sampler::new(&setting).decide(TraceId([7; 16]), caller.clone(), &Method::GET, "/");
            let found = (decision.flags & SAMPLED != 0, decision.trace_state.as_str());
            assert_eq!(found, expected, "{setting:?} {caller:?}");
        }
        let kept = |setting: &Sampling, path| {
            let routes = vec![route("/quarter", 0.25), route("/all", 1.0)];
            let sampling = Sampling { routes, ..setting.clone() };
            let decision =
                Sampler::new(&sampling).decide(TraceId([0xff; 16]), nobody.clone(), &Method::GET, path);
            assert_eq!(decision.flags & SAMPLED, SAMPLED);
            decision.trace_state.as_str().to_owned()
        };
        for setting in [half.clone(), based(&half)] {
            assert_eq!(
                ["/", "/quarter", "/all"].map(|path| kept(&setting, path)),
                ["ot=th:8", "ot=th:c", ""]
            );
        }
    }

    /// `[METHOD ]PATH`.
    fn route(pattern: &str, ratio: f64) -> RouteRatio {
        let (method, path) = pattern.split_once(' ').unzip();
        let method = method.map(|method| method.parse().unwrap());
        RouteRatio { method, path: path.unwrap_or(pattern).to_owned(), ratio }
    }

    fn routed(routes: &[(&str, f64)]) -> impl Fn(&str, &str, &Caller) -> bool {
        let routes = routes.iter().map(|(pattern, ratio)| route(pattern, *ratio)).collect();
        let sampler = Sampler::new(&Sampling { routes, ..Sampling::default() });
        move |method, path, caller| {
            let method = method.parse().unwrap();
            sampler.decide(TraceId([7; 16]), caller.clone(), &method, path).flags & SAMPLED != 0
        }
    }

    #[test]
    fn a_route_decides_for_traces_that_start_here() {
        let keeps = routed(&[
            ("/health", 0.0),
            ("/users/{id}", 0.0),
            ("/static/{*rest}", 0.0),
            ("POST /users/{id}", 1.0),
        ]);
        let nobody = Caller::default();
        for (method, path, expected) in [
            ("GET", "/health", false),
            ("GET", "/health/", true),
            ("GET", "/", true),
            ("GET", "*", true),
            ("GET", "", true),
            ("GET", "/users/7", false),
            ("POST", "/users/7", true),
            ("PUT", "/users/7", false),
            ("GET", "/users/7/x", true),
            ("GET", "/static/a/b.css", false),
            ("GET", "/%68ealth", true),
        ] {
            assert_eq!(keeps(method, path, &nobody), expected, "{method} {path}");
        }
        assert!(keeps("GET", "/health", &parent(SAMPLED)), "the caller has decided");
        assert!(!keeps("GET", "/", &parent(0)));
    }

    #[test]
    fn the_rule_of_the_servers_route_counts_before_one_of_the_path() {
        let rules = [("/items/{id}", 0.0), ("/items/new", 1.0), ("GET /{*rest}", 0.0)];
        let routes = rules.iter().map(|(pattern, ratio)| route(pattern, *ratio)).collect();
        let sampler = Sampler::new(&Sampling { routes, ..Sampling::default() });
        let keeps = |path, route| {
            let caller = Caller::default();
            sampler.decide_of(TraceId([7; 16]), caller, &Method::POST, path, route).flags & SAMPLED != 0
        };
        assert!(keeps("/items/new", None) && keeps("/items/new", Some("/items/new")));
        assert!(!keeps("/items/new", Some("/items/{name}")), "it is served as one of the items");
        assert!(keeps("/items/new", Some("/items/{*rest}")), "no rule has this pattern");
        assert!(keeps("/items/new", Some("/{a}/{b}")), "no rule has this pattern");
        assert!(!keeps("/items/7", Some("/{*all}")), "of this method there is none");
    }

    /// The cost of a path that was made to be hard is that of its length.
    #[test]
    fn hostile_paths_cost_their_length() {
        let keeps = routed(&[
            ("/{a}/a", 0.0),
            ("/a/{b}", 0.0),
            ("/{a}/{b}/a", 0.0),
            ("/a/{b}/{c}", 0.0),
            ("/{a}/{b}/{c}/a", 0.0),
            ("/a/a/{*rest}", 0.0),
            ("/{a}/{b}/{c}/{d}/a", 0.0),
            ("/p-{a}.x/b", 0.0),
            ("/{a}.y/c", 0.0),
        ]);
        let time = |path: &str| {
            let once = || {
                let start = std::time::Instant::now();
                for _ in 0..20 {
                    std::hint::black_box(keeps("GET", path, &Caller::default()));
                }
                start.elapsed()
            };
            (0..20).map(|_| once()).min().unwrap()
        };
        for unit in ["/a", "/", "/a.y", "/p-.x", "a", "/{a}", "{", "/a/b/c/d/e"] {
            let path = |units: usize| format!("/{}", unit.repeat(units));
            let (short, long) = (time(&path(500)), time(&path(8000)));
            // Sixteen times as long: well below its square.
            assert!(long < short * 100 + std::time::Duration::from_micros(500), "{unit}: {short:?} {long:?}");
        }
    }
}
