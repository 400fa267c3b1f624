//! The declaration's section in an ELF file.

use std::borrow::Cow;

use object::Endianness;
use object::elf;
use object::read::elf::{Dyn as _, FileHeader, ProgramHeader as _, SectionHeader as _, Sym as _};

use super::ReadError;
use super::image::{Exports, Image, Kind, check_end, check_platform, malformed, truncated};
use super::platform::{Float, Libc, Platform};

const SECTION: &[u8] = b".dss.library\0";
const MODULE: &[u8] = b".dss.module\0";
const DESCRIPTIONS: &[u8] = b".dss.doc\0";

pub(super) fn read<'a, H>(bytes: &'a [u8], here: Option<&Platform>) -> Result<Image<'a>, ReadError>
where
    H: FileHeader<Endian = Endianness>,
{
    let wrong = |error| malformed("ELF", error);
    if bytes.len() < size_of::<H>() {
        return Err(truncated(bytes, size_of::<H>() as u64));
    }
    let header = H::parse(bytes).map_err(wrong)?;
    let endian = header.endian().map_err(wrong)?;
    if let Some(what) = not_a_library(header.e_type(endian)) {
        return Err(ReadError::NotALibrary { what });
    }
    let platform = platform(header, endian);
    check_platform(&platform, here)?;

    let programs = u64::from(header.e_phnum(endian)) * u64::from(header.e_phentsize(endian));
    check_end(bytes, header.e_phoff(endian).into().saturating_add(programs))?;
    let sections = u64::from(header.e_shnum(endian)) * u64::from(header.e_shentsize(endian));
    check_end(bytes, header.e_shoff(endian).into().saturating_add(sections))?;
    let programs = header.program_headers(endian, bytes).map_err(wrong)?;
    for program in programs {
        check_end(bytes, program.p_offset(endian).into().saturating_add(program.p_filesz(endian).into()))?;
    }
    let sections = header.section_headers(endian, bytes).map_err(wrong)?;
    for section in sections.iter().filter(|section| section.sh_type(endian) != elf::SHT_NOBITS) {
        check_end(bytes, section.sh_offset(endian).into().saturating_add(section.sh_size(endian).into()))?;
    }

    // The linker calls both a shared object. Only this flag says how the loader treats the file.
    let dynamic = programs.iter().find_map(|program| program.dynamic(endian, bytes).transpose());
    let mut flags = 0;
    for entry in dynamic.transpose().map_err(wrong)?.unwrap_or_default() {
        if entry.tag(endian) == elf::DT_FLAGS_1 {
            flags |= entry.val(endian);
        }
    }
    if flags & elf::DF_1_PIE.0 != 0 {
        return Err(ReadError::NotALibrary { what: "an ELF executable" });
    }

    let platform = Platform { libc: libc::<H>(sections, endian, bytes), ..platform };
    check_platform(&platform, here)?;
    let mut image = Image::new(platform);
    image.unmappable = Some(flags & elf::DF_1_NODELETE.0 == 0);
    let names = match header.section_strings_index(endian, bytes) {
        Ok(index) => sections.get(index.0),
        Err(_) => None, // a file may do without names
    };
    let names = names.map(|section| section.data(endian, bytes)).transpose().map_err(wrong)?;
    for section in sections {
        let name = names.and_then(|names| names.get(section.sh_name(endian) as usize..));
        let kind = match name {
            Some(name) if name.starts_with(SECTION) => Kind::Library,
            Some(name) if name.starts_with(MODULE) => Kind::Module,
            Some(name) if name.starts_with(DESCRIPTIONS) => Kind::Descriptions,
            _ => continue,
        };
        image.add(kind, section.data(endian, bytes).map_err(wrong)?);
    }
    if image.sections.is_empty() {
        image.exports = exports::<H>(sections, endian, bytes).unwrap_or_default();
    }
    Ok(image)
}

/// What the file is, if loaders do not accept it as a library.
fn not_a_library(kind: elf::FileType) -> Option<&'static str> {
    match kind {
        elf::ET_DYN => None,
        elf::ET_EXEC => Some("an ELF executable"),
        elf::ET_REL => Some("an ELF object file (compiled, and not linked yet)"),
        elf::ET_CORE => Some("a core file"),
        _ => Some("an ELF file of a kind that DSS does not know"),
    }
}

