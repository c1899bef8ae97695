//! A path's percent escapes (RFC 3986 2.1): each is looked at for what it decodes to, without decoding the path.

use super::TargetError;

/// Refuses escapes that are no escapes, that stand for what separates or ends a path, that hide such an escape, or that
/// make no UTF-8.
pub(super) fn check(path: &str) -> Result<(), TargetError> {
    let (mut twice, mut utf8) = (Twice::default(), Utf8::default());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let decoded = if byte == b'%' { escaped(bytes.next(), bytes.next())? } else { byte };
        twice.push(decoded)?;
        utf8.push(decoded)?;
    }
    utf8.end()
}

fn escaped(high: Option<u8>, low: Option<u8>) -> Result<u8, TargetError> {
    match byte(high, low).ok_or(TargetError::BadEscape)? {
        0..=0x1f | 0x7f => Err(TargetError::EncodedControl),
        b'/' | b'\\' => Err(TargetError::EncodedSlash),
        byte => Ok(byte),
    }
}

fn byte(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some((digit(high?)? << 4) | digit(low?)?)
}

/// Looks for an escape in the decoded bytes: the last two of them.
#[derive(Default)]
struct Twice(Option<u8>, Option<u8>);

impl Twice {
    fn push(&mut self, decoded: u8) -> Result<(), TargetError> {
        if self.0 == Some(b'%')
            && matches!(byte(self.1, Some(decoded)), Some(0..=0x1f | 0x7f | b'.' | b'/' | b'\\' | b'%'))
        {
            return Err(TargetError::EncodedTwice);
        }
        *self = Self(self.1, Some(decoded));
        Ok(())
    }
}

/// Follows one character at a time, since no more than four bytes need to be held for that.
#[derive(Default)]
struct Utf8 {
    held: [u8; 4],
    len: usize,
}

impl Utf8 {
    fn push(&mut self, decoded: u8) -> Result<(), TargetError> {
        if self.len == 0 && decoded.is_ascii() {
            return Ok(());
        }
        // A fourth byte ends a character or is an error, so there is always a place.
        *self.held.get_mut(self.len).ok_or(TargetError::NotUtf8)? = decoded;
        self.len += 1;
        match std::str::from_utf8(self.held.get(..self.len).unwrap_or_default()) {
            Ok(_) => self.len = 0,
            Err(error) if error.error_len().is_some() => return Err(TargetError::NotUtf8),
            Err(_) => {}
        }
        Ok(())
    }

    fn end(self) -> Result<(), TargetError> {
        if self.len == 0 { Ok(()) } else { Err(TargetError::NotUtf8) }
    }
}
