//! Makes the folder of the built screens where it is missing, so that the centre can be built
//! without Node, and looks again when it changes.

fn main() {
    let dist = concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/dist");
    println!("cargo:rerun-if-changed={dist}");
    if let Err(error) = std::fs::create_dir_all(dist) {
        println!("cargo:warning=the folder {dist} cannot be made: {error}");
    }
}
