//! Where encoded bytes go: one method, so that a reply chain, a fixed buffer or a test can stand behind it.

/// The sink has no room for what was put; nothing of that call needs to have been kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Takes bytes in order.
pub trait Sink {
    /// Appends `bytes`, or says that they do not fit.
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full>;

    /// Appends one byte: half of what frames a value is one, and a copy of unknown length costs a call.
    fn put_byte(&mut self, byte: u8) -> Result<(), Full> {
        self.put(&[byte])
    }
}

impl<const N: usize> Sink for heapless::Vec<u8, N> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.extend_from_slice(bytes).map_err(|_| Full)
    }

    fn put_byte(&mut self, byte: u8) -> Result<(), Full> {
        self.push(byte).map_err(|_| Full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_vector_says_so() {
        let mut sink: heapless::Vec<u8, 3> = heapless::Vec::new();
        assert_eq!(sink.put(b"ab"), Ok(()));
        assert_eq!(sink.put(b"cd"), Err(Full));
        assert_eq!(sink.as_slice(), b"ab");
    }
}
