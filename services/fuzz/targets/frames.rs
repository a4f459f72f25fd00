#![no_main]

#[path = "../src/frames.rs"]
mod frames;
#[path = "../src/leak.rs"]
mod leak;

libfuzzer_sys::fuzz_target!(|data: &[u8]| leak::none(data, frames::check));
