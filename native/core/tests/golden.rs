//! Pinned bytes of everything that processes share. Two builds with one layout version must agree on all of it.

mod support;

use ramcache_core::filter::{probes, FilterCopy, FilterWord};
use ramcache_core::hash::KeyHasher;
use ramcache_core::layout::{
    self, counters, superblock, tag_of, Geometry, Location, SegmentState, SlotWord, LAYOUT_VERSION, MAGIC,
};
use ramcache_core::record::{Header, Parts, RecordBuffer};
use ramcache_core::segment::{Extent, Runs};

const VERSION: u64 = 4;
const WHAT_TO_DO: &str =
    "the shared bytes have changed: raise LAYOUT_VERSION in layout.rs, then VERSION and the bytes pinned here";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares all of them before it fails, so that one run shows every change.
fn pin<T: PartialEq + std::fmt::Debug>(found: &[(&str, T)], pinned: &[(&str, T)]) {
    let is_pinned = |entry: &&(&str, T)| pinned.contains(entry);
    let changed: Vec<_> = found.iter().filter(|entry| !is_pinned(entry)).collect();
    changed.iter().for_each(|entry| println!("found {entry:?}"));
    assert!(changed.is_empty() && found.len() == pinned.len(), "{WHAT_TO_DO}");
}

#[test]
fn the_layout_version_is_the_pinned_one() {
    assert_eq!(LAYOUT_VERSION, VERSION, "{WHAT_TO_DO}");
    assert_eq!(MAGIC.to_le_bytes(), *b"RAMCACHE");
}

#[test]
fn words_of_the_superblock_stay_where_they_are() {
    use superblock::*;
    let found = [
        ("MAGIC", MAGIC),
        ("VERSION", VERSION),
        ("SEGMENT_BYTES", SEGMENT_BYTES),
        ("SEGMENTS", SEGMENTS),
        ("BUCKETS", BUCKETS),
        ("CHUNKS", CHUNKS),
        ("ARENA_ID", ARENA_ID),
        ("HASH_SEED", HASH_SEED),
        ("OWNER_PID", OWNER_PID),
        ("OWNER_START", OWNER_START),
        ("ORIGIN", ORIGIN),
        ("BUCKET_COUNT", BUCKET_COUNT),
        ("GROUP", GROUP),
        ("MANUAL_CLOCK", MANUAL_CLOCK),
        ("NAMESPACE_COUNT", NAMESPACE_COUNT),
        ("FILTER", FILTER),
        ("TAGS", TAGS),
        ("CLOCK", CLOCK),
        ("BUDGET_BYTES", BUDGET_BYTES),
        ("ENTRIES", ENTRIES),
        ("PAYLOAD_BYTES", PAYLOAD_BYTES),
        ("OVERHEAD_BYTES", OVERHEAD_BYTES),
        ("SETS", SETS),
        ("DELETES", DELETES),
        ("EXPIRED", EXPIRED),
        ("EVICTIONS", EVICTIONS),
        ("SPILLED_BYTES", SPILLED_BYTES),
        ("BACK_PRESSURE", BACK_PRESSURE),
        ("SEQUENCE", SEQUENCE),
        ("ALLOCATED_BUCKETS", ALLOCATED_BUCKETS),
        ("ALLOCATED_CHUNKS", ALLOCATED_CHUNKS),
        ("GROUP_FIRST", GROUP_FIRST),
        ("GROUP_LAST", GROUP_LAST),
        ("GROUP_RECORDS", GROUP_RECORDS),
        ("LOGGED_CLOCK", LOGGED_CLOCK),
        ("LOG_FIRST_FILE", LOG_FIRST_FILE),
        ("WORDS", WORDS),
    ];
    let pinned = [
        ("MAGIC", 0),
        ("VERSION", 1),
        ("SEGMENT_BYTES", 2),
        ("SEGMENTS", 3),
        ("BUCKETS", 4),
        ("CHUNKS", 5),
        ("ARENA_ID", 6),
        ("HASH_SEED", 7),
        ("OWNER_PID", 8),
        ("OWNER_START", 9),
        ("ORIGIN", 10),
        ("BUCKET_COUNT", 16),
        ("GROUP", 17),
        ("MANUAL_CLOCK", 18),
        ("NAMESPACE_COUNT", 19),
        ("FILTER", 20),
        ("TAGS", 21),
        ("CLOCK", 24),
        ("BUDGET_BYTES", 32),
        ("ENTRIES", 33),
        ("PAYLOAD_BYTES", 34),
        ("OVERHEAD_BYTES", 35),
        ("SETS", 36),
        ("DELETES", 37),
        ("EXPIRED", 38),
        ("EVICTIONS", 39),
        ("SPILLED_BYTES", 40),
        ("BACK_PRESSURE", 41),
        ("SEQUENCE", 42),
        ("ALLOCATED_BUCKETS", 43),
        ("ALLOCATED_CHUNKS", 44),
        ("GROUP_FIRST", 45),
        ("GROUP_LAST", 46),
        ("GROUP_RECORDS", 47),
        ("LOGGED_CLOCK", 48),
        ("LOG_FIRST_FILE", 49),
        ("WORDS", 512),
    ];
    pin(&found, &pinned);
}

