//! A function, rewritten so that each call has a span.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::visit_mut::{self, VisitMut};
use syn::{Block, Error, FnArg, Ident, ItemFn, LitStr, Pat, ReturnType, Type, parse_quote};

use crate::arguments::Arguments;

/// What `#[traced(arguments)]` makes of a function.
pub(crate) fn traced(arguments: TokenStream, function: TokenStream) -> syn::Result<TokenStream> {
    let arguments: Arguments = syn::parse2(arguments)?;
    let at = function.span();
    let mut function: ItemFn = syn::parse2(function).map_err(|_| {
        Error::new(at, "#[traced] is for functions with a body: not for types, modules or closures")
    })?;
    if let Some(word) = &function.sig.constness {
        return Err(Error::new(word.span(), "a const fn runs in the compiler too, where there are no spans"));
    }
    let start = start(&arguments, &function)?;
    let output = output(&function.sig.output);
    let body = &function.block;
    function.block = Box::new(match function.sig.asyncness {
        Some(_) => asynchronous(&start, &output, body),
        None => synchronous(&start, &output, body),
    });
    Ok(quote!(#function))
}

fn synchronous(start: &TokenStream, output: &Type, body: &Block) -> Block {
    let [span, scope, outcome] = ["span", "scope", "outcome"].map(hidden);
    let record = record(&outcome, &quote!(#span));
    parse_quote!({
        let #span = #start;
        let #scope = #span.enter();
        #[allow(clippy::redundant_closure_call, clippy::let_unit_value, unreachable_code)]
        let #outcome: #output = (move || -> #output #body)();
        #record
        ::core::mem::drop(#scope);
        #outcome
    })
}

fn asynchronous(start: &TokenStream, output: &Type, body: &Block) -> Block {
    let [span, outcome, never] = ["span", "outcome", "never"].map(hidden);
    // The innermost span is this one again once the body is done.
    let record = record(&outcome, &quote!(::pounce_guest::tracing::current()));
    parse_quote!({
        let #span = #start;
        ::pounce_guest::Instrument::instrument(
            async move {
                #[allow(clippy::let_unit_value, unreachable_code)]
                let #outcome: #output = async move {
                    // So that the compiler knows the type before it reads the first `?`.
                    #[allow(clippy::never_loop, clippy::diverging_sub_expression)]
                    if false {
                        let #never: #output = loop {};
                        return #never;
                    }
                    #body
                }
                .await;
                #record
                #outcome
            },
            #span,
        )
        .await
    })
}

/// Records what failed.
fn record(outcome: &Ident, span: &TokenStream) -> TokenStream {
    let exception = hidden("exception");
    quote! {
        {
            #[allow(unused_imports)]
            use ::pounce_guest::__private::{FailsByDebug, FailsByDisplay, FailsByError, FailsSilently, Succeeds};
            if let ::core::option::Option::Some(#exception) =
                (&&&&&::pounce_guest::__private::Outcome(&#outcome)).exception()
            {
                #span.record_exception(#exception);
            }
        }
    }
}

/// Starts the span.
fn start(arguments: &Arguments, function: &ItemFn) -> syn::Result<TokenStream> {
    let name = match &arguments.name {
        Some(name) => name.clone(),
        None => {
            let ident = &function.sig.ident;
            LitStr::new(&ident.unraw().to_string(), ident.span())
        }
    };
    let options = hidden("options");
    let kind =
        arguments.kind.iter().map(|kind| quote!(#options = #options.kind(::pounce_guest::SpanKind::#kind);));
    let mut bound = Vec::new();
    for argument in &function.sig.inputs {
        if let FnArg::Typed(argument) = argument {
            names(&argument.pat, &mut bound);
        }
    }
    if let Some(unknown) = arguments.skipped.iter().find(|name| !bound.contains(name)) {
        return Err(Error::new(unknown.span(), format!("the function has no argument `{unknown}` to skip")));
    }
    bound.retain(|name| !arguments.skips_all && !arguments.skipped.contains(name));
    let recorded = bound.iter().map(|name| {
        let key = name.unraw().to_string();
        let value = hidden("value");
        quote! {
            if let ::core::option::Option::Some(#value) = (&&&::pounce_guest::__private::Argument(&#name)).value() {
                #options = #options.attribute(#key, #value);
            }
        }
    });
    let fields = arguments
        .fields
        .iter()
        .map(|(key, value)| quote_spanned!(value.span()=> #options = #options.attribute(#key, #value);));
    Ok(quote! {
        {
            #[allow(unused_imports)]
            use ::pounce_guest::__private::{ByDebug, ByValue, Neither};
            #[allow(unused_mut)]
            let mut #options = ::pounce_guest::Span::options();
            #(#kind)*
            if ::pounce_guest::tracing::is_recording() {
                #(#recorded)*
                #(#fields)*
            }
            #options.start(#name)
        }
    })
}

/// The names that a pattern binds.
fn names(pattern: &Pat, found: &mut Vec<Ident>) {
    match pattern {
        Pat::Ident(name) => found.push(name.ident.clone()),
        Pat::Reference(inner) => names(&inner.pat, found),
        Pat::Tuple(all) => all.elems.iter().for_each(|one| names(one, found)),
        Pat::TupleStruct(all) => all.elems.iter().for_each(|one| names(one, found)),
        Pat::Slice(all) => all.elems.iter().for_each(|one| names(one, found)),
        Pat::Struct(all) => all.fields.iter().for_each(|one| names(&one.pat, found)),
        _ => {}
    }
}

/// The type that a function returns, `_` where it says `impl Trait`.
fn output(output: &ReturnType) -> Type {
    struct Inferred;
    impl VisitMut for Inferred {
        fn visit_type_mut(&mut self, part: &mut Type) {
            match part {
                Type::ImplTrait(_) => *part = parse_quote!(_),
                _ => visit_mut::visit_type_mut(self, part),
            }
        }
    }
    let mut output = match output {
        ReturnType::Default => parse_quote!(()),
        ReturnType::Type(_, output) => (**output).clone(),
    };
    Inferred.visit_type_mut(&mut output);
    output
}

/// A name that the function's own code cannot see.
fn hidden(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}
