//! T5: whatever the encoder of line protocol takes reads back as exactly that point.
#![no_main]

#[path = "../../crates/archive/tests/line/check.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    check::check_bytes(bytes);
});
