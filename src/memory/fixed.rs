//! A list whose room is taken once and never grows.

use super::sink::{Full, Sink};

/// At most as many elements as it was made for.
#[derive(Debug)]
pub struct Fixed<T>(Vec<T>);

impl<T> Fixed<T> {
    /// An empty list with room for `capacity` elements, taken from the heap now.
    pub fn new(capacity: usize) -> Fixed<T> {
        Fixed(Vec::with_capacity(capacity))
    }

    /// Adds an element.
    ///
    /// # Errors
    /// [`Full`] when there is no room; the list is as it was.
    pub fn push(&mut self, element: T) -> Result<(), Full> {
        if self.0.len() == self.0.capacity() {
            return Err(Full);
        }
        self.0.push(element);
        Ok(())
    }

    /// Forgets all elements; the room stays.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes back all elements from `len` on.
    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }
}

impl<T> core::ops::Deref for Fixed<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> core::ops::DerefMut for Fixed<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl Sink for Fixed<u8> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        if self.0.capacity() - self.0.len() < bytes.len() {
            return Err(Full);
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_list_refuses_and_keeps_what_it_has() {
        let mut list: Fixed<u8> = Fixed::new(4);
        let room = list.0.capacity();
        assert_eq!(list.put(&vec![7; room]), Ok(()));
        assert_eq!((list.push(8), list.put(b"9")), (Err(Full), Err(Full)));
        assert_eq!(&*list, vec![7; room]);
        list.truncate(1);
        assert_eq!((list.put(b""), list.push(1)), (Ok(()), Ok(())));
        assert_eq!((&*list, list.0.capacity()), (&[7, 1][..], room));
        list.clear();
        assert!(list.is_empty());
    }
}
