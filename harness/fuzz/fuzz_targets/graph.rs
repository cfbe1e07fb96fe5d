#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dubench_fuzz::run(dubench::fuzzing::graph, bytes));
