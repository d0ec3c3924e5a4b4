//! Spans beside those that were expected.

use std::collections::HashMap;

use serde_json::Value as Json;

use super::parts::{self, EVENTS, LINKS, came_times, have};
use super::{Comparison, Edit, Mark, Step, shown, shown_key, shown_want, under};
use crate::cases::expect::{Span, Spans};
use crate::cases::matching::assign;
use crate::cases::seen::{self, attribute};

/// Compares the spans without a parent.
pub(super) fn compare(wants: &Spans, came: &[seen::Span]) -> Comparison {
    let mut comparer = Comparer { fit: HashMap::new(), out: Comparison::default() };
    comparer.spans(wants, came, 1, &[Step::Key("span".to_owned())], true);
    comparer.out
}

/// Pairs of an expected span and one that came that are compared, at most: a second or two of computing.
const MAX_PAIRS: usize = 4_000_000;

/// Why the spans are not compared, where they are too many to be compared in any reasonable time.
pub(super) fn too_many(wants: &Spans, came: &[seen::Span]) -> Option<String> {
    (pairs(wants, came) > MAX_PAIRS).then(|| {
        let spans = count(came);
        let places = places(wants, spans);
        format!(
            "{places} expected spans beside {spans} that came are more than the {MAX_PAIRS} pairs that are compared; \
             expect fewer of them, or leave `ordered` out"
        )
    })
}

/// How many pairs of an expected span and one that came there are to compare.
pub(super) fn pairs(wants: &Spans, came: &[seen::Span]) -> usize {
    let spans = count(came);
    places(wants, spans).saturating_mul(spans)
}

/// Spans, with all under them.
fn count(came: &[seen::Span]) -> usize {
    came.iter().map(|one| 1 + count(&one.children)).sum()
}

/// How many places there are for so many spans: in an order, each further span of a name is one.
fn places(wants: &Spans, spans: usize) -> usize {
    let of_one = |want: &Span| {
        let own = match wants.is_ordered {
            true => want.times.places(spans),
            false => 1,
        };
        own.saturating_add(want.children.as_ref().map_or(0, |wants| places(wants, spans)))
    };
    wants.list.iter().map(of_one).fold(0, usize::saturating_add)
}

/// Spans that are as expected, of one expected one, that are shown each.
const MAX_ALIKE: usize = 5;

struct Comparer {
    /// Whether one span may be another, of what has been asked: each pair is looked at once.
    fit: HashMap<(*const Span, *const seen::Span), bool>,
    out: Comparison,
}

/// What became of the spans under one parent.
struct Assigned {
    /// For each span that came, the expected one that it is or is most likely meant to be.
    of: Vec<Option<usize>>,
    /// Whether it is just as expected.
    is_right: Vec<bool>,
}

impl Comparer {
    /// Whether a span and all under it are as expected.
    fn fits(&mut self, want: &Span, came: &seen::Span) -> bool {
        let pair = (std::ptr::from_ref(want), std::ptr::from_ref(came));
        if let Some(known) = self.fit.get(&pair) {
            return *known;
        }
        let fits = is_called(want, came)
            && want.status.is_none_or(|status| status == came.status)
            && want.message.as_ref().is_none_or(|message| message.matches(&came.message))
            && want.scope.as_ref().is_none_or(|scope| scope.matches(&came.scope))
            && have(&came.attributes, &want.attributes)
            && !want.without.iter().any(|key| attribute(&came.attributes, key).is_some())
            && parts::match_all(&want.events, &came.events)
            && parts::match_all(&want.links, &came.links)
            && want.children.as_ref().is_none_or(|wants| self.all_fit(wants, &came.children));
        self.fit.insert(pair, fits);
        fits
    }

