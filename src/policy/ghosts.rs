//! Who was here lately: fingerprints of keys that left the cache, so that one that comes back is known to be no one-hit wonder.

/// Places that one fingerprint may have: with twice as many places as live ghosts, few lose theirs to others too early.
const WAYS: usize = 4;

/// A fingerprint and the number of the departure that it stands for.
#[derive(Clone, Copy, Debug)]
struct Ghost {
    key: u64,
    left: u32,
}

/// The last `LIFE` departures (some forgotten earlier, by chance) in `PLACES` places.
///
/// Two keys with the same fingerprint share a ghost: a newcomer is then taken for an old acquaintance, and no harm is done.
#[derive(Debug)]
pub struct Ghosts<const LIFE: usize, const PLACES: usize> {
    places: [Ghost; PLACES],
    /// Departures so far, counted from beyond `LIFE` so that an empty place is a ghost long gone; wraps.
    departures: u32,
}

impl<const LIFE: usize, const PLACES: usize> Ghosts<LIFE, PLACES> {
    /// Ends every ghost's life.
    pub fn clear(&mut self) {
        let gone = self.departures.wrapping_sub(LIFE as u32 + 1);
        self.places.iter_mut().for_each(|ghost| ghost.left = gone);
    }

    /// Nobody was here.
    pub const fn new() -> Self {
        const { assert!(PLACES >= WAYS && PLACES.is_multiple_of(WAYS), "places come in fours") };
        const { assert!(LIFE <= 65_535, "a life is short beside the 32 bits of the count") };
        Ghosts { places: [Ghost { key: 0, left: 0 }; PLACES], departures: LIFE as u32 + 1 }
    }

    /// Remembers `key`, in the place of the oldest of those that it shares places with.
    pub fn remember(&mut self, key: u64) {
        self.departures = self.departures.wrapping_add(1);
        let now = self.departures;
        let oldest = self.ways(key).iter_mut().max_by_key(|ghost| now.wrapping_sub(ghost.left));
        if let Some(place) = oldest {
            *place = Ghost { key, left: now };
        }
    }

    /// Whether `key` left among the last `LIFE`; forgets it.
    pub fn take(&mut self, key: u64) -> bool {
        let now = self.departures;
        let gone = now.wrapping_sub(LIFE as u32 + 1);
        let found = self.ways(key).iter_mut().find(|ghost| ghost.key == key && now.wrapping_sub(ghost.left) < LIFE as u32);
        found.map(|ghost| ghost.left = gone).is_some()
    }

    /// The places of `key`: fingerprints are hashes already, so their high half chooses evenly.
    fn ways(&mut self, key: u64) -> &mut [Ghost] {
        let set = ((key >> 32) as usize * (PLACES / WAYS)) >> 32;
        &mut self.places[set * WAYS..][..WAYS]
    }
}

impl<const LIFE: usize, const PLACES: usize> Default for Ghosts<LIFE, PLACES> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Spreads small numbers over 64 bits.
    fn key(number: u64) -> u64 {
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    }

    #[test]
    fn the_last_departures_are_known_once_and_older_ones_are_forgotten() {
        let mut ghosts: Ghosts<3, 4> = Ghosts::new();
        assert!(!ghosts.take(0) && !ghosts.take(key(1)), "an empty place is nobody");
        (1..=4).for_each(|number| ghosts.remember(key(number)));
        assert!(!ghosts.take(key(1)), "the fourth departure ends the first one's life");
        assert!((2..=4).all(|number| ghosts.take(key(number))));
        assert!(!(2..=4).any(|number| ghosts.take(key(number))), "a ghost is taken once");
    }

    #[test]
    fn with_two_places_a_ghost_nearly_all_live_their_life() {
        let mut ghosts: Ghosts<500, 1000> = Ghosts::new();
        (0..10_000).for_each(|number| ghosts.remember(key(number)));
        let known = (9_500..10_000).filter(|&number| ghosts.take(key(number))).count();
        assert!((460..=500).contains(&known), "{known} of 500");
        assert!(!(0..9_500).any(|number| ghosts.take(key(number))));
    }

    #[test]
    fn the_count_of_departures_may_wrap() {
        let mut ghosts: Ghosts<2, 4> = Ghosts { departures: u32::MAX - 1, ..Ghosts::new() };
        (1..=4).for_each(|number| ghosts.remember(key(number)));
        assert_eq!([1, 2, 3, 4].map(|number| ghosts.take(key(number))), [false, false, true, true]);
    }
}
