//! A peer that sends a snapshot in pieces of any order, some of them wrong, and breaks off. For a fuzzer.

use super::{
    hash::LogHash,
    layout::IMAGES,
    seguro::EpochFile,
    transfer::{IncomingEpoch, IncomingError, SnapshotHead},
};
use crate::{
    store::fault::NoFaults,
    types::{Event, ShipIdentity},
};
use bytes::Bytes;
use seguro_event::{EventNumber, Mug};
use std::{path::Path, sync::Arc};

/// What the peer's bytes say, one after the other; zeros after the last.
struct Script<'a>(std::slice::Iter<'a, u8>);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        self.0.next().copied().unwrap_or(0)
    }

    /// A number below `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        u64::from(self.byte()) % limit
    }

    /// Almost always as it should be.
    fn off(&mut self) -> u64 {
        u64::from(self.byte().saturating_sub(250))
    }
}

/// What was sent and taken, and so must be there.
#[derive(Default)]
struct Held {
    images: Vec<Vec<u8>>,
    events: Vec<Event>,
}

/// Receives a snapshot into the empty pier `pier` as the script says. It is complete only if all of it is as offered.
///
/// # Errors
/// When something else goes wrong than what was wrong with the pieces.
pub(crate) fn incoming(pier: &Path, script: &[u8]) -> Result<(), IncomingError> {
    let mut script = Script(script.iter());
    let (head, images, events) = offer(&mut script);
    let faults = || Arc::new(NoFaults);
    let mut receiving = match IncomingEpoch::begin(pier, head.clone(), faults()) {
        Err(IncomingError::Offer(_)) => return Ok(()),
        begun => begun?,
    };
    let empty = || Held {
        images: vec![Vec::new(); images.len()],
        events: Vec::new(),
    };
    let mut held = empty();
    while !script.0.as_slice().is_empty() {
        match script.byte() % 8 {
            0..=2 => image(&mut script, &mut receiving, &images, &mut held)?,
            3..=5 => some_events(&mut script, &mut receiving, &head, &events, &mut held)?,
            6 => {
                drop(receiving);
                receiving = IncomingEpoch::begin(pier, head.clone(), faults())?;
            }
            _ => {
                let last = last(&head, &held);
                let short =
                    (0..images.len()).find(|nth| head.images[*nth].length != held.images[*nth].len() as u64);
                let whole =
                    images == held.images && last == head.last() && hash(&head, &held.events) == head.hash;
                match receiving.complete() {
                    Ok(complete) => {
                        assert!(whole, "what is not as offered is complete");
                        assert!(complete.head() == &head);
                        return Ok(());
                    }
                    Err(IncomingError::Damaged { .. }) => {
                        assert!(
                            !whole || wrong_sums(&head, &images),
                            "what is as offered is damaged"
                        );
                        // A damaged image is sent again, and damaged events with everything.
                        let bad = (0..images.len())
                            .find(|nth| crc32c::crc32c(&held.images[*nth]) != head.images[*nth].crc);
                        match (short, bad) {
                            (Some(short), bad) if bad.is_none_or(|bad| short <= bad) => {}
                            (_, Some(bad)) => held.images[bad].clear(),
                            _ if last != head.last() => {}
                            _ => held = empty(),
                        }
                    }
                    Err(error) => return Err(error),
                }
                receiving = IncomingEpoch::begin(pier, head.clone(), faults())?;
            }
        }
        let lengths: Vec<u64> = held.images.iter().map(|image| image.len() as u64).collect();
        assert_eq!(receiving.image_lengths(), lengths);
        assert_eq!(receiving.last(), last(&head, &held));
    }
    Ok(())
}

