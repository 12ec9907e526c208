//! Real numbers in the shortest decimal notation that reads back as the same one.

use crate::memory::sink::{Full, Sink};

/// Powers of ten by which a number that was written with few decimals becomes a whole one, and how many decimals that is.
const SCALES: [(f64, usize); 2] = [(1e3, 3), (1e6, 6)];
/// Decimals of at most 15 digits are further apart than doubles are, all of them (2^53 > 10^15).
const FIFTEEN_DIGITS: f64 = 1e15;

/// Writes a finite number. Sensors and people write few decimals, for which this takes a tenth of the instructions that Ryu takes.
///
/// # Errors
/// [`Full`] when the sink is.
pub fn put(sink: &mut impl Sink, number: f64) -> Result<(), Full> {
    let magnitude = number.abs();
    if magnitude >= 1e-3 {
        for (scale, decimals) in SCALES {
            let scaled = magnitude * scale;
            if scaled >= FIFTEEN_DIGITS {
                break;
            }
            let whole = (scaled + 0.5) as u64;
            // The quotient of two exact numbers is rounded as the decimal would be when it is read, so this decimal means the number; and
            // no other of up to 15 digits does, so none is shorter.
            if whole as f64 / scale == magnitude {
                return put_decimal(sink, number < 0.0, whole, decimals);
            }
        }
    }
    sink.put(ryu::Buffer::new().format_finite(number).as_bytes())
}

/// `whole`, its last `decimals` digits behind the point; zeros at the end are left out, but for one.
fn put_decimal(sink: &mut impl Sink, negative: bool, mut whole: u64, decimals: usize) -> Result<(), Full> {
    let mut text = [b'0'; 24];
    let mut at = text.len();
    let mut end = at;
    for place in 0..decimals {
        at -= 1;
        text[at] = b'0' + (whole % 10) as u8;
        whole /= 10;
        if text[at] == b'0' && end == at + 1 && place + 1 < decimals {
            end = at;
        }
    }
    at -= 1;
    text[at] = b'.';
    loop {
        at -= 1;
        text[at] = b'0' + (whole % 10) as u8;
        whole /= 10;
        if whole == 0 {
            break;
        }
    }
    if negative {
        at -= 1;
        text[at] = b'-';
    }
    sink.put(&text[at..end])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(number: f64) -> String {
        let mut sink = heapless::Vec::<u8, 24>::new();
        put(&mut sink, number).expect("as long as Ryu's longest");
        String::from_utf8(sink.to_vec()).expect("ASCII")
    }

    #[test]
    fn numbers_look_as_they_were_written() {
        for written in [
            "0.0",
            "-0.0",
            "20.0",
            "21.5",
            "-3.25",
            "0.1",
            "0.001",
            "1234.005",
            "100.0",
            "0.123456",
            "52.520008",
            "999999999.999",
            "999999999999.999",
            "1000000000000.5",
            "0.0001",
            "0.30000000000000004",
            "1e16",
            "1.7976931348623157e308",
            "5e-324",
        ] {
            assert_eq!(text(written.parse().expect("a number")), written);
        }
    }

    proptest! {
        #[test]
        fn every_number_is_as_short_as_ryu_makes_it(number in prop_oneof![
            any::<f64>().prop_filter("finite", |number| number.is_finite()),
            (any::<i64>(), 0..17).prop_map(|(digits, places)| digits as f64 / 10f64.powi(places)),
            (-1_000_000_000_000_000i64..1_000_000_000_000_000, 0..8).prop_map(|(digits, places)| digits as f64 / 10f64.powi(places)),
            (-100_000i64..100_000, 0..8).prop_map(|(digits, places)| digits as f64 / 10f64.powi(places)),
            (-100_000i64..100_000, 0..8, -2i64..3).prop_map(|(digits, places, off)| {
                let number = digits as f64 / 10f64.powi(places);
                f64::from_bits(number.to_bits().wrapping_add_signed(off))
            }).prop_filter("finite", |number| number.is_finite()),
        ]) {
            let mut buffer = ryu::Buffer::new();
            prop_assert_eq!(text(number), buffer.format_finite(number));
        }
    }
}