    fn all_fit(&mut self, wants: &Spans, came: &[seen::Span]) -> bool {
        let of = self.assign(wants, came);
        let count = |want: usize| of.iter().filter(|of| **of == Some(want)).count();
        let are_there = wants.list.iter().enumerate().all(|(nth, want)| count(nth) >= want.times.least);
        // One that may not be there at all is not a wanted one among others.
        let is_never = |want: &Span, one: &seen::Span, comparer: &mut Self| {
            want.times.most == 0 && comparer.fits(want, one)
        };
        let none_forbidden = came.iter().all(|one| !wants.list.iter().any(|want| is_never(want, one, self)));
        are_there && none_forbidden && (wants.others || of.iter().all(Option::is_some))
    }

    fn assign(&mut self, wants: &Spans, came: &[seen::Span]) -> Vec<Option<usize>> {
        let table: Vec<Vec<bool>> =
            wants.list.iter().map(|want| came.iter().map(|one| self.fits(want, one)).collect()).collect();
        let times: Vec<_> = wants.list.iter().map(|want| want.times).collect();
        assign(&times, came.len(), wants.is_ordered, |want, one| table[want][one])
    }

    /// Finds for what is left over what it was perhaps meant to be: an expected span of its name that is missing, or, of
    /// those without a parent, any that is.
    fn pair(&mut self, wants: &Spans, came: &[seen::Span], is_root: bool) -> Assigned {
        let mut of = self.assign(wants, came);
        let is_right: Vec<_> = of.iter().map(Option::is_some).collect();
        let mut missing: Vec<usize> = Vec::new();
        for (nth, want) in wants.list.iter().enumerate() {
            let count = of.iter().filter(|of| **of == Some(nth)).count();
            missing.extend(std::iter::repeat_n(nth, want.times.least.saturating_sub(count).min(came.len())));
        }
        let alike: [fn(&Span, &seen::Span) -> bool; 2] =
            [is_called, |want, came| want.name.matches(&came.name)];
        let any: fn(&Span, &seen::Span) -> bool = |_, _| true;
        for is_alike in alike.into_iter().chain(is_root.then_some(any)) {
            for (one, came) in came.iter().enumerate() {
                // One that is as expected, but not in its place, is no other.
                if of[one].is_none()
                    && !(wants.is_ordered && wants.list.iter().any(|want| self.fits(want, came)))
                    && let Some(at) = missing.iter().position(|want| is_alike(&wants.list[*want], came))
                {
                    of[one] = Some(missing.remove(at));
                }
            }
        }
        Assigned { of, is_right }
    }

    fn spans(&mut self, wants: &Spans, came: &[seen::Span], depth: usize, at: &[Step], is_root: bool) {
        let Assigned { of, is_right } = self.pair(wants, came, is_root);
        let mut next = 0;
        for (nth, want) in wants.list.iter().enumerate() {
            let place = if wants.is_single { at.to_vec() } else { [at, &[Step::At(nth)]].concat() };
            self.unexpected(wants, came, &of, &mut next, depth, at);
            let mine: Vec<_> = (0..came.len()).filter(|one| of[*one] == Some(nth)).collect();
            let mut right = 0;
            for one in &mine {
                if is_right[*one] {
                    right += 1;
                    if right <= MAX_ALIKE {
                        self.right(want, &came[*one], depth);
                    }
                } else {
                    self.span(want, &came[*one], depth, &place);
                }
                if *one == next {
                    next += 1;
                    self.unexpected(wants, came, &of, &mut next, depth, at);
                }
            }
            if right > MAX_ALIKE {
                self.out.line(Mark::Same, depth, format!("… and {} more", right - MAX_ALIKE));
            }
            let is_elsewhere = wants.is_ordered
                && (0..came.len()).any(|one| of[one].is_none() && self.fits(want, &came[one]));
            self.count(want, mine.len(), is_elsewhere, depth, &place);
        }
        self.rest(wants, came, &of, next, depth, at);
    }

