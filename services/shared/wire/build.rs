//! Compiles `proto/` without a system `protoc`.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../../proto");
    let files = ["room.proto", "live.proto", "events.proto", "authority.proto"]
        .map(|f| root.join("streamit/v1").join(f));
    let set = protox::compile(&files, [&root])?;
    // Reflection needs the descriptors; `compile_fds` does not write them.
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("streamit.bin"), prost_encode(&set))?;
    tonic_prost_build::configure().compile_fds(set)?;
    println!("cargo::rerun-if-changed={}", root.display());
    Ok(())
}

fn prost_encode(set: &impl prost::Message) -> Vec<u8> {
    set.encode_to_vec()
}
