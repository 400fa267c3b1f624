//! Records and images made up for the tests, each as small as its format allows.

// Each test binary uses its own part of this.
#![allow(dead_code)]

use std::borrow::Cow;

use dss_impl::declared::Platform;
use object::write::{Object, elf, pe};
use object::{Architecture, BinaryFormat, Endianness, SectionKind};

/// The C compiler of the platform that the tests are built for, if `CC` names it with its options, or the system's.
pub(crate) fn compiler() -> std::process::Command {
    let named = std::env::var("CC").unwrap_or_default();
    let mut words = named.split_whitespace();
    let mut command = std::process::Command::new(words.next().unwrap_or("cc"));
    command.args(words);
    command
}

/// How many bytes the record of the first release has.
pub(crate) const SIZE: usize = 296;

/// What a record is made of.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) big_endian: bool,
    pub(crate) size: u32,
    pub(crate) revision: u32,
    pub(crate) flags: u32,
    pub(crate) abi_stable: &'static [u8],
    pub(crate) name: &'static [u8],
    pub(crate) version: &'static [u8],
    pub(crate) requires: &'static [u8],
    pub(crate) compiler: &'static [u8],
}

impl Record {
    pub(crate) fn new() -> Self {
        Self {
            big_endian: false,
            size: SIZE as u32,
            revision: 2,
            flags: 1,
            abi_stable: b"0.11",
            name: b"fswatch",
            version: b"1.2.3",
            requires: b"^2.0",
            compiler: b"rustc 1.95.0 (59807616e 2026-04-14)",
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = b"DSS\0LIB\0".to_vec();
        for number in [self.size, self.revision, self.flags, 0] {
            bytes.extend(if self.big_endian { number.to_be_bytes() } else { number.to_le_bytes() });
        }
        let texts: [(&[u8], usize); 7] = [
            (b"1.0.0", 16),
            (self.abi_stable, 16),
            (self.name, 64),
            (self.version, 32),
            (self.requires, 64),
            (self.compiler, 64),
            (b"1.0.0", 16),
        ];
        for (text, width) in texts {
            assert!(text.len() <= width);
            bytes.extend(text);
            bytes.resize(bytes.len() + width - text.len(), 0);
        }
        assert_eq!(bytes.len(), SIZE);
        bytes
    }
}

pub(crate) fn platform(
    system: &'static str,
    processor: &'static str,
    bits: u32,
    big_endian: bool,
) -> Platform {
    Platform { system, processor: Cow::Borrowed(processor), bits, big_endian, libc: None, float: None }
}

pub(crate) fn linux() -> Platform {
    platform("linux", "x86_64", 64, false)
}

pub(crate) fn linux_s390x() -> Platform {
    platform("linux", "s390x", 64, true)
}

pub(crate) fn linux_arm() -> Platform {
    platform("linux", "arm", 32, false)
}

pub(crate) fn windows() -> Platform {
    platform("windows", "x86_64", 64, false)
}

pub(crate) fn macos() -> Platform {
    platform("macos", "aarch64", 64, false)
}

/// An ELF file for x86_64 with these sections.
pub(crate) fn elf(sections: &[(&str, &[u8])]) -> Vec<u8> {
    elf_for(true, false, object::elf::EM_X86_64, object::elf::ET_DYN, sections)
}

pub(crate) fn elf_for(
    wide: bool,
    big_endian: bool,
    machine: object::elf::Machine,
    kind: object::elf::FileType,
    sections: &[(&str, &[u8])],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let endian = if big_endian { Endianness::Big } else { Endianness::Little };
    let mut writer = elf::Writer::new(endian, wide, &mut bytes);
    writer.reserve_file_header();
    writer.reserve_null_section_index();
    let mut placed = Vec::new();
    for (name, contents) in sections {
        let name = writer.add_section_name(name.as_bytes());
        writer.reserve_section_index();
        placed.push((name, writer.reserve(contents.len() as u64, 8), contents));
    }
    writer.reserve_shstrtab_section_index();
    writer.reserve_shstrtab().unwrap();
    writer.reserve_section_headers();
    let header = elf::FileHeader {
        os_abi: object::elf::ELFOSABI_NONE,
        abi_version: 0,
        e_type: kind,
        e_machine: machine,
        e_entry: 0,
        e_flags: object::elf::FileFlags(0),
    };
    writer.write_file_header(&header).unwrap();
    for (_, offset, contents) in &placed {
        writer.pad_until(*offset);
        writer.write(contents);
    }
    writer.write_shstrtab();
    writer.write_null_section_header();
    for (name, offset, contents) in &placed {
        writer.write_section_header(&elf::SectionHeader {
            sh_name: writer.section_name_offset(Some(*name)),
            sh_type: object::elf::SHT_PROGBITS,
            sh_flags: object::elf::SHF_ALLOC,
            sh_addr: 0,
            sh_offset: *offset,
            sh_size: contents.len() as u64,
            sh_link: 0,
            sh_info: 0,
            sh_addralign: 8,
            sh_entsize: 0,
        });
    }
    writer.write_shstrtab_section_header();
    bytes
}

/// A DLL for x86_64 with one section.
pub(crate) fn dll(name: &[u8; 8], contents: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = pe::Writer::new(true, 4096, 512, &mut bytes);
    writer.reserve_dos_header();
    writer.reserve_nt_headers(16);
    writer.reserve_section_headers(1);
    let length = contents.len() as u32;
    let range = writer.reserve_section(
        *name,
        object::pe::IMAGE_SCN_CNT_INITIALIZED_DATA | object::pe::IMAGE_SCN_MEM_READ,
        length,
        length,
    );
    writer.write_empty_dos_header().unwrap();
    writer.write_nt_headers(pe::NtHeaders {
        machine: object::pe::IMAGE_FILE_MACHINE_AMD64,
        time_date_stamp: 0,
        characteristics: object::pe::IMAGE_FILE_DLL | object::pe::IMAGE_FILE_EXECUTABLE_IMAGE,
        major_linker_version: 14,
        minor_linker_version: 0,
        address_of_entry_point: 0,
        image_base: 0x1_8000_0000,
        major_operating_system_version: 6,
        minor_operating_system_version: 0,
        major_image_version: 0,
        minor_image_version: 0,
        major_subsystem_version: 6,
        minor_subsystem_version: 0,
        subsystem: object::pe::IMAGE_SUBSYSTEM_WINDOWS_CUI,
        dll_characteristics: object::pe::DllFlags(0),
        size_of_stack_reserve: 0,
        size_of_stack_commit: 0,
        size_of_heap_reserve: 0,
        size_of_heap_commit: 0,
    });
    writer.write_section_headers();
    writer.write_section(range.file_offset, contents);
    bytes
}

/// A Mach-O library with one section.
pub(crate) fn dylib(architecture: Architecture, segment: &str, section: &str, contents: &[u8]) -> Vec<u8> {
    let mut file = Object::new(BinaryFormat::MachO, architecture, object::Endianness::Little);
    let id = file.add_section(segment.into(), section.into(), SectionKind::Data);
    file.append_section_data(id, contents, 8);
    let mut bytes = file.write().unwrap();
    // The writer makes object files; where the header says which it is, this says that it is linked.
    bytes[12..16].copy_from_slice(&object::macho::MH_DYLIB.0.to_le_bytes());
    bytes
}

/// A universal file of Mach-O files.
pub(crate) fn universal(parts: &[(object::macho::CpuType, &[u8])]) -> Vec<u8> {
    let mut bytes = 0xcafe_babe_u32.to_be_bytes().to_vec();
    bytes.extend((parts.len() as u32).to_be_bytes());
    let mut at = 4096_u32;
    for (processor, part) in parts {
        for number in [processor.0, 0, at, part.len() as u32, 12] {
            bytes.extend(number.to_be_bytes());
        }
        at += (part.len() as u32).next_multiple_of(4096);
    }
    for (_, part) in parts {
        bytes.resize(bytes.len().next_multiple_of(4096), 0);
        bytes.extend(*part);
    }
    bytes
}