/// A snapshot's head, perhaps a wrong one, the images and the events.
fn offer(script: &mut Script<'_>) -> (SnapshotHead, Vec<Vec<u8>>, Vec<Event>) {
    let epoch = EventNumber([0, 1, 7, u64::MAX - 4][script.below(4) as usize]);
    let count = script.below(5);
    let event = |nth| Event {
        number: epoch.plus(nth),
        mug: Mug(nth as u32),
        jam: Bytes::from(vec![nth as u8; nth as usize * 5]),
    };
    let events: Vec<Event> = (1..=count).map(event).collect();
    let images: Vec<Vec<u8>> = (0..script.below(3))
        .map(|nth| vec![nth as u8 + 1; script.byte().into()])
        .collect();
    let start = LogHash::starting_after(EventNumber(epoch.0.saturating_sub(script.below(2))));
    let mut base = LogHash { at: epoch, ..start };
    events
        .iter()
        .take(script.below(3) as usize)
        .for_each(|event| base.add(event));
    let mut hash = base;
    events
        .iter()
        .filter(|event| event.number > base.at)
        .for_each(|event| hash.add(event));
    let file = |(nth, image): (usize, &Vec<u8>)| EpochFile {
        name: IMAGES[nth % IMAGES.len()].to_owned(),
        length: image.len() as u64,
        crc: crc32c::crc32c(image),
    };
    let mut head = SnapshotHead {
        epoch,
        ship: ShipIdentity {
            who: 0,
            fake: true,
            life: 1,
        },
        vere_version: "vere-v3.5".to_owned(),
        images: images.iter().enumerate().map(file).collect(),
        base,
        hash,
        raft: Bytes::from_static(b"somewhere"),
    };
    match (script.byte(), head.images.first_mut()) {
        (1, Some(image)) => image.name = "../north.bin".to_owned(),
        (2, Some(image)) => image.crc ^= 1,
        (3, Some(image)) => image.length += 1,
        (4, _) => head.hash.digest[0] ^= 1,
        (5, _) => head.hash.at = EventNumber(u64::MAX),
        (6, _) => head.base.from = EventNumber(u64::MAX),
        (7, _) => head.vere_version = "../..".to_owned(),
        (8, _) => head.epoch = EventNumber(u64::MAX),
        _ => {}
    }
    (head, images, events)
}

/// A piece of an image, perhaps of none, or not the next one, or with other bytes in it.
fn image(
    script: &mut Script<'_>,
    receiving: &mut IncomingEpoch,
    images: &[Vec<u8>],
    held: &mut Held,
) -> Result<(), IncomingError> {
    let nth = script.below(3) as usize;
    let (Some(image), Some(there)) = (images.get(nth), held.images.get_mut(nth)) else {
        assert!(matches!(
            receiving.write_image(nth, 0, b"x"),
            Err(IncomingError::Offer(_))
        ));
        return Ok(());
    };
    let length = receiving.head().images[nth].length;
    let offset = (there.len() as u64).wrapping_add(script.off());
    let mut piece: Vec<u8> = image
        .iter()
        .skip(there.len())
        .take(script.byte().into())
        .copied()
        .collect();
    if script.off() > 0 {
        piece.push(0);
    }
    let fits = offset == there.len() as u64 && offset + piece.len() as u64 <= length;
    match receiving.write_image(nth, offset, &piece) {
        Ok(()) => {
            assert!(fits, "a piece is taken that does not fit");
            there.extend(piece);
        }
        Err(IncomingError::Order { .. }) => assert!(!fits, "a piece that fits is refused"),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Some events, perhaps not the next ones, or another one among them.
fn some_events(
    script: &mut Script<'_>,
    receiving: &mut IncomingEpoch,
    head: &SnapshotHead,
    events: &[Event],
    held: &mut Held,
) -> Result<(), IncomingError> {
    let first = held.events.len() + script.off() as usize;
    let mut some: Vec<Event> = events
        .iter()
        .skip(first)
        .take(script.byte().into())
        .cloned()
        .collect();
    if let (1.., Some(event)) = (script.off(), some.last_mut()) {
        event.mug.0 ^= 1;
    }
    let follow = some
        .first()
        .is_none_or(|event| event.number.0 == last(head, held).0 + 1);
    let fits = follow && some.last().is_none_or(|event| event.number <= head.last());
    match receiving.append(&some) {
        Ok(()) => {
            assert!(fits, "events are taken that do not fit");
            held.events.extend(some);
        }
        Err(IncomingError::Order { .. }) => assert!(!fits, "events that fit are refused"),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// The last event that is there.
fn last(head: &SnapshotHead, held: &Held) -> EventNumber {
    held.events.last().map_or(head.epoch, |event| event.number)
}

/// The running hash from the head's base on.
fn hash(head: &SnapshotHead, events: &[Event]) -> LogHash {
    let mut hash = head.base;
    events
        .iter()
        .filter(|event| event.number > head.base.at)
        .for_each(|event| hash.add(event));
    hash
}

/// Whether the head is wrong about the images.
fn wrong_sums(head: &SnapshotHead, images: &[Vec<u8>]) -> bool {
    let wrong = |(file, image): (&EpochFile, &Vec<u8>)| {
        file.crc != crc32c::crc32c(image) || file.length != image.len() as u64
    };
    head.images.iter().zip(images).any(wrong)
}