    /// How often a span came, where that is not often enough; it may be elsewhere in the order.
    fn count(&mut self, want: &Span, count: usize, is_elsewhere: bool, depth: usize, place: &[Step]) {
        if count >= want.times.least {
            return;
        }
        let note = match (count, want.times.least) {
            (0, 1) => None,
            (count, _) => Some(format!("came {}, expected {}", came_times(count), want.times)),
        };
        self.out.noted(Mark::Missing, depth, header(want), note);
        if is_elsewhere {
            self.out.remains = true;
            return;
        }
        self.out.edits.push(match count {
            0 => Edit::Remove(place.to_vec()),
            count => Edit::Times(place.to_vec(), count),
        });
    }

    /// Tells of the spans from `next` on that nobody has expected, up to the next one that somebody has.
    fn unexpected(
        &mut self,
        wants: &Spans,
        came: &[seen::Span],
        of: &[Option<usize>],
        next: &mut usize,
        depth: usize,
        at: &[Step],
    ) {
        while *next < came.len() && of[*next].is_none() {
            self.extra(wants, &came[*next], depth, at);
            *next += 1;
        }
    }

    /// Tells of all that nobody has expected from `next` on.
    fn rest(
        &mut self,
        wants: &Spans,
        came: &[seen::Span],
        of: &[Option<usize>],
        next: usize,
        depth: usize,
        at: &[Step],
    ) {
        for one in (next..came.len()).filter(|one| of[*one].is_none()) {
            self.extra(wants, &came[one], depth, at);
        }
    }

    fn extra(&mut self, wants: &Spans, came: &seen::Span, depth: usize, at: &[Step]) {
        let full = wants.list.iter().position(|want| self.fits(want, came));
        let Some(nth) = full else {
            if !wants.others {
                self.shown(depth, came);
                self.out.edits.push(Edit::Append(at.to_vec(), came.clone()));
            }
            return;
        };
        let times = wants.list[nth].times;
        if wants.others && times.most > 0 && !wants.is_ordered {
            return;
        }
        self.shown(depth, came);
        let note = match wants.is_ordered {
            true => "not in this place".to_owned(),
            false => format!("one too many: expected {times}"),
        };
        if let Some(line) = self.out.lines.iter_mut().rev().find(|line| line.depth == depth) {
            line.note = Some(note);
        }
        if wants.is_ordered {
            // Which order was meant, nobody knows.
            self.out.remains = true;
            return;
        }
        let place = if wants.is_single { at.to_vec() } else { [at, &[Step::At(nth)]].concat() };
        // Each further one says one more; the last word counts.
        let known = self.out.edits.iter().rev().find_map(|edit| match edit {
            Edit::Times(known, count) if *known == place => Some(*count),
            _ => None,
        });
        let count = known.unwrap_or(times.most) + 1;
        self.out.edits.push(Edit::Times(place, count));
    }

    /// A span that is as expected, in outline.
    fn right(&mut self, want: &Span, came: &seen::Span, depth: usize) {
        self.out.line(Mark::Same, depth, came_header(came));
        if let Some(wants) = &want.children {
            self.spans(wants, &came.children, depth + 1, &[], false);
        }
    }

    /// A span that nobody has expected, with all under it and what it says.
    fn shown(&mut self, depth: usize, came: &seen::Span) {
        self.out.line(Mark::Extra, depth, came_header(came));
        for (key, value) in relevant(came) {
            self.out.line(Mark::Extra, depth + 1, format!("{} = {}", shown_key(&key), shown(&value)));
        }
        came.children.iter().for_each(|child| self.shown(depth + 1, child));
    }

