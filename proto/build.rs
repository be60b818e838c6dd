//! Compiles `sen/v1/*.proto` without an installed `protoc`.

use std::error::Error;

const FILES: [&str; 8] = [
    "sen/v1/readings.proto",
    "sen/v1/events.proto",
    "sen/v1/quarantine.proto",
    "sen/v1/summaries.proto",
    "sen/v1/alerts.proto",
    "sen/v1/commands.proto",
    "sen/v1/desk.proto",
    "sen/v1/oncall.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=sen");
    println!("cargo::rerun-if-changed=build.rs");
    let descriptors = protox::compile(FILES, ["."])?;
    prost_build::Config::new()
        // Ordered maps: equal values have equal bytes.
        .btree_map(["."])
        .compile_fds(descriptors)?;
    Ok(())
}
