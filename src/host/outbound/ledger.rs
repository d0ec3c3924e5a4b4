//! What guests called that no setting names, for a developer whose guests may call everybody (`pounce dev`): what it would
//! take to allow it elsewhere. What was refused is not among it, nor is a name that a shell might read as more than a name.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::target::Target;

/// Origins, and names, that are told apart; a guest that makes them up fills no memory.
const MOST: usize = 256;

/// Origins that guests called and names that they looked up, through all reloads.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Called>);

#[derive(Debug, Default)]
struct Called {
    origins: BTreeSet<String>,
    names: BTreeSet<String>,
    is_full: bool,
}

impl Ledger {
    /// A guest called this target.
    pub(super) fn call(&self, target: &Target<'_>) {
        let mut called = self.called();
        let Called { origins, is_full, .. } = &mut *called;
        add(origins, target.to_string(), is_full);
    }

    /// A guest looked this name up.
    pub(super) fn look_up(&self, name: &str) {
        let mut called = self.called();
        let Called { names, is_full, .. } = &mut *called;
        add(names, name.to_owned(), is_full);
    }

    /// The flags that allow all of it, and whether there was more than these.
    pub(crate) fn flags(&self) -> (Vec<String>, bool) {
        let called = self.called();
        let origins = called.origins.iter().map(|origin| format!("--allow-outbound {origin}"));
        let names = called.names.iter().map(|name| format!("--allow-lookup {name}"));
        (origins.chain(names).collect(), called.is_full)
    }

    fn called(&self) -> MutexGuard<'_, Called> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(known: &mut BTreeSet<String>, one: String, is_full: &mut bool) {
    if known.len() < MOST && is_plain(&one) {
        known.insert(one);
    } else if !known.contains(&one) {
        *is_full = true;
    }
}

/// Whether a developer may paste it into a shell: a guest calls what its clients tell it.
fn is_plain(target: &str) -> bool {
    target.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:/-_[]".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Uri;

    #[test]
    fn what_was_called_is_told_as_flags() {
        let ledger = Ledger::default();
        let call = |uri: &str| ledger.call(&Target::of(&uri.parse::<Uri>().unwrap()).unwrap());
        for uri in
            ["https://api.example.com/a?b", "https://API.example.com./c", "http://[::1]:9000/", "http://b:80"]
        {
            call(uri);
        }
        ledger.look_up("db.example.com");
        let expected = [
            "--allow-outbound http://[::1]:9000",
            "--allow-outbound http://b",
            "--allow-outbound https://api.example.com",
            "--allow-lookup db.example.com",
        ];
        assert_eq!(ledger.flags(), (expected.map(str::to_owned).to_vec(), false));
        call("http://x$(id)/");
        ledger.look_up("a;reboot");
        assert_eq!(ledger.flags().0.len(), expected.len(), "not in a line that is made to be pasted");
        assert!(ledger.flags().1, "there was more");
        (0..2 * MOST).for_each(|n| call(&format!("http://host{n}/")));
        let (flags, is_full) = ledger.flags();
        assert_eq!((flags.len(), is_full), (MOST + 1, true));
    }
}