#[test]
fn parts_of_the_files_stay_where_they_are() {
    let geometry = Geometry { segment_bytes: 8192, segments: 512, buckets: 4096, chunks: 2048 };
    let found = [
        ("namespaces word", geometry.namespaces_word()),
        ("namespace line", layout::NAMESPACE_LINE),
        ("namespace epoch", layout::NAMESPACE_EPOCH),
        ("namespace changes", layout::NAMESPACE_CHANGES),
        ("namespace name bytes", layout::NAMESPACE_NAME_BYTES),
        ("namespace tag floor", layout::NAMESPACE_TAG_FLOOR),
        ("namespace name", layout::NAMESPACE_NAME),
        ("namespace entries", layout::NAMESPACE_ENTRIES),
        ("namespace payload bytes", layout::NAMESPACE_PAYLOAD_BYTES),
        ("namespace quota bytes", layout::NAMESPACE_QUOTA_BYTES),
        ("namespace ram bytes", layout::NAMESPACE_RAM_BYTES),
        ("segment table word", geometry.segment_table_word()),
        ("segment line", layout::SEGMENT_LINE),
        ("segment generation", layout::SEGMENT_GENERATION),
        ("segment state", layout::SEGMENT_STATE),
        ("shard lines word", geometry.shard_lines_word()),
        ("shards", layout::SHARDS),
        ("shard line", layout::SHARD_LINE),
        ("index word", geometry.index_word()),
        ("bucket slots", layout::BUCKET_SLOTS),
        ("chunks word", geometry.chunks_word()),
        ("chunk slots", layout::CHUNK_SLOTS),
        ("segments word", geometry.segments_word()),
        ("filter word", geometry.filter_word()),
        ("filter copy words", geometry.filter_copy_words()),
        ("tags word", geometry.tags_word()),
        ("tag words", geometry.tag_words()),
        ("data bytes", geometry.data_bytes()),
        ("counters byte", geometry.counters_byte()),
        ("counter slot words", counters::WORDS),
        ("counter get histogram", counters::GET_HISTOGRAM),
        ("counter set histogram", counters::SET_HISTOGRAM),
        ("index touch byte", geometry.index_touch_byte()),
        ("chunk touch byte", geometry.chunk_touch_byte()),
        ("touch bytes", geometry.touch_bytes()),
        ("unit bytes of small segments", Runs::new(8192).unit_bytes()),
        ("unit bytes of large segments", Runs::new(4 << 20).unit_bytes()),
    ];
    let pinned = [
        ("namespaces word", 512),
        ("namespace line", 16),
        ("namespace epoch", 0),
        ("namespace changes", 1),
        ("namespace name bytes", 2),
        ("namespace tag floor", 3),
        ("namespace name", 4),
        ("namespace entries", 12),
        ("namespace payload bytes", 13),
        ("namespace quota bytes", 14),
        ("namespace ram bytes", 15),
        ("segment table word", 66048),
        ("segment line", 2),
        ("segment generation", 0),
        ("segment state", 1),
        ("shard lines word", 67072),
        ("shards", 64),
        ("shard line", 8),
        ("index word", 67584),
        ("bucket slots", 8),
        ("chunks word", 100352),
        ("chunk slots", 4),
        ("segments word", 108544),
        ("filter word", 632832),
        ("filter copy words", 131072),
        ("tags word", 894976),
        ("tag words", 512),
        ("data bytes", 7163904),
        ("counters byte", 4096),
        ("counter slot words", 128),
        ("counter get histogram", 8),
        ("counter set histogram", 68),
        ("index touch byte", 1052672),
        ("chunk touch byte", 1085440),
        ("touch bytes", 1093632),
        ("unit bytes of small segments", 256),
        ("unit bytes of large segments", 4096),
    ];
    pin(&found, &pinned);
}

