//! `options!`: one entry declares flag, variable, file key, field, help and default.

/// Declares one section of options and the struct of its settings.
///
/// An entry reads `field: Type, "VALUE NAME" = default;` with the default either a text as a user
/// would write it, or `(function, "how the help calls it", "an example")`. `or function["VARIABLE", …]`
/// adds standard variables that stand between `POUNCE_*` and the file. The struct has values alone (`plain`), or each with
/// who set it (`sourced`).
macro_rules! options {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident: $section:literal, $heading:literal, $carries:literal, $keep:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $ty:ty, $value_name:literal = $default:tt
                    $(or $standard:path [$($variable:literal),+])?;
            )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        $vis struct $name {
            $( $(#[doc = $doc])+ pub $field: options!(@type $keep $ty), )+
        }

        impl $name {
            /// The section as it is declared.
            pub(crate) const OPTIONS: &'static [$crate::config::declared::Declared] = &[
                $( $crate::config::declared::Declared {
                    section: $section,
                    heading: $heading,
                    carries_section: $carries,
                    field: stringify!($field),
                    docs: &[$($doc),+],
                    value_name: $value_name,
                    default: options!(@shown $default),
                    example: options!(@example $default),
                    list: <$ty as $crate::config::value::Setting>::LIST,
                    switch: <$ty as $crate::config::value::Setting>::SWITCH,
                    standard: &[$($($variable),+)?],
                }, )+
            ];

            /// Takes every option of the section out of what was said.
            pub(crate) fn resolve(resolver: &mut $crate::config::resolve::Resolver<'_>) -> Self {
                let mut declared = Self::OPTIONS.iter();
                // Fields of a struct expression are evaluated in the order they are written: the table's.
                Self {
                    $( $field: options!(@keep $keep resolver.take::<$ty>(
                        declared.next().expect("the table has an entry for each field"),
                        options!(@default $default),
                        options!(@standard $($standard)?),
                    )), )+
                }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: options!(@unset $keep options!(@default $default).value()), )+ }
            }
        }
    };

    (@type plain $ty:ty) => { $ty };
    (@type sourced $ty:ty) => { $crate::config::resolve::Sourced<$ty> };
    (@keep plain $found:expr) => { $found.value };
    (@keep sourced $found:expr) => { $found };
    (@unset plain $value:expr) => { $value };
    (@unset sourced $value:expr) => { $crate::config::resolve::Sourced::default_of($value) };
    (@shown $text:literal) => { $text };
    (@shown ($find:path, $shown:literal, $example:literal)) => { $shown };
    (@example $text:literal) => { $text };
    (@example ($find:path, $shown:literal, $example:literal)) => { $example };
    (@default $text:literal) => { $crate::config::declared::Default::Text($text) };
    (@default ($find:path, $shown:literal, $example:literal)) => {
        $crate::config::declared::Default::Found($find)
    };
    (@standard) => { None };
    (@standard $standard:path) => { Some($standard) };
}

pub(super) use options;
