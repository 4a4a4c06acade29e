//! Panics inside iterations: caught, counted once per kind with their place, and kept off the terminal,
//! where a thousand of them per second would hide everything else. Other panics are shown as ever.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::sync::Once;

thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs something whose panics the caller reports by itself.
pub(crate) fn watched<T>(run: impl FnOnce() -> T) -> T {
    install();
    let outer = WATCHED.replace(true);
    let result = run();
    WATCHED.set(outer);
    result
}

/// The message of a panic that [`watched`] saw last on this thread, and where it happened.
pub(crate) fn describe(panic: &(dyn Any + Send)) -> (String, Option<String>) {
    (message(panic).to_owned(), PLACE.take())
}

/// The text that was given to `panic!`.
pub(crate) fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without a message")
}

fn install() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let shown = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if WATCHED.get() {
                PLACE.set(info.location().map(ToString::to_string));
            } else if !crate::http::panics_silenced() {
                shown(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn a_watched_panic_tells_its_message_and_place() {
        let panic = watched(|| catch_unwind(|| panic!("seat {} is gone", 4))).expect_err("panicked");
        let (message, place) = describe(panic.as_ref());
        assert_eq!(message, "seat 4 is gone");
        assert!(place.is_some_and(|place| place.contains("panics.rs")));
    }
}