#[test]
fn slot_words_and_extents_keep_their_bits() {
    let place = |segment, generation, offset| Location { segment, generation, offset };
    let found = [
        ("empty", SlotWord::EMPTY.0),
        ("first", SlotWord::entry(1, place(0, 0, 0), false).0),
        ("last", SlotWord::entry(0xffff, place(0xffff, 0x1ff, 0xf_ffff), true).0),
        ("some", SlotWord::entry(0x1234, place(0x5678, 0x9a, 0xb_cdef), false).0),
        ("special", SlotWord::entry(0x1234, place(0x5678, 0x9a, 0xb_cdef), true).0),
        ("link", SlotWord::link(0x1234_5678).0),
        ("tag", tag_of(0xabcd_0000_0000_0000) as u64),
        ("extent", Extent { unit: 0x123_4567, units: 0x89ab }.bits()),
        ("segment state", SegmentState { sequence: 0x12_3456_789a, kind: 3, used: 0x1b_cdef }.bits()),
        ("hash", KeyHasher::new(0x0123_4567_89ab_cdef).hash(0, b"a key")),
        ("hash in a namespace", KeyHasher::new(0x0123_4567_89ab_cdef).hash(7, b"a key")),
        ("hash of a long key", KeyHasher::new(1).hash(0, &[0x61; 300])),
    ];
    let pinned = [
        ("empty", 0x0000_0000_0000_0000),
        ("first", 0x4000_2000_0000_0000),
        ("last", 0xdfff_ffff_ffff_ffff),
        ("some", 0x4246_8acf_09ab_cdef),
        ("special", 0xc246_8acf_09ab_cdef),
        ("link", 0x4000_0000_1234_5678),
        ("tag", 0x0000_0000_0000_abcd),
        ("extent", 0x0000_1234_5670_89ab),
        ("segment state", 0x1234_5678_9a7b_cdef),
        ("hash", 0xd229_f556_a173_185f),
        ("hash in a namespace", 0xd310_a852_4f38_2483),
        ("hash of a long key", 0x6e9e_c3e1_9a44_1503),
    ];
    pin(&found, &pinned);
}

/// Owner and readers look for a key in the same bits of the same copy.
#[test]
fn the_absent_filter_keeps_its_bits() {
    let store = support::open_store(512 << 10);
    let arena = store.store().arena();
    let bits = |number, blocks_log2, hash| {
        let first = arena.filter_word(number);
        let places = probes(arena, FilterCopy { number, blocks_log2 }, hash)
            .map(|(word, bit)| ((word - first) * 64) as u32 + bit.trailing_zeros());
        places.collect::<Vec<_>>()
    };
    assert_eq!(FilterWord::new(FilterCopy { number: 1, blocks_log2: 24 }, 0x1234_5678).0, 0x118_1234_5678);
    let found =
        [("some", bits(0, 6, 0x0123_4567_89ab_cdef)), ("copy and size", bits(1, 8, 0xd229_f556_a173_185f))];
    let pinned = [
        ("some", vec![20366, 20368, 20351, 20090, 20036, 20285]),
        ("copy and size", vec![44200, 44151, 44143, 44524, 44256, 44345]),
    ];
    pin(&found, &pinned);
}

fn record(parts: Parts) -> String {
    let mut buffer = RecordBuffer::default();
    buffer.build(&parts);
    buffer.stamp(0x0102_0304_0506_0708);
    hex(buffer.bytes())
}