    /// A span beside the expected one that it is not quite.
    fn span(&mut self, want: &Span, came: &seen::Span, depth: usize, at: &[Step]) {
        let set = |key: &str, value: &str| Edit::Set(under(at, key), value.into());
        if is_called(want, came) {
            self.out.line(Mark::Same, depth, came_header(came));
        } else {
            self.out.line(Mark::Missing, depth, header(want));
            self.out.line(Mark::Extra, depth, came_header(came));
            if !want.name.matches(&came.name) {
                let place = if want.is_short { at.to_vec() } else { under(at, "name") };
                self.out.edits.push(Edit::Set(place, came.name.clone().into()));
            }
            if want.kind.is_some_and(|kind| kind != came.kind) {
                self.out.edits.push(set("kind", came.kind));
            }
        }
        let inner = depth + 1;
        let quoted = |text: &str| shown(&text.into());
        if let Some(status) = want.status {
            let is_same = status == came.status;
            self.out.field(inner, "status", &quoted(status), Some(&quoted(came.status)), is_same);
            if !is_same {
                self.out.edits.push(set("status", came.status));
            }
        }
        for (key, pattern, text) in
            [("message", &want.message, &came.message), ("scope", &want.scope, &came.scope)]
        {
            let Some(pattern) = pattern else { continue };
            let is_same = pattern.matches(text);
            self.out.field(inner, key, &quoted(&pattern.to_string()), Some(&quoted(text)), is_same);
            if !is_same {
                self.out.edits.push(set(key, text));
            }
        }
        self.attributes(want, came, inner, at);
        if let Some(wants) = &want.events {
            parts::compare(&mut self.out, inner, &EVENTS, wants, &came.events, at);
        }
        if let Some(wants) = &want.links {
            parts::compare(&mut self.out, inner, &LINKS, wants, &came.links, at);
        }
        if let Some(wants) = &want.children {
            self.spans(wants, &came.children, inner, &under(at, "children"), false);
        }
    }

    fn attributes(&mut self, want: &Span, came: &seen::Span, depth: usize, at: &[Step]) {
        for (key, want) in &want.attributes {
            let value = attribute(&came.attributes, key);
            let is_same = value.is_some_and(|value| want.matches(value));
            self.out.field(depth, &shown_key(key), &shown_want(want), value.map(shown).as_deref(), is_same);
            if !is_same {
                let place = under(&under(at, "attributes"), key);
                self.out.edits.push(match value {
                    Some(value) => Edit::Set(place, value.clone()),
                    None => Edit::Remove(place),
                });
            }
        }
        for key in &want.without {
            if let Some(value) = attribute(&came.attributes, key) {
                let text = format!("{} = {}", shown_key(key), shown(value));
                self.out.noted(Mark::Extra, depth, text, Some("is not to be there".to_owned()));
                self.out.edits.push(Edit::RemoveText(under(at, "without"), key.clone()));
            }
        }
    }
}

fn is_called(want: &Span, came: &seen::Span) -> bool {
    want.name.matches(&came.name) && want.kind.is_none_or(|kind| kind == came.kind)
}

fn header(want: &Span) -> String {
    match want.kind {
        Some(kind) => format!("{} ({kind})", want.name),
        None => want.name.to_string(),
    }
}

fn came_header(came: &seen::Span) -> String {
    format!("{} ({})", came.name, came.kind)
}

/// Attributes that the host sets and that depend on the guest's code alone.
const HOSTS_OWN: [&str; 4] = ["http.route", "http.response.status_code", "error.type", "url.full"];
/// What the host says of requests otherwise.
const HOSTS: [&str; 13] = [
    "http.",
    "url.",
    "net.",
    "network.",
    "server.",
    "client.",
    "user_agent.",
    "pounce.",
    "error.",
    "peer.",
    "tls.",
    "code.",
    "faas.",
];

/// What a span that nobody has described is told by: what its guest has said, and little else.
pub(in crate::cases) fn relevant(came: &seen::Span) -> Vec<(String, Json)> {
    let is_hosts = matches!(came.kind, "server" | "client");
    let is_relevant = |key: &str| match is_hosts {
        true => HOSTS_OWN.contains(&key) || !HOSTS.iter().any(|prefix| key.starts_with(prefix)),
        false => !key.starts_with("pounce."),
    };
    came.attributes.iter().filter(|(key, _)| is_relevant(key)).cloned().collect()
}
