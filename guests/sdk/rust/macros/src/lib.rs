//! The attribute macro `#[traced]`, which `pounce-guest` exports: use it from there.

mod arguments;
mod expand;

use proc_macro::TokenStream;

/// Gives each call of a function a span of its own, a child of the span that is entered when it is called.
///
/// The span has the function's name and its arguments as attributes; it ends when the function returns, or, of an
/// `async fn`, when its future is done or dropped. A result that is an `Err` is recorded on it as an exception, which
/// sets its status to error. Requests, spans and log records of the function are children of the span, also where
/// several futures run in turns.
///
/// ```no_run
/// use pounce_guest::traced;
///
/// #[traced]
/// fn price(item: u32, express: bool) -> u32 {
///     if express { item * 2 } else { item }
/// }
///
/// #[traced(name = "load order", kind = "client", skip(token), fields(db.system.name = "redis", token.len = token.len()))]
/// async fn load(id: u32, token: &str) -> Result<String, std::io::Error> {
///     # let _ = (id, token);
///     Ok(String::new())
/// }
/// ```
///
/// | argument | |
/// | --- | --- |
/// | `name = "…"` | the span's name, in place of the function's |
/// | `kind = "…"` | `internal` (what it is without), `server`, `client`, `producer` or `consumer` |
/// | `skip(a, b)`, `skip_all` | arguments that are no attributes: secrets, bodies |
/// | `fields(key = value, …)` | more attributes; a key is `a.b.c` or a string, a value is anything that makes a `Value`, and may use the arguments |
///
/// An argument becomes an attribute as what it is (text, numbers, booleans, bytes, lists of these), else by its `Debug`;
/// one that has neither is left out, and so is `self`. Attributes are built only where the request is recorded.
///
/// Of an error, `exception.type` is its type, `exception.message` what it displays, `exception.stacktrace` what caused
/// it. A function that returns a future without being an `async fn` has a span for the making of the future alone.
#[proc_macro_attribute]
pub fn traced(arguments: TokenStream, function: TokenStream) -> TokenStream {
    expand::traced(arguments.into(), function.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