#[test]
fn records_of_every_form_keep_their_bytes() {
    let short = Parts { key: b"key", value_type: 2, value: b"value", ..Parts::default() };
    let extent = Extent { unit: 5, units: 2 }.bits().to_le_bytes();
    let long_key = [b'k'; 257];
    let long_value = [b'v'; 4096];
    let long = |parts| {
        let bytes = record(parts);
        format!("{}.. {} bytes", &bytes[..48], bytes.len() / 2)
    };
    let found = [
        ("short", record(short)),
        ("empty value", record(Parts { value: b"", ..short })),
        ("lifetime", record(Parts { ttl_ms: 60_000, ..short })),
        ("namespace", record(Parts { namespace: 7, ..short })),
        ("long key", long(Parts { key: &long_key, ..short })),
        ("long value", long(Parts { value: &long_value, ..short })),
        ("runs", record(Parts { value: &extent, run_bytes: Some(500), ..short })),
        ("tombstone", record(Parts { value: b"", value_type: 0, is_tombstone: true, ..short })),
        ("pinned", record(Parts { is_pinned: true, ..short })),
        ("volatile", record(Parts { is_volatile: true, ..short })),
        ("expiry of its own", record(Parts { expires_at: 0x1122_3344_5566, ..short })),
        (
            "touched",
            record(Parts { expires_at: 0x1122_3344_5566, expiry_clock: 0x1122_3344_5566_0001, ..short }),
        ),
        ("idle", record(Parts { ttl_ms: 1000, idle_ms: 1000, ..short })),
        (
            "idle with a deadline",
            record(Parts { ttl_ms: 1000, idle_ms: 1000, deadline: 0x1122_3344_5566, ..short }),
        ),
        ("grace", record(Parts { ttl_ms: 1000, grace_ms: 60_000, ..short })),
        ("tags", record(Parts { tags: b"\x03one\x03two", ..short })),
        (
            "everything",
            record(Parts {
                namespace: 4095,
                key: b"k",
                value_type: 15,
                value: &extent,
                run_bytes: Some(70_000),
                is_tombstone: false,
                is_pinned: true,
                is_volatile: false,
                ttl_ms: 0,
                expires_at: 1,
                expiry_clock: 2,
                idle_ms: 3,
                deadline: 4,
                grace_ms: 5,
                tags: b"\x01t",
            }),
        ),
    ];
    let found: Vec<(&str, &str)> = found.iter().map(|(name, bytes)| (*name, &bytes[..])).collect();
    let pinned = [
("short", "0807060504030201002250006b657976616c7565"),
("empty value", "0807060504030201002200006b657900"),
("lifetime", "08070605040302010222500060ea00006b657976616c7565"),
("namespace", "080706050403020104225000070000006b657976616c7565"),
("long key", "08070605040302010102000005000000010100006b6b6b6b.. 284 bytes"),
("long value", "08070605040302010102000000100000030000006b657976.. 4120 bytes"),
("runs", "08070605040302010822401f010000006b6579020050000000000000"),
("tombstone", "0807060504030201102000006b657900"),
("pinned", "0807060504030201402250006b657976616c7565"),
("volatile", "0807060504030201802250006b657976616c7565"),
("expiry of its own", "0807060504030201202250000100000066554433221100006b657976616c7565"),
("touched", "08070605040302012022500003000000665544332211000001006655443322116b657976616c7565"),
("idle", "080706050403020122225000e803000004000000e80300006b657976616c7565"),
("idle with a deadline", "080706050403020122225000e803000014000000e803000066554433221100006b657976616c7565"),
("grace", "080706050403020122225000e80300002000000060ea00006b657976616c7565"),
("tags", "08070605040302012022500008000000080000006b657976616c7565036f6e650374776f"),
("everything", "08070605040302016d0f00007011010001000000ff0f0000010000003f0000000100000000000000020000000000000003000000020000000400000000000000050000006b0200500000000000017400")];
    pin(&found, &pinned);
}

/// What an older build has written is read as it was meant.
#[test]
fn a_pinned_record_is_parsed() {
    let grains: [u32; 19] = [
        0x0506_0708,
        0x0102_0304,
        3949,
        70000,
        1,
        4095,
        1,
        31,
        1,
        0,
        2,
        0,
        3,
        2,
        4,
        0,
        0x5000_026b,
        0,
        0x0074_0100,
    ];
    let header = Header::parse(grains.len(), |grain| grains[grain]);
    let expected = Header {
        clock: 0x0102_0304_0506_0708,
        flags: 0x6d,
        value_type: 15,
        key_bytes: 1,
        value_bytes: 70_000,
        namespace: 4095,
        extents: 1,
        expires_at: 1,
        expiry_clock: 2,
        idle_ms: 3,
        deadline: 4,
        grace_ms: 0,
        tags_bytes: 2,
        key_at: 64,
    };
    assert_eq!(header, Some(expected), "{WHAT_TO_DO}");
}
