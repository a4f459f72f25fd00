#![no_main]

#[path = "../src/token.rs"]
mod token;
#[path = "../src/leak.rs"]
mod leak;

libfuzzer_sys::fuzz_target!(|data: &[u8]| leak::none(data, token::check));
