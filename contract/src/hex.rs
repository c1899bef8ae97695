//! Lower-case hexadecimal, which is all that ids on our wire use (W3C Trace Context 3.2.2.3 allows no other case).

/// Writes two digits for each byte; stops at the shorter of the two.
pub(crate) fn encode(bytes: &[u8], out: &mut [u8]) {
    let (pairs, _) = out.as_chunks_mut::<2>();
    for (byte, pair) in bytes.iter().zip(pairs) {
        *pair = [digit(byte >> 4), digit(byte & 0x0f)];
    }
}

/// Exactly `N` bytes from `2 * N` lower-case digits.
pub(crate) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    let mut out = [0; N];
    for (byte, [high, low]) in out.iter_mut().zip(pairs) {
        *byte = (value(*high)? << 4) | value(*low)?;
    }
    Some(out)
}

const fn digit(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'a' + (nibble - 10),
    }
}

const fn value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back() {
        for byte in 0..=255_u8 {
            let mut text = [0; 2];
            encode(&[byte], &mut text);
            let text = std::str::from_utf8(&text).unwrap();
            assert_eq!(text, format!("{byte:02x}"));
            assert_eq!(decode(text), Some([byte]));
        }
    }

    #[test]
    fn only_exact_lower_case_digits() {
        for text in ["", "0", "000", "0g", "0G", "AB", "+1", " 1", "é"] {
            assert_eq!(decode::<1>(text), None, "{text}");
        }
    }
}
