//! What stands in the brackets of `#[traced(…)]`.

use proc_macro2::Span;
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Ident, LitStr, Token, parenthesized};

const KNOWN: &str = "name = \"…\", kind = \"…\", skip(…), skip_all or fields(…)";
const KINDS: [(&str, &str); 5] = [
    ("internal", "Internal"),
    ("server", "Server"),
    ("client", "Client"),
    ("producer", "Producer"),
    ("consumer", "Consumer"),
];

/// What was asked for.
#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) name: Option<LitStr>,
    /// A variant of `SpanKind`.
    pub(crate) kind: Option<Ident>,
    pub(crate) skipped: Vec<Ident>,
    pub(crate) skips_all: bool,
    pub(crate) fields: Vec<(String, Expr)>,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut arguments = Self::default();
        while !input.is_empty() {
            arguments.take(input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(arguments)
    }
}

impl Arguments {
    fn take(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        let word =
            Ident::parse_any(input).map_err(|error| Error::new(error.span(), format!("expected {KNOWN}")))?;
        match word.to_string().as_str() {
            "name" => {
                input.parse::<Token![=]>()?;
                self.name = Some(input.parse()?);
            }
            "kind" => {
                input.parse::<Token![=]>()?;
                self.kind = Some(kind(&input.parse()?)?);
            }
            "skip" => {
                let names;
                parenthesized!(names in input);
                self.skipped.extend(Punctuated::<Ident, Token![,]>::parse_terminated(&names)?);
            }
            "skip_all" => self.skips_all = true,
            "fields" => {
                let fields;
                parenthesized!(fields in input);
                self.fields.extend(
                    Punctuated::<Field, Token![,]>::parse_terminated(&fields)?.into_iter().map(|it| it.0),
                );
            }
            other => return Err(Error::new(word.span(), format!("`{other}` is unknown: it is {KNOWN}"))),
        }
        Ok(())
    }
}

fn kind(name: &LitStr) -> syn::Result<Ident> {
    let typed = name.value();
    match KINDS.iter().find(|(known, _)| *known == typed) {
        Some((_, variant)) => Ok(Ident::new(variant, Span::call_site())),
        None => {
            let known = KINDS.map(|(known, _)| known).join(", ");
            Err(Error::new(name.span(), format!("there is no kind `{typed}`: it is one of {known}")))
        }
    }
}

/// `a.b.c = value` or `"a.b.c" = value`.
struct Field((String, Expr));

impl Parse for Field {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let key = if input.peek(LitStr) {
            input.parse::<LitStr>()?.value()
        } else {
            let parts =
                Punctuated::<Ident, Token![.]>::parse_separated_nonempty_with(input, Ident::parse_any)?;
            parts.iter().map(|part| part.unraw().to_string()).collect::<Vec<_>>().join(".")
        };
        input.parse::<Token![=]>()?;
        Ok(Self((key, input.parse()?)))
    }
}
