//! Spans around futures: right also where several run in turns.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::Span;

/// Gives futures a span: see [`instrument`](Instrument::instrument).
pub trait Instrument: Future + Sized {
    /// Runs this future in `span`: the span is the current one whenever the future is at work, and only then, so
    /// futures that run in turns each have their own. It ends when the future is done or dropped.
    ///
    /// ```no_run
    /// # async fn load(id: u64) {}
    /// use pounce_guest::{Instrument, Span, tracing};
    ///
    /// # async fn both() {
    /// let first = async {
    ///     load(1).await;                                      // requests made here are children of "load 1"
    ///     tracing::current().set_attribute("loaded", true);   // an attribute of "load 1"
    /// };
    /// first.instrument(Span::start("load 1")).await;
    /// # }
    /// ```
    fn instrument(self, span: Span) -> Instrumented<Self> {
        Instrumented { span: Some(span), future: Some(Box::pin(self)) }
    }
}

impl<F: Future> Instrument for F {}

/// A future and its span, made by [`Instrument::instrument`].
pub struct Instrumented<F> {
    span: Option<Span>,
    future: Option<Pin<Box<F>>>,
}

impl<F> Instrumented<F> {
    /// The span; none once the future is done.
    pub fn span(&self) -> Option<&Span> {
        self.span.as_ref()
    }

    /// What a future does when it is dropped (a call it gives up, say) belongs to its span too.
    fn finish(&mut self) {
        if let Some(span) = self.span.take() {
            let scope = span.enter();
            self.future = None;
            drop(scope);
        }
    }
}

impl<F: Future> Future for Instrumented<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let (Some(span), Some(future)) = (&this.span, &mut this.future) else {
            panic!("polled after it was done");
        };
        let scope = span.enter();
        let result = future.as_mut().poll(context);
        drop(scope);
        if result.is_ready() {
            this.finish();
        }
        result
    }
}

impl<F> Drop for Instrumented<F> {
    fn drop(&mut self) {
        self.finish();
    }
}

impl<F> fmt::Debug for Instrumented<F> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Instrumented").field("span", &self.span).finish_non_exhaustive()
    }
}
