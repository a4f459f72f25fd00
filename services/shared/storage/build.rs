//! Compiles the crate again when a migration was added: they are built in.

fn main() {
    println!("cargo:rerun-if-changed=../../../migrations");
}
