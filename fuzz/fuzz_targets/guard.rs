//! Any bytes as a stream of WebSocket frames, in any chunks: the guard says what the book says.
#![no_main]

#[path = "../../tests/decoders/wire.rs"]
mod wire;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&[max, cuts], stream)) = bytes.split_first_chunk() else {
        return;
    };
    let max = 125 + usize::from(max) * 8;
    let expected = wire::by_the_book(stream, max);
    // Chunk lengths that the first bytes of the input choose.
    let cuts: Vec<usize> = stream
        .iter()
        .take(usize::from(cuts))
        .map(|byte| usize::from(*byte) + 1)
        .collect();
    assert_eq!(wire::through_the_guard(stream, &cuts, max), expected);
    assert_eq!(wire::through_the_guard(stream, &[], max), expected);
});
