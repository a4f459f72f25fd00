#![no_main]

#[path = "../src/bodies.rs"]
mod bodies;
#[path = "../src/leak.rs"]
mod leak;

libfuzzer_sys::fuzz_target!(|data: &[u8]| leak::none(data, bodies::check));
