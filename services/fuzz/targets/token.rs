#![no_main]

#[path = "../src/leak.rs"]
mod leak;
#[path = "../src/token.rs"]
mod token;

libfuzzer_sys::fuzz_target!(|data: &[u8]| leak::none(data, token::check));