fn platform<H: FileHeader<Endian = Endianness>>(header: &H, endian: Endianness) -> Platform {
    let wide = header.is_type_64();
    let processor = match header.e_machine(endian) {
        elf::EM_X86_64 => "x86_64",
        elf::EM_386 => "x86",
        elf::EM_AARCH64 => "aarch64",
        elf::EM_ARM => "arm",
        elf::EM_RISCV if wide => "riscv64",
        elf::EM_RISCV => "riscv32",
        elf::EM_PPC64 => "powerpc64",
        elf::EM_PPC => "powerpc",
        elf::EM_S390 => "s390x",
        elf::EM_MIPS if wide => "mips64",
        elf::EM_MIPS => "mips",
        elf::EM_LOONGARCH if wide => "loongarch64",
        elf::EM_LOONGARCH => "loongarch32",
        elf::EM_SPARCV9 => "sparc64",
        elf::EM_SPARC => "sparc",
        _ => "",
    };
    let processor = match processor {
        "" => Cow::Owned(format!("processor number {}", header.e_machine(endian).0)),
        known => Cow::Borrowed(known),
    };
    let system = match header.e_ident().os_abi {
        elf::ELFOSABI_GNU => "linux",
        elf::ELFOSABI_FREEBSD => "freebsd",
        elf::ELFOSABI_NETBSD => "netbsd",
        elf::ELFOSABI_OPENBSD => "openbsd",
        elf::ELFOSABI_SOLARIS => "solaris",
        _ => Platform::ANY_ELF,
    };
    let bits = if wide { 64 } else { 32 };
    let float = if processor == "arm" { float(header.e_flags(endian).0) } else { None };
    Platform { system, processor, bits, big_endian: endian == Endianness::Big, libc: None, float }
}

/// How an ARM file passes floating-point arguments. Linkers say so since version 5 of ARM's interface.
fn float(flags: u32) -> Option<Float> {
    const VERSION: u32 = 0xFF00_0000;
    const HARD: u32 = 0x400;
    const SOFT: u32 = 0x200;
    match flags & (HARD | SOFT) {
        HARD if flags & VERSION == 0x0500_0000 => Some(Float::Hard),
        SOFT if flags & VERSION == 0x0500_0000 => Some(Float::Soft),
        _ => None,
    }
}

/// The C library that the file is linked to, if it is one that is known. What is unreadable tells nothing.
fn libc<H>(sections: &[H::SectionHeader], endian: Endianness, bytes: &[u8]) -> Option<Libc>
where
    H: FileHeader<Endian = Endianness>,
{
    let table = sections.iter().find(|section| section.sh_type(endian) == elf::SHT_DYNAMIC)?;
    let (entries, strings) = table.dynamic(endian, bytes).ok()??;
    let strings = sections.get(strings.0)?.data(endian, bytes).ok()?;
    let needed = entries.iter().filter(|entry| entry.tag(endian) == elf::DT_NEEDED);
    let mut libcs = needed.filter_map(|entry| {
        let name = strings.get(usize::try_from(entry.val(endian)).ok()?..)?;
        // Longer ones are no file names.
        let name = &name[..name.len().min(256)];
        Libc::named(&name[..name.iter().position(|byte| *byte == 0)?])
    });
    libcs.next()
}

fn exports<H>(sections: &[H::SectionHeader], endian: Endianness, bytes: &[u8]) -> Option<Exports>
where
    H: FileHeader<Endian = Endianness>,
{
    let table = sections.iter().find(|section| section.sh_type(endian) == elf::SHT_DYNSYM)?;
    let symbols = table.data_as_array::<H::Sym, _>(endian, bytes).ok()?;
    let strings = sections.get(table.sh_link(endian) as usize)?.data(endian, bytes).ok()?;
    let mut exports = Exports::default();
    for symbol in symbols.iter().filter(|symbol| symbol.st_shndx(endian) != elf::SHN_UNDEF) {
        exports.add(strings, symbol.st_name(endian) as usize, "");
    }
    Some(exports)
}
