//! What the simulated world objects to while the front runs. The front catches panics, so what one said is kept until the next check.

use std::cell::Cell;
use std::sync::Once;

thread_local! {
    static OBJECTION: Cell<Option<String>> = const { Cell::new(None) };
}

/// What a panic that was planted says.
const PLANTED: &str = "a drill";

/// From now on panics are heard, but for planted ones.
pub fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let text = panic.payload_as_str().unwrap_or("a panic");
            if text != PLANTED {
                // The first one tells what was wrong.
                OBJECTION.with(|place| place.set(Some(place.take().unwrap_or_else(|| text.to_owned()))));
                before(panic);
            }
        }));
    });
    OBJECTION.with(Cell::take);
}

/// What was objected to since the last call.
pub fn take() -> Option<String> {
    OBJECTION.with(Cell::take)
}
