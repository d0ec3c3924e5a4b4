//! The mocks of one case: what they answer, how often they were called, and what else the guest called.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Response, request};

use super::body;
use super::compare::{came_times, shown};
use super::expect::{Answer, Case, Mock};
use super::pattern::Pattern;
use super::url;
use crate::guest::{Policy, Reply};

/// Calls that are told apart which nothing answers.
const MOST_REFUSED: usize = 20;

/// What becomes of the outgoing requests of a case.
pub(super) struct Calls {
    mocks: Vec<Mock>,
    pass: Policy,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How often each mock has answered.
    answered: Vec<usize>,
    /// Calls that nothing answers, as problems; each once.
    refused: Vec<String>,
}

impl Calls {
    pub(super) fn new(case: &Case) -> Self {
        let state = State { answered: vec![0; case.mocks.len()], refused: Vec::new() };
        Self { mocks: case.mocks.clone(), pass: Policy::new(&case.pass), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What becomes of an outgoing request, whose body is known or not yet. The first mock that fits answers, as long as it
    /// has not been called as often as it may.
    pub(super) fn reply(&self, head: &request::Parts, body: Option<&Bytes>) -> Reply {
        let mut state = self.state();
        let mut is_used_up = None;
        for (nth, mock) in self.mocks.iter().enumerate().filter(|(_, mock)| fits(mock, head)) {
            match (&mock.body, body) {
                (Some(_), None) => return Reply::Read,
                (Some(want), Some(body)) if !body::matches(want, body) => continue,
                _ if state.answered[nth] >= mock.times.most => is_used_up = Some(mock),
                _ => {
                    state.answered[nth] += 1;
                    return answer(mock);
                }
            }
        }
        if self.pass.allows(&head.uri).is_ok() {
            return Reply::PassOn;
        }
        let call = format!("{} {}", head.method, head.uri);
        let problem = match is_used_up {
            Some(Mock { written, times, .. }) => {
                format!("the guest called {call} once more than the mock `{written}` answers ({times})")
            }
            None => format!(
                "the guest called {call}, which nothing answers; add a mock, or let it pass:\n\n  \
                 [[case.mock]]\n  request = {}\n  response = 200",
                shown(&call.clone().into())
            ),
        };
        if state.refused.len() < MOST_REFUSED && !state.refused.contains(&problem) {
            state.refused.push(problem);
        }
        Reply::Refuse
    }

    /// Whether a mock has not been called as often as it has to be.
    pub(super) fn are_missed(&self) -> bool {
        let state = self.state();
        self.mocks.iter().zip(&state.answered).any(|(mock, count)| *count < mock.times.least)
    }

    /// What was called and should not have been, and mocks that were not called as often as they should.
    pub(super) fn problems(&self) -> Vec<String> {
        let state = self.state();
        let counted = self.mocks.iter().zip(&state.answered);
        let missed = counted.filter(|(mock, count)| !mock.times.allows(**count)).map(|(mock, count)| {
            let Mock { written, times, .. } = mock;
            match count {
                0 => format!("the mock `{written}` was not called, expected {times}"),
                count => format!("the mock `{written}` was called {}, expected {times}", came_times(*count)),
            }
        });
        state.refused.iter().cloned().chain(missed).collect()
    }
}

fn fits(mock: &Mock, head: &request::Parts) -> bool {
    mock.method.as_ref().is_none_or(|method| *method == head.method)
        && is_called(&mock.url, &head.uri.to_string())
        && mock.headers.iter().all(|(name, pattern)| {
            let mut values = head.headers.get_all(name).iter();
            values.any(|value| pattern.matches(&String::from_utf8_lossy(value.as_bytes())))
        })
}

/// Whether a pattern, which is normalised, stands for the URL, perhaps with the port that is its scheme's own.
fn is_called(pattern: &Pattern, url: &str) -> bool {
    pattern.matches(&url::normalised(url)) || pattern.matches(url)
}

fn answer(mock: &Mock) -> Reply {
    match &mock.answer {
        Answer::Error(code) => Reply::Fail(code, mock.delay),
        Answer::Response { status, headers, body } => {
            let mut response = Response::new(body.clone());
            *response.status_mut() = *status;
            for (name, value) in headers {
                response.headers_mut().append(name, value.clone());
            }
            Reply::Respond(response, mock.delay)
        }
    }
}
