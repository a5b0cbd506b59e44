#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| backstory::fuzzing::documents::layout(data));
