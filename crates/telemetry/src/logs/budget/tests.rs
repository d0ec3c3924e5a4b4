//! When a line has a budget, when it is spent, and what is said of the lines that were left out.

use super::*;

fn left_out() -> LeftOut {
    LeftOut {
        count: 1,
        level: Level::WARN,
        source: "h2",
        example: "stream reset".to_owned(),
        stays_here: true,
    }
}

/// A callsite for each name, as the macros make them.
macro_rules! kind {
    ($cause:expr) => {{
        struct Place;
        static META: Metadata<'static> = tracing::metadata! {
            name: "place", target: "h2", level: Level::WARN, fields: &[], callsite: &Place,
            kind: tracing::metadata::Kind::EVENT,
        };
        impl tracing::callsite::Callsite for Place {
            fn set_interest(&self, _: tracing::subscriber::Interest) {}
            fn metadata(&self) -> &Metadata<'_> {
                &META
            }
        }
        Some((META.callsite(), $cause))
    }};
}

fn admitted(state: &mut State, kind: Kind, now: Instant, lines: u32) -> u32 {
    (0..lines).filter(|_| state.admits(kind.clone(), now, left_out)).count().try_into().unwrap()
}

#[test]
fn a_kind_beyond_its_budget_is_counted_and_told_once_its_time_is_over() {
    let (mut state, start, kind) = (State::default(), Instant::now(), kind!(0));
    assert_eq!(admitted(&mut state, kind.clone(), start, 5_000), LINES);
    assert!(state.due(start + WINDOW / 2).is_empty());
    assert_eq!(state.next_due(), Some(start + WINDOW));
    // Not told yet: those of the next window are added.
    assert_eq!(admitted(&mut state, kind.clone(), start + WINDOW, 10), 0);
    let told = state.due(start + WINDOW);
    assert_eq!(told.iter().map(|told| told.count).collect::<Vec<_>>(), [5_000 - u64::from(LINES) + 10]);
    assert_eq!(state.next_due(), None);
    assert!(state.due(start + WINDOW).is_empty());
    assert_eq!(admitted(&mut state, kind, start + WINDOW * 2, 100), LINES, "a whole budget again");
    state.is_over = true;
    assert_eq!(state.due(start + WINDOW * 2).len(), 1, "the end of the log waits for no window");
}

#[test]
fn a_flood_of_one_kind_hides_no_other() {
    let (mut state, now) = (State::default(), Instant::now());
    assert_eq!(admitted(&mut state, kind!(0), now, 1_000), LINES);
    assert_eq!(admitted(&mut state, kind!(0), now, 1_000), LINES, "another place");
    let trap = kind!(1);
    assert_eq!(admitted(&mut state, trap.clone(), now, 1_000), LINES);
    let other_cause = trap.map(|(place, _)| (place, 2));
    assert_eq!(admitted(&mut state, other_cause, now, 1_000), LINES);
}

#[test]
fn beyond_so_many_kinds_all_others_are_one() {
    let (mut state, now, kind) = (State::default(), Instant::now(), kind!(0));
    let place = kind.map(|(place, _)| place).unwrap();
    let all: u32 = (0..MAX_KINDS as u64 * 3)
        .map(|cause| admitted(&mut state, Some((place.clone(), cause)), now, 1))
        .sum();
    assert_eq!(all, MAX_KINDS as u32 + LINES);
    assert_eq!(state.kinds.len(), MAX_KINDS + 1);
}

#[test]
fn what_the_operator_does_and_what_is_limited_elsewhere_has_no_budget() {
    for target in ["pounce::cli::serve", "pounce::app", "pounce::log", "guest", "access"] {
        assert!(is_exempt(target), "{target}");
    }
    for target in ["pounce", "pounce::server::response", "pounce::application", "guest2", "h2", "rustls"] {
        assert!(!is_exempt(target), "{target}");
    }
}

#[test]
fn nothing_is_written_of_what_is_left_out() {
    use crate::logs::lines;
    use crate::settings::LogFormat;
    use tracing_subscriber::layer::SubscriberExt as _;

    struct Writes(Arc<Mutex<Vec<usize>>>);

    impl std::io::Write for Writes {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().push(line.len());
            Ok(line.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    for format in [LogFormat::Text, LogFormat::Json] {
        let written = Arc::default();
        let writer = {
            let written = Arc::clone(&written);
            move || Writes(Arc::clone(&written))
        };
        let budget = Budget::start().unwrap();
        let layers = tracing_subscriber::registry().with(budget.judge()).with(lines(
            format,
            crate::logs::Text { colour: false, is_dev: false },
            writer,
        ));
        tracing::subscriber::with_default(layers, || {
            for _ in 0..3 * LINES {
                tracing::warn!("again");
            }
        });
        let written = written.lock().unwrap();
        assert_eq!(written.len(), LINES as usize, "{written:?}");
        assert!(written.iter().all(|length| *length > 10), "{written:?}");
    }
}
