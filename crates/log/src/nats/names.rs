//! Pure: how streams and subjects are called, and how offsets count what stands in a stream.

use crate::backend::Offset;

/// Buckets that the records of a batched topic are sorted into by their key. Part of the format:
/// the server's mapping turns buckets into partitions.
pub(crate) const BUCKETS: u64 = 64;
/// Bits of a batched topic's offset that count the records inside one message.
const INDEX_BITS: u32 = 12;
/// Records one message may hold, so that the index of each fits.
pub(crate) const MAX_INDEX: u64 = (1 << INDEX_BITS) - 1;

/// The names of one topic of one centre.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names {
    centre: String,
    topic: String,
}

impl Names {
    pub(crate) fn new(centre: &str, topic: &str) -> Self {
        Self { centre: centre.to_owned(), topic: topic.to_owned() }
    }

    /// The stream.
    pub(crate) fn stream(&self) -> String {
        format!("{}-{}", self.centre, self.topic)
    }

    /// Every subject of the stream.
    pub(crate) fn all(&self) -> String {
        format!("{}.{}.>", self.centre, self.topic)
    }

    /// The subject of the records of a topic that is not batched.
    pub(crate) fn record(&self) -> String {
        format!("{}.{}.record", self.centre, self.topic)
    }

    /// Where messages of a bucket are sent; the server's mapping brings them into the stream.
    pub(crate) fn bucket(&self, bucket: u64) -> String {
        format!("{}.in.{}.{bucket}", self.centre, self.topic)
    }

    /// The subjects of a partition.
    pub(crate) fn partition(&self, partition: u32) -> String {
        format!("{}.{}.{partition}.*", self.centre, self.topic)
    }
}

/// How the offsets of a topic count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Numbering {
    /// The offset is the sequence in the stream.
    Single,
    /// The offset is the sequence and the index inside the message.
    Batched,
}

impl Numbering {
    /// The first offset of the message with this sequence.
    pub(crate) fn first(self, sequence: u64) -> Offset {
        match self {
            Self::Single => sequence,
            Self::Batched => sequence << INDEX_BITS,
        }
    }

    /// The last offset the message with this sequence may have; 0 before the first message.
    pub(crate) fn last(self, sequence: u64) -> Offset {
        self.first(sequence + 1).saturating_sub(1).min(if sequence == 0 { 0 } else { Offset::MAX })
    }

    /// The offset of a record of a message.
    pub(crate) fn at(self, sequence: u64, index: u64) -> Offset {
        self.first(sequence) + index
    }

    /// The message in which an offset stands.
    pub(crate) fn sequence(self, offset: Offset) -> u64 {
        match self {
            Self::Single => offset.max(1),
            Self::Batched => (offset >> INDEX_BITS).max(1),
        }
    }

    /// The first offset still kept when the stream begins with this sequence. As long as nothing
    /// was deleted that is 1, in every numbering.
    pub(crate) fn floor(self, first_sequence: u64) -> Offset {
        if first_sequence <= 1 { 1 } else { self.first(first_sequence) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_grow_with_sequences_and_find_back() {
        for numbering in [Numbering::Single, Numbering::Batched] {
            assert_eq!((numbering.last(0), numbering.floor(0), numbering.floor(1)), (0, 1, 1));
            for sequence in 1..5 {
                let (first, last) = (numbering.first(sequence), numbering.last(sequence));
                assert!(first <= last && last + 1 == numbering.first(sequence + 1));
                assert_eq!(numbering.sequence(first), sequence);
                assert_eq!(numbering.sequence(last), sequence);
            }
            assert_eq!(numbering.sequence(1), 1);
            assert_eq!(numbering.floor(7), numbering.first(7));
        }
        assert_eq!(Numbering::Batched.at(3, 5), (3 << 12) | 5);
    }

    #[test]
    fn names_are_those_of_the_servers_configuration() {
        let names = Names::new("sen", "readings");
        assert_eq!(names.stream(), "sen-readings");
        assert_eq!(names.all(), "sen.readings.>");
        assert_eq!(names.bucket(63), "sen.in.readings.63");
        assert_eq!(names.partition(2), "sen.readings.2.*");
    }
}
