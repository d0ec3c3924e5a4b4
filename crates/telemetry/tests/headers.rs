//! Headers of strangers: what must hold for any bytes holds for many.

#[allow(unreachable_pub, reason = "fuzz targets have it as a module of theirs, too")]
mod invariants;

use proptest::prelude::*;

/// Bytes near to headers: pieces of them in any order.
fn near() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".as_bytes().to_vec()),
        Just(b"0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-d".to_vec()),
        Just(b"\n0af7651916cd43dd8448eb211c80319c\nb7ad6b7169203331\n1\n".to_vec()),
        Just(b"8448eb211c80319c".to_vec()),
        Just(b"b7ad6b7169203331".to_vec()),
        Just(b"key=value".to_vec()),
        Just(b"key=v;p=1;q".to_vec()),
        Just(b"%C3%A4".to_vec()),
        Just(b"x".repeat(250)),
        Just(b"a=".to_vec()),
        "[-,;=\n %0-9a-f]{1,4}".prop_map(String::into_bytes),
        any::<u8>().prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_must_hold_for_any_bytes_holds(bytes in prop_oneof![near(), any::<Vec<u8>>()]) {
        invariants::trace_context(&bytes);
        invariants::b3(&bytes);
        invariants::baggage(&bytes);
        invariants::sampling(&bytes);
    }
}
