//! What a guest is given: environment variables and directories.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{Invalid, Place, Value};
use crate::config::content::{self, Unread};

/// An environment variable of the guest; `Debug` leaves its value out, as it may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct EnvVar {
    /// The variable's name.
    pub key: String,
    /// The variable's value: never logged, printed or traced.
    pub value: String,
}

impl fmt::Debug for EnvVar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvVar").field("key", &self.key).finish_non_exhaustive()
    }
}

const ENV_HINT: &str = "write KEY=VALUE, KEY (taken from Pounce's environment) or KEY=@FILE";

impl Value for EnvVar {
    fn read(text: &str, place: &Place<'_>) -> Result<Self, Invalid> {
        let (key, value) = text.split_once('=').map_or((text, None), |(key, value)| (key, Some(value)));
        if key.is_empty() || key.contains('\0') {
            return Err(Invalid::new("has no name before the `=`", ENV_HINT));
        }
        let value = match value {
            None => place.vars.get(key).map(str::to_owned).ok_or_else(|| {
                let hint = format!("set {key} in Pounce's environment (as UTF-8), or write {key}=VALUE");
                Invalid::new("is not set in Pounce's environment", hint)
            })?,
            Some(value) => match value.strip_prefix('@') {
                // `@@` for a value that starts with an at sign.
                Some(literal) if literal.starts_with('@') => literal.to_owned(),
                Some(file) => secret(&place.path(Path::new(file)), value)?,
                None => value.to_owned(),
            },
        };
        if value.contains('\0') {
            return Err(Invalid::new(
                "has a value with a zero byte",
                "take it out: no environment can hold it",
            ));
        }
        Ok(Self { key: key.to_owned(), value })
    }

    fn quote(text: &str) -> String {
        match text.split_once('=') {
            // The path of a secret is no secret, and is what the mistake is about.
            Some((key, value)) if value.starts_with('@') => format!("`{key}={value}`"),
            Some((key, _)) => format!("`{key}=…`"),
            None => format!("`{text}`"),
        }
    }

    fn show(&self) -> String {
        format!("{}=…", self.key)
    }
}

/// An argument of the guest; never printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Arg(pub String);

impl std::fmt::Debug for Arg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Arg(…)")
    }
}

impl Value for Arg {
    fn read(text: &str, _: &Place<'_>) -> Result<Self, Invalid> {
        if text.contains('\0') {
            return Err(Invalid::new("has a zero byte", "take it out: no argument can hold it"));
        }
        Ok(Self(text.to_owned()))
    }

    fn quote(_: &str) -> String {
        "an argument".to_owned()
    }

    fn show(&self) -> String {
        "…".to_owned()
    }
}

/// The content of a secret's file, without the line end that editors and `echo` add.
fn secret(path: &Path, value: &str) -> Result<String, Invalid> {
    let content = content::read_text(path).map_err(|error| {
        let hint = match error {
            Unread::Io(_) => {
                format!("make the file readable, or write `=@{value}` if the value itself starts with @")
            }
            Unread::TooLarge(_) => "name the file of one secret, and pass data through guest.dir".to_owned(),
        };
        Invalid::new(format!("{error} (file `{}`)", path.display()), hint)
    })?;
    let content = content.strip_suffix('\n').unwrap_or(&content);
    Ok(content.strip_suffix('\r').unwrap_or(content).to_owned())
}

/// A directory a guest may use, written `HOST::GUEST` or `HOST::GUEST:rw`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DirMount {
    /// The directory on this machine.
    pub host: PathBuf,
    /// The path at which the guest finds it.
    pub guest: String,
    /// Whether the guest may write.
    pub read_write: bool,
}

const DIR_HINT: &str = "write HOST::GUEST, such as ./assets::/assets, or HOST::GUEST:rw to allow writing";

impl FromStr for DirMount {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (host, guest) = text.rsplit_once("::").ok_or_else(|| Invalid::new("has no `::`", DIR_HINT))?;
        let (guest, read_write) = guest.strip_suffix(":rw").map_or((guest, false), |guest| (guest, true));
        // `a:::rw` is `a::` and `:rw`, with nothing between.
        if host.is_empty() || host.ends_with(':') || guest.is_empty() {
            return Err(Invalid::new("has an empty side", DIR_HINT));
        }
        if guest.contains(':') {
            return Err(Invalid::new("has a colon in the guest's path", DIR_HINT));
        }
        Ok(Self { host: host.into(), guest: guest.to_owned(), read_write })
    }
}

impl fmt::Display for DirMount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.read_write { ":rw" } else { "" };
        write!(f, "{}::{}{mode}", self.host.display(), self.guest)
    }
}

impl Value for DirMount {
    fn read(text: &str, place: &Place<'_>) -> Result<Self, Invalid> {
        let mut mount: Self = text.parse()?;
        mount.host = place.path(&mount.host);
        if !mount.host.is_dir() {
            let what = format!("names no directory: `{}`", mount.host.display());
            return Err(Invalid::new(what, "create it, or correct the path before the `::`"));
        }
        Ok(mount)
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::vars::Vars;

    fn read<T: Value>(text: &str) -> Result<T, Invalid> {
        let vars = Vars::from_iter([("HOME_TOWN", "Bonn")]);
        T::read(text, &Place { base: Path::new(""), vars: &vars })
    }

    fn value(text: &str) -> Option<String> {
        read::<EnvVar>(text).ok().map(|var| var.value)
    }

    #[test]
    fn variables_come_from_the_text_our_environment_or_a_file() {
        assert_eq!(value("A=b=c").as_deref(), Some("b=c"));
        assert_eq!(value("A=").as_deref(), Some(""));
        assert_eq!(value("A=@@home").as_deref(), Some("@home"));
        assert_eq!(value("HOME_TOWN").as_deref(), Some("Bonn"));
        assert_eq!(value("NOT_SET"), None);
        assert_eq!(value("=x"), None);
        let manifest = concat!("LINES=@", env!("CARGO_MANIFEST_DIR"), "/rust-toolchain.toml");
        assert!(value(manifest).is_some_and(|text| text.starts_with("[toolchain]") && !text.ends_with('\n')));
        assert!(read::<EnvVar>("A=@/no/such/file").unwrap_err().what.contains("/no/such/file"));
    }

    #[test]
    fn values_of_variables_are_never_shown() {
        let var: EnvVar = read("TOKEN=hunter2").unwrap();
        for text in [format!("{var:?}"), var.show(), EnvVar::quote("TOKEN=hunter2")] {
            assert!(text.contains("TOKEN") && !text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn directories_are_read_only_unless_said() {
        let mount: DirMount = "./a::/b".parse().unwrap();
        assert_eq!((mount.guest.as_str(), mount.read_write), ("/b", false));
        assert!("./a::/b:rw".parse::<DirMount>().unwrap().read_write);
        for text in ["", "a", "a:/b", "::b", "a::", "a:::rw", "a::b:ro"] {
            assert!(text.parse::<DirMount>().is_err(), "{text}");
        }
        assert!(read::<DirMount>("/no/such/dir::/x").unwrap_err().what.contains("names no directory"));
        assert!(read::<DirMount>("/::/root").is_ok());
    }
}
