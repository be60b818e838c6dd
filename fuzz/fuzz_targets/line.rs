//! T5: whatever the encoder of line protocol takes reads back as exactly that point.
#![no_main]

// The encoder alone: the rest of its crate, with a sanitizer, takes a quarter of an hour to build.
#[path = "../../crates/archive/src/line.rs"]
#[allow(dead_code)]
mod line;

#[path = "../../crates/archive/tests/line/check.rs"]
#[allow(dead_code)]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    check::check_bytes(bytes);
});
