//! Builds again when sources change, and has what was built served.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::build::Build;
use super::keys::{Key, Keys};
use super::sources::Tree;
use super::viewer;
use crate::app::Reloader;

/// Between two looks at the sources; a build begins when a look has found nothing new any more.
const PACE: Duration = Duration::from_millis(200);
/// Builds one after the other during each of which a source has changed; then it is taken that the build itself changes it.
const MAX_CHANGES: usize = 3;
/// Builds one after the other because of sources that changed while they ran, whichever these were: a build may write files
/// of other names each time.
const MAX_IN_A_ROW: usize = 10;

/// A build, and what it is made of.
pub(super) struct Watch {
    build: Build,
    /// None while a thread looks at it.
    tree: Option<Tree>,
    looking: Option<JoinHandle<(Tree, Vec<PathBuf>, Duration)>>,
    /// What has changed since the last build began.
    changed: Vec<PathBuf>,
    /// How many builds a source has changed during, of those up to the last one without a gap.
    changes: BTreeMap<PathBuf, usize>,
    /// How long the last look took.
    took: Duration,
    has_told_size: bool,
}

impl Watch {
    pub(super) fn new(build: Build, roots: Vec<PathBuf>) -> Self {
        let tree = Some(Tree::new(roots));
        Self {
            build,
            tree,
            looking: None,
            changed: Vec::new(),
            changes: BTreeMap::new(),
            took: Duration::ZERO,
            has_told_size: false,
        }
    }

    /// Builds until no source changes meanwhile but by the build itself.
    ///
    /// # Errors
    /// The last of these builds failed: why, and what to do.
    pub(super) async fn build(&mut self) -> Result<(), String> {
        for in_a_row in 1.. {
            self.look().await;
            self.changed.clear();
            let built = self.build.run().await;
            self.look().await;
            self.have_changed_during_a_build();
            if self.changed.is_empty() {
                return built;
            }
            if in_a_row == MAX_IN_A_ROW {
                tracing::warn!(
                    "sources have changed during each of {in_a_row} builds, {} during the last: it is built again at the \
                     next change; if builds write them, name the folders of your own sources (--source)",
                    self.changed[0].display()
                );
                self.changed.clear();
                return built;
            }
            tracing::info!("{} while it was built: building again", describe(&self.changed));
        }
        Ok(())
    }

    /// Tells sources that have changed during a build from those that the build itself changes, which are no reason to
    /// build again.
    fn have_changed_during_a_build(&mut self) {
        self.changed.sort();
        self.changed.dedup();
        let before = std::mem::take(&mut self.changes);
        for path in &self.changed {
            let changes = before.get(path).copied().unwrap_or(0) + 1;
            if changes == MAX_CHANGES {
                tracing::warn!(
                    "{} has changed during each of {changes} builds, and is no reason to build any more until a build \
                     leaves it as it is: if builds write it, name the folders of your own sources (--source)",
                    path.display()
                );
            }
            self.changes.insert(path.clone(), changes);
        }
        self.leave_out_own();
    }

    /// Forgets changes of sources that the build itself changes, or that hold what is logged (`2>&1 | tee dev.log`).
    fn leave_out_own(&mut self) {
        let changes = &self.changes;
        self.changed.retain(|path| changes.get(path).is_none_or(|changes| *changes < MAX_CHANGES));
    }

    /// Waits until sources have changed, and none changes any more; says which. May be dropped and called again without
    /// losing any.
    pub(super) async fn changed(&mut self) -> String {
        loop {
            // Many sources, or a slow disk, are looked at less often: a tenth of the time is enough for it.
            tokio::time::sleep(PACE.max(self.took * 10)).await;
            let known = self.changed.len();
            self.look().await;
            self.leave_out_own();
            if self.changed.len() == known && known > 0 {
                self.changed.sort();
                self.changed.dedup();
                return describe(&self.changed);
            }
        }
    }

    /// Builds whenever sources change or a key asks for it, and has what was built served.
    pub(super) async fn rebuild(&mut self, reloader: &Reloader, keys: &mut Keys, viewer: Option<&str>) {
        loop {
            tokio::select! {
                changed = self.changed() => tracing::info!("{changed}"),
                key = keys.next() => match key {
                    Key::Rebuild => {}
                    Key::Open => {
                        viewer::open(viewer);
                        continue;
                    }
                },
            }
            match self.build().await {
                Ok(()) => reloader.has_built(),
                Err(why) => {
                    tracing::error!("{why}; what was built before is served on");
                    reloader.has_failed_to_build(why);
                }
            }
        }
    }

    /// Looks at the sources on another thread: they may be many, on a disk that is slow. May be dropped and called again.
    async fn look(&mut self) {
        if let Some(mut tree) = self.tree.take() {
            self.looking = Some(tokio::task::spawn_blocking(move || {
                let begun = Instant::now();
                let changed = tree.look();
                (tree, changed, begun.elapsed())
            }));
        }
        let Some(looking) = &mut self.looking else { return std::future::pending().await };
        let looked = looking.await;
        self.looking = None;
        let Ok((tree, changed, took)) = looked else {
            tracing::error!("sources that change are not seen any more: the thread that looks died");
            return std::future::pending().await;
        };
        if tree.is_too_large && !self.has_told_size {
            self.has_told_size = true;
            tracing::warn!(
                "there are too many files to watch all: name the folders of your sources (--source)"
            );
        }
        (self.tree, self.took) = (Some(tree), took);
        self.changed.extend(changed);
    }
}

/// `src/lib.rs has changed`, or with how many others.
fn describe(changed: &[PathBuf]) -> String {
    match changed {
        [] => "nothing has changed".to_owned(),
        [one] => format!("{} has changed", one.display()),
        [first, others @ ..] => {
            let others = others.len();
            let files = if others == 1 { "file has" } else { "files have" };
            format!("{} and {others} more {files} changed", Path::display(first))
        }
    }
}
