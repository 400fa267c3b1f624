//! Images with damage in them, always the same for the same number of runs: whatever a file says, reading it ends with
//! a declaration or a sentence.
//!
//! `DSS_FUZZ_RUNS` sets the number of runs. `DSS_FUZZ_SEEDS` names a folder that gets the images undamaged, for
//! `cargo fuzz` to begin with.
#![cfg(not(loom))]

mod images;

use std::time::{Duration, Instant};

use dss_impl::declared::{Platform, ReadError, parse_for};
use dss_impl::search::check_name;
use images::*;
use object::Architecture;

/// Marsaglia's xorshift, with 64 bits of state.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

fn seeds() -> Vec<(&'static str, Vec<u8>, Platform)> {
    let little = Record::new().bytes();
    let big = Record { big_endian: true, ..Record::new() }.bytes();
    let (dynamic, section) = (object::elf::ET_DYN, ".dss.library");
    let arm64 = dylib(Architecture::Aarch64, "__DATA", "__dss_library", &little);
    let intel = dylib(Architecture::X86_64, "__DATA", "__dss_library", &little);
    let universal =
        universal(&[(object::macho::CPU_TYPE_X86_64, &intel), (object::macho::CPU_TYPE_ARM64, &arm64)]);
    let s390x = elf_for(true, true, object::elf::EM_S390, dynamic, &[(".text", b"code"), (section, &big)]);
    let arm = elf_for(false, false, object::elf::EM_ARM, dynamic, &[(section, &little)]);
    let mut seeds = vec![
        ("elf64", elf(&[(section, &little)]), linux()),
        ("elf64-two", elf(&[(section, &little), (section, &little)]), linux()),
        ("elf64-none", elf(&[(".text", b"code")]), linux()),
        ("elf64-big", s390x, linux_s390x()),
        ("elf32", arm, linux_arm()),
        ("pe", dll(b".dsslib\0", &little), windows()),
        ("macho", arm64, macos()),
        ("macho-universal", universal, macos()),
    ];
    if let Some(library) = linked(&little) {
        seeds.push(("elf-linked", library, Platform::here()));
    }
    seeds
}

/// What this system's linker makes of a record, where there is one.
fn linked(record: &[u8]) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().ok()?;
    let (source, library) = (folder.path().join("library.c"), folder.path().join("library.so"));
    let record = record.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    let code = format!(
        "__attribute__((section(\".dss.library\"), used)) static const unsigned char record[] = {{{record}}};\n\
         int luaopen_library(void *L) {{ return 0; }}\n"
    );
    std::fs::write(&source, code).ok()?;
    let built = compiler().args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status();
    built.ok().filter(|status| cfg!(target_os = "linux") && status.success())?;
    std::fs::read(library).ok()
}

/// Numbers at which sums overflow and comparisons turn.
const EDGES: [u64; 10] =
    [0, 1, 0x7f, 0x80, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x7fff_ffff_ffff_ffff, u64::MAX];

/// Damages `bytes` at one place, which is more often than not one where headers or the record lie.
fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    let length = bytes.len();
    if length == 0 {
        return;
    }
    let at = match random.below(4) {
        0 => random.below(length.min(64)),
        1 => random.below(length.min(1024)),
        2 => length - 1 - random.below(length.min(1024)),
        _ => random.below(length),
    };
    match random.below(8) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.next() as u8,
        2..=4 => {
            let width = [1, 2, 4, 8][random.below(4)];
            let at = at / width * width;
            let number = match random.below(3) {
                0 => EDGES[random.below(EDGES.len())],
                1 => (length as u64).wrapping_add(random.next() % 17).wrapping_sub(8),
                _ => random.next() % (2 * length as u64),
            };
            let number = if random.below(2) == 0 { number.to_le_bytes() } else { number.to_be_bytes() };
            let end = length.min(at + width);
            bytes[at..end].copy_from_slice(&number[..end - at]);
        }
        5 => {
            let from = random.below(length);
            let count = random.below(64).min(length - from).min(length - at);
            bytes.copy_within(from..from + count, at);
        }
        6 => {
            let end = length.min(at + random.below(64));
            bytes[at..end].fill(0);
        }
        _ if random.below(4) == 0 => bytes.truncate(at),
        _ => {}
    }
}

/// Reads it, and says which way it ended.
fn end(bytes: &[u8], platform: &Platform) -> &'static str {
    let error = match parse_for(bytes, platform) {
        Ok(declared) => {
            check_name(&declared.name).unwrap();
            return "declared";
        }
        Err(error) => error,
    };
    assert!(error.to_string().len() < 1024, "{error}");
    match error {
        ReadError::Empty | ReadError::NotALibrary { .. } => "no library",
        ReadError::Foreign { .. } => "foreign",
        ReadError::Truncated { has, needs } => {
            assert!(has == bytes.len() as u64 || platform.system == "macos"); // a part of a universal file
            assert!(needs > has);
            "truncated"
        }
        ReadError::Malformed { .. } => "malformed",
        ReadError::LuaModule { .. } | ReadError::NoDeclaration | ReadError::Stripped { .. } => {
            "no declaration"
        }
        ReadError::TwoDeclarations => "two",
        ReadError::Damaged { .. } => "damaged",
        ReadError::Invalid { .. } => "invalid",
        other => panic!("not of bytes: {other}"),
    }
}

#[test]
fn damage_is_an_error_and_no_more() {
    let asked = std::env::var("DSS_FUZZ_RUNS").ok().and_then(|runs| runs.parse::<u64>().ok());
    let (runs, started) = (asked.unwrap_or(1_000_000), Instant::now());
    let seeds = seeds();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut ends = std::collections::BTreeMap::<_, u64>::new();
    let mut bytes = Vec::new();
    let mut done = 0;
    // On a slow machine fewer will do; those who ask for a number get it.
    while done < runs && (asked.is_some() || started.elapsed() < Duration::from_secs(20)) {
        let (_, seed, platform) = &seeds[random.below(seeds.len())];
        bytes.clone_from(seed);
        for _ in 0..1 + random.below(6) {
            damage(&mut bytes, &mut random);
        }
        *ends.entry(end(&bytes, platform)).or_default() += 1;
        done += 1;
    }
    println!("{done} runs in {:?}: {ends:?}", started.elapsed());
    assert!(done >= 1000, "too slow to mean anything: {done} runs");
    // Damage that always ended the same way would not have come far.
    for way in
        ["declared", "no library", "foreign", "truncated", "no declaration", "two", "damaged", "invalid"]
    {
        assert!(ends.contains_key(way), "{way}: {ends:?}");
    }
}

/// The headers of a file of many megabytes, damaged.
#[test]
fn this_very_program_with_damage_in_it() {
    let mut bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let here = Platform::here();
    assert_eq!(end(&bytes, &here), "no library");
    for _ in 0..2000 {
        let at = if random.below(2) == 0 { random.below(1024) } else { bytes.len() - 1 - random.below(4096) };
        let before = std::mem::replace(&mut bytes[at], random.next() as u8);
        end(&bytes, &here);
        bytes[at] = before;
    }
}

#[test]
fn seeds_are_written() {
    let Some(folder) = std::env::var_os("DSS_FUZZ_SEEDS") else {
        return;
    };
    std::fs::create_dir_all(&folder).unwrap();
    for (name, bytes, _) in seeds() {
        std::fs::write(std::path::Path::new(&folder).join(name), bytes).unwrap();
    }
}
