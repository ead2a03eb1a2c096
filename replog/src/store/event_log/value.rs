//! An event as a value of EVENTS: the mug, four bytes little-endian, then the jam (`spec/eventlog.md` section 5).

use crate::types::Event;
use bytes::Bytes;
use seguro_event::{EventNumber, Mug};
use std::io::{self, Write};

/// Bytes of the mug.
const MUG: usize = 4;

/// A value that is not an event's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {number} has a value of {length} bytes, where a mug and a jam have at least 5")]
pub(crate) struct MalformedEvent {
    /// Its key.
    pub(crate) number: EventNumber,
    /// Its value's length, bytes.
    pub(crate) length: usize,
}

/// How many bytes the event's value has.
pub(crate) fn length(event: &Event) -> usize {
    MUG + event.jam.len()
}

/// Writes the event's value: exactly [`length`] bytes.
pub(crate) fn write(event: &Event, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(&event.mug.0.to_le_bytes())?;
    out.write_all(&event.jam)
}

/// The event with this key and value.
///
/// # Errors
/// When the value is too short to hold a mug and a jam. Whether the jam is one is not looked at.
pub(crate) fn read(number: EventNumber, value: &[u8]) -> Result<Event, MalformedEvent> {
    match value.split_first_chunk::<MUG>() {
        Some((mug, jam)) if !jam.is_empty() => Ok(Event {
            number,
            mug: Mug(u32::from_le_bytes(*mug)),
            jam: Bytes::copy_from_slice(jam),
        }),
        _ => Err(MalformedEvent {
            number,
            length: value.len(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_mug_comes_first_little_endian() {
        let event = Event {
            number: EventNumber(7),
            mug: Mug(0x0403_0201),
            jam: Bytes::from_static(&[0xaa, 0xbb]),
        };
        let mut value = Vec::new();
        write(&event, &mut value).unwrap();
        assert_eq!(value, [1, 2, 3, 4, 0xaa, 0xbb]);
        assert_eq!(value.len(), length(&event));
        assert_eq!(read(EventNumber(7), &value), Ok(event));
    }

    #[test]
    fn four_bytes_are_no_event() {
        for length in 0..=4 {
            let number = EventNumber(9);
            assert_eq!(
                read(number, &vec![0; length]),
                Err(MalformedEvent { number, length })
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(value in prop::collection::vec(any::<u8>(), 5..200)) {
            let mut again = Vec::new();
            write(&read(EventNumber(1), &value).unwrap(), &mut again).unwrap();
            prop_assert_eq!(again, value);
        }
    }
}
