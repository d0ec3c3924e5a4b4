//! What the code that `#[traced]` writes calls. Not for anybody else: it changes without notice.
//!
//! Which trait's method is meant, the compiler finds by the number of references that it has to take off: the first
//! whose bounds hold. So an argument is recorded by the best means that its type has, and none is required.

use std::error::Error;
use std::fmt::{Debug, Display};

use crate::{Exception, Value};

/// An argument of a function.
#[derive(Debug)]
pub struct Argument<'a, T>(pub &'a T);

/// What makes a value.
pub trait ByValue {
    /// The attribute's value.
    fn value(&self) -> Option<Value>;
}

impl<T: Clone + Into<Value>> ByValue for &&Argument<'_, T> {
    fn value(&self) -> Option<Value> {
        Some(self.0.clone().into())
    }
}

/// What is shown for debugging.
pub trait ByDebug {
    /// The attribute's value.
    fn value(&self) -> Option<Value>;
}

impl<T: Debug> ByDebug for &Argument<'_, T> {
    fn value(&self) -> Option<Value> {
        Some(Value::Text(format!("{:?}", self.0)))
    }
}

/// What cannot be shown.
pub trait Neither {
    /// Nothing.
    fn value(&self) -> Option<Value>;
}

impl<T> Neither for Argument<'_, T> {
    fn value(&self) -> Option<Value> {
        None
    }
}

/// What a function returns.
#[derive(Debug)]
pub struct Outcome<'a, T>(pub &'a T);

/// A result whose error is a standard one.
pub trait FailsByError {
    /// The exception, if it failed.
    fn exception(&self) -> Option<Exception>;
}

impl<T, E: Error> FailsByError for &&&&Outcome<'_, Result<T, E>> {
    fn exception(&self) -> Option<Exception> {
        self.0.as_ref().err().map(Exception::from)
    }
}

/// A result whose error can be shown.
pub trait FailsByDisplay {
    /// The exception, if it failed.
    fn exception(&self) -> Option<Exception>;
}

impl<T, E: Display> FailsByDisplay for &&&Outcome<'_, Result<T, E>> {
    fn exception(&self) -> Option<Exception> {
        self.0.as_ref().err().map(|error| Exception::new(kind::<E>(), error.to_string()))
    }
}

/// A result whose error can be shown for debugging.
pub trait FailsByDebug {
    /// The exception, if it failed.
    fn exception(&self) -> Option<Exception>;
}

impl<T, E: Debug> FailsByDebug for &&Outcome<'_, Result<T, E>> {
    fn exception(&self) -> Option<Exception> {
        self.0.as_ref().err().map(|error| Exception::new(kind::<E>(), format!("{error:?}")))
    }
}

/// A result whose error cannot be shown.
pub trait FailsSilently {
    /// The exception, if it failed.
    fn exception(&self) -> Option<Exception>;
}

impl<T, E> FailsSilently for &Outcome<'_, Result<T, E>> {
    fn exception(&self) -> Option<Exception> {
        self.0.as_ref().err().map(|_| Exception::new(kind::<E>(), ""))
    }
}

/// What is no result.
pub trait Succeeds {
    /// Nothing.
    fn exception(&self) -> Option<Exception>;
}

impl<T> Succeeds for Outcome<'_, T> {
    fn exception(&self) -> Option<Exception> {
        None
    }
}

/// The name of an error's type, as [`Exception::from`] has it.
pub(crate) fn kind<E: ?Sized>() -> &'static str {
    let name = std::any::type_name::<E>();
    if name.contains("dyn ") { "error" } else { name }
}
