//! Case files: what is asked of a component, what it is to answer, and the trace that this is to leave (`pounce test`).
//!
//! A file is read by `read`; a case is run by `run`, through the request path of every server and with outgoing calls
//! answered by `mocks`; `compare` puts what came beside what was expected, and `update` writes it into the file.

mod body;
mod compare;
mod expect;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod matching;
mod mocks;
mod pattern;
mod read;
mod run;
mod seen;
mod suite;
mod update;
mod url;

pub(crate) use compare::{Line, Mark};
pub(crate) use pattern::Pattern;
pub(crate) use run::{Failure, Outcome};
pub(crate) use suite::{Report, Run, Suite};
