#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| backstory::fuzzing::log::segment(data));
