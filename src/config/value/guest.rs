//! What a guest is given: environment variables, settings, arguments and directories.

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
            None if place.vars.is_withheld() => {
                let hint = format!("write {key}=VALUE or {key}=@FILE, so that it means the same everywhere");
                return Err(Invalid::new(
                    "would be taken from the environment, which is not asked here",
                    hint,
                ));
            }
            None => place.vars.get(key).map(str::to_owned).ok_or_else(|| {
                let hint = format!("set {key} in Pounce's environment (as UTF-8), or write {key}=VALUE");
                Invalid::new("is not set in Pounce's environment", hint)
            })?,
            Some(value) => written_or_in_file(value, place)?,
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
            Some((key, value)) => quote_pair(key, value),
            None => format!("`{text}`"),
        }
    }

    fn show(&self) -> String {
        format!("{}=…", self.key)
    }
}

/// A setting that the guest reads by `wasi:config`; `Debug` leaves its value out, as it may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct WasiConfigEntry {
    /// The setting's key.
    pub key: String,
    /// The setting's value: never logged, printed or traced.
    pub value: String,
}

impl fmt::Debug for WasiConfigEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasiConfigEntry").field("key", &self.key).finish_non_exhaustive()
    }
}

const WASI_CONFIG_HINT: &str = "write KEY=VALUE or KEY=@FILE";

impl Value for WasiConfigEntry {
    fn read(text: &str, place: &Place<'_>) -> Result<Self, Invalid> {
        // Unlike of a variable, a value is always given: nothing of Pounce's own environment gets here.
        let (key, value) =
            text.split_once('=').ok_or_else(|| Invalid::new("has no `=`", WASI_CONFIG_HINT))?;
        if key.is_empty() {
            return Err(Invalid::new("has no key before the `=`", WASI_CONFIG_HINT));
        }
        Ok(Self { key: key.to_owned(), value: written_or_in_file(value, place)? })
    }

    fn quote(text: &str) -> String {
        match text.split_once('=') {
            Some((key, value)) => quote_pair(key, value),
            // Perhaps a value whose key was forgotten.
            None => "an entry".to_owned(),
        }
    }

    fn show(&self) -> String {
        format!("{}=…", self.key)
    }
}

/// `KEY=…`, or the path in `KEY=@FILE`: that of a secret is no secret, and is what the mistake is about.
fn quote_pair(key: &str, value: &str) -> String {
    let names_file = value.starts_with('@') && !value.starts_with("@@");
    let value = if names_file { value } else { "…" };
    format!("`{key}={value}`")
}

/// A value as it is written, or what is in the file that `@FILE` names. `@@` is for a value that starts with an at sign.
fn written_or_in_file(value: &str, place: &Place<'_>) -> Result<String, Invalid> {
    match value.strip_prefix('@') {
        Some(literal) if literal.starts_with('@') => Ok(literal.to_owned()),
        Some(file) => secret(&place.path(Path::new(file)), value),
        None => Ok(value.to_owned()),
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
    fn settings_come_from_the_text_or_a_file_and_never_from_our_environment() {
        let setting = |text| read::<WasiConfigEntry>(text).map(|entry| (entry.key, entry.value));
        let pair = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(setting("A=b=c"), pair("A", "b=c"));
        assert_eq!(setting("A="), pair("A", ""));
        assert_eq!(setting("A=@@home"), pair("A", "@home"));
        let manifest = concat!("LINES=@", env!("CARGO_MANIFEST_DIR"), "/rust-toolchain.toml");
        assert!(setting(manifest).is_ok_and(|(_, text)| text.starts_with("[toolchain]")));
        assert!(setting("HOME_TOWN").unwrap_err().what.contains("no `=`"));
        assert!(setting("=x").unwrap_err().what.contains("no key"));
        assert!(setting("A=@/no/such/file").unwrap_err().what.contains("/no/such/file"));
    }

    #[test]
    fn values_of_settings_are_never_shown() {
        let entry: WasiConfigEntry = read("TOKEN=hunter2").unwrap();
        let quoted = ["TOKEN=hunter2", "TOKEN=@@hunter2"].map(WasiConfigEntry::quote);
        for text in [format!("{entry:?}"), entry.show()].iter().chain(&quoted) {
            assert!(text.contains("TOKEN") && !text.contains("hunter2"), "{text}");
        }
        assert!(WasiConfigEntry::quote("TOKEN=@/run/token").contains("@/run/token"));
        assert!(!WasiConfigEntry::quote("hunter2").contains("hunter2"));
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
